"""The life of a workflow, walked through."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from syncline.errors import ActionNotAvailableError
from syncline.state_machine import (
    INITIAL_STATE,
    TRANSITIONS,
    Action,
    InvalidTransitionError,
    WorkflowEvent,
    WorkflowState,
    available_actions,
    next_state,
    require_action,
    to_dot,
    to_mermaid,
)

S, E = WorkflowState, WorkflowEvent
EVERY_PAIR = list(itertools.product(WorkflowState, WorkflowEvent))
UNKNOWN_PAIRS = [pair for pair in EVERY_PAIR if pair not in TRANSITIONS]


def reachable_from(state: WorkflowState) -> set[WorkflowState]:
    found = {state}
    while True:
        further = found | {after for (before, _), after in TRANSITIONS.items() if before in found}
        if further == found:
            return found
        found = further


@pytest.mark.parametrize("state", WorkflowState)
def test_every_state_can_be_reached_from_every_other(state: WorkflowState) -> None:
    """No state is a dead end: whatever happened, every status can come again."""
    assert reachable_from(state) == set(WorkflowState)


def test_every_event_is_used() -> None:
    """An event without a transition would be a promise nobody keeps."""
    assert {event for _, event in TRANSITIONS} == set(WorkflowEvent)


@pytest.mark.parametrize(("state", "event"), UNKNOWN_PAIRS)
def test_an_unknown_pair_raises_and_changes_nothing(state: WorkflowState, event: WorkflowEvent) -> None:
    """What is not in the table cannot happen; the error names the state and the event, and the table stays."""
    before = dict(TRANSITIONS)
    with pytest.raises(InvalidTransitionError) as raised:
        next_state(state, event)
    assert state.value in str(raised.value)
    assert event.value in str(raised.value)
    assert (raised.value.state, raised.value.event) == (state, event)
    assert dict(TRANSITIONS) == before


def test_the_table_cannot_be_changed() -> None:
    """The one table is read-only."""
    with pytest.raises(TypeError):
        TRANSITIONS[S.STOPPED, E.CHECKS_PASSED] = S.RUNNING  # type: ignore[index]


@pytest.mark.parametrize(
    ("events", "states"),
    [
        ([E.START_REQUESTED, E.CHECKS_PASSED, E.DRAINED], [S.STARTING, S.RUNNING, S.STOPPED]),
        ([E.START_REQUESTED, E.CHECKS_FAILED, E.START_REQUESTED], [S.STARTING, S.FAILED, S.STARTING]),
        ([E.START_REQUESTED, E.DRAINED], [S.STARTING, S.STOPPED]),
        ([E.START_REQUESTED, E.CHECKS_PASSED, E.UNRECOVERABLE], [S.STARTING, S.RUNNING, S.FAILED]),
        ([E.START_REQUESTED, E.CRASH_LOOP, E.EDITED], [S.STARTING, S.FAILED, S.FAILED]),
        ([E.EDITED, E.REPLAY_REQUESTED], [S.STOPPED, S.STOPPED]),
    ],
)
def test_the_lives_a_workflow_can_lead(events: list[WorkflowEvent], states: list[WorkflowState]) -> None:
    """Start goes through STARTING to RUNNING; a failed pre-flight, an error or a crash loop ends in FAILED."""
    state, walked = INITIAL_STATE, []
    for event in events:
        state = next_state(state, event)
        walked.append(state)
    assert walked == states


@pytest.mark.parametrize("event", [E.EDITED, E.REPLAY_REQUESTED])
@pytest.mark.parametrize("state", WorkflowState)
def test_edit_and_replay_never_touch_what_runs(state: WorkflowState, event: WorkflowEvent) -> None:
    """They are possible in every state and leave it as it is: they take effect at the next start."""
    assert next_state(state, event) is state


@pytest.mark.parametrize("state", WorkflowState)
def test_start_and_stop_are_one_toggle(state: WorkflowState) -> None:
    """Edit is always offered; start exactly when stopped or failed, stop exactly when started."""
    available = available_actions(state)
    assert Action.EDIT in available
    assert (Action.START in available) == (state in (S.STOPPED, S.FAILED))
    assert (Action.STOP in available) == (state in (S.STARTING, S.RUNNING))


@pytest.mark.parametrize("state", WorkflowState)
def test_start_is_offered_exactly_where_the_table_knows_it(state: WorkflowState) -> None:
    """The offered actions and the table cannot contradict each other."""
    assert (Action.START in available_actions(state)) == ((state, E.START_REQUESTED) in TRANSITIONS)
    assert (Action.STOP in available_actions(state)) == ((state, E.DRAINED) in TRANSITIONS)


@pytest.mark.parametrize(("action", "state"), list(itertools.product(Action, WorkflowState)))
def test_an_action_that_is_not_available_is_refused_by_name(action: Action, state: WorkflowState) -> None:
    """The refusal names the action, the status and the actions that are available; an available one passes."""
    if action in available_actions(state):
        require_action(action, state)
        return
    with pytest.raises(ActionNotAvailableError) as refused:
        require_action(action, state)
    assert (refused.value.action, refused.value.status) == (action.value, state.value)
    assert refused.value.available == tuple(offer.value for offer in available_actions(state))


@pytest.mark.parametrize("draw", [to_mermaid, to_dot])
def test_the_drawings_show_every_transition(draw: Callable[[], str]) -> None:
    """The diagrams in the documentation come from the table and leave nothing out."""
    drawn = draw()
    for state in WorkflowState:
        assert state.value in drawn
    for event in WorkflowEvent:
        assert event.value in drawn
    for (before, _), after in TRANSITIONS.items():
        assert any(f"{before.value} {arrow} {after.value}" in drawn for arrow in ("->", "-->"))
