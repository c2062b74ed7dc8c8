"""The Workflows page: Name, Backlog, Status, Actions.

What lives here: `WorkflowView`, one line in plain values, filled in by a workflow; and `WorkflowList`, all of them. A
host with a page of its own takes `as_data()`. No storage, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, overload

from attrs import field, frozen

from syncline.state_machine import Action, WorkflowState
from syncline.store import WorkflowError
from syncline.views.backlog import BacklogView, time_zone_aware
from syncline.views.figures import count, moment
from syncline.views.reading import ReadProgress
from syncline.views.shown import Shown
from syncline.views.table import Align, Cell, Column, Note, Table

__all__ = ["WorkflowList", "WorkflowView"]


@frozen(kw_only=True, repr=False, str=False)
class WorkflowView(Shown):
    """One line of the Workflows page."""

    #: The workflow's title, such as `Microsoft Dynamics 365 to Campaign`.
    name: str
    backlog: BacklogView
    status: WorkflowState
    #: What can be asked of the workflow now: edit, and either start or stop.
    actions: tuple[Action, ...]
    #: A stop was asked for, and what is in flight is being finished.
    stopping: bool = False
    #: One sentence for each change that was edited and does not run yet; empty when what runs is what was edited last.
    pending_changes: tuple[str, ...] = ()
    #: Why it is FAILED.
    error: WorkflowError | None = None
    #: Until when a service asked for silence; None while nobody did.
    throttled_until: datetime | None = field(default=None, validator=time_zone_aware)
    #: Full reads that are under way or begin with the next start, such as replays.
    reading: tuple[ReadProgress, ...] = ()
    #: What a person must see although the workflow goes on, such as opt-outs that cannot be delivered.
    warnings: tuple[str, ...] = ()

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
            "stop_warns": self.stop_warns,
            "pending_changes": list(self.pending_changes),
            "error": None if self.error is None else _error_data(self.error),
            "throttled_until": None if self.throttled_until is None else self.throttled_until.isoformat(),
            "reading": [one.as_data() for one in self.reading],
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        stopping = ", stopping" if self.stopping else ""
        return f"<WorkflowView {self.name!r} {self.status}{stopping}, backlog {self.backlog.size}>"

    def _tables(self) -> Sequence[Table]:
        return WorkflowList([self])._tables()

    def _row(self) -> tuple[Cell, ...]:
        return (
            Cell(self.name),
            Cell(count(self.backlog.size)),
            Cell(self._status_text()),
            Cell(
                ", ".join(action.value.capitalize() for action in self.actions),
                mark="edits wait for a stop and a start" if self.stop_warns else "",
            ),
        )

    def _status_text(self) -> str:
        throttled = f"throttled until {moment(self.throttled_until)}" if self.throttled_until else ""
        return ", ".join(filter(None, (self.status.value, "stopping" if self.stopping else "", throttled)))

    def _note(self) -> Note | None:
        told = (*map(str, self.reading), *self._waiting_lines(), *self._pending_lines())
        lines = (*_error_lines(self.error), *self.warnings, *told)
        return Note(title=self.name, lines=lines) if lines else None

    def _waiting_lines(self) -> tuple[str, ...]:
        waiting = self.backlog.waiting
        return (f"{count(waiting)} waiting for their parent",) if waiting else ()

    def _pending_lines(self) -> tuple[str, ...]:
        if not self.pending_changes:
            return ()
        needed = "Stop and start" if self.stop_warns else "Start"
        return (f"{needed} the workflow to put in effect:", *(f"- {change}" for change in self.pending_changes))


def _error_lines(error: WorkflowError | None) -> tuple[str, ...]:
    if error is None:
        return ()
    about = f" ({error.about})" if error.about else ""
    told = f"Failed at {moment(error.at)}: {error.kind}{about}: {error.message}"
    return (told, f"What to do: {error.remedy}") if error.remedy else (told,)


def _error_data(error: WorkflowError) -> dict[str, str]:
    return {
        "kind": error.kind,
        "message": error.message,
        "about": error.about,
        "remedy": error.remedy,
        "at": error.at.isoformat(),
    }


def _as_tuple(lines: Iterable[WorkflowView]) -> tuple[WorkflowView, ...]:
    return tuple(lines)


@frozen(repr=False, str=False)
class WorkflowList(Shown, Sequence[WorkflowView]):
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

    def _tables(self) -> Sequence[Table]:
        notes = (line._note() for line in self._lines)
        table = Table(
            caption="Workflows",
            columns=(
                Column(title="Name"),
                Column(title="Backlog", align=Align.RIGHT),
                Column(title="Status"),
                Column(title="Actions"),
            ),
            rows=tuple(line._row() for line in self._lines),
            empty="none",
            notes=tuple(note for note in notes if note is not None),
        )
        return (table,)
