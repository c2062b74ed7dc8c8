"""Campaign's opt-outs out of exported files: the contract of their columns, and one page of rows.

What lives here: which file is read next, and what a row says. The first row names the columns:

- the profile's key, `externalId` unless the definition says otherwise: the id of the contact;
- an opt-out field by its name, such as `blackListEmail` (or `denyListEmail`): true or false, 1 or 0, yes or no;
- when that was changed, such as `blackListEmailLastModified`: ISO 8601, with a space or a T, in UTC unless it says so.

Other columns are left alone, and a file need not have every channel. A row is a reason to ask both systems, and an
opt-out in it is owed from then on; an opt-in in it is nothing but that reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from syncline.backlog import DeadReason, Entry, Lane
from syncline.connectors.file_source import FileSource
from syncline.consent import Sighting
from syncline.definitions import opt_out_field
from syncline.exported_files import FileMark, FilePage, FileRow
from syncline.file_format import FileFormat
from syncline.records import RecordKey
from syncline.store import Refusal
from syncline.workflows.consent_round import person_of

__all__ = ["EXPORTS", "Heard", "heard_of", "next_page"]

#: What rows that are no rows are filed under.
EXPORTS: Final = "opt-out exports"
_ROWS: Final = 2_000
_STAMP: Final = "lastmodified"
_WORDS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@frozen(kw_only=True)
class Heard:
    """What a page of rows says: sightings by person and Campaign field, and the rows nobody can use."""

    people: Mapping[str, Mapping[str, Sighting]]
    refusals: Sequence[Refusal]


def next_page(source: FileSource, marks: Mapping[str, FileMark]) -> FilePage | None:
    """The next rows there are, of the file that waited longest; None when all is read. Asks the source."""
    for file in source.files():
        mark = marks.get(file.name)
        if mark is None or not mark.done or not mark.is_of(file):
            return source.read(file, mark, FileFormat(), _ROWS)
    return None


def heard_of(page: FilePage, key: str, channels: Sequence[str], seq: int) -> Heard:
    """What these rows say. Of several rows of one person the last opt-out of a channel counts, else the last word."""
    people: dict[str, dict[str, Sighting]] = {}
    refusals: list[Refusal] = []
    for row in page.rows:
        person = person_of(_value(row, key))
        if row.problem or not person:
            refusals.append(_refusal(page.mark.name, row, key, seq))
            continue
        seen = people.setdefault(person, {})
        for channel, sighting in _row_sightings(row, channels).items():
            before = seen.get(channel)
            if before is None or sighting.out or not before.out:
                seen[channel] = sighting
    return Heard(people=people, refusals=refusals)


def _row_sightings(row: FileRow, channels: Sequence[str]) -> dict[str, Sighting]:
    words: dict[str, str] = {}
    stamps: dict[str, str] = {}
    for column, text in row.values.items():
        name = column.strip()
        if (channel := opt_out_field(name)) is not None:
            words[channel] = text
        elif name.lower().endswith(_STAMP) and (channel := opt_out_field(name[: -len(_STAMP)])) is not None:
            stamps[channel] = text
    return {
        # A word nobody knows is no word: the round that follows asks Campaign itself.
        channel: Sighting(out=_WORDS.get(words[channel].strip().lower()), changed_at=_moment(stamps.get(channel, "")))
        for channel in channels
        if channel in words
    }


def _value(row: FileRow, column: str) -> str:
    for name, text in row.values.items():
        if name.strip().lower() == column.lower():
            return text
    return ""


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _refusal(file: str, row: FileRow, key: str, seq: int) -> Refusal:
    why = row.problem or f"there is no {key} in it: nobody can tell whose opt-out it is"
    entry = Entry(
        key=RecordKey(table=EXPORTS, id=f"{file}:{row.line}"), seq=seq, payload=None, lane=Lane.CONSENT, refresh=True
    )
    return Refusal(entry=entry, reason=DeadReason.CONVERSION, field=key, message=f"{file}, line {row.line}: {why}")
