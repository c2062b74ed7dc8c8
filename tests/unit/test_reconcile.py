"""Reconciliation: what is told, what is queued, what is adopted, and what is never touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve
from tests.workflow_room import MAPPING, WORKING, Stage, staged

from syncline import FieldMapping, IngressDefinition
from syncline.errors import DefinitionError, RecordRefusedError, ThrottledError
from syncline.views import ReconcileKind

PEOPLE = 30


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Everybody is in Campaign."""
    with staged(PEOPLE) as made:
        made.bring()
        yield made


@pytest.fixture
def moved() -> Iterator[Stage]:
    """Another integration wrote Campaign; Syncline has never run."""
    with staged(PEOPLE) as made:
        for record, row in made.dynamics.rows.items():
            made.campaign.records[record] = {"externalId": record, "lastName": row["lastname"]}
        yield made


def derange(stage: Stage) -> tuple[str, str, str]:
    """One record each is missing, different and extra; returns which."""
    missing, different, extra, *_ = sorted(stage.campaign.records)
    del stage.campaign.records[missing]
    stage.campaign.records[different]["lastName"] = "Somebody else"
    del stage.dynamics.rows[extra], stage.dynamics.versions[extra]
    return missing, different, extra


def test_it_tells_what_is_missing_extra_different_and_identical(stage: Stage) -> None:
    """X7: by key, whatever the ledger remembers; fields by name, values never; and nothing is written."""
    missing, different, extra = derange(stage)
    report = stage.workflow.reconcile("contact")
    assert {kind.value: number for kind, number in report.counts.items() if number} == {
        "missing": 1,
        "extra": 1,
        "different": 1,
        "identical": PEOPLE - 3,
    }
    assert [record.key.id for record in report.of(ReconcileKind.MISSING)] == [missing]
    assert [record.key.id for record in report.of(ReconcileKind.EXTRA)] == [extra]
    (found,) = report.of(ReconcileKind.DIFFERENT)
    assert (found.key.id, found.fields) == (different, ("lastName",))
    assert (report.in_step, report.complete, report.queued, report.adopted) == (False, True, 0, 0)
    assert (stage.workflow.backlog.size, {verb for verb, _ in stage.campaign.verbs}) == (0, {"find"})
    assert report.calls == len(stage.campaign.verbs) + 1 == PEOPLE + 1, "a look for each, and Campaign's own count"
    shown = f"{report}{report.to_html()}{report!r}{report.as_data()}"
    assert "Somebody else" not in shown
    assert "Person" not in shown
    assert "The comparison cost 31 engine calls." in str(report)


def test_in_step_is_told_as_such(stage: Stage) -> None:
    """Nothing to list, and `in_step` says so."""
    report = stage.workflow.reconcile("contact")
    assert report.in_step
    assert (list(report), len(report)) == ([], 0)
    assert "nothing differs" in str(report)


def test_queued_differences_are_mended_and_the_history_says_so(stage: Stage) -> None:
    """X7: they go through the backlog's bulk lane, whatever the ledger believes; inferred deletions under their cap."""
    derange(stage)
    report = stage.workflow.reconcile("contact", queue=True, by="ann")
    assert (report.queued, stage.workflow.backlog.size) == (3, 3)
    newest = stage.workflow.history[0]
    assert (newest.action, newest.by, newest.detail) == ("reconcile", "ann", "contact: 0 adopted, 3 queued")
    stage.drain()
    assert stage.in_step()
    assert stage.workflow.reconcile("contact").in_step


def test_it_works_while_the_workflow_is_stopped(stage: Stage) -> None:
    """What it queues waits for the next start."""
    derange(stage)
    stage.workflow.stop()
    assert stage.workflow.reconcile("contact", queue=True).queued == 3
    assert not stage.in_step()
    stage.workflow.start()
    stage.drain()
    assert stage.in_step()


def test_adoption_sends_only_what_differs(moved: Stage) -> None:
    """X13: coming from another integration, what matches is not sent again, by the first start nor by a replay."""
    missing, different, *_ = sorted(moved.campaign.records)
    del moved.campaign.records[missing]
    moved.campaign.records[different]["lastName"] = "Somebody else"
    report = moved.workflow.reconcile("contact", adopt=True)
    assert (report.adopted, report.queued) == (PEOPLE - 2, 2)
    assert moved.storage.ledger_size(moved.workflow.id, "contact") == PEOPLE - 1
    moved.campaign.verbs.clear()
    moved.workflow.start()
    moved.drain()
    assert sorted(moved.campaign.verbs) == [("create", missing), ("find", different), ("update", different)]
    assert moved.in_step()
    moved.campaign.verbs.clear()
    moved.workflow.stop()
    moved.workflow.replay("contact")
    moved.workflow.start()
    moved.drain()
    assert moved.campaign.verbs == []
    assert moved.workflow.reconcile("contact", adopt=True).adopted == 0


def test_adoption_leaves_first_load_fields_as_they_are(moved: Stage) -> None:
    """I3: a field that later changes leave alone makes no record different; a replay still writes it."""
    once = FieldMapping(source="jobtitle", target="title", apply_updates=False)
    moved.workflow.edit(IngressDefinition(mappings=[evolve(MAPPING, fields=[*MAPPING.fields, once])]))
    for record in moved.campaign.records.values():
        record["title"] = "Chosen in Campaign"
    assert moved.workflow.reconcile("contact", adopt=True).adopted == PEOPLE
    moved.campaign.verbs.clear()
    moved.workflow.start()
    moved.drain()
    assert moved.campaign.verbs == []
    moved.workflow.stop()
    moved.workflow.replay("contact")
    moved.workflow.start()
    moved.drain()
    assert {record["title"] for record in moved.campaign.records.values()} == {None}


def test_strangers_are_counted_and_never_touched(stage: Stage) -> None:
    """I12: what the ledger does not know is not ours, also when its key looks like one of a contact."""
    stranger = "ffffffff-0000-4000-8000-000000000000"
    stage.campaign.records[stranger] = {"externalId": stranger, "lastName": "X"}
    stage.campaign.records["no key of ours"] = {"externalId": "no key of ours", "lastName": "Y"}
    report = stage.workflow.reconcile("contact", queue=True)
    assert (report.in_step, report.strangers) == (True, 2)
    stage.drain()
    assert stranger in stage.campaign.records


def test_what_the_filters_leave_out_is_left_alone_or_extra_as_the_mapping_says(stage: Stage) -> None:
    """I6: without delete_filtered_out it may stay; with it, it is extra."""
    stage.dynamics.put(sorted(stage.dynamics.rows)[0], jobtitle="retired")
    stage.workflow.edit(IngressDefinition(mappings=[evolve(WORKING, delete_filtered_out=False)]))
    report = stage.workflow.reconcile("contact")
    assert (report.counts[ReconcileKind.LEFT_ALONE], report.in_step, report.strangers) == (1, True, 0)
    stage.workflow.edit(IngressDefinition(mappings=[WORKING]))
    assert stage.workflow.reconcile("contact").counts[ReconcileKind.EXTRA] == 1


def test_what_cannot_be_compared_is_told_with_its_reason(stage: Stage) -> None:
    """A value that does not convert, and a key that several records carry: neither is queued, both are listed."""
    long, twice, *_ = sorted(stage.dynamics.rows)
    stage.dynamics.put(long, lastname="x" * 60)

    def refuse(verb: str, key: str) -> None:
        if key == twice:
            raise RecordRefusedError("Several records have the same key.")

    stage.campaign.before = refuse
    report = stage.workflow.reconcile("contact", queue=True)
    assert [record.key.id for record in report.of(ReconcileKind.REFUSED)] == [long, twice]
    assert all(record.reason for record in report)
    assert report.queued == 0


def test_only_so_many_records_are_listed_and_all_are_counted(stage: Stage) -> None:
    """Memory stays small with a million differences; the text says that there are more."""
    for record in stage.campaign.records.values():
        record["lastName"] = "Somebody else"
    report = stage.workflow.reconcile("contact", limit=5)
    assert (len(report), report.counts[ReconcileKind.DIFFERENT], report.complete) == (5, PEOPLE, False)
    assert "Only the first 5 records that differ are listed." in str(report)


def test_silence_that_campaign_asks_for_is_waited_for(stage: Stage) -> None:
    """X2: a throttled look-up is tried again, and nothing is left out."""
    asked: list[str] = []

    def throttle(verb: str, key: str) -> None:
        asked.append(key)
        if len(asked) == 1:
            raise ThrottledError("wait", retry_after=0.0, principal="campaign")

    stage.campaign.before = throttle
    report = stage.workflow.reconcile("contact")
    assert (report.in_step, len(asked)) == (True, PEOPLE + 1)


def test_looking_registers_nothing_and_a_wrong_table_is_named(moved: Stage) -> None:
    """A comparison alone leaves no trace in the storage."""
    assert moved.workflow.reconcile("contact").counts[ReconcileKind.IDENTICAL] == PEOPLE
    with pytest.raises(KeyError):
        moved.storage.workflow(moved.workflow.id)
    with pytest.raises(DefinitionError, match="account is not mapped"):
        moved.workflow.reconcile("account")
    moved.workflow.start()
    moved.drain()
