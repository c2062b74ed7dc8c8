"""A dry run: what would become of records, without writing anything anywhere.

What lives here: from a decision and a look at Campaign to a line of a `Preview`. The decision is the very function that
a cycle uses. No storage is written, no position kept, and Campaign is only asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import define, evolve, field

from syncline.connectors.base import CampaignConnector
from syncline.conversions.reading import UnfitError, read_guid
from syncline.errors import SkipRecordError
from syncline.mapping import LinkedTo, RefuseDecision, SkipDecision, SkipReason, TablePlan, WriteDecision, decide
from syncline.records import Change, RecordKey, TargetRecord, Values, Write
from syncline.schemas import FieldType
from syncline.views.preview import FieldChange, Preview, PreviewedRecord, PreviewKind
from syncline.workflows.linked_keys import LinkedKeys, tables_by_pkey
from syncline.workflows.next_start import NextStart

__all__ = ["preview_record", "preview_table"]

_SKIPS = {
    SkipReason.IDENTICAL: (PreviewKind.IDENTICAL, "unchanged since Syncline wrote it"),
    SkipReason.FILTERED_OUT: (PreviewKind.FILTERED_OUT, ""),
    SkipReason.NOT_IN_TARGET: (PreviewKind.LEFT_ALONE, "not in Dynamics, and Syncline never wrote it"),
    SkipReason.DELETES_IGNORED: (PreviewKind.LEFT_ALONE, "not in Dynamics, and deletes are not applied"),
}


def preview_record(start: NextStart, table: str, record: str) -> Preview:
    """What would become of one record, read by its key; one that Dynamics does not have counts as deleted.

    Raises ValueError for what cannot be the id of a record.
    """
    plan = start.plan(table)
    record = _id_of(plan, record)
    found = start.dynamics.fetch(table, plan.columns, [record])
    change = found.get(record) or Change(key=RecordKey(table=table, id=record), values=None)
    return _preview(start, plan, [change], complete=True)


def _id_of(plan: TablePlan, record: str) -> str:
    """The id as records are known by it."""
    given = record.strip()
    key = next((one for one in plan.source.fields.values() if one.name == plan.source.primary_key), None)
    try:
        return read_guid(given) if key is not None and key.type is FieldType.GUID else given.strip("{}").lower()
    except UnfitError:
        told = "a GUID such as 00000000-0000-4000-8000-000000000001"
        raise ValueError(f"record must be the id of a record of {plan.table}, {told}") from None


def preview_table(start: NextStart, table: str, limit: int) -> Preview:
    """What would become of the first `limit` records of a full read. What was deleted does not show in one.

    Raises ValueError when the limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be 1 or more, not {limit}")
    plan = start.plan(table)
    changes: list[Change] = []
    more = False
    for page, more_follow in start.pages(plan):
        room = limit - len(changes)
        changes += list(page.values())[:room]
        more = more_follow or len(page) > room
        if len(changes) >= limit:
            break
    return _preview(start, plan, changes, complete=not more)


def _preview(start: NextStart, plan: TablePlan, changes: Iterable[Change], *, complete: bool) -> Preview:
    changes = tuple(changes)
    ledger = start.ledger(plan.table, [change.key.id for change in changes])
    look = _Look(start=start, plan=plan, campaign=start.campaign, first=start.first(plan.table))
    records = tuple(look.at(change, ledger.get(change.key.id)) for change in changes)
    return Preview(table=plan.table, resource=plan.resource, records=records, complete=complete, look_ups=look.look_ups)


@define(kw_only=True)
class _Look:
    """Looks at one record after the other, and counts the questions to Campaign."""

    start: NextStart
    plan: TablePlan
    campaign: CampaignConnector
    first: bool
    look_ups: int = 0
    #: Of records that others point to: why they are not in Campaign.
    _missing: dict[RecordKey, SkipReason | bool] = field(factory=dict, init=False)
    _keys: LinkedKeys = field(init=False)

    def __attrs_post_init__(self) -> None:
        resources = {table: self.start.plan(table).target for table in tables_by_pkey(self.plan)}
        self._keys = LinkedKeys(campaign=self.campaign, resources=resources)

    def at(self, change: Change, entry: bytes | None) -> PreviewedRecord:
        decision = decide(change, self.plan, entry, first=self.first)
        if isinstance(decision, RefuseDecision):
            return _refused(change.key, decision.error)
        if isinstance(decision, SkipDecision):
            kind, reason = _SKIPS[decision.reason]
            return PreviewedRecord(key=change.key, kind=kind, reason=reason)
        waits = ""
        for parent in decision.parents:
            missing = self._why_missing(parent)
            if isinstance(missing, SkipReason):
                return _orphan(change.key, parent, missing)
            waits = waits or (f"waits for {parent.key}" if missing else "")
        shown = self._written(change, self._with_links(decision))
        return evolve(shown, reason=waits) if waits and shown.kind is not PreviewKind.REFUSED else shown

    def _why_missing(self, parent: LinkedTo) -> SkipReason | bool:
        """False when it is in Campaign, True when it is on its way there, else why it never will be."""
        key = parent.key
        if key not in self._missing:
            self._missing[key] = False if self.start.ledger(key.table, [key.id]).get(key.id) else self._ask(parent)
        return self._missing[key]

    def _ask(self, parent: LinkedTo) -> SkipReason | bool:
        key, plan = parent.key, self.start.plan(parent.key.table)
        self.look_ups += 1
        try:
            if self.campaign.find(plan.target, parent.rule.key_field, key.id) is not None:
                return False
        except SkipRecordError:
            pass  # several have the key: none of them is the one
        found = self.start.dynamics.fetch(key.table, plan.columns, [key.id]).get(key.id)
        decision = decide(found or Change(key=key, values=None), plan, None, first=False)
        return decision.reason if isinstance(decision, SkipDecision) else True

    def _with_links(self, decision: WriteDecision) -> WriteDecision:
        """What the link fields are given, as far as the records they lead to are there."""
        found, calls = self._keys.of(decision.parents)
        self.look_ups += calls
        links = {name: value for name, value in found.items() if value is not None}
        write = decision.write
        create, update = {**write.create_values, **links}, {**write.update_values, **links}
        return evolve(decision, write=evolve(write, create_values=create, update_values=update))

    def _written(self, change: Change, decision: WriteDecision) -> PreviewedRecord:
        self.look_ups += 1
        try:
            found = self.campaign.find(self.plan.target, decision.write.key_field, change.key.id)
        except SkipRecordError as error:
            return _refused(change.key, error)
        if decision.write.delete:
            return _deleted(change, found)
        return self._filled(decision.write, found)

    def _filled(self, write: Write, found: TargetRecord | None) -> PreviewedRecord:
        if found is None:
            created = tuple(_field_changes({}, write.create_values))
            return PreviewedRecord(key=write.key, kind=PreviewKind.CREATE, fields=created)
        different = self.campaign.differences(self.plan.target, found.values, write.update_values)
        if not different:
            reason = "Campaign holds these values already"
            return PreviewedRecord(key=write.key, kind=PreviewKind.IDENTICAL, reason=reason)
        fields = tuple(_field_changes(found.values, different))
        return PreviewedRecord(key=write.key, kind=PreviewKind.UPDATE, fields=fields)


def _refused(key: RecordKey, error: SkipRecordError) -> PreviewedRecord:
    return PreviewedRecord(key=key, kind=PreviewKind.REFUSED, reason=str(error), field=error.field)


def _orphan(key: RecordKey, parent: LinkedTo, why: SkipReason) -> PreviewedRecord:
    told = "does not pass its filters" if why is SkipReason.FILTERED_OUT else "is not in Dynamics"
    source = parent.rule.link.source
    reason = f"{source} points to {parent.key}, which {told}"
    return PreviewedRecord(key=key, kind=PreviewKind.REFUSED, reason=reason, field=source)


def _deleted(change: Change, found: TargetRecord | None) -> PreviewedRecord:
    why = "not in Dynamics" if change.deleted else "does not pass the filters"
    if found is None:
        return PreviewedRecord(key=change.key, kind=PreviewKind.LEFT_ALONE, reason=f"{why}, and not in Campaign")
    return PreviewedRecord(key=change.key, kind=PreviewKind.DELETE, reason=why)


def _field_changes(before: Values, after: Values) -> Iterator[FieldChange]:
    for name, value in sorted(after.items()):
        yield FieldChange(name=name, before=before.get(name), after=value)
