"""Addresses made from keys, and reading a collection to its end."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from syncline.connectors.campaign import CampaignKey
from syncline.connectors.campaign.lookup import KeyAddresses, collection
from syncline.errors import DefinitionError, ProtocolError, RecordRefusedError

PATH = "profileAndServicesExt/profile"
encodable = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def addresses(key: CampaignKey | None = None, *, v8: bool = False) -> KeyAddresses:
    return KeyAddresses.of(key or CampaignKey(), PATH, v8=v8)


def test_the_usual_names() -> None:
    """A key field alone is enough: Campaign's generated names are derived from it."""
    url = addresses().by_filter("8d2c")
    assert url == f"campaign/{PATH}/byExternalId?externalId_parameter=8d2c&_forcePagination=true"


def test_version_8_has_no_by() -> None:
    """Version 8 names filters without the prefix, unless the settings say otherwise."""
    assert "/ExternalId?" in addresses(v8=True).by_filter("x")
    assert "/byExternalId?" in addresses(CampaignKey(prefix="by"), v8=True).by_filter("x")


def test_configured_names_are_taken_as_they_are() -> None:
    """Filters keep their case, and parameters may lack the suffix."""
    key = CampaignKey(field="acsId", filter="byAcsId", parameter="acsId")
    assert "/byAcsId?acsId=x&" in addresses(key).by_filter("x")


@pytest.mark.parametrize("bad", ["a b", "a/b", "a?b", "é", "1a", "a&b"])
def test_names_that_cannot_stand_in_an_address_are_refused(bad: str) -> None:
    """A name is checked when the key is configured, not when the first record is sent."""
    with pytest.raises(DefinitionError):
        CampaignKey(field=bad)
    with pytest.raises(DefinitionError):
        CampaignKey(filter=bad)
    with pytest.raises(DefinitionError):
        CampaignKey(parameter=bad)


@given(encodable)
def test_any_key_arrives_whole_through_a_filter(key: str) -> None:
    """Whatever a key holds, it is one parameter's value and nothing else in the address."""
    parts = urlsplit(f"https://x/{addresses().by_filter(key)}")
    assert parts.path == f"/campaign/{PATH}/byExternalId"
    assert parse_qs(parts.query, strict_parsing=True, errors="strict", max_num_fields=2) == {
        "externalId_parameter": [key],
        "_forcePagination": ["true"],
    }
    assert parts.fragment == ""


@given(encodable)
def test_a_key_as_address_is_one_segment_or_refused(key: str) -> None:
    """A key never reaches another address: it is one segment below the resource, or is refused unsent."""
    if key[0] in "@_" or key in {".", "..", "metadata"} or set(key) & set("/\\%?#") or not key.isprintable():
        with pytest.raises(RecordRefusedError) as refused:
            addresses(CampaignKey(by_uri=True)).by_uri(key)
        assert refused.value.field == "externalId"
        return
    head, _, last = addresses(CampaignKey(by_uri=True)).by_uri(key).rpartition("/")
    assert head == f"campaign/{PATH}"
    assert unquote(last) == key
    assert not set(last) & set("?#/\\")


@pytest.mark.parametrize("key", ["", ".", "..", "@token", "_count", "metadata", "a/b", "a\\b", "a%2fb", "a\nb", "a?b"])
def test_keys_that_mean_something_else_in_an_address(key: str) -> None:
    """Tokens, counts and paths are not taken for a business key."""
    with pytest.raises(RecordRefusedError):
        addresses(CampaignKey(by_uri=True)).by_uri(key)


def test_an_empty_key_is_refused() -> None:
    """Many filters take an empty value to mean every record."""
    with pytest.raises(RecordRefusedError):
        addresses().by_filter("")


def test_half_a_character_is_refused() -> None:
    """A lone surrogate concerns one record and does not stop the others."""
    with pytest.raises(RecordRefusedError):
        addresses().by_filter("\ud800")


class Pages:
    """Answers addresses from a fixed set of pages and remembers what was asked."""

    def __init__(self, pages: dict[str, object]) -> None:
        self.pages = pages
        self.asked: list[str] = []

    def __call__(self, url: str) -> object:
        self.asked.append(url)
        return self.pages[url]


def read(pages: Pages) -> list[object]:
    return list(collection(pages, "first"))


def page(records: Iterable[object], following: object = None) -> dict[str, object]:
    return {"content": list(records)} | ({} if following is None else {"next": {"href": following}})


def test_next_is_followed_as_it_is() -> None:
    """The link is used to the letter, double slashes and all, until there is none."""
    strange = "https://h//profile//byX?_lineStart=@a%20b"
    pages = Pages({"first": page([{"a": 1}], strange), strange: page([{"a": 2}])})
    assert read(pages) == [{"a": 1}, {"a": 2}]
    assert pages.asked == ["first", strange]


def test_an_empty_page_is_not_the_end() -> None:
    """Only a missing link ends a collection."""
    pages = Pages({"first": page([], "https://h/2"), "https://h/2": page([{"a": 2}])})
    assert read(pages) == [{"a": 2}]


@given(st.integers(0, 3), st.integers(0, 3))
def test_links_in_a_circle_are_noticed(length: int, back: int) -> None:
    """A link that was followed before is an error, not an end."""
    assume(back <= length)
    urls = ["first", *(f"https://h/{number}" for number in range(length))]
    pages: dict[str, object] = {
        url: page([{}], following) for url, following in zip(urls, [*urls[1:], f"https://h/{back}"], strict=True)
    }
    pages |= {f"https://h/{length}": page([{}], f"https://h/{length}")}
    asked = Pages(pages)
    with pytest.raises(ProtocolError):
        read(asked)
    assert len(asked.asked) == len(set(asked.asked))


@pytest.mark.parametrize(
    "answer", [[], "text", {}, {"content": {}}, {"content": ["email"]}, page([{}], 7), page([{}], "/relative")]
)
def test_what_is_no_collection_is_refused(answer: object) -> None:
    """An answer that is no list of records is never read as an empty one."""
    with pytest.raises(ProtocolError):
        read(Pages({"first": answer}))
