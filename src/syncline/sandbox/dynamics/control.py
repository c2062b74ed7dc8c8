"""The control commands: what a test or a notebook does to the environment behind the wire.

Lives here: commands and their arguments. Never here: HTTP; the frame brings arguments in and answers out as JSON.
"""

# ruff: noqa: A002 - the arguments are named as the commands' JSON names them
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs

from .answers import DataverseError, unmarked
from .column_kinds import TYPES, activity_table, user_owned_table
from .environment import Environment, Permission, Settings
from .projection import Annotations, project
from .row_plan import plan_of
from .tables import Column, Key, Option, Table
from .values import coercer, guid_or_none

__all__ = ["Control", "ControlError"]

Arguments = dict[str, Any]


class ControlError(ValueError):
    """A command is unknown or its arguments do not fit; the message says which."""


class Control:
    """Runs commands. Every command takes a dictionary and returns one; failures raise ControlError."""

    def __init__(self, environment: Environment, requests: Counter[str], forget: Callable[[], None]) -> None:
        self._environment = environment
        self._requests = requests
        self._forget = forget
        self._since = environment.now_text()
        self._commands: dict[str, Callable[..., Arguments]] = {
            "add_column": self.add_column,
            "add_key": self.add_key,
            "add_option": self.add_option,
            "add_table": self.add_table,
            "count": self.count,
            "credentials": self.credentials,
            "delete": self.delete,
            "drop_column": self.drop_column,
            "drop_key": self.drop_key,
            "drop_table": self.drop_table,
            "expire_access_tokens": self.expire_access_tokens,
            "expire_tokens": self.expire_tokens,
            "issue_rejects": self.issue_rejects,
            "load": self.load,
            "merge_contacts": self.merge_contacts,
            "rename_column": self.rename_column,
            "request_kinds": self.requests,
            "requests": self.requests,
            "reset": self.reset,
            "retype_column": self.retype_column,
            "rows": self.rows,
            "set": self.set,
            "set_change_tracking": self.set_change_tracking,
            "set_permissions": self.set_permissions,
            "settings": self.settings,
            "tables": self.tables,
            "update": self.update,
        }

    def __repr__(self) -> str:
        return f"Control({len(self._commands)} commands)"

    def run(self, command: str, arguments: Arguments) -> Arguments:
        """Runs one command. Raises ControlError."""
        method = self._commands.get(command)
        if method is None:
            raise ControlError(f"unknown command {command!r}; there are: {', '.join(self._commands)}")
        try:
            return method(**arguments)
        except TypeError as error:
            raise ControlError(f"{command}: {error}") from error
        except KeyError as error:
            raise ControlError(f"{command}: there is no {error.args[0]!r}") from error

    def _table(self, name: str) -> Table:
        table = self._environment.schema.find(name)
        if table is None:
            raise ControlError(f"there is no table {name!r}")
        return table

    def _id(self, text: str) -> str:
        row_id = guid_or_none(text)
        if row_id is None:
            raise ControlError(f"not an id: {text!r}")
        return row_id

    # -- rows -----------------------------------------------------------------------------------------------------

    def load(self, table: str, rows: list[dict[str, Any]]) -> Arguments:
        """Upserts many rows by primary key, without the validation of names a request may write, as another user."""
        target, environment = self._table(table), self._environment
        plan = plan_of(target)
        keys = [plan.key(row) or environment.new_id() for row in rows]
        known = environment.rows.existing(target, keys)
        now = environment.now_text()
        template = self._template(target, now)
        fresh: dict[str, tuple[str, str, list[Any]]] = {}
        known_before: dict[str, tuple[str, str, list[Any]]] = {}
        for key, given in zip(keys, rows, strict=True):
            old = known.get(key) or fresh.get(key)
            values = template.copy() if old is None else old[-1]
            plan.fill(values, given)
            plan.compute(values)
            entry = (key, given.get("modifiedon") or now, values)
            (known_before if key in known else fresh)[key] = entry
        with environment.rows.together():
            environment.rows.add_many(target, list(fresh.values()))
            environment.rows.put_many(target, known_before.values())
        return {"loaded": len(rows), "version": environment.rows.version}

    def _template(self, table: Table, now: str) -> list[Any]:
        """A row as it begins: defaults, and what the system fills in."""
        values = plan_of(table).template.copy()
        human = self._environment.human_user_id
        born = {"createdon": now, "ownerid": human, "createdby": human, "modifiedby": human}
        born["owningbusinessunit"] = self._environment.business_unit_id
        born["transactioncurrencyid"] = self._environment.currency_id
        for name, value in born.items():
            if name in table.columns:
                values[table.columns[name].ordinal] = value
        if "ownerid" in table.columns:
            values[table.columns["ownerid"].ordinal + 1] = "systemuser"
        return values

    def update(self, table: str, id: str, values: dict[str, Any]) -> Arguments:
        """Changes one existing row, as another user would. `modifiedon` may be given, else it is now."""
        target, row_id = self._table(table), self._id(id)
        row = self._environment.rows.get(target, row_id)
        if row is None:
            raise ControlError(f"{table} has no row {row_id}")
        plan = plan_of(target)
        stored = row.values.copy()
        if "modifiedby" in target.columns:
            stored[target.columns["modifiedby"].ordinal] = self._environment.human_user_id
        plan.fill(stored, values)
        plan.compute(stored)
        modified = values.get("modifiedon") or self._environment.now_text()
        return {"version": self._environment.rows.replace(target, row_id, stored, modified)}

    def delete(self, table: str, id: str) -> Arguments:
        """Deletes one row; `deleted` says whether there was one."""
        gone = self._environment.rows.delete(self._table(table), self._id(id), self._environment.now_text())
        return {"deleted": gone}

    def rows(
        self, table: str, columns: list[str] | None = None, after: str | None = None, limit: int = 1000
    ) -> Arguments:
        """Rows by id, as they show on the wire (decimals as text); `next` is the `after` of the following call."""
        target, environment = self._table(table), self._environment
        show = project(target, columns, Annotations(), environment.rows)
        found = environment.rows.page_by_id(target, self._id(after) if after else "", limit)
        shown = [_plain(show(row)) for row in found]
        return {"rows": shown, "next": found[-1].id if len(found) == limit else None}

    def count(self, table: str) -> Arguments:
        """How many rows a table has."""
        return {"count": self._environment.rows.count(self._table(table))}

    def merge_contacts(self, survivor: str, loser: str) -> Arguments:
        """Merges two contacts: the loser stays, inactive, and names its master; what pointed to it points on."""
        environment, table = self._environment, self._table("contact")
        keep, lose = self._id(survivor), self._id(loser)
        now = environment.now_text()
        with environment.rows.together():
            for relation in environment.schema.relationships(referenced="contact"):
                if relation.column != "masterid":
                    self._repoint(relation.referencing, relation.column, lose, keep)
            self.update("contact", keep, {"modifiedon": now})
            merged = {"merged": True, "masterid": keep, "statecode": 1, "statuscode": 2}
            self.update(table.name, lose, merged)
        return {"version": environment.rows.version}

    def _repoint(self, table: str, column: str, old: str, new: str) -> None:
        target = self._table(table)
        for row in self._environment.rows.related(target, column, old):
            row.values[target.columns[column].ordinal] = new
            self._environment.rows.replace(target, row.id, row.values, self._environment.now_text())

    def issue_rejects(self, id: str, message: str | None = "The plug-in refused this record.") -> Arguments:
        """From now on a plug-in refuses every write of that row (0x80040265); a null message lifts it."""
        if message is None:
            self._environment.rejects.pop(self._id(id), None)
        else:
            self._environment.rejects[self._id(id)] = message
        return {"rejected": len(self._environment.rejects)}

    # -- tokens, settings, counts ---------------------------------------------------------------------------------

    def expire_tokens(self, table: str | None = None) -> Arguments:
        """Makes every delta token given so far expired."""
        self._environment.expire_tokens(self._table(table) if table else None)
        return {"version": self._environment.rows.version}

    def expire_access_tokens(self) -> Arguments:
        """Makes every access token given so far worthless."""
        self._forget()
        return {}

    def credentials(self) -> Arguments:
        """Tenant, application and secret that the token endpoint accepts, and the two users' ids."""
        environment = self._environment
        return {
            "tenant_id": environment.tenant_id,
            "client_id": environment.client_id,
            "client_secret": environment.client_secret,
            "application_user_id": environment.application_user_id,
            "human_user_id": environment.human_user_id,
            "organization_id": environment.organization_id,
        }

    def set(self, **settings: Any) -> Arguments:
        """Changes settings by name."""
        known = attrs.fields_dict(Settings)
        unknown = sorted(settings.keys() - known.keys())
        if unknown:
            raise ControlError(f"unknown settings {unknown}; there are: {', '.join(known)}")
        for name, value in settings.items():
            setattr(self._environment.settings, name, value)
        if "expire_change_tracking_days" in settings:
            days = settings["expire_change_tracking_days"]
            self.update("organization", self._environment.organization_id, {"expirechangetrackingindays": days})
        return self.settings()

    def settings(self) -> Arguments:
        """All settings."""
        return attrs.asdict(self._environment.settings)

    def requests(self, clear: bool = False) -> Arguments:
        """How many requests came, by kind, since when; `clear` starts over after the answer."""
        answer = {"since": self._since, "requests": dict(self._requests), "total": sum(self._requests.values())}
        if clear:
            self._requests.clear()
            self._since = self._environment.now_text()
        return answer

    def set_permissions(
        self,
        table: str,
        read: str = "organization",
        create: bool = True,
        write: bool = True,
        delete: bool = True,
    ) -> Arguments:
        """What the application user may do with a table; `read` is organization, basic or none."""
        if read not in {"organization", "basic", "none"}:
            raise ControlError("read is one of organization, basic, none")
        name = self._table(table).name
        self._environment.permissions[name] = Permission(read=read, create=create, write=write, delete=delete)
        return {}

    def reset(self) -> Arguments:
        """Makes the environment new again; credentials stay."""
        self._environment.reset()
        self._requests.clear()
        self._forget()
        self._since = self._environment.now_text()
        return {}

    # -- schema ---------------------------------------------------------------------------------------------------

    def tables(self) -> Arguments:
        """Names, set names and columns of all tables."""
        return {
            "tables": {
                table.name: {
                    "entity_set": table.entity_set,
                    "columns": list(table.columns),
                    "keys": {key.name: list(key.columns) for key in table.keys.values()},
                    "change_tracking": table.change_tracking,
                }
                for table in self._environment.schema
            }
        }

    def add_table(
        self,
        name: str,
        entity_set: str | None = None,
        columns: list[dict[str, Any]] | None = None,
        activity: bool = False,
        change_tracking: bool = True,
        display_name: str | None = None,
        bulk: bool = True,
    ) -> Arguments:
        """Adds a custom table; `columns` are arguments of `add_column`. Activities get the activity columns.

        Without `bulk` it takes no bulk messages.
        """
        make = activity_table if activity else user_owned_table
        code = 10500 + sum(1 for _ in self._environment.schema)
        prefix = name.split("_", 1)[0]
        more: dict[str, Any] = {} if activity else {"primary_name": f"{prefix}_name"}
        own = [self._column(**entry) for entry in columns or []]
        if not activity and all(column.name != f"{prefix}_name" for column in own):
            own.insert(0, self._column(name=f"{prefix}_name", type="String"))
        table = make(
            name,
            entity_set or f"{name}s",
            code,
            own,
            custom=True,
            change_tracking=change_tracking,
            display_name=display_name or name,
            bulk=bulk,
            **more,
        )
        self._environment.schema.add(table)
        self._environment.rows.create_table(table)
        self._environment.announce_bulk_messages(table)
        self._environment.schema_changed(table)
        return {"table": name, "entity_set": table.entity_set}

    def drop_table(self, table: str) -> Arguments:
        """Removes a table and its rows."""
        gone = self._environment.schema.remove(self._table(table).name)
        self._environment.rows.drop_table(gone)
        self._environment.rows.save_schema()
        return {}

    def _column(self, name: str, type: str, **facets: Any) -> Column:
        if type not in TYPES:
            raise ControlError(f"unknown type {type!r}; there are: {', '.join(TYPES)}")
        merged = {**TYPES[type], **facets}
        options = [
            Option(**option) if isinstance(option, dict) else Option(value=option[0], label=option[1])
            for option in merged.pop("options", [])
        ]
        if type == "Boolean" and not options:
            options = [Option(value=0, label="No"), Option(value=1, label="Yes")]
        targets = tuple(merged.pop("targets", ()))
        return Column(name=name, type=type, options=options, targets=targets, **{"custom": True, **merged})

    def add_column(self, table: str, name: str, type: str, **facets: Any) -> Arguments:
        """Adds a column (`max_length`, `options`, `targets` ...); rows that exist have no value in it."""
        target = self._table(table)
        target.add(self._column(name, type, **facets))
        self._environment.schema_changed(target)
        return {"column": name}

    def drop_column(self, table: str, name: str) -> Arguments:
        """Removes a column, and the keys that use it."""
        target = self._table(table)
        for key in [key for key in target.keys.values() if name in key.columns]:
            self.drop_key(table, key.name)
        target.drop(name)
        self._environment.schema_changed(target)
        return {}

    def rename_column(self, table: str, name: str, to: str) -> Arguments:
        """Gives a column another logical name; its values stay."""
        target = self._table(table)
        column = target.columns[name]
        if to in target.columns:
            raise ControlError(f"{table} already has a column {to!r}")
        renamed = attrs.evolve(column, name=to, schema_name=to)
        target.columns = {
            renamed.name if key == name else key: renamed if key == name else value
            for key, value in target.columns.items()
        }
        self._environment.schema_changed(target)
        return {}

    def retype_column(self, table: str, name: str, type: str, **facets: Any) -> Arguments:
        """Deletes a column and makes another of that name; values that fit the new type stay, others become null."""
        target = self._table(table)
        old = target.columns[name]
        column = self._column(name, type, schema_name=old.schema_name, custom=old.custom, **facets)
        if column.is_polymorphic:
            raise ControlError("a column cannot become a lookup to several tables")
        column.ordinal = old.ordinal
        target.columns[name] = column
        convert = coercer(target, column)
        self._environment.rows.rewrite(target, column.ordinal, lambda value: _fitting(convert, value))
        self._environment.schema_changed(target)
        return {}

    def add_option(self, table: str, column: str, value: int, label: str, state: int | None = None) -> Arguments:
        """Adds a choice to a choice column."""
        target = self._table(table)
        target.columns[column].options.append(Option(value=value, label=label, state=state))
        self._environment.schema_changed(target)
        return {}

    def set_change_tracking(self, table: str, on: bool) -> Arguments:
        """Switches change tracking of a table; switching it off makes its delta tokens expired."""
        target = self._table(table)
        if on and not target.can_track:
            raise ControlError(f"change tracking cannot be enabled for {table}")
        target.change_tracking = on
        if not on:
            self._environment.expire_tokens(target)
        self._environment.schema_changed(target)
        return {}

    def add_key(self, table: str, name: str, columns: list[str]) -> Arguments:
        """Adds an alternate key; its status is `Failed` when rows already share a value."""
        target = self._table(table)
        missing = [column for column in columns if column not in target.columns]
        if missing or not columns:
            raise ControlError(f"{table} has no columns {missing}")
        key = Key(name=name, columns=tuple(columns))
        self._environment.rows.create_key(target, key)
        target.keys[name] = key
        self._environment.schema_changed(target)
        return {"status": key.status}

    def drop_key(self, table: str, name: str) -> Arguments:
        """Removes an alternate key."""
        target = self._table(table)
        self._environment.rows.drop_key(target, target.keys.pop(name))
        self._environment.schema_changed(target)
        return {}


def _fitting(convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return None if value is None else convert(value)
    except DataverseError:
        return None


def _plain(shown: dict[str, Any]) -> dict[str, Any]:
    """A row without its etag and with decimals as text."""
    return {name: unmarked(value) for name, value in shown.items() if name != "@odata.etag"}
