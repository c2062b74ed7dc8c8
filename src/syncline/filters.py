"""What filters mean: whether a record passes, told from the columns it was read with.

What lives here: one test per filter, and how several combine. What to do with a record that does not pass is for
`syncline.mapping`. Pure functions; no message holds a value.

The rules, per type of the Dynamics field:

- Text: upper and lower case do not matter; nothing is a wildcard; order is by character.
- Numbers, money: by value, so 1.50 equals 1.5.
- Booleans and picklists: by technical value or by label; picklists are ordered by technical value.
- Multi-select picklists: `contains` and `not_contains` for one option, `in` for at least one of several, `not_in` for
  none of them.
- Dates: by the calendar. Moments: by instant; without an offset the filter's value is in the definition's time zone.
  A filter value that is only a date stands for that whole day in that time zone: `greater` starts with the next day,
  `less_or_equal` includes the day.
- GUIDs and lookups: equality only, in any spelling.
- An empty field passes `is_null` and, because nothing equals something, `not_equals`, `not_in` and `not_contains`; it
  passes nothing else.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Any, TypeAlias

from syncline.conversions.reading import Form, RefuseReason, UnfitError, form_of, literal, local_date, read_date, reader
from syncline.records import Value, Values
from syncline.schemas import FieldSchema
from syncline.table_mapping import Comparison, Filter, Match

__all__ = ["RecordTest", "ValueTest", "record_test", "value_test"]

#: Whether one field's value passes. Raises UnfitError when the value is not what the field's type says.
ValueTest: TypeAlias = Callable[[Value], bool]
#: Whether a record passes. Raises KeyError for a column that was not read, and UnfitError.
RecordTest: TypeAlias = Callable[[Values], bool]
#: The same for what was read, which is never None.
_Test: TypeAlias = Callable[[Any], bool]

_POSITIVE: Mapping[Comparison, Comparison] = {
    Comparison.NOT_EQUALS: Comparison.EQUALS,
    Comparison.NOT_IN: Comparison.IN,
    Comparison.NOT_CONTAINS: Comparison.CONTAINS,
}
_ORDERS: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.LESS: operator.lt,
    Comparison.LESS_OR_EQUAL: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.GREATER_OR_EQUAL: operator.ge,
}
_WITHIN_TEXT: Mapping[Comparison, Callable[[str, str], bool]] = {
    Comparison.CONTAINS: operator.contains,
    Comparison.BEGINS_WITH: str.startswith,
    Comparison.ENDS_WITH: str.endswith,
}
_EQUALITY = frozenset({Comparison.EQUALS, Comparison.IN})
_ALLOWED: Mapping[Form, frozenset[Comparison]] = {
    Form.BOOLEAN: _EQUALITY,
    Form.GUID: _EQUALITY,
    Form.OPTIONS: frozenset({Comparison.CONTAINS, Comparison.IN}),
    Form.TEXT: frozenset({*_EQUALITY, *_ORDERS, *_WITHIN_TEXT}),
}
_ALLOWED_ELSEWHERE = frozenset({*_EQUALITY, *_ORDERS})


def record_test(tests: Iterable[tuple[str, ValueTest]], match: Match) -> RecordTest | None:
    """Whether a record meets all, or any, of the tests of its columns; None when there is nothing to meet."""
    fixed = tuple(tests)
    if not fixed:
        return None
    combine = all if match is Match.ALL else any

    def passes(values: Values) -> bool:
        # Every column is looked at: whether a record can be judged must not depend on the order of the filters.
        verdicts = [test(values[column]) for column, test in fixed]
        return combine(verdicts)

    return passes


def value_test(condition: Filter, field: FieldSchema, zone: tzinfo) -> ValueTest:
    """The test that one filter puts to a value of its field. Raises UnfitError when the field cannot be so compared."""
    comparison = condition.comparison
    if comparison is Comparison.IS_NULL:
        return lambda value: value is None
    if comparison is Comparison.IS_NOT_NULL:
        return lambda value: value is not None
    positive = _POSITIVE.get(comparison, comparison)
    if positive not in _ALLOWED.get(form_of(field), _ALLOWED_ELSEWHERE):
        raise UnfitError(RefuseReason.WRONG_TYPE, f"cannot be compared with {comparison}: it holds {form_of(field)}")
    test = _test(condition, positive, field, UTC if field.time_zone_independent else zone)
    read = reader(field)
    if positive is comparison:
        return lambda value: value is not None and test(read(value))
    return lambda value: value is None or not test(read(value))


def _test(condition: Filter, positive: Comparison, field: FieldSchema, zone: tzinfo) -> _Test:
    wanted = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    form = form_of(field)
    if form is Form.MOMENT:
        return _any_of([_moment_test(positive, value, field, zone) for value in wanted])
    literals = [literal(value, field, zone) for value in wanted]
    if form is Form.TEXT:
        return _text_test(positive, [text.casefold() for text in literals])
    if form is Form.OPTIONS:
        return lambda options: not set(options).isdisjoint(literals)
    if positive in _EQUALITY:
        return frozenset(literals).__contains__
    return _ordered(positive, literals[0])


def _any_of(tests: list[_Test]) -> _Test:
    if len(tests) == 1:
        return tests[0]
    return lambda found: any(test(found) for test in tests)


def _ordered(comparison: Comparison, wanted: Any) -> _Test:
    order = _ORDERS[comparison]
    return lambda found: order(found, wanted)


def _text_test(comparison: Comparison, wanted: list[str]) -> _Test:
    if comparison in _EQUALITY:
        known = frozenset(wanted)
        return lambda text: text.casefold() in known
    within = _WITHIN_TEXT.get(comparison) or _ORDERS[comparison]
    one = wanted[0]
    return lambda text: within(text.casefold(), one)


def _moment_test(comparison: Comparison, value: Any, field: FieldSchema, zone: tzinfo) -> _Test:
    order: Callable[[Any, Any], bool] = _ORDERS.get(comparison, operator.eq)
    if isinstance(value, str) and len(value) == len("2026-01-31"):
        day = read_date(value)
        return lambda moment: order(local_date(moment, zone), day)
    wanted = literal(value, field, zone)
    return lambda moment: order(moment, wanted)
