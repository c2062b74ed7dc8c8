"""Short makers for columns of each type, and the columns every table of a family shares.

Lives here: the vocabulary `default_tables` and the control command `add_column` are written in.
Never here: which tables exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .tables import Column, Option, Table

__all__ = [
    "TYPES",
    "activity_table",
    "boolean",
    "choice",
    "date",
    "integer",
    "lookup",
    "moment",
    "money",
    "text",
    "user_owned_table",
]

#: Attribute types a column may have, with the facets a new column of that type starts with.
TYPES: dict[str, dict[str, Any]] = {
    "String": {"max_length": 100},
    "Memo": {"max_length": 2000},
    "Integer": {"minimum": -2147483648, "maximum": 2147483647},
    "BigInt": {},
    "Decimal": {"minimum": -100000000000, "maximum": 100000000000, "precision": 2},
    "Double": {"minimum": -100000000000, "maximum": 100000000000, "precision": 2},
    "Money": {"minimum": -922337203685477, "maximum": 922337203685477, "precision": 4},
    "Boolean": {"default": False},
    "DateTime": {},
    "Picklist": {},
    "MultiSelectPicklist": {},
    "State": {},
    "Status": {},
    "Lookup": {},
    "Customer": {"targets": ("account", "contact")},
    "Owner": {"targets": ("systemuser", "team")},
    "Uniqueidentifier": {},
    "PartyList": {"targets": ("account", "contact", "systemuser")},
    "Virtual": {},
}

CUSTOMER = ("account", "contact")
OWNER = ("systemuser", "team")
SYSTEM: dict[str, Any] = {"creatable": False, "updatable": False}


def text(name: str, max_length: int = 100, **more: Any) -> Column:
    """A single line of text."""
    return Column(name=name, type="String", max_length=max_length, **more)


def integer(name: str, minimum: int = -2147483648, maximum: int = 2147483647, **more: Any) -> Column:
    """A whole number."""
    return Column(name=name, type="Integer", minimum=minimum, maximum=maximum, **more)


def money(name: str, **more: Any) -> Column:
    """A currency amount with four decimals on the wire."""
    return Column(name=name, type="Money", minimum=0, maximum=100000000000, precision=4, **more)


def boolean(name: str, no: str = "No", yes: str = "Yes", *, default: bool = False, **more: Any) -> Column:
    """A two-options column with its two labels."""
    return Column(
        name=name,
        type="Boolean",
        default=default,
        options=[Option(value=0, label=no), Option(value=1, label=yes)],
        option_set=more.pop("option_set", name),
        **more,
    )


def date(name: str, **more: Any) -> Column:
    """A date without a time."""
    return Column(name=name, type="DateTime", date_only=True, behavior="DateOnly", **more)


def moment(name: str, **more: Any) -> Column:
    """A date and time."""
    return Column(name=name, type="DateTime", **more)


def choice(name: str, labels: Sequence[tuple[int, str]], *, type_name: str = "Picklist", **more: Any) -> Column:
    """A choice column from numbers and labels."""
    return Column(
        name=name,
        type=type_name,
        options=[Option(value=value, label=label) for value, label in labels],
        option_set=more.pop("option_set", name),
        **more,
    )


def lookup(name: str, *targets: str, **more: Any) -> Column:
    """A lookup to one or several tables."""
    return Column(name=name, type="Lookup", targets=targets, **more)


def _state(states: Sequence[tuple[int, str]]) -> Column:
    return choice(
        "statecode",
        states,
        type_name="State",
        default=0,
        required="SystemRequired",
        schema_name="StateCode",
        creatable=False,
    )


def _status(reasons: Sequence[tuple[int, str, int]]) -> Column:
    return Column(
        name="statuscode",
        type="Status",
        schema_name="StatusCode",
        default=reasons[0][0],
        option_set="statuscode",
        options=[Option(value=value, label=label, state=state) for value, label, state in reasons],
    )


def _bookkeeping() -> list[Column]:
    return [
        moment("createdon", **SYSTEM),
        moment("modifiedon", **SYSTEM),
        lookup("createdby", "systemuser", **SYSTEM),
        lookup("modifiedby", "systemuser", **SYSTEM),
        Column(name="versionnumber", type="BigInt", **SYSTEM),
        moment("overriddencreatedon", updatable=False),
        integer("importsequencenumber"),
    ]


def _primary(name: str) -> Column:
    return Column(name=name, type="Uniqueidentifier", primary_id=True, updatable=False, required="SystemRequired")


def plain_table(name: str, entity_set: str, code: int, columns: Sequence[Column], **more: Any) -> Table:
    """An organisation-owned table with its key, its columns and the bookkeeping ones."""
    table = Table(
        name=name,
        entity_set=entity_set,
        primary_id=more.pop("primary_id", f"{name}id"),
        primary_name=more.pop("primary_name", "name"),
        object_type_code=code,
        **more,
    )
    table.add(_primary(table.primary_id), *columns, *_bookkeeping())
    if table.primary_name in table.columns:
        table.columns[table.primary_name].primary_name = True
    return table


def user_owned_table(name: str, entity_set: str, code: int, columns: Sequence[Column], **more: Any) -> Table:
    """A table whose rows have an owner, a state (Active, Inactive) and a status reason."""
    owned = [
        *columns,
        Column(name="ownerid", type="Owner", targets=OWNER, required="SystemRequired"),
        lookup("owningbusinessunit", "businessunit", **SYSTEM),
        _state([(0, "Active"), (1, "Inactive")]),
        _status([(1, "Active", 0), (2, "Inactive", 1)]),
    ]
    return plain_table(name, entity_set, code, owned, **more)


def activity_table(name: str, entity_set: str, code: int, columns: Sequence[Column], **more: Any) -> Table:
    """An activity: keyed by `activityid`, named by `subject`, regarding a customer or another row."""
    regarding = more.pop("regarding", CUSTOMER)
    party = more.pop("party_navigation", f"{name}_activity_parties")
    owned = [
        text("subject", 400, required="ApplicationRequired"),
        Column(name="description", type="Memo", max_length=2000),
        Column(
            name="regardingobjectid",
            type="Lookup",
            targets=tuple(regarding),
            navigation={target: f"regardingobjectid_{target}_{name}" for target in regarding},
        ),
        Column(name="activitytypecode", type="EntityName", default=name, **SYSTEM),
        moment("scheduledstart"),
        moment("scheduledend"),
        moment("actualstart"),
        moment("actualend"),
        integer("actualdurationminutes", 0, 2147483647),
        choice("prioritycode", [(0, "Low"), (1, "Normal"), (2, "High")], default=1),
        boolean("isregularactivity", default=True, **SYSTEM),
        *columns,
        Column(name="ownerid", type="Owner", targets=OWNER, required="SystemRequired"),
        _state([(0, "Open"), (1, "Completed"), (2, "Canceled"), (3, "Scheduled")]),
        _status([(1, "Open", 0), (2, "Completed", 1), (3, "Canceled", 2), (4, "Scheduled", 3)]),
        Column(name="to", type="PartyList", targets=(*CUSTOMER, "systemuser")),
        Column(name="from", type="PartyList", targets=(*CUSTOMER, "systemuser")),
    ]
    return plain_table(
        name,
        entity_set,
        code,
        owned,
        primary_id="activityid",
        primary_name="subject",
        activity=True,
        party_navigation=party,
        **more,
    )
