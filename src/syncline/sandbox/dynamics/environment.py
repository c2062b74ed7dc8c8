"""One environment: its rows, users, settings and time. What handlers share.

Lives here: state and the settings a test can change, with their meaning.
Never here: anything about HTTP.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs

from .default_tables import default_schema
from .rows import Rows
from .tables import Schema, Table
from .values import moment_text

__all__ = ["Environment", "Permission", "Settings"]


def _between(low: float, high: float) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_settings: object, field: attrs.Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{field.name} is a number from {low:g} to {high:g}, not {value!r}")

    return check


@attrs.define(kw_only=True)
class Settings:
    """What a test can change with the control command `set`. Defaults are the documented numbers."""

    #: Most rows on a page; Dataverse allows 5,000 and never more.
    page_size: int = attrs.field(default=5000, validator=_between(1, 5000))
    #: Service protection on or off, and its three limits per user and web server.
    protection: bool = False
    limit_requests: int = attrs.field(default=6000, validator=_between(0, 1_000_000_000))
    limit_execution_seconds: float = attrs.field(default=1200.0, validator=_between(0, 1_000_000_000))
    limit_concurrent: int = attrs.field(default=52, validator=_between(0, 1_000_000_000))
    limit_window_seconds: float = attrs.field(default=300.0, validator=_between(0, 1_000_000_000))
    #: Web servers behind the address; each counts limits for itself, a cookie binds a client to one.
    servers: int = attrs.field(default=1, validator=_between(1, 1_000))
    #: The parallelism recommended in `x-ms-dop-hint`.
    dop_hint: int = attrs.field(default=4, validator=_between(1, 1_000))
    #: Seconds every data request takes at least; with it requests overlap and combined execution time adds up.
    latency_seconds: float = attrs.field(default=0.0, validator=_between(0, 1_000_000_000))
    #: Largest request body in bytes; a larger one is refused with 413.
    body_limit: int = attrs.field(default=122_523_238, validator=_between(0, 1_000_000_000))
    #: Days a delta token stays valid (`organization.expirechangetrackingindays`).
    expire_change_tracking_days: int = attrs.field(default=7, validator=_between(0, 1_000_000_000))
    #: Status of an answer with 0x80044352; Microsoft documents the code only.
    expired_token_status: int = attrs.field(default=400, validator=_between(400, 599))
    #: Where the delta token of a first load points: "end" leaves out what changed while its pages were read, "start"
    #: covers it. Microsoft documents neither, so the default is the one that loses data if nobody looks.
    initial_token: str = attrs.field(default="end", validator=attrs.validators.in_(("end", "start")))
    #: Whether rows touched while tracked pages are read appear again on a later page. Off, they appear in none.
    duplicates: bool = False
    #: Whether a row that was deleted and created again shows in a delta as a row and, after it, as deleted. Not
    #: documented; whoever believes the order deletes a row that exists.
    recreated_shows_delete: bool = True
    #: What a delta without changes looks like: "list" (an empty one), "no_value", or "empty" (an empty object).
    empty_delta: str = attrs.field(default="list", validator=attrs.validators.in_(("list", "no_value", "empty")))
    #: Drops the delta link of the last page, as version 8.2 did with formatted values and lookups.
    delta_link_missing: bool = False
    #: Whether a schema change of a table expires its delta tokens.
    expire_on_schema_change: bool = False
    #: Whether a failed change set is answered inside a nested multipart instead of by one plain part.
    nested_change_set_failure: bool = False
    #: Whether `statecode` may be set when a row is created; undocumented for activities, so off.
    state_on_create: bool = False
    #: Scheme, host and port that next and delta links name instead of the request's, as in a copied environment.
    link_origin: str | None = None
    #: Whether the application user exists; without it every data request is refused with 0x80072560.
    application_user: bool = True
    #: Seconds access tokens live; None is a random 60 to 90 minutes.
    token_seconds: float | None = None
    #: PEM certificates registered for the application, for certificate assertions.
    certificates: list[str] = attrs.field(factory=list)


@attrs.define(kw_only=True)
class Permission:
    """What the application user may do with one table. `read` is organization, basic or none."""

    read: str = "organization"
    create: bool = True
    write: bool = True
    delete: bool = True


class Environment:
    """The state behind one address. Not thread-safe: `DynamicsSandbox` serialises access."""

    def __init__(self, *, database: str, seed: int, clock: Callable[[], datetime]) -> None:
        self._seed = seed
        self._clock = clock
        self.rows = Rows(database, default_schema)
        self._begin()
        if self.rows.fresh:
            self._first_rows()

    def __repr__(self) -> str:
        return f"Environment({self.rows!r})"

    def _begin(self) -> None:
        names = random.Random(self._seed)  # noqa: S311 - stable names, no secrecy
        self.random = random.Random(self._seed + 1)  # noqa: S311 - reproducible ids and lifetimes, no secrecy
        self.settings = Settings()
        self.permissions: dict[str, Permission] = {}
        #: Ids of rows that a plug-in refuses, with the message it gives.
        self.rejects: dict[str, str] = {}
        #: Delta tokens below this version have expired, for all tables and per table.
        self.token_floor = 0
        self.token_floors: dict[str, int] = {}
        self.tenant_id, self.client_id = _uuid(names), _uuid(names)
        self.client_secret = f"sandbox~{names.getrandbits(128):032x}"
        self.organization_id, self.business_unit_id = _uuid(names), _uuid(names)
        self.application_user_id, self.human_user_id = _uuid(names), _uuid(names)
        self.currency_id = _uuid(names)
        self.message_ids = {name: _uuid(names) for name in ("CreateMultiple", "UpdateMultiple", "UpsertMultiple")}

    def reset(self) -> None:
        """Everything as new: schema, rows, settings, permissions. Credentials stay what the seed makes them."""
        self.rows.reset()
        self._begin()
        self._first_rows()

    @property
    def schema(self) -> Schema:
        """The tables."""
        return self.rows.schema

    def now(self) -> datetime:
        """The server's time, in UTC."""
        return self._clock().astimezone(UTC)

    def now_text(self) -> str:
        """The server's time in storage form."""
        return moment_text(self.now())

    def new_id(self) -> str:
        """A fresh random id."""
        return _uuid(self.random)

    def permission(self, table: Table) -> Permission:
        """What the application user may do with that table."""
        return self.permissions.get(table.name) or Permission()

    def tokens_expired_below(self, table: Table) -> int:
        """The lowest version a delta token of that table may carry."""
        return max(self.token_floor, self.token_floors.get(table.name, 0))

    def expire_tokens(self, table: Table | None = None) -> None:
        """Makes all delta tokens given so far expired, for one table or for all."""
        floor = self.rows.next_version()
        if table is None:
            self.token_floor = floor
        else:
            self.token_floors[table.name] = floor

    def schema_changed(self, table: Table) -> None:
        """Notes a schema change: stored at once, visible as a new metadata version."""
        table.revision += 1
        self.schema.version += 1
        self.rows.widen(table)
        self.rows.save_schema()
        if self.settings.expire_on_schema_change:
            self.expire_tokens(table)

    def put(self, name: str, row_id: str, values: dict[str, Any]) -> None:
        """Stores a row by column names without validation: for the rows an environment is born with."""
        table = self.schema.table(name)
        stored: list[Any] = [None] * table.width
        for column in table.columns.values():
            stored[column.ordinal] = values.get(column.name, column.default)
        moment = self.now_text()
        if "createdon" in table.columns:
            stored[table.columns["createdon"].ordinal] = moment
        self.rows.put_many(table, [(row_id, moment, stored)])

    def _first_rows(self) -> None:
        unit, user, human = self.business_unit_id, self.application_user_id, self.human_user_id
        self.put("businessunit", unit, {"name": "sandbox"})
        self.put("transactioncurrency", self.currency_id, _DOLLAR)
        self.put(
            "organization",
            self.organization_id,
            {
                "name": "sandbox",
                "expirechangetrackingindays": self.settings.expire_change_tracking_days,
                "expiresubscriptionsindays": 90,
                "languagecode": 1033,
                "maxuploadfilesize": 131072000,
            },
        )
        self.put(
            "systemuser", user, {"fullname": "# Syncline", "applicationid": self.client_id, "businessunitid": unit}
        )
        self.put("systemuser", human, {"fullname": "Alex Example", "businessunitid": unit})
        for name, message in self.message_ids.items():
            self.put("sdkmessage", message, {"name": name})
        for table in self.schema:
            self.announce_bulk_messages(table)

    def announce_bulk_messages(self, table: Table) -> None:
        """Lists the bulk messages of a table among the message filters, if it supports them."""
        for message in self.message_ids.values() if table.bulk else ():
            filter_id = str(uuid.uuid5(uuid.UUID(message), table.name))
            self.put("sdkmessagefilter", filter_id, {"primaryobjecttypecode": table.name, "sdkmessageid": message})


_DOLLAR = {"currencyname": "US Dollar", "isocurrencycode": "USD", "currencysymbol": "$"}


def _uuid(source: random.Random) -> str:
    return str(uuid.UUID(int=source.getrandbits(128), version=4))
