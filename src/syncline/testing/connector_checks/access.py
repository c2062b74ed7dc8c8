"""Checks of both sides: who a connector is, whether it may in, and what it says it can."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from syncline.errors import CredentialsError
from syncline.testing.connector_checks.subject import ConnectorSubject

_THREADS = 8


def check_making_a_connector_sends_nothing(subject: ConnectorSubject) -> None:
    """A connector that was only made, looked at and closed has asked nobody anything."""
    connector = subject.connector
    told = (connector.name, connector.identity, repr(connector), [gate.principal for gate in connector.gates])
    connector.close()
    assert all(told[:3])
    assert subject.requests() == 0


def check_it_says_who_it_is(subject: ConnectorSubject) -> None:
    """Name, identity and gates are one line each, tell no secret, and are the same in every process."""
    one, other = subject.connector, subject.another()
    principals = [gate.principal for gate in one.gates]
    for text in (one.name, one.identity, *principals):
        assert text, "a name without a letter"
        assert text.isprintable(), "a name of several lines"
        subject.tells_nothing(text)
    subject.tells_nothing(repr(one))
    assert (one.name, one.identity) == (other.name, other.identity)
    assert principals == [gate.principal for gate in other.gates]
    assert len(set(principals)) == len(principals), "two gates that the storage cannot tell apart"
    assert principals, "no gate: nobody could be asked to wait"
    assert all(gate is again for gate, again in zip(one.gates, one.gates, strict=True)), "gates that close for nobody"
    other.close()


def check_access_is_proved(subject: ConnectorSubject) -> None:
    """`check_access` passes where the credentials are good, also when it is called again."""
    subject.connector.check_access()
    subject.connector.check_access()


def check_wrong_credentials_are_said(subject: ConnectorSubject) -> None:
    """Credentials that the service does not know end in a CredentialsError with something to do."""
    stranger = subject.stranger()
    error = subject.refused(CredentialsError, stranger.check_access)
    assert error.remedy
    stranger.close()


def check_access_that_ran_out_is_renewed(subject: ConnectorSubject) -> None:
    """A token that the service forgot is fetched again, and nobody notices."""
    before = subject.ask()
    subject.expire_access()
    assert subject.ask() == before


def check_a_closed_connector_opens_again(subject: ConnectorSubject) -> None:
    """`close` lets go of connections and is no end: the next question is answered as before."""
    before = subject.ask()
    subject.connector.close()
    subject.connector.close()
    assert subject.ask() == before


def check_several_threads_may_ask_at_once(subject: ConnectorSubject) -> None:
    """Questions of many threads get the same answers as those of one."""
    alone = subject.ask()
    with ThreadPoolExecutor(_THREADS) as threads:
        answers = list(threads.map(lambda _: subject.ask(), range(4 * _THREADS)))
    assert answers == [alone] * len(answers)


def check_the_clocks_are_compared(subject: ConnectorSubject) -> None:
    """Before the first answer nothing is known of the service's clock; after it nothing, or the difference."""
    assert subject.connector.clock_offset is None
    subject.ask()
    offset = subject.connector.clock_offset
    assert offset is None or abs(offset) < 600, "the far side of a check goes by the real time"


def check_a_clock_that_is_wrong_is_seen(subject: ConnectorSubject) -> None:
    """`clock_offset` is the service's clock minus ours: an hour ahead it is an hour below zero; or it is not known."""
    for wrong in (3_600, -3_600):
        subject.clock.wrong = wrong
        subject.ask()
        offset = subject.connector.clock_offset
        assert offset is None or abs(offset + wrong) < 600, f"our clock is {wrong:+} s wrong, and the offset {offset:+}"
