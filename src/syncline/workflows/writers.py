"""The threads that talk to the target.

What lives here: a pool whose threads do HTTP and nothing else. They never touch the storage: they take a job from one
queue and put what came of it into another, which the coordinator reads. The two queues are unbounded and the number of
jobs is bounded by the coordinator, so that no one ever waits for the other while holding something.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import TypeAlias

from attrs import field, frozen

from syncline.backlog import Item
from syncline.clock import Clock
from syncline.errors import LeaseLostError
from syncline.records import Outcome

__all__ = ["Answer", "Job", "JobDone", "LeaseWatch", "Midway", "ReadDone", "Task", "WriterPool"]


class LeaseWatch:
    """Tells writer threads whether this process may still write. Thread-safe; the coordinator keeps it up to date."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = clock.monotonic()
        self._revoked = False

    def allow(self, seconds: float) -> None:
        """Writes may begin during the next `seconds`."""
        self._until = self._clock.monotonic() + seconds

    def revoke(self) -> None:
        """No further request may begin, whatever the lease says."""
        self._revoked = True

    def check(self) -> None:
        """Raises LeaseLostError when nothing more may be sent."""
        if self._revoked or self._clock.monotonic() >= self._until:
            raise LeaseLostError("This process may not write any more: its lease ended or it is stopping.")


@frozen(kw_only=True)
class Midway:
    """What a row's writer learnt, to be decided on again by `Work.midway` on the coordinator."""

    answer: object
    #: Requests that count as engine calls at the target.
    calls: int = 0


#: What came of one row: an outcome, or the error that ended it.
Answer: TypeAlias = Outcome | Midway | BaseException


@frozen(kw_only=True)
class Task:
    """One row to write, and what to remember when it is written."""

    item: Item
    fingerprint: bytes | None = None
    #: Instead, when the record had to be created, because then every field was written.
    fingerprint_if_created: bytes | None = None
    forget: bool = False
    #: The person it belongs to, for a target that may not know them.
    person: str = field(default="", repr=False)


@frozen(kw_only=True)
class Job:
    """One call of a writer: for one row, or for several that the target takes together."""

    tasks: Sequence[Task]
    #: Makes the writes. Called once, on a writer thread, with `LeaseWatch.check`; one answer for each task, in their
    #: order. What it raises is the answer of all of them. Not printed: what it was made from holds values.
    send: Callable[[Callable[[], None]], Sequence[Answer]] = field(repr=False)

    @classmethod
    def single(
        cls,
        *,
        item: Item,
        send: Callable[[Callable[[], None]], Outcome | Midway],
        fingerprint: bytes | None = None,
        fingerprint_if_created: bytes | None = None,
        forget: bool = False,
    ) -> Job:
        """A job for one row."""
        task = Task(item=item, fingerprint=fingerprint, fingerprint_if_created=fingerprint_if_created, forget=forget)
        return cls(tasks=(task,), send=lambda still_ours: (send(still_ours),))

    @property
    def items(self) -> Sequence[Item]:
        """The rows it is for."""
        return [task.item for task in self.tasks]


@frozen(kw_only=True)
class JobDone:
    """What came of a job, row by row."""

    job: Job
    #: Counted, not printed: what somebody else's connector raises may repeat a record.
    answers: Sequence[Answer] = field(repr=lambda answers: f"<{len(answers)} answers>")


@frozen(kw_only=True)
class ReadDone:
    """Wakes the coordinator up: something it asked a reader for is ready."""


Event: TypeAlias = JobDone | ReadDone


class WriterPool:
    """Threads that make writes. As many as `resize` says; all end with `close`. Only the coordinator calls methods."""

    def __init__(self, events: SimpleQueue[Event], watch: LeaseWatch, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._events = events
        self._watch = watch
        self._name = name
        self._threads: list[threading.Thread] = []
        self._size = 0
        #: Jobs handed over whose results were not taken yet.
        self.in_flight = 0

    def resize(self, size: int) -> None:
        """Have this many threads at work. Those too many end once the jobs before them in the queue are begun."""
        for _ in range(self._size, size):
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        for _ in range(size, self._size):
            self._jobs.put(None)
        self._size = size

    def submit(self, job: Job) -> None:
        """Hand a job over."""
        self.in_flight += 1
        self._jobs.put(job)

    def returned(self) -> None:
        """One result was taken from the events."""
        self.in_flight -= 1

    def close(self) -> None:
        """End every thread, waiting for those that are in the middle of a request."""
        self.resize(0)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._watch.check()
                done = JobDone(job=job, answers=job.send(self._watch.check))
            except BaseException as error:  # noqa: BLE001 - a thread that ended would be waited for without end
                done = JobDone(job=job, answers=[error] * len(job.tasks))
            self._events.put(done)
