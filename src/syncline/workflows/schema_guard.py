"""The answer to "may I publish a schema change now?".

What lives here: one look at both services and the storage, and the report made of it. Writes nothing.
"""

from __future__ import annotations

from typing import cast

from syncline.backlog import BacklogCounts, ItemState
from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.definition_json import definition_from_json
from syncline.definitions import IngressDefinition
from syncline.mapping import compile_plan
from syncline.schema_changes import ChangeEffect, SchemaChange
from syncline.store import WorkflowRow
from syncline.views.schema_guard import SchemaGuardReport
from syncline.workflows.schema_watch import changes_of, look
from syncline.workflows.snapshot import Snapshot

__all__ = ["schema_guard"]


def schema_guard(
    row: WorkflowRow, counts: BacklogCounts, dynamics: DynamicsConnector, campaign: CampaignConnector
) -> SchemaGuardReport:
    """See `IngressActions.schema_guard`."""
    snapshot = None if row.snapshot is None else Snapshot.from_json(row.snapshot)
    changes = [] if snapshot is None else _changes(snapshot, dynamics, campaign)
    in_flight = sum(number for group, number in counts.groups.items() if group.state is ItemState.LEASED)
    return SchemaGuardReport(
        status=row.state,
        queued=counts.size,
        in_flight=in_flight,
        changes=tuple(sorted(changes, key=lambda change: change.effect is not ChangeEffect.STOPS)),
        checked_at=None if snapshot is None else snapshot.checked_at,
    )


def _changes(snapshot: Snapshot, dynamics: DynamicsConnector, campaign: CampaignConnector) -> list[SchemaChange]:
    definition = cast(IngressDefinition, definition_from_json(snapshot.definition))
    found: list[SchemaChange] = []
    for mapping in definition.mappings:
        source, target = snapshot.sources[mapping.table], snapshot.targets[mapping.resource]
        plan = compile_plan(mapping, definition, source, target)
        source_now, target_now, problem = look(mapping, definition.label_language, dynamics, campaign)
        found += changes_of(plan, source, source_now, target, target_now)
        found += [problem] if problem is not None else []
    return found
