"""Checks of a Campaign connector: a write meets trouble, and what is known of it afterwards is true."""

from __future__ import annotations

from collections.abc import Callable

from syncline.errors import AmbiguousWriteError, ProtocolError, RetryLaterError, ThrottledError, UnavailableError
from syncline.records import OutcomeKind
from syncline.testing.connector_checks.campaign_subject import ANN, BOB, CampaignSubject
from syncline.testing.connector_checks.trouble import WAIT, Trouble


def _verbs(subject: CampaignSubject) -> dict[str, Callable[[], None]]:
    """One of each, ready to go: Ann is not there, Bob is."""
    schema, connector = subject.schema, subject.connector
    subject.put(BOB, subject.texts("Bob"))
    ref = subject.ref(BOB)
    return {
        "create": lambda: subject.create(ANN),
        "update": lambda: connector.update(schema, ref, subject.texts("Bobby")),
        "delete": lambda: connector.delete(schema, ref),
    }


def check_a_throttled_write_did_not_happen(subject: CampaignSubject) -> None:
    """429 to a write raises ThrottledError and closes the gate; the record is as it was."""
    verbs = _verbs(subject)
    for verb in verbs.values():
        with subject.meeting(Trouble.WAIT_SECONDS):
            error = subject.refused(ThrottledError, verb)
        assert error.principal in {gate.principal for gate in subject.connector.gates}
        subject.clock.jump(WAIT + 1)
    assert list(subject.keys()) == [BOB]
    assert subject.get(BOB) == subject.texts("Bob")


def check_a_write_that_was_turned_away_is_tried_later(subject: CampaignSubject) -> None:
    """503 to a write is UnavailableError, or AmbiguousWriteError where a service may have acted all the same."""
    verbs = _verbs(subject)
    with subject.meeting(Trouble.AWAY):
        for verb in verbs.values():
            subject.refused((UnavailableError, AmbiguousWriteError), verb)


def check_a_write_without_an_answer_is_ambiguous(subject: CampaignSubject) -> None:
    """A connection that ends after a write was sent: AmbiguousWriteError, whether it happened or not."""
    verbs = _verbs(subject)
    for trouble in (Trouble.CUT, Trouble.NO_ANSWER):
        with subject.meeting(trouble):
            for verb in verbs.values():
                subject.refused(AmbiguousWriteError, verb)
    assert list(subject.keys()) == [ANN], "the far side was to do what was asked, and not to answer"


def check_a_write_that_somebody_else_answered_is_no_success(subject: CampaignSubject) -> None:
    """A page to log in on, and a redirect: nothing says that the write happened, so it is not taken for done."""
    verbs = _verbs(subject)
    for trouble in (Trouble.NONSENSE, Trouble.ELSEWHERE):
        with subject.meeting(trouble):
            for verb in verbs.values():
                subject.refused((RetryLaterError, ProtocolError), verb)
    assert subject.get(BOB) == subject.texts("Bob")


def check_a_create_without_an_answer_is_looked_up(subject: CampaignSubject) -> None:
    """It is looked up before it is created again: found as wanted it stays, and there is one record."""
    subject.ask()
    with subject.meeting(Trouble.NO_ANSWER):
        subject.refused(AmbiguousWriteError, lambda: subject.create(ANN))
    changing: list[None] = []
    outcome = subject.connector.apply(
        subject.write(ANN, ambiguous=True), subject.schema, still_ours=lambda: changing.append(None)
    )
    assert (outcome.kind, changing) == (OutcomeKind.IDENTICAL, [])
    assert list(subject.keys()) == [ANN]


def check_a_create_that_never_arrived_is_made(subject: CampaignSubject) -> None:
    """The same error, but nothing happened: looked up, not found, and created."""
    subject.ask()
    with subject.meeting(Trouble.CUT):
        subject.refused(AmbiguousWriteError, lambda: subject.create(ANN))
    assert subject.apply(subject.write(ANN, ambiguous=True)).kind is OutcomeKind.CREATED
    assert list(subject.keys()) == [ANN]


def check_a_deletion_without_an_answer_ends_well(subject: CampaignSubject) -> None:
    """The record is gone, nobody said so: the next attempt finds nothing to delete."""
    subject.put(ANN, subject.texts())
    ref = subject.ref(ANN)
    with subject.meeting(Trouble.NO_ANSWER):
        subject.refused(AmbiguousWriteError, lambda: subject.connector.delete(subject.schema, ref))
    assert subject.apply(subject.deletion(ANN, ambiguous=True)).kind is OutcomeKind.MISSING


def check_every_trouble_ends_in_step(subject: CampaignSubject) -> None:
    """The same write again and again through all of it: in the end the record is there once, and as wanted."""
    for number, trouble in enumerate(Trouble):
        with subject.meeting(trouble):
            write = subject.write(ANN, f"Wanted {number}", ambiguous=number > 0)
            subject.refused((RetryLaterError, ProtocolError), lambda: subject.apply(write))  # noqa: B023 - called at once
        subject.clock.jump(1_000)
    subject.apply(subject.write(ANN, "In the end", ambiguous=True))
    assert subject.get(ANN) == subject.texts("In the end")
    assert list(subject.keys()) == [ANN]
