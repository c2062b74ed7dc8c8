"""In which order both systems are asked and told about one person.

What lives here: the calls of one round and what follows each of them. Pure: the engine makes the calls, and the model
check makes them in a model of both systems with everything else happening in between.

A round writes what the last one decided and then reads both sides anew; a person is done with when a round reads what
leaves nothing to write. The order carries weight:

- Dynamics is written only over the version the decision was made from (If-Match).
- Campaign, which has no such condition, is read once more right before it is written. What nothing can close is the
  moment between that reading and the write; only an opt-in written to Campaign can do harm there.
- Campaign is read before Dynamics: when both are seen opted out, Dynamics was so after Campaign's last change.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from syncline.consent.values import Sighting

__all__ = ["Call", "Writes", "calls_of", "still_as_seen"]


class Call(StrEnum):
    """One request, or the few that make up one step."""

    WRITE_DYNAMICS = "write dynamics"
    COMPARE_CAMPAIGN = "compare campaign"
    WRITE_CAMPAIGN = "write campaign"
    READ_CAMPAIGN = "read campaign"
    READ_DYNAMICS = "read dynamics"


@frozen(kw_only=True)
class Writes:
    """What is to be written for one person, by field, and what it was decided from."""

    dynamics: Mapping[str, bool] = field(factory=dict, hash=False)
    #: The version of the contact that `dynamics` is written over.
    over: str = ""
    campaign: Mapping[str, bool] = field(factory=dict, hash=False)
    #: Campaign's fields as the decision saw them.
    seen: Mapping[str, Sighting] = field(factory=dict, hash=False)

    def __bool__(self) -> bool:
        return bool(self.dynamics or self.campaign)


def calls_of(writes: Writes | None) -> tuple[Call, ...]:
    """The calls of a round, in their order. A write whose condition fails, and what follows it, is left out."""
    told: tuple[Call, ...] = ()
    if writes is not None and writes.dynamics:
        told += (Call.WRITE_DYNAMICS,)
    if writes is not None and writes.campaign:
        told += (Call.COMPARE_CAMPAIGN, Call.WRITE_CAMPAIGN)
    return (*told, Call.READ_CAMPAIGN, Call.READ_DYNAMICS)


def still_as_seen(writes: Writes, now: Mapping[str, Sighting]) -> bool:
    """Whether Campaign still shows what the decision was made from, in the fields that are written."""
    return all(_unchanged(writes.seen.get(name, _NOWHERE), now.get(name, _NOWHERE)) for name in writes.campaign)


def _unchanged(seen: Sighting, now: Sighting) -> bool:
    same = (seen.out, seen.changed_at, seen.born) == (now.out, now.changed_at, now.born)
    return same and now.exists


_NOWHERE = Sighting(exists=False)
