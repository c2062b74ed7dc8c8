"""How values become columns and come back.

What lives here: record ids, times, checksums, and the few values that are kept as JSON. No queries.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

from syncline.records import ReadPosition, ReadStage
from syncline.store import WorkflowError

__all__ = [
    "as_datetime",
    "as_microseconds",
    "at_most",
    "checksum",
    "error_from_json",
    "error_to_json",
    "key_to_column",
    "key_to_id",
    "position_from_json",
    "position_to_json",
    "printable",
    "read_payload",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_is_guid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_GUID_BYTES = 16
#: Longer than a GUID, so that no text is ever taken for one.
_TEXT_MARK = b"text:".ljust(_GUID_BYTES + 1, b"\0")


def at_most(limit: int) -> int:
    """How many rows a person asks for. Raises ValueError below 0, which databases take for all, or refuse."""
    if limit < 0:
        raise ValueError(f"limit must be 0 or more, not {limit}")
    return limit


def key_to_column(record_id: str) -> bytes:
    """A record's id as it is stored: 16 bytes for a GUID, which halves the index over them, else marked text."""
    if len(record_id) == 36 and _is_guid(record_id):
        return bytes.fromhex(record_id.replace("-", ""))
    return _TEXT_MARK + record_id.encode("utf-8", "surrogatepass")


def key_to_id(key: bytes) -> str:
    """The inverse of `key_to_column`."""
    if len(key) == _GUID_BYTES:
        digits = key.hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return key[len(_TEXT_MARK) :].decode("utf-8", "surrogatepass")


def as_microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970. Raises TypeError for a datetime without a time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def as_datetime(microseconds: int) -> datetime:
    """The inverse of `as_microseconds`."""
    return _EPOCH + timedelta(microseconds=microseconds)


def checksum(payload: object) -> int | None:
    """Tells a damaged payload from a sound one; databases do not check what they store.

    -1, which is no checksum, for what is no payload at all: SQLite keeps any type in any column.
    """
    if payload is None:
        return None
    return crc32(payload) if isinstance(payload, bytes) else -1


def read_payload(payload: object, expected: int | None) -> tuple[bytes | None, bool]:
    """The payload, and whether it is what was stored. A damaged one is not returned."""
    sound = checksum(payload) == expected
    return (payload if sound and isinstance(payload, bytes) else None), sound


def printable(text: str) -> str:
    """Text that any database takes: lone surrogates and NUL become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def position_to_json(position: ReadPosition) -> str:
    """A read position as it is stored."""
    return json.dumps(
        {
            "stage": position.stage.value,
            "link": position.link,
            "delta_link": position.delta_link,
            "started_at": position.started_at.isoformat(),
            "pass_seq": position.pass_seq,
            "first": position.first,
            "resync": position.resync,
            "compares": position.compares,
            "read_at": None if position.read_at is None else position.read_at.isoformat(),
            "read": position.read,
            "about": position.about,
        }
    )


def position_from_json(text: str) -> ReadPosition:
    """The inverse of `position_to_json`."""
    stored: dict[str, Any] = json.loads(text)
    return ReadPosition(
        stage=ReadStage(stored["stage"]),
        link=stored["link"],
        delta_link=stored["delta_link"],
        started_at=datetime.fromisoformat(stored["started_at"]),
        pass_seq=stored["pass_seq"],
        first=stored["first"],
        resync=stored["resync"],
        compares=stored["compares"],
        read_at=_moment(stored["read_at"]),
        read=stored["read"],
        about=stored["about"],
    )


def error_to_json(error: WorkflowError) -> str:
    """A workflow's error as it is stored."""
    return json.dumps(
        {
            "kind": error.kind,
            "message": error.message,
            "remedy": error.remedy,
            "at": error.at.isoformat(),
            "about": error.about,
        }
    )


def error_from_json(text: str) -> WorkflowError:
    """The inverse of `error_to_json`."""
    stored: dict[str, str] = json.loads(text)
    return WorkflowError(
        kind=stored["kind"],
        message=stored["message"],
        remedy=stored["remedy"],
        at=datetime.fromisoformat(stored["at"]),
        about=stored["about"],
    )
