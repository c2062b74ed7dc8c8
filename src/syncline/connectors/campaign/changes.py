"""Which records of a resource changed: a page of what the customer's own filter on `lastModified` finds.

What lives here: the filter's names and its addresses. Campaign has no such filter by itself; it is made on the resource
like the one for the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import attrs

from syncline.connectors.base import ChangedPage
from syncline.connectors.campaign.lookup import next_page
from syncline.connectors.campaign.values import flatten
from syncline.errors import DefinitionError, ProtocolError

__all__ = ["CampaignChanges", "page_of"]


@attrs.frozen(kw_only=True)
class CampaignChanges:
    """The filter that finds what changed: `byLastModified?lastModified_parameter=...` unless its names are others."""

    #: The filter as it stands in the address.
    filter: str = "byLastModified"
    #: Its parameter: records changed at this moment or later.
    parameter: str = "lastModified_parameter"
    #: Records of a page.
    lines: int = 500

    def __attrs_post_init__(self) -> None:
        for name, value in (("filter", self.filter), ("parameter", self.parameter)):
            if not (value.isascii() and value.replace("_", "").isalnum()):
                raise DefinitionError("Letters, digits and _ only.", path=name)

    def address(self, path: str, since: datetime | None) -> str:
        """The first page. `path` is endpoint and resource."""
        paging = f"_lineCount={self.lines}&_forcePagination=true"
        if since is None:
            return f"campaign/{path}?{paging}"
        moment = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.000Z")
        return f"campaign/{path}/{self.filter}?{self.parameter}={quote(moment, safe='')}&{paging}"


def page_of(resource: str, content: object) -> ChangedPage:
    """What an answer holds. Raises ProtocolError for one that is no list of records."""
    if not isinstance(content, Mapping) or not isinstance(records := content.get("content"), list):
        raise ProtocolError(f"Campaign answered a search for changes of {resource} with something else.")
    return ChangedPage(records=tuple(flatten(_record(resource, one)) for one in records), next_link=next_page(content))


def _record(resource: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise ProtocolError(f"Campaign answered a search for changes of {resource} with something that is no record.")
    return found
