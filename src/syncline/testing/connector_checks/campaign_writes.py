"""Checks of a Campaign connector: the write that is made of its verbs, seen from the far side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from syncline.errors import ConflictError, LeaseLostError
from syncline.records import Outcome, OutcomeKind, Write
from syncline.testing.connector_checks.campaign_subject import ANN, BOB, CampaignSubject
from syncline.testing.connector_checks.subject import lost


def _counted(subject: CampaignSubject, write: Write) -> tuple[Outcome, int]:
    """The outcome, and how many requests that change anything were about to be made."""
    changing: list[None] = []
    outcome = subject.connector.apply(write, subject.schema, still_ours=lambda: changing.append(None))
    return outcome, len(changing)


def check_a_write_comes_true_whatever_is_there(subject: CampaignSubject) -> None:
    """Created, then identical without another request that changes anything, then updated, deleted, missing."""
    told = [
        _counted(subject, write)
        for write in (
            subject.write(ANN),
            subject.write(ANN, known=True),
            subject.write(ANN, "Other", known=True),
            subject.deletion(ANN),
            subject.deletion(ANN),
        )
    ]
    assert [(outcome.kind, changing) for outcome, changing in told] == [
        (OutcomeKind.CREATED, 1),
        (OutcomeKind.IDENTICAL, 0),
        (OutcomeKind.UPDATED, 1),
        (OutcomeKind.DELETED, 1),
        (OutcomeKind.MISSING, 0),
    ]
    assert list(subject.keys()) == []


def check_a_record_of_somebody_else_is_adopted(subject: CampaignSubject) -> None:
    """A record with the key that the ledger does not know is changed where it differs, and never made twice."""
    subject.put(ANN, subject.texts("Ann"))
    outcome = subject.apply(subject.write(ANN, "Anna"))
    assert outcome.kind is OutcomeKind.UPDATED
    assert subject.get(ANN) == subject.texts("Anna")
    assert list(subject.keys()) == [ANN]


def check_a_known_record_that_is_gone_is_created(subject: CampaignSubject) -> None:
    """The ledger knows it, somebody deleted it: it is there again."""
    assert subject.apply(subject.write(ANN, known=True)).kind is OutcomeKind.CREATED
    assert subject.get(ANN) == subject.texts()


def check_others_are_never_touched(subject: CampaignSubject) -> None:
    """I12: creating, changing and deleting one record leaves all others as they are."""
    subject.put(BOB, subject.texts("Bob"))
    for write in (subject.write(ANN), subject.write(ANN, "Other", known=True), subject.deletion(ANN)):
        subject.apply(write)
        assert subject.get(BOB) == subject.texts("Bob")


def check_a_stolen_lease_changes_nothing(subject: CampaignSubject) -> None:
    """V5: once another process took over, no create, no update and no delete is sent."""
    subject.put(BOB, subject.texts("Bob"))
    for write in (subject.write(ANN), subject.write(ANN, ambiguous=True), subject.write(BOB), subject.deletion(BOB)):
        subject.refused(
            LeaseLostError,
            lambda write=write: subject.connector.apply(write, subject.schema, still_ours=lost),  # type: ignore[misc]
        )
    assert list(subject.keys()) == [BOB]
    assert subject.get(BOB) == subject.texts("Bob")


def check_two_creates_at_once_make_one_record(subject: CampaignSubject) -> None:
    """Two processes with the same new record: one creates it, the other finds it or is told to look again."""
    if not subject.connector.capabilities.refuses_duplicates:
        return  # nothing but the fence of the queue keeps them apart, and the capability says so
    subject.ask()

    def bring(number: int) -> OutcomeKind | None:
        try:
            return subject.apply(subject.write(ANN, f"Writer {number}")).kind
        except ConflictError:
            return None

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(bring, range(4)))
    assert list(subject.keys()) == [ANN]
    assert outcomes.count(OutcomeKind.CREATED) == 1
