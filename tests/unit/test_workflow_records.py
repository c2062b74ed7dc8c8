"""Records that fail, one way or another: set aside, tried again, never in the way of others."""

from __future__ import annotations

import pytest
from tests.scripted import nothing
from tests.workflow_room import Stage

from syncline.errors import (
    ConflictError,
    RecordRefusedError,
    UnavailableError,
)
from syncline.records import decode_values


def test_one_bad_record_is_set_aside_and_the_rest_arrives(stage: Stage) -> None:
    """X3: with its reason; a dead letter is never dropped by itself."""
    bad = next(iter(stage.dynamics.rows))

    def refuse(verb: str, key: str) -> None:
        if key == bad:
            raise RecordRefusedError("no such gender", field="gender")

    stage.campaign.before = refuse
    stage.drain()

    (letter,) = stage.workflow.dead_letters
    assert (letter.key.id, letter.field) == (bad, "gender")
    assert len(stage.campaign.records) == 29


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000_000, "half \ud83d of a pair", "zero \x00 byte", "y" * 51],
    ids=["ten megabytes", "lone surrogate", "NUL", "too long"],
)
@pytest.mark.parametrize("known", [True, False], ids=["at the target already", "new"])
def test_a_value_that_cannot_be_sent_is_set_aside_with_its_field(stage: Stage, value: str, known: bool) -> None:
    """F-51: it survives in the dead letter, the message repeats none of it, and the page goes on."""
    if known:
        stage.drain()
    bad = stage.dynamics.put(next(iter(stage.dynamics.rows)), lastname=value)

    stage.drain()

    (letter,) = stage.workflow.dead_letters
    assert (letter.key.id, letter.field) == (bad, "lastname")
    assert letter.payload is not None
    assert decode_values(letter.payload)["lastname"] == value
    assert value[:6] not in letter.message
    assert len(stage.campaign.records) == 30 - (not known)


def test_a_record_that_always_conflicts_is_set_aside_in_the_end(stage: Stage) -> None:
    """Another unique field collides each time: it must not come back for ever."""
    bad = next(iter(stage.dynamics.rows))

    def conflict(verb: str, key: str) -> None:
        if key == bad and verb == "create":
            raise ConflictError("another unique field")

    stage.campaign.before = conflict
    stage.drain()

    (letter,) = stage.workflow.dead_letters
    assert (letter.key.id, letter.attempts) == (bad, stage.settings.max_attempts)


def test_a_connector_with_a_bug_loses_nothing(stage: Stage) -> None:
    """An exception nobody declared concerns its record, not the others, and its text stays inside."""
    bad = next(iter(stage.dynamics.rows))

    def bug(verb: str, key: str) -> None:
        if key == bad:
            raise ZeroDivisionError("jane@example.com")

    stage.campaign.before = bug
    stage.drain()

    (letter,) = stage.workflow.dead_letters
    assert "ZeroDivisionError" in letter.message
    assert "jane" not in letter.message
    assert len(stage.campaign.records) == 29


def test_an_outage_of_days_sets_nobody_aside(stage: Stage) -> None:
    """X2: however often it was tried."""

    def away(verb: str, key: str) -> None:
        raise UnavailableError("away")

    stage.campaign.before = away
    for _ in range(200):
        stage.workflow.run_cycle()
        stage.advance(1800)
    assert len(stage.workflow.dead_letters) == 0
    stage.campaign.before = nothing
    stage.drain()

    assert stage.in_step()
