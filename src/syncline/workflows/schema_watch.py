"""What a running generation knows of both sides' schemas, and how it finds out that they changed.

What lives here: `SchemaWatch`. It looks again when it is time, and whenever an answer hints at a change; a change that
must not be ignored raises SchemaChangedError, one that only adds something is kept for the coordinator to take up.
Methods named `verify` ask the services and run on reader and writer threads; the others are the coordinator's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import evolve

from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.definitions import IngressDefinition
from syncline.errors import DefinitionError, SchemaChangedError, SynclineError
from syncline.mapping import TablePlan, compile_plan, is_unfit
from syncline.records import Change, Values
from syncline.schema_changes import ChangeEffect, SchemaChange, SchemaSide, compare_schemas, key_gone, learn
from syncline.schemas import FieldType, TableSchema
from syncline.table_mapping import TableMapping
from syncline.workflows.snapshot import Snapshot

__all__ = ["SchemaWatch", "changes_of", "look", "lost_by", "unknown_values"]

#: When a service cannot be asked, the look that is due waits this long.
_LATER = timedelta(minutes=1)
_COMPARED = "What Campaign gets back is empty: the start that follows compares every record of the table."
#: However short the interval is, pages are read between two looks.
_SOONEST = timedelta(seconds=1)


def look(
    mapping: TableMapping,
    language: int,
    dynamics: DynamicsConnector,
    campaign: CampaignConnector,
    *,
    key: bool = True,
) -> tuple[TableSchema | None, TableSchema | None, SchemaChange | None]:
    """Both sides of a mapping as they are now, and what is wrong with the key; asks both services.

    Without `key` the key is not looked at. Raises what the connectors raise.
    """
    source = dynamics.describe(mapping.table, language=language)
    target = campaign.describe(mapping.resource)
    problem = None
    if key and target is not None:
        found = campaign.check_key(target, mapping.key)
        if found.problem is not None:
            told = f"{found.problem.value}{'; ' + found.detail if found.detail else ''}"
            problem = key_gone(mapping.resource, mapping.key, told)
    return source, target, problem


class SchemaWatch:
    """The schemas of one generation, and the rules over them. Thread-safe; nobody waits for a request of another."""

    def __init__(
        self,
        snapshot: Snapshot,
        definition: IngressDefinition,
        dynamics: DynamicsConnector,
        campaign: CampaignConnector,
        *,
        interval: timedelta,
    ) -> None:
        self._definition = definition
        self._dynamics = dynamics
        self._campaign = campaign
        self._interval = interval
        #: Guards what is known; never held during a request.
        self._lock = threading.Lock()
        self._snapshot = snapshot
        self._learnt = False
        self._plans = self._compiled(snapshot.sources, snapshot.targets)
        self._not_before: datetime | None = None
        self._counts: dict[str, int] = {}
        #: One look at a target serves every refusal that came before it began.
        self._looking = threading.Lock()
        self._looks = self._taught = 0
        self._trouble: SynclineError | None = None

    @property
    def snapshot(self) -> Snapshot:
        """What is known by now."""
        return self._snapshot

    @property
    def plans(self) -> Mapping[str, TablePlan]:
        """The rules of each table, over the schemas that are known by now."""
        return self._plans

    def __repr__(self) -> str:
        return f"<SchemaWatch of {', '.join(self._plans)}, looked at {self._snapshot.checked_at}>"

    # -- the coordinator's -----------------------------------------------------------------------------------------

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to look at everything again."""
        if self._not_before is not None and now < self._not_before:
            return False
        checked_at = self._snapshot.checked_at
        return checked_at is None or now - checked_at >= self._interval

    def postpone(self, now: datetime) -> None:
        """A service cannot be asked just now: look later, and let the work go on."""
        self._not_before = now + min(self._interval, _LATER)

    def checked(self, now: datetime) -> Snapshot:
        """Everything was looked at; the snapshot to keep."""
        with self._lock:
            self._not_before = now + _SOONEST
            counts = {**self._snapshot.counts, **self._counts}
            self._snapshot = evolve(self._snapshot, checked_at=now, counts=counts)
            self._learnt = False
            return self._snapshot

    def news(self) -> Snapshot | None:
        """The snapshot to keep if something was learnt since it was asked last."""
        with self._lock:
            learnt, self._learnt = self._learnt, False
            return self._snapshot if learnt else None

    # -- asking ----------------------------------------------------------------------------------------------------

    def verify(self, tables: Iterable[str], *, key: bool = False) -> None:
        """Look at these tables again, and learn what is new; with `key` at everything that a start looks at.

        Raises SchemaChangedError, naming the field, for a change that must not be ignored, and what the connectors
        raise.
        """
        for table in tables:
            mapping = self._definition.mapping(table)
            language = self._definition.label_language
            source, target, problem = look(mapping, language, self._dynamics, self._campaign, key=key)
            self._judge(mapping, source, target, problem)
            if key and (count := self._dynamics.count(table)) is not None:
                self._counts[table] = count

    def heed(self, table: str, changes: Sequence[Change]) -> None:
        """Look at a table again if there is a hint that it changed before this was read of it.

        Hints are the source's mark, and values that the rules refuse or do not know. Raises as `verify`. What nobody
        describes afterwards either goes by its technical value.
        """
        if not changes:
            return
        plan, mark = self._plans[table], self._dynamics.schema_mark(table)
        moved = mark is not None and mark != self._snapshot.marks.get(table)
        if not (moved or unknown_values(plan, changes) or any(is_unfit(change, plan) for change in changes)):
            return
        self.verify([table])
        if moved:
            self._note_mark(table, mark)
        unknown = unknown_values(self._plans[table], changes)
        if unknown:
            self._add_unnamed(self._definition.mapping(table), unknown)

    @property
    def looks(self) -> int:
        """How many looks at targets began: taken before a request, it tells which look may explain its answer."""
        return self._looks

    def heed_refusal(self, table: str, looks: int) -> bool:
        """Look at the target of a table again, unless a look began after `looks` were counted.

        Whether that taught something, so that the refused record has to be decided anew. Raises as `verify`.
        """
        with self._looking:
            if self._looks <= looks:
                self._looks += 1
                self._look_at_target(self._definition.mapping(table))
            if self._trouble is not None:
                raise self._trouble
            return self._taught > looks

    def _look_at_target(self, mapping: TableMapping) -> None:
        self._trouble = None
        try:
            target = self._campaign.describe(mapping.resource)
            if self._judge(mapping, self._snapshot.sources[mapping.table], target, None):
                self._taught = self._looks
        except SynclineError as error:
            # Whoever waited for this look has its answer, too: nobody's record is at fault.
            self._trouble = error

    # -- judging ---------------------------------------------------------------------------------------------------

    def _judge(
        self,
        mapping: TableMapping,
        source: TableSchema | None,
        target: TableSchema | None,
        problem: SchemaChange | None,
    ) -> bool:
        """Whether anything was learnt. Raises SchemaChangedError."""
        with self._lock:
            known, plan = self._snapshot, self._plans[mapping.table]
            changes = changes_of(plan, known.sources[mapping.table], source, known.targets[mapping.resource], target)
            stops = [change for change in (*changes, *([problem] if problem else ())) if is_stop(change)]
            if stops:
                raise changed_error(stops)
            if source is None or target is None:
                return False
            return self._take_up(mapping, learn(known.sources[mapping.table], source), target)

    def _note_mark(self, table: str, mark: str | None) -> None:
        with self._lock:
            self._snapshot = evolve(self._snapshot, marks={**self._snapshot.marks, table: mark})
            self._learnt = True

    def _add_unnamed(self, mapping: TableMapping, values: Mapping[str, Iterable[int]]) -> None:
        """Values without a label, so that they are not asked about again."""
        with self._lock:
            source = self._snapshot.sources[mapping.table]
            fields = {
                name: evolve(schema, options={**{str(one): "" for one in values[schema.name]}, **schema.options})
                if schema.name in values
                else schema
                for name, schema in source.fields.items()
            }
            self._take_up(mapping, evolve(source, fields=fields), self._snapshot.targets[mapping.resource])

    def _take_up(self, mapping: TableMapping, source: TableSchema, target: TableSchema) -> bool:
        known = self._snapshot
        sources = {**known.sources, mapping.table: source}
        targets = {**known.targets, mapping.resource: target}
        if (sources, targets) == (known.sources, known.targets):
            return False
        self._plans = self._compiled(sources, targets)
        self._snapshot = evolve(known, sources=sources, targets=targets)
        self._learnt = True
        return True

    def _compiled(self, sources: Mapping[str, TableSchema], targets: Mapping[str, TableSchema]) -> dict[str, TablePlan]:
        try:
            return {
                mapping.table: compile_plan(
                    mapping, self._definition, sources[mapping.table], targets[mapping.resource]
                )
                for mapping in self._definition.mappings
            }
        except DefinitionError as error:
            raise SchemaChangedError(error.message, remedy=error.remedy) from error


def changes_of(
    plan: TablePlan,
    source: TableSchema,
    source_now: TableSchema | None,
    target: TableSchema,
    target_now: TableSchema | None,
) -> tuple[SchemaChange, ...]:
    """What changed on either side of a mapping."""
    return (
        *compare_schemas(SchemaSide.DYNAMICS, source, source_now, plan.source_fields, labels=plan.mapping.labels),
        *compare_schemas(SchemaSide.CAMPAIGN, target, target_now, plan.target_fields),
    )


def is_stop(change: SchemaChange) -> bool:
    """Whether the workflow must not go on over it."""
    return change.effect is ChangeEffect.STOPS


def changed_error(stops: Iterable[SchemaChange]) -> SchemaChangedError:
    """The error that names every change, about the first of them."""
    stops = tuple(stops)
    first, lost = stops[0], lost_by(stops)
    told = "".join(f" {one.side}: {one.place} {one.what}." for one in stops)
    remedy = f"{first.meaning} Nothing was lost: the position and the backlog are as they were."
    if lost:
        remedy += f" {_COMPARED}"
    return SchemaChangedError(
        f"The schema changed.{told}", table=first.table, field=first.field, remedy=remedy, lost=lost
    )


def lost_by(changes: Iterable[SchemaChange]) -> frozenset[tuple[str, str]]:
    """Resource and field of what Campaign holds no more; see `SchemaChangedError.lost`."""
    return frozenset((one.table, one.field) for one in changes if one.loses)


def unknown_values(plan: TablePlan, changes: Iterable[Change]) -> dict[str, set[int]]:
    """Values of picklists, by column, whose label nobody told yet; empty where technical values are written."""
    if not plan.mapping.labels:
        return {}
    known = {
        schema.name: {value for value in schema.options if value.lstrip("-").isdigit()}
        for schema in plan.source.fields.values()
        if schema.name in plan.source_fields and schema.type in (FieldType.PICKLIST, FieldType.MULTI_PICKLIST)
    }
    unknown: dict[str, set[int]] = {}
    for change in changes:
        for column, values in known.items():
            for value in _values_in(change.values, column):
                if value not in values:
                    unknown.setdefault(column, set()).add(int(value))
    return unknown


def _values_in(values: Values | None, column: str) -> Iterable[str]:
    found = None if values is None else values.get(column)
    if type(found) is int:
        return (str(found),)
    if isinstance(found, str):
        parts = (part.strip() for part in found.split(","))
        return [part for part in parts if part.lstrip("-").isdigit()]
    return ()
