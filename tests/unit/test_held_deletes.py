"""Deletions that Syncline infers: few go, many wait for a word, and nobody's word is taken for more than it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from attrs import evolve
from tests.workflow_room import WORKING, Stage, staged

from syncline import IngressDefinition
from syncline.definitions import Guardrails
from syncline.errors import CursorLostError, DefinitionError
from syncline.instrumentation import DeletesHeld
from syncline.records import ReadRequest, ReadStage
from syncline.workflows.holding import most_unasked

PEOPLE = 40


def definition(most: int = 5, *, mapping: object = WORKING) -> IngressDefinition:
    """No more than `most` inferred deletions go unasked."""
    rails = Guardrails(filtered_out_deletes=most, filtered_out_percent=100, filtered_out_floor=0)
    return IngressDefinition(mappings=[mapping], guardrails=rails)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Everybody is in Campaign, and a filter with a cap of five is in force."""
    with staged(PEOPLE) as made:
        made.workflow.edit(definition())
        made.bring()
        assert len(made.campaign.records) == PEOPLE
        yield made


def retire(stage: Stage, number: int, *, start: int = 0) -> list[str]:
    """So many people leave the filter."""
    chosen = sorted(stage.dynamics.rows)[start : start + number]
    for record in chosen:
        stage.dynamics.put(record, jobtitle="retired")
    return chosen


def lose_position(stage: Stage) -> None:
    """The next page of changes is refused: the token expired."""

    def refuse(request: ReadRequest) -> None:
        if request.stage is ReadStage.DELTA:
            stage.dynamics.before_read = lambda _: None
            raise CursorLostError("expired")

    stage.dynamics.before_read = refuse


def told(stage: Stage) -> list[int]:
    return [notice.held for notice in stage.notices if isinstance(notice, DeletesHeld)]


def test_as_many_as_the_cap_go_without_a_word(stage: Stage) -> None:
    """I6: what left the filter is deleted, in the very cycle that reads it."""
    gone = retire(stage, 5)
    report = stage.drain()
    assert (report.written, report.held) == (5, 5)
    assert set(gone).isdisjoint(stage.campaign.records)
    assert (stage.workflow.backlog.size, told(stage)) == (0, [])


def test_one_more_than_the_cap_waits_and_all_else_flows_on(stage: Stage) -> None:
    """I6: nobody of them is deleted; it shows, with numbers; other changes are written."""
    gone = retire(stage, 6)
    other = sorted(stage.dynamics.rows)[-1]
    stage.dynamics.put(other, lastname="Changed")
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE
    assert stage.campaign.records[other]["lastName"] == "Changed"
    backlog = stage.workflow.backlog
    assert (backlog.size, dict(backlog.held), backlog.by_operation()) == (6, {"contact": 6}, {"delete": 6})
    assert backlog.as_data()["held"] == {"contact": 6}
    assert "6 of contact" in str(backlog)
    assert stage.workflow.view.warnings == ("6 deletions of contact wait for a confirmation",)
    assert "6 deletions of contact wait for a confirmation" in str(stage.workflow.view)
    assert sorted(stage.workflow.held_deletes("contact")) == gone
    assert len(stage.workflow.held_deletes("contact", limit=2)) == 2
    assert told(stage) == [6]
    newest = stage.workflow.history[0]
    assert (newest.action, newest.detail) == ("hold deletes", "contact: 6")


def test_a_held_deletion_lets_a_cycle_end(stage: Stage) -> None:
    """What waits for a person keeps no process busy, and no rate or time to empty is told wrong over it."""
    retire(stage, 6)
    stage.drain()
    report = stage.workflow.run_cycle()
    assert (report.end.value, report.written, report.resume_at) == ("caught up", 0, None)
    assert stage.workflow.backlog.eta == timedelta(0)


def test_confirmed_deletions_go_and_the_history_says_who_confirmed(stage: Stage) -> None:
    """X12: the word lets exactly those go that were held."""
    gone = retire(stage, 8)
    stage.drain()
    assert stage.workflow.confirm_deletes("contact", by="ann") == 8
    assert stage.workflow.view.warnings == ()
    newest = stage.workflow.history[0]
    assert (newest.action, newest.by, newest.detail) == ("confirm deletes", "ann", "contact: 8")
    stage.drain()
    assert set(gone).isdisjoint(stage.campaign.records)
    assert len(stage.campaign.records) == PEOPLE - 8
    assert stage.workflow.confirm_deletes("contact") == 0


def test_discarded_deletions_leave_the_records_where_they_are(stage: Stage) -> None:
    """They are still known: a deletion in Dynamics later on is propagated, and a further change is judged anew."""
    gone = retire(stage, 8)
    stage.drain()
    assert stage.workflow.discard_deletes("contact", by="ann") == 8
    stage.drain()
    assert (len(stage.campaign.records), stage.workflow.backlog.size) == (PEOPLE, 0)
    stage.dynamics.remove(gone[0])
    stage.dynamics.put(gone[1], lastname="Changed")
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE - 2


def test_who_comes_back_leaves_the_hold(stage: Stage) -> None:
    """A record that passes the filter again is not deleted by a later word; it is written if it differs."""
    gone = retire(stage, 8)
    stage.drain()
    stage.dynamics.put(gone[0], jobtitle=None)
    stage.dynamics.put(gone[1], jobtitle=None, lastname="Back")
    stage.drain()
    assert dict(stage.workflow.backlog.held) == {"contact": 6}
    assert stage.workflow.confirm_deletes("contact") == 6
    stage.drain()
    assert {gone[0], gone[1]} <= set(stage.campaign.records)
    assert stage.campaign.records[gone[1]]["lastName"] == "Back"
    assert len(stage.campaign.records) == PEOPLE - 6


def test_fewer_than_the_cap_do_not_go_once_somebody_was_asked(stage: Stage) -> None:
    """While a person looks into it, what is left does not slip away."""
    gone = retire(stage, 6)
    stage.drain()
    for record in gone[:3]:
        stage.dynamics.put(record, jobtitle=None)
    stage.drain()
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE
    assert stage.workflow.view.warnings == ("3 deletions of contact wait for a confirmation",)


def test_deletions_in_dynamics_are_never_held(stage: Stage) -> None:
    """What somebody deleted there goes, however many; also of somebody whose deletion was held already."""
    gone = retire(stage, 6)
    stage.drain()
    for record in [*gone, *sorted(stage.dynamics.rows)[-10:]]:
        stage.dynamics.remove(record)
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE - 16
    assert stage.workflow.backlog.size == 0


def test_what_leaves_little_by_little_is_summed_up_over_a_day(stage: Stage) -> None:
    """A slow mass deletion is one too; a day later the sum begins anew."""
    retire(stage, 3)
    stage.drain()
    retire(stage, 3, start=3)
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE - 3
    assert told(stage) == [3]
    stage.workflow.discard_deletes("contact")
    stage.advance(timedelta(days=1).total_seconds())
    retire(stage, 4, start=10)
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE - 7


def test_what_a_full_read_does_not_find_is_held(stage: Stage) -> None:
    """S-17: a source that suddenly has nobody empties nothing; who reappears is not deleted, the word given or not."""
    everybody = dict(stage.dynamics.rows)
    kept, gone = sorted(everybody)[:30], sorted(everybody)[30:]
    for record in gone:
        del stage.dynamics.rows[record], stage.dynamics.versions[record]
    lose_position(stage)
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE
    assert dict(stage.workflow.backlog.held) == {"contact": 10}
    stage.dynamics.rows[gone[0]] = everybody[gone[0]]  # nobody tells: it is there again when it is asked for
    stage.workflow.confirm_deletes("contact")
    stage.drain()
    assert sorted(stage.campaign.records) == [*kept, gone[0]]


def test_a_restart_changes_nothing_in_what_is_held(stage: Stage) -> None:
    """Stop, start, another process: all are judged again by today's rules, and still nobody goes."""
    retire(stage, 12)
    stage.drain()
    stage.workflow.stop()
    stage.workflow.start()
    again = stage.workflow = stage.again()
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE
    assert (dict(again.backlog.held), again.view.warnings) == (
        {"contact": 12},
        ("12 deletions of contact wait for a confirmation",),
    )


def test_a_definition_that_lets_them_pass_again_ends_the_hold(stage: Stage) -> None:
    """Decision 6: what was held under a mistaken filter leaves under today's, with no call to Campaign."""
    retire(stage, 12)
    stage.drain()
    stage.workflow.stop()
    stage.workflow.edit(definition(mapping=evolve(WORKING, filters=[])))
    stage.workflow.start()
    stage.drain()
    assert (stage.workflow.backlog.size, stage.campaign.verbs) == (0, [])
    assert stage.workflow.view.warnings == ()
    stage.workflow.stop()
    stage.workflow.edit(definition())
    stage.workflow.start()
    retire(stage, 2)
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE - 2


def test_a_table_without_a_mapping_is_an_error_unless_something_of_it_is_held(stage: Stage) -> None:
    """A mistyped name never looks like "nothing was held"; what a removed mapping left can be discarded."""
    retire(stage, 12)
    stage.drain()
    with pytest.raises(DefinitionError, match="account is not mapped"):
        stage.workflow.confirm_deletes("account")
    stage.workflow.stop()
    stage.workflow.edit(IngressDefinition(mappings=[]))
    assert stage.workflow.held_deletes("contact", limit=1)
    assert stage.workflow.discard_deletes("contact") == 12
    assert (len(stage.campaign.records), stage.workflow.backlog.size) == (PEOPLE, 0)


def test_in_short_cycles_a_mass_is_held_as_a_whole(stage: Stage) -> None:
    """Cut into the smallest slices a host may choose, nobody of the mass goes before all are counted."""
    retire(stage, 20)
    for _ in range(60):
        stage.workflow.run_cycle(records=1)
    assert len(stage.campaign.records) == PEOPLE
    assert dict(stage.workflow.backlog.held) == {"contact": 20}
    stage.workflow.confirm_deletes("contact")
    for _ in range(60):
        stage.workflow.run_cycle(records=1)
    assert len(stage.campaign.records) == PEOPLE - 20


def test_a_first_load_pauses_for_no_hold(stage: Stage) -> None:
    """What waits for a person counts into the backlog and not against the mark at which full reads pause."""
    stage.settings = evolve(stage.settings, high_water=6, attention=timedelta(microseconds=1))
    stage.workflow = stage.again()
    retire(stage, 12)
    stage.drain()
    stage.workflow.replay("contact")
    stage.workflow.stop()
    stage.workflow.start()
    stage.dynamics.put(sorted(stage.dynamics.rows)[-1], lastname="Changed")
    stage.drain()
    assert stage.storage.positions(stage.workflow.id)["contact"].stage is ReadStage.DELTA
    assert dict(stage.workflow.backlog.held) == {"contact": 12}


@pytest.mark.parametrize(
    ("known", "most"),
    [(0, 10), (50, 10), (100, 10), (101, 10), (110, 11), (5_000, 500), (10_000, 1_000), (1_000_000, 1_000)],
)
def test_the_cap_is_the_lesser_of_a_number_and_a_share_and_never_below_ten(known: int, most: int) -> None:
    """1,000 or 10 %, whichever is less; a handful is nobody's mass deletion."""
    assert most_unasked(Guardrails(), known) == most
