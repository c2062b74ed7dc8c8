"""Four workers drain one workflow while they are killed and paused and their server is restarted: what must hold then.

Run by the acceptance test for five drills of each kind, and by hand for any number:

    python -m tests.acceptance.worker_drills --drills 100 --records 200000
    python -m tests.acceptance.worker_drills --drills 100 --records 200000 --workflow egress
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

from attrs import evolve, frozen
from tests import egress_room
from tests.acceptance.crew import LEASE, Crew, Drill
from tests.acceptance.crew_worker import settings_of
from tests.ingress_room import differences, drain, join
from tests.postgres_room import Server, running_server

from syncline import Integration
from syncline.definitions import EventKind
from syncline.events import event_id
from syncline.records import Event
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState
from syncline.storage.postgres import PostgresStorage
from syncline.store import DeadLetterStatus, Storage

__all__ = ["DrillReport", "egress", "ingress"]

WORKERS = 4
#: Changes made between two drills, so that nobody is ever without work.
_EDITS = 150
_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: Seconds between two drills, and that a drain may take without getting anywhere.
_BETWEEN = (0.1, 0.6)
_STUCK = 300.0


@frozen(kw_only=True)
class DrillReport:
    """What drills came to. `problems` is empty when every promise held."""

    drills: Counter[Drill]
    seconds: float
    written: int
    #: Late settlements that were refused: whoever made them had lost the lease.
    refused: int
    #: Vanished workers whose rows others took over.
    taken_over: int
    #: Records with a late write of a paused worker, which the sweep found and mended.
    mended: int
    problems: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "all in step" if not self.problems else f"{len(self.problems)} PROBLEMS"
        drills = ", ".join(f"{number} x {drill.value}" for drill, number in sorted(self.drills.items()))
        told = f"{self.written:,} writes, {self.taken_over} takeovers, {self.refused} late settlements refused"
        return f"{drills} in {self.seconds:.0f} s; {told}, {self.mended} mended by the sweep: {verdict}"


# -- Dynamics to Campaign ---------------------------------------------------------------------------------------------


def ingress(server: Server, *, records: int, drills: int, seed: int = 1) -> DrillReport:
    """Contacts that are loaded, changed, deleted and made while everything happens; both systems must end equal."""
    dice = random.Random(seed)  # noqa: S311 - moments, not secrets
    began, schema, mended = time.monotonic(), server.schema(), 0
    with Sandbox(process=True, seed=seed) as sandbox, closing(server.storage(schema)) as storage:
        crowd = list(people(records, seed, clean=True))
        for start in range(0, records, 10_000):
            sandbox.dynamics.load("contact", crowd[start : start + 10_000])
        integration = join(sandbox, storage, settings=settings_of(WORKERS, LEASE))
        integration.ingress.start()
        turn = iter(range(1_000_000))
        with Crew(sandbox, server, schema, "ingress", WORKERS) as crew:
            done = _suffer(crew, drills, dice, lambda: _change(sandbox, crowd, dice, next(turn)))
            problems = _await_empty(integration.ingress.id, storage, sandbox)
            told = crew.end()
        problems += [f"a worker ended {one}" for one in told if one.get("status") != WorkflowState.RUNNING]
        if not problems:
            drain(integration)
            mended = _sweep(sandbox, storage) if differences(sandbox) else 0
            problems += differences(sandbox)
        problems += _inexact(storage, integration.ingress.id)
        problems += [
            f"{value} is there {count} times"
            for value, count in sandbox.campaign.duplicates("profile", "externalId").items()
        ]
        known, there = storage.ledger_size(integration.ingress.id, "contact"), sandbox.dynamics.count("contact")
        problems += [f"the ledger has {known} records, Dynamics has {there}"] if known != there else []
        return _report(storage, integration.ingress.id, done, began, mended, problems)


def _change(sandbox: Sandbox, crowd: list[dict[str, object]], dice: random.Random, turn: int) -> None:
    for person in dice.sample(crowd, min(_EDITS, len(crowd))):
        sandbox.dynamics.update("contact", str(person["contactid"]), lastname=f"Turn {turn}", numberofchildren=turn % 7)
    for _ in range(3):
        gone = crowd.pop(dice.randrange(len(crowd)))
        sandbox.dynamics.delete("contact", str(gone["contactid"]))
    new = list(people(5, 1_000_000 + turn, clean=True))
    sandbox.dynamics.load("contact", new)
    crowd.extend(new)


def _sweep(sandbox: Sandbox, storage: Storage) -> int:
    """Compare everything once irrespective of the ledger, as idle cycles do within days; how many records differed."""
    hasty = evolve(settings_of(WORKERS, LEASE), sweep_period=timedelta(seconds=1))
    sweeper = join(sandbox, storage, settings=hasty)
    rounds = 0
    while rounds < 2:
        drain(sweeper)
        sweep = sweeper.ingress.sweeps.get("contact")
        rounds = 0 if sweep is None else sweep.rounds
    drain(sweeper)
    return sweeper.ingress.sweeps["contact"].mended_ever


# -- Campaign to Dynamics ---------------------------------------------------------------------------------------------


def egress(server: Server, *, records: int, drills: int, seed: int = 1) -> DrillReport:
    """Events that are pushed while everything happens: each is there once. Rows are only ever created."""
    dice = random.Random(seed)  # noqa: S311 - moments, not secrets
    began, schema = time.monotonic(), server.schema()
    with Sandbox(process=True, seed=seed, contacts=400) as sandbox, closing(server.storage(schema)) as storage:
        known = egress_room.people(sandbox)
        integration = egress_room.join(sandbox, storage, settings=settings_of(WORKERS, LEASE))
        integration.egress.start()
        wave = max(1, records // (drills * len(Drill) + 1))
        events = _events(known, records, dice)
        pushed: list[Event] = []

        def push() -> None:
            some = [event for _, event in zip(range(wave), events, strict=False)]
            _insist(integration, some)
            pushed.extend(some)

        push()
        with Crew(sandbox, server, schema, "egress", WORKERS) as crew:
            done = _suffer(crew, drills, dice, push)
            problems = _await_empty(integration.egress.id, storage, None)
            told = crew.end()
        problems += [f"a worker ended {one}" for one in told if one.get("status") != WorkflowState.RUNNING]
        problems += _timeline(sandbox, pushed)
        problems += _inexact(storage, integration.egress.id)
        return _report(storage, integration.egress.id, done, began, 0, problems)


def _events(known: list[str], records: int, dice: random.Random) -> Iterator[Event]:
    for number in range(records):
        kind = dice.choice((EventKind.OPEN, EventKind.CLICK, EventKind.SEND))
        moment = _NOON + timedelta(seconds=number)
        yield Event(kind=kind, contact=dice.choice(known), occurred_on=moment, log_id=f"log {number}")


def _insist(integration: Integration, events: list[Event]) -> None:
    """Push until it is durable, as whoever pushes must."""
    for _ in range(50):
        try:
            integration.egress.accept(events)
        except Exception:  # noqa: BLE001 - the server may be away for any reason
            time.sleep(0.2)
        else:
            return
    raise AssertionError("nothing could be pushed for 10 s")


def _timeline(sandbox: Sandbox, pushed: list[Event]) -> Iterator[str]:
    for kind in EventKind:
        wanted = {event_id(event, "") for event in pushed if event.kind is kind}
        shown = [row["activityid"] for row in sandbox.dynamics.rows(f"adobe_email{kind.value}", ["subject"])]
        if len(shown) != len(wanted) or set(shown) != wanted:
            yield f"{len(wanted)} {kind.value}s were pushed and {len(shown)} are shown"


# -- both -------------------------------------------------------------------------------------------------------------


def _suffer(crew: Crew, drills: int, dice: random.Random, between: Callable[[], None]) -> Counter[Drill]:
    """So many drills of each kind, in any order, with work in between."""
    wanted = [drill for drill in crew.drills for _ in range(drills)]
    dice.shuffle(wanted)
    for drill in wanted:
        # Waiting here is the point: the trouble must come at a moment nobody chose.
        time.sleep(dice.uniform(*_BETWEEN))
        crew.suffer(drill, dice)
        between()
    return Counter(wanted)


def _await_empty(workflow: str, storage: PostgresStorage, sandbox: Sandbox | None) -> list[str]:
    """Wait until everything was written, as long as there is progress; what is wrong if that does not happen."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < _STUCK:
        row, counts = storage.workflow(workflow), storage.counts(workflow)
        if row.state is not WorkflowState.RUNNING:
            return [f"the workflow is {row.state.value}: {row.error}"]
        known = None if sandbox is None else storage.ledger_size(workflow, "contact")
        if not counts.size and (sandbox is None or known == sandbox.dynamics.count("contact")):
            return []
        if counts.totals.written != before:
            before, since = counts.totals.written, time.monotonic()
        time.sleep(0.3)
    return [f"stuck with {counts.size} queued, {known} known"]


def _inexact(storage: Storage, workflow: str) -> Iterator[str]:
    yield from (f"audit: {line}" for line in storage.audit(workflow))
    counts = storage.counts(workflow)
    totals = counts.totals
    ended = totals.written + totals.superseded + totals.skipped + totals.dead + totals.discarded
    if totals.put != ended + counts.size + counts.set_aside:
        yield f"conservation: {totals} with {counts.size} queued"
    for letter in storage.dead_letters(workflow, status=None):
        if letter.status is not DeadLetterStatus.RESOLVED:
            yield f"set aside: {letter}"
    row = storage.workflow(workflow)
    if row.workers:
        yield f"{row.workers} workers are still registered"


def _report(
    storage: Storage, workflow: str, done: Counter[Drill], began: float, mended: int, problems: list[str]
) -> DrillReport:
    totals = storage.counts(workflow).totals
    return DrillReport(
        drills=done,
        seconds=time.monotonic() - began,
        written=totals.written,
        refused=totals.refused,
        taken_over=sum(entry.action == "taken over" for entry in storage.history(workflow, 100_000)),
        mended=mended,
        problems=tuple(problems),
    )


def main() -> int:
    """As many drills as asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--drills", type=int, default=100, help="of each kind")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--workflow", choices=("ingress", "egress"), default="ingress")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    campaign = egress if options.workflow == "egress" else ingress
    with running_server() as server:
        report = campaign(server, records=options.records, drills=options.drills, seed=options.seed)
    sys.stdout.write("\n".join([str(report), *report.problems[:50]]) + "\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
