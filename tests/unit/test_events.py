"""What the rows of Campaign's logs say: the rules from a row to an event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.definitions import DeliveryLog, EgressDefinition, EventKind, TrackingLog
from syncline.errors import ConversionError
from syncline.events import LogKind, RawEvent, event_id, event_of, missing_columns, subject_of
from syncline.records import Event

ANN = "7b5f2f2e-0c41-4c3e-9a6d-0f0a2b1c3d4e"
DELIVERY = {
    "logId": "4711",
    "externalId": ANN,
    "campaignId": "CMP12",
    "deliveryId": "DM190",
    "status": "1",
    "failureType": "0",
    "failureReason": "0",
    "eventDate": "2026-03-01 10:20:30.500Z",
    "lastModified": "2026-03-02 08:00:00.000Z",
    "mirrorPageUrl": "https://mirror.example/1",
}
TRACKING = {
    "logId": "815",
    "externalId": ANN,
    "campaignId": "CMP12",
    "deliveryId": "DM190",
    "urlType": "1",
    "urlSource": "https://shop.example/a?b=c",
    "logDate": "2026-03-01 11:00:00.000Z",
}
PLAIN = EgressDefinition()


def delivered(definition: EgressDefinition = PLAIN, **columns: str) -> Event | None:
    return event_of(RawEvent(log=LogKind.DELIVERY, values={**DELIVERY, **columns}, file="d.csv", line=7), definition)


def tracked(definition: EgressDefinition = PLAIN, **columns: str) -> Event | None:
    return event_of(RawEvent(log=LogKind.TRACKING, values={**TRACKING, **columns}, file="t.csv", line=7), definition)


def kind(event: Event | None) -> EventKind | None:
    return None if event is None else event.kind


def test_a_sent_message_is_a_send_with_its_attributes() -> None:
    """Whom, what, when and where it can be seen."""
    event = delivered()
    assert event == Event(
        kind=EventKind.SEND,
        contact=ANN,
        occurred_on=datetime(2026, 3, 1, 10, 20, 30, 500_000, tzinfo=UTC),
        log_id="4711",
        campaign="CMP12",
        delivery="DM190",
        mirror_page_url="https://mirror.example/1",
    )
    assert subject_of(event) == "CMP12 DM190"


@pytest.mark.parametrize(
    ("status", "failure", "reason", "expected"),
    [
        ("1", "0", "0", EventKind.SEND),
        ("Sent", "", "", EventKind.SEND),
        ("2", "2", "1", EventKind.BOUNCE),
        ("Failed", "Hard", "User unknown", EventKind.BOUNCE),
        # The denylist counts as a hard failure and is none.
        ("2", "2", "8", None),
        ("Failed", "Hard", "Address on denylist", None),
        ("Failed", "Hard", "Quarantined address", None),
        ("2", "1", "5", None),
        ("Failed", "Soft", "Mailbox full", None),
        ("6", "0", "0", None),
        ("Pending", "", "", None),
        ("", "", "", None),
    ],
)
def test_status_and_failure_decide(status: str, failure: str, reason: str, expected: EventKind | None) -> None:
    """Codes or labels: sent is a send, a hard failure that is no exclusion is a bounce, all else is nothing yet."""
    assert kind(delivered(status=status, failureType=failure, failureReason=reason)) is expected


def test_a_message_that_bounces_later_is_one_send_and_one_bounce() -> None:
    """A status flips after days; both rows carry the log id, and each event keeps its id however often it comes."""
    send, bounce = delivered(), delivered(status="2", failureType="2", failureReason="1")
    again = delivered(lastModified="2026-03-09 00:00:00Z", campaignId="renamed")
    assert send is not None
    assert bounce is not None
    assert again is not None
    assert event_id(send, "") == event_id(again, "") != event_id(bounce, "")
    assert bounce.occurred_on == datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url_type", "expected"),
    [
        ("1", EventKind.CLICK), ("10", EventKind.CLICK), ("11", EventKind.CLICK), ("Email click", EventKind.CLICK),
        ("2", EventKind.OPEN), ("open", EventKind.OPEN), ("3", None), ("6", None), ("Mirror page", None), ("42", None),
    ],
)  # fmt: skip
def test_the_type_of_the_url_decides(url_type: str, expected: EventKind | None) -> None:
    """Links to the mirror page and to the opt-out page are neither opens nor clicks."""
    event = tracked(urlType=url_type)
    assert kind(event) is expected
    assert event is None or event.tracking_url == ("https://shop.example/a?b=c" if expected is EventKind.CLICK else "")


@pytest.mark.parametrize("columns", [{"externalId": " "}, {"test": "true"}, {"channel": "1"}, {"channel": "SMS"}])
def test_nobodys_rows_are_passed_over(columns: Any) -> None:
    """Without a contact, of a test, or of another channel: no event, and no mistake."""
    assert delivered(**columns) is None
    assert tracked(**columns) is None


@pytest.mark.parametrize("columns", [{"test": "false"}, {"test": "0"}, {"channel": "0"}, {"channel": "Email"}])
def test_optional_columns_may_say_that_all_is_as_usual(columns: Any) -> None:
    """An email that is no test counts, whether or not the export says so."""
    assert delivered(**columns) is not None


def test_an_id_in_braces_and_capitals_is_the_same_contact() -> None:
    """Contact ids are compared as Dynamics writes them; any other text stays as it is."""
    event = delivered(externalId="{" + ANN.upper() + "}")
    assert event is not None
    assert event.contact == ANN
    other = delivered(externalId="CRM-17")
    assert other is not None
    assert other.contact == "CRM-17"


@pytest.mark.parametrize("word", ["Envoyé", "sent!"])
def test_a_word_that_nobody_listed_sets_the_row_aside(word: str) -> None:
    """Labels in another language must not make every event vanish without a sound."""
    with pytest.raises(ConversionError, match=r"d\.csv line 7") as caught:
        delivered(status=word)
    assert caught.value.field == "status"
    french = EgressDefinition(delivery_log=DeliveryLog(sent=["Envoyé", "sent!"]))  # type: ignore[arg-type]
    assert kind(delivered(french, status=word)) is EventKind.SEND


@pytest.mark.parametrize(
    ("text", "date_format", "zone", "expected"),
    [
        ("2026-03-01T10:20:30", "", "UTC", datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC)),
        ("2026-03-01 10:20:30", "", "Europe/Paris", datetime(2026, 3, 1, 9, 20, 30, tzinfo=UTC)),
        ("2026-03-01 10:20:30+02:00", "", "Europe/Paris", datetime(2026, 3, 1, 8, 20, 30, tzinfo=UTC)),
        ("01/03/2026 10:20", "%d/%m/%Y %H:%M", "UTC", datetime(2026, 3, 1, 10, 20, tzinfo=UTC)),
    ],
)
def test_dates_are_read_in_their_form_and_zone(text: str, date_format: str, zone: str, expected: datetime) -> None:
    """ISO 8601 with a blank or a T, or whatever form the definition names; a zone in the text goes first."""
    event = delivered(EgressDefinition(date_format=date_format, time_zone=zone), eventDate=text)
    assert event is not None
    assert event.occurred_on == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "1600-01-01 00:00:00Z", "0001-01-01 00:00:00+10:00"])
def test_what_is_no_moment_sets_the_row_aside(text: str) -> None:
    """The column is named, the value is not."""
    with pytest.raises(ConversionError) as caught:
        delivered(eventDate=text)
    assert caught.value.field == "eventDate"
    assert not text or text not in str(caught.value)


def test_a_row_without_an_id_or_a_column_is_set_aside() -> None:
    """An event that could not be told from another one would be written twice."""
    with pytest.raises(ConversionError, match="no id"):
        delivered(logId=" ")
    values = {name: text for name, text in DELIVERY.items() if name != "status"}
    with pytest.raises(ConversionError, match="no column status"):
        event_of(RawEvent(log=LogKind.DELIVERY, values=values, file="d.csv", line=2), PLAIN)


def test_what_is_no_row_says_why() -> None:
    """A line that could not be read names its file, line and problem."""
    raw = RawEvent(log=LogKind.DELIVERY, values={}, file="d.csv", line=9, problem="it has 3 columns", text="x")
    with pytest.raises(ConversionError, match=r"d\.csv line 9 is no row: it has 3 columns"):
        event_of(raw, PLAIN)


def test_kinds_that_are_switched_off_are_no_events() -> None:
    """Each kind can be left out."""
    assert delivered(EgressDefinition(kinds=set(EventKind) - {EventKind.SEND})) is None
    assert tracked(EgressDefinition(kinds={EventKind.SEND})) is None


def test_columns_that_are_needed_are_named() -> None:
    """What bounces and clicks need is not asked for when they are switched off."""
    everything, few = frozenset(EventKind), frozenset({EventKind.SEND, EventKind.OPEN})
    assert missing_columns(DELIVERY, DeliveryLog(), everything) == []
    assert missing_columns(["logId", "status"], DeliveryLog(), few) == [
        "externalId", "campaignId", "deliveryId", "eventDate",
    ]  # fmt: skip
    assert "failureType" in missing_columns([], DeliveryLog(), everything)
    assert missing_columns([], TrackingLog(), few)[-1] == "logDate"
    assert missing_columns([], TrackingLog(), everything)[-1] == "urlSource"


TEXTS = st.text(max_size=12)
EVENTS = st.builds(
    Event,
    kind=st.sampled_from(EventKind),
    contact=st.uuids().map(str) | TEXTS.filter(str.strip).map(str.strip),
    occurred_on=st.datetimes(
        min_value=datetime(1800, 1, 1),  # noqa: DTZ001 - the zone is drawn
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
    ),
    log_id=TEXTS,
    campaign=TEXTS,
    delivery=TEXTS,
    mirror_page_url=TEXTS,
    tracking_url=TEXTS,
)


@given(EVENTS)
def test_a_pushed_event_survives_the_backlog(event: Event) -> None:
    """What is pushed is kept in its own words and is the same event when it is written."""
    raw = RawEvent.from_payload(RawEvent.of(event).to_payload())
    assert raw == RawEvent.of(event)
    assert event_of(raw, PLAIN) == event


@given(EVENTS, EVENTS)
def test_ids_tell_events_apart_and_never_change(one: Event, other: Event) -> None:
    """The id rests on the log id where there is one, else on all that makes an event; never on what may be renamed."""
    same = event_id(one, "") == event_id(other, "")
    if one.log_id and other.log_id:
        assert same == ((one.kind, one.log_id) == (other.kind, other.log_id))
    assert event_id(one, "") != event_id(one, "second")
    assert UUID(event_id(one, "")).version == 5
    assert UUID(event_id(one, "")).variant == RFC_4122


def test_the_id_of_an_event_is_what_it_always_was() -> None:
    """Written down here, because a changed rule would write every event again."""
    event = Event(kind=EventKind.SEND, contact=ANN, occurred_on=datetime(2026, 3, 1, tzinfo=UTC), log_id="4711")
    assert event_id(event, "") == "ae984f4e-6518-5a2d-a596-f28268020319"


@given(status=st.sampled_from(["1", "2"]), failure=st.sampled_from("012"), reason=st.sampled_from("0128"))
def test_a_push_and_an_export_of_the_same_event_coincide(status: str, failure: str, reason: str) -> None:
    """Whatever route an event takes, its id is the same."""
    exported = delivered(status=status, failureType=failure, failureReason=reason)
    if exported is not None:
        assert event_id(event_of(RawEvent.of(exported), PLAIN) or exported, "") == event_id(exported, "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"contact": " "}, {"kind": "send"}, {"occurred_on": datetime(2026, 1, 1)}, {"log_id": 7},  # noqa: DTZ001
    ],
)  # fmt: skip
def test_an_event_that_makes_no_sense_cannot_be_pushed(wrong: dict[str, Any]) -> None:
    """A mistake shows where the event is made, before anything is queued."""
    good: dict[str, Any] = {"kind": EventKind.SEND, "contact": ANN, "occurred_on": datetime(2026, 1, 1, tzinfo=UTC)}
    with pytest.raises((TypeError, ValueError)):
        Event(**{**good, **wrong})
