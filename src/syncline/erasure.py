"""Forgetting a person, and what is kept so that an opt-out outlives that.

What lives here: the frozen values. What is removed, and how, is the contract of `Storage.forget`. No I/O.
"""

from __future__ import annotations

from attrs import frozen

__all__ = ["Erased", "Trail"]


@frozen(kw_only=True)
class Erased:
    """What `Storage.forget` removed, in numbers, and what the storage keeps as a keyed hash."""

    #: Changes of the person's records that were queued, those in flight included.
    queued: int = 0
    #: Of these: a write was under way at that moment. It may still arrive at the target, so the person has to be
    #: deleted there once more.
    in_flight: int = 0
    #: Dead letters about the person, whatever had become of them.
    dead_letters: int = 0
    #: Records of the person that the target was known to have. Syncline does not delete them there any more.
    known: int = 0
    #: Decisions about the person's opt-outs.
    decisions: int = 0
    #: Rows of other records that named the person: they lost what was read of them, and are read again.
    mentions: int = 0
    #: The channels in which the person stays opted out, under whatever record the same id comes back.
    opted_out: frozenset[str] = frozenset()

    def __str__(self) -> str:
        told = (
            f"{self.queued} queued changes ({self.in_flight} in flight), {self.dead_letters} dead letters, "
            f"{self.known} ledger entries and {self.decisions} decisions removed, {self.mentions} mentions blanked"
        )
        return f"{told}; opted out of {', '.join(sorted(self.opted_out)) or 'nothing'}"


@frozen(kw_only=True)
class Trail:
    """What a room removed about a person."""

    #: Rows that are gone.
    removed: int = 0
    #: Channels in which the person was opted out, as far as this room knew.
    opted_out: frozenset[str] = frozenset()
