"""What is seen, remembered and decided about one person and one channel.

What lives here: frozen values. True is opted out throughout; None is "no word", which never means opted in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import evolve, field, frozen

from syncline.definitions import OptOutPair, OptOutRule

__all__ = ["Case", "ConsentNote", "ConsentTrouble", "Decision", "Reason", "Side", "Sighting", "Standing", "Verdict"]


class Side(StrEnum):
    """One of the two systems."""

    DYNAMICS = "dynamics"
    CAMPAIGN = "campaign"


@frozen(kw_only=True)
class Sighting:
    """One side's word on one channel at one moment."""

    #: True: opted out. None: null, missing, or the record is not there.
    out: bool | None = None
    #: Dynamics: when the record was changed last. Campaign: when this attribute was; None where it has no time.
    changed_at: datetime | None = None
    #: The change happened within this span after `changed_at`: a time in whole seconds leaves a second.
    precision: timedelta = timedelta(0)
    #: When it was read, by that side's clock as far as known.
    seen_at: datetime | None = None
    #: Dynamics' version mark. Only equality means anything.
    mark: str = ""
    #: The version mark that our own write replaced, when `mark` is what that write left behind.
    replaced: str = ""
    #: When the record was created, in its system's own words: another one means another record under the same key.
    born: str = ""
    exists: bool = True

    @property
    def latest(self) -> datetime | None:
        """The latest moment at which the change may have happened."""
        return None if self.changed_at is None else self.changed_at + self.precision

    @property
    def ripe(self) -> bool:
        """Whether a change after this sighting must carry another time."""
        return self.latest is not None and self.seen_at is not None and self.seen_at > self.latest


@frozen(kw_only=True)
class Standing:
    """What is remembered about one person and channel."""

    #: What was decided last; None when nothing was.
    out: bool | None = None
    #: Dynamics was seen opted out, and never seen otherwise since.
    dynamics_out: bool = False
    #: The latest moment at which that may have been.
    dynamics_at: datetime | None = None
    #: As of the last sighting of both sides saying the same, Dynamics after Campaign; empty when there was none since.
    dynamics_mark: str = ""
    campaign_at: datetime | None = None
    #: They agreed at that sighting, and a change in Campaign after it carries another time.
    agreed: bool = False
    ripe: bool = False
    #: Dynamics' opt-out is our copy of Campaign's, and nobody else touched the record since.
    copied: bool = False
    #: Campaign's opt-in is our copy of Dynamics': its time is that of our write and proves nothing. `lent_at` is that
    #: time, once it was read.
    lent: bool = False
    lent_at: datetime | None = None
    dynamics_born: str = ""
    campaign_born: str = ""
    #: Sides that were read opted out and not decided on yet, with Campaign's time.
    owed: frozenset[Side] = frozenset()
    owed_at: datetime | None = None
    #: The person waits for a profile in Campaign.
    waiting: bool = False
    #: Although the ledger has one: it went, and nobody knows when it comes back.
    missed: bool = False
    #: Opted out by something else than these two records, and not carried out yet: by a contact that was merged into
    #: this one, or by a suppression after an erasure.
    inherited: bool = False
    #: The contact that this opt-out was carried over to when the two were merged.
    carried_to: str = ""
    #: What was decided and recorded last, in short, so that trying again records nothing twice.
    recorded: str = ""
    #: The column of Dynamics that all this is about; empty where nothing of Dynamics is remembered.
    column: str = ""

    @property
    def opted_out(self) -> bool:
        """Whether an opt-out is known, be it decided on or only read so far."""
        return bool(self.out or self.owed or self.inherited)

    def on(self, column: str) -> Standing:
        """What of this counts for a column of Dynamics: what another one said is no word, and no opt-in follows it.

        An opt-out that was still on its way is carried out all the same.
        """
        if self.column in ("", column):
            return self if self.column else evolve(self, column=column)
        return evolve(
            self,
            column=column,
            dynamics_out=False,
            dynamics_at=None,
            dynamics_mark="",
            agreed=False,
            ripe=False,
            copied=False,
            owed=self.owed - {Side.DYNAMICS},
            inherited=self.inherited or self.waiting or Side.DYNAMICS in self.owed,
        )


@frozen(kw_only=True)
class Case:
    """Everything a decision on one channel rests on."""

    dynamics: Sighting
    campaign: Sighting
    standing: Standing = field(factory=Standing)
    #: Campaign's clock minus Dynamics', as measured; None when it was not.
    apart: timedelta | None = None


class Reason(StrEnum):
    """Why a decision is what it is."""

    #: Both sides say so.
    AGREED = "both sides say so"
    #: One side is opted out, and no opt-in is known to be newer.
    OUT_WINS = "one side is opted out and no opt-in is known to be newer"
    #: Campaign's opt-in is newer than Dynamics' record by more than the margin.
    CAMPAIGN_NEWER = "the opt-in in Campaign is newer by more than the margin"
    #: Campaign opted in again after the opt-out that Dynamics has from it.
    CAMPAIGN_AGAIN = "Campaign took back the opt-out that Dynamics has from it"
    #: The opt-out was seen on both sides, and Dynamics opted in after that.
    DYNAMICS_AGAIN = "Dynamics took back an opt-out that both sides had"
    #: An opt-in that only a comparison of clocks can prove, and the clocks are too far apart.
    HELD = "an opt-in is held: the clocks are further apart than the margin"
    #: The record is there again and its opt-out with it.
    RESTORED = "the record was created again and gets its opt-out back"
    #: Another contact that was merged into this one, or a suppression, is opted out.
    CARRIED_OVER = "opted out by a merged contact or a suppression"
    #: Neither side says anything that could be carried over.
    NO_WORD = "no side is known to be opted out"


@frozen(kw_only=True)
class Verdict:
    """Who wins, and what has to be written for it."""

    #: None: nothing is known, or the decision is held.
    out: bool | None
    reason: Reason
    #: The value to write; None: nothing.
    to_dynamics: bool | None = None
    to_campaign: bool | None = None
    #: An opt-in that waits; look again later.
    held: bool = False


@frozen(kw_only=True)
class Decision:
    """One line of the decision record: what was known, what was decided, by which rule. Never changed afterwards."""

    #: Grows with every decision of a storage; 0 until it is stored.
    id: int = 0
    at: datetime
    #: The Dynamics contact.
    person: str
    pair: OptOutPair
    dynamics: Sighting
    campaign: Sighting
    rule: OptOutRule
    reason: Reason
    #: The winner: True is opted out. None while it is held.
    out: bool | None
    #: The sides that are written because of it.
    writes: tuple[Side, ...] = ()
    margin: timedelta
    #: Campaign's clock minus Dynamics', as measured.
    apart: timedelta | None = None
    #: The workflow that decided.
    workflow: str
    generation: int
    #: Hash of this decision and of all before it, in hex; empty until it is stored.
    seal: str = field(default="", eq=False, repr=False)

    def __str__(self) -> str:
        what = {True: "opted out", False: "opted in", None: "held"}[self.out]
        when = self.at.isoformat(timespec="seconds")
        wrote = f"; written to {' and '.join(side.value.capitalize() for side in self.writes)}" if self.writes else ""
        return f"{when} {self.pair.campaign}: {what}, because {self.reason.value}{wrote}"


@frozen(kw_only=True)
class ConsentTrouble:
    """An opt-out that is not where it belongs, or an opt-in that is held: told until it is over."""

    person: str
    #: Since when.
    since: datetime
    attempts: int
    #: True: an opt-in waits for the clocks; nobody's opt-out is at stake.
    held: bool = False
    #: What is in the way. Names no values.
    message: str

    def __str__(self) -> str:
        what = "the opt-in" if self.held else "the opt-out"
        since = self.since.isoformat(timespec="seconds")
        return f"{what} of contact {self.person} waits since {since}, {self.attempts} attempts: {self.message}"


@frozen(kw_only=True)
class ConsentNote:
    """What is stored together, in one transaction."""

    decisions: Sequence[Decision] = ()
    #: By person and Campaign field. They take the place of what was remembered.
    standings: Mapping[tuple[str, str], Standing] = field(factory=dict)
    troubles: Sequence[ConsentTrouble] = ()
    #: People whose trouble is over.
    done: Sequence[str] = ()
