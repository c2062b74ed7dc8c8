"""How one Dynamics table fills one Campaign resource: fields, links, constants, replacements and filters.

What lives here: the frozen values and the rules that can be told without looking at either system. What filters mean
is in `syncline.filters`; whether a field exists is for `syncline.mapping.compile_plan`. No I/O, no record values.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from syncline.definition_checks import (
    PROFILE,
    Scalar,
    a_flag,
    a_name,
    a_scalar,
    all_of,
    as_dict,
    as_tuple,
    check_name,
    check_value,
    member_of,
    opt_out_field,
    plain,
    refuse_twice,
    typed,
)
from syncline.errors import DefinitionError
from syncline.opt_out_pair import OptOutPair
from syncline.records import Value

__all__ = ["Comparison", "FieldMapping", "FieldReplacement", "Filter", "Link", "LinkBy", "Match", "TableMapping"]


@attrs.frozen(kw_only=True)
class FieldMapping:
    """One Dynamics field that fills one Campaign field."""

    #: Dynamics field.
    source: str = attrs.field(validator=a_name)
    #: Campaign field.
    target: str = attrs.field(validator=a_name)
    #: Off: written when a record is first loaded, created or replayed, and left alone by later changes.
    apply_updates: bool = attrs.field(default=True, validator=a_flag)

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}" + ("" if self.apply_updates else " (first load only)")


@attrs.frozen(kw_only=True)
class FieldReplacement:
    """An existing value of a Dynamics field becomes another one in Campaign.

    `value` matches what Dynamics stores or, for picklists and booleans, the label. A replacement is exact: text is
    compared with upper and lower case told apart. None stands for an empty field, on either side.
    """

    #: Dynamics field.
    field: str = attrs.field(validator=a_name)
    value: Scalar = attrs.field(converter=plain, validator=a_scalar, eq=typed)
    replacement: Scalar = attrs.field(converter=plain, validator=a_scalar, eq=typed)

    def __str__(self) -> str:
        return f"{self.field}: {self.value!s} becomes {self.replacement!s}"


class Comparison(StrEnum):
    """How a filter compares. What each means per field type is told in `syncline.filters`."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    LESS = "less"
    LESS_OR_EQUAL = "less_or_equal"
    GREATER = "greater"
    GREATER_OR_EQUAL = "greater_or_equal"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    BEGINS_WITH = "begins_with"
    ENDS_WITH = "ends_with"
    IN = "in"
    NOT_IN = "not_in"
    IS_NULL = "is_null"
    IS_NOT_NULL = "is_not_null"


_NULL_CHECKS = frozenset({Comparison.IS_NULL, Comparison.IS_NOT_NULL})
_LIST_CHECKS = frozenset({Comparison.IN, Comparison.NOT_IN})
_TEXT_CHECKS = frozenset({Comparison.BEGINS_WITH, Comparison.ENDS_WITH})
_ORDER_CHECKS = frozenset({Comparison.LESS, Comparison.LESS_OR_EQUAL, Comparison.GREATER, Comparison.GREATER_OR_EQUAL})


def _frozen_list(value: Any) -> Any:
    found = plain(value)
    return tuple(found) if isinstance(found, list) else found


@attrs.frozen(kw_only=True)
class Filter:
    """One condition on any field of the Dynamics table, mapped or not.

    `value` is a list for `in` and `not_in`, absent for `is_null` and `is_not_null`, and one value for all others.
    """

    #: Dynamics field.
    field: str = attrs.field(validator=a_name)
    comparison: Comparison = attrs.field(validator=member_of(Comparison))
    value: Scalar | tuple[Scalar, ...] = attrs.field(default=None, converter=_frozen_list, eq=typed)

    def __attrs_post_init__(self) -> None:
        if self.comparison in _NULL_CHECKS:
            if self.value is not None:
                raise DefinitionError(f"{self.comparison} takes no value", path="value")
        elif self.comparison in _LIST_CHECKS:
            self._check_list()
        else:
            self._check_one(self.value, "value")

    def _check_list(self) -> None:
        if not isinstance(self.value, tuple) or not self.value:
            raise DefinitionError(f"{self.comparison} needs a list with at least one value", path="value")
        for index, item in enumerate(self.value):
            self._check_one(item, f"value[{index}]")

    def _check_one(self, value: object, path: str) -> None:
        if value is None:
            raise DefinitionError(f"{self.comparison} needs a value; use is_null for an empty field", path=path)
        check_value(value, path)
        if self.comparison in _TEXT_CHECKS and not isinstance(value, str):
            raise DefinitionError(f"{self.comparison} needs text", path=path)
        if self.comparison in _ORDER_CHECKS and isinstance(value, bool):
            raise DefinitionError(f"{self.comparison} needs a number, a date or text", path=path)

    def __str__(self) -> str:
        if self.comparison in _NULL_CHECKS:
            return f"{self.field} {self.comparison}"
        shown = ", ".join(map(str, self.value)) if isinstance(self.value, tuple) else str(self.value)
        return f"{self.field} {self.comparison} {shown}"


class LinkBy(StrEnum):
    """How a link is written in Campaign."""

    #: The id of the linked record goes into a plain column, which the resource's link is joined on.
    COLUMN = "column"
    #: The link field itself is given the PKey of the linked record, which is looked up by its key.
    PKEY = "pkey"


@attrs.frozen(kw_only=True)
class Link:
    """One lookup of the Dynamics table that points to a record of another mapped table, or of the same one.

    The record waits in the backlog until the one it points to is in Campaign. An empty lookup empties the link.
    """

    #: Dynamics lookup, such as `parentcustomerid`. A lookup to several tables has a link for each that matters; it is
    #: empty for records that point elsewhere.
    source: str = attrs.field(validator=a_name)
    #: Campaign field: a plain column, or with `LinkBy.PKEY` the link.
    target: str = attrs.field(validator=a_name)
    #: The Dynamics table it points to, mapped in the same definition.
    table: str = attrs.field(validator=a_name)
    by: LinkBy = attrs.field(default=LinkBy.COLUMN, validator=member_of(LinkBy))

    def __str__(self) -> str:
        return f"{self.source} -> {self.target} ({self.table})" + (" by PKey" if self.by is LinkBy.PKEY else "")


class Match(StrEnum):
    """How several filters combine."""

    #: And: a record passes when it meets every filter.
    ALL = "all"
    #: Or: a record passes when it meets at least one filter.
    ANY = "any"


@attrs.frozen(kw_only=True)
class TableMapping:
    """One Dynamics table that fills one Campaign resource. `table`, `resource` and `key` stay as they were added."""

    #: Logical name of the Dynamics table.
    table: str = attrs.field(validator=a_name)
    #: Campaign resource.
    resource: str = attrs.field(validator=a_name)
    #: Campaign field that holds the Dynamics primary key. It needs an identification key in Campaign.
    key: str = attrs.field(default="externalId", validator=a_name)
    fields: tuple[FieldMapping, ...] = attrs.field(converter=as_tuple, validator=all_of(FieldMapping))
    #: Lookups that point to records of mapped tables, which go first.
    links: tuple[Link, ...] = attrs.field(default=(), converter=as_tuple, validator=all_of(Link))
    #: Of contacts: opt-outs that travel from Dynamics to Campaign with them, by the consent rule and ahead of all else.
    #: Filters do not apply to them. With pairs here Opt-In/Out itself cannot run.
    opt_outs: tuple[OptOutPair, ...] = attrs.field(default=(), converter=as_tuple, validator=all_of(OptOutPair))
    #: Campaign field to value, written when a record is created there and never afterwards.
    constants: Mapping[str, Value] = attrs.field(factory=dict, converter=as_dict, eq=typed, hash=False)
    replacements: tuple[FieldReplacement, ...] = attrs.field(
        default=(), converter=as_tuple, validator=all_of(FieldReplacement)
    )
    filters: tuple[Filter, ...] = attrs.field(default=(), converter=as_tuple, validator=all_of(Filter))
    match: Match = attrs.field(default=Match.ALL, validator=member_of(Match))
    #: Delete in Campaign what Syncline wrote there and what no longer passes the filters.
    delete_filtered_out: bool = attrs.field(default=False, validator=a_flag)
    #: Delete in Campaign what is deleted in Dynamics. This is no privacy delete.
    apply_deletes: bool = attrs.field(default=True, validator=a_flag)
    #: Picklists go as their display label instead of the technical value.
    labels: bool = attrs.field(default=False, validator=a_flag)

    def __attrs_post_init__(self) -> None:
        self._check_targets()
        self._check_replacements()
        self._check_opt_outs()
        for index, one in enumerate(self.filters):
            if one in self.filters[:index]:
                raise DefinitionError("this filter is there already", path=f"filters[{index}]")

    def _check_targets(self) -> None:
        for name in self.constants:
            check_name(name, "constants")
        targets = [(f"fields[{index}].target", one.target) for index, one in enumerate(self.fields)]
        targets += [(f"links[{index}].target", one.target) for index, one in enumerate(self.links)]
        refuse_twice(targets, "two Dynamics fields cannot fill the Campaign field {name}")
        lookups = ((f"links[{index}].table", f"{one.source} to {one.table}") for index, one in enumerate(self.links))
        refuse_twice(lookups, "there is a link for {name} already")
        refuse_twice(((f"constants.{name}", name) for name in self.constants), "{name} has a constant already")
        constants = {name.lower() for name in self.constants}
        for path, target in targets:
            if target.lower() == self.key.lower():
                raise DefinitionError(f"{target} is the key and holds the Dynamics id", path=path)
            if target.lower() in constants:
                raise DefinitionError(f"{target} has a constant: a field cannot have both", path=path)
            self._refuse_opt_out(target, path)
        for name, value in self.constants.items():
            self._check_constant(name, value)
        self._refuse_opt_out(self.key, "key")

    def _check_constant(self, name: str, value: object) -> None:
        path = f"constants.{name}"
        check_value(value, path, nested=True)
        if value is None:
            raise DefinitionError("a constant needs a value", path=path)
        if name.lower() == self.key.lower():
            raise DefinitionError(f"{name} is the key and holds the Dynamics id", path=path)
        self._refuse_opt_out(name, path)

    def _refuse_opt_out(self, target: str, path: str) -> None:
        wire_name = opt_out_field(target)
        if wire_name is not None and self.resource.lower() == PROFILE:
            raise DefinitionError(
                f"{target} is an opt-out and never a plain field",
                path=path,
                remedy=f"Add OptOutPair(dynamics=..., campaign={wire_name!r}) to `opt_outs` of the mapping, or to the "
                "definition of Opt-In/Out where opt-outs travel to Dynamics as well.",
            )

    def _check_opt_outs(self) -> None:
        if self.opt_outs and (self.table != "contact" or self.resource.lower() != PROFILE):
            raise DefinitionError(
                "only contacts that fill profiles have opt-outs",
                path="opt_outs",
                remedy="Move the pairs to the mapping of contact to profile.",
            )
        pairs = ((f"opt_outs[{index}].campaign", one.campaign) for index, one in enumerate(self.opt_outs))
        refuse_twice(pairs, "{name} has a pair already")

    def _check_replacements(self) -> None:
        mapped = {one.source for one in self.fields}
        seen: dict[object, int] = {}
        for index, one in enumerate(self.replacements):
            path = f"replacements[{index}]"
            if one.field not in mapped:
                raise DefinitionError(f"{one.field} is not mapped, so nothing can be replaced", path=f"{path}.field")
            first = seen.setdefault((one.field, typed(one.value)), index)
            if first != index:
                raise DefinitionError(f"this value is replaced already, in replacements[{first}]", path=f"{path}.value")

    def __repr__(self) -> str:
        links = f" and {len(self.links)} links" if self.links else ""
        links += f", {len(self.opt_outs)} opt-outs" if self.opt_outs else ""
        return f"<TableMapping {self.table} -> {self.resource} with {len(self.fields)} fields{links}>"
