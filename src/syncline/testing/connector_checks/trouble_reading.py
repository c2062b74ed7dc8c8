"""Checks of both sides: a question meets trouble, and the answer is the right branch of errors."""

from __future__ import annotations

from datetime import timedelta

from syncline.errors import ProtocolError, ThrottledError, UnavailableError, UntrustedUrlError
from syncline.testing.connector_checks.subject import ConnectorSubject
from syncline.testing.connector_checks.trouble import WAIT, Trouble

#: A date in a header is cut to the second, and takes its time to arrive.
_SLACK = 120.0


def _asked_to_wait(subject: ConnectorSubject, trouble: Trouble) -> ThrottledError:
    subject.ask()
    with subject.meeting(trouble):
        return subject.refused(ThrottledError, subject.ask)


def _closed(subject: ConnectorSubject, principal: str) -> bool:
    """Whether the gate of that name is closed."""
    named = [gate for gate in subject.connector.gates if gate.principal == principal]
    assert named, "the error names a gate that the connector does not have"
    return named[0].closed_until is not None


def check_a_wait_in_seconds_is_told(subject: ConnectorSubject) -> None:
    """429 with seconds raises ThrottledError with that wait, and closes the gate that it names."""
    error = _asked_to_wait(subject, Trouble.WAIT_SECONDS)
    assert error.retry_after is not None
    assert WAIT - _SLACK < error.retry_after <= WAIT
    assert _closed(subject, error.principal)


def check_a_wait_until_a_date_is_told(subject: ConnectorSubject) -> None:
    """429 with a date raises ThrottledError with the seconds until then, and closes the gate that it names."""
    error = _asked_to_wait(subject, Trouble.WAIT_DATE)
    assert error.retry_after is not None
    assert WAIT - _SLACK < error.retry_after <= WAIT + 1
    assert _closed(subject, error.principal)


def check_a_date_is_one_by_the_services_clock(subject: ConnectorSubject) -> None:
    """With a clock of ours that is an hour ahead or behind, a wait until a date is as long as with one that agrees."""
    for wrong in (3_600, -3_600):
        subject.clock.wrong = wrong
        error = _asked_to_wait(subject, Trouble.WAIT_DATE)
        assert error.retry_after is not None
        assert WAIT - _SLACK < error.retry_after <= WAIT + 1
        subject.clock.jump(WAIT + 1)


def check_a_wait_without_a_time_closes_the_gate(subject: ConnectorSubject) -> None:
    """429 that names no time raises ThrottledError all the same, and the gate closes for a while of its own."""
    error = _asked_to_wait(subject, Trouble.WAIT_UNTOLD)
    assert _closed(subject, error.principal)


def check_nothing_is_sent_inside_a_wait(subject: ConnectorSubject) -> None:
    """V10: while a gate is closed no request leaves; the error tells what is left of the wait. Then all goes on."""
    before = subject.ask()
    _asked_to_wait(subject, Trouble.WAIT_SECONDS)
    sent = subject.requests()
    subject.clock.jump(WAIT / 2)
    error = subject.refused(ThrottledError, subject.ask)
    assert subject.requests() == sent, "a request left inside a wait"
    assert error.retry_after is not None
    assert error.retry_after <= WAIT / 2
    subject.clock.jump(WAIT / 2 + 1)
    assert subject.ask() == before


def check_a_wait_that_others_were_told_is_obeyed(subject: ConnectorSubject) -> None:
    """A gate that the storage closes keeps every request back, and never shortens a wait."""
    subject.ask()
    gate = subject.connector.gates[0]
    until = subject.clock.now() + timedelta(seconds=WAIT)
    gate.close_until(until)
    gate.close_until(until - timedelta(seconds=WAIT * 0.9))
    sent = subject.requests()
    subject.clock.jump(WAIT / 2)
    error = subject.refused(ThrottledError, subject.ask)
    assert error.principal == gate.principal
    assert subject.requests() == sent, "a request left inside a wait"
    subject.clock.jump(WAIT / 2 + 1)
    subject.ask()


def check_a_service_that_is_away_comes_back(subject: ConnectorSubject) -> None:
    """503 raises UnavailableError; afterwards the same question is answered."""
    before = subject.ask()
    with subject.meeting(Trouble.AWAY):
        subject.refused(UnavailableError, subject.ask)
    assert subject.ask() == before


def check_a_connection_that_is_cut_is_made_again(subject: ConnectorSubject) -> None:
    """A question without an answer raises UnavailableError; afterwards it is answered."""
    before = subject.ask()
    for trouble in (Trouble.CUT, Trouble.NO_ANSWER):
        with subject.meeting(trouble):
            subject.refused(UnavailableError, subject.ask)
        assert subject.ask() == before


def check_an_answer_of_somebody_else_is_no_answer(subject: ConnectorSubject) -> None:
    """A page to log in on is not an empty answer: ProtocolError, or UnavailableError until somebody looks at it."""
    before = subject.ask()
    with subject.meeting(Trouble.NONSENSE):
        subject.refused((ProtocolError, UnavailableError), subject.ask)
    assert subject.ask() == before


def check_a_redirect_is_not_followed(subject: ConnectorSubject) -> None:
    """V11: an answer that points elsewhere stops the workflow; nothing is sent there."""
    before = subject.ask()
    with subject.meeting(Trouble.ELSEWHERE):
        subject.refused((ProtocolError, UntrustedUrlError), subject.ask)
    assert subject.ask() == before
