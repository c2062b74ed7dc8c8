"""What becomes of a queued record after its write was tried."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from syncline.backlog import DeadReason, Item, Lane, Settlement, Settling
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    ConversionError,
    CredentialsError,
    LeaseLostError,
    RecordRefusedError,
    SchemaChangedError,
    ThrottledError,
    UnavailableError,
)
from syncline.records import Outcome, OutcomeKind, RecordKey
from syncline.workflows import verdicts
from syncline.workflows.settings import EngineSettings
from syncline.workflows.verdicts import retry_delay
from syncline.workflows.writers import Answer, Task

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = EngineSettings()
ITEM = Item(
    id=1,
    key=RecordKey(table="contact", id="1"),
    seq=1,
    payload=b"{}",
    lane=Lane.LIVE,
    first=False,
    refresh=False,
    ambiguous=False,
    attempts=1,
    crashes=0,
    queued_at=NOON,
)


def done(
    error: Exception | None = None,
    *,
    item: Item = ITEM,
    forget: bool = False,
    kind: OutcomeKind = OutcomeKind.UPDATED,
) -> tuple[Task, Answer]:
    task = Task(item=item, fingerprint=b"u", fingerprint_if_created=b"c", forget=forget, person="ann")
    return task, error or Outcome(kind=kind)


def judge(
    done: tuple[Task, Answer], settings: EngineSettings, now: Callable[[], datetime], *, others_succeed: bool
) -> Settlement:
    return verdicts.judge(*done, settings, now, others_succeed=others_succeed)


def test_a_row_whose_person_is_unknown_is_set_aside_for_that_person() -> None:
    """It is neither written nor at fault."""
    settlement = judge(done(kind=OutcomeKind.PARENT_UNKNOWN), SETTINGS, lambda: NOON, others_succeed=True)

    assert (settlement.settling, settlement.person) == (Settling.SET_ASIDE, "ann")


@pytest.mark.parametrize(("kind", "remembered"), [(OutcomeKind.CREATED, b"c"), (OutcomeKind.IDENTICAL, b"u")])
def test_an_outcome_is_written_and_remembered(kind: OutcomeKind, remembered: bytes) -> None:
    """The ledger learns in the same settlement what was written: a create writes every field, an update may not."""
    settlement = judge(done(kind=kind), SETTINGS, lambda: NOON, others_succeed=False)

    assert (settlement.settling, settlement.fingerprint) == (Settling.WRITTEN, remembered)


@pytest.mark.parametrize(
    "error",
    [
        ThrottledError("slow down", retry_after=5, principal="p"),
        LeaseLostError("taken over"),
        CredentialsError("who?"),
        SchemaChangedError("gone", table="profile", field="x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_record_pays_nothing_for_what_is_no_fault_of_its_own(error: Exception) -> None:
    """It goes back as if it had never been claimed."""
    assert judge(done(error), SETTINGS, lambda: NOON, others_succeed=True).settling is Settling.RELEASED


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RecordRefusedError("no", field="gender"), DeadReason.REFUSED),
        (ConversionError("too long", field="firstName"), DeadReason.CONVERSION),
    ],
)
def test_a_record_at_fault_is_set_aside_with_its_field(error: RecordRefusedError, reason: DeadReason) -> None:
    """A person must see which field to mend."""
    settlement = judge(done(error), SETTINGS, lambda: NOON, others_succeed=True)

    assert (settlement.settling, settlement.reason, settlement.field) == (Settling.DEAD, reason, error.field)


def test_a_write_without_an_answer_is_looked_at_before_it_is_sent_again() -> None:
    """It may have been applied."""
    settlement = judge(done(AmbiguousWriteError("?")), SETTINGS, lambda: NOON, others_succeed=True)

    assert settlement.settling is Settling.RETRY
    assert settlement.ambiguous
    assert settlement.retry_at is not None
    assert settlement.retry_at > NOON


@pytest.mark.parametrize("error", [UnavailableError("away"), AmbiguousWriteError("?")])
def test_an_outage_sets_nobody_aside(error: Exception) -> None:
    """While nothing else succeeds, attempts do not count, however many there were."""
    worn = evolve(ITEM, attempts=SETTINGS.max_attempts + 50)

    settlement = judge(done(error, item=worn), SETTINGS, lambda: NOON, others_succeed=False)

    assert (settlement.settling, settlement.counts) == (Settling.RETRY, False)


def test_a_record_that_keeps_failing_while_others_succeed_is_set_aside() -> None:
    """It would otherwise come back for ever."""
    worn = evolve(ITEM, attempts=SETTINGS.max_attempts)

    settlement = judge(done(UnavailableError("away"), item=worn), SETTINGS, lambda: NOON, others_succeed=True)

    assert (settlement.settling, settlement.reason) == (Settling.DEAD, DeadReason.EXHAUSTED)


def test_an_error_of_an_unknown_kind_tells_its_class_and_no_more() -> None:
    """A connector's own exception may carry a person's data in its text."""
    worn = evolve(ITEM, attempts=SETTINGS.max_attempts)

    settlement = judge(done(ValueError("jane@example.com"), item=worn), SETTINGS, lambda: NOON, others_succeed=True)

    assert settlement.settling is Settling.DEAD
    assert "ValueError" in settlement.message
    assert "jane" not in settlement.message


def test_a_conflict_comes_back_soon_and_unambiguously() -> None:
    """The target answered: nothing was written, and it is read again."""
    settlement = judge(done(ConflictError("changed")), SETTINGS, lambda: NOON, others_succeed=True)

    assert settlement.retry_at is not None
    assert settlement.retry_at - NOON < SETTINGS.retry_first
    assert not settlement.ambiguous


@pytest.mark.parametrize("attempts", [0, 1, 2, 5, 40, 10_000])
def test_delays_grow_to_the_longest_and_no_further(attempts: int) -> None:
    """Doubling must neither overflow nor pass the maximum."""
    delay = retry_delay(attempts, SETTINGS)

    assert timedelta(0) < delay <= SETTINGS.retry_most
