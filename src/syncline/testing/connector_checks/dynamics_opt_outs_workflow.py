"""Checks of a Dynamics connector: Opt-In/Out works with it, and trouble of every kind loses no opt-out."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Final

from syncline.definitions import OptOutDefinition, OptOutDirection, OptOutPair
from syncline.errors import CheckFailedError
from syncline.testing.connector_checks.dynamics_subject import DynamicsSubject, row_id
from syncline.testing.connector_checks.running import PEOPLE, Running, running_opt_outs
from syncline.testing.connector_checks.trouble import Trouble
from syncline.testing.memory_campaign import MemoryCampaign
from syncline.workflows.opt_out import OptOutWorkflow

_CHANNEL: Final = "blackListEmail"


def _target(subject: DynamicsSubject) -> MemoryCampaign:
    """A profile for every contact, and everybody opted in on both sides."""
    people = subject.fill(PEOPLE)
    subject.load({record: {subject.opt_out: False} for record in people})
    target = MemoryCampaign(opt_outs=[_CHANNEL], clock=subject.clock)
    for record in people:
        target.put(record)
    return target


def _running(
    subject: DynamicsSubject, target: MemoryCampaign, direction: OptOutDirection
) -> AbstractContextManager[Running[OptOutWorkflow]]:
    pair = OptOutPair(dynamics=subject.opt_out, campaign=_CHANNEL)
    definition = OptOutDefinition(direction=direction, pairs=[pair])
    return running_opt_outs(subject.connector, target, definition, subject.clock)


def _out(subject: DynamicsSubject, target: MemoryCampaign, people: Collection[str]) -> None:
    """Exactly these people are opted out, on both sides."""
    everybody = [row_id(number) for number in range(PEOPLE)]
    assert {record for record in everybody if subject.opted_out(record)} == {*people}, "in Dynamics"
    assert {key for key, record in target.records.items() if record[_CHANNEL]} == {*people}, "in Campaign"


def check_opt_outs_of_contacts_reach_campaign(subject: DynamicsSubject) -> None:
    """The checks before a start pass; who opts out in Dynamics is out in Campaign, and in again; nobody else is."""
    if not subject.opt_out:
        return
    target = _target(subject)
    with _running(subject, target, OptOutDirection.DYNAMICS_TO_CAMPAIGN) as run:
        report = run.workflow.check()
        assert report.ok, str(report)
        run.catch_up()
        _out(subject, target, [])
        subject.load({row_id(1): {subject.opt_out: True}, row_id(2): {subject.opt_out: True}})
        run.catch_up()
        _out(subject, target, [row_id(1), row_id(2)])
        subject.load({row_id(1): {subject.opt_out: False}})
        run.catch_up()
        _out(subject, target, [row_id(2)])


def check_opt_outs_of_profiles_reach_contacts(subject: DynamicsSubject) -> None:
    """Who opts out in Campaign is out in Dynamics; nothing else of a contact changes.

    With a connector without `update_over` the workflow does not start, and changes nobody.
    """
    if not subject.opt_out:
        return
    target = _target(subject)
    with _running(subject, target, OptOutDirection.CAMPAIGN_TO_DYNAMICS) as run:
        if not subject.updates_over:
            target.put(row_id(1), **{_CHANNEL: True})
            run.cycle()
            assert run.workflow.error is not None, "the workflow starts with a connector that has no update_over()"
            assert run.workflow.error.kind == CheckFailedError.__name__
            assert subject.opted_out(row_id(1)) is False
            return
        run.catch_up()
        target.put(row_id(1), **{_CHANNEL: True})
        run.catch_up()
        _out(subject, target, [row_id(1)])
        assert subject.get(row_id(1)) == subject.texts("Person 1")


def check_opt_outs_get_through_every_trouble(subject: DynamicsSubject) -> None:
    """People opt out on either side while each trouble lasts: afterwards they are out on both, and nobody else is."""
    if not subject.opt_out:
        return
    target = _target(subject)
    both = OptOutDirection.BIDIRECTIONAL if subject.updates_over else OptOutDirection.DYNAMICS_TO_CAMPAIGN
    with _running(subject, target, both) as run:
        run.catch_up()
        people: list[str] = []
        for number, trouble in enumerate(Trouble):
            people.append(row_id(number))
            if number % 2 and subject.updates_over:
                target.put(row_id(number), **{_CHANNEL: True})
            else:
                subject.load({row_id(number): {subject.opt_out: True}})
            with subject.meeting(trouble):
                run.cycle()
            run.catch_up()
            _out(subject, target, people)
        assert run.workflow.consent.undelivered == 0
