"""What a cycle did, and why it ended.

What lives here: values only. The cycle itself is in `syncline.workflows.cycle`.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import define, evolve, field, frozen

from syncline.backlog import Role
from syncline.records import OutcomeKind
from syncline.state_machine import WorkflowState

__all__ = ["CycleEnd", "CycleReport", "Tally"]

#: What two reports add up to.
_SUMS: Final = ("read", "written", "skipped", "dead", "delayed", "held", "refused", "calls", "seconds")


class CycleEnd(StrEnum):
    """Why a cycle ended."""

    #: Nothing was started.
    NOT_STARTED = "not started"
    #: As many processes as may are at work.
    BUSY = "another process works"
    #: The budget of time or records is used up.
    BUDGET = "budget used up"
    #: Everything there was to read is read; everything that can be written now is written, or with other workers.
    IDLE = "caught up"
    #: A stop was asked for.
    STOP = "stop requested"
    #: The host wants its thread back; the workflow goes on in the next cycle.
    ASKED = "asked to end"
    #: A service asked for silence for longer than this cycle lasts.
    THROTTLED = "throttled"
    #: A service cannot be reached.
    UNAVAILABLE = "service unavailable"
    #: Something that must not be ignored; the workflow becomes FAILED.
    FAILED = "failed"
    #: Another process took the workflow over.
    LEASE_LOST = "lease lost"
    #: Nobody reads any more: within `run_cycle` this worker goes on as the reader.
    NO_READER = "nobody reads"


@define(kw_only=True)
class Tally:
    """What a cycle did."""

    read: int = 0
    written: int = 0
    skipped: int = 0
    dead: int = 0
    delayed: int = 0
    held: int = 0
    refused: int = 0
    calls: int = 0
    outcomes: Counter[OutcomeKind] = field(factory=Counter)


@frozen(kw_only=True)
class CycleReport:
    """What one call of `run_cycle` did, and when it is worth calling again."""

    end: CycleEnd
    #: The status afterwards.
    status: WorkflowState
    #: What this process did among the workers of the workflow; None when it was not one of them.
    role: Role | None = None
    read: int = 0
    written: int = 0
    skipped: int = 0
    dead: int = 0
    delayed: int = 0
    #: Deletions that wait until they are let go or confirmed.
    held: int = 0
    #: Writes of this worker that were made and not counted, because its lease had been lost meanwhile.
    refused: int = 0
    #: Requests that count as engine calls at the target.
    calls: int = 0
    seconds: float = 0.0
    #: When waiting ends, where that is known.
    resume_at: datetime | None = None
    #: What a person should know, such as why nothing was done.
    message: str = ""

    @property
    def worked(self) -> bool:
        """Whether this call did the work; False when another process had it, or nothing was started."""
        return self.end not in (CycleEnd.BUSY, CycleEnd.NOT_STARTED, CycleEnd.LEASE_LOST)

    def followed_by(self, later: CycleReport) -> CycleReport:
        """Both as one: what was done in either, and how the later one ended."""
        done = {name: getattr(self, name) + getattr(later, name) for name in _SUMS}
        return evolve(later, role=later.role or self.role, **done)
