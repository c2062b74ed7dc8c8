"""What filters mean, per type of field."""

from __future__ import annotations

import string
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.definition_room import DECIMALS

from syncline.conversions.reading import UnfitError
from syncline.definitions import Comparison, Filter, Match
from syncline.filters import record_test, value_test
from syncline.schemas import FieldSchema, FieldType

C = Comparison
T = FieldType
PARIS = ZoneInfo("Europe/Paris")
COLOURS = {"1": "Red", "2": "Light green", "3": "Blue"}
ID = "7b5f2f2e-0c41-4c3e-9a6d-0f0a2b1c3d4e"

TEXT = FieldSchema(name="x", type=T.STRING)
NUMBER = FieldSchema(name="x", type=T.MONEY)
WHOLE = FieldSchema(name="x", type=T.INTEGER)
TRUTH = FieldSchema(name="x", type=T.BOOLEAN, options={"0": "Allow", "1": "Do Not Allow"})
COLOUR = FieldSchema(name="x", type=T.PICKLIST, options=COLOURS)
SEVERAL = FieldSchema(name="x", type=T.MULTI_PICKLIST, options=COLOURS)
DAY = FieldSchema(name="x", type=T.DATE)
MOMENT = FieldSchema(name="x", type=T.DATETIME)
UNBOUND = FieldSchema(name="x", type=T.DATETIME, time_zone_independent=True)
LINK = FieldSchema(name="x", type=T.LOOKUP)
ALL_FIELDS = [TEXT, NUMBER, WHOLE, TRUTH, COLOUR, SEVERAL, DAY, MOMENT, UNBOUND, LINK]
NEGATIONS = {C.NOT_EQUALS: C.EQUALS, C.NOT_IN: C.IN, C.NOT_CONTAINS: C.CONTAINS}


def passes(field: FieldSchema, found: Any, comparison: Comparison, value: Any = None, zone: tzinfo = UTC) -> bool:
    return value_test(Filter(field="x", comparison=comparison, value=value), field, zone)(found)


@pytest.mark.parametrize(
    ("field", "found", "comparison", "value", "verdict"),
    [
        (TEXT, "Smith", C.EQUALS, "SMITH", True),
        (TEXT, "Straße", C.EQUALS, "STRASSE", True),
        (TEXT, "Smith ", C.EQUALS, "Smith", False),
        (TEXT, "Smith", C.NOT_EQUALS, "smith", False),
        (TEXT, "Smith", C.IN, ["jones", "SMITH"], True),
        (TEXT, "Smith", C.NOT_IN, ["jones"], True),
        (TEXT, "Smith", C.CONTAINS, "MIT", True),
        (TEXT, "Smith", C.CONTAINS, "s%h", False),
        (TEXT, "100%", C.ENDS_WITH, "%", True),
        (TEXT, "Smith", C.NOT_CONTAINS, "mit", False),
        (TEXT, "Smith", C.BEGINS_WITH, "sm", True),
        (TEXT, "Smith", C.BEGINS_WITH, "m", False),
        (TEXT, "Smith", C.ENDS_WITH, "TH", True),
        (TEXT, "b", C.GREATER, "A", True),
        (TEXT, "B", C.LESS, "a", False),
        (TEXT, "5", C.EQUALS, 5, True),
        (NUMBER, Decimal("1.50"), C.EQUALS, Decimal("1.5"), True),
        (NUMBER, 2, C.EQUALS, "2", True),
        (NUMBER, Decimal("2.01"), C.GREATER, 2, True),
        (NUMBER, Decimal("2.00"), C.GREATER, 2, False),
        (NUMBER, Decimal("2.00"), C.GREATER_OR_EQUAL, 2, True),
        (NUMBER, Decimal("2.00"), C.LESS_OR_EQUAL, 2, True),
        (NUMBER, Decimal("1.99"), C.LESS, 2, True),
        (WHOLE, 3, C.IN, [1, 3], True),
        (WHOLE, 3, C.NOT_IN, [1, 3], False),
        (WHOLE, 10, C.GREATER, "9", True),
        (TRUTH, True, C.EQUALS, True, True),
        (TRUTH, True, C.EQUALS, "do not allow", True),
        (TRUTH, False, C.NOT_EQUALS, True, True),
        (TRUTH, False, C.IN, [0, 1], True),
        (COLOUR, 2, C.EQUALS, "light GREEN", True),
        (COLOUR, 2, C.EQUALS, 2, True),
        (COLOUR, 2, C.NOT_EQUALS, "Red", True),
        (COLOUR, 2, C.IN, ["Red", 2], True),
        (COLOUR, 3, C.GREATER, 2, True),
        (SEVERAL, "1,3", C.CONTAINS, "Blue", True),
        (SEVERAL, "1,3", C.CONTAINS, 2, False),
        (SEVERAL, "1,3", C.NOT_CONTAINS, 2, True),
        (SEVERAL, "1,3", C.IN, [2, 3], True),
        (SEVERAL, "1,3", C.NOT_IN, [2, 3], False),
        (DAY, "1980-10-24", C.EQUALS, "1980-10-24", True),
        (DAY, "1980-10-24", C.LESS, "1980-10-25", True),
        (DAY, "1980-10-24", C.GREATER, "1980-10-24", False),
        (MOMENT, "2023-04-07T10:00:00Z", C.EQUALS, "2023-04-07T12:00:00+02:00", True),
        (MOMENT, "2023-04-07T10:00:00Z", C.LESS, "2023-04-07 10:00:01", True),
        (MOMENT, "2023-04-07T10:00:00Z", C.EQUALS, "2023-04-07", True),
        (MOMENT, "2023-04-07T10:00:00Z", C.GREATER, "2023-04-07", False),
        (MOMENT, "2023-04-08T00:00:00Z", C.GREATER, "2023-04-07", True),
        (MOMENT, "2023-04-07T23:59:59Z", C.LESS_OR_EQUAL, "2023-04-07", True),
        (MOMENT, "2023-04-07T00:00:00Z", C.LESS, "2023-04-07", False),
        (MOMENT, "2023-04-07T00:00:00Z", C.GREATER_OR_EQUAL, "2023-04-07", True),
        (MOMENT, "2023-04-07T10:00:00Z", C.IN, ["2023-04-01", "2023-04-07"], True),
        (LINK, ID, C.EQUALS, "{" + ID.upper() + "}", True),
        (LINK, ID, C.NOT_IN, [ID], False),
    ],
)
def test_a_value_passes_or_not(field: FieldSchema, found: Any, comparison: C, value: Any, verdict: bool) -> None:
    """Text without regard to case and without wildcards, numbers by value, options by value or label, days whole."""
    assert passes(field, found, comparison, value) is verdict


def test_a_day_is_a_day_in_the_time_zone() -> None:
    """Late in the evening of UTC it is the next day in Paris; a field without a time zone keeps its own day."""
    late = "2023-04-07T22:30:00Z"
    assert passes(MOMENT, late, C.EQUALS, "2023-04-08", zone=PARIS)
    assert passes(UNBOUND, late, C.EQUALS, "2023-04-07", zone=PARIS)
    assert passes(MOMENT, "2023-04-07T08:00:00Z", C.EQUALS, "2023-04-07T10:00", zone=PARIS)
    assert passes(UNBOUND, "2023-04-07T10:00:00Z", C.EQUALS, "2023-04-07T10:00", zone=PARIS)


@pytest.mark.parametrize("field", ALL_FIELDS)
def test_an_empty_field_passes_what_denies(field: FieldSchema) -> None:
    """It passes is_null and, because nothing equals something, the negations; it passes nothing else."""
    some = {T.STRING: "a", T.DATE: "2023-04-07", T.DATETIME: "2023-04-07", T.LOOKUP: ID}.get(field.type, 1)
    allowed = []
    for comparison in Comparison:
        value = None if "null" in comparison else [some] if comparison in (C.IN, C.NOT_IN) else some
        if comparison in (C.BEGINS_WITH, C.ENDS_WITH):
            value = "a"
        try:
            test = value_test(Filter(field="x", comparison=comparison, value=value), field, UTC)
        except UnfitError:
            continue
        allowed.append(comparison)
        assert test(None) is (comparison is C.IS_NULL or comparison in NEGATIONS)
    assert {C.IS_NULL, C.IS_NOT_NULL, C.IN, C.NOT_IN} <= set(allowed)


@pytest.mark.parametrize("field", ALL_FIELDS)
def test_null_checks_look_at_presence_only(field: FieldSchema) -> None:
    """Any value at all is not null, even one that could not be read."""
    assert passes(field, {"odd": 1}, C.IS_NOT_NULL)
    assert not passes(field, {"odd": 1}, C.IS_NULL)


@pytest.mark.parametrize(
    ("field", "comparison", "value"),
    [
        (TRUTH, C.LESS, 1),
        (TRUTH, C.CONTAINS, "a"),
        (TRUTH, C.EQUALS, "maybe"),
        (NUMBER, C.CONTAINS, 1),
        (NUMBER, C.BEGINS_WITH, "1"),
        (NUMBER, C.EQUALS, "many"),
        (WHOLE, C.EQUALS, True),
        (COLOUR, C.CONTAINS, "Red"),
        (COLOUR, C.EQUALS, "Purple"),
        (SEVERAL, C.EQUALS, 1),
        (SEVERAL, C.LESS, 1),
        (DAY, C.EQUALS, "2023-04-07T10:00"),
        (DAY, C.EQUALS, 5),
        (DAY, C.CONTAINS, "2023"),
        (MOMENT, C.EQUALS, "yesterday"),
        (MOMENT, C.EQUALS, "2023-04-31"),
        (MOMENT, C.IN, ["2023-04-07", 5]),
        (LINK, C.LESS, ID),
        (LINK, C.EQUALS, "contoso"),
    ],
)
def test_a_filter_that_cannot_be_put_is_refused(field: FieldSchema, comparison: C, value: Any) -> None:
    """A comparison that the type does not know, or a value that the field can never hold."""
    with pytest.raises(UnfitError):
        value_test(Filter(field="x", comparison=comparison, value=value), field, UTC)


@pytest.mark.parametrize("field", [TEXT, NUMBER, TRUTH, COLOUR, SEVERAL, DAY, MOMENT, LINK])
def test_a_value_of_another_type_is_no_verdict(field: FieldSchema) -> None:
    """What the field's type does not allow is neither passed nor filtered out: it is refused."""
    some = {T.STRING: "a", T.DATE: "2023-04-07", T.DATETIME: "2023-04-07", T.LOOKUP: ID}.get(field.type, 1)
    with pytest.raises(UnfitError):
        passes(field, {"odd": 1}, C.IN, [some])
    with pytest.raises(UnfitError):
        passes(field, {"odd": 1}, C.NOT_IN, [some])


LETTERS = st.text(string.ascii_letters, max_size=3)


@given(LETTERS, LETTERS, st.sampled_from(list(NEGATIONS)))
def test_a_negation_is_the_opposite(found: str, value: str, comparison: Comparison) -> None:
    """Of a record that has a value, exactly one of a comparison and its negation is true."""
    wanted: Any = [value] if comparison is C.NOT_IN else value
    assert passes(TEXT, found, comparison, wanted) is not passes(TEXT, found, NEGATIONS[comparison], wanted)


@given(st.none() | DECIMALS, DECIMALS)
def test_order_is_total_over_numbers(found: Decimal | None, value: Decimal) -> None:
    """A number is less, equal or greater; an empty field is none of them."""
    verdicts = [passes(NUMBER, found, comparison, value) for comparison in (C.LESS, C.EQUALS, C.GREATER)]
    assert sum(verdicts) == (0 if found is None else 1)
    assert passes(NUMBER, found, C.LESS_OR_EQUAL, value) is (verdicts[0] or verdicts[1])
    assert passes(NUMBER, found, C.GREATER_OR_EQUAL, value) is (verdicts[2] or verdicts[1])


TESTS = [("a", lambda value: value == 1), ("b", lambda value: value == 1)]


@given(st.integers(0, 1), st.integers(0, 1))
def test_filters_combine_with_and_or_or(first: int, second: int) -> None:
    """ALL wants every filter to pass, ANY at least one."""
    every, one = record_test(TESTS, Match.ALL), record_test(TESTS, Match.ANY)
    assert every is not None
    assert one is not None
    assert every({"a": first, "b": second}) is bool(first and second)
    assert one({"a": first, "b": second}) is bool(first or second)


@pytest.mark.parametrize("match", Match)
def test_no_filters_means_every_record(match: Match) -> None:
    """There is nothing to meet, whatever the combination."""
    assert record_test([], match) is None


@pytest.mark.parametrize("match", Match)
@pytest.mark.parametrize("found", [{"a": 1}, {"a": 0}, {"b": 1}, {"b": 0}, {}])
def test_a_column_that_was_not_read_is_no_verdict(match: Match, found: dict[str, Any]) -> None:
    """Absent is not null: a record is judged with all its columns or not at all, in whatever order they stand."""
    test = record_test(TESTS, match)
    assert test is not None
    with pytest.raises(KeyError):
        test(found)
