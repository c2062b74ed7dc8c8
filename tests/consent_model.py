"""One person, one channel, two systems, people who change their minds, and the sync in between: every interleaving.

The systems and the people are modelled here; what the sync decides, remembers and does next is the engine's own code
(`syncline.consent`). Run as a program it explores as far as asked: `python -m tests.consent_model --actions 5`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, field, frozen

from syncline.consent import (
    Call,
    Case,
    Sighting,
    Standing,
    Terms,
    Writes,
    calls_of,
    consider,
    standing_after,
    standing_before,
    still_as_seen,
)
from syncline.definitions import OptOutDirection, OptOutRule

_FIELD = "channel"
_START = datetime(2026, 1, 1, tzinfo=UTC)


def at(tick: float) -> datetime:
    return _START + timedelta(seconds=tick)


@frozen(kw_only=True)
class World:
    """What is explored, and what is left out to see that it is missed."""

    rule: OptOutRule = OptOutRule.DOCUMENTED
    direction: OptOutDirection = OptOutDirection.BIDIRECTIONAL
    #: How often somebody opts in or out, on either side.
    actions: int = 4
    #: Changes of the contact that are about something else.
    unrelated: int = 1
    ticks: int = 3
    margin: int = 0
    #: Campaign's clock minus the true time.
    skew: int = 0
    #: Dynamics heeds If-Match.
    conditional: bool = True
    #: Nothing comes between Campaign's comparison and the write.
    undisturbed: bool = True
    #: Two changes in Campaign never carry the same time: its clock is finer than people are.
    fine: bool = False
    #: The profile is deleted and created again this often, without its opt-out, after what was in it was looked at.
    recreations: int = 0


#: Dynamics (out, tick, version), Campaign (out, tick or None, birth), now, actions left, unrelated left, recreations
#: left, whether something is left to look at, opt-outs that hold, what is remembered, and what the sync is doing: calls
#: to make, writes, Campaign's sighting, what its own write of Dynamics left behind.
State = tuple[Any, ...]


@define
class Exploration:
    """Breadth first over all states. `lost` holds the first way to a lost opt-out, a step a line."""

    world: World
    states: int = 0
    quiet: int = 0
    lost: list[str] = field(factory=list)
    #: How often an opt-in stood at the end, so that a rule that opts everybody out is noticed.
    opted_in: int = 0
    _terms: Terms = field(init=False)
    _known: dict[Any, int] = field(factory=dict)
    _things: list[Any] = field(factory=list)
    _decisions: dict[Any, tuple[int, int | None]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        world = self.world
        self._terms = Terms(direction=world.direction, rule=world.rule, margin=timedelta(seconds=world.margin))

    def run(self, most: int | None = None) -> Exploration:
        """Explore until all is seen, an opt-out is lost, or `most` states were seen."""
        world = self.world
        first: State = (
            (False, 0, 0), (False, None, 0), 0, world.actions, world.unrelated, world.recreations, False, frozenset(),
            self._number(Standing()), None,
        )  # fmt: skip
        came: dict[State, tuple[State, str] | None] = {first: None}
        wave = [first]
        while wave:
            following: list[State] = []
            for state in wave:
                if self._is_lost(state):
                    self.lost = _way(came, state)
                    self.states = len(came)
                    return self
                for step, after in self._steps(state):
                    if after not in came:
                        came[after] = (state, step)
                        following.append(after)
            if most is not None and len(came) >= most:
                break
            wave = following
        self.states = len(came)
        return self

    def _number(self, thing: Any) -> int:
        """Values by number: comparing numbers is what makes this fast."""
        found = self._known.get(thing)
        if found is None:
            found = self._known[thing] = len(self._things)
            self._things.append(thing)
        return found

    def _is_lost(self, state: State) -> bool:
        dynamics, campaign, _, _, _, _, restless, obligations, _, doing = state
        if restless or doing is not None:
            return False
        self.quiet += 1
        self.opted_in += not dynamics[0] and not campaign[0] and dynamics[2] > 1
        there = {"D": dynamics[0], "C": campaign[0]}
        carried = {"D": self.world.direction.writes_campaign, "C": self.world.direction.writes_dynamics}
        return any(not there[side] or (carried[side] and not all(there.values())) for side, _ in obligations)

    def _steps(self, state: State) -> Iterator[tuple[str, State]]:
        yield from self._people(state)
        dynamics, campaign, now, actions, unrelated, again, restless, holds, standing, doing = state
        world = self.world
        if now < world.ticks:
            yield "time passes", (dynamics, campaign, now + 1, *state[3:])
        if unrelated:
            touched = (dynamics[0], now, dynamics[2] + 1)
            yield "somebody edits the contact", (
                touched, campaign, now, actions, unrelated - 1, again, True, holds, standing, doing,
            )  # fmt: skip
        if again and doing is None and not restless:
            yield "the profile is created again", (
                dynamics, (False, None, campaign[2] + 1), now, actions, unrelated, again - 1, True, holds, standing,
                doing,
            )  # fmt: skip
        if doing is None:
            if restless:
                begun = self._number((calls_of(None), None, None, None))
                yield "the sync begins", (*state[:6], False, holds, standing, begun)
            return
        yield "the sync dies", (*state[:6], True, holds, standing, None)
        yield from self._call(state)

    def _people(self, state: State) -> Iterator[tuple[str, State]]:
        dynamics, campaign, now, actions, unrelated, again, _, holds, standing, doing = state
        if not actions:
            return
        left = (actions - 1, unrelated, again, True)
        out = not dynamics[0]
        changed = (out, now, dynamics[2] + 1)
        yield f"Dynamics opts {'out' if out else 'in'} at {now}", (
            changed, campaign, now, *left, self._held(holds, "D", now, out), standing, doing,
        )  # fmt: skip
        out = not campaign[0]
        changed = (out, self._stamp(campaign, now), campaign[2])
        yield f"Campaign opts {'out' if out else 'in'} at {now}", (
            dynamics, changed, now, *left, self._held(holds, "C", now, out), standing, doing,
        )  # fmt: skip

    def _held(self, holds: frozenset[tuple[str, int]], side: str, now: int, out: bool) -> frozenset[tuple[str, int]]:
        """The opt-outs that hold after somebody opts out or in.

        One ends with a later opt-in of its own side, or with a newer one of the other. Where Dynamics is the only
        source, its opt-in also ends one of Campaign's that came before it within the same tick.
        """
        if out:
            return holds | {(side, now)}
        if side == "D" and not self.world.direction.writes_dynamics:
            return frozenset()
        return frozenset((where, when) for where, when in holds if where != side and when >= now)

    def _call(self, state: State) -> Iterator[tuple[str, State]]:
        """The sync makes its next call."""
        dynamics, campaign, now, *_, restless, holds, standing, doing = state
        calls, writes, seen, own = self._things[doing]
        call, rest = calls[0], calls[1:]
        if call is Call.READ_CAMPAIGN:
            seen = self._campaign(campaign, now)
        elif call is Call.READ_DYNAMICS:
            yield "the sync reads Dynamics", self._decided(state, seen, own)
            return
        elif call is Call.WRITE_DYNAMICS:
            if self.world.conditional and str(dynamics[2]) != writes.over:
                rest = calls_of(None)
            else:
                own = (dynamics[2], dynamics[2] + 1)
                dynamics, restless = (writes.dynamics[_FIELD], now, own[1]), True
        elif call is Call.COMPARE_CAMPAIGN:
            if not still_as_seen(writes, {_FIELD: self._campaign(campaign, now)}):
                rest = calls_of(None)
            elif self.world.undisturbed:
                rest, campaign, restless = rest[1:], self._write(campaign, now, writes), True
        elif call is Call.WRITE_CAMPAIGN:
            campaign, restless = self._write(campaign, now, writes), True
        after = self._number((rest, writes, seen, own))
        yield f"the sync does: {call}", (dynamics, campaign, *state[2:6], restless, holds, standing, after)

    def _decided(self, state: State, seen: Sighting, own: tuple[int, int] | None) -> State:
        dynamics, _, now, *_, standing, _ = state
        key = (dynamics, seen, now, own, standing)
        found = self._decisions.get(key)
        if found is None:
            found = self._decisions[key] = self._judge(dynamics, seen, now, own, standing)
        return (*state[:8], *found)

    def _judge(self, dynamics: Any, seen: Sighting, now: int, own: Any, standing: int) -> tuple[int, int | None]:
        mark = str(dynamics[2])
        replaced = str(own[0]) if own is not None and str(own[1]) == mark else ""
        sighting = Sighting(
            out=dynamics[0], changed_at=at(dynamics[1]), seen_at=at(now), mark=mark, replaced=replaced, born="0"
        )
        case = Case(dynamics=sighting, campaign=seen, standing=self._things[standing])
        verdict = consider(self._terms, case)
        if verdict.to_dynamics is None and verdict.to_campaign is None:
            return self._number(standing_after(case, verdict)), None
        writes = Writes(
            dynamics={} if verdict.to_dynamics is None else {_FIELD: verdict.to_dynamics},
            over=mark,
            campaign={} if verdict.to_campaign is None else {_FIELD: verdict.to_campaign},
            seen={_FIELD: seen},
        )
        doing = self._number((calls_of(writes), writes, None, None))
        return self._number(standing_before(case, verdict)), doing

    def _campaign(self, campaign: Any, now: int) -> Sighting:
        changed = None if campaign[1] is None else at(campaign[1])
        return Sighting(out=campaign[0], changed_at=changed, seen_at=at(now + self.world.skew), born=str(campaign[2]))

    def _write(self, campaign: Any, now: int, writes: Writes) -> Any:
        out = writes.campaign[_FIELD]
        return campaign if campaign[0] is out else (out, self._stamp(campaign, now), campaign[2])

    def _stamp(self, campaign: Any, now: int) -> float:
        """What Campaign's clock says at a change."""
        if self.world.fine and campaign[1] is not None:
            return max(float(now + self.world.skew), float(campaign[1]) + 0.001)
        return now + self.world.skew


def _way(came: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    steps = []
    while (before := came[state]) is not None:
        state, step = before
        steps.append(step)
    return steps[::-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rule", choices=list(OptOutRule), default=OptOutRule.DOCUMENTED)
    parser.add_argument("--actions", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=3)
    parser.add_argument("--margin", type=int, default=0)
    parser.add_argument("--skew", type=int, default=0)
    parser.add_argument("--unrelated", type=int, default=1)
    parser.add_argument("--recreations", type=int, default=0)
    parser.add_argument("--unconditional", action="store_true", help="Dynamics ignores If-Match")
    parser.add_argument("--disturbed", action="store_true", help="people come between Campaign's comparison and write")
    told = parser.parse_args()
    began = time.perf_counter()
    found = Exploration(
        World(
            rule=OptOutRule(told.rule),
            actions=told.actions,
            ticks=told.ticks,
            margin=told.margin,
            skew=told.skew,
            unrelated=told.unrelated,
            recreations=told.recreations,
            conditional=not told.unconditional,
            undisturbed=not told.disturbed,
        )
    ).run()
    say = sys.stdout.write
    say(f"{found.states:,} states, {found.quiet:,} at rest, in {time.perf_counter() - began:.1f} s\n")
    say("\n  ".join(["an opt-out is lost:", *found.lost, ""]) if found.lost else "no opt-out is lost\n")


if __name__ == "__main__":
    main()
