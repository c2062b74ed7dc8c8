"""What a Campaign resource is made of, read from its metadata (`resourceType/<resource>`).

What lives here: the translation of a metadata answer to a `TableSchema`, and what is known of the profile beyond its
metadata. Never a request.

Source: Adobe's pages "Metadata mechanism" and "Data model - profile". The page elides what a field's entry holds, so
every property is read leniently: one that is missing says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve

from syncline.errors import ProtocolError
from syncline.schemas import FieldSchema, FieldType, TableSchema

__all__ = ["PROFILE_LENGTHS", "data_policy", "filters_href", "read_schema"]

#: Lengths in characters that Adobe publishes for the profile; Dynamics allows longer ones.
PROFILE_LENGTHS: Mapping[str, int] = {
    "email": 128,
    "externalId": 100,
    "fax": 32,
    "firstName": 30,
    "lastName": 50,
    "middleName": 30,
    "mobilePhone": 32,
    "phone": 32,
    "salutation": 20,
    "title": 255,
}

#: Fields of the profile that Campaign computes.
_PROFILE_COMPUTED = frozenset({"age", "cryptedId", "domain", "title"})

#: Groups of the profile with their fields, for metadata that names the group alone.
_PROFILE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "location": ("address1", "address2", "address3", "address4", "city", "countryCode", "stateCode", "zipCode"),
}

_NEVER_WRITTEN = frozenset({"PKey", "href", "created", "lastModified"})

_TYPES: Mapping[str, FieldType] = {
    "boolean": FieldType.BOOLEAN,
    "byte": FieldType.INTEGER,
    "short": FieldType.INTEGER,
    "long": FieldType.INTEGER,
    "int": FieldType.INTEGER,
    "int64": FieldType.INTEGER,
    "integer": FieldType.INTEGER,
    "float": FieldType.DOUBLE,
    "double": FieldType.DOUBLE,
    "number": FieldType.DOUBLE,
    "percent": FieldType.DOUBLE,
    "money": FieldType.MONEY,
    "currency": FieldType.MONEY,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "datetimetz": FieldType.DATETIME,
    "datetimenotz": FieldType.DATETIME,
    "timestamp": FieldType.DATETIME,
    "enumeration": FieldType.PICKLIST,
    "link": FieldType.LOOKUP,
    "string": FieldType.STRING,
    "text": FieldType.STRING,
    "memo": FieldType.STRING,
    "html": FieldType.STRING,
    "uuid": FieldType.STRING,
}


def read_schema(resource: str, path: str, metadata: Mapping[str, Any]) -> TableSchema:
    """The schema of a resource. Raises ProtocolError when the metadata has no fields to speak of."""
    content = metadata.get("content")
    if not isinstance(content, dict) or not content:
        raise ProtocolError(f"The metadata of Campaign resource {resource} describes no fields.")
    fields: dict[str, FieldSchema] = {}
    for field in _fields(content, "", writable=metadata.get("readOnly") is not True):
        fields[field.name] = _as_profile_field(field) if resource == "profile" else field
    if resource == "profile":
        _add_profile_groups(fields)
    label = metadata.get("label")
    return TableSchema(name=resource, path=path, fields=fields, label=label if isinstance(label, str) else resource)


def filters_href(metadata: Mapping[str, Any]) -> str:
    """Where the resource's filters are listed, or an empty string when the metadata does not say."""
    filters = metadata.get("filters")
    href = filters.get("href") if isinstance(filters, dict) else None
    return href if isinstance(href, str) else ""


def data_policy(schema: FieldSchema) -> str:
    """The data policy of a field in lower case, such as `smartcase`; empty where there is none.

    It travels at the end of `native_type`, as in `string (smartCase)`, so that a stored schema keeps it.
    """
    return schema.native_type.partition(" (")[2].rstrip(")").lower()


def _fields(content: Mapping[str, Any], prefix: str, *, writable: bool) -> Iterator[FieldSchema]:
    for key, entry in content.items():
        if not isinstance(entry, dict):
            continue
        name = entry.get("apiName")
        full = prefix + (name if isinstance(name, str) and name else key)
        may_write = writable and entry.get("readOnly") is not True
        inner = entry.get("content")
        if isinstance(inner, dict):
            yield from _fields(inner, f"{full}.", writable=may_write)
        else:
            yield _field(full, entry, writable=may_write)


def _field(name: str, entry: Mapping[str, Any], *, writable: bool) -> FieldSchema:
    kind = _word(entry, "type")
    technical = _word(entry, "resType")
    is_collection = kind == "collection"
    field_type = FieldType.OTHER if is_collection else _type(kind, technical)
    return FieldSchema(
        name=name,
        type=field_type,
        max_length=_length(entry) if field_type is FieldType.STRING else None,
        options=_options(entry.get("values")) if field_type is FieldType.PICKLIST else {},
        readable=not is_collection,
        writable=writable and not is_collection and name not in _NEVER_WRITTEN,
        required=entry.get("mandatory") is True,
        native_type=_native_type(kind or technical, _word(entry, "dataPolicy")),
        targets=(target,) if (target := _word(entry, "resTarget")) else (),
    )


def _type(kind: str, technical: str) -> FieldType:
    """The high-level type decides for links and enumerations, else the technical one, which is more precise."""
    high = _TYPES.get(kind.lower())
    if high in (FieldType.LOOKUP, FieldType.PICKLIST):
        return high
    return _TYPES.get(technical.lower()) or high or FieldType.OTHER


def _word(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _native_type(kind: str, policy: str) -> str:
    return f"{kind} ({policy})" if policy and policy.lower() != "none" else kind


def _length(entry: Mapping[str, Any]) -> int | None:
    for name in ("length", "size", "maxLength"):
        value = entry.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _options(values: object) -> dict[str, str]:
    """Enumeration names to labels. Names are what a POST or PATCH takes, not the numbers behind them."""
    if isinstance(values, dict):
        inner = values.get("values")
        if isinstance(inner, dict | list):
            return _options(inner)
        return {str(name): _label(entry, str(name)) for name, entry in values.items()}
    if not isinstance(values, list):
        return {}
    named = [entry for entry in values if isinstance(entry, dict) and isinstance(entry.get("name"), str)]
    return {entry["name"]: _label(entry, entry["name"]) for entry in named}


def _label(entry: object, name: str) -> str:
    if isinstance(entry, dict):
        entry = entry.get("label")
    return entry if isinstance(entry, str) and entry else name


def _as_profile_field(field: FieldSchema) -> FieldSchema:
    computed = field.name in _PROFILE_COMPUTED or field.name.startswith("postalAddress")
    length = field.max_length
    if length is None and field.type is FieldType.STRING:
        length = PROFILE_LENGTHS.get(field.name)
    return evolve(field, writable=field.writable and not computed, max_length=length)


def _add_profile_groups(fields: dict[str, FieldSchema]) -> None:
    for group, names in _PROFILE_GROUPS.items():
        plain = fields.get(group)
        if plain is None or any(name.startswith(f"{group}.") for name in fields):
            continue
        del fields[group]
        for name in names:
            full = f"{group}.{name}"
            fields[full] = FieldSchema(name=full, type=FieldType.STRING, writable=plain.writable, native_type="string")
