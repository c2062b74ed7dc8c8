"""How a table is read from nothing to caught up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from syncline.backlog import Lane
from syncline.errors import ProtocolError
from syncline.records import Page, ReadPosition, ReadStage
from syncline.workflows import reading

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def first_load() -> ReadPosition:
    return reading.begin(now=NOON, seq=1, first=True, resync=False)


def resync() -> ReadPosition:
    return reading.begin(now=NOON, seq=1, first=False, resync=True)


def walk(position: ReadPosition, *pages: Page) -> list[tuple[ReadStage, str | None]]:
    seen = [(position.stage, position.link)]
    for page in pages:
        position = reading.following(position, page, LATER, deletions=True)
        seen.append((position.stage, position.link))
    return seen


def test_a_first_load_reads_every_page_then_the_keys_then_the_overlap_then_changes() -> None:
    """The delta link that comes with the last page is kept aside until keys and overlap were read."""
    pages = [Page(changes=(), next_link="p2"), Page(changes=(), delta_link="d1"), Page(changes=(), next_link="k2")]
    pages += [Page(changes=()), Page(changes=(), next_link="o2"), Page(changes=()), Page(changes=(), delta_link="d2")]

    stages = walk(first_load(), *pages)

    assert stages == [
        (ReadStage.LOAD, None),
        (ReadStage.LOAD, "p2"),
        (ReadStage.KEYS, None),
        (ReadStage.KEYS, "k2"),
        (ReadStage.OVERLAP, None),
        (ReadStage.OVERLAP, "o2"),
        (ReadStage.DELTA, "d1"),
        (ReadStage.MISSING, "d2"),
    ]


def test_a_first_load_of_one_page_needs_no_list_of_keys() -> None:
    """Nothing can be deleted between its first page and its last."""
    pages = [Page(changes=(), delta_link="d1"), Page(changes=()), Page(changes=(), delta_link="d2")]

    stages = walk(first_load(), *pages)

    assert [stage for stage, _ in stages] == [ReadStage.LOAD, ReadStage.OVERLAP, ReadStage.DELTA, ReadStage.DELTA]


def test_where_deletions_do_not_matter_nothing_looks_for_them() -> None:
    """Opt-In/Out deletes nothing, so that it needs no list of keys."""
    second = evolve(first_load(), link="p2")

    behind = reading.following(second, Page(changes=(), delta_link="d1"), LATER, deletions=False)

    assert behind.stage is ReadStage.OVERLAP
    assert not behind.compares


def test_a_resync_looks_for_what_is_missing_after_its_first_delta_only() -> None:
    """What the delta still brings must be seen before anything counts as missing."""
    pages = [Page(changes=(), delta_link="d1"), Page(changes=()), Page(changes=()), Page(changes=(), next_link="d1b")]
    pages += [Page(changes=(), delta_link="d2")]

    stages = walk(resync(), *pages)

    assert stages[1] == (ReadStage.KEYS, None)
    assert stages[-2:] == [(ReadStage.DELTA, "d1b"), (ReadStage.MISSING, "d2")]


def test_the_keys_are_asked_for_without_columns() -> None:
    """A list of keys costs the least."""
    request = reading.request_for("contact", ("lastname",), evolve(first_load(), stage=ReadStage.KEYS), timedelta())

    assert request.columns == ()
    assert request.since is None


@pytest.mark.parametrize("stage", [ReadStage.LOAD, ReadStage.DELTA])
def test_an_end_without_a_delta_link_is_an_error_and_never_done(stage: ReadStage) -> None:
    """A tracked read that just stops would leave a gap nobody notices."""
    with pytest.raises(ProtocolError, match="delta link"):
        reading.following(evolve(first_load(), stage=stage, link="x"), Page(changes=()), LATER, deletions=True)


def test_the_overlap_asks_for_everything_since_a_margin_before_the_load_began() -> None:
    """Rows changed while the load was paging have a modification time after its start."""
    position = evolve(first_load(), stage=ReadStage.OVERLAP, delta_link="d1")

    request = reading.request_for("contact", ("lastname",), position, timedelta(minutes=5))

    assert request.columns == ("lastname",)
    assert request.since == NOON - timedelta(minutes=5)
    assert request.link is None


def test_only_tracked_changes_take_the_live_lane() -> None:
    """A first load of one table must not hold up changes of another."""
    position = first_load()

    lanes = {stage: reading.lane_of(evolve(position, stage=stage)) for stage in ReadStage}

    assert [stage for stage, lane in lanes.items() if lane is Lane.LIVE] == [ReadStage.DELTA]


def test_first_means_a_first_load_or_replay_and_not_a_resync_or_a_change() -> None:
    """Fields with apply_updates off are written once, and a lost cursor is no reason to write them again."""
    assert reading.is_first(first_load())
    assert reading.is_first(evolve(first_load(), stage=ReadStage.OVERLAP, resync=True))
    assert not reading.is_first(evolve(first_load(), stage=ReadStage.DELTA))
    assert not reading.is_first(resync())


def test_caught_up_means_the_last_page_of_a_delta() -> None:
    """More pages to come, or a load's last page, are not the end."""
    delta = evolve(first_load(), stage=ReadStage.DELTA, link="d1")

    assert reading.caught_up(delta, Page(changes=(), delta_link="d2"))
    assert not reading.caught_up(delta, Page(changes=(), next_link="d1b"))
    assert not reading.caught_up(evolve(delta, stage=ReadStage.OVERLAP), Page(changes=(), delta_link="d1"))
