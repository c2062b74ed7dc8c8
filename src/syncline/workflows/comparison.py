"""Whether Campaign holds of a record what the rules say, whatever the ledger remembers.

What lives here: the comparison of one record, for reconciliations and for the rolling sweep. The rules are the very
function a cycle uses. Nothing is written anywhere, and consent fields are never plain fields, so none is compared.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, frozen

from syncline.connectors.base import CampaignConnector
from syncline.errors import SkipRecordError
from syncline.mapping import RefuseDecision, SkipDecision, TablePlan, WriteDecision, decide
from syncline.records import Change, RecordKey, TargetRecord, Values
from syncline.schemas import TableSchema
from syncline.views.reconciliation import ReconciledRecord, ReconcileKind
from syncline.workflows.linked_keys import LinkedKeys

__all__ = ["Compared", "Comparison"]

#: To `decide`: the target has the record, and nobody knows with which values.
_CONTENT_UNKNOWN = b""


@frozen(kw_only=True)
class Compared:
    """How one record compares."""

    record: ReconciledRecord
    #: IDENTICAL: what the ledger would remember had Syncline written it.
    fingerprint: bytes = field(default=b"", repr=False)
    #: Engine calls that it took to find out.
    calls: int = 0

    @property
    def kind(self) -> ReconcileKind:
        return self.record.kind


@define(kw_only=True, eq=False)
class Comparison:
    """Compares records of one table. `look` may be called from several threads."""

    plan: TablePlan
    campaign: CampaignConnector
    #: The resources that links by PKey lead to, by table.
    linked: Mapping[str, TableSchema]
    _keys: LinkedKeys = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._keys = LinkedKeys(campaign=self.campaign, resources=self.linked)

    def wanted(self, change: Change, *, known: bool) -> WriteDecision | Compared:
        """What should be in Campaign, or how the record compares without a look."""
        decision = decide(change, self.plan, _CONTENT_UNKNOWN if known else None, first=False)
        if isinstance(decision, RefuseDecision):
            return _compared(change.key, ReconcileKind.REFUSED, reason=str(decision.error))
        if isinstance(decision, SkipDecision):
            return _compared(change.key, ReconcileKind.LEFT_ALONE, reason=decision.reason.value)
        return decision

    def look(self, change: Change, decision: WriteDecision) -> Compared:
        """Look the record up and compare. Raises what `CampaignConnector.find` raises.

        That is one engine call, and one for each record that it points to by PKey and that was not looked up before.
        Constants and fields that only a first load writes are not compared: they belong to Campaign once they are
        written. Nor is a link by PKey to a record that Campaign does not have, since nothing could be written there.
        """
        key = change.key
        calls = 1
        try:
            found = self.campaign.find(self.plan.target, decision.write.key_field, key.id)
            if decision.write.delete:
                return _compared(key, ReconcileKind.LEFT_ALONE if found is None else ReconcileKind.EXTRA, calls=calls)
            if found is None:
                return _compared(key, ReconcileKind.MISSING, calls=calls)
            links, asked = self._keys.of(decision.parents)
            calls += asked
        except SkipRecordError as error:
            return _compared(key, ReconcileKind.REFUSED, reason=str(error), calls=calls)
        different = self._different(found, decision.write.update_values, links)
        if different:
            return _compared(key, ReconcileKind.DIFFERENT, fields=different, calls=calls)
        return Compared(
            record=ReconciledRecord(key=key, kind=ReconcileKind.IDENTICAL),
            fingerprint=self._fingerprint(change, decision, found, links),
            calls=calls,
        )

    def _different(self, found: TargetRecord, wanted: Values, links: Values) -> tuple[str, ...]:
        """`links` is what link fields are given that hold a PKey; None there says that it cannot be told."""
        given = {**wanted, **links}
        compared = {name: value for name, value in given.items() if name not in links or value is not None}
        return tuple(sorted(self.campaign.differences(self.plan.target, found.values, compared)))

    def _fingerprint(self, change: Change, decision: WriteDecision, found: TargetRecord, links: Values) -> bytes:
        """Of every field, where those of a first load match too; else of those that every change writes."""
        whole = decide(change, self.plan, None, first=True)
        if isinstance(whole, WriteDecision) and not self._different(found, whole.write.update_values, links):
            return whole.fingerprint
        known = decide(change, self.plan, _CONTENT_UNKNOWN, first=False)
        return known.fingerprint if isinstance(known, WriteDecision) else decision.fingerprint


def _compared(
    key: RecordKey, kind: ReconcileKind, *, fields: tuple[str, ...] = (), reason: str = "", calls: int = 0
) -> Compared:
    return Compared(record=ReconciledRecord(key=key, kind=kind, fields=fields, reason=reason), calls=calls)
