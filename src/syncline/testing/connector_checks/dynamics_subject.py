"""What an author of a Dynamics connector supplies to its checks.

What lives here: `DynamicsSubject`. No check.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, final

from syncline.connectors.base import DynamicsConnector
from syncline.connectors.creation import CreateAnswer
from syncline.definitions import ActivityTable
from syncline.errors import SynclineError
from syncline.records import Change, NewRow, Page, ReadRequest, ReadStage, RecordKey, Value, Values
from syncline.testing.connector_checks.subject import PRIVATE, ConnectorSubject, ours

__all__ = ["MOMENT", "DynamicsSubject", "row_id"]

#: When the events of the checks happened.
MOMENT: Final = "2026-03-01T10:00:00Z"


def row_id(number: int) -> str:
    """An id that sorts by its number."""
    return f"{number:08x}-0000-4000-8000-00000000abcd"


class DynamicsSubject(ConnectorSubject):
    """A Dynamics environment without any row of `table`, and a connector to it that reads pages of `page_size` rows."""

    #: A table with change tracking.
    table: str = "contact"
    #: Two of its columns that hold text of any kind, up to 20 characters.
    columns: tuple[str, str] = ("firstname", "lastname")
    #: How many rows the connector asks for at once.
    page_size: int = 5
    #: Whether the connector has `update_over`.
    updates_over: bool = True
    #: Whether the connector has `create`.
    creates: bool = True
    #: A lookup of the table, and a table that it can point to.
    lookup: tuple[str, str] = ("parentcustomerid", "account")
    #: With `creates`: a table of activities that can be regarding a contact. The checks of events need it, and `table`
    #: has to be `contact` for them.
    activity: ActivityTable = ActivityTable(table="adobe_emailsend", occurred_on="adobe_senton")

    #: A boolean column of `table`, true for opted out; empty where there is none. The checks of opt-outs need it, and
    #: `table` has to be `contact` for them.
    opt_out: str = "donotbulkemail"

    @property
    @abstractmethod
    def connector(self) -> DynamicsConnector:
        """The connector under test; the same one each time."""

    @abstractmethod
    def another(self) -> DynamicsConnector:
        """A new connector to the same environment, as another process would make it."""

    @abstractmethod
    def load(self, rows: Mapping[str, Values]) -> None:
        """Somebody else creates these rows, or changes these columns of them, which may be `opt_out`. By id."""

    @abstractmethod
    def get(self, record: str) -> Values | None:
        """The two columns of a row as the far side has them; None when there is no such row."""

    @abstractmethod
    def delete(self, record: str) -> None:
        """Somebody else deletes the row."""

    def expire_links(self) -> None:
        """The service forgets every position in change tracking that it gave."""
        raise NotImplementedError

    def foreign(self, link: str) -> str:
        """The same link as another environment would have given it."""
        raise NotImplementedError

    def repeat_rows(self) -> None:
        """From now on rows that are changed while pages are read show again on a later page."""
        raise NotImplementedError

    def omit_delta_links(self) -> None:
        """From now on the last page of a read comes without its link."""
        raise NotImplementedError

    def link_elsewhere(self) -> None:
        """From now on links lead to another address than the service's."""
        raise NotImplementedError

    def drop_column(self, column: str) -> None:
        """The table loses a column."""
        raise NotImplementedError

    def refuse(self, record: str) -> None:
        """From now on the service refuses every write of this row for good."""
        raise NotImplementedError

    def opted_out(self, record: str) -> bool | None:
        """What the far side has in `opt_out` of a row that is there."""
        raise NotImplementedError

    def merge(self, survivor: str, loser: str) -> None:
        """Somebody merges two rows: the loser stays and names the survivor."""
        raise NotImplementedError

    def timeline(self) -> Mapping[str, Values]:
        """By id, every row of `activity` as the far side has it: its columns for subject, moment and whom it regards.

        The moment as ISO 8601 in UTC to the second, with a Z; whom it regards as the id of the contact.
        """
        raise NotImplementedError

    # -- for the checks -----------------------------------------------------------------------------------------------

    @final
    def ask(self) -> Page:
        return self.read(ReadStage.OVERLAP)

    @final
    def read(
        self,
        stage: ReadStage,
        link: str | None = None,
        *,
        since: datetime | None = None,
        by: DynamicsConnector | None = None,
    ) -> Page:
        """One page, by the connector under test or another one."""
        request = ReadRequest(table=self.table, columns=self.columns, stage=stage, link=link, since=since)
        return (by or self.connector).read(request)

    @final
    def pages(self, stage: ReadStage, link: str | None = None, *, since: datetime | None = None) -> Iterator[Page]:
        """Pages until none follows; an end is reached within a thousand."""
        for _ in range(1_000):
            page = self.read(stage, link, since=since)
            yield page
            link = page.next_link
            if link is None:
                return
        raise AssertionError("the pages have no end")

    @final
    def loaded(self) -> str:
        """Read the table to its end; the link that changes come by from now on."""
        *_, last = self.pages(ReadStage.LOAD)
        assert last.delta_link is not None, "the last page of a load has no delta link"
        return last.delta_link

    @final
    def changes(self, link: str) -> list[Change]:
        """What changed since the link was given."""
        return [change for page in self.pages(ReadStage.DELTA, link) for change in page.changes]

    @final
    def texts(self, first: Value = PRIVATE[0], second: Value = PRIVATE[1]) -> dict[str, Value]:
        """Both columns."""
        return dict(zip(self.columns, (first, second), strict=True))

    @final
    def fill(self, rows: int) -> list[str]:
        """So many rows; their ids."""
        ids = [row_id(number) for number in range(rows)]
        self.load({record: self.texts(f"Person {number}") for number, record in enumerate(ids)})
        return ids

    @final
    def fetch(self, *records: str) -> Mapping[str, Change]:
        return self.connector.fetch(self.table, self.columns, records)

    @final
    def etag(self, record: str) -> str:
        """The version of a row that is there."""
        etag = self.fetch(record)[record].etag
        assert etag, "a row comes without its version"
        return etag

    @final
    def new(self, record: str, **more: object) -> NewRow:
        """A row to create."""
        return NewRow(id=record, values=self.texts(), **more)  # type: ignore[arg-type]

    @final
    def create(self, *rows: NewRow) -> Sequence[CreateAnswer]:
        return self.connector.create(self.table, rows, still_ours=ours)

    @final
    def event(self, record: str, contact: str, subject: str = PRIVATE[0]) -> NewRow:
        """An activity to create, as egress makes it of an event."""
        activity = self.activity
        return NewRow(
            id=record,
            values={activity.subject: subject, activity.occurred_on: MOMENT},
            links={activity.regarding: RecordKey(table="contact", id=contact)},
        )

    @final
    def shown(self, contact: str, subject: str = PRIVATE[0]) -> dict[str, Value]:
        """What `timeline` has of such an activity."""
        activity = self.activity
        return {activity.subject: subject, activity.occurred_on: MOMENT, activity.regarding: contact}

    @final
    def create_events(
        self, *rows: NewRow, by: DynamicsConnector | None = None, still_ours: Callable[[], None] = ours
    ) -> Sequence[CreateAnswer]:
        """The answer to each; what the call raised is the answer to all of them, as egress takes it."""
        try:
            return (by or self.connector).create(self.activity.table, rows, still_ours=still_ours)
        except SynclineError as error:
            return [error] * len(rows)
