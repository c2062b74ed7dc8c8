"""The rolling comparison: what it looks at, when, what it finds, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from attrs import evolve
from tests.scripted import nothing
from tests.workflow_room import MAPPING, WIDER, Stage, staged

from syncline import FieldMapping, IngressDefinition
from syncline.errors import CredentialsError, RecordRefusedError, UnavailableError
from syncline.instrumentation import SweepMended
from syncline.workflows.settings import EngineSettings

PEOPLE = 45
WEEK = timedelta(days=7).total_seconds()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Everybody is in Campaign, and the first round of the sweep has begun."""
    with staged(PEOPLE) as made:
        made.bring()
        made.drain()
        made.campaign.verbs.clear()
        yield made


def looked_up(stage: Stage) -> int:
    return sum(1 for verb, _ in stage.campaign.verbs if verb == "find")


def mended(stage: Stage) -> int:
    return sum(notice.mended for notice in stage.notices if isinstance(notice, SweepMended))


def test_everything_is_compared_once_in_the_period(stage: Stage) -> None:
    """Decision 8: half of the records after half of the time, all after all of it, and no more than once."""
    report = stage.drain()
    assert (looked_up(stage), report.calls) == (0, 0)
    stage.advance(WEEK / 2)
    assert stage.drain().calls == looked_up(stage)
    assert PEOPLE // 2 - 20 < looked_up(stage) < PEOPLE // 2 + 20
    stage.advance(WEEK / 2)
    stage.drain()
    stage.drain()
    assert looked_up(stage) == PEOPLE
    sweep = stage.workflow.sweeps["contact"]
    assert (sweep.checked_ever, sweep.mended_ever, sweep.rounds, sweep.calls) == (PEOPLE, 0, 1, PEOPLE)
    assert str(sweep).startswith("45 checked and 0 queued to be mended since ")
    stage.advance(WEEK)
    stage.drain()
    stage.drain()
    assert stage.workflow.sweeps["contact"].checked_ever == 2 * PEOPLE


def test_what_changed_behind_synclines_back_is_mended(stage: Stage) -> None:
    """A changed field and a record that is gone, both of which the ledger believes to be as they should be."""
    changed, gone, *_ = sorted(stage.campaign.records)
    stage.campaign.records[changed]["lastName"] = "Somebody else"
    del stage.campaign.records[gone]
    stage.drain()
    assert not stage.in_step(), "the ledger does not know"
    stage.advance(WEEK)
    stage.drain()
    stage.drain()
    assert stage.in_step()
    sweep = stage.workflow.sweeps["contact"]
    assert (sweep.mended_ever, mended(stage)) == (2, 2)


def test_a_late_write_of_a_paused_worker_is_found(stage: Stage) -> None:
    """R3: a stale value that arrives after a newer one stays only until the sweep comes by."""
    record = sorted(stage.dynamics.rows)[7]
    stale = dict(stage.campaign.records[record])
    stage.dynamics.put(record, lastname="Newer")
    stage.drain()
    assert stage.campaign.records[record]["lastName"] == "Newer"
    stage.campaign.records[record].update(stale)  # the paused worker's request arrives
    stage.advance(WEEK)
    stage.drain()
    stage.drain()
    assert stage.campaign.records[record]["lastName"] == "Newer"


def test_a_record_that_should_be_gone_goes_like_any_inferred_deletion(stage: Stage) -> None:
    """Known to the ledger, not in Dynamics, and nobody told: it is deleted, under the same cap."""
    for record in sorted(stage.dynamics.rows)[:3]:
        del stage.dynamics.rows[record], stage.dynamics.versions[record]
    stage.advance(WEEK)
    stage.drain()
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE - 3
    for record in sorted(stage.dynamics.rows)[:12]:
        del stage.dynamics.rows[record], stage.dynamics.versions[record]
    stage.advance(WEEK)
    stage.drain()
    stage.drain()
    assert len(stage.campaign.records) == PEOPLE - 3
    assert dict(stage.workflow.backlog.held) == {"contact": 12}


def test_fields_of_the_first_load_belong_to_campaign(stage: Stage) -> None:
    """I3: what `apply_updates` leaves alone, the sweep leaves alone."""
    once = FieldMapping(source="jobtitle", target="title", apply_updates=False)
    stage.workflow.stop()
    stage.workflow.edit(IngressDefinition(mappings=[evolve(WIDER, fields=[*MAPPING.fields, once])]))
    stage.workflow.start()
    stage.drain()
    for record in stage.campaign.records.values():
        record["title"] = "Chosen in Campaign"
    stage.advance(WEEK)
    stage.drain()
    stage.drain()
    assert looked_up(stage) >= PEOPLE
    assert {record["title"] for record in stage.campaign.records.values()} == {"Chosen in Campaign"}


def test_strangers_are_never_looked_at(stage: Stage) -> None:
    """I12: a record that others made is no finding."""
    stage.campaign.records["a stranger"] = {"externalId": "a stranger", "lastName": "X"}
    stage.advance(WEEK)
    stage.drain()
    stage.drain()
    assert "a stranger" in stage.campaign.records
    assert stage.workflow.sweeps["contact"].checked_ever == PEOPLE


def test_the_sweep_goes_on_where_another_process_left_it(stage: Stage) -> None:
    """The place is stored with what was found: no record is passed over, and at most a step is repeated."""

    def fail_in_the_middle(verb: str, key: str) -> None:
        if looked_up(stage) == 25:
            raise CredentialsError("The secret expired.")

    stage.campaign.before = fail_in_the_middle
    stage.advance(WEEK)
    stage.drain()
    assert (stage.workflow.status.value, stage.workflow.sweeps["contact"].checked) == ("FAILED", 20)
    stage.campaign.before = nothing
    stage.workflow = stage.again()
    stage.workflow.start()
    stage.drain()
    keys = [key for verb, key in stage.campaign.verbs if verb == "find"]
    assert set(keys) == set(stage.campaign.records)
    assert len(keys) == PEOPLE + 5
    assert stage.workflow.sweeps["contact"].checked_ever == PEOPLE


def test_changes_go_first(stage: Stage) -> None:
    """A change that is waiting is written before the sweep looks at the next records."""
    stage.advance(WEEK)
    record = sorted(stage.dynamics.rows)[-1]
    stage.dynamics.put(record, lastname="Urgent")
    stage.drain()
    assert stage.campaign.verbs[:2] == [("find", record), ("update", record)]


def test_a_record_that_cannot_be_looked_up_stops_nothing(stage: Stage) -> None:
    """Several records with one key: that one is passed over, the others are compared."""
    odd = sorted(stage.campaign.records)[3]

    def refuse(verb: str, key: str) -> None:
        if (verb, key) == ("find", odd):
            raise RecordRefusedError("Several records have the same key.")

    stage.campaign.before = refuse
    stage.advance(WEEK)
    assert stage.drain().status.value == "RUNNING"
    stage.drain()
    assert stage.workflow.sweeps["contact"].rounds == 1


def test_an_outage_pauses_the_sweep_and_loses_no_place(stage: Stage) -> None:
    """A service that is away is left alone; afterwards the same records are looked at."""

    def away(verb: str, key: str) -> None:
        raise UnavailableError("away")

    stage.campaign.before = away
    stage.advance(WEEK)
    report = stage.workflow.run_cycle(seconds=0.5)
    assert (report.status.value, stage.workflow.sweeps["contact"].checked) == ("RUNNING", 0)
    stage.campaign.before = nothing
    stage.drain()
    stage.drain()
    assert stage.workflow.sweeps["contact"].checked_ever == PEOPLE


def test_a_period_of_zero_switches_it_off() -> None:
    """Then nothing is looked at, however long it takes."""
    stage = Stage(people=3, settings=EngineSettings(sweep_period=timedelta(0)))
    stage.workflow.start()
    stage.drain()
    stage.campaign.verbs.clear()
    stage.advance(100 * WEEK)
    stage.drain()
    assert (stage.campaign.verbs, stage.workflow.sweeps) == ([], {})
    with pytest.raises(ValueError, match="sweep_period cannot be"):
        EngineSettings(sweep_period=timedelta(seconds=-1))
    stage.storage.close()
