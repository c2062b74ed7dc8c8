"""`$filter` of metadata: the tree run over dictionaries.

Lives here: the comparisons metadata queries support. Never here: rows, which are filtered in SQL.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from .answers import DataverseError
from .odata_filter import And, Call, Compare, Literal, Node, Not, Or, Path

__all__ = ["matches"]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def matches(node: Node, entry: Mapping[str, Any], type_name: str) -> bool:
    """Whether an entry meets a condition. Raises DataverseError for functions and unknown properties."""
    if isinstance(node, And):
        return matches(node.left, entry, type_name) and matches(node.right, entry, type_name)
    if isinstance(node, Or):
        return matches(node.left, entry, type_name) or matches(node.right, entry, type_name)
    if isinstance(node, Not):
        return not matches(node.inner, entry, type_name)
    if isinstance(node, Call):
        raise DataverseError(
            400, "0x80060888", f"The string function '{node.name}', isn't supported for Metadata Entities."
        )
    if isinstance(node, Path):
        return _value(node, entry, type_name) is True
    return _compare(node, entry, type_name)


def _compare(node: Compare, entry: Mapping[str, Any], type_name: str) -> bool:
    left, right = (_operand(side, entry, type_name) for side in (node.left, node.right))
    if left is None or right is None:
        return _COMPARE[node.operator](left, right) if node.operator in {"eq", "ne"} else False
    if type(left) is not type(right) and not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise DataverseError(400, "0x80060888", "A binary operator with incompatible types was detected.")
    return _COMPARE[node.operator](left, right)


def _operand(side: Literal | Path, entry: Mapping[str, Any], type_name: str) -> Any:
    if isinstance(side, Path):
        return _value(side, entry, type_name)
    return side.value[1] if side.kind == "enum" else side.value


def _value(path: Path, entry: Mapping[str, Any], type_name: str) -> Any:
    value: Any = entry
    for part in path.parts:
        if not isinstance(value, Mapping) or part not in value:
            raise DataverseError(
                400, "0x0", f"Could not find a property named '{part}' on type 'Microsoft.Dynamics.CRM.{type_name}'."
            )
        value = value[part]
    return value
