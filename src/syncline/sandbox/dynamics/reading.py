"""Plain reads: collections with paging, single rows, counts, `$expand`.

Lives here: the query options of an untracked GET and the opaque paging cookie.
Never here: change tracking (see `tracking`), the meaning of `$filter` (see `filter_sql`).
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import quote, unquote

from .answers import Answer, DataverseError, json_answer, text_answer
from .environment import Environment
from .expanding import expand_rows
from .filter_sql import Condition, Order, filter_sql, keyset, order_by
from .projection import Annotations, project
from .requests import Request, api_root
from .rows import Row
from .tables import Table

__all__ = [
    "check_read",
    "count_rows",
    "link",
    "navigate",
    "one_property",
    "page_size",
    "paging_cookie",
    "privilege_error",
    "read_collection",
    "read_cookie",
    "read_row",
]

MAX_COUNT = 5000
_OPTIONS = frozenset(
    {"$select", "$filter", "$orderby", "$top", "$count", "$expand", "$skiptoken", "$deltatoken", "$apply", "$format"}
)
#: Query languages of the service that would be ignored silently otherwise.
_NOT_SERVED = frozenset({"$apply", "fetchXml", "savedQuery", "sql", "userQuery"})
_COOKIE = re.compile(r'<cookie pagenumber="(\d+)" pagingcookie="([^"<>]*)" istracking="(True|False)" />\Z')
_INNER = re.compile(r'<cookie page="\d+">.*<position at="([\w=-]*)" /></cookie>\Z')


def check_read(environment: Environment, table: Table, *, organization_wide: bool = False) -> None:
    """Raises the privilege error if the application user may not read the table (that widely)."""
    read = environment.permission(table).read
    if read == "none" or (organization_wide and read != "organization"):
        raise privilege_error(environment, table, "Read")


def privilege_error(environment: Environment, table: Table, verb: str) -> DataverseError:
    """The refusal of a user who lacks a privilege."""
    return DataverseError(
        403,
        "0x80040220",
        f"Principal user (Id={environment.application_user_id}, type=8, roleCount=1) is missing"
        f" prv{verb}{table.schema_name} privilege on OTC={table.object_type_code} for entity '{table.name}'.",
    )


def page_size(environment: Environment, request: Request) -> int:
    """Rows on a page: what was asked for, at most what the environment gives."""
    return min(request.preferences.max_page_size or environment.settings.page_size, environment.settings.page_size)


def read_collection(environment: Environment, request: Request, table: Table) -> Answer:
    """A page of rows with a next link while more remain. Raises DataverseError for bad options."""
    check_read(environment, table)
    _check_options(request)
    condition = _condition(environment, request, table)
    orders = order_by(table, request.query["$orderby"]) if request.query.get("$orderby") else []
    number, last = _position(request)
    size, top = _size(environment, request)
    where = condition
    if last is not None:
        beyond = keyset(orders, last)
        where = Condition(f"{condition.sql or '1'} AND {beyond.sql}", condition.parameters + beyond.parameters)
    found = environment.rows.select(table, where.sql, where.parameters, order=_order_sql(orders), limit=size + 1)
    page, more = found[:size], len(found) > size and top is None
    body: dict[str, Any] = {}
    value = _page_value(environment, request, table, page, body)
    _add_count(environment, request, table, condition, body)
    body["value"] = value
    if more:
        body["@odata.nextLink"] = _next_link(environment, request, table, orders, number + 1, page)
    return json_answer(body)


def _page_value(
    environment: Environment, request: Request, table: Table, page: list[Row], body: dict[str, Any]
) -> list[dict[str, Any]]:
    annotations = request.preferences.annotations
    projection = project(table, request.select, annotations, environment.rows)
    expand = request.query.get("$expand")
    context = projection.context
    shown = [projection(row) for row in page]
    if expand:
        context = expand_rows(environment, table, page, shown, expand, annotations, context)
    body["@odata.context"] = f"{request.origin}{api_root(request.path)}/$metadata#{table.entity_set}{context}"
    if annotations.everything:
        body["@Microsoft.Dynamics.CRM.globalmetadataversion"] = str(environment.schema.version)
    return shown


def _check_options(request: Request) -> None:
    for name in request.query:
        if name == "$skip":
            raise DataverseError(400, "0x80060888", "Skip Clause is not supported in CRM")
        if name.startswith("$") and name not in _OPTIONS:
            raise DataverseError(400, "0x80060888", f"The query parameter {name} is not supported.")
    for name in _NOT_SERVED & request.query.keys():
        raise DataverseError(501, "0x80060888", f"This sandbox does not serve {name}.")


def _condition(environment: Environment, request: Request, table: Table) -> Condition:
    text = request.query.get("$filter")
    return filter_sql(environment.schema, table, text, request.aliases) if text else Condition("")


def _size(environment: Environment, request: Request) -> tuple[int, int | None]:
    """Page size and `$top`; a `$top` next to a page size is ignored, as documented."""
    text = request.query.get("$top")
    if text is None or request.preferences.max_page_size is not None:
        return page_size(environment, request), None
    if not text.isdecimal() or int(text) == 0:
        raise DataverseError(400, "0x80060888", f"Invalid value '{text}' for $top query option found.")
    top = min(int(text), environment.settings.page_size)
    return top, top


def _order_sql(orders: list[Order]) -> str:
    return ", ".join([*(f"{order.sql} {'DESC' if order.descending else 'ASC'}" for order in orders), "r.id"])


def _add_count(
    environment: Environment, request: Request, table: Table, condition: Condition, body: dict[str, Any]
) -> None:
    if request.query.get("$count") != "true":
        return
    number = environment.rows.count(table, condition.sql, condition.parameters, limit=MAX_COUNT + 1)
    body["@odata.count"] = min(number, MAX_COUNT)
    if request.preferences.annotations.wants("Microsoft.Dynamics.CRM.totalrecordcount"):
        body["@Microsoft.Dynamics.CRM.totalrecordcount"] = min(number, MAX_COUNT)
        body["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] = number > MAX_COUNT


# -- the paging cookie ------------------------------------------------------------------------------------------------


def paging_cookie(number: int, first: str, last: str, key: str, position: Any, *, tracking: bool) -> str:
    """The value of `$skiptoken`, ready for a URL. Its inner part is encoded twice, as Dataverse's is."""
    packed = base64.urlsafe_b64encode(json.dumps(position).encode()).decode()
    inner = (
        f'<cookie page="{number - 1}"><{key} last="{{{last.upper()}}}" first="{{{first.upper()}}}" />'
        f'<position at="{packed}" /></cookie>'
    )
    outer = f'<cookie pagenumber="{number}" pagingcookie="{_escape(inner)}" istracking="{tracking}" />'
    return quote(outer, safe="=/")


def _escape(text: str) -> str:
    """Percent-encoding with small hexadecimal digits, as in the documented links."""
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quote(text, safe=""))


def read_cookie(token: str) -> tuple[int, Any, bool]:
    """Page number, position and tracking flag of a `$skiptoken`. Raises DataverseError if it was altered."""
    outer = _COOKIE.match(token)
    inner = _INNER.match(unquote(outer[2])) if outer else None
    if outer is None or inner is None:
        raise DataverseError(400, "0x80040203", "Malformed XML in the Paging Cookie")
    try:
        position = json.loads(base64.urlsafe_b64decode(inner[1]))
    except ValueError as error:
        raise DataverseError(400, "0x80040203", "Malformed XML in the Paging Cookie") from error
    return int(outer[1]), position, outer[3] == "True"


def _position(request: Request) -> tuple[int, list[Any] | None]:
    token = request.query.get("$skiptoken")
    if token is None:
        return 1, None
    number, position, _tracking = read_cookie(token)
    return number, position


def _next_link(
    environment: Environment, request: Request, table: Table, orders: list[Order], number: int, page: list[Row]
) -> str:
    last = [*environment.rows.order_values(table, [order.sql for order in orders], page[-1].id), page[-1].id]
    cookie = paging_cookie(number, page[0].id, page[-1].id, table.primary_id, last, tracking=False)
    return link(environment, request, table, f"$skiptoken={cookie}")


def link(environment: Environment, request: Request, table: Table, extra: str) -> str:
    """This request's URL without its position, plus `extra`; its origin may be set to another environment's."""
    origin = environment.settings.link_origin or request.origin
    kept = [
        part
        for part in request.query_string.split("&")
        if part and not unquote(part).startswith(("$skiptoken=", "$deltatoken="))
    ]
    return f"{origin}{api_root(request.path)}/{table.entity_set}?{'&'.join([*kept, extra])}"


# -- single rows and counts -------------------------------------------------------------------------------------------


def read_row(environment: Environment, request: Request, table: Table, row: Row, *, status: int = 200) -> Answer:
    """One row. `If-None-Match` with its etag gives 304, unless annotations or `$expand` were asked for."""
    annotations: Annotations = request.preferences.annotations
    expand = request.query.get("$expand")
    etag = f'W/"{row.version}"'
    if status == 200 and not expand and not annotations and request.headers.get("if-none-match") == etag:
        return Answer(status=304, headers=(("ETag", etag),))
    projection = project(table, request.select, annotations, environment.rows)
    shown = projection(row)
    context = projection.context
    if expand:
        context = expand_rows(environment, table, [row], [shown], expand, annotations, context)
    root = api_root(request.path)
    body = {"@odata.context": f"{request.origin}{root}/$metadata#{table.entity_set}{context}/$entity", **shown}
    return json_answer(body, status=status, headers=(("ETag", etag),))


def count_rows(environment: Environment, request: Request, table: Table) -> Answer:
    """`/$count`: a number in plain text behind a byte order mark, never above 5,000."""
    check_read(environment, table)
    condition = _condition(environment, request, table)
    return text_answer(str(environment.rows.count(table, condition.sql, condition.parameters, limit=MAX_COUNT)))


def one_property(environment: Environment, table: Table, row: Row, name: str) -> Any:
    """The value of one property."""
    return project(table, [name], Annotations(), environment.rows)(row)[name]


def navigate(
    environment: Environment, table: Table, row: Row, navigation: str, request: Request
) -> tuple[str, dict[str, Any]] | None:
    """What a navigation property leads to: context and content, or None for an empty lookup."""
    annotations = request.preferences.annotations
    if navigation == table.party_navigation:
        parties = environment.schema.table("activityparty")
        show = project(parties, request.select, annotations, environment.rows)
        found = environment.rows.related(parties, "activityid", row.id)
        return parties.entity_set, {"value": [show(party) for party in found]}
    shown: dict[str, Any] = {}
    select = f"($select={','.join(request.select)})" if request.select else ""
    expand_rows(environment, table, [row], [shown], f"{navigation}{select}", annotations, "")
    content = shown[navigation]
    if content is None:
        return None
    return navigation, {"value": content} if isinstance(content, list) else content
