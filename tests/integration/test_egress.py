"""Campaign to Microsoft Dynamics 365: the whole workflow against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.egress_room import DELIVERY, TABLES, drain, exact, export, join, people, sent, timeline, tracked
from tests.ingress_room import dataverse

from syncline import EgressDefinition, Integration, MemoryStorage, WorkflowState
from syncline.connectors.dynamics import Dataverse
from syncline.definitions import ActivityTable, DeliveryLog, EventKind
from syncline.errors import DefinitionError
from syncline.events import event_id
from syncline.records import Event
from syncline.sandbox import Sandbox
from syncline.store import DeadLetterStatus
from syncline.views.preview import PreviewKind
from syncline.workflows.settings import EngineSettings

STRANGER = "11111111-2222-4333-8444-555555555555"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(contacts=6) as running:
        yield running


@pytest.fixture
def joined(sandbox: Sandbox, tmp_path: Path) -> Iterator[Integration]:
    """Egress that reads from `tmp_path`."""
    with join(sandbox, MemoryStorage(), tmp_path) as integration:
        yield integration


def test_events_become_activities_with_their_attributes(sandbox: Sandbox, joined: Integration, tmp_path: Path) -> None:
    """One activity for each send, open, click and bounce, regarding the contact, with everything the log says."""
    ann, bo, *_ = people(sandbox)
    export(tmp_path, "delivery_log_1.csv", [sent(1, ann), sent(2, bo, status="2", failure="2", reason="1")])
    export(tmp_path, "tracking_log_1.csv", [tracked(1, ann), tracked(2, ann, kind="1"), tracked(3, ann, kind="6")])
    joined.egress.start()
    assert drain(joined).status is WorkflowState.RUNNING
    assert timeline(sandbox) == {"send": 1, "open": 1, "click": 1, "bounce": 1}
    (click,) = sandbox.dynamics.rows("adobe_emailclick")
    assert {name: click[name] for name in ("subject", "adobe_campaignname", "adobe_deliveryname")} == {
        "subject": "CMP1 DM1", "adobe_campaignname": "CMP1", "adobe_deliveryname": "DM1",
    }  # fmt: skip
    assert click["adobe_clickedon"] == "2026-03-01T11:00:00Z"
    assert click["adobe_trackingurl"] == "https://shop.example/2"
    assert click["_regardingobjectid_value"] == ann
    (bounce,) = sandbox.dynamics.rows("adobe_emailbounce")
    assert bounce["adobe_bouncedon"] == "2026-03-02T10:00:00Z"
    assert bounce["_regardingobjectid_value"] == bo
    exact(joined)


def test_an_event_appears_once_however_it_comes(sandbox: Sandbox, joined: Integration, tmp_path: Path) -> None:
    """Overlapping exports, a re-export under another name, a push, and all of it again with an empty storage."""
    ann, bo, *_ = people(sandbox)
    export(tmp_path, "delivery_log_1.csv", [sent(1, ann), sent(2, bo)])
    export(tmp_path, "delivery_log_2.csv", [sent(2, bo), sent(3, ann), sent(3, ann)])
    push = Event(kind=EventKind.SEND, contact=ann.upper(), occurred_on=NOON, log_id="1")
    joined.egress.accept([push])
    joined.egress.start()
    drain(joined)
    assert timeline(sandbox)["send"] == 3
    export(tmp_path, "delivery_log_3.csv", [sent(1, ann), sent(2, bo, status="2", failure="2", reason="1")])
    assert joined.egress.accept([push]).known == 1
    drain(joined)
    assert timeline(sandbox) == {"send": 3, "open": 0, "click": 0, "bounce": 1}
    exact(joined)
    with join(sandbox, MemoryStorage(), tmp_path) as other:
        other.egress.start()
        report = drain(other)
        assert timeline(sandbox) == {"send": 3, "open": 0, "click": 0, "bounce": 1}
        assert report.dead == 0
        exact(other)


def test_what_somebody_edited_stays_as_edited(sandbox: Sandbox, joined: Integration, tmp_path: Path) -> None:
    """An activity is created and never changed, also when its event is exported again with other attributes."""
    ann = people(sandbox)[0]
    export(tmp_path, "delivery_log_1.csv", [sent(1, ann)])
    joined.egress.start()
    drain(joined)
    (activity,) = sandbox.dynamics.rows("adobe_emailsend")
    sandbox.dynamics.update("adobe_emailsend", activity["activityid"], subject="by hand")
    export(tmp_path, "delivery_log_2.csv", [sent(1, ann).replace("CMP1", "CMP9")])
    with join(sandbox, MemoryStorage(), tmp_path) as other:
        other.egress.start()
        drain(other)
    (activity,) = sandbox.dynamics.rows("adobe_emailsend")
    assert (activity["subject"], activity["adobe_campaignname"]) == ("by hand", "CMP1")


def test_unknown_people_are_set_aside_and_tried_again(sandbox: Sandbox, joined: Integration, tmp_path: Path) -> None:
    """Their events are counted outside the queue, and appear once the contact does."""
    ann = people(sandbox)[0]
    rows = [sent(1, ann), sent(2, STRANGER), sent(3, STRANGER), sent(4, "another system's key")]
    export(tmp_path, "delivery_log_1.csv", rows)
    joined.egress.start()
    drain(joined)
    backlog = joined.egress.backlog
    assert (backlog.size, backlog.set_aside, backlog.dead) == (0, 3, 0)
    assert timeline(sandbox)["send"] == 1
    drain(joined)
    sandbox.dynamics.load("contact", [{"contactid": STRANGER, "lastname": "Late"}])
    drain(joined)
    assert timeline(sandbox)["send"] == 3
    assert joined.egress.backlog.set_aside == 1
    exact(joined)


def test_a_contact_that_ingress_brings_wakes_its_events(sandbox: Sandbox, tmp_path: Path) -> None:
    """E5: soon, and not only when everybody unknown is looked up again."""
    storage = MemoryStorage()
    settings = EngineSettings(unknown_poll=timedelta(hours=5))
    with join(sandbox, storage, tmp_path, settings=settings) as joined:
        joined.egress.accept([Event(kind=EventKind.SEND, contact=STRANGER, occurred_on=NOON, log_id="1")])
        joined.egress.start()
        drain(joined)
        sandbox.dynamics.load("contact", [{"contactid": STRANGER, "lastname": "Late"}])
        storage.set_time_offset(120)
        drain(joined)
        assert (timeline(sandbox)["send"], joined.egress.backlog.set_aside) == (0, 1)
        joined.ingress.start()
        joined.ingress.run_cycle(seconds=10)
        drain(joined)
        assert (timeline(sandbox)["send"], joined.egress.backlog.set_aside) == (1, 0)
        exact(joined)


def test_a_preview_tells_what_would_appear_and_reads_nothing_away(
    sandbox: Sandbox, joined: Integration, tmp_path: Path
) -> None:
    """X4: what would be created, set aside, refused or passed over; the next cycle reads the same rows."""
    ann, bo, *_ = people(sandbox)
    rows = [sent(1, ann), sent(2, STRANGER), sent(3, bo, status="0"), "cut off\n"]
    export(tmp_path, "delivery_log_1.csv", rows)
    export(tmp_path, "tracking_log_1.csv", [tracked(1, ann)])
    preview = joined.egress.preview()
    assert {kind.value: number for kind, number in preview.counts.items() if number} == {
        "create": 2, "left alone": 1, "filtered out": 1, "refused": 1,
    }  # fmt: skip
    assert (preview.complete, preview.look_ups) == (True, 2)
    (send, opened) = preview.of(PreviewKind.CREATE)
    assert (send.key.table, opened.key.table) == ("send", "open")
    assert "subject" in {one.name for one in send.fields}
    assert "delivery_log_1.csv line 5" in preview.of(PreviewKind.REFUSED)[0].reason
    assert "Dynamics 365 was asked for 2 records" in str(preview)
    assert timeline(sandbox) == dict.fromkeys(TABLES, 0)
    assert joined.egress.backlog.size == 0
    short = joined.egress.preview(limit=2)
    assert (len(short), short.complete) == (2, False)
    joined.egress.start()
    drain(joined)
    assert timeline(sandbox) == {"send": 1, "open": 1, "click": 0, "bounce": 0}
    assert len(joined.egress.preview()) == 0
    export(tmp_path, "delivery_log_2.csv", [sent(1, ann)])
    assert joined.egress.preview().of(PreviewKind.IDENTICAL)
    with pytest.raises(ValueError, match="1 or more"):
        joined.egress.preview(limit=0)


def test_what_waited_too_long_is_discarded_if_the_definition_says_so(sandbox: Sandbox, tmp_path: Path) -> None:
    """A retention drops events of people who never came, and counts them."""
    export(tmp_path, "delivery_log_1.csv", [sent(1, STRANGER)])
    storage = MemoryStorage()
    with join(sandbox, storage, tmp_path, definition=EgressDefinition(keep_unknown_days=30)) as joined:
        joined.egress.start()
        drain(joined)
        storage.set_time_offset(29 * 86_400)
        drain(joined)
        assert joined.egress.backlog.set_aside == 1
        storage.set_time_offset(31 * 86_400)
        drain(joined)
        assert joined.egress.backlog.set_aside == 0
        assert storage.counts(joined.egress.id).totals.discarded == 1
        exact(joined)


def test_a_bad_row_is_set_aside_with_file_and_line(sandbox: Sandbox, joined: Integration, tmp_path: Path) -> None:
    """The others flow; a retry takes it as it was read, under the definition of the day."""
    ann = people(sandbox)[0]
    french = sent(2, ann, status="Envoyé")
    export(tmp_path, "delivery_log_1.csv", [sent(1, ann), "cut off\n", french])
    joined.egress.start()
    drain(joined)
    assert timeline(sandbox)["send"] == 1
    torn, word = joined.egress.dead_letters
    assert "delivery_log_1.csv line 3" in torn.message
    assert "delivery_log_1.csv line 4" in word.message
    assert word.field == "status"
    assert ann not in f"{torn}{word}"
    joined.egress.edit(EgressDefinition(delivery_log=DeliveryLog(sent=("1", "Envoyé"))))
    joined.egress.stop()
    joined.egress.start()
    assert joined.egress.dead_letters.retry([word], by="somebody") == 1
    drain(joined)
    assert timeline(sandbox)["send"] == 2
    assert [letter.id for letter in joined.egress.dead_letters] == [torn.id]
    (retried,) = joined.egress.dead_letters.list(status=DeadLetterStatus.RETRIED)
    assert retried.id == word.id
    exact(joined)


def test_a_changed_header_stops_before_anything_is_misread(
    sandbox: Sandbox, joined: Integration, tmp_path: Path
) -> None:
    """A column that is gone fails the workflow with its name; new ones and another order are simply learnt."""
    ann = people(sandbox)[0]
    joined.egress.start()
    columns = DELIVERY.strip().split(",")
    cells = sent(1, ann).strip().split(",")
    turned = "\n".join(",".join([*reversed(line), "more"]) for line in (columns, cells))
    path = export(tmp_path, "delivery_log_1.csv", [])
    path.write_text(f"{turned}\n", encoding="utf-8")
    drain(joined)
    assert timeline(sandbox)["send"] == 1
    path = export(tmp_path, "delivery_log_2.csv", [])
    path.write_text(DELIVERY.replace("status", "state") + sent(2, ann), encoding="utf-8")
    assert drain(joined).status is WorkflowState.FAILED
    error = joined.egress.error
    assert error is not None
    assert "delivery_log_2.csv" in error.message
    assert "status" in error.message
    joined.egress.edit(EgressDefinition(delivery_log=DeliveryLog(status="state")))
    path.rename(tmp_path / "delivery_log_2.csv.old")
    export(tmp_path, "delivery_log_3.csv", []).write_text(
        DELIVERY.replace("status", "state") + sent(2, ann), encoding="utf-8"
    )
    (tmp_path / "delivery_log_1.csv").unlink()
    (tmp_path / "delivery_log_2.csv.old").unlink()
    joined.egress.start()
    drain(joined)
    assert timeline(sandbox)["send"] == 2


def test_pushes_are_durable_whatever_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    """What is accepted while the workflow is STOPPED is written by another process after the next start."""
    ann = people(sandbox)[0]
    database = tmp_path / "syncline.db"
    with join(sandbox, database) as first:
        events = [Event(kind=kind, contact=ann, occurred_on=NOON, log_id="7", delivery="DM1") for kind in EventKind]
        accepted = first.egress.accept([*events, events[0]])
        assert (accepted.queued, accepted.known) == (4, 1)
        assert first.egress.status is WorkflowState.STOPPED
        assert first.egress.backlog.by_table() == {"bounce": 1, "click": 1, "open": 1, "send": 1}
    with join(sandbox, database) as second:
        second.egress.start()
        drain(second)
        assert timeline(sandbox) == {"send": 1, "open": 1, "click": 1, "bounce": 1}
        exact(second)


def test_kinds_can_be_switched_off_and_on_again(sandbox: Sandbox, tmp_path: Path) -> None:
    """What was no event under the old definition becomes one when the files are read once more."""
    ann = people(sandbox)[0]
    export(tmp_path, "tracking_log_1.csv", [tracked(1, ann), tracked(2, ann, kind="1")])
    clicks = EgressDefinition(kinds={EventKind.CLICK})
    with join(sandbox, MemoryStorage(), tmp_path, definition=clicks) as joined:
        joined.egress.start()
        drain(joined)
        assert timeline(sandbox) == {"send": 0, "open": 0, "click": 1, "bounce": 0}
        joined.egress.edit(EgressDefinition())
        joined.egress.stop()
        joined.egress.start()
        assert joined.egress.replay(by="somebody") == 1
        drain(joined)
        assert timeline(sandbox) == {"send": 0, "open": 1, "click": 1, "bounce": 0}
        exact(joined)


def test_what_is_queued_leaves_under_the_rules_of_the_day(sandbox: Sandbox, joined: Integration) -> None:
    """A kind that is switched off after an event was queued is not written."""
    ann = people(sandbox)[0]
    joined.egress.accept([Event(kind=EventKind.OPEN, contact=ann, occurred_on=NOON, log_id="1")])
    joined.egress.edit(EgressDefinition(kinds={EventKind.SEND}))
    joined.egress.start()
    assert drain(joined).skipped == 1
    assert timeline(sandbox)["open"] == 0


def test_a_text_that_does_not_fit_sets_its_event_aside(sandbox: Sandbox, joined: Integration) -> None:
    """A URL that is longer than its column is not cut; the others flow."""
    ann = people(sandbox)[0]
    url = "https://x.example/" + "y" * 2000
    long = Event(kind=EventKind.CLICK, contact=ann, occurred_on=NOON, log_id="1", tracking_url=url)
    joined.egress.accept([long, Event(kind=EventKind.CLICK, contact=ann, occurred_on=NOON, log_id="2")])
    joined.egress.start()
    drain(joined)
    assert timeline(sandbox)["click"] == 1
    (letter,) = joined.egress.dead_letters
    assert letter.field == "adobe_trackingurl"


def test_the_check_says_precisely_what_is_missing(sandbox: Sandbox, tmp_path: Path) -> None:
    """Tables, columns, the lookup, and the columns of the newest export, each with what to do."""
    sandbox.dynamics.drop_column("adobe_emailopen", "adobe_openedon")
    sandbox.dynamics.drop_table("adobe_emailbounce")
    export(tmp_path, "delivery_log_1.csv", []).write_text("logId,state\n1,2\n", encoding="utf-8")
    clicks = ActivityTable(table="adobe_emailclick", occurred_on="subject", regarding="ownerid")
    definition = EgressDefinition(activities={EventKind.CLICK: clicks})
    with join(sandbox, MemoryStorage(), tmp_path, definition=definition) as joined:
        report = joined.egress.check()
        failed = {check.name: check for check in report.failed}
        assert set(failed) == {
            "bounce: table adobe_emailbounce",
            "open: columns",
            "click: columns",
            "click: regarding a contact",
            f"exports: the folder {tmp_path}: delivery_log*",
        }
        assert "adobe_emailsend" in failed["bounce: table adobe_emailbounce"].remedy
        assert "adobe_openedon (occurred_on) is missing" in failed["open: columns"].detail
        assert "subject (occurred_on) is string" in failed["click: columns"].detail
        assert "externalId" in failed[f"exports: the folder {tmp_path}: delivery_log*"].detail
        assert [check.name for check in report.warnings] == [f"exports: the folder {tmp_path}: tracking_log*"]
        joined.egress.start()
        assert joined.egress.run_cycle().status is WorkflowState.FAILED


def test_a_table_without_bulk_messages_works_in_batches(sandbox: Sandbox) -> None:
    """The check says so, and events arrive all the same."""
    columns = [
        {"name": "new_campaign", "type": "String"},
        {"name": "new_delivery", "type": "String"},
        {"name": "new_when", "type": "DateTime"},
    ]
    sandbox.dynamics.add_table("new_send", columns, activity=True, bulk=False)
    table = ActivityTable(
        table="new_send",
        occurred_on="new_when",
        campaign_name="new_campaign",
        delivery_name="new_delivery",
        mirror_page_url=None,
    )
    definition = EgressDefinition(kinds={EventKind.SEND}, activities={EventKind.SEND: table})
    with join(sandbox, MemoryStorage(), definition=definition) as joined:
        assert [check.name for check in joined.egress.check().warnings] == ["send: bulk"]
        joined.egress.accept(
            Event(kind=EventKind.SEND, contact=ann, occurred_on=NOON, log_id=f"{number}")
            for number, ann in enumerate(people(sandbox) * 30)
        )
        joined.egress.start()
        drain(joined)
        assert sandbox.dynamics.count("new_send") == 180
        exact(joined)


def test_one_row_that_is_refused_is_found_among_many(sandbox: Sandbox, joined: Integration) -> None:
    """A refused bulk call is halved until the row is alone: it becomes a dead letter, and all others appear."""
    events = [
        Event(kind=EventKind.SEND, contact=ann, occurred_on=NOON, log_id=f"{number}")
        for number, ann in enumerate(people(sandbox) * 20)
    ]
    refused = event_id(events[57], joined.egress.definition.instance)
    sandbox.dynamics.issue_rejects(refused)
    joined.egress.accept(events)
    joined.egress.start()
    drain(joined)
    assert timeline(sandbox)["send"] == len(events) - 1
    (letter,) = joined.egress.dead_letters
    assert (letter.key.table, letter.key.id) == ("send", refused)
    assert "plug-in" in letter.message
    sandbox.dynamics.issue_rejects(refused, None)
    joined.egress.dead_letters.retry([letter])
    drain(joined)
    assert timeline(sandbox)["send"] == len(events)
    exact(joined)


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "fail", "status": 503},
        {"action": "throttle", "retry_after": 0},
        {"action": "applied"},
        {"action": "cut_headers"},
    ],
    ids=lambda fault: str(fault["action"]),
)
def test_trouble_on_the_way_loses_and_doubles_nothing(sandbox: Sandbox, joined: Integration, fault: Any) -> None:
    """Turned away, throttled, or without an answer to a call that was applied: each event appears once."""
    ann = people(sandbox)[0]
    joined.egress.accept(
        Event(kind=EventKind.SEND, contact=ann, occurred_on=NOON, log_id=f"{number}") for number in range(2_500)
    )
    joined.egress.start()
    joined.egress.run_cycle(records=1)
    sandbox.dynamics.add_fault(**fault, method="POST", path="CreateMultiple", count=2)
    drain(joined)
    assert timeline(sandbox)["send"] == 2_500
    assert len(joined.egress.dead_letters) == 0
    exact(joined)


def test_both_workflows_are_listed(joined: Integration) -> None:
    """The Workflows page shows egress beside ingress."""
    assert "Campaign to Microsoft Dynamics 365" in str(joined.workflows)


def test_a_forgotten_person_leaves_nothing(sandbox: Sandbox, joined: Integration) -> None:
    """Queued and set-aside events of a person go with an erasure."""
    ann = people(sandbox)[0]
    joined.egress.accept([Event(kind=EventKind.SEND, contact=STRANGER, occurred_on=NOON, log_id="1")])
    joined.egress.start()
    drain(joined)
    joined.egress.accept(
        [
            Event(kind=EventKind.OPEN, contact=STRANGER, occurred_on=NOON, log_id="2"),
            Event(kind=EventKind.OPEN, contact=ann, occurred_on=NOON, log_id="3"),
        ]
    )
    erased = joined.forget(STRANGER)
    assert erased.queued >= 1
    assert (joined.egress.backlog.size, joined.egress.backlog.set_aside) == (1, 0)
    exact(joined)


def test_a_connector_that_cannot_write_says_so(sandbox: Sandbox) -> None:
    """A connector of an older make is told apart from one whose table is missing."""

    class ReadOnly(Dataverse):
        create = Dataverse.__mro__[1].create  # type: ignore[attr-defined]

    connector = dataverse(sandbox)
    connector.__class__ = ReadOnly
    with join(sandbox, MemoryStorage(), dynamics=connector) as joined:
        ann = people(sandbox)[0]
        joined.egress.accept([Event(kind=EventKind.SEND, contact=ann, occurred_on=NOON, log_id="1")])
        joined.egress.start()
        assert drain(joined).status is WorkflowState.FAILED
        assert joined.egress.error is not None
        assert joined.egress.error.kind == DefinitionError.__name__


def test_every_kind_has_a_table_of_its_own() -> None:
    """The defaults are what the room above expects."""
    assert {kind.value: one.table for kind, one in EgressDefinition().activities.items()} == TABLES
