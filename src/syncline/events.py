"""What the rows of Campaign's logs say, and what an event is called.

What lives here: the rules from a row to an event, as pure functions that are used twice: when a row is read, and when
it is about to be written. Which columns and words the rules look at is configuration; why they are what they are:

- A message of status "sent" is a send. It may become "failed" later, and then a hard failure is a bounce; so one
  message is at most one send and one bounce, whichever row comes first and however often.
- A hard failure because of the denylist, or another exclusion, is no bounce: nothing was sent. (Adobe's page on figures
  gives one formula for both; the other page on failures tells them apart.)
- Only URLs of the type "open" are opens and only those of a type "click" are clicks: links to the mirror page and to
  the opt-out page have types of their own.
- Rows without a contact, of test messages and of other channels than email are nobody's business here.

No I/O, no storage.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha1
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from attrs import field, frozen

from syncline.definitions import EgressDefinition
from syncline.errors import ConversionError
from syncline.log_exports import DeliveryLog, TrackingLog
from syncline.records import Event, EventKind

__all__ = ["LogKind", "RawEvent", "event_id", "event_of", "is_contact_id", "missing_columns", "subject_of"]

#: Made once for this purpose. It must never change: every event's id rests on it.
_NAMESPACE = UUID("5c2f6f0e-6d0b-5a57-9c55-1d1f6d2f5c11")
_SALT = _NAMESPACE.bytes
_compact = json.JSONEncoder(separators=(",", ":")).encode
_GUID = re.compile(r"\{?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\}?")
_FALSE = frozenset({"", "0", "false", "no"})
#: Dataverse knows no earlier moment.
_EARLIEST = datetime(1753, 1, 1, tzinfo=UTC)


class LogKind(StrEnum):
    """Where an event came from."""

    DELIVERY = "delivery log"
    TRACKING = "tracking log"
    #: The host pushed it.
    PUSHED = "pushed"


def _only_names(values: Mapping[str, str]) -> str:
    return f"<{len(values)} columns>"


@frozen(kw_only=True)
class RawEvent:
    """An event in its source's own words, as the backlog keeps it."""

    log: LogKind
    #: Column to text; for a pushed event its fields.
    values: Mapping[str, str] = field(repr=_only_names)
    #: File and line it was read from; empty where it was pushed.
    file: str = ""
    line: int = 0
    #: Why it is no row at all, and what stands there.
    problem: str = ""
    text: str = field(default="", repr=False)

    @classmethod
    def of(cls, event: Event) -> RawEvent:
        """A pushed event."""
        told = {
            "kind": event.kind.value,
            "contact": event.contact,
            "occurred_on": event.occurred_on.isoformat(),
            "log_id": event.log_id,
            "campaign": event.campaign,
            "delivery": event.delivery,
            "mirror_page_url": event.mirror_page_url,
            "tracking_url": event.tracking_url,
        }
        return cls(log=LogKind.PUSHED, values=told)

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.file} line {self.line}" if self.file else "a pushed event"

    @property
    def id(self) -> str:
        """The same for the same words, wherever they stand: for what is no event and has no other id."""
        said = [self.log.value, sorted(self.values.items()), self.text] if self.values else [self.file, self.line]
        return _uuid(["row", *said])

    def to_payload(self) -> bytes:
        """As the backlog keeps it."""
        told: dict[str, Any] = {"log": self.log.value, "values": self.values}
        if self.file:
            told |= {"file": self.file, "line": self.line}
        if self.problem:
            told |= {"problem": self.problem, "text": self.text}
        return _compact(told).encode("ascii")

    @classmethod
    def from_payload(cls, payload: bytes) -> RawEvent:
        """The inverse of `to_payload`."""
        told: dict[str, Any] = json.loads(payload)
        return cls(
            log=LogKind(told["log"]),
            values=told["values"],
            file=told.get("file", ""),
            line=told.get("line", 0),
            problem=told.get("problem", ""),
            text=told.get("text", ""),
        )


def event_of(raw: RawEvent, definition: EgressDefinition) -> Event | None:
    """The event that a row is under this definition; None when it is none, or of a kind that is switched off.

    Raises ConversionError with the column when the row cannot be understood.
    """
    if raw.problem:
        raise ConversionError(f"{raw.place} is no row: {raw.problem}.")
    event: Event | None
    try:
        if raw.log is LogKind.PUSHED:
            event = _pushed(raw.values)
        elif raw.log is LogKind.DELIVERY:
            event = _of_delivery(raw.values, definition.delivery_log, definition)
        else:
            event = _of_tracking(raw.values, definition.tracking_log, definition)
    except ConversionError as error:
        raise ConversionError(f"{raw.place}: {error.message}", field=error.field, remedy=error.remedy) from None
    return event if event is not None and event.kind in definition.kinds else None


def event_id(event: Event, instance: str) -> str:
    """The id of the activity an event becomes: a UUIDv5 of what never changes about the event.

    With a log id: of instance, kind and log id. Without one: of instance, kind, contact, delivery, campaign, moment in
    UTC and tracked URL. So the same event has the same id in every export and push.
    """
    if event.log_id:
        said = [instance, event.kind.value, event.log_id]
    else:
        moment = event.occurred_on.astimezone(UTC).isoformat(timespec="milliseconds")
        said = [instance, event.kind.value, event.contact, event.delivery, event.campaign, moment, event.tracking_url]
    return _uuid(said)


def is_contact_id(contact: str) -> bool:
    """Whether Dynamics can have a contact of this id: profiles that others made carry what they like."""
    return _GUID.fullmatch(contact) is not None


def subject_of(event: Event) -> str:
    """Campaign id and delivery id, or what there is of them."""
    return " ".join(part for part in (event.campaign, event.delivery) if part)


def missing_columns(header: Collection[str], log: DeliveryLog | TrackingLog, kinds: Collection[EventKind]) -> list[str]:
    """The columns without which the rows of a file cannot be understood."""
    if isinstance(log, DeliveryLog):
        needed = [log.log_id, log.contact, log.campaign, log.delivery, log.status, log.sent_on]
        if EventKind.BOUNCE in kinds:
            needed += [log.failure_type, log.failure_reason, log.changed_on]
    else:
        needed = [log.log_id, log.contact, log.campaign, log.delivery, log.url_type, log.occurred_on]
        if EventKind.CLICK in kinds:
            needed.append(log.url)
    return [column for column in dict.fromkeys(needed) if column not in header]


# -- the two logs ---------------------------------------------------------------------------------------------------


def _of_delivery(values: Mapping[str, str], log: DeliveryLog, definition: EgressDefinition) -> Event | None:
    contact = _whose(values, log)
    if not contact:
        return None
    status = _word(values, log.status)
    if status in _folded(log.sent):
        kind, when = EventKind.SEND, _text(values, log.sent_on)
    elif status in _folded(log.failed):
        if EventKind.BOUNCE not in definition.kinds or not _is_hard(values, log):
            return None
        kind, when = EventKind.BOUNCE, _text(values, log.changed_on)
    else:
        _expect(status, log.status, log.other_statuses)
        return None
    return _event(kind, contact, when or _text(values, log.sent_on), log.sent_on, values, log, definition)


def _is_hard(values: Mapping[str, str], log: DeliveryLog) -> bool:
    failure = _word(values, log.failure_type)
    if failure not in _folded(log.hard):
        _expect(failure, log.failure_type, log.other_failure_types)
        return False
    return _word(values, log.failure_reason) not in _folded(log.no_bounces)


def _of_tracking(values: Mapping[str, str], log: TrackingLog, definition: EgressDefinition) -> Event | None:
    contact = _whose(values, log)
    if not contact:
        return None
    url_type = _word(values, log.url_type)
    if url_type in _folded(log.open):
        kind = EventKind.OPEN
    elif url_type in _folded(log.click):
        kind = EventKind.CLICK
    else:
        _expect(url_type, log.url_type, log.other_types)
        return None
    return _event(kind, contact, _text(values, log.occurred_on), log.occurred_on, values, log, definition)


def _event(
    kind: EventKind,
    contact: str,
    when: str,
    column: str,
    values: Mapping[str, str],
    log: DeliveryLog | TrackingLog,
    definition: EgressDefinition,
) -> Event | None:
    if kind not in definition.kinds:
        return None
    log_id = _text(values, log.log_id)
    if not log_id:
        raise ConversionError("the row has no id", field=log.log_id)
    return Event(
        kind=kind,
        contact=contact,
        occurred_on=_moment(when, column, definition),
        log_id=log_id,
        campaign=_text(values, log.campaign),
        delivery=_text(values, log.delivery),
        mirror_page_url=values.get(log.mirror_page_url, "").strip(),
        tracking_url=_text(values, log.url) if isinstance(log, TrackingLog) and kind is EventKind.CLICK else "",
    )


def _whose(values: Mapping[str, str], log: DeliveryLog | TrackingLog) -> str:
    """The contact a row is about; empty when it is nobody's, of a test or of another channel."""
    if log.test and values.get(log.test, "").strip().casefold() not in _FALSE:
        return ""
    channel = values.get(log.channel, "").strip().casefold() if log.channel else ""
    if channel and channel not in _folded(log.email):
        return ""
    contact = _text(values, log.contact)
    guid = _GUID.fullmatch(contact)
    return guid[1].lower() if guid else contact


def _pushed(values: Mapping[str, str]) -> Event:
    told: dict[str, Any] = dict(values)
    guid = _GUID.fullmatch(told["contact"].strip())
    told["contact"] = guid[1].lower() if guid else told["contact"].strip()
    return Event(
        **{**told, "kind": EventKind(told["kind"]), "occurred_on": datetime.fromisoformat(told["occurred_on"])}
    )


def _uuid(said: list[Any]) -> str:
    """A UUIDv5 (RFC 9562) of a list, as text: `uuid.uuid5` takes four times as long, and every event needs one."""
    digest = sha1(_SALT + json.dumps(said).encode("ascii"), usedforsecurity=False).digest()
    found = (digest[:6] + bytes((digest[6] & 0x0F | 0x50, digest[7], digest[8] & 0x3F | 0x80)) + digest[9:16]).hex()
    return f"{found[:8]}-{found[8:12]}-{found[12:16]}-{found[16:20]}-{found[20:]}"


# -- words and moments ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _folded(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.strip().casefold() for word in words)


def _text(values: Mapping[str, str], column: str) -> str:
    try:
        return values[column].strip()
    except KeyError:
        raise ConversionError(f"there is no column {column}", field=column) from None


def _word(values: Mapping[str, str], column: str) -> str:
    return _text(values, column).casefold()


def _expect(word: str, column: str, others: tuple[str, ...]) -> None:
    """A number that nobody listed means nothing here; a word that nobody listed may mean anything."""
    if word and not word.isdigit() and word not in _folded(others):
        raise ConversionError(
            f"{column} holds a word that the definition does not list",
            field=column,
            remedy="Export internal values instead of labels, or list the labels in the definition; then retry.",
        )


def _moment(text: str, column: str, definition: EgressDefinition) -> datetime:
    try:
        if definition.date_format:
            moment = datetime.strptime(text, definition.date_format)  # noqa: DTZ007 - the zone follows
        else:
            moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=_zone(definition.time_zone))
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConversionError(
            f"{column} is no moment of the form {definition.date_format or 'YYYY-MM-DD HH:MM:SS'}",
            field=column,
            remedy="Correct the form of dates in the definition; then retry.",
        ) from None
    if moment < _EARLIEST:
        raise ConversionError(f"{column} is a moment before 1753, which Dynamics 365 does not know", field=column)
    return moment


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo | Any:
    return UTC if name == "UTC" else ZoneInfo(name)
