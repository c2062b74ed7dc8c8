"""Opt-outs that are made on both sides while whoever looks after them is killed, paused and cut off.

One process works and the others stand by. The trouble is made for the one at work, and what is measured beside is for
how long nobody was.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType

import psycopg
from attrs import field, frozen
from tests.acceptance import drill_room
from tests.acceptance.drill_room import DrillReport, Trouble
from tests.consent_room import CONTACTS, EMAIL, PHONE
from tests.ingress_room import campaign, dataverse, drain
from tests.postgres_room import Server

from syncline import IngressDefinition, Integration, OptOutDefinition, OptOutDirection
from syncline.definitions import OptOutPair
from syncline.sandbox import Sandbox
from syncline.storage.postgres import PostgresStorage
from syncline.store import Storage

__all__ = ["opt_outs"]

_PAIRS = (EMAIL, PHONE)
#: Opt-outs between two drills, and other changes of the same people, whose times they move.
_OUT, _OTHERS = 12, 6
#: Seconds in which at least one more opt-out must have arrived, and that nobody may be at work: whoever stands by takes
#: over within seconds, but on a busy machine the server alone may take longer to start again.
_PATIENCE, _NOBODY = 300.0, 120.0
_LOOK = 0.05


@frozen
class _Crowd:
    """Who has said what: of these people's channels nothing but opt-outs is ever said."""

    sandbox: Sandbox
    dice: random.Random
    people: list[str]
    out: set[tuple[str, OptOutPair]] = field(factory=set)

    def opt_out(self, number: int) -> None:
        """So many opt out, here, there or on both sides at once; others change something else."""
        for person in self.dice.sample(self.people, min(number, len(self.people))):
            pair = self.dice.choice(_PAIRS)
            sides = self.dice.choice(((True, False), (False, True), (True, True)))
            if sides[0]:
                self.sandbox.dynamics.update("contact", person, **{pair.dynamics: True})
            if sides[1]:
                self.sandbox.campaign.update("profile", person, **{_wire(pair): True})
            self.out.add((person, pair))
        for person in self.dice.sample(self.people, min(_OTHERS, len(self.people))):
            self.sandbox.dynamics.update("contact", person, jobtitle=f"Turn {self.dice.randrange(1_000)}")
            self.sandbox.campaign.update("profile", person, middleName=f"Turn {self.dice.randrange(1_000)}")

    def differences(self) -> Iterator[str]:
        """Who is not out on both sides, or out without having said so."""
        profiles = {
            row["externalId"]: row for row in self.sandbox.campaign.rows("profile", ["externalId", *map(_wire, _PAIRS)])
        }
        for contact in self.sandbox.dynamics.rows("contact", ["contactid", *(pair.dynamics for pair in _PAIRS)]):
            person = contact["contactid"]
            for pair in _PAIRS:
                shown = contact[pair.dynamics], profiles[person][_wire(pair)]
                if shown != ((wanted := (person, pair) in self.out), wanted):
                    yield f"{person} {pair.dynamics}: out is {wanted}, and both sides show {shown}"


def _crowd(sandbox: Sandbox, dice: random.Random) -> _Crowd:
    """Everybody in Dynamics, and those who are out there from the beginning."""
    rows = [*sandbox.dynamics.rows("contact", ["contactid", *(pair.dynamics for pair in _PAIRS)])]
    out = {(row["contactid"], pair) for row in rows for pair in _PAIRS if row[pair.dynamics]}
    return _Crowd(sandbox, dice, [row["contactid"] for row in rows], out)


def _wire(pair: OptOutPair) -> str:
    return pair.campaign.replace("denyList", "blackList")


class _Watch:
    """Looks who is at work, all the time; a grant of a process that is gone or paused is nobody's."""

    def __init__(self, server: Server, schema: str) -> None:
        self._server = server
        self._schema = schema
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        #: Who was at work when somebody was seen last; None before that.
        self.at_work: int | None = None
        self.longest_gap = 0.0

    def _look(self) -> None:
        seen: float | None = None
        while not self._ended.wait(_LOOK):
            try:
                pids = [row[0] for row in self._server.ask("SELECT pid FROM grants", schema=self._schema)]
            except psycopg.Error:
                pids = []  # the server is away
            now = time.monotonic()
            if busy := [pid for pid in pids if _runs(pid)]:
                (self.at_work,) = set(busy)
                self.longest_gap = max(self.longest_gap, 0.0 if seen is None else now - seen)
                seen = now

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "TZX"


def opt_outs(server: Server, *, records: int, trouble: Trouble) -> DrillReport:
    """Everybody who opted out, on whichever side, must be out on both, and nobody else; every decision is on record."""
    dice = random.Random(trouble.seed)  # noqa: S311 - moments, not secrets
    began, schema = time.monotonic(), server.schema()
    with Sandbox(process=True, seed=trouble.seed, contacts=records) as sandbox, _opened(server, schema) as storage:
        integration = _join(sandbox, storage, trouble)
        integration.ingress.start()
        drain(integration)
        integration.opt_out.start()
        workflow = integration.opt_out.id
        crowd = _crowd(sandbox, dice)
        crowd.opt_out(_OUT)
        with trouble.crew(sandbox, server, schema, "opt_out") as crew, _Watch(server, schema) as watch:
            since = time.monotonic()
            done = drill_room.suffer(crew, trouble, dice, lambda: crowd.opt_out(_OUT), lambda: watch.at_work)
            problems = _await_everybody(crowd)
            working = time.monotonic() - since
            problems += drill_room.ended_badly(crew)
        problems += drill_room.inexact(storage, workflow)
        problems += _unrecorded(integration, crowd)
        if watch.longest_gap > _NOBODY:
            problems.append(f"nobody was at work for {watch.longest_gap:.0f} s")
        return drill_room.report(
            storage, workflow, done, began=began, working=working, longest_gap=watch.longest_gap, problems=problems
        )


def _opened(server: Server, schema: str) -> closing[PostgresStorage]:
    return closing(server.storage(schema))


def _join(sandbox: Sandbox, storage: Storage, trouble: Trouble) -> Integration:
    return Integration(
        dynamics=dataverse(sandbox),
        campaign=campaign(sandbox),
        storage=storage,
        ingress=IngressDefinition(mappings=[CONTACTS]),
        opt_out=OptOutDefinition(direction=OptOutDirection.BIDIRECTIONAL, pairs=_PAIRS),
        settings=trouble.settings,
    )


def _await_everybody(crowd: _Crowd) -> list[str]:
    """Wait until both sides show all of them, as long as there are fewer and fewer left; else who is left."""
    before, since = len(crowd.people), time.monotonic()
    while time.monotonic() - since < _PATIENCE:
        left = [*crowd.differences()]
        if not left:
            return []
        if len(left) < before:
            before, since = len(left), time.monotonic()
        time.sleep(0.5)
    return left


def _unrecorded(integration: Integration, crowd: _Crowd) -> Iterator[str]:
    """Opt-outs without a decision, and what is wrong with the record of decisions."""
    verdict = integration.opt_out.consent.verify()
    if not verdict.ok:
        yield str(verdict)
    decided = {(one.person, one.pair) for one in integration.opt_out.consent.decisions if one.out}
    yield from (f"{person}: no decision about {pair.dynamics}" for person, pair in crowd.out - decided)
    yield from (f"{person}: decided out of {pair.dynamics} for no reason" for person, pair in decided - crowd.out)
