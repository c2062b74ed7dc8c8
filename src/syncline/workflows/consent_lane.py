"""Opt-outs within a cycle: what a page owes, what becomes of a person, and what is remembered of it.

What lives here: `ConsentLane`, used by every workflow that carries opt-outs. It runs on the coordinator and owns the
order in which things are stored: evidence before the page it came with, a decision before the write it leads to, what
is remembered before the row is done. Who wins is for `syncline.consent`, requests are for `consent_round`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from attrs import define, evolve, field, frozen

from syncline.backlog import Entry, Grant, Item, Lane, Settlement, Settling
from syncline.consent import (
    Case,
    ConsentNote,
    ConsentTrouble,
    Decision,
    Side,
    Sighting,
    Standing,
    Terms,
    Verdict,
    Writes,
    consider,
    standing_after,
    standing_before,
)
from syncline.definitions import OptOutPair
from syncline.instrumentation import Instrumentation, OptOutDelayed
from syncline.records import Change, RecordKey
from syncline.scopes import scope_of
from syncline.store import Storage
from syncline.workflows.consent_round import MASTER, Met, Parties, dynamics_sightings
from syncline.workflows.settings import EngineSettings
from syncline.workflows.verdicts import described, retry_delay
from syncline.workflows.work import Plan
from syncline.workflows.writers import Answer, Job

__all__ = ["ConsentLane", "Judged"]

#: Rounds with one person in a row; somebody who changes their mind faster than that is come back to.
_MOST_ROUNDS: Final = 6


@frozen(kw_only=True)
class Judged:
    """One channel of one person, considered."""

    pair: OptOutPair
    case: Case
    #: What was stored about it.
    known: Standing | None
    verdict: Verdict


@define
class _Found:
    """What rounds with some people came to."""

    decisions: list[Decision] = field(factory=list)
    standings: dict[tuple[str, str], Standing] = field(factory=dict)
    troubles: list[ConsentTrouble] = field(factory=list)
    done: list[str] = field(factory=list)
    jobs: list[Job] = field(factory=list)
    settlements: list[Settlement] = field(factory=list)
    #: Contacts that were merged, the ones they were merged into, and what was made of their opt-outs.
    merged: list[tuple[str, str, Sequence[Judged]]] = field(factory=list)
    #: Contacts whose profiles are missing.
    missing: list[RecordKey] = field(factory=list)

    @property
    def note(self) -> ConsentNote:
        return ConsentNote(decisions=self.decisions, standings=self.standings, troubles=self.troubles, done=self.done)

    def __bool__(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.decisions or self.standings or self.troubles or self.done)


@frozen(kw_only=True)
class ConsentLane:
    """The consent half of a generation. Only the coordinator calls methods."""

    workflow: str
    #: The name that the queued rows of this lane have in place of a table's.
    table: str
    #: The workflow whose ledger knows which profiles there are, and that brings them.
    ingress: str
    terms: Terms
    parties: Parties
    storage: Storage
    settings: EngineSettings
    tell: Instrumentation = field(repr=False)

    @property
    def scope(self) -> str:
        return scope_of(self.workflow)

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(pair.campaign for pair in self.parties.pairs)

    # -- reading ---------------------------------------------------------------------------------------------------

    def heard(self, grant: Grant, changes: Iterable[Change]) -> list[str]:
        """Note what a page of contacts shows, before the page is stored, and return the people worth a round."""
        now = self.parties.time_of(self.parties.dynamics)
        seen: dict[str, dict[str, Sighting] | None] = {}
        always: set[str] = set()
        for change in changes:
            person, values = change.key.id, change.values
            if values is None:
                # A page that shows a record and its deletion does not say which came last: a round asks.
                always |= {person} & seen.keys()
                seen.setdefault(person, None)
                continue
            # What was read under older rules, without a column, says nothing about it.
            unread = any(pair.dynamics not in values for pair in self.parties.pairs)
            always |= {person} if unread or values.get(MASTER) or seen.get(person, ...) is None else set()
            seen[person] = dynamics_sightings(self.parties.pairs, change, now)
        due = self.owe(grant, Side.DYNAMICS, seen)
        return list(dict.fromkeys([*due, *sorted(always)]))

    def owe(self, grant: Grant, side: Side, people: Mapping[str, Mapping[str, Sighting] | None]) -> list[str]:
        """Note what a page shows, before the page is stored, and return the people worth a round.

        `people` maps a person to what that side says by channel, or to None where the record is gone. What was seen
        opted out is owed from here on, whatever becomes of the record before a round comes to it.
        """
        standings = self.storage.standings(self.scope, list(people))
        notes: dict[tuple[str, str], Standing] = {}
        due: list[str] = []
        columns = {pair.campaign: pair.dynamics for pair in self.parties.pairs}
        # Of whom nothing is remembered, an erasure may have kept that they are opted out.
        suppressed = self.storage.suppressed(
            self.scope, [person for person in people if any((person, one) not in standings for one in columns)]
        )
        for person, seen in people.items():
            known = {
                pair.campaign: None
                if (found := standings.get((person, pair.campaign))) is None
                else found.on(pair.dynamics)
                for pair in self.parties.pairs
            }
            if seen is None:
                worth = any(standing is not None for standing in known.values())
            else:
                notes |= {
                    (person, channel): owed.on(columns[channel])
                    for channel, sighting in seen.items()
                    if (owed := _owed(side, sighting, known[channel])) is not None
                }
                stays_out = suppressed.get(person, frozenset())
                worth = any(
                    _is_news(side, sighting, known[channel]) or (known[channel] is None and channel in stays_out)
                    for channel, sighting in seen.items()
                )
            if worth:
                due.append(person)
        if notes:
            self.storage.note_consent(grant, ConsentNote(standings=notes))
        return due

    def entries(self, people: Iterable[str], seq: int) -> list[Entry]:
        """What to queue for these people. It carries nothing: a round asks both systems."""
        return [
            Entry(key=RecordKey(table=self.table, id=person), seq=seq, payload=None, lane=Lane.CONSENT, refresh=True)
            for person in people
        ]

    def arrived(self, limit: int) -> Sequence[str]:
        """People who waited for a profile and may have one now."""
        patience = timedelta(hours=6)
        return self.storage.arrived(self.scope, self.ingress, "contact", patience=patience, limit=limit)

    # -- writing ---------------------------------------------------------------------------------------------------

    def jobs(self, items: Iterable[Item]) -> list[Job]:
        """A first round with each of them, which reads only. Not even a suspect is set aside."""
        rows = list(items)
        known = self._profiles([item.key.id for item in rows])
        return [self._job(item, None, 1, item.key.id in known) for item in rows]

    def _job(self, item: Item, writes: Writes | None, rounds: int, known: bool) -> Job:
        return Job.single(item=item, send=partial(self.parties.round, item.key.id, writes, rounds, known))

    def _profiles(self, people: Sequence[str]) -> Collection[str]:
        """Those of these people whom the ledger knows to have a profile."""
        try:
            return self.storage.ledger(self.ingress, "contact", people).keys()
        except KeyError:  # nobody used that workflow yet
            return ()

    def midway(self, grant: Grant, met: Sequence[tuple[Item, Met]]) -> Plan:
        """Decide on people from what a round with each of them learnt: another round, or done.

        What is to be remembered of all of them is stored in one transaction, before anything that follows from it.
        """
        found = _Found()
        considered = self.consider({item.key.id: learnt for item, learnt in met})
        for item, learnt in met:
            self._conclude(grant, item, learnt, considered[item.key.id], found)
        if found:
            self.storage.note_consent(grant, found.note)
        for person, master, judged in found.merged:
            self._carry_over(grant, person, master, judged)
        if found.missing:
            self.storage.pull_forward(self.ingress, found.missing)
        return Plan(jobs=found.jobs, settlements=found.settlements)

    def consider(self, met: Mapping[str, Met]) -> dict[str, Sequence[Judged]]:
        """What the rule makes of people, from what a round with each learnt and what is remembered of them."""
        standings = self.storage.standings(self.scope, list(met))
        forgotten = [person for person in met if any((person, one) not in standings for one in self.channels)]
        suppressed = self.storage.suppressed(self.scope, forgotten)
        return {
            person: [
                self._judge(
                    pair,
                    learnt,
                    standings.get((person, pair.campaign)),
                    pair.campaign in suppressed.get(person, frozenset()),
                )
                for pair in self.parties.pairs
            ]
            for person, learnt in met.items()
        }

    def _conclude(self, grant: Grant, item: Item, met: Met, judged: Sequence[Judged], found: _Found) -> None:
        person, merged = item.key.id, met.master is not None
        writes = _writes(judged, merged=merged)
        if writes and met.rounds < _MOST_ROUNDS:
            self._note(grant, met, person, judged, found, writes=True)
            found.jobs.append(self._job(item, writes, met.rounds + 1, met.known))
            return
        if writes:
            self._later(item, "it changes faster than it can be followed", found, held=False)
            return
        self._note(grant, met, person, judged, found, writes=False)
        if met.master is not None:
            found.merged.append((person, met.master, judged))
        if any(one.verdict.held for one in judged):
            apart = "" if met.apart is None else f" ({met.apart.total_seconds():+.0f} s)"
            self._later(item, f"the clocks of both systems are too far apart{apart}", found, held=True)
            return
        if _waits_for_profile(judged):
            found.missing.append(RecordKey(table="contact", id=person))
        settling = Settling.WRITTEN if met.rounds > 1 else Settling.SKIPPED
        found.settlements.append(Settlement(item=item, settling=settling))

    def _judge(self, pair: OptOutPair, met: Met, known: Standing | None, stays_out: bool) -> Judged:
        # A suppression counts for somebody of whom nothing is known; what they do from then on is their own word.
        standing = (known or Standing(inherited=stays_out)).on(pair.dynamics)
        case = Case(
            dynamics=met.dynamics[pair.campaign],
            campaign=met.campaign[pair.campaign],
            standing=standing,
            apart=met.apart,
        )
        return Judged(pair=pair, case=case, known=known, verdict=consider(self.terms, case))

    def _note(
        self,
        grant: Grant,
        met: Met,
        person: str,
        judged: Sequence[Judged],
        found: _Found,
        *,
        writes: bool,
    ) -> None:
        """The decisions that are news, and what is to be remembered."""
        for one in judged:
            step = standing_before if writes else standing_after
            standing, recorded = step(one.case, one.verdict), _recorded(one)
            if recorded and recorded != one.case.standing.recorded:
                found.decisions.append(self._decision(grant, person, one))
                standing = evolve(standing, recorded=recorded)
            if met.master is not None:
                standing = evolve(standing, waiting=False)
            standing = evolve(standing, missed=standing.waiting and met.known)
            # Who waits is noted each time, with when.
            if standing.waiting or standing != (one.known or Standing(column=one.pair.dynamics)):
                found.standings[person, one.pair.campaign] = standing
        if not writes and not any(one.verdict.held for one in judged):
            found.done.append(person)

    def _decision(self, grant: Grant, person: str, one: Judged) -> Decision:
        told = ((Side.DYNAMICS, one.verdict.to_dynamics), (Side.CAMPAIGN, one.verdict.to_campaign))
        return Decision(
            at=self.storage.now(),
            person=person,
            pair=one.pair,
            dynamics=one.case.dynamics,
            campaign=one.case.campaign,
            rule=self.terms.rule,
            reason=one.verdict.reason,
            out=one.verdict.out,
            writes=tuple(side for side, value in told if value is not None),
            margin=self.terms.margin,
            apart=one.case.apart,
            workflow=self.workflow,
            generation=grant.generation,
        )

    def _carry_over(self, grant: Grant, person: str, master: str, judged: Sequence[Judged]) -> None:
        """A contact that was merged hands its opt-outs to the survivor, once each."""
        if master == person:
            return
        out = [one for one in judged if one.verdict.out]
        standings = dict(self.storage.standings(self.scope, [master, person]))
        heirs: dict[tuple[str, str], Standing] = {}
        for one in out:
            channel = one.pair.campaign
            mine = standings.get((person, channel), Standing())
            if mine.carried_to != master:
                theirs = standings.get((master, channel), Standing())
                heirs[master, channel] = evolve(theirs, inherited=True)
                heirs[person, channel] = evolve(mine, carried_to=master)
        owing = any(standing.inherited for (who, _), standing in (standings | heirs).items() if who == master)
        if owing:
            # The row first: a survivor who is queued for nothing costs a round, one who is not costs the opt-out.
            self.storage.put(grant, self.entries([master], self.storage.next_read(grant)))
        if heirs:
            self.storage.note_consent(grant, ConsentNote(standings=heirs))

    # -- trouble ---------------------------------------------------------------------------------------------------

    def _later(self, item: Item, why: str, found: _Found, *, held: bool) -> None:
        found.troubles.append(self._trouble(item, why, held=held))
        found.settlements.append(self._retry(item))

    def settled(self, grant: Grant, item: Item, answer: Answer, usual: Settlement) -> Settlement:
        """An opt-out is tried without end, and told every time: nothing of this lane becomes a dead letter."""
        if not isinstance(answer, BaseException) or usual.settling is Settling.RELEASED:
            return usual
        trouble = self._trouble(item, described(answer), held=False)
        self.storage.note_consent(grant, ConsentNote(troubles=[trouble]))
        return self._retry(item) if usual.settling is Settling.DEAD else usual

    def _retry(self, item: Item) -> Settlement:
        retry_at = self.storage.now() + retry_delay(item.attempts, self.settings)
        return Settlement(item=item, settling=Settling.RETRY, retry_at=retry_at)

    def _trouble(self, item: Item, why: str, *, held: bool) -> ConsentTrouble:
        if not held:
            self.tell(OptOutDelayed(workflow=self.workflow, key=item.key, attempts=item.attempts, reason=why))
        since = self.storage.now()
        return ConsentTrouble(person=item.key.id, since=since, attempts=item.attempts, held=held, message=why)


def _owed(side: Side, sighting: Sighting, known: Standing | None) -> Standing | None:
    """The standing with what this sighting owes; None when it owes nothing new."""
    standing = known or Standing()
    if not sighting.out or not _is_news(side, sighting, known):
        return None
    if side is Side.DYNAMICS:
        born = sighting.born or standing.dynamics_born
        if born != standing.dynamics_born:  # another contact under the same id: what was seen of the first is no change
            standing = evolve(standing, dynamics_born=born, dynamics_out=False, agreed=False)
        owed = evolve(standing, owed=standing.owed | {side})
    else:
        known_at = [moment for moment in (standing.owed_at, sighting.changed_at) if moment is not None]
        owed = evolve(standing, owed=standing.owed | {side}, owed_at=max(known_at, default=None))
    return None if owed == known else owed


def _is_news(side: Side, sighting: Sighting, known: Standing | None) -> bool:
    """Whether a round could come to something: opted out, or another word than the one that is remembered."""
    if known is None:
        return sighting.out is True
    if not known.agreed or known.owed or known.inherited or sighting.out is not known.out:
        return True
    if side is Side.DYNAMICS:
        return not sighting.mark or sighting.mark != known.dynamics_mark
    return sighting.changed_at != known.campaign_at or not known.ripe


def _waits_for_profile(judged: Sequence[Judged]) -> bool:
    """An opt-out without a profile lets the profile come first; asked for once."""
    missing = any(one.verdict.out and one.case.dynamics.exists and not one.case.campaign.exists for one in judged)
    return missing and not any(one.known is not None and one.known.waiting for one in judged)


def _recorded(one: Judged) -> str:
    """A decision in short; empty when there is nothing to keep a record of."""
    verdict, case = one.verdict, one.case
    acts = verdict.held or verdict.to_dynamics is not None or verdict.to_campaign is not None
    last = case.standing.recorded.partition(" ")[0]
    # Somebody who never opted out and still does not is no decision.
    turns = verdict.out is not None and last != str(verdict.out) and bool(last or verdict.out)
    if not acts and not turns:
        return ""
    told = (verdict.reason.name, verdict.to_dynamics, verdict.to_campaign, case.dynamics.mark, case.campaign.changed_at)
    return " ".join(map(str, (verdict.out, *told)))


def _writes(judged: Sequence[Judged], *, merged: bool) -> Writes:
    """What has to be told to whom. A contact that was merged into another one is left alone."""
    contact = {
        one.pair.dynamics: one.verdict.to_dynamics
        for one in judged
        if one.verdict.to_dynamics is not None and not merged
    }
    profile = {one.pair.campaign: one.verdict.to_campaign for one in judged if one.verdict.to_campaign is not None}
    return Writes(
        dynamics=contact,
        over=next((one.case.dynamics.mark for one in judged), ""),
        campaign=profile,
        seen={one.pair.campaign: one.case.campaign for one in judged},
    )
