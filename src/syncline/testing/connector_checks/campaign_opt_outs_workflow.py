"""Checks of a Campaign connector: Opt-In/Out works with it, and trouble of every kind loses no opt-out."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final

from syncline.definitions import OptOutDefinition, OptOutDirection, OptOutPair
from syncline.errors import DefinitionError
from syncline.testing.connector_checks.campaign_subject import CampaignSubject
from syncline.testing.connector_checks.dynamics_subject import row_id
from syncline.testing.connector_checks.running import PEOPLE, Running, running_opt_outs
from syncline.testing.connector_checks.trouble import Trouble
from syncline.testing.memory_dynamics import MemoryDynamics
from syncline.workflows.opt_out import OptOutWorkflow

_COLUMN: Final = "donotbulkemail"


def _source(subject: CampaignSubject) -> MemoryDynamics:
    """A contact for every profile, and everybody opted in on both sides."""
    source = MemoryDynamics(opt_outs=[_COLUMN], clock=subject.clock)
    for number in range(PEOPLE):
        source.put(row_id(number))
        if subject.opt_out:
            subject.put(row_id(number), {**subject.texts(f"Person {number}"), subject.opt_out: False})
    return source


def _running(
    subject: CampaignSubject, source: MemoryDynamics, direction: OptOutDirection
) -> AbstractContextManager[Running[OptOutWorkflow]]:
    pair = OptOutPair(dynamics=_COLUMN, campaign=subject.opt_out or "blackListEmail")
    definition = OptOutDefinition(direction=direction, pairs=[pair], key=subject.key_field)
    return running_opt_outs(source, subject.connector, definition, subject.clock)


def _tells_changes(subject: CampaignSubject) -> bool:
    try:
        subject.connector.changed_since(subject.schema, subject.clock.now() + timedelta(days=1), None)
    except DefinitionError:
        return False
    return True


def _out(subject: CampaignSubject, source: MemoryDynamics, people: Collection[str]) -> None:
    """Exactly these people are opted out, on both sides."""
    assert {record for record, row in source.rows.items() if row[_COLUMN]} == {*people}, "in Dynamics"
    assert {key for key in source.rows if subject.opted_out(key)} == {*people}, "in Campaign"


def check_opt_outs_of_contacts_reach_profiles(subject: CampaignSubject) -> None:
    """The checks before a start pass; who opts out in Dynamics is out in Campaign, and in again; nobody else is.

    With a connector that carries no opt-outs the checks before a start say so.
    """
    source = _source(subject)
    with _running(subject, source, OptOutDirection.DYNAMICS_TO_CAMPAIGN) as run:
        report = run.workflow.check()
        if not subject.opt_out:
            assert not report.ok, "Opt-In/Out would start although the target carries no opt-outs"
            return
        assert report.ok, str(report)
        run.catch_up()
        _out(subject, source, [])
        for number in (1, 2):
            source.put(row_id(number), **{_COLUMN: True})
        run.catch_up()
        _out(subject, source, [row_id(1), row_id(2)])
        source.put(row_id(1), **{_COLUMN: False})
        run.catch_up()
        _out(subject, source, [row_id(2)])
        assert subject.get(row_id(1)) == subject.texts("Person 1")


def check_opt_outs_of_profiles_are_heard(subject: CampaignSubject) -> None:
    """Who opts out in Campaign is out in Dynamics; a connector that cannot tell changes is told so before a start."""
    if not subject.opt_out:
        return
    source = _source(subject)
    with _running(subject, source, OptOutDirection.CAMPAIGN_TO_DYNAMICS) as run:
        if not _tells_changes(subject):
            assert not run.workflow.check().ok, "Opt-In/Out would start and never hear of Campaign's opt-outs"
            return
        run.catch_up()
        subject.put(row_id(1), {subject.opt_out: True})
        run.catch_up()
        _out(subject, source, [row_id(1)])


def check_opt_outs_get_through_every_trouble(subject: CampaignSubject) -> None:
    """People opt out on either side while each trouble lasts: afterwards they are out on both, and nobody else is."""
    if not subject.opt_out:
        return
    source = _source(subject)
    hears = _tells_changes(subject)
    both = OptOutDirection.BIDIRECTIONAL if hears else OptOutDirection.DYNAMICS_TO_CAMPAIGN
    with _running(subject, source, both) as run:
        run.catch_up()
        people: list[str] = []
        for number, trouble in enumerate(Trouble):
            people.append(row_id(number))
            if number % 2 and hears:
                subject.put(row_id(number), {subject.opt_out: True})
            else:
                source.put(row_id(number), **{_COLUMN: True})
            with subject.meeting(trouble):
                run.cycle()
            run.catch_up()
            _out(subject, source, people)
        assert run.workflow.consent.undelivered == 0
