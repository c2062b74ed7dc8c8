"""JSON of the services: read strictly, written exactly."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.http import Limits, Response
from syncline.connectors.http.exchange import Headers
from syncline.connectors.http.strict_json import dump, load
from syncline.errors import ConversionError, ProtocolError

LIMITS = Limits()


def response(body: bytes, content_type: str = "application/json") -> Response:
    return Response(200, Headers({"content-type": content_type}), body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"amount": 20000.0000}', {"amount": Decimal("20000.0000")}),
        (b"\xef\xbb\xbf5", 5),
        (b' {"a": [1, true, null, "x"]} ', {"a": [1, True, None, "x"]}),
        (b"1" * 1000, int("1" * 1000)),
        (b'"' + b"9" * 5000 + b'"', "9" * 5000),
        (b"1e300", Decimal("1e300")),
        ("\"Zoë \\ud83d\\ude00\"".encode(), "Zoë 😀"),
        (b'"\\ud800 \\u0000"', "\ud800 \0"),
        (b"[" * 64 + b"]" * 64, json.loads("[" * 64 + "]" * 64)),
        (b'{"a":"' + b"[{" * 100 + b'"}', {"a": "[{" * 100}),
    ],
)  # fmt: skip
def test_what_is_json_is_read_without_loss(body: bytes, value: object) -> None:
    """Fractions stay exact, a byte order mark is no mistake, and long strings are no long numbers."""
    found = response(body).json()
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": 1',
        b'{"a": 1}}',
        b'{"a": 1} {"b": 2}',
        b'{"a": 1, "a": 2}',
        b'[{"x": {"a": 1, "b": 2, "a": 1}}]',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999999",
        b"1e-99999",
        b"1" * 1001,
        b"-" + b"1" * 5000,
        b"0." + b"1" * 5000,
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"\xff\xfe{\x00}\x00",
        b'"\xff"',
        b"{'a': 1}",
        b'{"a": 01}',
        b"[1,]",
        b'"\n"',
        b"{" + b",".join(b'"%d":1' % number for number in range(10_001)) + b"}",
    ],
)
def test_what_is_not_strict_json_is_refused_whole(body: bytes) -> None:
    """Cut, doubled, endless, too deep, too long or not a number: a ProtocolError, whatever Python's reader thinks."""
    with pytest.raises(ProtocolError):
        response(body).json()


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.text('[]{}",:0123456789.eE+-truefalsn \\u', max_size=60).map(str.encode)
)
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    """Any answer is either a value or a ProtocolError."""
    try:
        response(body).json()
    except ProtocolError:
        return
    json.loads(body.removeprefix(b"\xef\xbb\xbf"))


def test_the_message_never_holds_what_a_record_says() -> None:
    """A damaged page of records is described by status, type, size and place, not by its content."""
    with pytest.raises(ProtocolError) as caught:
        response(b'{"value": [{"emailaddress1": "anna@example.com"}').json()
    message = str(caught.value)
    assert "anna" not in message
    assert "status 200, application/json, 48 bytes" in message


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("<html>\r\n<title>Sign in to your account</title>", "a page to sign in at"),
        ("<html><title>Request Rejected</title>", "a page that refuses access"),
        ("<h1>502 Bad Gateway</h1>", "a page that says something is down"),
        ("\n <!DOCTYPE html>", "a page for people, not data"),
    ],
)
def test_a_page_for_people_is_told_by_its_kind(page: str, told: str) -> None:
    """A page with status 200 is recognised and said in our words, with where to look for who sent it."""
    with pytest.raises(ProtocolError) as caught:
        response(page.encode(), "text/html; charset=utf-8").json()
    assert told in caught.value.message
    assert "proxy and firewall" in caught.value.remedy


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("page", ["<html><title>Blocked: anna@example.com</title>", '{"email": "anna@example.com"'])
def test_a_page_is_never_quoted(page: str, kind: str) -> None:
    """A firewall's page quotes the address it blocked, and a proxy may call cut-off records a page."""
    with pytest.raises(ProtocolError) as caught:
        response(page.encode(), kind).json()
    assert "anna" not in str(caught.value)
    assert "The service sent an answer that cannot be used (status 200" in str(caught.value)


def test_text_is_read_without_the_byte_order_mark() -> None:
    """Counts of Dataverse come with one; it is not part of the number."""
    assert response(b"\xef\xbb\xbf42", "text/plain").text() == "42"
    assert response(b"\xff", "text/plain").text() == "\ufffd"


def test_headers_are_found_in_any_case() -> None:
    """Names of headers are not case-sensitive, and printing headers shows names only."""
    headers = Headers({"retry-after": "7", "x-secret": "canary"})
    assert headers["Retry-After"] == "7"
    assert headers.get("RETRY-AFTER") == "7"
    assert "X-Secret" in headers
    assert "none" not in headers
    assert len(headers) == len(list(headers)) == 2
    assert repr(headers) == "<Headers: retry-after, x-secret>"


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_what_is_written_is_read_back_exactly(value: Any) -> None:
    """Every digit of a decimal and every character of a text survive the way there and back."""
    body = dump(value)
    found = load(body, LIMITS)
    assert _numbers_as_text(found) == _numbers_as_text(value)


def _numbers_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers_as_text(item) for item in value]
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return f"{Decimal(value):f}"
    return value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        Decimal("NaN"),
        Decimal("-Infinity"),
        "\ud800",
        {"a": ["x\udfff"]},
        [Decimal("1.5"), "\ud800"],
    ],
)
def test_what_json_cannot_say_is_a_conversion_error(value: object) -> None:
    """Values no service could read are refused before anything is sent, and the message does not repeat them."""
    with pytest.raises(ConversionError) as caught:
        dump({"field": value})
    assert "\ud800" not in str(caught.value)


def test_objects_without_a_json_form_are_a_mistake_of_the_caller() -> None:
    """A set or a class is not a value of a record."""
    with pytest.raises(TypeError):
        dump({"a": {1, 2}})
    with pytest.raises(TypeError):
        dump({"a": {1: Decimal("1.5")}})
