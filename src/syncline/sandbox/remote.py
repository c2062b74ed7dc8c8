"""The control objects: what a test can do to a running sandbox, as methods, over plain `http.client`.

What never lives here: anything that needs the servers' own packages; a host can control a sandbox of another process.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .chunks import chunked
from .log_exports import ExportedLogs, export_logs

__all__ = ["CampaignControl", "DynamicsControl", "SandboxCommandError", "SystemControl"]

_HEADER = "X-Sandbox-Control"
_TIMEOUT = 600
_CHUNK = 5_000
_PAGE = 20_000


class SandboxCommandError(Exception):
    """The sandbox refused a control command; the message says why."""


class SystemControl:
    """Commands every system has. Any further command of the system is a method of the same name, or `call`."""

    def __init__(self, url: str, system: str, token: str) -> None:
        self._address = urlsplit(url).netloc
        self._system = system
        self._token = token

    def __repr__(self) -> str:
        return f"<control of {self._system} at {self._address}>"

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Run a command. SandboxCommandError if the sandbox refuses it."""
        connection = HTTPConnection(self._address, timeout=_TIMEOUT)
        try:
            body = json.dumps(arguments)
            headers = {_HEADER: self._token, "Content-Type": "application/json"}
            connection.request("POST", f"/_control/{self._system}/{command}", body, headers)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise SandboxCommandError(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def __getattr__(self, command: str) -> Callable[..., dict[str, Any]]:
        if command.startswith("_"):
            raise AttributeError(command)
        return lambda **arguments: self.call(command, **arguments)

    def add_fault(self, action: str, **rule: Any) -> str:
        """Add a fault; returns its name. A rule has `method`, `path` (regular expression), `count`, `skip`,
        `probability`; everything else is an option of the action, see `syncline.sandbox.faults`."""
        return str(self.call("add_fault", action=action, **rule)["name"])

    def clear_faults(self, name: str = "") -> int:
        """Remove one fault, or all; returns how many went."""
        return int(self.call("clear_faults", name=name)["removed"])

    def requests(self) -> dict[str, Any]:
        """What arrived: `total`, `counts` by `METHOD /path/{PKey}`, `statuses`, `throttled`, `early` (requests inside a
        Retry-After window), `early_after_ms`, and `kept` requests."""
        return self.call("requests")

    def keep_requests(self, last: int) -> None:
        """Keep the last requests with their bodies (credentials left out); 0 keeps none."""
        self.call("keep_requests", last=last)

    def clear_requests(self) -> None:
        """Forget what arrived, and every Retry-After that was given."""
        self.call("clear_requests")

    def shift_clock(self, seconds: float) -> float:
        """Move this system's clock; returns the whole offset in seconds."""
        return float(self.call("shift_clock", seconds=seconds)["offset"])

    def freeze_clock(self, frozen: bool = True) -> str:
        """Make this system's clock stand still, or go on; returns its time."""
        return str(self.call("freeze_clock", frozen=frozen)["now"])


class DynamicsControl(SystemControl):
    """Commands of the Dynamics half. Rows are objects with logical column names; ids are GUIDs as text."""

    def load(self, table: str, rows: Iterable[dict[str, Any]]) -> int:
        """Upsert many rows by primary key, as another user, without a request. Returns how many."""
        loaded = 0
        for chunk in chunked(rows, _CHUNK):
            loaded += int(self.call("load", table=table, rows=chunk)["loaded"])
        return loaded

    def rows(self, table: str, columns: list[str] | None = None, *, page: int = _PAGE) -> Iterator[dict[str, Any]]:
        """All rows by id, as they show on the wire, read `page` at a time."""
        after: str | None = None
        while True:
            answer = self.call("rows", table=table, columns=columns, after=after, limit=page)
            yield from answer["rows"]
            after = answer["next"]
            if after is None:
                return

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.call("count", table=table)["count"])

    def update(self, table: str, key: str, **values: Any) -> int:
        """Change a row as another user would; returns the environment's version after it."""
        return int(self.call("update", table=table, id=key, values=values)["version"])

    def delete(self, table: str, key: str) -> bool:
        """Delete a row; returns whether there was one."""
        return bool(self.call("delete", table=table, id=key)["deleted"])

    def merge_contacts(self, survivor: str, loser: str) -> None:
        """Merge two contacts: the loser stays, inactive, and names its master."""
        self.call("merge_contacts", survivor=survivor, loser=loser)

    def set(self, **settings: Any) -> dict[str, Any]:
        """Change settings; returns all."""
        return self.call("set", **settings)

    def expire_tokens(self, table: str | None = None) -> None:
        """Make every delta token given so far expired, of one table or of all."""
        self.call("expire_tokens", table=table)

    def expire_access_tokens(self) -> None:
        """Make every access token given so far worthless."""
        self.call("expire_access_tokens")

    def issue_rejects(self, key: str, message: str | None = "The plug-in refused this record.") -> None:
        """Let a plug-in refuse every write of that row from now on; a null message lifts it."""
        self.call("issue_rejects", id=key, message=message)

    def counters(self, *, clear: bool = False) -> dict[str, Any]:
        """The system's own count of requests by kind, and since when."""
        return self.call("system.requests", clear=clear)

    def tables(self) -> dict[str, Any]:
        """All tables with set name, columns, keys and change tracking."""
        found: dict[str, Any] = self.call("tables")["tables"]
        return found

    def add_table(self, name: str, columns: list[dict[str, Any]], **more: Any) -> None:
        """Add a custom table; each column is `{name, type, ...}`; `activity`, `bulk` and others as options."""
        self.call("add_table", name=name, columns=columns, **more)

    def drop_table(self, table: str) -> None:
        """Remove a table and its rows."""
        self.call("drop_table", table=table)

    def add_column(self, table: str, name: str, kind: str, **facets: Any) -> None:
        """Add a column; rows that exist have no value in it."""
        self.call("add_column", table=table, name=name, type=kind, **facets)

    def drop_column(self, table: str, name: str) -> None:
        """Remove a column, and the keys that use it."""
        self.call("drop_column", table=table, name=name)

    def rename_column(self, table: str, name: str, to: str) -> None:
        """Give a column another logical name; its values stay."""
        self.call("rename_column", table=table, name=name, to=to)

    def retype_column(self, table: str, name: str, kind: str, **facets: Any) -> None:
        """Make a column of another type in its place; values that do not fit become null."""
        self.call("retype_column", table=table, name=name, type=kind, **facets)

    def add_option(self, table: str, column: str, value: int, label: str) -> None:
        """Add a choice to a choice column."""
        self.call("add_option", table=table, column=column, value=value, label=label)

    def add_key(self, table: str, name: str, columns: list[str]) -> str:
        """Add an alternate key; returns its status, `Failed` when rows already share a value."""
        return str(self.call("add_key", table=table, name=name, columns=columns)["status"])

    def drop_key(self, table: str, name: str) -> None:
        """Remove an alternate key."""
        self.call("drop_key", table=table, name=name)

    def set_change_tracking(self, table: str, on: bool) -> None:
        """Switch change tracking; switching it off makes the table's delta tokens expired."""
        self.call("set_change_tracking", table=table, on=on)

    def set_permissions(self, table: str, **permissions: Any) -> None:
        """What the application user may do: `read` is organization, basic or none; `create`, `write`, `delete`."""
        self.call("set_permissions", table=table, **permissions)

    def reset(self) -> None:
        """Make the environment new again; credentials stay."""
        self.call("reset")


class CampaignControl(SystemControl):
    """Commands of the Campaign half. Rows are objects with wire names; `key` is the identification key's value."""

    def load(self, resource: str, rows: Iterable[dict[str, Any]]) -> int:
        """Insert many records without engine calls; keys are not checked. Returns how many."""
        loaded = 0
        for chunk in chunked(rows, _CHUNK):
            loaded += int(self.call("load", resource=resource, rows=chunk)["loaded"])
        return loaded

    def rows(self, resource: str, fields: list[str] | None = None, *, page: int = _PAGE) -> Iterator[dict[str, Any]]:
        """All records in order of creation, read `page` at a time; a link shows the linked record's key."""
        after = 0
        while True:
            answer = self.call("rows", resource=resource, fields=fields, after=after, limit=page)
            yield from answer["rows"]
            after = answer["after"]
            if not after:
                return

    def get(self, resource: str, key: Any) -> dict[str, Any] | None:
        """One record by key, hidden or not."""
        found: dict[str, Any] | None = self.call("get", resource=resource, key=key)["row"]
        return found

    def count(self, resource: str) -> int:
        """How many records there are, hidden ones included."""
        return int(self.call("count", resource=resource)["count"])

    def update(self, resource: str, key: Any, **values: Any) -> bool:
        """Change a record as a person in the user interface would; returns whether anything differs now."""
        return bool(self.call("update", resource=resource, key=key, values=values)["changed"])

    def update_many(self, resource: str, changes: dict[str, dict[str, Any]]) -> int:
        """`update` for many records at once, by key; those that are not there are left out. How many changed."""
        return int(self.call("update_many", resource=resource, changes=changes)["changed"])

    def delete(self, resource: str, key: Any) -> None:
        """Delete a record."""
        self.call("delete", resource=resource, key=key)

    def clear(self, resource: str) -> None:
        """Delete all records of a resource."""
        self.call("clear", resource=resource)

    def export_opt_outs(self, path: str, *, since: str = "") -> int:
        """Write a file as a workflow of the customer's would: opt-outs of profiles changed at `since` or later.

        The file has the profile's `externalId`, each opt-out field, and the time of its last change where it has one.
        Returns how many profiles are in it.
        """
        names = ["externalId", "lastModified"]
        fields = self.call("resources")["resources"]["profile"]["fields"]
        names += [name for name in fields if name.startswith(("blackList", "ccpaOptOut"))]
        rows = [row for row in self.rows("profile", names) if row["lastModified"] >= since]
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [name for name in names if name != "lastModified"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return len(rows)

    def duplicates(self, resource: str, field: str) -> dict[Any, int]:
        """Values that several records share, with how many share them."""
        return dict(self.call("duplicates", resource=resource, field=field)["duplicates"])

    def export_logs(
        self,
        folder: str | Path,
        *,
        people: Sequence[str] | None = None,
        deliveries: int = 1,
        seed: int = 1,
        rows_per_file: int = 1_000,
        compress: bool = False,
    ) -> ExportedLogs:
        """Write exports of delivery and tracking logs into a folder, as a Campaign workflow would.

        Everybody with an `externalId` gets each delivery, or the `people` that are given. Some messages bounce, some
        are opened and clicked; the answer tells of each kind which. The same for the same seed.
        """
        loaded = (row["externalId"] for row in self.rows("profile", ["externalId"])) if people is None else people
        wanted = [person for person in loaded if person]
        return export_logs(
            Path(folder), wanted, deliveries=deliveries, seed=seed, rows_per_file=rows_per_file, compress=compress
        )

    def engine_calls(self) -> dict[str, int]:
        """`total` = POST + PATCH + DELETE + GET; and `GET record`, `GET by filter`, `GET list`, `metadata`, `token`."""
        return self.call("engine_calls")

    def reset_counters(self) -> None:
        """Set all counters to zero."""
        self.call("reset_counters")

    def refuse(self, resource: str, key: Any, text: str = "") -> None:
        """Refuse every write of this record, with this text, until `accept`."""
        self.call("refuse", resource=resource, key=key, text=text)

    def accept(self, resource: str, key: Any = None) -> None:
        """Take one refusal back, or all of the resource."""
        self.call("accept", resource=resource, key=key)

    def set(self, **settings: Any) -> dict[str, Any]:
        """Change settings (see `syncline.sandbox.campaign.settings`); returns all."""
        return self.call("set", **settings)

    def revoke_tokens(self) -> int:
        """Make every token given so far invalid; returns how many."""
        return int(self.call("revoke_tokens")["revoked"])

    def reset(self) -> None:
        """Standard resources, no records, default settings, counters at zero."""
        self.call("reset")

    def resources(self) -> dict[str, Any]:
        """Every resource with its exposure, key, fields and filters."""
        found: dict[str, Any] = self.call("resources")["resources"]
        return found

    def add_resource(self, name: str, fields: list[dict[str, Any]], **more: Any) -> None:
        """Add a custom resource; `exposure` is `ext` or `custom`, `key` its identification key, `filtered` or not."""
        self.call("add_resource", name=name, fields=fields, **more)

    def drop_resource(self, resource: str) -> None:
        """Unpublish a custom resource with its records and the links to it; not one that is out of the box."""
        self.call("drop_resource", resource=resource)

    def add_field(self, resource: str, name: str, kind: str, **more: Any) -> None:
        """Publish one more field."""
        self.call("add_field", resource=resource, name=name, kind=kind, **more)

    def drop_field(self, resource: str, field: str) -> None:
        """Unpublish a field; its values are gone."""
        self.call("drop_field", resource=resource, field=field)

    def set_link(self, resource: str, link: str, *, mandatory: bool) -> None:
        """Make a link mandatory (a record without its target is hidden) or not."""
        self.call("set_link", resource=resource, link=link, mandatory=mandatory)

    def add_key(self, resource: str, field: str, *, filtered: bool = True) -> None:
        """Declare an identification key and its filter."""
        self.call("add_key", resource=resource, field=field, filtered=filtered)

    def drop_key(self, resource: str, *, filtered: bool = False) -> None:
        """Take the identification key away; the filter stays if `filtered`."""
        self.call("drop_key", resource=resource, filtered=filtered)
