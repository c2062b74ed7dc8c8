"""A dry run of opt-outs: who would be opted out or in where, without writing anything anywhere.

What lives here: from a look at both systems to a line of a `Preview`. The rule is the very one that a cycle uses, over
what is remembered; nothing is noted of the look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import cast

from attrs import evolve

from syncline.records import Change, RecordKey
from syncline.views.preview import FieldChange, Preview, PreviewedRecord, PreviewKind
from syncline.workflows import reading
from syncline.workflows.consent_lane import ConsentLane, Judged
from syncline.workflows.consent_round import CONTACT, PROFILE, Met

__all__ = ["preview_contacts", "preview_person"]


def preview_person(lane: ConsentLane, person: str) -> Preview:
    """What would become of one contact's opt-outs."""
    return _preview(lane, [person], complete=True)


def preview_contacts(lane: ConsentLane, limit: int, margin: timedelta) -> Preview:
    """The same for the first `limit` contacts of a full read. Raises ValueError when the limit is below 1."""
    if limit < 1:
        raise ValueError(f"limit must be 1 or more, not {limit}")
    changes: dict[str, Change] = {}
    dynamics = lane.parties.dynamics
    position = reading.begin(now=lane.parties.time_of(dynamics), seq=0, first=True, resync=False)
    more = True
    while more and len(changes) < limit:
        page = dynamics.read(reading.request_for(CONTACT, lane.parties.columns, position, margin))
        changes.update((change.key.id, change) for change in page.changes if change.values is not None)
        position = evolve(position, link=page.next_link)
        more = page.next_link is not None
    return _preview(lane, list(changes)[:limit], complete=not more and len(changes) <= limit)


def _preview(lane: ConsentLane, people: Iterable[str], *, complete: bool) -> Preview:
    met: dict[str, Met] = {}
    look_ups = 0
    for person in people:
        look = lane.parties.round(person, None, 1, False, _nothing)
        met[person], look_ups = cast("Met", look.answer), look_ups + look.calls
    considered = lane.consider(met)
    records = tuple(_record(person, met[person], considered[person]) for person in met)
    return Preview(table=CONTACT, resource=PROFILE, records=records, complete=complete, look_ups=look_ups)


def _nothing() -> None:
    """Nothing is written, so nobody has to be in charge."""


def _record(person: str, met: Met, judged: Sequence[Judged]) -> PreviewedRecord:
    key = RecordKey(table=CONTACT, id=person)
    if met.master is not None:
        merged = f"was merged into contact {met.master}, which takes over its opt-outs"
        return PreviewedRecord(key=key, kind=PreviewKind.LEFT_ALONE, reason=merged)
    fields: list[FieldChange] = []
    reasons: dict[str, None] = {}
    waits = ""
    for one in judged:
        case, verdict = one.case, one.verdict
        told = (
            (f"Dynamics {one.pair.dynamics}", case.dynamics.out, verdict.to_dynamics),
            (f"Campaign {one.pair.campaign}", case.campaign.out, verdict.to_campaign),
        )
        changes = [FieldChange(name=name, before=was, after=now) for name, was, now in told if now is not None]
        fields += changes
        if changes:
            reasons[verdict.reason.value] = None
        elif verdict.held:
            waits = verdict.reason.value
        elif verdict.out and case.dynamics.exists and not case.campaign.exists:
            waits = waits or "opted out, and waits for a profile that ingress brings"
    if fields:
        return PreviewedRecord(key=key, kind=PreviewKind.UPDATE, fields=tuple(fields), reason="; ".join(reasons))
    if waits or not any(one.case.dynamics.exists for one in judged):
        return PreviewedRecord(key=key, kind=PreviewKind.LEFT_ALONE, reason=waits or "not in Dynamics")
    return PreviewedRecord(key=key, kind=PreviewKind.IDENTICAL, reason="nothing to tell either side")
