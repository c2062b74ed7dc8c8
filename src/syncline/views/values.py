"""What a page about workflows shows, as plain frozen values.

What lives here: `WorkflowView`, `BacklogView` and the list of workflows. Workflows fill them in; a host that has a page
of its own reads them, or takes `as_data()`, which holds nothing but what JSON knows. How they look as text and as HTML
is said in the modules beside this one. No storage, no clock: a view is a snapshot and says of when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, overload

from attrs import Attribute, field, frozen

from syncline.state_machine import Action, WorkflowState
from syncline.store import WorkflowError

__all__ = ["BacklogView", "Trend", "WorkflowList", "WorkflowView"]


class Trend(StrEnum):
    """Where a backlog is heading."""

    GROWING = "growing"
    STEADY = "steady"
    SHRINKING = "shrinking"


def _not_negative(_: object, attribute: Attribute[Any], number: float | None) -> None:
    if number is not None and not number >= 0:
        raise ValueError(f"{attribute.name} cannot be {number}")


def _time_zone_aware(_: object, attribute: Attribute[Any], moment: datetime | None) -> None:
    if moment is not None and moment.utcoffset() is None:
        raise ValueError(f"{attribute.name} needs a time zone")


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _by_size(split: Mapping[str, int]) -> dict[str, int]:
    """Largest first, then by name, so that a page does not jump about."""
    return dict(sorted(split.items(), key=lambda item: (-item[1], item[0])))


@frozen(kw_only=True, repr=False)
class BacklogView:
    """How many changes were read and queued and wait to be written, and how that is going."""

    #: The exact number, what is being written right now included.
    size: int = field(validator=_not_negative)
    #: When these numbers were true.
    as_of: datetime = field(validator=_time_zone_aware)
    _by_table: Mapping[str, int] = field(factory=dict, converter=_by_size)
    _by_operation: Mapping[str, int] = field(factory=dict, converter=_by_size)
    #: When the change that has waited longest was queued; None when nothing waits.
    oldest: datetime | None = field(default=None, validator=_time_zone_aware)
    #: Records written per second of late; None before anything was measured.
    rate: float | None = field(default=None, validator=_not_negative)
    #: How long until the backlog is empty at this rate; None when nobody can say.
    eta: timedelta | None = None
    trend: Trend | None = None
    #: Being written right now.
    leased: int = field(default=0, validator=_not_negative)
    #: Held until the record they point to is at the target.
    waiting: int = field(default=0, validator=_not_negative)
    #: Held because the target asked for silence.
    throttled: int = field(default=0, validator=_not_negative)
    throttled_until: datetime | None = field(default=None, validator=_time_zone_aware)
    #: Set aside for good, and not part of `size`.
    dead: int = field(default=0, validator=_not_negative)

    @property
    def oldest_age(self) -> timedelta | None:
        """How long the oldest change has waited; never negative, also when a clock was set back."""
        return None if self.oldest is None else max(self.as_of - self.oldest, timedelta(0))

    def by_table(self) -> dict[str, int]:
        """Source table to number of queued changes, the largest first."""
        return dict(self._by_table)

    def by_operation(self) -> dict[str, int]:
        """Operation, such as `upsert`, to number of queued changes, the largest first."""
        return dict(self._by_operation)

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows: times as ISO 8601, spans in seconds."""
        return {
            "size": self.size,
            "as_of": _iso(self.as_of),
            "by_table": self.by_table(),
            "by_operation": self.by_operation(),
            "oldest": _iso(self.oldest),
            "oldest_age_seconds": _seconds(self.oldest_age),
            "rate_per_second": self.rate,
            "eta_seconds": _seconds(self.eta),
            "trend": None if self.trend is None else self.trend.value,
            "leased": self.leased,
            "waiting": self.waiting,
            "throttled": self.throttled,
            "throttled_until": _iso(self.throttled_until),
            "dead": self.dead,
        }

    def __int__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"<BacklogView {self.size} queued, {self.leased} leased, {self.dead} dead>"


@frozen(kw_only=True, repr=False)
class WorkflowView:
    """One line of the Workflows page."""

    #: The workflow's title, such as `Microsoft Dynamics 365 to Campaign`.
    name: str
    backlog: BacklogView
    status: WorkflowState
    #: What can be asked of the workflow now: edit, and either start or stop.
    actions: tuple[Action, ...] = field(converter=tuple)
    #: A stop was asked for, and what is in flight is being finished.
    stopping: bool = False
    #: One sentence per change that was edited and does not run yet; empty when what runs is what was edited last.
    pending_changes: tuple[str, ...] = field(default=(), converter=tuple)
    #: Why it is FAILED.
    error: WorkflowError | None = None
    #: Until when a service asked for silence; None while nobody did.
    throttled_until: datetime | None = field(default=None, validator=_time_zone_aware)
    #: What a person must see although the workflow goes on, such as opt-outs that cannot be delivered.
    warnings: tuple[str, ...] = field(default=(), converter=tuple)

    @property
    def stop_warns(self) -> bool:
        """Whether the Stop action carries the mark that edits wait for a stop and a start."""
        return Action.STOP in self.actions and bool(self.pending_changes)

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows: times as ISO 8601."""
        return {
            "name": self.name,
            "backlog": self.backlog.as_data(),
            "status": self.status.value,
            "stopping": self.stopping,
            "actions": [action.value for action in self.actions],
            "pending_changes": list(self.pending_changes),
            "error": None if self.error is None else _error_data(self.error),
            "throttled_until": _iso(self.throttled_until),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        stopping = ", stopping" if self.stopping else ""
        return f"<WorkflowView {self.name!r} {self.status}{stopping}, backlog {self.backlog.size}>"


def _error_data(error: WorkflowError) -> dict[str, str | None]:
    return {
        "kind": error.kind,
        "message": error.message,
        "about": error.about,
        "remedy": error.remedy,
        "at": _iso(error.at),
    }


def _as_tuple(lines: Iterable[WorkflowView]) -> tuple[WorkflowView, ...]:
    return tuple(lines)


@frozen(repr=False)
class WorkflowList(Sequence[WorkflowView]):
    """The Workflows page. Prints as a table, shows as one in a notebook, and is a sequence of its lines."""

    _lines: tuple[WorkflowView, ...] = field(converter=_as_tuple)

    @overload
    def __getitem__(self, index: int) -> WorkflowView: ...
    @overload
    def __getitem__(self, index: slice) -> WorkflowList: ...
    def __getitem__(self, index: int | slice) -> WorkflowView | WorkflowList:
        if isinstance(index, slice):
            return WorkflowList(self._lines[index])
        return self._lines[index]

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[WorkflowView]:
        return iter(self._lines)

    def as_data(self) -> list[dict[str, Any]]:
        """The lines' data, for a host's own page."""
        return [line.as_data() for line in self._lines]

    def __repr__(self) -> str:
        return f"<WorkflowList of {len(self._lines)}>"
