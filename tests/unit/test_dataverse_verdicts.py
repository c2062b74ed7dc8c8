"""What Dataverse's refusals mean: by code first, by status where the code says nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.dynamics.verdicts import RULES, Question, judge, verdict_of
from syncline.connectors.http import Response
from syncline.connectors.http.exchange import Headers
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    CredentialsError,
    CursorLostError,
    ProtocolError,
    RecordRefusedError,
    SchemaChangedError,
    SynclineError,
    ThrottledError,
    UnavailableError,
)

READ = Question(table="contact", columns=("firstname", "_parentcustomerid_value"))
LINK = Question(table="contact", columns=("firstname",), link=True)
WRITE = Question(table="contact", columns=("firstname", "gendercode"), write=True)


def response(status: int, body: object, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, Headers({name.replace("_", "-"): value for name, value in headers.items()}), raw)


def refusal(status: int, code: str, message: str = "", **headers: str) -> Response:
    return response(status, {"error": {"code": code, "message": message}}, **headers)


def error(answer: Response, question: Question) -> SynclineError:
    return judge(verdict_of(answer, question), question, principal="somebody")


@pytest.mark.parametrize(
    ("status", "code", "question", "kind"),
    [
        (400, "0x80044352", LINK, CursorLostError),
        (400, "0x80044352".upper().replace("X", "x"), LINK, CursorLostError),
        (500, "0x80044352", LINK, CursorLostError),
        (403, "-2147204270", LINK, CursorLostError),
        (410, "", LINK, CursorLostError),
        (400, "0x80040203", LINK, CursorLostError),
        (400, "0x80040203", READ, ProtocolError),
        (400, "0x80040203", WRITE, RecordRefusedError),
        (400, "0x80072491", READ, SchemaChangedError),
        (404, "0x8006088a", READ, SchemaChangedError),
        (400, "0x80041102", READ, SchemaChangedError),
        (404, "0x80040217", READ, SchemaChangedError),
        (404, "0x80040217", WRITE, ConflictError),
        (404, "0x80060891", WRITE, ConflictError),
        (412, "0x80060882", WRITE, ConflictError),
        (412, "0x80060892", WRITE, ConflictError),
        (412, "0x80040237", WRITE, ConflictError),
        (412, "0x80040333", WRITE, RecordRefusedError),
        (500, "0x80040333", WRITE, RecordRefusedError),
        (412, "", WRITE, ConflictError),
        (400, "0x8006088d", WRITE, SchemaChangedError),
        (403, "0x80040220", READ, CredentialsError),
        (403, "0x80072560", READ, CredentialsError),
        (403, "0x80095ffc", READ, CredentialsError),
        (403, "0x8004f507", WRITE, CredentialsError),
        (403, "", READ, CredentialsError),
        (400, "0x80044331", WRITE, RecordRefusedError),
        (400, "0x8004431a", WRITE, RecordRefusedError),
        (400, "0x80040265", WRITE, RecordRefusedError),
        (405, "0x8004023b", WRITE, RecordRefusedError),
        (400, "0x80060888", WRITE, RecordRefusedError),
        (400, "0x80060888", READ, ProtocolError),
        (503, "0x80072326", READ, ThrottledError),
        (500, "0x80048544", READ, ThrottledError),
        (500, "-2147204784", WRITE, UnavailableError),
        (500, "0x80044151", WRITE, UnavailableError),
        (500, "0x80040216", READ, UnavailableError),
        (500, "0x80040216", WRITE, UnavailableError),
        (503, "0x0", WRITE, UnavailableError),
    ],
)
def test_each_code_leads_to_one_branch(status: int, code: str, question: Question, kind: type[SynclineError]) -> None:
    """The same code means the same whatever its case or sign and whatever the status; the question decides the rest."""
    assert type(error(refusal(status, code), question)) is kind


@pytest.mark.parametrize(
    ("status", "question", "kind"),
    [
        (500, WRITE, AmbiguousWriteError),
        (502, WRITE, AmbiguousWriteError),
        (504, WRITE, AmbiguousWriteError),
        (408, WRITE, AmbiguousWriteError),
        (503, WRITE, UnavailableError),
        (502, READ, UnavailableError),
        (400, WRITE, ProtocolError),
        (404, READ, ProtocolError),
        (404, WRITE, ProtocolError),
        (200, READ, ProtocolError),
        (413, WRITE, RecordRefusedError),
        (403, READ, CredentialsError),
    ],
)
@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b"", b"upstream", b"[]", b'"text"', b'{"error": "text"}']
)
def test_an_answer_that_is_not_dataverses_leaves_a_write_in_doubt(
    status: int, question: Question, kind: type[SynclineError], body: bytes
) -> None:
    """A gateway cannot know what became of a request behind it; 503 alone says that it went no further."""
    assert type(error(response(status, body), question)) is kind


@pytest.mark.parametrize(
    ("code", "message", "column"),
    [
        ("0x0", "Could not find a property named 'firstname' on type 'Microsoft.Dynamics.CRM.contact'.", "firstname"),
        (
            "0x0",
            "Could not find a property named '_parentcustomerid_value' on type 'Microsoft.Dynamics.CRM.contact'.",
            "_parentcustomerid_value",
        ),
        (
            "0x80041103",
            "'Contact' entity doesn't contain attribute with Name = 'parentcustomerid' and NameMapping = 'Logical'.",
            "_parentcustomerid_value",
        ),
        ("", "Could not find a property named 'birthdate' on type 'Microsoft.Dynamics.CRM.contact'.", ""),
    ],
)
def test_a_column_that_is_gone_is_named_when_it_is_one_of_ours(code: str, message: str, column: str) -> None:
    """Whichever way Dataverse says it, the error names table and column, in the spelling we asked with."""
    found = error(refusal(400, code, message), READ)
    assert isinstance(found, SchemaChangedError)
    assert (found.table, found.field) == ("contact", column)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "0x0",
            "An error occurred while validating input parameters: Invalid property 'firstname' was found in entity",
        ),
        ("0x80048d19", "An undeclared property 'firstname' which only has property annotations in the payload but"),
    ],
)
def test_a_written_column_that_is_gone_is_a_change_of_the_schema(code: str, message: str) -> None:
    """A body with a column the table has not is no fault of the record."""
    found = error(refusal(400, code, message), WRITE)
    assert isinstance(found, SchemaChangedError)
    assert found.field == "firstname"


def test_messages_hold_no_word_of_dataverse() -> None:
    """Its text may quote a record: only our own words, the code, the status and the request's id are shown."""
    answer = refusal(
        400,
        "0x80044331",
        "The length of the 'firstname' attribute of 'anna@example.com' exceeded '50'.",
        x_ms_service_request_id="8feb994a81167346",
    )
    found = error(answer, WRITE)
    assert isinstance(found, RecordRefusedError)
    assert found.field == "firstname"
    assert str(found) == (
        "Dynamics 365 about contact.firstname: a text is too long (0x80044331, status 400, request 8feb994a81167346)."
    )


def test_remedies_name_the_table() -> None:
    """A missing privilege says which role is needed on which table, and for what."""
    assert "organization-level Read on contact" in str(error(refusal(403, "0x80040220"), READ))
    assert "create, write and delete contact" in str(error(refusal(403, "0x80040220"), WRITE))
    assert "'Track changes' in the properties of contact" in str(error(refusal(400, "0x80072491"), READ))
    assert "add an application user" in str(error(refusal(403, "0x80072560"), Question()))


def test_the_other_error_shape_is_read_too() -> None:
    """Some services behind Dataverse answer with Message and a signed ErrorCode."""
    body = {"Message": "x", "ExceptionMessage": "y", "StackTrace": "z", "ErrorCode": -2147204270}
    assert isinstance(error(response(500, body), LINK), CursorLostError)


@given(
    st.integers(300, 599),
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=12),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["error", "code", "message", "ErrorCode", "x"]), inner, max_size=4)
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    st.text(max_size=40),
    st.sampled_from([READ, LINK, WRITE, Question()]),
)
def test_every_answer_has_a_verdict(status: int, body: bytes, request_id: str, question: Question) -> None:
    """No answer, however odd, raises anything or puts its own words into a message."""
    answer = Response(status, Headers({"x-ms-service-request-id": request_id}), body)
    found = error(answer, question)
    assert isinstance(found, SynclineError)
    assert found.message.startswith("Dynamics 365")
    assert found.message.isprintable()


def test_the_table_is_complete_for_the_documented_codes() -> None:
    """Every code the documentation names has a rule, with words of ours."""
    documented: Any = (
        0x80040217, 0x80060891, 0x80060890, 0x8006089D, 0x80060892, 0x80040237, 0x80040333, 0x80060882, 0x80041103,
        0x80041102, 0x8006088A, 0x80040220, 0x80040231, 0x80048405, 0x80040256, 0x8004F502, 0x8004F504, 0x8004F507,
        0x80072560, 0x80044331, 0x8004431A, 0x80040203, 0x80040265, 0x8004023B, 0x80040227, 0x80044352, 0x80072491,
        0x80072321, 0x80072322, 0x80072326,
    )  # fmt: skip
    assert set(documented) <= RULES.keys()
    assert all(rule.says and not rule.says.endswith(".") for rule in RULES.values())
