"""Values go to Campaign as they are or not at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.definition_room import DECIMALS

from syncline.conversions.reading import RefuseReason, UnfitError, literal
from syncline.conversions.writing import MAX_TEXT, constant_value, converter
from syncline.records import decode_values, encode_values
from syncline.schemas import FieldSchema, FieldType

T = FieldType
R = RefuseReason
PARIS = ZoneInfo("Europe/Paris")
COLOURS = {"1": "Red", "2": "Light green", "-3": "Blue"}


def field(kind: FieldType, **more: Any) -> FieldSchema:
    return FieldSchema(name="x", type=kind, **more)


def convert(value: Any, source: FieldType | FieldSchema, target: FieldType | FieldSchema, **settings: Any) -> Any:
    sides = [side if isinstance(side, FieldSchema) else field(side) for side in (source, target)]
    return converter(*sides, **settings)(value)


def refused(value: Any, source: FieldType | FieldSchema, target: FieldType | FieldSchema, **settings: Any) -> R:
    with pytest.raises(UnfitError) as caught:
        convert(value, source, target, **settings)
    return caught.value.reason


def outcome(value: Any, source: FieldSchema, target: FieldSchema, **settings: Any) -> Any:
    """What a value becomes, or the reason why it becomes nothing."""
    try:
        return converter(source, target, **settings)(value)
    except UnfitError as error:
        return error.reason


def type_name(value: object) -> str:
    return value if isinstance(value, StrEnum) else type(value).__name__


PAIRS = [(source, target) for source in FieldType for target in FieldType]


def possible(source: FieldType, target: FieldType) -> bool:
    try:
        converter(field(source), field(target))
    except UnfitError:
        return False
    return True


CONVERTIBLE = [pair for pair in PAIRS if possible(*pair)]


@pytest.mark.parametrize(
    ("source", "target", "value", "wanted"),
    [
        (T.STRING, T.STRING, "Zoë 🦊", "Zoë 🦊"),
        (T.STRING, T.STRING, "two\nlines\tand a tab", "two\nlines\tand a tab"),
        (T.STRING, T.STRING, "", ""),
        (T.STRING, T.INTEGER, "-12", -12),
        (T.STRING, T.DOUBLE, "1.50", Decimal("1.5")),
        (T.STRING, T.BOOLEAN, "True", True),
        (T.STRING, T.BOOLEAN, "0", False),
        (T.STRING, T.DATE, "1980-10-24", "1980-10-24"),
        (T.STRING, T.DATETIME, "2019-09-25T23:20:35Z", "2019-09-25 23:20:35.000Z"),
        (T.BOOLEAN, T.BOOLEAN, True, True),
        (T.BOOLEAN, T.INTEGER, True, 1),
        (T.BOOLEAN, T.DOUBLE, False, Decimal(0)),
        (T.BOOLEAN, T.STRING, False, "false"),
        (T.INTEGER, T.INTEGER, -7, -7),
        (T.INTEGER, T.INTEGER, Decimal("7.0"), 7),
        (T.INTEGER, T.STRING, 7, "7"),
        (T.INTEGER, T.BOOLEAN, 1, True),
        (T.INTEGER, T.DOUBLE, 7, Decimal(7)),
        (T.DECIMAL, T.DECIMAL, Decimal("20000.0000"), Decimal(20000)),
        (T.DECIMAL, T.STRING, Decimal("20000.0000"), "20000"),
        (T.DECIMAL, T.STRING, Decimal("-0.0"), "0"),
        (T.DECIMAL, T.STRING, Decimal("1E+3"), "1000"),
        (T.DECIMAL, T.INTEGER, Decimal("3.00"), 3),
        (T.DOUBLE, T.DOUBLE, Decimal("0.30000000000000004"), Decimal("0.30000000000000004")),
        (T.DOUBLE, T.DOUBLE, 0.1, Decimal("0.1")),
        (T.MONEY, T.DOUBLE, Decimal("-12.3400"), Decimal("-12.34")),
        (T.MONEY, T.STRING, Decimal("-12.3400"), "-12.34"),
        (T.DATE, T.DATE, "1980-10-24", "1980-10-24"),
        (T.DATE, T.STRING, "9999-12-31", "9999-12-31"),
        (T.DATE, T.DATETIME, "1980-10-24", "1980-10-24 00:00:00.000Z"),
        (T.DATETIME, T.DATETIME, "2023-04-07T21:59:01Z", "2023-04-07 21:59:01.000Z"),
        (T.DATETIME, T.DATETIME, "2023-04-07T21:59:01.1239999Z", "2023-04-07 21:59:01.123Z"),
        (T.DATETIME, T.DATETIME, "2023-04-07T23:59:01+02:00", "2023-04-07 21:59:01.000Z"),
        (T.DATETIME, T.DATETIME, "2023-04-07T21:59:01", "2023-04-07 21:59:01.000Z"),
        (T.DATETIME, T.STRING, "2023-04-07T21:59:01Z", "2023-04-07 21:59:01.000Z"),
        (T.DATETIME, T.DATE, "2023-04-07T21:59:01Z", "2023-04-07"),
        (T.PICKLIST, T.STRING, 2, "2"),
        (T.PICKLIST, T.INTEGER, 2, 2),
        (T.PICKLIST, T.BOOLEAN, 1, True),
        (T.MULTI_PICKLIST, T.STRING, "2,3, 9", "2,3,9"),
        (T.LOOKUP, T.STRING, "7B5F2F2E-0c41-4c3e-9a6d-0f0a2b1c3d4e", "7b5f2f2e-0c41-4c3e-9a6d-0f0a2b1c3d4e"),
        (T.GUID, T.STRING, "{7b5f2f2e-0c41-4c3e-9a6d-0f0a2b1c3d4e}", "7b5f2f2e-0c41-4c3e-9a6d-0f0a2b1c3d4e"),
        (T.OTHER, T.STRING, True, "true"),
        (T.OTHER, T.STRING, Decimal("1.50"), "1.5"),
        (T.OTHER, T.OTHER, "as it is", "as it is"),
    ],
)
def test_a_value_becomes_what_the_target_holds(source: T, target: T, value: Any, wanted: Any) -> None:
    """Every pair of types that can convert, in Campaign's spelling, with the type to the letter."""
    found = convert(value, source, target)
    assert (found, type(found)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("source", "target", "value", "reason"),
    [
        (T.STRING, T.STRING, 5, R.WRONG_TYPE),
        (T.STRING, T.STRING, True, R.WRONG_TYPE),
        (T.STRING, T.STRING, ["a"], R.WRONG_TYPE),
        (T.STRING, T.STRING, "nul \0", R.FORBIDDEN_CHARACTERS),
        (T.STRING, T.STRING, "bell \x07", R.FORBIDDEN_CHARACTERS),
        (T.STRING, T.STRING, "half \ud83d", R.FORBIDDEN_CHARACTERS),
        (T.STRING, T.STRING, "no character \uffff", R.FORBIDDEN_CHARACTERS),
        (T.STRING, T.STRING, "a" * 10_000_000, R.TOO_LONG),
        (T.STRING, T.INTEGER, "1.0", R.WRONG_TYPE),
        (T.STRING, T.INTEGER, "٣", R.WRONG_TYPE),
        (T.STRING, T.INTEGER, " 3", R.WRONG_TYPE),
        (T.STRING, T.INTEGER, "9" * 5_000, R.WRONG_TYPE),
        (T.STRING, T.DOUBLE, "NaN", R.WRONG_TYPE),
        (T.STRING, T.DOUBLE, "1e5", R.WRONG_TYPE),
        (T.STRING, T.BOOLEAN, "yes", R.WRONG_TYPE),
        (T.STRING, T.DATE, "24.10.1980", R.WRONG_TYPE),
        (T.STRING, T.DATE, "1980-10-32", R.OUT_OF_RANGE),
        (T.STRING, T.DATETIME, "yesterday", R.WRONG_TYPE),
        (T.BOOLEAN, T.BOOLEAN, 1, R.WRONG_TYPE),
        (T.BOOLEAN, T.STRING, "true", R.WRONG_TYPE),
        (T.INTEGER, T.INTEGER, True, R.WRONG_TYPE),
        (T.INTEGER, T.INTEGER, "7", R.WRONG_TYPE),
        (T.INTEGER, T.INTEGER, 2**63, R.OUT_OF_RANGE),
        (T.INTEGER, T.STRING, 10**5_000, R.OUT_OF_RANGE),
        (T.INTEGER, T.BOOLEAN, 2, R.WRONG_TYPE),
        (T.DECIMAL, T.INTEGER, Decimal("3.5"), R.WRONG_TYPE),
        (T.DECIMAL, T.STRING, Decimal("NaN"), R.NOT_A_NUMBER),
        (T.DECIMAL, T.STRING, Decimal("sNaN"), R.NOT_A_NUMBER),
        (T.DECIMAL, T.STRING, Decimal("Infinity"), R.NOT_A_NUMBER),
        (T.DECIMAL, T.STRING, Decimal("1E+999999"), R.OUT_OF_RANGE),
        (T.DOUBLE, T.DOUBLE, float("nan"), R.NOT_A_NUMBER),
        (T.DOUBLE, T.DOUBLE, Decimal("1E+400"), R.OUT_OF_RANGE),
        (T.DOUBLE, T.DOUBLE, Decimal("1E-400"), R.TOO_PRECISE),
        (T.DECIMAL, T.DOUBLE, Decimal("123456789012.3456789012"), R.TOO_PRECISE),
        (T.INTEGER, T.DOUBLE, 2**53 + 1, R.TOO_PRECISE),
        (T.MONEY, T.DOUBLE, {"amount": 1}, R.WRONG_TYPE),
        (T.DATE, T.DATE, "0001-01-01", R.OUT_OF_RANGE),
        (T.DATE, T.DATE, "1752-12-31", R.OUT_OF_RANGE),
        (T.DATE, T.DATE, "10000-01-01", R.WRONG_TYPE),
        (T.DATE, T.DATE, "1980-W01-1", R.WRONG_TYPE),
        (T.DATE, T.DATE, "2023-02-29", R.OUT_OF_RANGE),
        (T.DATE, T.DATE, "1980-10-24T00:00:00Z", R.WRONG_TYPE),
        (T.DATETIME, T.DATETIME, "0001-01-01T00:00:00Z", R.OUT_OF_RANGE),
        (T.DATETIME, T.DATETIME, "0001-01-01T00:00:00+14:00", R.OUT_OF_RANGE),
        (T.DATETIME, T.DATETIME, "2023-04-07T25:00:00Z", R.OUT_OF_RANGE),
        (T.DATETIME, T.DATETIME, "2023-04-07", R.WRONG_TYPE),
        (T.DATETIME, T.DATETIME, "20230407T215901Z", R.WRONG_TYPE),
        (T.DATETIME, T.DATETIME, 1680904741, R.WRONG_TYPE),
        (T.PICKLIST, T.STRING, "2", R.WRONG_TYPE),
        (T.PICKLIST, T.STRING, True, R.WRONG_TYPE),
        (T.MULTI_PICKLIST, T.STRING, "2;3", R.WRONG_TYPE),
        (T.MULTI_PICKLIST, T.STRING, 2, R.WRONG_TYPE),
        (T.LOOKUP, T.STRING, "not a guid", R.WRONG_TYPE),
        (T.OTHER, T.STRING, {"a": 1}, R.WRONG_TYPE),
        (T.OTHER, T.STRING, [], R.WRONG_TYPE),
    ],
    ids=type_name,
)
def test_a_value_that_does_not_fit_is_refused(source: T, target: T, value: Any, reason: R) -> None:
    """Never mangled and never cut: a reason instead."""
    assert refused(value, source, target) is reason


@pytest.mark.parametrize(("source", "target"), CONVERTIBLE)
def test_null_stays_null(source: T, target: T) -> None:
    """An empty field empties the target field, whatever the types."""
    assert convert(None, source, target) is None


def test_what_can_never_convert_is_refused_before_any_value() -> None:
    """A pair of types without a single value in common is told when the mapping is checked."""
    assert not possible(T.BOOLEAN, T.DATE)
    assert not possible(T.MONEY, T.DATETIME)
    assert not possible(T.LOOKUP, T.INTEGER)
    assert not possible(T.MULTI_PICKLIST, T.INTEGER)
    assert not [source for source in FieldType if possible(source, T.LOOKUP) or possible(source, T.MULTI_PICKLIST)]
    assert all(possible(source, T.STRING) for source in FieldType)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text()
    | st.text(st.characters(categories=["Cs", "Cc", "Nd"]))
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?", fullmatch=True)
    | st.datetimes().map(datetime.isoformat)
    | st.uuids().map(str),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(CONVERTIBLE), JSON, st.booleans(), st.sampled_from([UTC, PARIS, timezone(timedelta(hours=14))]))
def test_any_json_converts_or_is_refused(pair: tuple[T, T], value: Any, labels: bool, zone: Any) -> None:
    """Whatever a field holds, the answer is a value that JSON can carry, or a reason; never another error."""
    source, target = field(pair[0], options=COLOURS), field(pair[1])
    found = outcome(value, source, target, labels=labels, zone=zone)
    if isinstance(found, RefuseReason):
        return
    if isinstance(found, str):
        found.encode("utf-8")
        assert not set(found) & set(map(chr, [*range(9), 11, 12, *range(14, 32)]))
    assert decode_values(encode_values({"x": found})) == {"x": found}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")), st.integers(1, 20))
def test_text_fits_or_is_refused_and_is_never_cut(text: str, most: int) -> None:
    """Length is counted in characters."""
    if len(text) <= most:
        assert convert(text, T.STRING, field(T.STRING, max_length=most)) == text
    else:
        assert refused(text, T.STRING, field(T.STRING, max_length=most)) is R.TOO_LONG


@given(DECIMALS)
def test_numbers_keep_their_value(number: Decimal) -> None:
    """A number reaches Campaign with its value, or is refused because a double cannot keep it."""
    assert Decimal(convert(number, T.DECIMAL, T.STRING)) == number
    found = outcome(number, field(T.DECIMAL), field(T.DOUBLE))
    if Decimal(repr(float(number))) == number:
        assert found == number
        assert Decimal(repr(float(found))) == found
    else:
        assert found is R.TOO_PRECISE


@given(st.datetimes(min_value=datetime(1753, 1, 2), timezones=st.just(UTC)))  # noqa: DTZ001 -- bounds are naive
def test_a_moment_keeps_its_instant(moment: datetime) -> None:
    """What Campaign is given names the same millisecond."""
    found = datetime.fromisoformat(convert(moment.isoformat().replace("+00:00", "Z"), T.DATETIME, T.DATETIME))
    assert found == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@given(st.dates(min_value=date(1753, 1, 2), max_value=date(9999, 12, 30)))
def test_a_day_that_becomes_a_moment_stays_that_day(day: date) -> None:
    """The first moment of a day in the time zone falls on that day in the time zone."""
    moment = convert(day.isoformat(), T.DATE, T.DATETIME, zone=PARIS)
    assert convert(moment.replace(" ", "T"), T.DATETIME, T.DATE, zone=PARIS) == day.isoformat()


def test_the_time_zone_tells_the_date_of_a_moment() -> None:
    """Late in the evening of UTC it is the next day in Paris; a field without a time zone keeps its own day."""
    late = "2023-04-07T22:30:00Z"
    assert convert(late, T.DATETIME, T.DATE) == "2023-04-07"
    assert convert(late, T.DATETIME, T.DATE, zone=PARIS) == "2023-04-08"
    unbound = field(T.DATETIME, time_zone_independent=True)
    assert convert(late, unbound, T.DATE, zone=PARIS) == "2023-04-07"
    assert convert(late, unbound, T.DATETIME, zone=PARIS) == "2023-04-07 22:30:00.000Z"


def test_the_end_of_the_calendar_is_refused() -> None:
    """The last moment of year 9999 has no date east of UTC."""
    assert refused("9999-12-31T23:59:59Z", T.DATETIME, T.DATE, zone=PARIS) is R.OUT_OF_RANGE
    west = timezone(-timedelta(hours=23))
    assert convert("9999-12-31", T.DATE, T.DATETIME, zone=west) == "9999-12-31 23:00:00.000Z"


def test_a_picklist_goes_by_value_or_label() -> None:
    """The switch decides; an option nobody described goes by its technical value."""
    colour = field(T.PICKLIST, options=COLOURS)
    assert convert(2, colour, T.STRING) == "2"
    assert convert(2, colour, T.STRING, labels=True) == "Light green"
    assert convert(-3, colour, T.STRING, labels=True) == "Blue"
    assert convert(99, colour, T.STRING, labels=True) == "99"
    assert convert(2, colour, T.INTEGER, labels=True) == 2
    several = field(T.MULTI_PICKLIST, options=COLOURS)
    assert convert("1,2,99", several, T.STRING, labels=True) == "Red; Light green; 99"
    yes = field(T.BOOLEAN, options={"0": "Allow", "1": "Do Not Allow"})
    assert convert(True, yes, T.STRING, labels=True) == "Do Not Allow"
    assert convert(True, yes, T.STRING) == "true"
    assert convert(True, yes, T.BOOLEAN, labels=True) is True


def test_an_enumeration_takes_the_names_of_its_options() -> None:
    """A value must be one of the names when they are known; labels are refused."""
    gender = field(T.PICKLIST, options={"unknown": "Unknown", "female": "Female"})
    assert convert("female", T.STRING, gender) == "female"
    assert refused("Female", T.STRING, gender) is R.UNKNOWN_OPTION
    assert refused(1, field(T.PICKLIST, options=COLOURS), gender) is R.UNKNOWN_OPTION
    assert convert("Female", T.STRING, T.PICKLIST) == "Female"


def test_whole_numbers_respect_the_width_of_the_target() -> None:
    """Campaign's byte, short and long take 8, 16 and 32 bits; where the width is not known, 64."""
    assert convert(127, T.INTEGER, field(T.INTEGER, native_type="byte")) == 127
    assert refused(128, T.INTEGER, field(T.INTEGER, native_type="byte")) is R.OUT_OF_RANGE
    assert refused(-32769, T.INTEGER, field(T.INTEGER, native_type="short (none)")) is R.OUT_OF_RANGE
    assert refused(2**31, T.INTEGER, field(T.INTEGER, native_type="long")) is R.OUT_OF_RANGE
    assert convert(2**31, T.INTEGER, T.INTEGER) == 2**31


def test_lengths_can_be_overridden() -> None:
    """A configured length wins over the target's own; without any there is still an end."""
    first_name = field(T.STRING, max_length=30)
    assert refused("a" * 31, T.STRING, first_name) is R.TOO_LONG
    assert convert("a" * 50, T.STRING, first_name, max_length=50) == "a" * 50
    assert refused("a" * 50, T.STRING, first_name, max_length=49) is R.TOO_LONG
    assert len(convert("a" * MAX_TEXT, T.STRING, T.STRING)) == MAX_TEXT


def test_a_replaced_value_is_not_converted_again() -> None:
    """Replacements are compared with what was read and give what Campaign is to hold; null can be replaced too."""
    gender = field(T.PICKLIST, options={"unknown": "", "female": ""})
    replaced = {2: "female", None: "unknown"}
    assert convert(2, T.PICKLIST, gender, replaced=replaced) == "female"
    assert convert(None, T.PICKLIST, gender, replaced=replaced) == "unknown"
    assert refused(1, T.PICKLIST, gender, replaced=replaced) is R.UNKNOWN_OPTION
    assert refused(True, T.PICKLIST, gender, replaced={1: "female"}) is R.WRONG_TYPE


@pytest.mark.parametrize(
    ("value", "target", "wanted"),
    [
        ("all", field(T.LOOKUP), {"PKey": "all"}),
        ({"PKey": "all"}, field(T.LOOKUP), {"PKey": "all"}),
        (True, field(T.BOOLEAN), True),
        (1, field(T.BOOLEAN), True),
        (3, field(T.STRING), "3"),
        (Decimal("1.5"), field(T.DOUBLE), Decimal("1.5")),
        ("1980-10-24", field(T.DATE), "1980-10-24"),
        ("1980-10-24 12:00", field(T.DATETIME), "1980-10-24 11:00:00.000Z"),
        ("female", field(T.PICKLIST, options={"female": ""}), "female"),
        (None, field(T.STRING), None),
    ],
)
def test_a_constant_becomes_what_the_target_holds(value: Any, target: FieldSchema, wanted: Any) -> None:
    """What a user writes down follows the rules of a Dynamics value of that type; links take a PKey."""
    found = constant_value(value, target, zone=PARIS)
    assert (found, type(found)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ({"label": "all"}, field(T.LOOKUP)),
        ({"PKey": ""}, field(T.LOOKUP)),
        ({"PKey": "a", "label": "b"}, field(T.LOOKUP)),
        (5, field(T.LOOKUP)),
        ("", field(T.LOOKUP)),
        (["a"], field(T.STRING)),
        ({"PKey": "a"}, field(T.STRING)),
        ("x", field(T.INTEGER)),
        (True, field(T.DATE)),
        ("long", field(T.STRING, max_length=3)),
        ("male", field(T.PICKLIST, options={"female": ""})),
    ],
)
def test_a_constant_that_does_not_fit_is_refused(value: Any, target: FieldSchema) -> None:
    """A link without a PKey would be ignored by Campaign in silence, so it is refused here."""
    with pytest.raises(UnfitError):
        constant_value(value, target)


@pytest.mark.parametrize(
    ("value", "source", "wanted"),
    [
        ("Light GREEN", field(T.PICKLIST, options=COLOURS), 2),
        ("2", field(T.PICKLIST, options=COLOURS), 2),
        (2, field(T.PICKLIST, options=COLOURS), 2),
        (77, field(T.PICKLIST, options=COLOURS), 77),
        ("77", field(T.PICKLIST), 77),
        ("do not allow", field(T.BOOLEAN, options={"0": "Allow", "1": "Do Not Allow"}), True),
        ("true", field(T.BOOLEAN), True),
        (0, field(T.BOOLEAN), False),
        ("1.50", field(T.MONEY), Decimal("1.5")),
        (5, field(T.STRING), "5"),
        ("2023-04-07", field(T.DATE), date(2023, 4, 7)),
        ("2023-04-07T10:00", field(T.DATETIME), datetime(2023, 4, 7, 8, tzinfo=UTC)),
        ("{7B5F2F2E-0C41-4C3E-9A6D-0F0A2B1C3D4E}", field(T.LOOKUP), "7b5f2f2e-0c41-4c3e-9a6d-0f0a2b1c3d4e"),
    ],
)
def test_a_user_may_name_a_value_in_several_ways(value: Any, source: FieldSchema, wanted: Any) -> None:
    """By technical value or label, as a number or its digits."""
    assert literal(value, source, PARIS) == wanted


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("Purple", field(T.PICKLIST, options=COLOURS)),
        ("same", field(T.PICKLIST, options={"1": "Same", "2": "same"})),
        (True, field(T.PICKLIST)),
        (1.5, field(T.PICKLIST)),
        ("maybe", field(T.BOOLEAN)),
        ("x", field(T.INTEGER)),
        (True, field(T.INTEGER)),
        ("x", field(T.LOOKUP)),
        ("2023-04-07", field(T.DATETIME)),
    ],
)
def test_a_value_that_a_field_cannot_hold_is_refused(value: Any, source: FieldSchema) -> None:
    """An unknown or ambiguous label, and a value of another type, are mistakes of the definition."""
    with pytest.raises(UnfitError):
        literal(value, source, UTC)
