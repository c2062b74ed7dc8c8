"""Checks of the workflows' rows: what is wished, what is, and what happened."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from syncline.state_machine import WorkflowState
from syncline.store import ActionEntry, Sample, StateChange, WorkflowError
from syncline.testing.storage_checks.subject import ACTION, NOON, WORKFLOW, Subject

_START = StateChange(
    expected_state=WorkflowState.STOPPED,
    expected_generation=0,
    state=WorkflowState.STARTING,
    generation=1,
    wanted=True,
    snapshot='{"table": "contact"}',
)
_ERROR = WorkflowError(kind="SchemaChangedError", message="gone", remedy="look", at=NOON, about="contact.name")


def check_registering_twice_keeps_the_first_definition(subject: Subject) -> None:
    """A workflow is created once, STOPPED; registering it again changes nothing."""
    row = subject.storage.register(WORKFLOW, '{"a": 1}')
    assert (row.state, row.generation, row.wanted, row.snapshot) == (WorkflowState.STOPPED, 0, False, None)
    assert subject.storage.register(WORKFLOW, '{"b": 2}') == row == subject.storage.workflow(WORKFLOW)
    assert row.definition == '{"a": 1}'


def check_unknown_workflows_are_key_errors(subject: Subject) -> None:
    """What was never registered raises KeyError, whatever is asked."""
    storage = subject.storage
    for ask in (storage.workflow, storage.counts, storage.audit, storage.positions, storage.next_due, storage.history):
        try:
            ask("nobody")
        except KeyError:
            continue
        raise AssertionError(f"{ask} knows a workflow that was never registered")


def check_a_step_happens_once(subject: Subject) -> None:
    """A step is taken only from the state and generation it expects: of two that race, one wins."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    assert storage.change_state(WORKFLOW, _START, ACTION)
    assert not storage.change_state(WORKFLOW, _START, ACTION)
    row = storage.workflow(WORKFLOW)
    assert (row.state, row.generation, row.wanted) == (WorkflowState.STARTING, 1, True)
    assert row.snapshot == _START.snapshot
    assert [action.action for action in storage.history(WORKFLOW)] == ["test"]


def check_a_step_of_an_older_generation_is_refused(subject: Subject) -> None:
    """Who looked before the workflow was stopped and started again changes nothing, although the state is the same."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    storage.change_state(WORKFLOW, _START)
    began_again = evolve(_START, expected_state=WorkflowState.STARTING, expected_generation=1, generation=2)
    assert storage.change_state(WORKFLOW, began_again)
    late = StateChange(
        expected_state=WorkflowState.STARTING, expected_generation=1, state=WorkflowState.FAILED, generation=1
    )
    assert not storage.change_state(WORKFLOW, late)
    assert not storage.change_state(WORKFLOW, evolve(late, expected_generation=3, generation=3))
    row = storage.workflow(WORKFLOW)
    assert (row.state, row.generation) == (WorkflowState.STARTING, 2)


def check_what_a_step_does_not_name_stays(subject: Subject) -> None:
    """Error, snapshot, hash, crashes and wish stay as they are where a step leaves them out."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    storage.change_state(WORKFLOW, evolve(_START, error=_ERROR, running_hash="abc"))
    step = StateChange(
        expected_state=WorkflowState.STARTING, expected_generation=1, state=WorkflowState.RUNNING, generation=1
    )
    assert storage.change_state(WORKFLOW, step)
    row = storage.workflow(WORKFLOW)
    assert (row.error, row.snapshot, row.running_hash, row.wanted) == (_ERROR, _START.snapshot, "abc", True)
    clear = evolve(step, expected_state=WorkflowState.RUNNING, clear_error=True)
    assert storage.change_state(WORKFLOW, clear)
    assert storage.workflow(WORKFLOW).error is None


def check_a_step_can_ask_for_nobody_or_for_its_own_grant(subject: Subject) -> None:
    """`require_unowned` refuses while a grant is live; a step with a lost grant is refused too."""
    storage = subject.storage
    grant = subject.grant()
    lonely = evolve(_START, require_unowned=True)
    assert not storage.change_state(WORKFLOW, lonely)
    assert storage.workflow(WORKFLOW).owner == grant.owner
    assert storage.change_state(WORKFLOW, evolve(_START, generation=0, grant=grant))
    storage.release(grant)
    assert storage.workflow(WORKFLOW).owner is None
    again = evolve(_START, expected_state=WorkflowState.STARTING, generation=0)
    assert not storage.change_state(WORKFLOW, evolve(again, grant=grant))
    assert storage.change_state(WORKFLOW, evolve(again, require_unowned=True))


def check_a_generation_never_goes_back(subject: Subject) -> None:
    """A step to a smaller generation raises ValueError and changes nothing."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    storage.change_state(WORKFLOW, _START)
    back = StateChange(
        expected_state=WorkflowState.STARTING, expected_generation=1, state=WorkflowState.STOPPED, generation=0
    )
    try:
        storage.change_state(WORKFLOW, back)
    except ValueError:
        assert storage.workflow(WORKFLOW).generation == 1
        return
    raise AssertionError("the generation went back")


def check_an_edit_leaves_the_snapshot(subject: Subject) -> None:
    """Saving a definition does not touch what runs."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    storage.change_state(WORKFLOW, _START)
    storage.save_definition(WORKFLOW, '{"new": true}', ACTION)
    row = storage.workflow(WORKFLOW)
    assert (row.definition, row.snapshot) == ('{"new": true}', _START.snapshot)


def check_a_wish_to_stop_is_noted(subject: Subject) -> None:
    """The wish to stop is there at once and the state stays until it comes true."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    storage.change_state(WORKFLOW, _START)
    row = storage.want_stop(WORKFLOW, ACTION)
    assert (row.wanted, row.state, row.stopping) == (False, WorkflowState.STARTING, True)


def check_history_is_newest_first(subject: Subject) -> None:
    """The history gives the newest entries first, as many as asked for, with any text in them."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    entries = [
        ActionEntry(at=NOON + timedelta(seconds=number), action=f"a{number}", by="Ø", detail="'; --\n")
        for number in range(5)
    ]
    for action in entries:
        storage.record(WORKFLOW, action)
    assert list(storage.history(WORKFLOW, 3)) == entries[:1:-1]
    storage.record(WORKFLOW, ActionEntry(at=NOON, action="odd", detail="half \ud83d and \0"))
    assert storage.history(WORKFLOW, 1)[0].detail.startswith("half ")


def check_workflows_do_not_meet(subject: Subject) -> None:
    """Two workflows of one storage share nothing but the epoch and the gates."""
    storage = subject.storage
    one, other = subject.grant("acme/ingress"), subject.grant("acme/egress")
    assert one.epoch < other.epoch
    storage.change_state("acme/ingress", _START)
    assert storage.workflow("acme/egress").state is WorkflowState.STOPPED
    storage.record("acme/egress", ACTION)
    assert list(storage.history("acme/ingress")) == []


def check_gates_only_grow(subject: Subject) -> None:
    """A gate stays closed until the latest time anybody named, then is open by itself."""
    storage = subject.storage
    now = storage.now()
    assert storage.gate("dynamics:app") is None
    storage.close_gate("dynamics:app", now + timedelta(seconds=60))
    storage.close_gate("dynamics:app", now + timedelta(seconds=30))
    assert storage.gate("dynamics:app") == now + timedelta(seconds=60)
    assert storage.gate("campaign:app") is None
    subject.wait(61)
    assert storage.gate("dynamics:app") is None


def check_samples_are_thinned(subject: Subject) -> None:
    """Samples come oldest first; those older than a day are thinned to one per ten minutes, and dropped in the end."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    began = storage.now().replace(minute=0, second=0, microsecond=0)
    given = [Sample(at=began + timedelta(minutes=minute), size=minute, written=7) for minute in range(20)]
    for sample in reversed(given):
        storage.add_sample(WORKFLOW, sample)
    assert list(storage.samples(WORKFLOW, began)) == given
    assert list(storage.samples(WORKFLOW, began + timedelta(minutes=5))) == given[5:]
    subject.wait(86400 + 7200)
    late = Sample(at=storage.now(), size=0, written=8)
    storage.add_sample(WORKFLOW, late)
    assert list(storage.samples(WORKFLOW, began)) == [given[0], given[10], late]
    subject.wait(30 * 86400)
    last = Sample(at=storage.now(), size=0, written=9)
    storage.add_sample(WORKFLOW, last)
    assert list(storage.samples(WORKFLOW, began)) == [last]


def check_an_open_storage_can_be_closed_and_used(subject: Subject) -> None:
    """A closed storage opens again when it is used again, and has everything."""
    subject.storage.register(WORKFLOW, "{}")
    subject.storage.close()
    subject.storage.close()
    assert subject.storage.workflow(WORKFLOW).workflow == WORKFLOW
