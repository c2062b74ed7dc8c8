"""`$batch` of the Dynamics sandbox: line ends, order, stops, change sets and references."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from tests.sandbox_dynamics_room import Wire, code, person_id

CONTINUE = {"Prefer": "odata.continue-on-error"}


def part(method: str, url: str, body: Any = None, content_id: str = "", **headers: str) -> str:
    """One operation, after the boundary line."""
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    lines += [f"Content-ID: {content_id}"] if content_id else []
    lines += ["", f"{method} {url} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += ["Content-Type: application/json; type=entry", "", json.dumps(body)] if body is not None else ["", ""]
    return "\r\n".join(lines) + "\r\n"


def change_set(*parts: str) -> str:
    inner = "".join(f"--changeset_1\r\n{piece}" for piece in parts)
    return f'Content-Type: multipart/mixed; boundary="changeset_1"\r\n\r\n{inner}--changeset_1--\r\n'


def envelope(*parts: str) -> str:
    return "".join(f"--batch_1\r\n{piece}" for piece in parts) + "--batch_1--\r\n"


def send(wire: Wire, text: str, headers: dict[str, str] | None = None) -> httpx.Response:
    given = {"Content-Type": 'multipart/mixed; boundary="batch_1"', **(headers or {})}
    return wire.send("POST", "$batch", headers=given, content=text.encode())


def statuses(answer: httpx.Response) -> list[int]:
    return [int(found) for found in re.findall(r"^HTTP/1\.1 (\d{3})", answer.text, re.MULTILINE)]


def create(lastname: str, content_id: str = "", **body: Any) -> str:
    return part("POST", "/api/data/v9.2/contacts", {"lastname": lastname, **body}, content_id)


def lastnames(wire: Wire) -> Sequence[str]:
    return sorted(row["lastname"] for row in wire.sandbox.dynamics.rows("contact", ["lastname"]))


def test_answers_come_in_order_and_addresses_may_be_absolute_or_relative(wire: Wire) -> None:
    """Each part has the status line, headers and body it would have alone; unencoded spaces are taken."""
    answer = send(
        wire,
        envelope(
            part("PATCH", f"{wire.root}contacts({person_id(1)})", {"lastname": "A"}),
            part("GET", f"contacts({person_id(1)})?$select=lastname", Accept="application/json"),
            part("GET", "/api/data/v9.2/contacts?$select=lastname&$filter=lastname eq 'A'"),
            part("DELETE", f"contacts({person_id(1)})", **{"If-Match": "*"}),
        ),
    )
    assert answer.status_code == 200
    assert re.fullmatch(r"multipart/mixed; boundary=batchresponse_[0-9a-f-]{36}", answer.headers["Content-Type"])
    assert statuses(answer) == [204, 200, 200, 204]
    assert answer.text.count('"lastname":"A"') == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("\r\n", "\n"),
        lambda text: text.removesuffix("\r\n"),
        lambda text: text.removesuffix("\r\n") + "\n",
        lambda text: text.replace("\r\n--batch_1", "\n--batch_1"),
        lambda text: text.replace("--batch_1--\r\n", ""),
        lambda text: text.replace("binary\r\n\r\n", "binary\n\n"),
    ],
)
def test_every_line_end_must_be_crlf(wire: Wire, spoil: Any) -> None:
    """Also the last one; the refusal is plain JSON, not multipart, and nothing was done."""
    answer = send(wire, spoil(envelope(create("A"), create("B"))))
    assert code(answer) == (400, "0x80048d19")
    assert lastnames(wire) == []


def test_two_further_line_ends_cure_a_missing_last_one(wire: Wire) -> None:
    """The documented remedy for clients that cannot write CRLF there."""
    assert send(wire, envelope(create("A")).removesuffix("\r\n") + "\n\n").status_code == 200


def test_a_batch_stops_at_its_first_failure_and_takes_its_status(wire: Wire) -> None:
    """What came before stays done, what comes after is not tried and not answered."""
    answer = send(wire, envelope(create("A"), create("B", gendercode=77), create("C")))
    assert answer.status_code == 400
    assert statuses(answer) == [204, 400]
    assert "REQ_ID: " in answer.text
    assert lastnames(wire) == ["A"]


def test_a_batch_may_go_on_after_failures(wire: Wire) -> None:
    """With `odata.continue-on-error` the whole is 200 and each part says how it went."""
    answer = send(wire, envelope(create("A"), create("B", gendercode=77), create("C")), CONTINUE)
    assert answer.status_code == 200
    assert statuses(answer) == [204, 400, 204]
    assert lastnames(wire) == ["A", "C"]


def test_change_sets_happen_together_and_refer_to_what_they_made(wire: Wire) -> None:
    """`$1` stands in addresses and bindings; answers are nested and echo the Content-IDs."""
    contact = "/api/data/v9.2/contacts"
    vehicle = {"new_name": "V", "new_ContactId@odata.bind": "$1"}
    answer = send(
        wire,
        envelope(
            change_set(
                part("POST", contact, {"lastname": "A", "contactid": person_id(1)}, "1"),
                part("PATCH", "$1", {"firstname": "F"}, "2"),
                part("POST", "/api/data/v9.2/new_vehicles", vehicle, "3"),
                part("PUT", "$1/jobtitle", {"value": "Driver"}, "4"),
            )
        ),
    )
    assert statuses(answer) == [204, 204, 204, 204]
    assert "boundary=changesetresponse_" in answer.text
    assert re.findall(r"Content-ID: (\d)", answer.text) == ["1", "2", "3", "4"]
    row = wire.json(f"contacts({person_id(1)})?$select=firstname,jobtitle")
    assert (row["firstname"], row["jobtitle"]) == ("F", "Driver")
    assert wire.values("new_vehicles?$select=_new_contactid_value")[0]["_new_contactid_value"] == person_id(1)


@pytest.mark.parametrize("nested", [False, True])
def test_a_failing_change_set_is_undone_and_answered_once(wire: Wire, nested: bool) -> None:
    """One part stands for the whole set: plain, or nested as some servers do it."""
    wire.sandbox.dynamics.set(nested_change_set_failure=nested)
    answer = send(wire, envelope(change_set(create("A", "1"), create("B", "2", gendercode=77)), create("C")), CONTINUE)
    assert statuses(answer) == [400, 204]
    assert ("changesetresponse_" in answer.text) is nested
    assert lastnames(wire) == ["C"]


def test_references_forward_reads_and_missing_ids_are_not_for_change_sets(wire: Wire) -> None:
    """Each refusal undoes the set and says why."""
    bad_sets = {
        "Content-ID Reference: '$2' does not exist in the batch context.": [
            part("PATCH", "$2", {"lastname": "X"}, "1"),
            create("A", "2"),
        ],
        "GET": [part("GET", "/api/data/v9.2/contacts", content_id="1")],
        "Content-ID is required": [create("A")],
    }
    for message, parts in bad_sets.items():
        answer = send(wire, envelope(change_set(*parts)))
        assert statuses(answer) == [400]
        assert message in answer.text
    assert lastnames(wire) == []


def test_the_envelope_has_limits(wire: Wire) -> None:
    """At most 1,000 operations, unique Content-IDs over the whole batch, no batch inside, and a boundary."""
    get = part("GET", "/api/data/v9.2/WhoAmI")
    assert send(wire, envelope(*[get] * 1001)).status_code == 400
    assert statuses(send(wire, envelope(*[get] * 1000))) == [200] * 1000
    twice = envelope(change_set(create("A", "1")), change_set(create("B", "1")))
    assert send(wire, twice).status_code == 400
    assert send(wire, envelope(part("POST", "/api/data/v9.2/$batch", {}))).status_code == 400
    assert wire.send("POST", "$batch", {}).status_code == 400
    assert lastnames(wire) == []


def test_very_long_addresses_fit_inside_a_batch_only(wire: Wire) -> None:
    """A GET with 40,000 characters is refused outside and served inside."""
    values = ",".join(f'"{"x" * 30}{number}"' for number in range(1_100))
    condition = f"Microsoft.Dynamics.CRM.In(PropertyName='lastname',PropertyValues=[{values}])"
    path = f"contacts?$select=lastname&$filter={condition}"
    assert wire.get(path).status_code == 414
    assert statuses(send(wire, envelope(part("GET", f"/api/data/v9.2/{path}")))) == [200]
