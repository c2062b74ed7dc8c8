"""Campaign collections in the sandbox: pages, big tables, filters, counts, projections and order."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.sandbox_room import PROFILES, Stranger, fresh

from syncline.sandbox import Sandbox


@pytest.fixture
def sandbox(servers: Sandbox) -> Sandbox:
    """Sixty profiles, two with one address."""
    fresh(servers.campaign)
    servers.campaign.load("profile", people(60))
    return servers


def people(count: int) -> list[dict[str, Any]]:
    """Profiles `p-00` and on; every address is shared by two."""
    return [
        {"externalId": f"p-{number:02}", "email": f"box{number // 2}@example.com", "lastName": f"Name{number % 7}"}
        for number in range(count)
    ]


def pages(stranger: Stranger, address: str) -> list[list[Any]]:
    """All pages, following `next` to the letter."""
    found = []
    while address:
        page = stranger.get(address)
        found.append(page["content"])
        address = page.get("next", {}).get("href", "")
    return found


def keys(content: list[dict[str, Any]]) -> list[str]:
    """The identification keys of a page."""
    return [one["externalId"] for one in content]


def test_twenty_five_lines_by_default(stranger: Stranger) -> None:
    """Pages have 25 lines unless asked otherwise, and `next` leads through all records once, in order."""
    found = pages(stranger, PROFILES)
    assert [len(page) for page in found] == [25, 25, 10]
    assert [key for page in found for key in keys(page)] == [f"p-{number:02}" for number in range(60)]


def test_line_count(stranger: Stranger) -> None:
    """`_lineCount` sets the page's size and stays in `next`; nonsense means the default."""
    assert [len(page) for page in pages(stranger, f"{PROFILES}?_lineCount=40")] == [40, 20]
    assert len(stranger.get(PROFILES, _lineCount="many")["content"]) == 25


def test_the_last_page_that_is_full_has_no_next(stranger: Stranger) -> None:
    """A page that ends the table has no `next`, even when it is full."""
    assert [len(page) for page in pages(stranger, f"{PROFILES}?_lineCount=30")] == [30, 30]


def test_a_big_table_has_no_next_unless_forced(sandbox: Sandbox, stranger: Stranger) -> None:
    """Above the threshold `next` is missing without `_forcePagination=true`, and nothing says so."""
    sandbox.campaign.set(big_table_threshold=59)
    assert [len(page) for page in pages(stranger, PROFILES)] == [25]
    assert [len(page) for page in pages(stranger, f"{PROFILES}?_forcePagination=true")] == [25, 25, 10]
    sandbox.campaign.set(big_table_threshold=60)
    assert len(pages(stranger, PROFILES)) == 3


def test_a_line_start_is_good_for_its_query_only(stranger: Stranger) -> None:
    """A `_lineStart` that was made up, or belongs to another query, is refused."""
    token = stranger.get(PROFILES)["next"]["href"].partition("_lineStart=")[2]
    assert len(stranger.get(PROFILES, _lineStart=token)["content"]) == 25
    stranger.refused("GET", f"{PROFILES}?_lineStart=@nonsense")
    stranger.refused("GET", f"{PROFILES}/byEmail?email=box1%40example.com&_lineStart={token}")


def test_no_snapshot(sandbox: Sandbox, stranger: Stranger) -> None:
    """Records written while somebody pages appear, and deleted ones are gone."""
    first = stranger.get(PROFILES)
    sandbox.campaign.delete("profile", "p-30")
    stranger.create(externalId="new")
    rest = [key for page in pages(stranger, first["next"]["href"]) for key in keys(page)]
    assert "p-30" not in rest
    assert rest[-1] == "new"


def test_next_can_name_a_foreign_host(sandbox: Sandbox, stranger: Stranger) -> None:
    """`foreign_links` makes `next` point somewhere else, as an attacker would."""
    sandbox.campaign.set(foreign_links="https://mc.adobe.io.evil.example")
    href = stranger.get(PROFILES)["next"]["href"]
    assert urlsplit(href).netloc == "mc.adobe.io.evil.example"
    assert urlsplit(href).path == f"/contoso/campaign/{PROFILES}"


def test_order(stranger: Stranger) -> None:
    """`_order` sorts up or down and pages without gaps; an unknown field is refused."""
    up = [one["lastName"] for page in pages(stranger, f"{PROFILES}?_order=lastName") for one in page]
    assert up == sorted(up)
    assert len(up) == 60
    down = [one["email"] for page in pages(stranger, f"{PROFILES}?_order=email%20desc") for one in page]
    assert down == sorted(down, reverse=True)
    assert "not valid" in stranger.refused("GET", f"{PROFILES}?_order=email%2520desc")


def test_a_filter_answers_a_list(stranger: Stranger) -> None:
    """A filter answers `content` always: empty for no match, several where several match."""
    one = stranger.get(f"{PROFILES}/byExternalId", externalId_parameter="p-07")
    assert keys(one["content"]) == ["p-07"]
    assert one["count"]["value"] == 1
    assert stranger.get(f"{PROFILES}/byExternalId", externalId_parameter="P-07")["content"] == []
    assert keys(stranger.get(f"{PROFILES}/byEmail", email="box3@example.com")["content"]) == ["p-06", "p-07"]


def test_a_filter_without_its_parameter(sandbox: Sandbox, stranger: Stranger) -> None:
    """A misnamed parameter finds everything with a built-in filter, and what has no value with a custom one."""
    assert stranger.get(f"{PROFILES}/byEmail/_count", mail="box3@example.com") == {"count": 60}
    assert stranger.get(f"{PROFILES}/byExternalId/_count", externalId="p-07") == {"count": 0}
    sandbox.campaign.load("profile", [{"lastName": "made by somebody else"}])
    assert stranger.get(f"{PROFILES}/byExternalId/_count", externalId="p-07") == {"count": 1}


def test_by_text_is_a_prefix_search(stranger: Stranger) -> None:
    """byText finds beginnings, minding case; `filterType` picks the field."""
    assert stranger.get(f"{PROFILES}/byText/_count", text="box1") == {"count": 22}
    assert stranger.get(f"{PROFILES}/byText/_count", text="Box1") == {"count": 0}
    assert stranger.get(f"{PROFILES}/byText/_count", text="p-0", filterType="externalId") == {"count": 10}


def test_filters_combine(stranger: Stranger) -> None:
    """Filters in one path must all match."""
    found = stranger.get(f"{PROFILES}/byEmail/byText", email="box3@example.com", text="Name6")
    assert keys(found["content"]) == ["p-06"]


def test_changed_since(sandbox: Sandbox, stranger: Stranger) -> None:
    """The custom filter on lastModified finds what changed at or after a moment."""
    sandbox.campaign.shift_clock(60)
    stranger.change(f"{PROFILES}/p-11", lastName="Changed")
    moment = stranger.get(f"{PROFILES}/p-11")["lastModified"]
    sandbox.campaign.shift_clock(-60)
    for form in (moment, moment.replace(" ", "T")):
        found = stranger.get(f"{PROFILES}/byLastModified", lastModified_parameter=form)
        assert keys(found["content"]) == ["p-11"]


def test_counts_by_the_address_given(stranger: Stranger) -> None:
    """`count.href` answers how many there are, double slash and all."""
    page = stranger.get(f"{PROFILES}/byEmail", email="box3@example.com")
    assert "/profile//byEmail/_count?" in page["count"]["href"]
    assert stranger.get(page["count"]["href"]) == {"count": 2}
    assert stranger.get(stranger.get(PROFILES)["count"]["href"]) == {"count": 60}


def test_projection(stranger: Stranger) -> None:
    """A field at the end of the path makes `content` a list of its values, paged as ever."""
    page = stranger.get(f"{PROFILES}/email?_lineCount=3")
    assert page["content"] == ["box0@example.com", "box0@example.com", "box1@example.com"]
    values = [value for found in pages(stranger, f"{PROFILES}/externalId") for value in found]
    assert values == [f"p-{number:02}" for number in range(60)]
    found = stranger.get(f"{PROFILES}/byEmail/lastName", email="box3@example.com")
    assert found["content"] == ["Name6", "Name0"]


def test_json_suffix_and_double_slashes(stranger: Stranger) -> None:
    """`.json` at the end and doubled slashes make no difference."""
    assert stranger.get(f"{PROFILES}.json")["content"] == stranger.get(f"{PROFILES}//")["content"]


def test_version_8_filters_have_no_by(sandbox: Sandbox, stranger: Stranger) -> None:
    """On version 8 custom filters are called without `by`, built-in ones as before."""
    sandbox.campaign.set(v8=True)
    assert keys(stranger.get(f"{PROFILES}/ExternalId", externalId_parameter="p-07")["content"]) == ["p-07"]
    stranger.refused("GET", f"{PROFILES}/byExternalId?externalId_parameter=p-07", 404)
    assert len(stranger.get(f"{PROFILES}/byEmail", email="box3@example.com")["content"]) == 2
