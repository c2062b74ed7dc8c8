"""Checks of a Dynamics connector: a whole workflow works with it, and trouble of every kind costs nothing but time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from syncline.records import Values
from syncline.table_mapping import FieldMapping, TableMapping
from syncline.testing.connector_checks.dynamics_subject import DynamicsSubject, row_id
from syncline.testing.connector_checks.running import PEOPLE, Running, running
from syncline.testing.connector_checks.trouble import Trouble
from syncline.testing.memory_campaign import MemoryCampaign
from syncline.workflows.ingress import IngressWorkflow


def _running(subject: DynamicsSubject, target: MemoryCampaign) -> AbstractContextManager[Running[IngressWorkflow]]:
    """The subject's rows go to profiles in memory."""
    first, second = subject.columns
    mapping = TableMapping(
        table=subject.table,
        resource="profile",
        fields=[FieldMapping(source=first, target="firstName"), FieldMapping(source=second, target="lastName")],
    )
    return running(subject.connector, target, mapping, subject.clock)


def _people(subject: DynamicsSubject) -> Mapping[str, Values]:
    """Some rows, as they are in the table now."""
    rows = {row_id(number): subject.texts(f"Person {number}") for number in range(PEOPLE)}
    subject.load(rows)
    return rows


def _in_step(subject: DynamicsSubject, target: MemoryCampaign, rows: Mapping[str, Values]) -> None:
    """Every row is there, and says what somebody wrote last."""
    there = {key: {name: record[name] for name in ("firstName", "lastName")} for key, record in target.records.items()}
    first, second = subject.columns
    assert there == {key: {"firstName": row[first], "lastName": row[second]} for key, row in rows.items()}


def check_a_workflow_keeps_both_sides_in_step(subject: DynamicsSubject) -> None:
    """The checks before a start pass; a first load, changes and deletions arrive; nothing is left over."""
    target, rows = MemoryCampaign(), _people(subject)
    with _running(subject, target) as run:
        report = run.workflow.check()
        assert report.ok, str(report)
        run.catch_up()
        _in_step(subject, target, rows)
        changed = {
            row_id(1): subject.texts("Changed"),
            row_id(2): subject.texts(None),
            row_id(50): subject.texts("New"),
        }
        subject.load(changed)
        subject.delete(row_id(3))
        run.catch_up()
        _in_step(subject, target, {key: row for key, row in {**rows, **changed}.items() if key != row_id(3)})
        assert len(run.workflow.dead_letters) == 0


def check_a_workflow_gets_through_every_trouble(subject: DynamicsSubject) -> None:
    """Changes and deletions go on while each trouble lasts: afterwards both sides are in step."""
    target, rows = MemoryCampaign(), _people(subject)
    with _running(subject, target) as run:
        run.workflow.start()
        for number, trouble in enumerate(Trouble):
            with subject.meeting(trouble):
                run.cycle()
            run.catch_up()
            _in_step(subject, target, rows)
            news = {row_id(number): subject.texts(trouble.name), row_id(100 + number): subject.texts("New")}
            subject.load(news)
            gone = row_id(99 + number) if number else row_id(PEOPLE - 1)
            subject.delete(gone)
            rows = {key: row for key, row in {**rows, **news}.items() if key != gone}
        run.catch_up()
        _in_step(subject, target, rows)


def check_a_lost_position_loses_no_deletion(subject: DynamicsSubject) -> None:
    """I9: what was deleted while the position expired is found by the full read that follows."""
    target, rows = MemoryCampaign(), _people(subject)
    with _running(subject, target) as run:
        run.catch_up()
        subject.delete(row_id(0))
        subject.load({row_id(1): subject.texts("Changed")})
        subject.expire_links()
        run.catch_up()
        expected = {**rows, row_id(1): subject.texts("Changed")}
        _in_step(subject, target, {key: row for key, row in expected.items() if key != row_id(0)})
