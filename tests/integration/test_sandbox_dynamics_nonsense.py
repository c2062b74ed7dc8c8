"""Nonsense sent to the Dynamics sandbox: it is refused like the service refuses it, and never breaks the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sandbox_dynamics_room import Wire, person_id

from syncline.sandbox import Sandbox

ROW = person_id(1)
QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """One environment with one contact for all the nonsense."""
    with Sandbox() as sandbox, Wire(sandbox) as client:
        client.sandbox.dynamics.load("contact", [{"contactid": ROW, "lastname": "L"}])
        yield client


def refused_or_served(wire: Wire, method: str, path: str, **more: Any) -> None:
    answer = wire.send(method, path, **more)
    assert answer.status_code in {200, 201, 204, 304, 400, 404, 412, 414, 501}, (answer.status_code, answer.text)
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert isinstance(error["code"], str)
        assert error["message"]


PROPERTIES = ("lastname", "numberofchildren", "creditlimit", "donotemail", "birthdate", "modifiedon", "contactid")
OPERATORS = ("eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "(", ")", ",", "=", "/")
LITERALS = ("'", "'x'", "'a''b'", "1", "-1.5e3", "9" * 22, "true", "false", "null", "@p", "1990-02-28", "1990-13-45")
MOMENTS = ("2026-01-01T00:00:00Z", "2026-99-99T00:00:00Z", ROW, "[", "]", "[1]")
CALLS = ("contains(", "Microsoft.Dynamics.CRM.In(", "PropertyName='lastname'", 'PropertyValues=["a"]')
OTHERS = ("_ownerid_value", "ownerid/fullname", "$it", "%", "é", "🌸", ";", "\\", '"', "\x00")
words = st.sampled_from([*PROPERTIES, *OPERATORS, *LITERALS, *MOMENTS, *CALLS, *OTHERS])


@given(text=st.lists(words, max_size=14).map(" ".join))
@QUIET
def test_any_filter_and_order_is_answered(wire: Wire, text: str) -> None:
    """Whatever the words and their order: rows, or a refusal with a code and a message."""
    refused_or_served(wire, "GET", f"contacts?$select=lastname&$filter={quote(text)}&@p=1")
    refused_or_served(wire, "GET", f"contacts?$select=lastname&$orderby={quote(text)}")
    refused_or_served(wire, "GET", f"EntityDefinitions?$select=LogicalName&$filter={quote(text)}")


@given(text=st.text(alphabet="a()$=;,'/ *@", max_size=30))
@QUIET
def test_any_selection_and_expansion_is_answered(wire: Wire, text: str) -> None:
    """Unbalanced parentheses and quotes included."""
    for option in ("$expand", "$select", "$skiptoken", "$deltatoken", "$top", "$count"):
        refused_or_served(wire, "GET", f"contacts?{option}={quote(text)}")
    refused_or_served(wire, "GET", f"EntityDefinitions(LogicalName='contact')?$expand={quote(text)}")


@given(path=st.text(alphabet="acontsv()'=/$,0-", max_size=40))
@QUIET
def test_any_path_is_answered(wire: Wire, path: str) -> None:
    """Below the root of the service there is a row, a function or a refusal."""
    for prefix in ("contacts", "contacts(", f"contacts({ROW})/", "EntityDefinitions", ""):
        refused_or_served(wire, "GET", quote(f"{prefix}{path}"))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(), max_size=20)
    | st.sampled_from(["/contacts(1)", f"/contacts({ROW})", "$1", "2026-01-01T00:00:00Z", ROW, "9,1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    [
        "contactid",
        "lastname",
        "numberofchildren",
        "creditlimit",
        "address1_latitude",
        "donotemail",
        "birthdate",
        "lastusedincampaign",
        "gendercode",
        "new_interests",
        "statecode",
        "statuscode",
        "parentcustomerid_account@odata.bind",
        "ownerid@odata.bind",
        "ownerid",
        "_ownerid_value",
        "@odata.type",
        "@odata.id",
        "masterid",
        "nosuch",
        "",
        "@",
    ]
)


@given(body=values | st.dictionaries(names, values, max_size=6))
@QUIET
def test_any_body_is_answered(wire: Wire, body: Any) -> None:
    """Creates, updates and bulk messages take what fits and refuse the rest."""
    content = json.dumps(body).encode()
    refused_or_served(wire, "POST", "contacts", content=content)
    refused_or_served(wire, "PATCH", f"contacts({ROW})", content=content)
    refused_or_served(wire, "PUT", f"contacts({ROW})/lastname", content=content)
    target = {**body, "@odata.type": "Microsoft.Dynamics.CRM.contact"} if isinstance(body, dict) else body
    for message in ("CreateMultiple", "UpdateMultiple", "UpsertMultiple"):
        bulk = json.dumps({"Targets": [target]}).encode()
        refused_or_served(wire, "POST", f"contacts/Microsoft.Dynamics.CRM.{message}", content=bulk)


@given(
    pieces=st.lists(
        st.sampled_from(
            [
                "--b\r\n",
                "--b--\r\n",
                "--c\r\n",
                "--c--\r\n",
                "\r\n",
                "\n",
                "Content-Type: application/http\r\n",
                "Content-Type: multipart/mixed; boundary=c\r\n",
                "Content-ID: 1\r\n",
                "POST contacts HTTP/1.1\r\n",
                "GET $1 HTTP/1.1\r\n",
                "PATCH http://[bad HTTP/1.1\r\n",
                '{"lastname":"x"}\r\n',
                '{"a@odata.bind":"$1"}\r\n',
            ]
        ),
        max_size=16,
    )
)
@QUIET
def test_any_batch_is_answered(wire: Wire, pieces: list[str]) -> None:
    """A torn envelope is refused whole, a torn part in its place."""
    content = "".join(["--b\r\n", *pieces, "--b--\r\n"]).encode()
    answer = wire.send("POST", "$batch", headers={"Content-Type": "multipart/mixed; boundary=b"}, content=content)
    assert answer.status_code in {200, 400, 404, 412, 501}
    assert "HTTP/1.1 5" not in answer.text.replace("HTTP/1.1 501", "")
