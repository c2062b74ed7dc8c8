"""Checks of a Dynamics connector: egress works with it, and trouble of every kind costs nothing but time."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from syncline.definitions import EgressDefinition
from syncline.events import event_id
from syncline.records import Event, EventKind
from syncline.testing.connector_checks.dynamics_subject import DynamicsSubject, row_id
from syncline.testing.connector_checks.running import PEOPLE, Running, running_events
from syncline.testing.connector_checks.subject import PRIVATE
from syncline.testing.connector_checks.trouble import Trouble
from syncline.workflows.egress import EgressWorkflow

_WHEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def _running(subject: DynamicsSubject) -> AbstractContextManager[Running[EgressWorkflow]]:
    """Sends appear in the subject's table of activities."""
    definition = EgressDefinition(kinds=[EventKind.SEND], activities={EventKind.SEND: subject.activity})
    return running_events(subject.connector, definition, subject.clock)


def _sent(number: int, contact: str, campaign: str = "CMP1") -> Event:
    return Event(kind=EventKind.SEND, contact=contact, occurred_on=_WHEN, log_id=str(number), campaign=campaign)


def _shown(subject: DynamicsSubject, events: Iterable[Event]) -> None:
    """Each of these events is on a timeline, once, and no other."""
    there = sorted(map(repr, subject.timeline().values()))
    assert there == sorted(repr(subject.shown(event.contact, event.campaign)) for event in events)


def check_events_appear_on_timelines(subject: DynamicsSubject) -> None:
    """The checks before a start pass; events appear once, however often they are pushed; unknown people may come later.

    With a connector that does not create rows the checks before a start say so.
    """
    with _running(subject) as run:
        if not subject.creates:
            assert not run.workflow.check().ok, "egress would start with a connector that has no create()"
            return
        people = subject.fill(PEOPLE)
        report = run.workflow.check()
        assert report.ok, str(report)
        events = [_sent(number, contact) for number, contact in enumerate([*people, *people])]
        later = [_sent(100, row_id(100)), _sent(101, row_id(101))]
        run.workflow.accept([*events, *later])
        run.catch_up()
        _shown(subject, events)
        subject.load({row_id(100): subject.texts()})
        run.workflow.accept(events[::2])
        run.catch_up()
        _shown(subject, [*events, later[0]])
        assert len(run.workflow.dead_letters) == 0


def check_events_get_through_every_trouble(subject: DynamicsSubject) -> None:
    """Events go on while each trouble lasts: afterwards each of them is there once, and no letter is dead."""
    if not subject.creates:
        return
    people = subject.fill(PEOPLE)
    with _running(subject) as run:
        run.workflow.start()
        events: list[Event] = []
        for number, trouble in enumerate(Trouble):
            news = [_sent(100 * number + one, contact, trouble.name) for one, contact in enumerate(people)]
            run.workflow.accept(news)
            events += news
            with subject.meeting(trouble):
                run.cycle()
            run.catch_up()
            _shown(subject, events)
        assert len(run.workflow.dead_letters) == 0


def check_a_refused_event_becomes_a_dead_letter(subject: DynamicsSubject) -> None:
    """Exactly the event that the service refuses is set aside, and nothing of what it says is in the reason."""
    if not subject.creates:
        return
    events = [_sent(number, contact, PRIVATE[0]) for number, contact in enumerate(subject.fill(PEOPLE))]
    refused = event_id(events[3], "")
    subject.refuse(refused)
    with _running(subject) as run:
        run.workflow.accept(events)
        run.catch_up()
        (letter,) = run.workflow.dead_letters
        assert letter.key.id == refused
        subject.tells_nothing(letter.message)
        _shown(subject, [*events[:3], *events[4:]])
