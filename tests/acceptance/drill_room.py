"""What all drills of several workers share: the trouble in between, waiting until all is written, and what must hold.

What is loaded, changed and compared is for each kind of drill: `contact_drills`, `event_drills`, `forest_drills` and
`opt_out_drills`. The command is `worker_drills`.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta

from attrs import evolve, frozen
from tests.acceptance.crew import Crew, Drill
from tests.acceptance.crew_worker import settings_of
from tests.postgres_room import Server

from syncline.sandbox import Sandbox
from syncline.state_machine import WorkflowState
from syncline.storage.postgres import PostgresStorage
from syncline.store import DeadLetterStatus, Storage
from syncline.workflows.settings import EngineSettings

__all__ = [
    "WORKERS",
    "DrillReport",
    "Trouble",
    "await_empty",
    "ended_badly",
    "inexact",
    "report",
    "suffer",
    "sweeping",
]

WORKERS = 4
#: Seconds between two drills, and that a drain may take without getting anywhere.
_BETWEEN = (0.1, 0.6)
_STUCK = 300.0


@frozen(kw_only=True)
class Trouble:
    """What is to happen, and to how many."""

    #: Of each kind; none measures the pace instead, with the settings a host gets.
    drills: int
    kinds: Collection[Drill] = tuple(Drill)
    workers: int = WORKERS
    seed: int = 1

    @property
    def settings(self) -> EngineSettings:
        """Those of the crew."""
        return settings_of(self.workers, hasty=self.drills > 0)

    def crew(self, sandbox: Sandbox, server: Server, schema: str, workflow: str) -> Crew:
        """Those it happens to."""
        return Crew(sandbox, server, schema, workflow, self.workers, hasty=self.drills > 0)


@frozen(kw_only=True)
class DrillReport:
    """What drills came to. `problems` is empty when every promise held."""

    drills: Counter[Drill]
    #: From the first worker's start until all was written, and with what was loaded before and compared after.
    working: float
    seconds: float
    written: int
    #: Late settlements that were refused: whoever made them had lost the lease.
    refused: int
    #: Vanished workers whose rows others took over.
    taken_over: int
    #: Records with a late write of a paused worker, which the sweep found and mended.
    mended: int
    #: The longest time in which nobody was at work after the one that was had vanished; where one works at a time.
    longest_gap: float = 0.0
    problems: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "all in step" if not self.problems else f"{len(self.problems)} PROBLEMS"
        drills = ", ".join(f"{number} x {drill.value}" for drill, number in sorted(self.drills.items())) or "no trouble"
        pace = f"{self.written:,} writes in {self.working:.0f} s ({self.written / self.working:,.0f} a second)"
        told = f"{self.taken_over} takeovers, {self.refused} late settlements refused"
        gap = f", nobody at work for {self.longest_gap:.1f} s at most" if self.longest_gap else ""
        return (
            f"{drills}; {pace}, {told}, {self.mended} mended by the sweep{gap}; {self.seconds:.0f} s in all: {verdict}"
        )


def suffer(
    crew: Crew,
    trouble: Trouble,
    dice: random.Random,
    between: Callable[[], None],
    whom: Callable[[], int | None] = lambda: None,
) -> Counter[Drill]:
    """So many drills of each kind, in any order, with work in between; to the process that `whom` names, or to any."""
    wanted = [drill for drill in crew.drills if drill in trouble.kinds for _ in range(trouble.drills)]
    dice.shuffle(wanted)
    for drill in wanted:
        # Waiting here is the point: the trouble must come at a moment nobody chose.
        time.sleep(dice.uniform(*_BETWEEN))
        crew.suffer(drill, dice, whom())
        between()
    return Counter(wanted)


def await_empty(workflow: str, storage: PostgresStorage, read: Callable[[], bool] = lambda: True) -> list[str]:
    """Wait until everything was `read` and written, as long as there is progress; else what is wrong."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < _STUCK:
        row, counts = storage.workflow(workflow), storage.counts(workflow)
        if row.state is not WorkflowState.RUNNING and row.state is not WorkflowState.STARTING:
            return [f"the workflow is {row.state.value}: {row.error}"]
        if not counts.size and read():
            return []
        if counts.totals.written != before:
            before, since = counts.totals.written, time.monotonic()
        time.sleep(0.3)
    return [f"stuck with {counts.size} queued: {dict(counts.groups)}"]


def ended_badly(crew: Crew) -> list[str]:
    """Let the crew end; what is wrong with how its workers did."""
    return [f"a worker ended {told}" for told in crew.end() if told.get("status") != WorkflowState.RUNNING]


def inexact(storage: Storage, workflow: str) -> Iterator[str]:
    """What is wrong with the numbers, and what was left over."""
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


def sweeping(settings: EngineSettings) -> EngineSettings:
    """Everything is compared once a second irrespective of the ledger, as idle cycles do within days."""
    return evolve(settings, workers=1, sweep_period=timedelta(seconds=1))


def report(
    storage: Storage,
    workflow: str,
    done: Counter[Drill],
    *,
    began: float,
    working: float,
    problems: list[str],
    mended: int = 0,
    longest_gap: float = 0.0,
) -> DrillReport:
    """What it came to, of times as `time.monotonic` has them."""
    totals = storage.counts(workflow).totals
    return DrillReport(
        drills=done,
        working=working,
        seconds=time.monotonic() - began,
        written=totals.written,
        refused=totals.refused,
        taken_over=sum(entry.action == "taken over" for entry in storage.history(workflow, 100_000)),
        mended=mended,
        longest_gap=longest_gap,
        problems=tuple(problems),
    )
