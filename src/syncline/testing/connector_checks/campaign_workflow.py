"""Checks of a Campaign connector: a whole workflow works with it, and trouble of every kind costs nothing but time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from syncline.definitions import IngressDefinition
from syncline.integration import Integration
from syncline.storage.sqlite import MemoryStorage
from syncline.table_mapping import FieldMapping, TableMapping
from syncline.testing.connector_checks.campaign_subject import NOBODY, CampaignSubject
from syncline.testing.connector_checks.dynamics_subject import row_id
from syncline.testing.connector_checks.trouble import WAIT, Trouble
from syncline.testing.memory_dynamics import MemoryDynamics
from syncline.workflows.ingress import IngressWorkflow

_PEOPLE: Final = 12
#: Longer than any wait that a service asked for and any delay of the backlog.
_LONG: Final = 4 * WAIT
_CYCLES: Final = 30


@contextmanager
def _workflow(subject: CampaignSubject, source: MemoryDynamics) -> Iterator[tuple[IngressWorkflow, MemoryStorage]]:
    """Contacts in memory go to the subject's resource."""
    columns = ("firstname", "lastname")
    mapping = TableMapping(
        table="contact",
        resource=subject.resource,
        key=subject.key_field,
        constants=dict(subject.required),
        fields=[
            FieldMapping(source=column, target=target)
            for column, target in zip(columns, subject.text_fields, strict=True)
        ],
    )
    storage = MemoryStorage()
    integration = Integration(
        dynamics=source,
        campaign=subject.connector,
        storage=storage,
        ingress=IngressDefinition(mappings=[mapping]),
        clock=subject.clock,
    )
    with integration:
        yield integration.ingress, storage


def _pass_time(subject: CampaignSubject, storage: MemoryStorage) -> None:
    subject.clock.jump(_LONG)
    storage.set_time_offset(subject.clock.ahead)


def _catch_up(subject: CampaignSubject, workflow: IngressWorkflow, storage: MemoryStorage) -> None:
    """As a scheduler would, until nothing is queued."""
    for _ in range(_CYCLES):
        if not workflow.status.started:
            workflow.start()
        _pass_time(subject, storage)
        report = workflow.run_cycle(seconds=60)
        if report.end.name == "IDLE" and not workflow.backlog.size:
            return
    raise AssertionError(f"after {_CYCLES} cycles there is still {workflow.backlog.size} to write: {workflow.error}")


def _in_step(subject: CampaignSubject, source: MemoryDynamics) -> None:
    """Every contact is there once, and says what the source says."""
    assert sorted(subject.keys()) == sorted(source.rows)
    for record, row in source.rows.items():
        assert subject.get(record) == subject.texts(row["firstname"], row["lastname"])


def check_a_workflow_keeps_both_sides_in_step(subject: CampaignSubject) -> None:
    """The checks before a start pass; a first load, changes and deletions arrive; nothing is left over."""
    source = MemoryDynamics()
    for number in range(_PEOPLE):
        source.put(row_id(number), firstname=f"Person {number}", lastname="Quist")
    with _workflow(subject, source) as (workflow, storage):
        report = workflow.check()
        assert report.ok, str(report)
        _catch_up(subject, workflow, storage)
        _in_step(subject, source)
        source.put(row_id(1), lastname="Changed")
        source.put(row_id(2), lastname=None)
        source.remove(row_id(3))
        _catch_up(subject, workflow, storage)
        assert not (subject.get(row_id(2)) or {})[subject.text_fields[1]]
        source.put(row_id(2), lastname="Again")
        _catch_up(subject, workflow, storage)
        _in_step(subject, source)
        assert len(workflow.dead_letters) == 0
        assert workflow.reconcile("contact").in_step


def check_a_workflow_gets_through_every_trouble(subject: CampaignSubject) -> None:
    """Changes and deletions go on while each trouble lasts: afterwards both sides are in step, no letter is dead."""
    source = MemoryDynamics()
    for number in range(_PEOPLE):
        source.put(row_id(number), firstname=f"Person {number}", lastname="Quist")
    with _workflow(subject, source) as (workflow, storage):
        workflow.start()
        for number, trouble in enumerate(Trouble):
            with subject.meeting(trouble):
                workflow.run_cycle(seconds=1)
            _catch_up(subject, workflow, storage)
            source.put(row_id(number), firstname=trouble.name)
            source.put(row_id(100 + number), firstname="New", lastname=trouble.name)
            source.remove(row_id(100 + number - 1) if number else row_id(_PEOPLE - 1))
        _catch_up(subject, workflow, storage)
        _in_step(subject, source)
        assert len(workflow.dead_letters) == 0


def check_a_refused_record_becomes_a_dead_letter(subject: CampaignSubject) -> None:
    """Exactly the record that the service refuses is set aside, and nothing of what it says is in the reason."""
    source = MemoryDynamics()
    first, second = subject.texts().values()
    for number in range(_PEOPLE):
        source.put(row_id(number), firstname=first, lastname=second)
    source.put(NOBODY, firstname=first, lastname=second)
    subject.refuse(NOBODY)
    with _workflow(subject, source) as (workflow, storage):
        _catch_up(subject, workflow, storage)
        (letter,) = workflow.dead_letters
        assert letter.key.id == NOBODY
        subject.tells_nothing(letter.message)
        assert len(list(subject.keys())) == _PEOPLE
