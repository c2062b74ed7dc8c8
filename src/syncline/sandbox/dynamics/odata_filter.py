"""The `$filter` language: text to a tree.

Lives here: tokens, grammar and the tree's node types, for the part of OData that Dataverse documents (comparisons,
and/or/not, parentheses, contains/startswith/endswith, `Microsoft.Dynamics.CRM.*` query functions, parameter aliases).
Never here: what a property name means. `filter_sql` turns the tree into SQL, `filter_data` runs it over dictionaries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from .answers import DataverseError

__all__ = ["And", "Call", "Compare", "Literal", "Node", "Not", "Or", "Path", "parse_filter", "parse_literal"]

_OPERATORS = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})
_MAX_DEPTH = 100
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^']|'')*')
    | (?P<guid>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![\w-]))
    | (?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)
    | (?P<date>\d{4}-\d\d-\d\d)
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<enum>[A-Za-z_][\w.]*'(?:[^']|'')*')
    | (?P<alias>@[A-Za-z_]\w*)
    | (?P<name>\$?[A-Za-z_][\w.]*(?:/[A-Za-z_][\w.]*)*)
    | (?P<array>\[)
    | (?P<mark>[(),=])
    )""",
    re.VERBOSE,
)


@attrs.frozen
class Literal:
    """A constant. `kind` is string, guid, moment, date, number, bool, null, enum or array."""

    kind: str
    value: Any


@attrs.frozen
class Path:
    """A property, or a property behind a single-valued navigation property."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join(self.parts)


@attrs.frozen
class Compare:
    """Two operands and one of eq, ne, gt, ge, lt, le."""

    operator: str
    left: Literal | Path
    right: Literal | Path


@attrs.frozen
class Call:
    """A function. Positional arguments are keyed "0", "1" ..., named ones by their name."""

    name: str
    arguments: Mapping[str, Literal | Path]


@attrs.frozen
class And:
    """Both hold."""

    left: Node
    right: Node


@attrs.frozen
class Or:
    """Either holds."""

    left: Node
    right: Node


@attrs.frozen
class Not:
    """It does not hold."""

    inner: Node


Node = Compare | Call | And | Or | Not | Path


def parse_filter(text: str, aliases: Mapping[str, str] | None = None) -> Node:
    """The tree of a `$filter`. `aliases` maps `@p1` to the text of its value. Raises DataverseError (400)."""
    parser = _Parser(text, aliases or {})
    node = parser.either(0)
    parser.finish()
    return node


def parse_literal(text: str) -> Literal:
    """A single constant, as in the value of a parameter alias or of an alternate key."""
    parser = _Parser(text, {})
    operand = parser.operand()
    parser.finish()
    if isinstance(operand, Path):
        raise _syntax_error(text, 0)
    return operand


def _syntax_error(text: str, position: int) -> DataverseError:
    return DataverseError(400, "0x80060888", f"Syntax error at position {position} in '{text}'.")


class _Parser:
    def __init__(self, text: str, aliases: Mapping[str, str]) -> None:
        self._text = text
        self._aliases = aliases
        self._position = 0
        self._kind = ""
        self._word_now = ""
        self._next()

    def _next(self) -> None:
        self._start = self._position
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            if self._text[self._position :].strip():
                raise _syntax_error(self._text, self._position)
            self._kind, self._word_now = "end", ""
            return
        self._kind = match.lastgroup or ""
        self._word_now = match[self._kind]
        self._position = match.end()

    def _take(self, mark: str) -> None:
        if self._word_now != mark or self._kind != "mark":
            raise _syntax_error(self._text, self._start)
        self._next()

    def _word(self, word: str) -> bool:
        if self._kind == "name" and self._word_now == word:
            self._next()
            return True
        return False

    def finish(self) -> None:
        if self._kind != "end":
            raise _syntax_error(self._text, self._start)

    def either(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise DataverseError(400, "0x80060888", "The node count or depth limit of the query was exceeded.")
        node = self._both(depth)
        while self._word("or"):
            node = Or(node, self._both(depth))
        return node

    def _both(self, depth: int) -> Node:
        node = self._negated(depth)
        while self._word("and"):
            node = And(node, self._negated(depth))
        return node

    def _negated(self, depth: int) -> Node:
        if self._word("not"):
            return Not(self._negated(depth + 1))
        if self._kind == "mark" and self._word_now == "(":
            self._next()
            node = self.either(depth + 1)
            self._take(")")
            return node
        return self._comparison()

    def _comparison(self) -> Node:
        start = self._start
        left = self.operand_or_call()
        if isinstance(left, Call):
            # `contains(a,'b') eq true` is the long form of the call alone.
            if self._kind == "name" and self._word_now in {"eq", "ne"}:
                operator = self._word_now
                self._next()
                right = self.operand()
                if not isinstance(right, Literal) or right.kind != "bool":
                    raise _syntax_error(self._text, start)
                return left if (operator == "eq") == right.value else Not(left)
            return left
        if self._kind == "name" and self._word_now in _OPERATORS:
            operator = self._word_now
            self._next()
            return Compare(operator, left, self.operand())
        if isinstance(left, Path):
            return left
        raise _syntax_error(self._text, start)

    def operand_or_call(self) -> Literal | Path | Call:
        if self._kind == "name" and self._word_now not in {"true", "false", "null"}:
            name = self._word_now
            self._next()
            if self._kind == "mark" and self._word_now == "(":
                return self._call(name)
            return Path(tuple(name.split("/")))
        return self.operand()

    def _call(self, name: str) -> Call:
        self._take("(")
        arguments: dict[str, Literal | Path] = {}
        while not (self._kind == "mark" and self._word_now == ")"):
            if arguments:
                self._take(",")
            key = str(len(arguments))
            value = self.operand()
            if isinstance(value, Path) and self._kind == "mark" and self._word_now == "=":
                self._next()
                key, value = str(value), self.operand()
            arguments[key] = value
        self._next()
        return Call(name, arguments)

    def operand(self) -> Literal | Path:
        kind, token = self._kind, self._word_now
        if kind == "array":
            return self._array()
        if kind in {"end", "mark"}:
            raise _syntax_error(self._text, self._start)
        self._next()
        if kind == "alias":
            return self._alias(token)
        if kind == "name":
            return _constants.get(token) or Path(tuple(token.split("/")))
        return _literal(kind, token)

    def _alias(self, name: str) -> Literal | Path:
        if name not in self._aliases:
            raise DataverseError(400, "0x80060888", f"Missing parameter alias '{name}'.")
        inner = _Parser(self._aliases[name], {})
        value = inner.operand()
        inner.finish()
        return value

    def _array(self) -> Literal:
        try:
            value, end = json.JSONDecoder().raw_decode(self._text, self._start + self._text[self._start :].index("["))
        except ValueError as error:
            raise _syntax_error(self._text, self._start) from error
        self._position = end
        self._next()
        return Literal("array", value)


_constants = {"true": Literal("bool", True), "false": Literal("bool", False), "null": Literal("null", None)}


def _literal(kind: str, token: str) -> Literal:
    if kind == "string":
        return Literal("string", token[1:-1].replace("''", "'"))
    if kind == "enum":
        name, _, value = token.partition("'")
        return Literal("enum", (name, value[:-1].replace("''", "'")))
    if kind == "number":
        whole = re.fullmatch(r"[+-]?\d{1,18}", token) is not None
        return Literal("number", int(token) if whole else float(token))
    if kind == "guid":
        return Literal("guid", token.lower())
    return Literal(kind, token)
