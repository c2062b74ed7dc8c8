"""Frozen values that move between the connectors, the mapping and the storage.

What lives here: what one record, one change, one page, one write and its outcome look like. No I/O, no rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

from attrs import Attribute, field, frozen

__all__ = [
    "Change",
    "Event",
    "EventKind",
    "NewRow",
    "Outcome",
    "OutcomeKind",
    "Page",
    "ReadPosition",
    "ReadRequest",
    "ReadStage",
    "RecordKey",
    "TargetRecord",
    "Value",
    "Values",
    "Write",
    "decode_values",
    "encode_values",
]

#: One field's content as the services speak it in JSON: numbers with a fraction are `Decimal`, never float.
Value: TypeAlias = str | int | bool | Decimal | list[Any] | dict[str, Any] | None
Values: TypeAlias = Mapping[str, Value]

_DECIMAL = "$decimal"


def encode_values(values: Values) -> bytes:
    """Values as ASCII JSON, exact: decimals keep their digits and lone surrogates survive.

    Raises ValueError for NaN and the infinities and TypeError for anything JSON has no word for.
    """
    return json.dumps(values, separators=(",", ":"), allow_nan=False, default=_encode_decimal).encode("ascii")


def _encode_decimal(value: object) -> object:
    if isinstance(value, Decimal) and value.is_finite():
        return {_DECIMAL: str(value)}
    raise TypeError(f"{type(value).__name__} cannot be stored")


def decode_values(payload: bytes) -> dict[str, Value]:
    """The inverse of `encode_values`."""
    decoded = json.loads(payload, object_hook=_decode_decimal) if b'"$decimal"' in payload else json.loads(payload)
    if not isinstance(decoded, dict):
        raise TypeError("a stored record must be a JSON object")
    return decoded


def _decode_decimal(found: dict[str, Any]) -> object:
    if len(found) == 1 and isinstance(digits := found.get(_DECIMAL), str):
        return Decimal(digits)
    return found


@frozen(kw_only=True, order=True)
class RecordKey:
    """Names one record of the source."""

    #: Logical name of the source table, such as `contact`.
    table: str
    #: The source's primary key; GUIDs in lower case without braces.
    id: str

    def __str__(self) -> str:
        return f"{self.table}({self.id})"


def _only_field_names(values: Values | None) -> str:
    return "None" if values is None else f"<{len(values)} fields>"


@frozen(kw_only=True)
class Change:
    """The state of one record as the source told it: a row's current values, or that it is gone."""

    key: RecordKey
    #: The source's own words for the columns asked for; None when the record was deleted.
    values: Values | None = field(repr=_only_field_names)
    #: The source's version mark, for conditional writes. Opaque: only equality means anything.
    etag: str | None = None

    @property
    def deleted(self) -> bool:
        return self.values is None


class ReadStage(StrEnum):
    """Where the reading of a table stands: LOAD, KEYS, OVERLAP, DELTA, and MISSING after a full read with KEYS."""

    #: The tracked load: every row, ending with a delta link.
    LOAD = "load"
    #: An untracked pass over all keys: what it does not show was deleted meanwhile, or before a resync.
    KEYS = "keys"
    #: An untracked pass over everything modified since the load began, so that nothing changed meanwhile is missed.
    OVERLAP = "overlap"
    #: Change tracking: only what changed since the last delta link.
    DELTA = "delta"
    #: Once after KEYS and a first DELTA: what is known here and was not shown by either is asked for by key.
    MISSING = "missing"


@frozen(kw_only=True)
class ReadPosition:
    """How far a table has been read. Stored in the same transaction as the page it follows."""

    stage: ReadStage
    #: The next address to read in this stage (opaque; the connector's word); None at the stage's beginning.
    link: str | None = field(default=None, repr=False)
    #: The delta link kept aside while KEYS and OVERLAP run.
    delta_link: str | None = field(default=None, repr=False)
    #: When the full read began, by the service's clock as far as known.
    started_at: datetime
    #: The read sequence of the full read's first page; marks what this pass has seen.
    pass_seq: int
    #: Whether this full read is a first load or a replay, so that first-load-only fields are written too.
    first: bool = False
    #: Whether records were known here before this full read began, which may have been deleted since.
    resync: bool = False
    #: Whether this full read lists all keys, and what they lack has still to be asked for.
    compares: bool = False
    #: When this position was last moved or confirmed by an answer.
    read_at: datetime | None = None
    #: Records that this full read has read so far, and about how many there are, where the source could say.
    read: int = 0
    about: int | None = None


@frozen(kw_only=True)
class ReadRequest:
    """One page to fetch: the first of a stage when `link` is None, else the one the link names."""

    table: str
    #: The columns to ask for; none for KEYS, which wants nothing but the keys. A link keeps those it was made with;
    #: what its rows lack is read again by key.
    columns: tuple[str, ...]
    stage: ReadStage
    link: str | None = field(default=None, repr=False)
    #: Lower bound of `modifiedon` for OVERLAP.
    since: datetime | None = None


@frozen(kw_only=True)
class Page:
    """One answer of the source. Exactly one of the links is set, or neither at the end of KEYS and of OVERLAP."""

    changes: tuple[Change, ...] = field(repr=lambda changes: f"<{len(changes)} changes>")
    next_link: str | None = field(default=None, repr=False)
    delta_link: str | None = field(default=None, repr=False)
    #: With the first page of a full read: about how many records there are, where the source could say.
    about: int | None = None


@frozen(kw_only=True)
class Write:
    """What is to be true at the target for one record."""

    key: RecordKey
    #: Target table, such as `profile`.
    resource: str
    #: Target field that holds the source's primary key, such as `externalId`.
    key_field: str
    #: True: the record shall not exist at the target.
    delete: bool = False
    #: Fields and values if the record has to be created, constants and key included.
    create_values: Values = field(factory=dict, repr=_only_field_names)
    #: Fields and values that an existing record shall have.
    update_values: Values = field(factory=dict, repr=_only_field_names)
    #: The ledger says the target has the record.
    known: bool = False
    #: An earlier attempt may have been applied: look before creating.
    ambiguous: bool = False


class EventKind(StrEnum):
    """Email marketing events that become activities in Dynamics."""

    SEND = "send"
    OPEN = "open"
    CLICK = "click"
    #: Hard bounces only.
    BOUNCE = "bounce"


def _words(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be text")


def _whose(_: object, _attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("an event needs the contact it is about")


def _kind(_: object, _attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, EventKind):
        raise TypeError("kind must be an EventKind")


def _when(_: object, _attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise ValueError("occurred_on needs a moment with a time zone")


@frozen(kw_only=True)
class Event:
    """Something that happened to an email: it was sent, opened, clicked, or came back."""

    kind: EventKind = field(validator=_kind)
    #: The profile's `externalId`: the id of the Dynamics contact.
    contact: str = field(repr=False, validator=_whose)
    occurred_on: datetime = field(validator=_when)
    #: Id in the delivery log of a send or bounce, in the tracking log of an open or click. With it an event is the same
    #: however it arrives; without it, when kind, contact, delivery, campaign, moment and tracked URL are.
    log_id: str = field(default="", validator=_words)
    campaign: str = field(default="", validator=_words)
    delivery: str = field(default="", validator=_words)
    mirror_page_url: str = field(default="", repr=False, validator=_words)
    #: Of a click.
    tracking_url: str = field(default="", repr=False, validator=_words)


@frozen(kw_only=True)
class NewRow:
    """A row to create under an id of our own."""

    id: str
    #: Columns that are no lookups.
    values: Values = field(repr=_only_field_names)
    #: Lookup columns and the records they point to.
    links: Mapping[str, RecordKey] = field(factory=dict, repr=lambda links: f"<{len(links)} links>")


class OutcomeKind(StrEnum):
    """What a write came to."""

    CREATED = "created"
    UPDATED = "updated"
    IDENTICAL = "identical"
    DELETED = "deleted"
    #: A delete found nothing to delete.
    MISSING = "missing"
    #: Nothing was written: the target does not know the record that this one belongs to.
    PARENT_UNKNOWN = "parent unknown"


@frozen(kw_only=True)
class Outcome:
    """What became of a write, and what it cost."""

    kind: OutcomeKind
    #: Requests that count as engine calls at the target.
    calls: int = 1


@frozen(kw_only=True)
class TargetRecord:
    """A record found at the target. `ref` is the address to update or delete it by; never stored."""

    ref: str = field(repr=False)
    values: Values = field(repr=_only_field_names)
