"""What the rows of exported logs are to egress: which log a file is, which event a row, which row of Dynamics an event.

What lives here: steps over values that a cycle and a preview share, and one question to the ledger. The rules of events
are in `syncline.events`; nothing here decides what becomes of a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import cast

from syncline.connectors.file_source import FileSource
from syncline.definitions import ActivityTable, DeliveryLog, EgressDefinition, TrackingLog
from syncline.errors import ConversionError, SchemaChangedError
from syncline.events import LogKind, RawEvent, event_id, missing_columns, subject_of
from syncline.exported_files import FilePage, FileRow
from syncline.records import Event, NewRow, RecordKey, Value
from syncline.schemas import TableSchema
from syncline.store import Storage

__all__ = ["check_header", "key_of", "known_events", "log_of", "mark_name", "new_row", "raw_of"]


def log_of(file: str, definition: EgressDefinition) -> LogKind | None:
    """Which log a file is an export of, by its name."""
    if fnmatchcase(file, definition.delivery_log.files):
        return LogKind.DELIVERY
    return LogKind.TRACKING if fnmatchcase(file, definition.tracking_log.files) else None


def check_header(page: FilePage, log: LogKind, definition: EgressDefinition) -> None:
    """Raises SchemaChangedError when a column is gone without which nothing of the file can be understood."""
    header = page.mark.header
    missing = missing_columns(header, _log(definition, log), definition.kinds) if header else []
    if missing:
        raise SchemaChangedError(
            f"The file {page.mark.name} has no column {', '.join(missing)}.",
            table=page.mark.name,
            field=missing[0],
            remedy="Nothing of it was read. Export the column, or name it in the definition, and start again.",
        )


def new_row(event: Event, record: str, definition: EgressDefinition, schemas: Mapping[str, TableSchema]) -> NewRow:
    """The activity that an event becomes. Raises ConversionError when a column does not take what it says."""
    table = definition.activities[event.kind]
    schema = schemas[table.table]
    values = {column: value for column, value in _values(event, table) if value}
    for column, value in values.items():
        _check_length(schema, column, value)
    return NewRow(
        id=record,
        values=cast("Mapping[str, Value]", values),
        links={table.regarding: RecordKey(table="contact", id=event.contact)},
    )


def _log(definition: EgressDefinition, log: LogKind) -> DeliveryLog | TrackingLog:
    return definition.delivery_log if log is LogKind.DELIVERY else definition.tracking_log


def mark_name(source: FileSource, file: str) -> str:
    """Files of one name in two sources are two files."""
    return f"{source.name}: {file}"


def raw_of(row: FileRow, log: LogKind, file: str) -> RawEvent:
    return RawEvent(log=log, values=row.values, file=file, line=row.line, problem=row.problem, text=row.text)


def key_of(event: Event, definition: EgressDefinition) -> RecordKey:
    return RecordKey(table=event.kind.value, id=event_id(event, definition.instance))


def known_events(storage: Storage, workflow: str, keys: Iterable[RecordKey]) -> set[RecordKey]:
    """Those of these events that Dynamics is known to have."""
    wanted: dict[str, list[str]] = {}
    for key in keys:
        wanted.setdefault(key.table, []).append(key.id)
    return {
        RecordKey(table=table, id=found)
        for table, ids in wanted.items()
        for found in storage.ledger(workflow, table, ids)
    }


def _values(event: Event, table: ActivityTable) -> Iterator[tuple[str, str]]:
    yield table.subject, subject_of(event) or event.kind.value
    yield table.campaign_name, event.campaign
    yield table.delivery_name, event.delivery
    yield table.occurred_on, _moment(event.occurred_on)
    if table.mirror_page_url is not None:
        yield table.mirror_page_url, event.mirror_page_url
    if table.tracking_url is not None:
        yield table.tracking_url, event.tracking_url


def _moment(moment: datetime) -> str:
    # `strftime` takes forty times as long, and does not fill years up to four digits everywhere.
    return f"{moment.astimezone(UTC).isoformat(timespec='seconds')[:19]}Z"


def _check_length(schema: TableSchema, column: str, value: str) -> None:
    known = schema.fields.get(column)
    most = None if known is None else known.max_length
    if most is not None and len(value) > most:
        raise ConversionError(
            f"{schema.name}.{column} takes {most} characters and the event has {len(value)}",
            field=column,
            remedy="Make the column longer in Dynamics 365, then retry.",
        )
