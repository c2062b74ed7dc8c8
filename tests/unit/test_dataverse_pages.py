"""Pages of Dataverse: rows, deletions, links, and reads that go in circles."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.dynamics.odata import expression, guid, in_list, moment, name, one_row, text
from syncline.connectors.dynamics.pages import Progress, read_page
from syncline.connectors.http import TrustedOrigins
from syncline.errors import DefinitionError, ProtocolError, UntrustedUrlError
from syncline.records import Change, Page, ReadRequest, ReadStage, RecordKey

ROOT = "https://contoso.crm.dynamics.com/api/data/v9.2"
ORIGINS = TrustedOrigins.of(ROOT)
ONE = "00000000-0000-0000-0000-000000000001"
TWO = "00000000-0000-0000-0000-000000000002"
NEXT = f"{ROOT}/contacts?$select=firstname&$skiptoken=%3Ccookie%20pagenumber=%222%22%20istracking=%22True%22%20/%3E"
DELTA = f"{ROOT}/contacts?$select=firstname&$deltatoken=919042%2108%2f22%2f2017%2008%3a10%3a44"
ENTITY = f"{ROOT}/$metadata#contacts/$deletedEntity"


def request(stage: ReadStage = ReadStage.LOAD, link: str | None = None, *columns: str) -> ReadRequest:
    return ReadRequest(table="contact", columns=columns or ("firstname", "creditlimit"), stage=stage, link=link)


def page(content: object, asked: ReadRequest | None = None) -> Page:
    return read_page(content, asked or request(), "contactid", ORIGINS)


def test_a_row_is_the_columns_asked_for_in_the_sources_own_words() -> None:
    """Values and etag are kept as they came; the keys Dataverse adds by itself are left out."""
    row = {
        "@odata.etag": 'W/"12"',
        "contactid": ONE.upper(),
        "firstname": None,
        "creditlimit": Decimal("20000.0000"),
        "_transactioncurrencyid_value": TWO,
        "firstname@OData.Community.Display.V1.FormattedValue": "x",
    }
    found = page({"value": [row], "@odata.deltaLink": DELTA})
    assert found.delta_link == DELTA
    assert found.next_link is None
    change = found.changes[0]
    assert change.key == RecordKey(table="contact", id=ONE)
    assert change.values == {"firstname": None, "creditlimit": Decimal("20000.0000")}
    assert change.etag == 'W/"12"'


def test_a_deletion_is_told_by_its_context() -> None:
    """An entry with the context of deletions is one; a row with columns called id and reason is none."""
    gone = {"@odata.context": ENTITY, "id": ONE, "reason": "deleted"}
    row = {"contactid": TWO, "id": ONE, "reason": "deleted", "firstname": "x"}
    found = page({"value": [row, gone], "@odata.deltaLink": DELTA}, request(ReadStage.DELTA, DELTA, "firstname"))
    assert [change.deleted for change in found.changes] == [False, True]
    assert found.changes[1] == Change(key=RecordKey(table="contact", id=ONE), values=None)


@pytest.mark.parametrize(
    ("stage", "link", "content"),
    [
        (ReadStage.DELTA, DELTA, {}),
        (ReadStage.DELTA, DELTA, {"@odata.context": "x"}),
        (ReadStage.DELTA, DELTA, {"value": []}),
    ],
)
def test_nothing_new_keeps_the_place(stage: ReadStage, link: str, content: dict[str, Any]) -> None:
    """An empty answer to a delta link is the documented word for no changes: the same link asks again."""
    assert page(content, request(stage, link)) == Page(changes=(), delta_link=link)


def test_a_new_delta_link_of_an_empty_answer_is_taken() -> None:
    """Where an empty answer names a new link, the position moves on."""
    other = DELTA.replace("919042", "919043")
    assert page({"@odata.deltaLink": other}, request(ReadStage.DELTA, DELTA)).delta_link == other


@pytest.mark.parametrize(
    ("stage", "link", "content"),
    [
        (ReadStage.LOAD, None, {"value": []}),
        (ReadStage.LOAD, NEXT, {"value": [{"contactid": ONE}]}),
        (ReadStage.LOAD, None, {}),
        (ReadStage.DELTA, DELTA, {"value": [{"contactid": ONE}]}),
        (ReadStage.DELTA, NEXT, {"value": []}),
        (ReadStage.DELTA, NEXT, {}),
    ],
)
def test_an_end_without_a_delta_link_is_an_error(stage: ReadStage, link: str | None, content: object) -> None:
    """A tracked read that ends without a link is never taken for done: the position would be lost."""
    with pytest.raises(ProtocolError, match="without a delta link"):
        page(content, request(stage, link))


def test_an_untracked_pass_ends_with_its_last_page() -> None:
    """The overlap pass has no delta link, and a stray one is not its business."""
    asked = request(ReadStage.OVERLAP)
    assert page({"value": []}, asked) == Page(changes=())
    assert page({"value": [], "@odata.nextLink": NEXT}, asked).next_link == NEXT
    assert page({"value": [], "@odata.deltaLink": DELTA}, asked).delta_link is None


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "x",
        {"value": {}},
        {"value": None},
        {"value": "rows"},
        {"value": [None]},
        {"value": ["x"]},
        {"value": [{}]},
        {"value": [{"contactid": None}]},
        {"value": [{"contactid": "not an id"}]},
        {"value": [{"contactid": 7}]},
        {"value": [{"@odata.context": ENTITY}]},
        {"value": [{"@odata.context": ENTITY, "id": "x", "reason": "deleted"}]},
        {"value": [{"@odata.context": ENTITY, "id": ONE, "reason": "changed"}]},
    ],
)
def test_what_dataverse_never_sends_is_refused_whole(content: object) -> None:
    """A page with one impossible entry is no page, and a deletion for another reason is no deletion."""
    if isinstance(content, dict):
        content["@odata.deltaLink"] = DELTA
    with pytest.raises(ProtocolError):
        page(content, request(ReadStage.DELTA, DELTA))


def test_a_deletion_in_an_untracked_pass_is_refused() -> None:
    """Untracked reads have no deletions; believing one would delete somebody."""
    gone = {"@odata.context": ENTITY, "id": ONE, "reason": "deleted"}
    with pytest.raises(ProtocolError):
        page({"value": [gone]}, request(ReadStage.OVERLAP))


@pytest.mark.parametrize("name_", ["@odata.nextLink", "@odata.deltaLink"])
@pytest.mark.parametrize(
    "link", ["https://evil.example/api/data/v9.2/x", "http://contoso.crm.dynamics.com/x", 7, "", ["x"]]
)
def test_a_foreign_link_is_refused_before_it_is_stored(name_: str, link: object) -> None:
    """What could not be followed must not become a position."""
    with pytest.raises(UntrustedUrlError):
        page({"value": [], name_: link})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([ONE, NEXT, DELTA, ENTITY]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "value",
                        "contactid",
                        "@odata.context",
                        "@odata.etag",
                        "@odata.nextLink",
                        "@odata.deltaLink",
                        "id",
                        "reason",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from([stage for stage in ReadStage if stage is not ReadStage.MISSING]),
    st.sampled_from([None, NEXT, DELTA]),
)
def test_any_answer_is_a_page_or_an_error_of_ours(content: object, stage: ReadStage, link: str | None) -> None:
    """Whatever comes, either a page with at most one link, trusted, or one of two errors; a tracked page has one."""
    try:
        found = page(content, request(stage, link))
    except (ProtocolError, UntrustedUrlError):
        return
    assert found.next_link is None or found.delta_link is None
    if stage in (ReadStage.LOAD, ReadStage.DELTA):
        assert found.next_link or found.delta_link


def follow(progress: Progress, pages: list[Page], stage: ReadStage = ReadStage.LOAD) -> None:
    """Read the pages one after the other, each by the link the one before offered."""
    link = None
    for one in pages:
        progress.note(request(stage, link), one)
        link = one.next_link


def numbered(number: int, following: int | None, rows: int = 1) -> Page:
    changes = tuple(
        Change(key=RecordKey(table="contact", id=f"{number}-{row}"), values={}, etag="x") for row in range(rows)
    )
    return Page(changes=changes, next_link=None if following is None else f"{ROOT}/{following}")


@pytest.mark.parametrize("length", [1, 2, 7])
def test_links_in_a_circle_are_an_error(length: int) -> None:
    """A circle of any length is noticed when it closes."""
    pages = [numbered(0, 0)] + [numbered(n, n % length) for n in range(1, length + 2)]
    with pytest.raises(ProtocolError, match="followed already"):
        follow(Progress(), [*pages, *pages])


def test_the_same_page_for_ever_is_an_error() -> None:
    """New links that always lead to the same rows, or to none, end the read as a failure and not as its end."""
    same = [evolved for n in range(40) for evolved in [Page(changes=numbered(0, 0).changes, next_link=f"{ROOT}/{n}")]]
    with pytest.raises(ProtocolError, match="nothing new"):
        follow(Progress(), same)
    with pytest.raises(ProtocolError, match="nothing new"):
        follow(Progress(), [numbered(n, n + 1, rows=0) for n in range(40)])


def test_a_long_read_with_empty_and_repeated_pages_goes_through() -> None:
    """A page that comes twice or is empty is no harm while others bring something new."""
    progress = Progress()
    pages = []
    for n in range(0, 300, 3):
        repeated = Page(changes=numbered(n, None).changes, next_link=f"{ROOT}/{n + 2}")
        pages += [numbered(n, n + 1), repeated, numbered(n + 2, n + 3, rows=0)]
    follow(progress, [*pages, Page(changes=(), delta_link=DELTA)])


def test_a_page_may_be_read_again() -> None:
    """A page whose keeping failed is read again by the same link, which is no circle."""
    progress = Progress()
    for _ in range(3):
        progress.note(request(), numbered(0, 1))
    for _ in range(3):
        progress.note(request(link=f"{ROOT}/1"), numbered(1, 2))


def test_a_new_read_of_a_table_begins_anew() -> None:
    """The same links and rows in the next read are no circle, and tables do not disturb each other."""
    progress = Progress()
    for _ in range(3):
        follow(progress, [numbered(0, 1), numbered(1, 2), Page(changes=(), delta_link=DELTA)])
        follow(progress, [numbered(0, 1)], ReadStage.OVERLAP)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (ONE, ONE),
        ("ABCDEF00-0000-0000-0000-000000000001", "abcdef00-0000-0000-0000-000000000001"),
        ("{ABCDEF00-0000-0000-0000-000000000001}", "abcdef00-0000-0000-0000-000000000001"),
        (f"{ONE}\n", None),
        (ONE[:-1], None),
        ("\u0660\u0660000000-0000-0000-0000-000000000001", None),
        (None, None),
        (7, None),
    ],
)
def test_ids_have_one_spelling(value: object, found: str | None) -> None:
    """GUIDs are compared in lower case and without braces; everything else is none."""
    assert guid(value) == found


@given(st.text())
def test_no_text_breaks_out_of_its_literal(value: str) -> None:
    """Quotes are doubled and everything with a meaning in an address is encoded, so that a value stays a value."""
    literal = text(value)
    assert literal[0] == literal[-1] == "'"
    assert literal[1:-1].replace("''", "").count("'") == 0
    try:
        encoded = expression(literal)
    except UnicodeEncodeError:
        return
    assert not set(encoded) & set(' &#+%?/:;="<>\\\r\n') - {"%"}


def test_names_and_ids_that_are_none_never_reach_an_address() -> None:
    """A table or column with anything but letters, digits and _ is refused, and so is a row without a GUID."""
    for wrong in ("", "a b", "a'b", "a/b", "1a", "a\n", "ä", "a&b"):
        with pytest.raises(DefinitionError):
            name(wrong)
        with pytest.raises(DefinitionError):
            one_row("contacts", wrong)
    assert one_row("contacts", ONE.upper()) == f"contacts({ONE})"
    assert in_list("contactid", [ONE]) == (
        "Microsoft.Dynamics.CRM.In(PropertyName='contactid',PropertyValues%3D%5B%22" + ONE + "%22%5D)"
    ).replace("PropertyName=", "PropertyName%3D")
    assert moment(datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC)) == "2026-03-01T12:00:00Z"
