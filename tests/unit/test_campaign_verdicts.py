"""What Campaign's answers mean: every documented text, in every shape a body comes in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.campaign.verdicts import RULES, Meaning, judge, verdict_of
from syncline.connectors.http import Response
from syncline.connectors.http.exchange import Headers
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    CredentialsError,
    ProtocolError,
    RecordRefusedError,
    SchemaChangedError,
    SynclineError,
    ThrottledError,
    UnavailableError,
)

CONTACT = "RST-360011 An error has occurred - please contact your administrator."
SENT = ("externalId", "gender", "email", "age", "location.city")

DOCUMENTED: list[tuple[str, type[SynclineError], str]] = [
    (
        "A 'Profile' with the same key '8d2' already exists.\nPGS-220000 PostgreSQL error: ERROR:  duplicate key value"
        ' violates unique constraint "nmsrecipient_key" DETAIL:  Key (sexternalid)=(8d2) already exists.',
        ConflictError,
        "",
    ),
    ("PGS-220000 PostgreSQL error: words of a later version", ConflictError, ""),
    ("PGS-220000 PostgreSQL error: ERROR:  value too long for type character varying(30)", RecordRefusedError, ""),
    ("PGS-220000 PostgreSQL error: ERROR:  deadlock detected", UnavailableError, ""),
    (
        f"{CONTACT}\nRST-360012 Inconsistent operation on resource 'profile' - Cannot update key 'SVC3' to 'SVC4'.",
        RecordRefusedError,
        "",
    ),
    (
        "'O5iRp40EGA' attribute unknown (see definition of 'Profiles (nms:recipient)' schema). XTK-170036 Unable to"
        " parse expression '@id = @O5iRp40EGA'.",
        RecordRefusedError,
        "",
    ),
    ("Unable to decrypt PKey. (PKey=@O5iRp40EGA)", RecordRefusedError, ""),
    ("'@gibberish' is not a valid constant", RecordRefusedError, ""),
    (f"{CONTACT}\nXTK-170049 The value of the 'email' field is not valid", RecordRefusedError, "email"),
    (
        "The value 'invalid' is not valid for the 'nms:recipient:gender' enumeration of the '@gender' field",
        RecordRefusedError,
        "gender",
    ),
    (
        "Cannot update the 'age' property that is read-only\n'age' property is not valid for the 'profile' resource.",
        RecordRefusedError,
        "age",
    ),
    (f"{CONTACT}\n'city' property is not valid for the 'profile' resource.", SchemaChangedError, "location.city"),
    (CONTACT, UnavailableError, ""),
    ("", UnavailableError, ""),
]


def answer(status: int, body: bytes, content_type: str = "application/json") -> Response:
    return Response(status, Headers({"content-type": content_type}), body)


def error_of(response: Response, *, write: bool = True) -> SynclineError:
    return judge(verdict_of(response), resource="profile", names=SENT, principal="somebody", write=write)


@pytest.mark.parametrize(("text", "expected", "field"), DOCUMENTED)
@pytest.mark.parametrize("shape", ["json string", "plain text", "object"])
def test_documented_texts(text: str, expected: type[SynclineError], field: str, shape: str) -> None:
    """The text decides, whichever shape the body has, and the field is named where the text names it."""
    bodies = {"json string": json.dumps(text), "plain text": text, "object": json.dumps({"message": text})}
    error = error_of(answer(500, bodies[shape].encode()))
    assert type(error) is expected
    assert getattr(error, "field", "") == field


@pytest.mark.parametrize("value", ["already exists", "PGS-220000", "Unable to find document", "contact your"])
def test_a_quoted_value_does_not_decide(value: str) -> None:
    """A record whose value reads like another error is still refused for what it is."""
    text = f"The value '{value}' is not valid for the 'nms:recipient:gender' enumeration of the '@gender' field"
    assert type(error_of(answer(500, json.dumps(text).encode()))) is RecordRefusedError


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"error_code": "401013", "message": "Oauth token is not valid"}, CredentialsError),
        (403, {"error_code": "403023", "message": "Profile is not valid"}, CredentialsError),
        (403, {"error_code": "403025", "message": "Profile is not valid"}, CredentialsError),
        (403, {"error_code": "403003", "message": "Api Key is invalid"}, CredentialsError),
        (403, {"error_code": "403999", "message": "?"}, CredentialsError),
        (429, {"error_code": "429050", "message": "Too many requests"}, ThrottledError),
        (500, {"code": 500, "message": "Oops. Something went wrong. Check your URI and try again."}, CredentialsError),
        (502, {"code": 502, "message": "Oops. Something went wrong. Check your URI and try again."}, CredentialsError),
        (404, {"error_code": "404000", "message": "?"}, ProtocolError),
    ],
)
def test_the_gateway(status: int, body: dict[str, object], expected: type[SynclineError]) -> None:
    """The gateway is told by its codes and numbers; what a person must mend stops the workflow and says how."""
    error = error_of(answer(status, json.dumps(body).encode()))
    assert type(error) is expected
    assert error.remedy or expected is ThrottledError


def test_a_wrong_organisation_at_first() -> None:
    """The gateway's first answer to a wrong organisation is a bare 400."""
    error = error_of(answer(400, b"Bad Request", "text/plain"))
    assert isinstance(error, CredentialsError)
    assert "organisation" in error.remedy


def test_the_engine_cannot_speak_for_the_gateway() -> None:
    """Words of the gateway inside an engine's text do not stop a workflow."""
    assert not isinstance(error_of(answer(500, b'"Check your URI 403023"')), CredentialsError)


@pytest.mark.parametrize(("status", "write", "expected"), [
    (500, True, UnavailableError),
    (503, True, UnavailableError),
    (502, True, AmbiguousWriteError),
    (504, True, AmbiguousWriteError),
    (502, False, UnavailableError),
    (504, False, UnavailableError),
    (400, True, ProtocolError),
    (404, True, ProtocolError),
])  # fmt: skip
def test_pages_between(status: int, write: bool, expected: type[SynclineError]) -> None:
    """A page of a proxy or gateway is never Campaign's word; a write behind a time-out may have happened."""
    page = answer(status, b"<html><body>Unable to find document PGS-220000</body></html>", "text/html")
    assert type(error_of(page, write=write)) is expected


def test_404_with_hidden_cause() -> None:
    """404 with the administrator's text means that the address is not there, not that the service is."""
    text = f"{CONTACT} Error rc=-2003"
    assert verdict_of(answer(404, json.dumps(text).encode())).meaning is Meaning.NOT_FOUND


def test_the_document_that_is_missing_is_named() -> None:
    """A missing linked record can be told from a missing record."""
    text = f"{CONTACT}\nUnable to find document with path 'Service' from key 'adobe_nl:0' (document with schema ...)"
    verdict = verdict_of(answer(404, json.dumps(text).encode()))
    assert (verdict.meaning, verdict.document) == (Meaning.NOT_FOUND, "Service")


QUOTING = [
    "{}",
    "The value '{}' is not valid for the 'a' enumeration of the '@b' field",
    "'{}' property is not valid for the 'profile' resource.",
    "A 'Profile' with the same key '{}' already exists.",
]


@given(st.text(max_size=300), st.sampled_from(QUOTING))
def test_no_value_reaches_a_message(secret: str, template: str) -> None:
    """Whatever Campaign quotes, a message holds our own words, our own field names and a code."""
    text = template.replace("{}", f"canary{secret}")
    error = error_of(answer(500, json.dumps(text).encode()))
    assert "canary" not in f"{error!s} {error!r} {error.remedy} {getattr(error, 'field', '')}"


@given(st.binary(max_size=400), st.integers(400, 599), st.sampled_from(["", "text/html", "application/json"]))
def test_every_answer_has_a_verdict(body: bytes, status: int, content_type: str) -> None:
    """Any bytes with any status become exactly one of our errors."""
    assert isinstance(error_of(answer(status, body, content_type)), SynclineError)


def test_long_answers_cost_little() -> None:
    """Patterns run over the beginning of an answer only."""
    body = json.dumps("PGS-220000 " * 200_000).encode()
    assert len(verdict_of(answer(500, body)).text) <= 8_000


def test_every_rule_says_something() -> None:
    """Each line of the table has words for people."""
    assert all(rule.says for rule in RULES)
