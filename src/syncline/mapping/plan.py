"""Compiling a mapping: every name looked up, every converter and filter built, once per generation.

What lives here: `TablePlan` and `compile_plan`. What a plan is used for is in `syncline.mapping.decision`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, tzinfo
from hashlib import sha256
from typing import Any

from attrs import field, frozen

from syncline.conversions.reading import UnfitError, form_of, literal
from syncline.conversions.writing import Converter, constant_value, converter
from syncline.definition_json import canonical_json
from syncline.definitions import IngressDefinition
from syncline.errors import DefinitionError
from syncline.filters import RecordTest, ValueTest, record_test, value_test
from syncline.mapping.links import LinkRule
from syncline.records import Value, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema, table_column
from syncline.table_mapping import FieldMapping, Link, LinkBy, TableMapping

__all__ = ["FieldRule", "FilterRule", "TablePlan", "compile_plan"]


@frozen(kw_only=True, eq=False)
class FieldRule:
    """One mapped field, ready to use."""

    mapping: FieldMapping
    column: str
    convert: Converter = field(repr=False)


@frozen(kw_only=True, eq=False)
class FilterRule:
    """One filter, ready to use. `name` is the Dynamics field as the filter names it."""

    name: str
    column: str
    test: ValueTest = field(repr=False)


@frozen(kw_only=True, eq=False)
class TablePlan:
    """A mapping that fits both schemas. Immutable; equal and hashed by identity; made by `compile_plan`."""

    mapping: TableMapping
    source: TableSchema
    target: TableSchema
    #: Every Dynamics column to read: mapped, filtered or replaced; sorted, without the primary key.
    columns: tuple[str, ...]
    #: The fields of either side that the rules rest on, by the names they are read and written by.
    source_fields: frozenset[str] = field(repr=False)
    target_fields: frozenset[str] = field(repr=False)
    #: Sixteen hex digits that change with the rules: the mapping, its settings and the schemas of the fields it uses.
    rules_hash: str
    #: Lookups that point to records of mapped tables, by target. Every change writes them, behind `always`.
    links: tuple[LinkRule, ...] = ()
    #: Rules of the fields that every change writes, by target.
    always: tuple[FieldRule, ...] = field(repr=False)
    #: Rules of the fields that only a first load or replay writes (`apply_updates` off), by target.
    once: tuple[FieldRule, ...] = field(repr=False)
    #: Column of Dynamics and opt-out field of Campaign. Profiles are created opted out; the consent rule does the rest.
    opt_outs: tuple[tuple[str, str], ...] = ()
    #: Campaign field to value, as Campaign is to hold it.
    constants: Values = field(repr=False)
    filters: tuple[FilterRule, ...] = field(repr=False)
    #: Whether a record passes the filters; None when there are none.
    passes: RecordTest | None = field(repr=False)
    #: Columns and converters of `always` and of `once`, in their order, for the one loop that has to be fast.
    always_steps: tuple[tuple[str, Converter], ...] = field(repr=False)
    once_steps: tuple[tuple[str, Converter], ...] = field(repr=False)
    #: Their Campaign fields, in the same order; the links' behind those of `always`.
    always_names: tuple[str, ...] = field(repr=False)
    once_names: tuple[str, ...] = field(repr=False)
    #: The same as text, in front of the values that a fingerprint is made of.
    always_mark: str = field(repr=False)
    once_mark: str = field(repr=False)
    #: Whether the primary key is among what is mapped or filtered.
    reads_key: bool

    @property
    def table(self) -> str:
        """The Dynamics table."""
        return self.mapping.table

    @property
    def fields_read(self) -> Iterator[tuple[str, str]]:
        """Name in the definition and column of everything that is read of a record."""
        yield from ((rule.name, rule.column) for rule in self.filters)
        yield from ((rule.mapping.source, rule.column) for rule in (*self.always, *self.once))
        yield from ((rule.link.source, column) for rule in self.links for column in rule.columns)
        yield from ((column, column) for column, _ in self.opt_outs)

    @property
    def resource(self) -> str:
        """The Campaign resource."""
        return self.mapping.resource

    def __repr__(self) -> str:
        return f"<TablePlan {self.table} -> {self.resource} reading {len(self.columns)} columns, {self.rules_hash}>"


def compile_plan(
    mapping: TableMapping, definition: IngressDefinition, source: TableSchema, target: TableSchema
) -> TablePlan:
    """Fit a mapping to the schemas of both sides.

    Raises DefinitionError that lists every field that does not exist, cannot be read or written, or can never hold
    what it is to hold, each with its path and, where one looks alike, the name that was probably meant.
    """
    return _Compiler(mapping=mapping, definition=definition, source=source, target=target).plan()


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # only definitions with another time zone than UTC need the database

    return ZoneInfo(name)


@frozen(kw_only=True)
class _Problem:
    path: str
    message: str
    remedy: str = ""


def _find(table: TableSchema, name: str) -> FieldSchema | None:
    """By logical name, or by the name the field is read by: a lookup `x` is read as `_x_value`."""
    found = table.fields.get(name)
    return found or next((one for one in table.fields.values() if one.name == name), None)


def _did_you_mean(table: TableSchema, name: str) -> str:
    from difflib import get_close_matches  # for people only

    known = {one.lower(): one for one in table.fields}
    close = get_close_matches(name.lower(), list(known), n=1)
    return f"Did you mean {known[close[0]]}?" if close else ""


@frozen(kw_only=True)
class _Compiler:
    """Walks a mapping once and notes every problem on the way."""

    mapping: TableMapping
    definition: IngressDefinition
    source: TableSchema
    target: TableSchema
    problems: list[_Problem] = field(factory=list)
    #: The schemas that the rules rest on, for their hash.
    used: dict[str, FieldSchema] = field(factory=dict)

    def plan(self) -> TablePlan:
        self._check_key()
        self._check_lengths()
        rules = self._fields()
        constants = self._constants()
        filters = tuple(self._filters())
        links = tuple(sorted(self._links(), key=lambda rule: rule.link.target))
        opt_outs = tuple(self._opt_outs())
        self._raise_problems()
        rules.sort(key=lambda rule: rule.mapping.target)
        always = tuple(rule for rule in rules if rule.mapping.apply_updates)
        once = tuple(rule for rule in rules if not rule.mapping.apply_updates)
        always_names = (*(rule.mapping.target for rule in always), *(rule.link.target for rule in links))
        once_names = tuple(rule.mapping.target for rule in once)
        columns = {rule.column for rule in rules} | {rule.column for rule in filters}
        columns |= {column for rule in links for column in rule.columns} | {column for column, _ in opt_outs}
        return TablePlan(
            mapping=self.mapping,
            source=self.source,
            target=self.target,
            columns=tuple(sorted(columns - {self.source.primary_key})),
            source_fields=self._names("source "),
            target_fields=self._names("target "),
            rules_hash=self._rules_hash(),
            links=links,
            opt_outs=opt_outs,
            always=always,
            once=once,
            always_steps=tuple((rule.column, rule.convert) for rule in always),
            once_steps=tuple((rule.column, rule.convert) for rule in once),
            always_names=always_names,
            once_names=once_names,
            always_mark=repr(always_names),
            once_mark=repr(once_names),
            constants=constants,
            filters=filters,
            passes=record_test(((rule.column, rule.test) for rule in filters), self.mapping.match),
            reads_key=self.source.primary_key in columns,
        )

    # -- problems -----------------------------------------------------------------------------------------------

    def _note(self, path: str, message: str, remedy: str = "") -> None:
        self.problems.append(_Problem(path=path, message=message, remedy=remedy))

    def _raise_problems(self) -> None:
        if not self.problems:
            return
        tables = self.definition.tables
        prefix = f"mappings[{tables.index(self.mapping.table)}]" if self.mapping.table in tables else ""
        first = self.problems[0]
        paths = [
            one.path if one.path.startswith("max_lengths") or not prefix else f"{prefix}.{one.path}"
            for one in self.problems
        ]
        if len(self.problems) == 1:
            raise DefinitionError(f"{first.message}.", path=paths[0], remedy=first.remedy)
        listed = "".join(
            f"\n  {path}: {one.message}. {one.remedy}".rstrip() for path, one in zip(paths, self.problems, strict=True)
        )
        raise DefinitionError(f"{len(paths)} things do not fit the tables:{listed}", path=prefix)

    def _source_field(self, name: str, path: str) -> FieldSchema | None:
        found = _find(self.source, name)
        if found is None:
            self._note(path, f"{self.source.name} has no field {name}", _did_you_mean(self.source, name))
        elif not found.readable:
            self._note(path, f"{self.source.name}.{name} cannot be read")
        else:
            self.used[f"source {name}"] = found
            return found
        return None

    def _target_field(self, name: str, path: str) -> FieldSchema | None:
        found = self.target.fields.get(name)
        if found is None:
            self._note(path, f"{self.target.name} has no field {name}", _did_you_mean(self.target, name))
        elif not found.writable:
            self._note(path, f"{self.target.name}.{name} is read-only")
        else:
            self.used[f"target {name}"] = found
            return found
        return None

    # -- parts --------------------------------------------------------------------------------------------------

    @property
    def _time_zone(self) -> tzinfo:
        return _zone(self.definition.time_zone)

    def _zone_of(self, schema: FieldSchema) -> tzinfo:
        """A value without a time zone is compared by its own digits."""
        return UTC if schema.time_zone_independent else self._time_zone

    def _length(self, target: str) -> int | None:
        return self.definition.max_lengths.get(f"{self.mapping.resource}.{target}")

    def _check_key(self) -> None:
        self._target_field(self.mapping.key, "key")

    def _check_lengths(self) -> None:
        for name in self.definition.max_lengths:
            resource, _, target = name.partition(".")
            if resource == self.mapping.resource and target not in self.target.fields:
                self._note(
                    f"max_lengths.{name}", f"{resource} has no field {target}", _did_you_mean(self.target, target)
                )

    def _fields(self) -> list[FieldRule]:
        rules = []
        for index, one in enumerate(self.mapping.fields):
            source = self._source_field(one.source, f"fields[{index}].source")
            target = self._target_field(one.target, f"fields[{index}].target")
            if source is None or target is None:
                continue
            replaced = self._replaced(one.source, source, target)
            try:
                convert = converter(
                    source,
                    target,
                    labels=self.mapping.labels,
                    zone=self._time_zone,
                    max_length=self._length(one.target),
                    replaced=replaced,
                )
            except UnfitError as error:
                self._note(f"fields[{index}].target", f"{self.target.name}.{one.target} {error}")
                continue
            rules.append(FieldRule(mapping=one, column=source.name, convert=convert))
        return rules

    def _replaced(self, name: str, source: FieldSchema, target: FieldSchema) -> Mapping[Any, Value]:
        replaced: dict[Any, Value] = {}
        for index, one in enumerate(self.mapping.replacements):
            if one.field != name:
                continue
            path = f"replacements[{index}]"
            if source.type is FieldType.MULTI_PICKLIST:
                self._note(f"{path}.field", f"{name} holds {form_of(source)}, which cannot be replaced")
                continue
            try:
                value = None if one.value is None else literal(one.value, source, self._zone_of(source))
            except UnfitError as error:
                self._note(f"{path}.value", f"{self.source.name}.{name} {error}")
                continue
            if value in replaced:
                self._note(f"{path}.value", f"another replacement of {name} stands for the same value")
            try:
                replaced[value] = constant_value(
                    one.replacement, target, zone=self._time_zone, max_length=self._length(target.name)
                )
            except UnfitError as error:
                self._note(f"{path}.replacement", f"{self.target.name}.{target.name} {error}")
        return replaced

    def _constants(self) -> dict[str, Value]:
        constants: dict[str, Value] = {}
        for name, value in self.mapping.constants.items():
            target = self._target_field(name, f"constants.{name}")
            if target is None:
                continue
            try:
                constants[name] = constant_value(value, target, zone=self._time_zone, max_length=self._length(name))
            except UnfitError as error:
                self._note(f"constants.{name}", f"{self.target.name}.{name} {error}")
        return constants

    def _filters(self) -> Iterator[FilterRule]:
        for index, one in enumerate(self.mapping.filters):
            source = self._source_field(one.field, f"filters[{index}].field")
            if source is None:
                continue
            try:
                test = value_test(one, source, self._time_zone)
            except UnfitError as error:
                self._note(f"filters[{index}]", f"{self.source.name}.{one.field} {error}")
                continue
            yield FilterRule(name=one.field, column=source.name, test=test)

    def _links(self) -> Iterator[LinkRule]:
        for index, one in enumerate(self.mapping.links):
            path = f"links[{index}]"
            source = self._source_field(one.source, f"{path}.source")
            target = self._target_field(one.target, f"{path}.target")
            if source is None or target is None or not self._points_there(one, source, path):
                continue
            convert = self._link_converter(one, source, target, f"{path}.target")
            if convert is None:
                continue
            parent = self.definition.mapping(one.table)
            yield LinkRule(
                link=one,
                column=source.name,
                table_column=table_column(source.name) if len(source.targets) > 1 else None,
                resource=parent.resource,
                key_field=parent.key,
                convert=convert,
            )

    def _opt_outs(self) -> Iterator[tuple[str, str]]:
        for index, one in enumerate(self.mapping.opt_outs):
            source = self._source_field(one.dynamics, f"opt_outs[{index}].dynamics")
            target = self._target_field(one.campaign, f"opt_outs[{index}].campaign")
            if source is not None and source.type is not FieldType.BOOLEAN:
                told = f"{self.source.name}.{one.dynamics} is no boolean but {source.type.value}"
                self._note(f"opt_outs[{index}].dynamics", told, "Choose a Yes/No column.")
            elif target is not None and target.type is not FieldType.BOOLEAN:
                told = f"{self.target.name}.{one.campaign} is no boolean but {target.type.value}"
                self._note(f"opt_outs[{index}].campaign", told, "Ask Adobe's support.")
            elif source is not None and target is not None:
                yield source.name, target.name

    def _points_there(self, link: Link, source: FieldSchema, path: str) -> bool:
        """Where metadata do not tell the tables a lookup points to, the definition is believed."""
        name = f"{self.source.name}.{link.source}"
        if source.type is not FieldType.LOOKUP:
            self._note(f"{path}.source", f"{name} is no lookup", "Map it as a plain field.")
        elif source.targets and link.table not in source.targets:
            self._note(f"{path}.table", f"{name} does not point to {link.table} but to {', '.join(source.targets)}")
        else:
            return True
        return False

    def _link_converter(self, link: Link, source: FieldSchema, target: FieldSchema, path: str) -> Converter | None:
        name = f"{self.target.name}.{link.target}"
        if link.by is LinkBy.PKEY:
            wanted = self.definition.mapping(link.table).resource
            if target.type is not FieldType.LOOKUP:
                self._note(path, f"{name} is no link", "Leave out `by`: a plain column takes the id itself.")
                return None
            if target.targets and wanted not in target.targets:
                self._note(path, f"{name} does not link to {wanted} but to {', '.join(target.targets)}")
                return None
            target = FieldSchema(name=target.name, type=FieldType.GUID)
        elif target.type is FieldType.LOOKUP:
            self._note(path, f"{name} is a link", "Name the plain column it is joined on, or add by=LinkBy.PKEY.")
            return None
        try:
            return converter(source, target, max_length=self._length(link.target))
        except UnfitError as error:
            self._note(path, f"{name} {error}")
            return None

    def _names(self, side: str) -> frozenset[str]:
        return frozenset(schema.name for known, schema in self.used.items() if known.startswith(side))

    def _rules_hash(self) -> str:
        rules = {
            "mapping": self.mapping,
            "time_zone": self.definition.time_zone,
            "label_language": self.definition.label_language,
            "max_lengths": {
                name: length
                for name, length in self.definition.max_lengths.items()
                if name.startswith(f"{self.mapping.resource}.")
            },
            "schemas": self.used,
        }
        return sha256(canonical_json(rules).encode("ascii")).hexdigest()[:16]
