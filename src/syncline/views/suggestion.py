"""A proposed table mapping as values, as text and as HTML.

What lives here: `MappingSuggestion`, which `syncline.suggestions` fills in. It is a proposal and stays one: it has no
way to store itself anywhere. Names and types only, no record values. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

from attrs import frozen

from syncline.definitions import OptOutPair
from syncline.schemas import FieldType
from syncline.table_mapping import FieldMapping, FieldReplacement, TableMapping
from syncline.views.shown import Shown
from syncline.views.table import Cell, Column, Note, Table

__all__ = ["Likeness", "MappingSuggestion", "SuggestedField"]


class Likeness(StrEnum):
    """Why two fields were taken for one, the surest first."""

    #: The pair that is usual for contacts and profiles.
    USUAL = "usual pair"
    #: One name, but for upper and lower case, underscores and prefixes.
    SAME_NAME = "same name"
    #: The one name is in the other, and the types are of one kind. Look twice at these.
    SIMILAR_NAME = "similar name"

    @property
    def rank(self) -> int:
        """0 for the surest."""
        return list(Likeness).index(self)


@frozen(kw_only=True)
class SuggestedField:
    """A Dynamics field and a Campaign field that may belong together."""

    source: str
    source_type: FieldType
    target: str
    target_type: FieldType
    likeness: Likeness
    #: Why they were paired, for people.
    reason: str
    #: What could go wrong with some values; empty when nothing is known.
    caution: str = ""

    def as_data(self) -> dict[str, str]:
        """Only what JSON knows."""
        return {
            "source": self.source,
            "source_type": self.source_type.value,
            "target": self.target,
            "target_type": self.target_type.value,
            "likeness": self.likeness.value,
            "reason": self.reason,
            "caution": self.caution,
        }

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}: {self.reason}"

    def _row(self) -> tuple[Cell, ...]:
        return (
            Cell(self.source, mark=self.caution),
            Cell(self.source_type.value),
            Cell(self.target),
            Cell(self.target_type.value),
            Cell(self.reason),
        )


@frozen(kw_only=True, repr=False, str=False)
class MappingSuggestion(Shown):
    """Which fields of a Dynamics table may fill which of a Campaign resource. Nothing is changed by having one."""

    table: str
    resource: str
    #: Campaign field that would hold the Dynamics primary key.
    key: str
    fields: tuple[SuggestedField, ...]
    #: Values of choices whose labels have a partner among Campaign's.
    replacements: tuple[FieldReplacement, ...] = ()
    #: For the opt-out definition: such fields are never plain ones.
    opt_outs: tuple[OptOutPair, ...] = ()
    #: Campaign fields that could be written and that no Dynamics field was found for.
    unmatched: tuple[str, ...] = ()

    def mapping(self, *, at_least: Likeness = Likeness.SIMILAR_NAME) -> TableMapping:
        """The suggestion as a mapping, for you to look at, change and put into a definition.

        `at_least` leaves out what is less sure. Nothing takes effect until an edited definition is started.
        """
        chosen = [one for one in self.fields if one.likeness.rank <= at_least.rank]
        sources = {one.source for one in chosen}
        return TableMapping(
            table=self.table,
            resource=self.resource,
            key=self.key,
            fields=[FieldMapping(source=one.source, target=one.target) for one in chosen],
            replacements=[one for one in self.replacements if one.field in sources],
        )

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        return {
            "table": self.table,
            "resource": self.resource,
            "key": self.key,
            "fields": [one.as_data() for one in self.fields],
            "replacements": [
                {"field": one.field, "value": one.value, "replacement": one.replacement} for one in self.replacements
            ],
            "opt_outs": [{"dynamics": one.dynamics, "campaign": one.campaign} for one in self.opt_outs],
            "unmatched": list(self.unmatched),
        }

    def __iter__(self) -> Iterator[SuggestedField]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __repr__(self) -> str:
        return f"<MappingSuggestion {self.table} -> {self.resource} with {len(self)} fields>"

    def _tables(self) -> Sequence[Table]:
        table = Table(
            caption=f"Suggested mapping of {self.table} to {self.resource}",
            columns=tuple(Column(title=title) for title in _TITLES),
            rows=tuple(one._row() for one in self.fields),
            empty="no two fields look alike",
            notes=tuple(self._notes()),
        )
        return (table,)

    def _notes(self) -> Iterator[Note]:
        for title, lines in (
            ("Look at these", tuple(f"{one.source}: {one.caution}" for one in self.fields if one.caution)),
            ("Replacements that come along", tuple(map(str, self.replacements))),
            ("Opt-outs, for the opt-out definition", tuple(map(str, self.opt_outs))),
            ("Campaign fields without a partner", self.unmatched),
        ):
            if lines:
                yield Note(title=title, lines=lines)


_TITLES: Final = ("Dynamics 365", "Type", "Campaign", "Type", "Why")
