"""Checks of a Dynamics connector: a full read brings every row, page by page, whoever reads on."""

from __future__ import annotations

from datetime import timedelta

from syncline.errors import ProtocolError, SchemaChangedError, UntrustedUrlError
from syncline.records import Page, ReadRequest, ReadStage
from syncline.testing.connector_checks.dynamics_subject import DynamicsSubject, row_id


def _ids(*pages: Page) -> list[str]:
    return [change.key.id for page in pages for change in page.changes]


def check_a_table_is_described(subject: DynamicsSubject) -> None:
    """The table is offered, has its columns and its primary key, in any language; one that does not exist is None."""
    connector = subject.connector
    assert subject.table in connector.tables()
    schema = connector.describe(subject.table)
    assert schema is not None
    assert schema.name == subject.table
    assert schema.primary_key in schema.fields
    assert {*subject.columns} <= schema.fields.keys()
    german = connector.describe(subject.table, language=1031)
    assert german is not None, "describe() knows the table in English only"
    assert german.fields.keys() == schema.fields.keys()
    assert connector.describe("no_such_table") is None


def check_rows_are_counted(subject: DynamicsSubject) -> None:
    """A number, which may be a day old, or None."""
    count = subject.connector.count(subject.table)
    assert count is None or count >= 0


def check_a_recommended_number_of_requests_is_one(subject: DynamicsSubject) -> None:
    """None as long as the service did not say how many requests at once it recommends; then 1 or more."""
    assert subject.connector.recommended_parallelism is None
    subject.ask()
    recommended = subject.connector.recommended_parallelism
    assert recommended is None or recommended >= 1, f"{recommended} requests at once get nothing done"


def check_a_schema_has_a_mark(subject: DynamicsSubject) -> None:
    """The mark stays as long as the schema does, and is another one after a column is gone; or there is none."""
    subject.fill(1)
    before = subject.connector.schema_mark(subject.table)
    assert subject.connector.schema_mark(subject.table) == before
    if before is not None:
        subject.drop_column(subject.columns[1])
        assert subject.connector.schema_mark(subject.table) != before


def check_a_load_brings_every_row(subject: DynamicsSubject) -> None:
    """In pages; a link to the next one on each but the last, which has the delta link and no other."""
    ids = subject.fill(2 * subject.page_size + 1)
    *pages, last = subject.pages(ReadStage.LOAD)
    assert len(pages) >= 2, "fewer pages than `page_size` says"
    assert all(page.next_link and page.delta_link is None for page in pages)
    assert last.delta_link
    assert sorted(_ids(*pages, last)) == sorted(ids)
    for change in last.changes:
        assert change.key.table == subject.table
        assert set(change.values or {}) >= {*subject.columns}
        assert change.etag, "a row without its version"


def check_an_empty_table_has_a_position(subject: DynamicsSubject) -> None:
    """No rows, and the link that later ones come by."""
    link = subject.loaded()
    subject.fill(1)
    assert [change.key.id for change in subject.changes(link)] == [row_id(0)]


def check_what_a_row_says_arrives(subject: DynamicsSubject) -> None:
    """The columns asked for, to the letter; None for one without a value."""
    subject.load({row_id(0): subject.texts(), row_id(1): subject.texts(None, None)})
    (page,) = subject.pages(ReadStage.LOAD)
    told = {change.key.id: {name: (change.values or {})[name] for name in subject.columns} for change in page.changes}
    assert told == {row_id(0): subject.texts(), row_id(1): subject.texts(None, None)}


def check_another_process_reads_on(subject: DynamicsSubject) -> None:
    """A link is all there is to a position: another connector with it reads the rest, and then the changes."""
    ids = subject.fill(2 * subject.page_size + 1)
    first = subject.read(ReadStage.LOAD)
    other = subject.another()
    found, page = _ids(first), first
    while page.next_link is not None:
        page = subject.read(ReadStage.LOAD, page.next_link, by=other)
        found += _ids(page)
    assert sorted(found) == sorted(ids)
    assert page.delta_link is not None
    other.close()
    subject.delete(ids[0])
    third = subject.another()
    assert ids[0] in _ids(subject.read(ReadStage.DELTA, page.delta_link, by=third))
    third.close()


def check_a_page_that_is_read_twice_brings_the_same(subject: DynamicsSubject) -> None:
    """A process that died before it kept a page reads it again; also after later ones, in whatever order."""
    subject.fill(3 * subject.page_size)
    pages = list(subject.pages(ReadStage.LOAD))
    links = [page.next_link for page in pages[:-1]]
    assert links, "fewer pages than `page_size` says"
    for link, after in reversed(list(zip(links, pages[1:], strict=True))):
        assert _ids(subject.read(ReadStage.LOAD, link)) == _ids(after)
        assert _ids(subject.read(ReadStage.LOAD, link)) == _ids(after)


def check_rows_that_show_twice_end_with_the_newest(subject: DynamicsSubject) -> None:
    """A row changed while pages are read may show on a later one too: its last appearance is its newest state."""
    ids = subject.fill(3 * subject.page_size)
    subject.repeat_rows()
    told: dict[str, object] = {}
    touched = ""
    for page in subject.pages(ReadStage.LOAD):
        told |= {change.key.id: (change.values or {})[subject.columns[0]] for change in page.changes}
        if not touched:
            touched = page.changes[0].key.id
            subject.load({touched: subject.texts("Newest")})
    assert sorted(told) == sorted(ids)
    assert told[touched] == "Newest"


def check_nothing_is_missed_between_load_and_changes(subject: DynamicsSubject) -> None:
    """A row changed or made while pages are read is in the load, in the pass over what is new, or in the changes."""
    ids = subject.fill(2 * subject.page_size + 1)
    began = subject.clock.now() - timedelta(hours=1)
    told: dict[str, object] = {}
    link = None
    for number, page in enumerate(subject.pages(ReadStage.LOAD)):
        if number == 0:
            subject.load({ids[0]: subject.texts("Meanwhile"), row_id(999): subject.texts("New")})
        link = page.delta_link
        told |= {change.key.id: (change.values or {})[subject.columns[0]] for change in page.changes}
    assert link is not None
    for page in subject.pages(ReadStage.OVERLAP, since=began):
        told |= {change.key.id: (change.values or {})[subject.columns[0]] for change in page.changes}
    told |= {change.key.id: (change.values or {})[subject.columns[0]] for change in subject.changes(link)}
    assert sorted(told) == sorted([*ids, row_id(999)])
    assert (told[ids[0]], told[row_id(999)]) == ("Meanwhile", "New")


def check_an_end_without_a_position_is_no_end(subject: DynamicsSubject) -> None:
    """A last page without its link would lose every later change: ProtocolError."""
    subject.fill(1)
    subject.omit_delta_links()
    subject.refused(ProtocolError, subject.loaded)


def check_links_are_followed_to_the_service_only(subject: DynamicsSubject) -> None:
    """V11: a page that links to another address raises UntrustedUrlError, and nothing is sent there."""
    subject.fill(2 * subject.page_size)
    subject.link_elsewhere()
    subject.refused(UntrustedUrlError, subject.loaded)


def check_a_column_that_is_gone_is_named(subject: DynamicsSubject) -> None:
    """SchemaChangedError, which names the table; also for a table that never was."""
    subject.fill(1)
    subject.loaded()
    subject.drop_column(subject.columns[1])
    error = subject.refused(SchemaChangedError, lambda: subject.read(ReadStage.LOAD))
    assert error.table == subject.table
    request = ReadRequest(table="no_such_table", columns=("name",), stage=ReadStage.LOAD)
    subject.refused(SchemaChangedError, lambda: subject.connector.read(request))
