"""What becomes of a queued record after its write was tried.

What lives here: the step from an outcome or an error to a settlement. Pure; what an error means for the whole workflow
is the cycle's business.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from queue import SimpleQueue

from syncline.backlog import DeadReason, Item, Settlement, Settling
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    ConversionError,
    LeaseLostError,
    SetupError,
    SkipRecordError,
    StopWorkflowError,
    SynclineError,
    ThrottledError,
    UnavailableError,
)
from syncline.records import Outcome, OutcomeKind
from syncline.workflows.settings import EngineSettings
from syncline.workflows.writers import Answer, Event, JobDone, Task

__all__ = ["dead", "held", "judge", "late", "postponed", "released", "retry_delay", "skipped"]

#: For the ledger: the target may have the record, and nobody knows with which values.
_IN_DOUBT = b""


def released(item: Item) -> Settlement:
    """Back into the queue as if it had never been claimed."""
    return Settlement(item=item, settling=Settling.RELEASED)


def postponed(item: Item, until: datetime) -> Settlement:
    """Back into the queue, not before then, because somebody could not be asked about it; no fault of the record."""
    return Settlement(item=item, settling=Settling.RETRY, retry_at=until, counts=False)


def held(item: Item) -> Settlement:
    """Back into the queue as a deletion that waits to be let go or confirmed."""
    return Settlement(item=item, settling=Settling.HELD)


def skipped(item: Item, *, in_step: bool = False) -> Settlement:
    """Nothing has to be written. What an earlier attempt may have left at the target is not forgotten over it.

    `in_step` says that the record was looked at and is as the rules want it.
    """
    fingerprint = _IN_DOUBT if item.ambiguous else None
    return Settlement(item=item, settling=Settling.SKIPPED, fingerprint=fingerprint, in_step=in_step)


def dead(item: Item, reason: DeadReason, message: str, field: str = "", *, ambiguous: bool = False) -> Settlement:
    """Set aside. `ambiguous` says that the last attempt may have been applied."""
    return Settlement(
        item=item, settling=Settling.DEAD, reason=reason, field=field, message=message, ambiguous=ambiguous
    )


def retry_delay(attempts: int, settings: EngineSettings) -> timedelta:
    """Doubling from the first delay to the longest, less up to a third at random so that a herd does not come back."""
    doubled: timedelta = settings.retry_first * (1 << min(max(attempts - 1, 0), 30))
    whole = min(doubled, settings.retry_most)
    return whole * (1 - random.random() / 3)  # noqa: S311 - jitter, not a secret


def judge(
    task: Task,
    answer: Answer,
    settings: EngineSettings,
    now: Callable[[], datetime],
    *,
    others_succeed: bool,
) -> Settlement:
    """The settlement of a row.

    - An outcome: WRITTEN; SET_ASIDE when the target does not know the person it belongs to.
    - Not sent, or turned away before it was applied (throttled, lease ended, workflow failing): RELEASED.
    - The record is at fault: DEAD.
    - Anything else: RETRY after a delay. The attempt counts against the record only when `others_succeed`, so that an
      outage sets nobody aside; when it has failed too often that way: DEAD.
    """
    item = task.item
    if isinstance(answer, Outcome):
        if answer.kind is OutcomeKind.PARENT_UNKNOWN:
            return Settlement(item=item, settling=Settling.SET_ASIDE, person=task.person)
        fingerprint = task.fingerprint_if_created if answer.kind is OutcomeKind.CREATED else task.fingerprint
        return Settlement(item=item, settling=Settling.WRITTEN, fingerprint=fingerprint, forget=task.forget)
    if not isinstance(answer, BaseException):
        raise TypeError(f"{type(answer).__name__} is no end of a row")
    error = answer
    if isinstance(error, ThrottledError | LeaseLostError | StopWorkflowError | SetupError):
        return released(item)
    if isinstance(error, SkipRecordError):
        reason = DeadReason.CONVERSION if isinstance(error, ConversionError) else DeadReason.REFUSED
        return dead(item, reason, str(error), error.field)
    # An error nobody knows may have come after the target was changed.
    ambiguous = not isinstance(error, ConflictError | UnavailableError)
    counts = others_succeed or not isinstance(error, UnavailableError | AmbiguousWriteError)
    if counts and item.attempts >= settings.max_attempts:
        why = f"It failed {item.attempts} times while other records were written; last: {described(error)}"
        return dead(item, DeadReason.EXHAUSTED, why, ambiguous=ambiguous)
    delay = settings.retry_first / 10 if isinstance(error, ConflictError) else retry_delay(item.attempts, settings)
    return Settlement(
        item=item,
        settling=Settling.RETRY,
        retry_at=now() + delay,
        ambiguous=ambiguous,
        counts=counts,
    )


def described(error: BaseException) -> str:
    """Our own errors speak without record values; of anything else only the class is safe to repeat."""
    return str(error) if isinstance(error, SynclineError) else f"the connector raised {type(error).__name__}"


def late(settlements: Iterable[Settlement], events: SimpleQueue[Event], settings: EngineSettings) -> list[Settlement]:
    """Of a worker whose lease is lost and whose threads have ended: the writes that were made and not settled yet."""
    written = [settlement for settlement in settlements if settlement.settling is Settling.WRITTEN]
    while not events.empty():
        done = events.get_nowait()
        for task, answer in zip(done.job.tasks, done.answers, strict=True) if isinstance(done, JobDone) else ():
            if isinstance(answer, Outcome) and answer.kind is not OutcomeKind.PARENT_UNKNOWN:
                written.append(judge(task, answer, settings, _never, others_succeed=True))
    return written


def _never() -> datetime:
    raise AssertionError("what was written is not tried again")
