"""Checks of a Campaign connector: a whole workflow works with it, and trouble of every kind costs nothing but time."""

from __future__ import annotations

from contextlib import AbstractContextManager

from syncline.table_mapping import FieldMapping, TableMapping
from syncline.testing.connector_checks.campaign_subject import NOBODY, CampaignSubject
from syncline.testing.connector_checks.dynamics_subject import row_id
from syncline.testing.connector_checks.running import PEOPLE, Running, running
from syncline.testing.connector_checks.trouble import Trouble
from syncline.testing.memory_dynamics import MemoryDynamics
from syncline.workflows.ingress import IngressWorkflow


def _source() -> MemoryDynamics:
    source = MemoryDynamics()
    for number in range(PEOPLE):
        source.put(row_id(number), firstname=f"Person {number}", lastname="Quist")
    return source


def _running(subject: CampaignSubject, source: MemoryDynamics) -> AbstractContextManager[Running[IngressWorkflow]]:
    """Contacts in memory go to the subject's resource."""
    first, second = subject.text_fields
    mapping = TableMapping(
        table="contact",
        resource=subject.resource,
        key=subject.key_field,
        constants=dict(subject.required),
        fields=[FieldMapping(source="firstname", target=first), FieldMapping(source="lastname", target=second)],
    )
    return running(source, subject.connector, mapping, subject.clock)


def _in_step(subject: CampaignSubject, source: MemoryDynamics) -> None:
    """Every contact is there once, and says what the source says."""
    assert sorted(subject.keys()) == sorted(source.rows)
    for record, row in source.rows.items():
        assert subject.get(record) == subject.texts(row["firstname"], row["lastname"])


def check_a_workflow_keeps_both_sides_in_step(subject: CampaignSubject) -> None:
    """The checks before a start pass; a first load, changes and deletions arrive; nothing is left over."""
    source = _source()
    with _running(subject, source) as run:
        report = run.workflow.check()
        assert report.ok, str(report)
        run.catch_up()
        _in_step(subject, source)
        source.put(row_id(1), lastname="Changed")
        source.put(row_id(2), lastname=None)
        source.remove(row_id(3))
        run.catch_up()
        assert not (subject.get(row_id(2)) or {})[subject.text_fields[1]]
        source.put(row_id(2), lastname="Again")
        run.catch_up()
        _in_step(subject, source)
        assert len(run.workflow.dead_letters) == 0
        assert run.workflow.reconcile("contact").in_step


def check_a_workflow_gets_through_every_trouble(subject: CampaignSubject) -> None:
    """Changes and deletions go on while each trouble lasts: afterwards both sides are in step, no letter is dead."""
    source = _source()
    with _running(subject, source) as run:
        run.workflow.start()
        for number, trouble in enumerate(Trouble):
            with subject.meeting(trouble):
                run.cycle()
            run.catch_up()
            _in_step(subject, source)
            source.put(row_id(number), firstname=trouble.name)
            source.put(row_id(100 + number), firstname="New", lastname=trouble.name)
            source.remove(row_id(99 + number) if number else row_id(PEOPLE - 1))
        run.catch_up()
        _in_step(subject, source)
        assert len(run.workflow.dead_letters) == 0


def check_a_refused_record_becomes_a_dead_letter(subject: CampaignSubject) -> None:
    """Exactly the record that the service refuses is set aside, and nothing of what it says is in the reason."""
    source = MemoryDynamics()
    first, second = subject.texts().values()
    for record in (*map(row_id, range(PEOPLE)), NOBODY):
        source.put(record, firstname=first, lastname=second)
    subject.refuse(NOBODY)
    with _running(subject, source) as run:
        run.catch_up()
        (letter,) = run.workflow.dead_letters
        assert letter.key.id == NOBODY
        subject.tells_nothing(letter.message)
        assert len(list(subject.keys())) == PEOPLE
