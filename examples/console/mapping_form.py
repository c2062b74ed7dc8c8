"""A table mapping as a form: what the form offers, and how what was filled in becomes a `TableMapping` again.

What lives here: choices, and reading each value by the type of its field. No pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from attrs import evolve, frozen

from syncline import DefinitionError, FieldMapping, FieldReplacement, Filter, TableMapping
from syncline.definition_checks import OPT_OUT_FIELDS, PROFILE
from syncline.definitions import Comparison, Match, Scalar
from syncline.schemas import FieldSchema, FieldType, TableSchema
from syncline.table_mapping import Link, LinkBy

from .visit import Form

__all__ = ["Choice", "lookup_choices", "mapping_of", "source_choices", "target_choices"]

_NUMBERS = frozenset({FieldType.DECIMAL, FieldType.DOUBLE, FieldType.MONEY})
_WHOLE = frozenset({FieldType.INTEGER, FieldType.PICKLIST})
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@frozen
class Choice:
    """One entry of a list to choose from."""

    value: str
    label: str


def _label(name: str, schema: FieldSchema) -> str:
    length = f" {schema.max_length}" if schema.max_length else ""
    return f"{name} ({schema.type.value}{length})"


def source_choices(table: TableSchema) -> list[Choice]:
    """Every Dynamics field that can be read, with its type."""
    readable = sorted((name, one) for name, one in table.fields.items() if one.readable)
    return [Choice(name, _label(name, one)) for name, one in readable]


def lookup_choices(table: TableSchema) -> list[Choice]:
    """Every lookup, with the tables it may point to."""
    lookups = sorted((name, one) for name, one in table.fields.items() if one.type is FieldType.LOOKUP and one.readable)
    return [Choice(name, f"{name} (to {', '.join(one.targets)})") for name, one in lookups]


def target_choices(resource: TableSchema, key: str) -> list[Choice]:
    """Every Campaign field that a mapping may write, with its type. Opt-outs have a page of their own."""
    refused = {key, *(OPT_OUT_FIELDS if resource.name == PROFILE else ())}
    writable = sorted((name, one) for name, one in resource.fields.items() if one.writable and name not in refused)
    return [Choice(name, _label(name, one)) for name, one in writable]


def mapping_of(form: Form, saved: TableMapping, source: TableSchema, target: TableSchema) -> TableMapping:
    """The mapping that was filled in. Raises DefinitionError with the path of a mistake; empty rows do not count."""
    return evolve(
        saved,
        fields=list(_fields(form)),
        links=list(_links(form, target)),
        replacements=list(_replacements(form, source)),
        filters=list(_filters(form, source)),
        constants=dict(_constants(form)),
        match=Match.ANY if form["match"] == Match.ANY.value else Match.ALL,
        delete_filtered_out="delete_filtered_out" in form,
        apply_deletes="apply_deletes" in form,
        labels="labels" in form,
    )


def _fields(form: Form) -> Iterator[FieldMapping]:
    for number in form.numbers("source"):
        source, target = form[f"source-{number}"], form[f"target-{number}"]
        if source and target:
            yield FieldMapping(source=source, target=target, apply_updates=f"apply-{number}" in form)
        elif source or target:
            raise DefinitionError("choose a field on both sides", path=f"fields: {source or target}")


def _links(form: Form, target: TableSchema) -> Iterator[Link]:
    """A link that is given a link field takes its PKey; any other field takes the id."""
    for number in form.numbers("lookup"):
        source, table, name = form[f"lookup-{number}"], form[f"linked-{number}"], form[f"into-{number}"]
        if source and table and name:
            into = target.fields.get(name)
            by = LinkBy.PKEY if into is not None and into.type is FieldType.LOOKUP else LinkBy.COLUMN
            yield Link(source=source, target=name, table=table, by=by)
        elif source or name:
            raise DefinitionError("choose a lookup, a table and a field", path=f"links: {source or name}")


def _replacements(form: Form, source: TableSchema) -> Iterator[FieldReplacement]:
    for number in form.numbers("replaced"):
        name = form[f"replaced-{number}"]
        if name:
            yield FieldReplacement(
                field=name,
                value=_value(form[f"value-{number}"], source.fields.get(name), f"replacements: {name}"),
                replacement=form[f"replacement-{number}"] or None,
            )


def _filters(form: Form, source: TableSchema) -> Iterator[Filter]:
    for number in form.numbers("filtered"):
        name = form[f"filtered-{number}"]
        if not name:
            continue
        comparison, text, schema = (
            Comparison(form[f"comparison-{number}"]),
            form[f"wanted-{number}"],
            source.fields.get(name),
        )
        path = f"filters: {name}"
        if comparison in (Comparison.IS_NULL, Comparison.IS_NOT_NULL):
            yield Filter(field=name, comparison=comparison)
        elif comparison in (Comparison.IN, Comparison.NOT_IN):
            values = tuple(_value(one.strip(), schema, path) for one in text.split(",") if one.strip())
            yield Filter(field=name, comparison=comparison, value=values)
        else:
            yield Filter(field=name, comparison=comparison, value=_value(text, schema, path))


def _constants(form: Form) -> Iterator[tuple[str, str]]:
    for number in form.numbers("constant"):
        name, value = form[f"constant-{number}"], form[f"fixed-{number}"]
        if name:
            yield name, value


def _value(text: str, schema: FieldSchema | None, path: str) -> Scalar:
    """A text that was typed, as a value of the field's type; nothing typed is an empty field."""
    if not text or schema is None:
        return text or None
    if schema.type is FieldType.BOOLEAN:
        if text.lower() not in _TRUTHS:
            raise DefinitionError("this field is true or false", path=path)
        return _TRUTHS[text.lower()]
    if schema.type in _WHOLE and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if schema.type in _NUMBERS:
        try:
            return Decimal(text)
        except InvalidOperation:
            raise DefinitionError("this field holds a number", path=path) from None
    return text
