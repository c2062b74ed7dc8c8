"""What a workflow tells the outside while it works: frozen notices, the hook that receives them, and logging.

What lives here: what is worth telling, and the safe way to tell it. A notice carries names, keys and numbers; never a
record's values, a secret or a person's name. A hook can watch; it can neither change what the engine does nor hurt it.

Each notice is logged on the logger `syncline`. `extra` holds `syncline_event` (a stable name such as `page.read`) and
every field of the notice under `syncline_` and its name.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import ClassVar, Final, Protocol

from attrs import fields, frozen

from syncline.plain_text import plain
from syncline.records import ReadStage, RecordKey
from syncline.state_machine import WorkflowEvent, WorkflowState

__all__ = [
    "CycleFinished",
    "CycleStarted",
    "DeadLettered",
    "DeletesHeld",
    "Edited",
    "FileRead",
    "Hook",
    "Instrumentation",
    "LeaseLost",
    "Notice",
    "OptOutDelayed",
    "PageRead",
    "ReplayRequested",
    "ResyncStarted",
    "StateChanged",
    "SweepMended",
    "TakenOver",
    "Throttled",
    "WritesSettled",
]

logger: Final = logging.getLogger("syncline")
# Without it, Python prints warnings of libraries to stderr when the host configured no logging.
logger.addHandler(logging.NullHandler())

#: Longest text of one field in a log line, in characters. Services answer with whole pages of HTML.
_LONGEST: Final = 500


@frozen(kw_only=True)
class Notice:
    """Something happened. The base of all notices."""

    #: Stable name, for filters and metrics.
    event: ClassVar[str]
    level: ClassVar[int] = logging.INFO

    #: Which workflow of which integration it happened to.
    workflow: str

    def summary(self) -> str:
        """What happened, as a sentence without the workflow's name."""
        raise NotImplementedError


@frozen(kw_only=True)
class CycleStarted(Notice):
    """A slice of work begins."""

    event: ClassVar[str] = "cycle.started"
    level: ClassVar[int] = logging.DEBUG
    generation: int

    def summary(self) -> str:
        return f"cycle of generation {self.generation} started"


@frozen(kw_only=True)
class CycleFinished(Notice):
    """A slice of work ended, for whatever reason."""

    event: ClassVar[str] = "cycle.finished"
    generation: int
    seconds: float
    #: Changes that arrived from the source.
    read: int
    #: Changes that are at the target as wanted now.
    written: int
    #: Records that were set aside.
    dead: int
    #: What is still queued.
    backlog: int

    def summary(self) -> str:
        return (
            f"cycle finished after {self.seconds:.1f} s: {self.read} read, {self.written} written, "
            f"{self.dead} set aside, {self.backlog} still queued"
        )


@frozen(kw_only=True)
class FileRead(Notice):
    """Rows of an exported file and the mark behind them are stored."""

    event: ClassVar[str] = "file.read"
    level: ClassVar[int] = logging.DEBUG
    file: str
    rows: int
    queued: int
    #: Rows that are no events, or events that are known.
    skipped: int
    #: Rows that could not be understood; they are dead letters now.
    refused: int
    #: The file was read to its end.
    done: bool
    seconds: float

    def summary(self) -> str:
        end = ", to its end" if self.done else ""
        return (
            f"{self.rows} rows of {self.file} read{end}: {self.queued} queued, {self.skipped} skipped, "
            f"{self.refused} refused in {self.seconds:.2f} s"
        )


@frozen(kw_only=True)
class PageRead(Notice):
    """A page and the position behind it are stored."""

    event: ClassVar[str] = "page.read"
    level: ClassVar[int] = logging.DEBUG
    table: str
    stage: ReadStage
    changes: int
    queued: int
    #: Changes the rules found nothing to do for.
    skipped: int
    #: Changes the rules refused; they are dead letters now.
    refused: int
    seconds: float

    def summary(self) -> str:
        return (
            f"page of {self.table} read ({self.stage.value}): {self.changes} changes, {self.queued} queued, "
            f"{self.skipped} skipped, {self.refused} refused, {self.seconds:.2f} s"
        )


@frozen(kw_only=True)
class WritesSettled(Notice):
    """A batch of leased changes was settled."""

    event: ClassVar[str] = "writes.settled"
    level: ClassVar[int] = logging.DEBUG
    written: int
    skipped: int
    #: Put back, to be tried again later.
    delayed: int
    dead: int
    #: Requests of this batch that count as engine calls at the target.
    calls: int
    #: From the batch's first request until it was stored.
    seconds: float

    def summary(self) -> str:
        return (
            f"writes settled: {self.written} written, {self.skipped} skipped, {self.delayed} delayed, "
            f"{self.dead} set aside, {self.calls} calls, {self.seconds:.2f} s"
        )


@frozen(kw_only=True)
class Throttled(Notice):
    """A service asked for silence, and gets it."""

    event: ClassVar[str] = "throttled"
    level: ClassVar[int] = logging.WARNING
    #: Who is throttled, where; as `connectors.base.Gate.principal` names it.
    principal: str
    until: datetime

    def summary(self) -> str:
        return f"{self.principal} is throttled until {self.until.isoformat(timespec='seconds')}"


@frozen(kw_only=True)
class DeadLettered(Notice):
    """A record was set aside; the others flow."""

    event: ClassVar[str] = "dead_lettered"
    level: ClassVar[int] = logging.WARNING
    key: RecordKey
    reason: str
    field: str = ""

    def summary(self) -> str:
        where = f", field {self.field}" if self.field else ""
        return f"{self.key} was set aside: {self.reason}{where}"


@frozen(kw_only=True)
class OptOutDelayed(Notice):
    """An opt-out could not be delivered yet. It is tried again without end, and told every time."""

    event: ClassVar[str] = "opt_out.delayed"
    level: ClassVar[int] = logging.ERROR
    key: RecordKey
    attempts: int
    reason: str

    def summary(self) -> str:
        return f"the opt-out of {self.key} is not delivered after {self.attempts} attempts: {self.reason}"


@frozen(kw_only=True)
class StateChanged(Notice):
    """The workflow took a step of its state machine. Becoming FAILED is logged as an error."""

    event: ClassVar[str] = "state.changed"
    before: WorkflowState
    after: WorkflowState
    cause: WorkflowEvent
    generation: int
    #: For FAILED: the error's class and what it is about.
    detail: str = ""

    def summary(self) -> str:
        because = f"; {self.detail}" if self.detail else ""
        return f"{self.before.value} -> {self.after.value} ({self.cause.value}), generation {self.generation}{because}"


@frozen(kw_only=True)
class TakenOver(Notice):
    """The process that held the workflow vanished without letting go; this one goes on in its place."""

    event: ClassVar[str] = "taken_over"
    level: ClassVar[int] = logging.WARNING
    generation: int
    epoch: int
    #: How often in a row an owner vanished without progress.
    crashes: int

    def summary(self) -> str:
        return f"taken over from a process that vanished (epoch {self.epoch}, {self.crashes} in a row)"


@frozen(kw_only=True)
class LeaseLost(Notice):
    """This process was taken over; it changes nothing more."""

    event: ClassVar[str] = "lease.lost"
    level: ClassVar[int] = logging.WARNING
    generation: int
    epoch: int

    def summary(self) -> str:
        return f"lost the lease of epoch {self.epoch} to another process"


@frozen(kw_only=True)
class Edited(Notice):
    """A new definition was stored. It takes effect at the next start."""

    event: ClassVar[str] = "edited"
    #: How many single changes the edit is made of.
    changes: int

    def summary(self) -> str:
        return f"definition edited ({self.changes} changes), in effect from the next start"


@frozen(kw_only=True)
class ReplayRequested(Notice):
    """All records of a table will be sent again from the next start."""

    event: ClassVar[str] = "replay.requested"
    table: str

    def summary(self) -> str:
        return f"replay of {self.table} requested, from the next start"


@frozen(kw_only=True)
class ResyncStarted(Notice):
    """The position in the source was lost; a full read that also finds deletions follows."""

    event: ClassVar[str] = "resync.started"
    level: ClassVar[int] = logging.WARNING
    table: str
    reason: str

    def summary(self) -> str:
        return f"full read of {self.table}: {self.reason}"


@frozen(kw_only=True)
class DeletesHeld(Notice):
    """So many records left the filters, or were not found any more, that their deletion waits for a confirmation."""

    event: ClassVar[str] = "deletes.held"
    level: ClassVar[int] = logging.WARNING
    table: str
    held: int
    #: How many would have gone without a word.
    most: int

    def summary(self) -> str:
        return f"{self.held:,} deletions of {self.table} wait for a confirmation: no more than {self.most:,} go unasked"


@frozen(kw_only=True)
class SweepMended(Notice):
    """The rolling comparison found records that were not as they should be, and queued them."""

    event: ClassVar[str] = "sweep.mended"
    level: ClassVar[int] = logging.WARNING
    table: str
    #: Records looked at in this step.
    checked: int
    mended: int

    def summary(self) -> str:
        return f"{self.mended} of {self.checked} records of {self.table} were not in Campaign as they should be"


class Hook(Protocol):
    """Receives every notice. Any callable with one argument will do.

    - It may be called from several threads at once, and from inside a cycle: return quickly, block on nothing.
    - What it raises is contained and logged, the first time with its traceback, and never again for that hook.
    """

    def __call__(self, notice: Notice, /) -> None:
        """Take note."""


class Instrumentation:
    """Tells each notice to the log and to every hook, and lets nothing they do come back."""

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._hooks: tuple[Hook, ...] = (log_notice, *hooks)
        self._complained: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, notice: Notice, /) -> None:
        """Tell it. Returns whatever the hooks do, KeyboardInterrupt and SystemExit excepted."""
        for number, hook in enumerate(self._hooks):
            try:
                hook(notice)
            except Exception:  # noqa: BLE001 - a watcher of any kind must not stop the engine
                self._complain_once(number, hook, notice)

    def _complain_once(self, number: int, hook: Hook, notice: Notice) -> None:
        with self._lock:
            if number in self._complained:
                return
            self._complained.add(number)
        try:
            logger.error(
                "hook %s failed on %s; its further failures are not logged",
                plain(getattr(hook, "__qualname__", type(hook).__qualname__)),
                notice.event,
                exc_info=True,
                extra={"syncline_event": "hook.failed"},
            )
        except Exception:  # noqa: BLE001 - the host's own logging is what fails: nobody is left to be told
            return

    def __repr__(self) -> str:
        return f"<Instrumentation with {len(self._hooks) - 1} hooks, {len(self._complained)} failed>"


def log_notice(notice: Notice, /) -> None:
    """The hook that is always there: one line on the logger `syncline`, the notice's fields in `extra`."""
    level = logging.ERROR if _is_failure(notice) else notice.level
    if logger.isEnabledFor(level):
        logger.log(
            level, "%s: %s", plain(notice.workflow), plain(notice.summary(), limit=_LONGEST), extra=_extra(notice)
        )


def _is_failure(notice: Notice) -> bool:
    return isinstance(notice, StateChanged) and notice.after is WorkflowState.FAILED


def _extra(notice: Notice) -> dict[str, str | int | float]:
    """Prefixed, since `logging` refuses names it uses itself, such as `name` and `message`."""
    told: dict[str, str | int | float] = {"syncline_event": notice.event}
    for attribute in fields(type(notice)):
        told[f"syncline_{attribute.name}"] = _loggable(getattr(notice, attribute.name))
    return told


def _loggable(value: object) -> str | int | float:
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return plain(str(value.value if isinstance(value, Enum) else value), limit=_LONGEST)
