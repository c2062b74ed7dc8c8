"""The life of a workflow: its states, its events and the one table of transitions.

What lives here: the table, the questions that can be answered from it alone, and its drawing. Who may cause an event,
and what is stored with it, is the business of the workflows and the storage. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from syncline.errors import ActionNotAvailableError, SynclineError

__all__ = [
    "INITIAL_STATE",
    "TRANSITIONS",
    "Action",
    "InvalidTransitionError",
    "WorkflowEvent",
    "WorkflowState",
    "available_actions",
    "next_state",
    "require_action",
    "to_dot",
    "to_mermaid",
]


class WorkflowState(StrEnum):
    """The status of a workflow."""

    #: Nothing runs.
    STOPPED = "STOPPED"
    #: A start was requested and the pre-flight runs; nothing is read or written yet.
    STARTING = "STARTING"
    #: Data is being synchronised, also while a service has asked for silence.
    RUNNING = "RUNNING"
    #: It ran, met an error and could not recover. Only a new start leaves this state.
    FAILED = "FAILED"

    @property
    def started(self) -> bool:
        """Whether the processes were started: the workflow can be stopped and not started."""
        return self in (WorkflowState.STARTING, WorkflowState.RUNNING)


class WorkflowEvent(StrEnum):
    """What can happen to a workflow."""

    START_REQUESTED = "start requested"
    CHECKS_PASSED = "checks passed"
    CHECKS_FAILED = "checks failed"
    #: A stop was requested and no write is under way any more.
    DRAINED = "stop requested, drained"
    UNRECOVERABLE = "unrecoverable error"
    #: The process that owned the workflow died too often without progress in between.
    CRASH_LOOP = "owner crashed too often"
    EDITED = "edited"
    REPLAY_REQUESTED = "replay requested"


class Action(StrEnum):
    """What a person can ask of a workflow on its page. Start and stop are one toggle."""

    EDIT = "edit"
    START = "start"
    STOP = "stop"


#: The state of a workflow nobody has started yet.
INITIAL_STATE: Final = WorkflowState.STOPPED

#: Every transition there is. A pair that is not in here cannot happen.
TRANSITIONS: Final[Mapping[tuple[WorkflowState, WorkflowEvent], WorkflowState]] = MappingProxyType(
    {
        (WorkflowState.STOPPED, WorkflowEvent.START_REQUESTED): WorkflowState.STARTING,
        (WorkflowState.FAILED, WorkflowEvent.START_REQUESTED): WorkflowState.STARTING,
        (WorkflowState.STARTING, WorkflowEvent.CHECKS_PASSED): WorkflowState.RUNNING,
        (WorkflowState.STARTING, WorkflowEvent.CHECKS_FAILED): WorkflowState.FAILED,
        (WorkflowState.STARTING, WorkflowEvent.DRAINED): WorkflowState.STOPPED,
        (WorkflowState.RUNNING, WorkflowEvent.DRAINED): WorkflowState.STOPPED,
        (WorkflowState.RUNNING, WorkflowEvent.UNRECOVERABLE): WorkflowState.FAILED,
        (WorkflowState.STARTING, WorkflowEvent.CRASH_LOOP): WorkflowState.FAILED,
        (WorkflowState.RUNNING, WorkflowEvent.CRASH_LOOP): WorkflowState.FAILED,
        # Noted, and taken up by the next start: what runs keeps the definition it started with.
        (WorkflowState.STOPPED, WorkflowEvent.EDITED): WorkflowState.STOPPED,
        (WorkflowState.STARTING, WorkflowEvent.EDITED): WorkflowState.STARTING,
        (WorkflowState.RUNNING, WorkflowEvent.EDITED): WorkflowState.RUNNING,
        (WorkflowState.FAILED, WorkflowEvent.EDITED): WorkflowState.FAILED,
        (WorkflowState.STOPPED, WorkflowEvent.REPLAY_REQUESTED): WorkflowState.STOPPED,
        (WorkflowState.STARTING, WorkflowEvent.REPLAY_REQUESTED): WorkflowState.STARTING,
        (WorkflowState.RUNNING, WorkflowEvent.REPLAY_REQUESTED): WorkflowState.RUNNING,
        (WorkflowState.FAILED, WorkflowEvent.REPLAY_REQUESTED): WorkflowState.FAILED,
    }
)


class InvalidTransitionError(SynclineError):
    """An event reached a workflow in a state that does not know it. Nothing was changed.

    In a race this means that another process was first: read the state again. `state` and `event` say which pair.
    """

    def __init__(self, state: WorkflowState, event: WorkflowEvent) -> None:
        known = ", ".join(sorted(known_event for known_state, known_event in TRANSITIONS if known_state is state))
        super().__init__(f"A workflow that is {state} knows no event '{event}'. It knows: {known}.")
        self.state = state
        self.event = event


def next_state(state: WorkflowState, event: WorkflowEvent) -> WorkflowState:
    """The state that follows. Raises InvalidTransitionError for a pair that is not in the table; changes nothing."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransitionError(state, event) from None


def available_actions(state: WorkflowState) -> tuple[Action, ...]:
    """The actions a workflow offers in this state: edit always, and either start or stop.

    A workflow that is stopping is still STARTING or RUNNING and still offers stop: asking again does no harm.
    """
    toggle = Action.STOP if state.started else Action.START
    return (Action.EDIT, toggle)


def require_action(action: Action, state: WorkflowState) -> None:
    """Raise ActionNotAvailableError, which names the status and the actions that are available, unless `action` is."""
    available = available_actions(state)
    if action not in available:
        raise ActionNotAvailableError(action.value, status=state.value, available=[offer.value for offer in available])


def _labelled_edges() -> dict[tuple[WorkflowState, WorkflowState], list[str]]:
    edges: dict[tuple[WorkflowState, WorkflowState], list[str]] = {}
    for (state, event), following in TRANSITIONS.items():
        edges.setdefault((state, following), []).append(event.value)
    return edges


def to_mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {INITIAL_STATE}"]
    lines += [f"    {start} --> {end}: {' / '.join(labels)}" for (start, end), labels in _labelled_edges().items()]
    return "\n".join(lines) + "\n"


def to_dot() -> str:
    """The table as a Graphviz graph."""
    lines = ["digraph workflow {", "    rankdir=LR;", "    node [shape=box, style=rounded];"]
    lines += [f"    {state};" for state in WorkflowState]
    lines += [
        f'    {start} -> {end} [label="{" / ".join(labels)}"];' for (start, end), labels in _labelled_edges().items()
    ]
    return "\n".join([*lines, "}"]) + "\n"
