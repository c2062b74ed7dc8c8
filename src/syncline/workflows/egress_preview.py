"""A dry run of egress: which events would appear on whose timeline, without writing or noting anything.

What lives here: from the rows of exported logs that were not read yet to lines of a `Preview`. The rules are those of a
cycle; files are read without their position being kept, and Dynamics is asked whom it knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import evolve, field, frozen

from syncline.connectors.base import DynamicsConnector
from syncline.connectors.file_source import FileSource
from syncline.definitions import EgressDefinition
from syncline.errors import ConversionError, DefinitionError
from syncline.events import RawEvent, event_of, is_contact_id
from syncline.exported_files import FileMark
from syncline.records import Event, NewRow, RecordKey
from syncline.schemas import TableSchema
from syncline.store import Storage
from syncline.views.preview import FieldChange, Preview, PreviewedRecord, PreviewKind
from syncline.workflows.event_rows import check_header, key_of, known_events, log_of, mark_name, new_row, raw_of

__all__ = ["EventLook"]

#: People looked up in one go.
_PEOPLE = 500


@frozen(kw_only=True)
class EventLook:
    """What a look at unread files needs."""

    workflow: str
    definition: EgressDefinition
    dynamics: DynamicsConnector
    sources: Sequence[FileSource]
    storage: Storage
    _described: dict[str, TableSchema] = field(factory=dict, init=False)

    def preview(self, limit: int) -> Preview:
        """What would become of the next `limit` rows. Raises ValueError when the limit is below 1."""
        if limit < 1:
            raise ValueError(f"limit must be 1 or more, not {limit}")
        raws: list[RawEvent] = []
        more = False
        for raw in self._rows(limit + 1):
            more = len(raws) == limit
            if more:
                break
            raws.append(raw)
        made = [self._made(raw) for raw in raws]
        events = [one for one in made if not isinstance(one, PreviewedRecord)]
        keys = [key_of(event, self.definition) for event, _ in events]
        known = known_events(self.storage, self.workflow, keys)
        people = dict.fromkeys(event.contact for event, _ in events if is_contact_id(event.contact))
        found = self._found(list(people))
        records = tuple(one if isinstance(one, PreviewedRecord) else _record(*one, known, found) for one in made)
        return Preview(
            table="exported files",
            resource="activities",
            records=records,
            complete=not more,
            look_ups=len(people),
            asked="Dynamics 365",
        )

    def _rows(self, most: int) -> Iterator[RawEvent]:
        """Rows that were not read yet, in the order in which they will be; a file at a time is open."""
        marks = self.storage.file_marks(self.workflow)
        for source in self.sources:
            for file in source.files():
                log = log_of(file.name, self.definition)
                kept = marks.get(mark_name(source, file.name))
                mark: FileMark | None = None if kept is None else evolve(kept, name=file.name)
                if log is None or (mark is not None and mark.done and mark.is_of(file)):
                    continue
                while mark is None or not mark.done or not mark.is_of(file):
                    page = source.read(file, mark, self.definition.file_format, most)
                    check_header(page, log, self.definition)
                    for row in page.rows:
                        yield raw_of(row, log, file.name)
                    mark = page.mark

    def _made(self, raw: RawEvent) -> PreviewedRecord | tuple[Event, NewRow]:
        nowhere = RecordKey(table="row", id=raw.place)
        try:
            event = event_of(raw, self.definition)
            if event is None:
                told = "no event, or of a kind that is switched off"
                return PreviewedRecord(key=nowhere, kind=PreviewKind.FILTERED_OUT, reason=told)
            return event, new_row(event, key_of(event, self.definition).id, self.definition, self._schemas(event))
        except ConversionError as error:
            return PreviewedRecord(key=nowhere, kind=PreviewKind.REFUSED, reason=str(error), field=error.field)

    def _schemas(self, event: Event) -> Mapping[str, TableSchema]:
        table = self.definition.activities[event.kind].table
        if table not in self._described:
            schema = self.dynamics.describe(table)
            if schema is None:
                raise DefinitionError(f"Dynamics 365 has no table {table}", remedy="check() says what is missing.")
            self._described[table] = schema
        return self._described

    def _found(self, people: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(people), _PEOPLE):
            found |= self.dynamics.fetch("contact", (), people[start : start + _PEOPLE]).keys()
        return found


def _record(event: Event, row: NewRow, known: set[RecordKey], found: set[str]) -> PreviewedRecord:
    key = RecordKey(table=event.kind.value, id=row.id)
    if key in known:
        return PreviewedRecord(key=key, kind=PreviewKind.IDENTICAL, reason="Dynamics has it")
    fields = tuple(FieldChange(name=name, before=None, after=value) for name, value in sorted(row.values.items()))
    if event.contact not in found:
        told = "Dynamics does not know this contact: it would be set aside until it does"
        return PreviewedRecord(key=key, kind=PreviewKind.LEFT_ALONE, fields=fields, reason=told)
    return PreviewedRecord(key=key, kind=PreviewKind.CREATE, fields=fields)
