"""How one record is found by its business key: through a filter of the resource, or by the key as its address.

What lives here: the configuration of a key, the addresses made from it, and reading a collection to its end. Campaign
documents no key look-up of its own; filters are made by the customer, so their names are configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import attrs

from syncline.errors import DefinitionError, ProtocolError, RecordRefusedError

__all__ = ["CampaignKey", "KeyAddresses", "collection", "next_page"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# Beyond this a filter is no look-up by key any more: 25 records a page.
_MOST_PAGES = 2_000
_WORDS_OF_THE_API = frozenset({".", "..", "metadata"})


def _is_name(_instance: object, attribute: Any, value: str) -> None:
    if value and not _NAME.fullmatch(value):
        raise DefinitionError("Letters, digits and _ only, and no digit first.", path=attribute.name)


@attrs.frozen(kw_only=True)
class CampaignKey:
    """How records of a resource are found by key.

    By default through the filter that Campaign makes of a filter definition: `byExternalId?externalId_parameter=...`
    for the field `externalId`. Both names are generated when the filter is made and may be otherwise: say so here.
    """

    #: The field that holds the source's primary key.
    field: str = attrs.field(default="externalId", validator=_is_name)
    #: The filter as it stands in the address; empty: `prefix` and the field's name with a capital.
    filter: str = attrs.field(default="", validator=_is_name)
    #: The filter's parameter; empty: the field's name and `_parameter`.
    parameter: str = attrs.field(default="", validator=_is_name)
    #: What stands before a derived filter name; None: `by`, and nothing on version 8.
    prefix: str | None = None
    #: Find records at `<resource>/<key>` instead. Adobe documents it for the profile with a custom key only.
    by_uri: bool = False
    #: True: the operator vouches that the field is an identification key. False: it is none. None: it is probed.
    identification_key: bool | None = None

    def filter_name(self, *, v8: bool) -> str:
        if self.filter:
            return self.filter
        prefix = self.prefix if self.prefix is not None else ("" if v8 else "by")
        return f"{prefix}{self.field[:1].upper()}{self.field[1:]}"

    @property
    def parameter_name(self) -> str:
        return self.parameter or f"{self.field}_parameter"


@attrs.frozen
class KeyAddresses:
    """The addresses of one resource by one key, made once. All are relative to the organisation's address."""

    key: CampaignKey
    #: `campaign/<endpoint>/<resource>`
    root: str
    #: The filter's name in the address.
    filter: str
    #: Everything of a filter's address before the value.
    _before: str

    @classmethod
    def of(cls, key: CampaignKey, path: str, *, v8: bool) -> KeyAddresses:
        root, name = f"campaign/{path}", key.filter_name(v8=v8)
        return cls(key, root, name, f"{root}/{name}?{key.parameter_name}=")

    def by_filter(self, value: str) -> str:
        """The first page of the records the filter finds for `value`.

        `_forcePagination` is not a nicety: without it Campaign leaves `next` out for tables above 100,000 rows, and
        25 records look like all there are. Raises RecordRefusedError for an empty key, which many filters take to mean
        every record.
        """
        if not value:
            raise RecordRefusedError(f"The key in {self.key.field} is empty.", field=self.key.field)
        return f"{self._before}{quote(_encodable(value, self.key.field), safe='')}&_forcePagination=true"

    def by_uri(self, value: str) -> str:
        """The address of the record whose key is `value`. Raises RecordRefusedError for a key that cannot be one."""
        if not value or value[0] in "@_" or value in _WORDS_OF_THE_API or not value.isprintable():
            raise self._unaddressable()
        if any(character in value for character in "/\\%?#"):
            raise self._unaddressable()
        return f"{self.root}/{quote(_encodable(value, self.key.field), safe='')}"

    def _unaddressable(self) -> RecordRefusedError:
        return RecordRefusedError(
            f"This value of {self.key.field} cannot stand in an address.",
            field=self.key.field,
            remedy="Look records up through a filter instead (by_uri=False).",
        )


def _encodable(value: str, name: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RecordRefusedError(f"The key in {name} holds half a character and cannot be sent.", field=name) from None
    return value


def collection(read: Callable[[str], object], first: str) -> Iterator[Mapping[str, Any]]:
    """Every record of a collection, page after page along `next.href`, which is followed as it is.

    Raises ProtocolError for an answer that is no collection, for a link that leads back, and for one without end.
    """
    seen: set[str] = set()
    url: str | None = first
    while url is not None:
        if url in seen or len(seen) >= _MOST_PAGES:
            raise ProtocolError("Campaign's pages do not come to an end; the records cannot be told apart.")
        seen.add(url)
        page = read(url)
        if not isinstance(page, dict) or not isinstance(content := page.get("content"), list):
            raise ProtocolError("Campaign answered a search with something that is no list of records.")
        for record in content:
            if not isinstance(record, dict):
                raise ProtocolError("Campaign answered a search with something that is no record.")
            yield record
        url = next_page(page)


def next_page(page: Mapping[str, Any]) -> str | None:
    """The address of the next page, or None. Raises ProtocolError for something that is no address."""
    link = page.get("next")
    href = link.get("href") if isinstance(link, dict) else link
    if href in (None, ""):
        return None
    if not isinstance(href, str) or "://" not in href[:8]:
        raise ProtocolError("Campaign named a next page by something that is no address.")
    return href
