"""One bounded slice of a workflow's work.

What lives here: `Cycle`, the coordinator. It owns the grant, the storage, the heartbeat, leasing and settling; reader
and writer threads do HTTP only and report through one queue of events. It knows nothing of tables and mappings: those
belong to the `Work` it is given.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

from syncline.backlog import Grant, Item, Role, Settlement, Settling
from syncline.clock import Clock
from syncline.errors import (
    LeaseLostError,
    RetryLaterError,
    SetupError,
    SkipRecordError,
    StopWorkflowError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    SynclineError,
)
from syncline.instrumentation import DeadLettered, Instrumentation, WritesSettled
from syncline.records import Outcome
from syncline.store import Storage
from syncline.workflows.budget import Budget
from syncline.workflows.concurrency import ConcurrencyLimit
from syncline.workflows.cycle_report import CycleEnd, Tally
from syncline.workflows.depth import add_sample
from syncline.workflows.owner import note_takeover
from syncline.workflows.settings import EngineSettings
from syncline.workflows.silence import Silence
from syncline.workflows.verdicts import judge, late, postponed, released
from syncline.workflows.work import Plan, Reading, Work
from syncline.workflows.writers import Event, Job, JobDone, LeaseWatch, Midway, ReadDone, WriterPool

__all__ = ["Cycle", "CycleEnd", "Tally"]

#: Requests that a job may still make after it was last allowed to: seconds kept in hand before the lease ends.
_IN_HAND = 20.0
_SAMPLE_EVERY = 10.0
#: Rows are marked as being sent in batches, since each mark is a transaction; and not more than two rounds of the
#: writers ahead, since a crash makes every marked row ambiguous.
_FEWEST_MARKED = 48
#: Jobs that are made of one claim, where a job takes many rows.
_JOBS_CLAIMED = 4
#: A retry that is due this soon is waited for instead of ending the cycle.
_WORTH_WAITING = 5.0
#: A writer that finds nothing goes on looking for so many seconds: the reader may be about to queue more.
_PATIENCE = 2.0
#: Looks in a row at which nobody read: between two of its cycles a reader is gone for a moment.
_LOOKS_WITHOUT_READER = 2
#: Nothing more is to be done for a record now.
_DONE_WITH = (Settling.WRITTEN, Settling.SKIPPED, Settling.DEAD, Settling.HELD, Settling.WAITING)
#: Whatever these come from, it was not a service.
_STORAGE_TROUBLE = (LeaseLostError, StorageError, StorageBusyError, StorageFullError)


class Cycle:
    """Runs until its budget is used up, there is nothing left to do, or it must stop; then leaves nothing in flight."""

    def __init__(
        self,
        *,
        storage: Storage,
        grant: Grant,
        work: Work,
        settings: EngineSettings,
        clock: Clock,
        budget: Budget,
        tell: Instrumentation,
        limit: ConcurrencyLimit,
    ) -> None:
        self.grant = grant
        self.tally = Tally()
        #: What made the cycle end with FAILED.
        self.error: SynclineError | None = None
        #: The record or table the error is about, where there is one.
        self.about = ""
        #: When it is worth coming back, where that is known.
        self.resume_at: datetime | None = None
        self._storage = storage
        self._work = work
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self._tell = tell
        self._end: CycleEnd | None = None
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._watch = LeaseWatch(clock)
        self._writers = WriterPool(self._events, self._watch, f"syncline-{grant.workflow}-writer")
        self._limit = limit
        self._readers: ThreadPoolExecutor | None = None
        self._reading: tuple[Reading, Future[object]] | None = None
        self._refresh_next: Plan | None = None
        self._refreshing: tuple[Plan, Future[object]] | None = None
        self._ready: deque[Job] = deque()
        self._ready_rows = 0
        #: Rows claimed at a time: some jobs of this work, or what the settings say if that is more.
        self._lease_batch = max(settings.lease_batch, _JOBS_CLAIMED * work.batch)
        self._settlements: list[Settlement] = []
        #: Items whose jobs ended midway, with what they learnt.
        self._midway: list[tuple[Item, object]] = []
        #: When the first request of the batch that is being written was handed out.
        self._batch_from: float | None = None
        self._calls_told = 0
        self._started = self._settled_at = self._beat_at = self._looked_at = self._sampled_at = clock.monotonic()
        self._reads = grant.role is Role.READER
        self._shared = settings.workers > 1
        #: Looks in a row at which nobody read, and when there was something to lease last.
        self._unread = 0
        self._found_at = self._started
        # What lies between two cycles measures nothing.
        limit.completed(0, self._started, saturated=False)
        self._silence = Silence(
            storage=storage, workflow=grant.workflow, work=work, clock=clock, limit=limit, tell=tell
        )
        self._claimed = 0
        self._leased_at = self._started
        self._nothing_to_lease = False
        self._queued = 0
        self._progressed = False
        #: Whether the source was asked for a page, and whether one was kept.
        self._asked = self._kept = False
        #: Whether no record was done with, since the cycle or a reading by key began.
        self._fruitless = True

    @property
    def claimed(self) -> int:
        """Rows that were taken on."""
        return self._claimed

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> CycleEnd:
        """Work. On return no request is in flight; what was claimed and not sent goes back when the grant is released.

        Raises what the storage raises, with nothing in flight either.
        """
        self._queued = self._storage.counts(self.grant.workflow).on_the_way
        self._watch.allow(self._writing_time())
        try:
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"syncline-{self.grant.workflow}-reader") as pool:
                self._readers = pool
                self._work.begin(self.grant)
                try:
                    while self._end is None:
                        self._turn()
                    self._drain()
                finally:
                    self._watch.revoke()
                    self._writers.close()
            self._sample()
        except LeaseLostError:
            self._end = CycleEnd.LEASE_LOST
            self._settlements = late(self._settlements, self._events, self._settings)
            self._settle()
        return self._end

    def _turn(self) -> None:
        self._attend()
        self._take_reading()
        self._take_refreshed()
        self._start_refreshing()
        self._settle_if_due()
        self._claim()
        self._send()
        self._start_reading()
        if self._end is None:
            self._judge_idleness()
        if self._end is None:
            self._wait_for_events()

    def _wait_for_events(self) -> None:
        pause = self._settings.attention.total_seconds()
        if self._settlements:
            pause = min(pause, self._settings.settle_after.total_seconds())
        self._take_events(pause)

    def _take_events(self, pause: float) -> None:
        """Wait up to `pause` seconds for something to come back, then take everything that has."""
        try:
            event = self._events.get(timeout=pause)
            while True:
                if isinstance(event, JobDone):
                    self._take(event)
                event = self._events.get_nowait()
        except Empty:
            pass
        if self._midway:
            met, self._midway = self._midway, []
            self._follow(self._work.midway(met))

    # -- staying in charge ------------------------------------------------------------------------------------------

    def _writing_time(self) -> float:
        return max(self._settings.lease.total_seconds() - _IN_HAND, self._settings.lease.total_seconds() / 2)

    def _attend(self) -> None:
        """Heartbeat, budget, samples, and whether somebody wants us to stop."""
        now = self._clock.monotonic()
        if self._seconds_left() <= 0 and not self._owes():
            self._end = CycleEnd.BUDGET
        if self._budget.until():
            self._end = CycleEnd.ASKED
        if now - self._beat_at >= self._settings.heartbeat.total_seconds():
            self.grant = self._storage.extend(self.grant, self._settings.lease)
            self._watch.allow(self._writing_time())
            self._beat_at = now
        if now - self._looked_at >= self._settings.attention.total_seconds():
            self._looked_at = now
            self._look_about()
        if now - self._sampled_at >= _SAMPLE_EVERY:
            self._sample()
            self._sampled_at = now

    def _look_about(self) -> None:
        """What people and other workers did meanwhile."""
        row = self._storage.workflow(self.grant.workflow)
        if row.generation != self.grant.generation:
            raise LeaseLostError(f"{self.grant.workflow} was started anew meanwhile.")
        if not row.wanted:
            self._end = CycleEnd.STOP if row.state.started else CycleEnd.FAILED
        self._queued = self._storage.counts(self.grant.workflow).on_the_way
        if not self._shared:
            return
        if row.vanished and self._storage.reap(self.grant):
            note_takeover(self._storage, self._tell, self.grant, row.crashes + 1)
        if row.crashes:
            self._progressed = False  # whoever vanishes is in no loop while anything gets done
        for gate in self._work.gates:
            if (until := self._storage.gate(gate.principal)) is not None:
                gate.close_until(until)
        self._work.heed_others()
        self._unread = 0 if self._reads or row.owner is not None else self._unread + 1
        if self._unread >= _LOOKS_WITHOUT_READER and self._end is None:
            self._end = CycleEnd.NO_READER

    def _owes(self) -> bool:
        """Whether what this cycle began must still come to something although its time is up.

        A host whose cycles are shorter than an answer takes would else ask for the same page, or the same records by
        key, for ever.
        """
        sendable = self._ready and self._clock.monotonic() >= self._silence.writes_from
        page = self._reading is not None and not self._kept
        return page or self._refreshing is not None or bool(self._fruitless and (self._refresh_next or sendable))

    def _sample(self) -> None:
        if self._reads:
            add_sample(self._storage, self.grant.workflow)

    def _judge_idleness(self) -> None:
        reading = self._reading or self._refresh_next or self._refreshing
        now = self._clock.monotonic()
        sendable = self._ready and now >= self._silence.writes_from
        busy = reading or self._writers.in_flight or sendable or self._settlements
        if busy:
            return
        if self._records_used_up():
            self._end = CycleEnd.BUDGET
        elif now < self._silence.writes_from or now < self._silence.reads_from:
            self._judge_waiting(max(self._silence.writes_from, self._silence.reads_from) - now)
        elif self._nothing_to_lease:
            self.resume_at = self._storage.next_due(self.grant.workflow)
            wait = None if self.resume_at is None else (self.resume_at - self._storage.now()).total_seconds()
            if wait is None or wait > min(_WORTH_WAITING, self._seconds_left()):
                self._end = CycleEnd.IDLE if self._reads or now - self._found_at >= _PATIENCE else None

    def _records_used_up(self) -> bool:
        return self._budget.records is not None and self._claimed >= self._budget.records

    def _seconds_left(self) -> float:
        if self._budget.seconds is None:
            return math.inf
        return self._budget.seconds - (self._clock.monotonic() - self._started)

    def _judge_waiting(self, wait: float) -> None:
        """Silence was asked for or a service is away: sit it out if it fits into the budget, else end the cycle."""
        if self._budget.seconds is None or wait > self._seconds_left():
            self.resume_at = self._silence.until
            self._end = CycleEnd.UNAVAILABLE if self.resume_at is None else CycleEnd.THROTTLED

    # -- reading ----------------------------------------------------------------------------------------------------

    def _start_reading(self) -> None:
        now = self._clock.monotonic()
        if not self._reads or self._end is not None or self._reading is not None or self._readers is None:
            return
        if now < self._silence.reads_from:
            return
        if self._refresh_next is not None or self._refreshing is not None:
            return
        # A page in every cycle, whatever the budget of records: else nobody would see what changes during a first load.
        if (self._records_used_up() and self._asked) or self._seconds_left() <= 0:
            return
        if self._queued and self._nothing_to_lease:
            # Nobody is to be told that all is done because of a number from before it was done.
            self._queued = self._storage.counts(self.grant.workflow).moving
        reading = self._work.next_reading(self.grant, self._queued)
        self._asked = True
        if reading is not None:
            self._reading = (reading, self._ask(self._readers, reading.fetch))

    def _ask(self, pool: ThreadPoolExecutor, fetch: Callable[[], object]) -> Future[object]:
        future = pool.submit(fetch)
        future.add_done_callback(lambda _: self._events.put(ReadDone()))
        return future

    def _start_refreshing(self) -> None:
        """Reading by key and reading pages take turns: of two states of one record the later one must be the newer."""
        if self._refresh_next is None or self._reading is not None or self._readers is None:
            return
        plan, self._refresh_next = self._refresh_next, None
        if plan.refresh is not None:
            self._refreshing = (plan, self._ask(self._readers, plan.refresh))

    def _take_reading(self) -> None:
        if self._reading is None or not self._reading[1].done():
            return
        reading, future = self._reading
        self._reading = None
        error = future.exception()
        try:
            if error is not None:
                reading.failed(error)
                return
            self.tally.read += reading.keep(future.result())
            self.tally.calls += reading.calls()
        except _STORAGE_TROUBLE:
            raise
        except SynclineError as left_over:
            self._source_trouble(left_over, about=reading.about)
            return
        self._kept = True
        self._nothing_to_lease = False
        self._note_progress()

    def _take_refreshed(self) -> None:
        if self._refreshing is None or not self._refreshing[1].done():
            return
        plan, future = self._refreshing
        self._refreshing = None
        error = future.exception()
        if error is None:
            self._fruitless = True
            # What another worker's page shows of these may be older.
            self._storage.read_by_key(self.grant, plan.refreshing)
            self._follow(self._work.refreshed(plan.refreshing, future.result()))
            return
        self._source_trouble(error, about=", ".join(sorted({item.key.table for item in plan.refreshing})))
        # At once would be to ask again without end.
        until = self._storage.now() + timedelta(seconds=self._silence.reads_from - self._clock.monotonic())
        self._settlements.extend(postponed(item, until) for item in plan.refreshing)

    def _source_trouble(self, error: BaseException, about: str) -> None:
        if isinstance(error, LeaseLostError):
            raise error
        if isinstance(error, RetryLaterError):
            self._silence.heed_source(error)
        elif isinstance(error, StopWorkflowError | SetupError | SkipRecordError):
            self._fail(error, about=about)
        else:
            raise error

    # -- writing ----------------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        """Lease more when what is at hand runs low."""
        if self._end is not None or self._seconds_left() <= 0 or self._clock.monotonic() < self._silence.writes_from:
            return
        if self._refresh_next is not None or self._refreshing is not None:
            return
        if self._ready_rows >= max(1, self._lease_batch // 2):
            return
        if self._nothing_to_lease and not self._time_to_look_again():
            return
        limit = self._lease_batch
        if self._budget.records is not None:
            limit = min(limit, self._budget.records - self._claimed)
        if limit <= 0:
            return
        items = self._storage.lease(self.grant, limit, self._work.before)
        self._claimed += len(items)
        self._nothing_to_lease = not items
        self._leased_at = self._clock.monotonic()
        if items:
            self._found_at = self._leased_at
            self._follow(self._work.plan(items))

    def _time_to_look_again(self) -> bool:
        """Delayed rows come due, and a suspect is leased only when nothing else is: look now and then."""
        idle = not (self._writers.in_flight or self._ready or self._settlements)
        waited = self._clock.monotonic() - self._leased_at
        return waited >= self._settings.attention.total_seconds() or (idle and waited > 0 and self._queued > 0)

    def _follow(self, plan: Plan) -> None:
        self._settlements.extend(plan.settlements)
        self._ready.extend(plan.jobs)
        self._ready_rows += sum(len(job.tasks) for job in plan.jobs)
        if plan.refresh is not None:
            self._refresh_next = plan
        if any(settlement.settling is Settling.WAITING for settlement in plan.settlements):
            self._settle()  # at once: what they wait for may end in the next moment

    def _send(self) -> None:
        """Keep the writers busy, with no more marked as being sent than they will send in a moment."""
        now = self._clock.monotonic()
        if self._end is not None or now < self._silence.writes_from or not self._ready:
            return
        depth = max(_FEWEST_MARKED // self._work.batch, 2 * self._limit.limit)
        if 2 * self._writers.in_flight > depth:
            return
        self._writers.resize(self._limit.limit)
        room = depth - self._writers.in_flight
        jobs = [self._ready.popleft() for _ in range(min(room, len(self._ready)))]
        items = [item for job in jobs for item in job.items]
        self._ready_rows -= len(items)
        ours = {item.id for item in self._storage.mark_sending(self.grant, items)}
        self._batch_from = now if self._batch_from is None else self._batch_from
        for job in jobs:
            kept = [item for item in job.items if item.id in ours]
            if len(kept) == len(job.tasks):
                self._writers.submit(job)
            else:
                self._release(kept)

    def _take(self, done: JobDone) -> None:
        self._writers.returned()
        self._limit.completed(1, self._clock.monotonic(), saturated=bool(self._ready))
        troubles: dict[int, tuple[BaseException, Item]] = {}
        for task, answer in zip(done.job.tasks, done.answers, strict=True):
            others_succeed = self._silence.others_succeed
            if isinstance(answer, Midway):
                self._silence.answered()
                self.tally.calls += answer.calls
                self._midway.append((task.item, answer.answer))
                continue
            usual = judge(task, answer, self._settings, self._storage.now, others_succeed=others_succeed)
            self._settlements.append(self._work.settled(task.item, answer, usual))
            if isinstance(answer, Outcome):
                self._silence.succeeded()
                self.tally.outcomes[answer.kind] += 1
                self.tally.calls += answer.calls
            else:
                troubles.setdefault(id(answer), (answer, task.item))
        for error, item in troubles.values():  # one that ended many rows is one trouble
            self._target_trouble(error, item)

    def _target_trouble(self, error: BaseException, item: Item) -> None:
        """What an error means beyond the record it came with."""
        if self._silence.heed_target(error):
            self._release_ready()
        elif isinstance(error, StopWorkflowError | SetupError) and not isinstance(error, LeaseLostError):
            self._fail(error, about=str(item.key))

    def _release_ready(self) -> None:
        self._release([item for job in self._ready for item in job.items])
        self._ready.clear()
        self._ready_rows = 0

    def _release(self, items: Sequence[Item]) -> None:
        self._settlements.extend(released(item) for item in items)

    def _fail(self, error: SynclineError, about: str) -> None:
        if self.error is None:
            self.error, self.about = error, about
        self._end = CycleEnd.FAILED

    # -- settling ---------------------------------------------------------------------------------------------------

    def _settle_if_due(self) -> None:
        if not self._settlements:
            return
        waited = self._clock.monotonic() - self._settled_at
        full = len(self._settlements) >= self._settings.settle_batch
        if full or waited >= self._settings.settle_after.total_seconds() or not self._writers.in_flight:
            self._settle()

    def _settle(self) -> None:
        began = self._clock.monotonic()
        batch, self._settlements = self._settlements, []
        report = self._storage.settle(self.grant, batch)
        self.tally.refused += report.refused
        self._settled_at = self._clock.monotonic()
        if not report.settled:
            return  # the lease was lost: whoever has these rows now looks at them again
        kinds = Counter(settlement.settling for settlement in batch)
        self.tally.written += kinds[Settling.WRITTEN]
        self.tally.skipped += kinds[Settling.SKIPPED]
        self.tally.dead += kinds[Settling.DEAD]
        self.tally.delayed += kinds[Settling.RETRY]
        self.tally.held += kinds[Settling.HELD]
        self._nothing_to_lease = False  # what was released, or waited behind what was settled, is ready now
        for settlement in batch:
            if settlement.settling is Settling.DEAD:
                self._tell_of_death(settlement)
        if any(kinds[kind] for kind in _DONE_WITH):
            self._fruitless = False
            self._note_progress()
        self._tell(
            WritesSettled(
                workflow=self.grant.workflow,
                written=kinds[Settling.WRITTEN],
                skipped=kinds[Settling.SKIPPED],
                delayed=kinds[Settling.RETRY],
                dead=kinds[Settling.DEAD],
                calls=self.tally.calls - self._calls_told,
                seconds=self._settled_at - (began if self._batch_from is None else self._batch_from),
            )
        )
        self._calls_told = self.tally.calls
        self._batch_from = self._settled_at if self._writers.in_flight else None

    def _note_progress(self) -> None:
        """Once per cycle: whoever vanishes after this was no crash without progress."""
        if not self._progressed:
            self._storage.progress(self.grant)
            self._progressed = True

    def _tell_of_death(self, settlement: Settlement) -> None:
        reason = "" if settlement.reason is None else settlement.reason.value
        key, where = settlement.item.key, settlement.field
        self._tell(DeadLettered(workflow=self.grant.workflow, key=key, reason=reason, field=where))

    # -- ending -----------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Let what is in flight finish; after the deadline forbid it to begin anything more, and wait all the same."""
        deadline = self._clock.monotonic() + self._settings.drain_deadline.total_seconds()
        while self._writers.in_flight:
            if self._clock.monotonic() >= deadline:
                self._watch.revoke()
            if self._clock.monotonic() - self._beat_at >= self._settings.heartbeat.total_seconds():
                self.grant = self._storage.extend(self.grant, self._settings.lease)
                self._beat_at = self._clock.monotonic()
            self._take_events(self._settings.attention.total_seconds())
        if self._settlements:
            self._settle()
