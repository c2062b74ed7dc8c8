"""The connector against the sandbox: whole reads, traps of paging and tracking, metadata, access and writes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.dataverse_room import COLUMNS, PEOPLE, ask, connector, fill, person, walk

from syncline.connectors.dynamics import Dataverse
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    CursorLostError,
    ProtocolError,
    RecordRefusedError,
    SchemaChangedError,
    ThrottledError,
    UnavailableError,
    UntrustedUrlError,
)
from syncline.records import ReadStage
from syncline.retries import retries_off
from syncline.sandbox import Sandbox


def load(dataverse: Dataverse) -> str:
    """Read the table to its end and return the delta link."""
    _, last = walk(dataverse, ReadStage.LOAD)
    assert last.delta_link is not None
    return last.delta_link


# -- reading ------------------------------------------------------------------------------------------------------


def test_a_full_load_brings_every_row_once_in_pages(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Three pages, inactive rows included, exact decimals, and a delta link with the last page only."""
    fill(sandbox)
    sandbox.dynamics.update("contact", person(3), statecode=1, statuscode=2)
    first = dataverse.read(ask(ReadStage.LOAD))
    assert len(first.changes) == 10
    assert first.delta_link is None
    changes, last = walk(dataverse, ReadStage.LOAD)
    assert sorted(change.key.id for change in changes) == [person(n) for n in range(PEOPLE)]
    assert last.delta_link is not None
    values = next(change for change in changes if change.key.id == person(7)).values
    assert values == {"creditlimit": Decimal("7.0000"), "emailaddress1": None, "firstname": "Person 7"}
    assert str((values or {})["creditlimit"]) == "7.0000"
    assert all(change.etag for change in changes)


def test_a_load_that_was_cut_goes_on_at_its_page(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Another process with the stored link reads the rest, and the token at the end covers everything."""
    fill(sandbox)
    first = dataverse.read(ask(ReadStage.LOAD))
    other = connector(sandbox)
    rest, last = walk(other, ReadStage.LOAD, first.next_link)
    assert {change.key.id for change in (*first.changes, *rest)} == {person(n) for n in range(PEOPLE)}
    assert last.delta_link is not None
    other.close()


def test_changes_and_deletions_come_after_the_load(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A delta has the rows as they are now and the ids of the deleted; the next one begins behind it."""
    fill(sandbox)
    link = load(dataverse)
    sandbox.dynamics.update("contact", person(1), firstname="Changed")
    sandbox.dynamics.update("contact", person(1), firstname="Changed twice")
    sandbox.dynamics.load("contact", [{"contactid": person(100), "firstname": "New"}])
    sandbox.dynamics.delete("contact", person(2))
    changes, last = walk(dataverse, ReadStage.DELTA, link)
    newest = {change.key.id: change for change in changes}
    assert (newest[person(1)].values or {})["firstname"] == "Changed twice"
    assert (newest[person(100)].values or {})["firstname"] == "New"
    assert newest[person(2)].deleted
    assert set(newest) == {person(1), person(2), person(100)}
    again, _ = walk(dataverse, ReadStage.DELTA, last.delta_link)
    assert again == []


@pytest.mark.parametrize("form", ["list", "no_value", "empty"])
def test_a_delta_without_changes_in_each_of_its_forms(sandbox: Sandbox, dataverse: Dataverse, form: str) -> None:
    """An empty list, a missing list and an empty object are all no changes, and none loses the place."""
    fill(sandbox, 3)
    sandbox.dynamics.set(empty_delta=form)
    link = load(dataverse)
    for _ in range(3):
        changes, last = walk(dataverse, ReadStage.DELTA, link)
        assert changes == []
        assert last.delta_link is not None
        link = last.delta_link
    sandbox.dynamics.update("contact", person(1), firstname="Late")
    changes, _ = walk(dataverse, ReadStage.DELTA, link)
    assert [change.key.id for change in changes] == [person(1)]


def test_many_deletions_in_pages(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Changes and deletions share pages and together are complete."""
    fill(sandbox, 40)
    link = load(dataverse)
    for number in range(15):
        sandbox.dynamics.delete("contact", person(number))
    for number in range(15, 30):
        sandbox.dynamics.update("contact", person(number), firstname="x")
    changes, _ = walk(dataverse, ReadStage.DELTA, link)
    assert {change.key.id for change in changes if change.deleted} == {person(n) for n in range(15)}
    assert {change.key.id for change in changes if not change.deleted} == {person(n) for n in range(15, 30)}


def test_the_overlap_pass_finds_what_changed_while_the_load_ran(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A row touched during the load, which the token of its end does not cover, is found by its time."""
    fill(sandbox)
    began = datetime.now(UTC)
    first = dataverse.read(ask(ReadStage.LOAD))
    touched = first.changes[0].key.id
    sandbox.dynamics.update("contact", touched, firstname="Meanwhile")
    _, last = walk(dataverse, ReadStage.LOAD, first.next_link)
    delta, _ = walk(dataverse, ReadStage.DELTA, last.delta_link)
    assert touched not in {change.key.id for change in delta}
    found, _ = walk(dataverse, ReadStage.OVERLAP, since=began - timedelta(minutes=5))
    assert {"Meanwhile"} == {(c.values or {})["firstname"] for c in found if c.key.id == touched}
    none, _ = walk(dataverse, ReadStage.OVERLAP, since=began + timedelta(hours=1))
    assert none == []


def test_rows_that_reappear_while_paging_are_passed_on(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """The feed may show a row twice; the later one is the newer one."""
    fill(sandbox)
    sandbox.dynamics.set(duplicates=True)
    first = dataverse.read(ask(ReadStage.LOAD))
    touched = first.changes[0].key.id
    sandbox.dynamics.update("contact", touched, firstname="Again")
    rest, _ = walk(dataverse, ReadStage.LOAD, first.next_link)
    seen = [change for change in (*first.changes, *rest) if change.key.id == touched]
    assert len(seen) == 2
    assert (seen[-1].values or {})["firstname"] == "Again"


def test_the_wire_says_what_the_documentation_wants(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Tracking is asked for once, the page size on every page, and cookies never come back."""
    fill(sandbox)
    sandbox.dynamics.set(servers=4)
    dataverse.check_access()
    dataverse.read(ask(ReadStage.LOAD))
    sandbox.dynamics.keep_requests(50)
    walk(dataverse, ReadStage.LOAD)
    kept = sandbox.dynamics.requests()["kept"]
    sandbox.dynamics.keep_requests(0)
    headers = [{name.lower(): value for name, value in dict(entry["headers"]).items()} for entry in kept]
    assert [found.get("prefer") for found in headers] == [
        "odata.track-changes,odata.maxpagesize=10",
        "odata.maxpagesize=10",
        "odata.maxpagesize=10",
    ]
    for found in headers:
        assert "cookie" not in found
        assert found["if-none-match"] == "null"
        assert found["odata-version"] == found["odata-maxversion"] == "4.0"
        assert found["accept"] == "application/json"


@pytest.mark.parametrize("status", [400, 410, 500])
def test_an_expired_position_is_lost_whatever_the_status(sandbox: Sandbox, dataverse: Dataverse, status: int) -> None:
    """The code decides; nothing restarts from now by itself."""
    fill(sandbox, 3)
    link = load(dataverse)
    sandbox.dynamics.set(expired_token_status=status)
    sandbox.dynamics.expire_tokens("contact")
    with retries_off(), pytest.raises(CursorLostError):
        dataverse.read(ask(ReadStage.DELTA, link))


def test_an_old_position_is_lost(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """After the environment's own number of days, which it tells, the position is gone."""
    fill(sandbox, 3)
    sandbox.dynamics.set(expire_change_tracking_days=2)
    assert dataverse.change_tracking_days() == 2
    link = load(dataverse)
    sandbox.dynamics.shift_clock(3 * 86_400)
    try:
        with pytest.raises(CursorLostError):
            dataverse.read(ask(ReadStage.DELTA, link))
    finally:
        sandbox.dynamics.shift_clock(-3 * 86_400)


@pytest.mark.parametrize(
    "change",
    [
        lambda link: link.replace("127.0.0.1", "localhost"),
        lambda link: link.replace("http://", "https://"),
        lambda link: link.replace("/v9.2/", "/v9.1/"),
        lambda link: f"https://old.crm.dynamics.com/{link.partition('/api/')[2]}",
        lambda link: link.replace("deltatoken=", "deltatoken=9"),
        lambda link: link.partition("%21")[0],
        lambda _: "",
    ],
)
def test_a_position_of_another_environment_is_lost(sandbox: Sandbox, dataverse: Dataverse, change: Any) -> None:
    """A stored link with another host, scheme, path or token is a lost position: nothing is sent elsewhere."""
    fill(sandbox, 3)
    link = change(load(dataverse))
    with pytest.raises(CursorLostError):
        dataverse.read(ask(ReadStage.DELTA, link))


def test_a_changed_page_size_loses_the_page_and_not_the_records(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A paging cookie that Dataverse does not take any more is a lost position as well."""
    fill(sandbox)
    link = dataverse.read(ask(ReadStage.LOAD)).next_link
    assert link is not None
    with pytest.raises(CursorLostError):
        dataverse.read(ask(ReadStage.LOAD, link.replace("pagenumber", "pagenumbre")))


def test_reading_changes_without_a_position_is_a_lost_one(dataverse: Dataverse) -> None:
    """There is no reading from now on."""
    with pytest.raises(CursorLostError):
        dataverse.read(ask(ReadStage.DELTA))


def test_an_end_without_a_delta_link_is_an_error(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """As version 8.2 did once: the load is not taken for complete."""
    fill(sandbox, 3)
    sandbox.dynamics.set(delta_link_missing=True)
    with pytest.raises(ProtocolError, match="without a delta link"):
        dataverse.read(ask(ReadStage.LOAD))


def test_links_to_another_host_are_refused_when_they_come(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """An answer that would send us elsewhere is an attack or a proxy; it never becomes a position."""
    fill(sandbox)
    sandbox.dynamics.set(link_origin="https://copy.crm.dynamics.com")
    with pytest.raises(UntrustedUrlError, match=r"https://copy\.crm\.dynamics\.com"):
        dataverse.read(ask(ReadStage.LOAD))


def test_a_table_without_a_time_of_change_is_read_whole_in_the_overlap_pass(
    sandbox: Sandbox, dataverse: Dataverse
) -> None:
    """Where there is no `modifiedon` to ask by, every row is looked at again."""
    with pytest.raises(SchemaChangedError):
        dataverse.read(ask(ReadStage.OVERLAP, table="new_nothing"))
    sandbox.dynamics.drop_column("contact", "modifiedon")
    fill(sandbox, 4)
    changes, _ = walk(dataverse, ReadStage.OVERLAP, since=datetime.now(UTC) + timedelta(days=1))
    assert len(changes) == 4


def test_no_columns_reads_keys_only(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A request for no columns asks for the primary key and not for everything."""
    fill(sandbox, 3)
    changes, _ = walk(dataverse, ReadStage.LOAD, columns=())
    assert [dict(change.values or {}) for change in changes] == [{}, {}, {}]


def test_lookups_dates_and_choices_stay_the_sources_own_words(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A lookup is an id, a multiple choice a text of numbers, a date a text, whatever the mapping makes of them."""
    row = {
        "contactid": person(1), "new_interests": "2,8", "birthdate": "1970-01-02", "gendercode": 2,
        "masterid": person(2), "donotemail": True,
    }  # fmt: skip
    columns = ("_masterid_value", "birthdate", "donotemail", "gendercode", "modifiedon", "new_interests")
    sandbox.dynamics.load("contact", [row])
    changes, _ = walk(dataverse, ReadStage.LOAD, columns=columns)
    values = dict(changes[0].values or {})
    assert str(values.pop("modifiedon")).endswith("Z")
    assert values == {
        "_masterid_value": person(2), "birthdate": "1970-01-02", "donotemail": True, "gendercode": 2,
        "new_interests": "2,8",
    }  # fmt: skip


# -- the schema changes under a read ---------------------------------------------------------------------------------


def test_a_column_that_is_gone_is_named(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """First pages, changes and re-reads all say which column is missing."""
    fill(sandbox, 3)
    link = load(dataverse)
    sandbox.dynamics.drop_column("contact", "creditlimit")
    for read in (
        lambda: dataverse.read(ask(ReadStage.LOAD)),
        lambda: dataverse.read(ask(ReadStage.DELTA, link)),
        lambda: dataverse.fetch("contact", COLUMNS, [person(1)]),
    ):
        with pytest.raises(SchemaChangedError) as caught:
            read()
        assert (caught.value.table, caught.value.field) == ("contact", "creditlimit")


def test_a_table_that_is_gone_or_not_tracked(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A table that was dropped or whose tracking is off stops the read with the remedy."""
    vehicle: dict[str, Any] = {"table": "new_vehicle", "columns": ("new_name",)}
    dataverse.read(ask(ReadStage.LOAD, **vehicle))
    sandbox.dynamics.set_change_tracking("new_vehicle", False)
    with pytest.raises(SchemaChangedError, match="Track changes"):
        dataverse.read(ask(ReadStage.LOAD, **vehicle))
    sandbox.dynamics.drop_table("new_vehicle")
    with pytest.raises(SchemaChangedError):
        dataverse.read(ask(ReadStage.LOAD, **vehicle))
    with pytest.raises(SchemaChangedError, match="new_vehicle"):
        connector(sandbox).read(ask(ReadStage.LOAD, **vehicle))


# -- reading again by key --------------------------------------------------------------------------------------------


def test_records_are_read_again_by_key(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """More ids than one request or page holds; the deleted and the impossible are missing from the answer."""
    fill(sandbox, 230)
    sandbox.dynamics.delete("contact", person(5))
    ids = [person(n) for n in range(235)] + ["no guid", person(7)]
    found = dataverse.fetch("contact", COLUMNS, ids)
    assert set(found) == {person(n) for n in range(230)} - {person(5)}
    assert (found[person(229)].values or {})["firstname"] == "Person 229"
    assert found[person(7)].etag
    assert dataverse.fetch("contact", COLUMNS, []) == {}


# -- trouble ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "code"), [("limit_requests", "0x80072322"), ("limit_concurrent", "0x80072326")])
def test_service_protection_closes_the_gate(sandbox: Sandbox, limit: str, code: str) -> None:
    """After a 429 nothing of this user leaves before the time Dataverse named."""
    fill(sandbox, 3)
    dataverse = connector(sandbox)
    dataverse.check_access()
    sandbox.dynamics.set(protection=True, **{limit: 0})
    with pytest.raises(ThrottledError) as caught:
        dataverse.read(ask(ReadStage.LOAD))
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1
    assert dataverse.gates[0].closed_until is not None
    sandbox.dynamics.clear_requests()
    for _ in range(5):
        with pytest.raises(ThrottledError):
            dataverse.fetch("contact", COLUMNS, [person(1)])
    assert sandbox.dynamics.requests()["total"] == 0
    assert code


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "fail", "status": 503},
        {"action": "fail", "status": 500},
        {"action": "fail", "status": 502, "content_type": "text/html", "body": "<html>Bad gateway</html>"},
        {"action": "cut", "how": "close"},
        {"action": "cut", "how": "reset"},
        {"action": "cut_headers"},
        {"action": "cut_body"},
        {"action": "truncated"},
        {"action": "login_page"},
    ],
    ids=lambda fault: "-".join(str(fault[part]) for part in ("action", "status", "how") if part in fault),
)
def test_two_troubles_in_a_row_are_survived(sandbox: Sandbox, dataverse: Dataverse, fault: dict[str, Any]) -> None:
    """A read that fails twice for a passing reason is tried a third time, and then succeeds."""
    fill(sandbox, 3)
    dataverse.check_access()
    sandbox.dynamics.add_fault(**fault, path="contacts", count=2)
    changes, _ = walk(dataverse, ReadStage.LOAD)
    assert len(changes) == 3


def test_lasting_trouble_is_told(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """After three tries the error says whether waiting helps: a service that is down, or one that is none."""
    dataverse.check_access()
    sandbox.dynamics.add_fault("fail", status=503, path="contacts")
    sandbox.dynamics.clear_requests()
    with pytest.raises(UnavailableError):
        dataverse.read(ask(ReadStage.LOAD))
    assert sandbox.dynamics.requests()["statuses"]["503"] == 3
    sandbox.dynamics.clear_faults()
    sandbox.dynamics.add_fault("login_page", path="contacts")
    with pytest.raises(ProtocolError, match="a page to sign in at"):
        dataverse.read(ask(ReadStage.LOAD))


@pytest.mark.parametrize("action", ["gzip_bomb", "endless"])
def test_answers_without_end_are_given_up(sandbox: Sandbox, dataverse: Dataverse, action: str) -> None:
    """A bomb or an endless page is refused while it comes."""
    dataverse.check_access()
    sandbox.dynamics.add_fault(action, path="contacts", **({"megabytes": 64} if action == "gzip_bomb" else {}))
    with pytest.raises(ProtocolError, match="beyond the limits"):
        dataverse.read(ask(ReadStage.LOAD))


def test_redirects_are_refused(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A sign-in redirect is not followed; the error names where it would have led."""
    sandbox.dynamics.add_fault("redirect", location="https://login.example/sign-in?state=canary", path="contacts")
    with pytest.raises(ProtocolError, match=r"https://login\.example") as caught:
        dataverse.read(ask(ReadStage.LOAD))
    assert "canary" not in str(caught.value)


# -- writing ---------------------------------------------------------------------------------------------------------


def test_a_row_is_created_once(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """With an id of ours a second create changes nothing and says so, also after an answer was lost."""
    row = str(uuid.uuid4())
    assert dataverse.create_row("contact", row, {"lastname": "First", "creditlimit": Decimal("1234.5600")})
    assert not dataverse.create_row("contact", row, {"lastname": "Second"})
    found = dataverse.fetch("contact", ("lastname", "creditlimit"), [row])[row]
    assert dict(found.values or {}) == {"lastname": "First", "creditlimit": Decimal("1234.5600")}
    lost = str(uuid.uuid4())
    sandbox.dynamics.add_fault("applied", path="contacts", count=1)
    with pytest.raises(AmbiguousWriteError):
        dataverse.create_row("contact", lost, {"lastname": "Lost"})
    assert not dataverse.create_row("contact", lost, {"lastname": "Lost"})


def test_an_activity_is_created_regarding_a_contact(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """The lookup's own name and the address of the contact, both from metadata, make the link."""
    fill(sandbox, 2)
    navigation = next(
        one.navigation
        for one in dataverse.lookups("adobe_emailclick")
        if (one.column, one.target) == ("regardingobjectid", "contact")
    )
    row = str(uuid.uuid4())
    values = {"subject": "DM1", f"{navigation}@odata.bind": dataverse.bind("contact", person(1))}
    assert dataverse.create_row("adobe_emailclick", row, values)
    found = dataverse.fetch("adobe_emailclick", ("_regardingobjectid_value",), [row])[row]
    assert dict(found.values or {}) == {"_regardingobjectid_value": person(1)}


def test_an_update_happens_only_to_the_version_that_was_read(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """With the row's etag a change in between is a conflict; without one the newest is changed."""
    fill(sandbox, 2)
    etag = dataverse.fetch("contact", COLUMNS, [person(1)])[person(1)].etag
    dataverse.update_row("contact", person(1), {"donotemail": True}, etag=etag)
    with pytest.raises(ConflictError):
        dataverse.update_row("contact", person(1), {"donotemail": False}, etag=etag)
    dataverse.update_row("contact", person(1), {"donotphone": True})
    values = dataverse.fetch("contact", ("donotemail", "donotphone"), [person(1)])[person(1)].values
    assert dict(values or {}) == {"donotemail": True, "donotphone": True}


def test_an_update_never_brings_a_deleted_row_back(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A PATCH without a condition would create it again; ours is a conflict."""
    fill(sandbox, 2)
    sandbox.dynamics.delete("contact", person(1))
    with pytest.raises(ConflictError):
        dataverse.update_row("contact", person(1), {"firstname": "Ghost"})
    assert sandbox.dynamics.count("contact") == 1


def test_a_row_is_deleted_only_in_the_version_that_was_read(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A changed row stays; a missing one is no error."""
    fill(sandbox, 2)
    etag = dataverse.fetch("contact", COLUMNS, [person(1)])[person(1)].etag
    sandbox.dynamics.update("contact", person(1), firstname="Changed")
    with pytest.raises(ConflictError):
        dataverse.delete_row("contact", person(1), etag=etag)
    assert dataverse.delete_row("contact", person(1))
    assert not dataverse.delete_row("contact", person(1))


def test_what_dataverse_refuses_for_good_is_the_records_fault(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Too long, no such option, or refused by a plug-in: this record cannot be written, and the field is named."""
    fill(sandbox, 2)
    with pytest.raises(RecordRefusedError) as caught:
        dataverse.update_row("contact", person(1), {"firstname": "x" * 51})
    assert caught.value.field == "firstname"
    with pytest.raises(RecordRefusedError):
        dataverse.update_row("contact", person(1), {"gendercode": 99})
    sandbox.dynamics.issue_rejects(person(1), "canary")
    with pytest.raises(RecordRefusedError, match="plug-in") as caught:
        dataverse.update_row("contact", person(1), {"firstname": "x"})
    assert "canary" not in str(caught.value)


def test_a_write_is_never_tried_twice_by_itself(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """What became of a lost write is for the engine to find out."""
    fill(sandbox, 1)
    dataverse.check_access()
    dataverse.describe("contact")
    dataverse.fetch("contact", COLUMNS, [person(0)])
    for action, kind in (("applied", AmbiguousWriteError), ("black_hole", AmbiguousWriteError)):
        quick = connector(sandbox, timeout=0.5)
        quick.fetch("contact", COLUMNS, [person(0)])
        sandbox.dynamics.clear_requests()
        sandbox.dynamics.add_fault(action, method="PATCH", path="contacts")
        with pytest.raises(kind):
            quick.update_row("contact", person(0), {"firstname": "x"})
        assert sandbox.dynamics.requests()["total"] <= 1
        sandbox.dynamics.clear_faults()
        quick.close()


def test_a_closed_connector_opens_again(sandbox: Sandbox, dataverse: Dataverse, tmp_path: Path) -> None:
    """close() lets go of connections and of what was remembered; using it again is fine."""
    fill(sandbox, 1)
    dataverse.check_access()
    dataverse.close()
    assert len(walk(dataverse, ReadStage.LOAD)[0]) == 1
    assert not list(tmp_path.iterdir())
