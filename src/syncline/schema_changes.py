"""What changed between two looks at a table or resource, what each change means, and what can simply be learnt.

What lives here: the comparison of two table schemas by the fields a mapping uses. Pure: who looks, and when, is for
the workflow. The rule: a change that could make Syncline write something wrong, or refuse records that are in order,
stops the workflow; one that only adds something is learnt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum

from attrs import evolve, frozen

from syncline.schemas import FieldSchema, TableSchema

__all__ = ["ChangeEffect", "SchemaChange", "SchemaChangeKind", "SchemaSide", "compare_schemas", "key_gone", "learn"]


class SchemaSide(StrEnum):
    """Which system a change was made in."""

    DYNAMICS = "Dynamics 365"
    CAMPAIGN = "Campaign"


class SchemaChangeKind(StrEnum):
    """What happened."""

    TABLE_GONE = "table gone"
    #: Its primary key or its address is another one.
    TABLE_MOVED = "table moved"
    TRACKING_OFF = "change tracking off"
    #: The field that records are found by cannot serve as the key any more.
    KEY_GONE = "key gone"
    FIELD_GONE = "field gone"
    FIELD_ADDED = "field added"
    FIELD_RETYPED = "field retyped"
    #: It cannot be read, or written, any more.
    FIELD_CLOSED = "field closed"
    #: A lookup or link points to other tables.
    LINK_CHANGED = "link changed"
    LENGTH_CHANGED = "length changed"
    VALUE_ADDED = "value added"
    VALUE_GONE = "value gone"
    VALUE_RENAMED = "value renamed"


class ChangeEffect(StrEnum):
    """What a change means for a workflow that runs."""

    #: Nothing: the mapping does not use it.
    NONE = "no effect"
    #: Taken up by itself, without a stop.
    LEARNT = "learnt by itself"
    #: The workflow stops with FAILED; cursor and backlog stay.
    STOPS = "stops the workflow"


@frozen(kw_only=True)
class SchemaChange:
    """One difference between the schema a workflow started with and the one of now."""

    side: SchemaSide
    table: str
    #: Empty for what concerns the whole table.
    field: str = ""
    kind: SchemaChangeKind
    effect: ChangeEffect
    #: What it was and what it is, in words; no record values.
    what: str
    #: What it means for the data, and what to do.
    meaning: str = ""

    @property
    def loses(self) -> bool:
        """Whether what was written is gone with it: what is published anew begins empty."""
        return self.side is SchemaSide.CAMPAIGN and self.effect is ChangeEffect.STOPS and self.kind in _LOSING

    @property
    def place(self) -> str:
        """The table, or table and field."""
        return f"{self.table}.{self.field}" if self.field else self.table

    def __str__(self) -> str:
        told = f"{self.side}: {self.place} {self.what} ({self.effect})"
        return f"{told}. {self.meaning}" if self.meaning else told


_LOSING = (
    SchemaChangeKind.TABLE_GONE,
    SchemaChangeKind.FIELD_GONE,
    SchemaChangeKind.FIELD_RETYPED,
    SchemaChangeKind.LINK_CHANGED,
)
_RESTORE = "Bring it back, or take it out of the mapping; then start again."
_AGAIN = "Check the mapping, then start again: what is queued is read anew where it has to be."


def compare_schemas(
    side: SchemaSide, before: TableSchema, now: TableSchema | None, used: Collection[str], *, labels: bool = False
) -> tuple[SchemaChange, ...]:
    """Every difference, those of the whole table first.

    `used` are the names, as they are read or written, of the fields that the mapping uses. `labels` says that it speaks
    labels instead of technical values.
    """
    return tuple(_Comparison(side=side, before=before, now=now, used=used, labels=labels).changes())


def key_gone(table: str, field: str, problem: str) -> SchemaChange:
    """The change that a failed look at the key stands for."""
    return SchemaChange(
        side=SchemaSide.CAMPAIGN,
        table=table,
        field=field,
        kind=SchemaChangeKind.KEY_GONE,
        effect=ChangeEffect.STOPS,
        what=f"cannot serve as the key any more: {problem}",
        meaning="Creates could make duplicates. Publish the key and its filter again, then start.",
    )


def learn(before: TableSchema, now: TableSchema) -> TableSchema:
    """The schema of now; labels of values that are gone stay known, since records may still hold them."""
    fields = {
        name: evolve(schema, options={**before.fields[name].options, **schema.options})
        if name in before.fields and schema.type is before.fields[name].type
        else schema
        for name, schema in now.fields.items()
    }
    return evolve(now, fields=fields)


@frozen(kw_only=True)
class _Comparison:
    side: SchemaSide
    before: TableSchema
    now: TableSchema | None
    used: Collection[str]
    labels: bool

    def changes(self) -> Iterator[SchemaChange]:
        if self.now is None:
            yield self._change(SchemaChangeKind.TABLE_GONE, ChangeEffect.STOPS, "is gone", _RESTORE)
            return
        yield from self._of_table(self.now)
        for name in sorted({*self.before.fields, *self.now.fields}):
            yield from self._of_field(name, self.before.fields.get(name), self.now.fields.get(name))

    def _change(
        self, kind: SchemaChangeKind, effect: ChangeEffect, what: str, meaning: str = "", field: str = ""
    ) -> SchemaChange:
        return SchemaChange(
            side=self.side, table=self.before.name, field=field, kind=kind, effect=effect, what=what, meaning=meaning
        )

    def _of_table(self, now: TableSchema) -> Iterator[SchemaChange]:
        for what, was, is_now in (
            ("address", self.before.path, now.path),
            ("primary key", self.before.primary_key, now.primary_key),
        ):
            if was != is_now:
                told = f"has another {what}: {is_now}, it was {was}"
                yield self._change(SchemaChangeKind.TABLE_MOVED, ChangeEffect.STOPS, told, _AGAIN)
        if self.before.change_tracking and now.change_tracking is False:
            remedy = "Turn it on again, then start: the full read that follows finds what was missed."
            yield self._change(
                SchemaChangeKind.TRACKING_OFF, ChangeEffect.STOPS, "has no change tracking any more", remedy
            )

    def _of_field(self, name: str, was: FieldSchema | None, now: FieldSchema | None) -> Iterator[SchemaChange]:
        if was is None or now is None:
            yield self._of_presence(name, was, now)
            return
        effect = ChangeEffect.STOPS if was.name in self.used else ChangeEffect.NONE
        if self._kind_of(was) != self._kind_of(now) or was.name != now.name:
            told = f"is {_type_of(now)} now, it was {_type_of(was)}"
            yield self._change(SchemaChangeKind.FIELD_RETYPED, effect, told, _used(effect, _AGAIN), name)
            return
        for verb, could, can in (("read", was.readable, now.readable), ("written", was.writable, now.writable)):
            matters = (verb == "written") is (self.side is SchemaSide.CAMPAIGN)
            if could and not can and matters:
                told = f"cannot be {verb} any more"
                yield self._change(SchemaChangeKind.FIELD_CLOSED, effect, told, _used(effect, _RESTORE), name)
        if set(was.targets) != set(now.targets):
            told = f"points to {_listed(now.targets)} now, it pointed to {_listed(was.targets)}"
            yield self._change(SchemaChangeKind.LINK_CHANGED, effect, told, _used(effect, _AGAIN), name)
        yield from self._of_values(name, was, now, used=effect is ChangeEffect.STOPS)

    def _kind_of(self, field: FieldSchema) -> tuple[object, ...]:
        """What a conversion depends on; of Campaign's numbers that is also how many bits they have."""
        native = _native(field) if self.side is SchemaSide.CAMPAIGN else ""
        return field.type, field.time_zone_independent, native

    def _of_presence(self, name: str, was: FieldSchema | None, now: FieldSchema | None) -> SchemaChange:
        if was is None:
            return self._change(
                SchemaChangeKind.FIELD_ADDED, ChangeEffect.LEARNT, "is new", "It can be mapped now.", name
            )
        used = was.name in self.used
        effect = ChangeEffect.STOPS if used else ChangeEffect.NONE
        return self._change(SchemaChangeKind.FIELD_GONE, effect, "is gone", self._renamed(was) if used else "", name)

    def _renamed(self, was: FieldSchema) -> str:
        """Metadata tells nothing of a new name; a new field of the same type is the best guess there is."""
        new = self.now.fields if self.now is not None else {}
        alike = sorted(name for name, field in new.items() if name not in self.before.fields and field.type is was.type)
        perhaps = f"Perhaps its name is {' or '.join(alike[:3])} now. " if alike else ""
        return f"{perhaps}{_RESTORE}"

    def _of_values(self, name: str, was: FieldSchema, now: FieldSchema, *, used: bool) -> Iterator[SchemaChange]:
        learnt = ChangeEffect.LEARNT if used else ChangeEffect.NONE
        if was.max_length != now.max_length:
            told = f"takes {now.max_length or 'any number of'} characters now, it took {was.max_length or 'any number'}"
            yield self._change(SchemaChangeKind.LENGTH_CHANGED, learnt, told, "", name)
        for value in sorted({*was.options, *now.options}):
            yield from self._of_value(name, value, was.options, now.options, learnt)

    def _of_value(
        self, name: str, value: str, was: Mapping[str, str], now: Mapping[str, str], learnt: ChangeEffect
    ) -> Iterator[SchemaChange]:
        if value not in was:
            yield self._change(SchemaChangeKind.VALUE_ADDED, learnt, f"has a new value {value}", "", name)
        elif value not in now:
            if not was[value]:
                return  # it was never described: a record held it
            in_target = self.side is SchemaSide.CAMPAIGN and learnt is ChangeEffect.LEARNT
            meaning = (
                "Campaign would refuse the records that are to have it. Bring it back, or replace it by another one."
                if in_target
                else "Records that hold it keep the label it had."
            )
            effect = ChangeEffect.STOPS if in_target else learnt
            yield self._change(SchemaChangeKind.VALUE_GONE, effect, f"has no value {value} any more", meaning, name)
        elif was[value] != now[value]:
            meaning = "A replay of the table brings it to records written already." if self.labels else ""
            yield self._change(
                SchemaChangeKind.VALUE_RENAMED, learnt, f"has another label for its value {value}", meaning, name
            )


def _native(field: FieldSchema) -> str:
    return field.native_type.partition(" (")[0]


def _type_of(field: FieldSchema) -> str:
    """The type in words."""
    native = _native(field)
    known = f"{field.type} ({native})" if native and native.lower() != field.type else str(field.type)
    return f"{known} without a time zone" if field.time_zone_independent else known


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _used(effect: ChangeEffect, meaning: str) -> str:
    return meaning if effect is ChangeEffect.STOPS else ""
