"""What a generation runs, as text: the definition, both sides' schemas, and which environments they came from.

What lives here: one frozen value and its JSON form. It is written when the checks have passed and read by every later
cycle, in whatever process, so that one generation runs one definition against one understanding of the schemas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import asdict, evolve, field, frozen

from syncline.errors import CheckFailedError, SchemaChangedError, SynclineError
from syncline.schemas import FieldSchema, FieldType, TableSchema

__all__ = ["Snapshot"]


@frozen(kw_only=True)
class Snapshot:
    """One generation's view of the world."""

    #: The definition as JSON.
    definition: str
    #: `Connector.identity` of both sides.
    source_identity: str
    target_identity: str
    #: Source table to its schema.
    sources: Mapping[str, TableSchema]
    #: Target table to its schema.
    targets: Mapping[str, TableSchema]
    #: Source table to what `DynamicsConnector.schema_mark` said before its schema was read.
    marks: Mapping[str, str | None] = field(factory=dict)
    #: Source table to its number of records, when it was counted last; that count could be a day old by then.
    counts: Mapping[str, int] = field(factory=dict)
    #: When both sides were last found to be as described here.
    checked_at: datetime | None = None
    #: Resource and field of what the target lost since; see `SchemaChangedError.lost`.
    lost: frozenset[tuple[str, str]] = frozenset()

    def after(self, error: SynclineError) -> Snapshot:
        """What to keep of it when the workflow fails of this error."""
        if not isinstance(error, SchemaChangedError | CheckFailedError):
            return self
        return evolve(self, lost=self.lost | error.lost)

    def to_json(self) -> str:
        return json.dumps(
            {
                "definition": self.definition,
                "source_identity": self.source_identity,
                "target_identity": self.target_identity,
                "sources": {name: asdict(schema) for name, schema in self.sources.items()},
                "targets": {name: asdict(schema) for name, schema in self.targets.items()},
                "marks": dict(self.marks),
                "counts": dict(self.counts),
                "checked_at": None if self.checked_at is None else self.checked_at.isoformat(),
                "lost": sorted(self.lost),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        found: dict[str, Any] = json.loads(text)
        checked_at = found["checked_at"]
        return cls(
            definition=found["definition"],
            source_identity=found["source_identity"],
            target_identity=found["target_identity"],
            sources={name: _table(schema) for name, schema in found["sources"].items()},
            targets={name: _table(schema) for name, schema in found["targets"].items()},
            marks=found["marks"],
            counts=found["counts"],
            checked_at=None if checked_at is None else datetime.fromisoformat(checked_at),
            lost=frozenset((resource, field) for resource, field in found["lost"]),
        )


def _table(found: dict[str, Any]) -> TableSchema:
    fields = {name: _field(schema) for name, schema in found.pop("fields").items()}
    return TableSchema(fields=fields, **found)


def _field(found: dict[str, Any]) -> FieldSchema:
    kind, targets = FieldType(found.pop("type")), tuple(found.pop("targets"))
    return FieldSchema(type=kind, targets=targets, **found)
