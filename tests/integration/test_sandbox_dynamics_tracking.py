"""Change tracking of the Dynamics sandbox, as Microsoft documents it, with the traps it leaves open."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sandbox_dynamics_room import Wire, code, person_id

from syncline.sandbox import Sandbox

TRACK = "odata.track-changes"


def load(wire: Wire, *numbers: int) -> None:
    rows = [{"contactid": person_id(number), "lastname": f"L{number}", "firstname": "F"} for number in numbers]
    wire.sandbox.dynamics.load("contact", rows)


def first_load(wire: Wire, select: str = "lastname") -> str:
    """Reads everything and returns the delta link."""
    *_, last = wire.pages(f"contacts?$select={select}", f"{TRACK},odata.maxpagesize=5000")
    return str(last["@odata.deltaLink"])


def ids(page: dict[str, list[dict[str, str]]]) -> list[str]:
    return [entry.get("contactid") or entry["id"] for entry in page["value"]]


def test_the_first_load_has_all_rows_and_a_delta_link_on_its_last_page_only(wire: Wire) -> None:
    """Pages of the size asked for, each row once, the preference confirmed, the link at the very end."""
    load(wire, *range(25))
    first = wire.get("contacts?$select=lastname", f"{TRACK},odata.maxpagesize=10")
    assert first.headers["Preference-Applied"] == TRACK
    pages = list(wire.pages("contacts?$select=lastname", f"{TRACK},odata.maxpagesize=10"))
    assert [len(page["value"]) for page in pages] == [10, 10, 5]
    assert ["@odata.deltaLink" in page for page in pages] == [False, False, True]
    assert sorted(key for page in pages for key in ids(page)) == [person_id(number) for number in range(25)]
    assert set(pages[0]["value"][0]) == {"@odata.etag", "lastname", "contactid"}


def test_the_delta_token_is_a_version_and_a_moment(wire: Wire) -> None:
    """`version!MM/dd/yyyy HH:mm:ss`, percent-encoded with small digits; the link repeats the selection."""
    load(wire, 1)
    link = first_load(wire)
    assert "$select=lastname" in link
    token = link.partition("$deltatoken=")[2]
    assert re.fullmatch(r"\d+!\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", unquote(token))
    assert "%2f" in token


def test_a_delta_has_changed_rows_first_and_deletes_after_them(wire: Wire) -> None:
    """Updates and creates come by version, whole; a delete is an id and a reason in a context of its own."""
    load(wire, 1, 2, 3)
    link = first_load(wire)
    wire.sandbox.dynamics.delete("contact", person_id(1))
    wire.sandbox.dynamics.update("contact", person_id(3), lastname="Changed")
    load(wire, 4)
    page = wire.json(link)
    assert ids(page) == [person_id(3), person_id(4), person_id(1)]
    assert page["@odata.context"].endswith("/$delta")
    deleted = page["value"][-1]
    assert deleted == {
        "@odata.context": f"{wire.root}$metadata#contacts/$deletedEntity",
        "id": person_id(1),
        "reason": "deleted",
    }
    assert wire.json(page["@odata.deltaLink"])["value"] == []


def test_a_row_changed_twice_shows_once_and_one_changed_then_deleted_only_as_deleted(wire: Wire) -> None:
    """Entries are states, not events."""
    load(wire, 1, 2)
    link = first_load(wire)
    for lastname in ("A", "B"):
        wire.sandbox.dynamics.update("contact", person_id(1), lastname=lastname)
    wire.sandbox.dynamics.update("contact", person_id(2), lastname="Gone")
    wire.sandbox.dynamics.delete("contact", person_id(2))
    entries = wire.values(link)
    assert [entry.get("lastname") for entry in entries] == ["B", None]
    assert entries[1]["id"] == person_id(2)


def test_a_row_created_and_deleted_between_two_polls_is_a_delete_of_a_stranger(wire: Wire) -> None:
    """The client never saw the row, and is told of its end all the same."""
    link = first_load(wire)
    load(wire, 9)
    wire.sandbox.dynamics.delete("contact", person_id(9))
    assert [entry["id"] for entry in wire.values(link)] == [person_id(9)]


def test_a_row_deleted_and_created_again_shows_as_both(wire: Wire) -> None:
    """The row comes first and its delete after it, so that only reading the key again tells the truth; a setting for
    a server that leaves the delete out. However often it was deleted, it shows as deleted once."""
    load(wire, 1)
    link = first_load(wire)
    for _ in range(2):
        wire.sandbox.dynamics.delete("contact", person_id(1))
        load(wire, 1)
    assert [entry.get("reason") for entry in wire.values(link)] == [None, "deleted"]
    wire.sandbox.dynamics.set(recreated_shows_delete=False)
    assert [entry.get("reason") for entry in wire.values(link)] == [None]
    wire.sandbox.dynamics.delete("contact", person_id(1))
    assert [entry.get("reason") for entry in wire.values(link)] == ["deleted"]


def test_deltas_page_too_and_their_pages_mix_rows_and_deletes(wire: Wire) -> None:
    """3 changed and 2 deleted rows with pages of 2 are three pages; the second holds one of each."""
    load(wire, *range(5))
    link = first_load(wire)
    for number in (0, 1, 2):
        wire.sandbox.dynamics.update("contact", person_id(number), lastname="New")
    for number in (3, 4):
        wire.sandbox.dynamics.delete("contact", person_id(number))
    pages = list(wire.pages(link, "odata.maxpagesize=2"))
    assert [len(page["value"]) for page in pages] == [2, 2, 1]
    assert [("reason" in entry) for page in pages for entry in page["value"]] == [False, False, False, True, True]
    assert ["@odata.deltaLink" in page for page in pages] == [False, False, True]


def test_what_changes_while_a_delta_is_paged_comes_with_the_next_one(wire: Wire) -> None:
    """A delta of several pages loses nothing: its token covers what its later pages could not show."""
    load(wire, *range(4))
    link = first_load(wire)
    for number in range(4):
        wire.sandbox.dynamics.update("contact", person_id(number), lastname="Once")
    first = wire.json(link, "odata.maxpagesize=2")
    wire.sandbox.dynamics.update("contact", person_id(3), lastname="Twice")
    wire.sandbox.dynamics.delete("contact", person_id(0))
    second = wire.json(first["@odata.nextLink"], "odata.maxpagesize=2")
    third = wire.json(second["@odata.deltaLink"])
    assert ids(first) + ids(second) == [person_id(number) for number in (0, 1, 2)]
    assert ids(third) == [person_id(3), person_id(0)]


@pytest.mark.parametrize(("kind", "covered"), [("end", False), ("start", True)])
def test_the_token_of_a_first_load_may_leave_out_what_changed_while_it_was_paged(
    wire: Wire, kind: str, covered: bool
) -> None:
    """By default the token points to the end of the load, so that changes made meanwhile are in neither; set to the
    beginning, it covers them."""
    load(wire, *range(6))
    wire.sandbox.dynamics.set(initial_token=kind)
    first = wire.json("contacts?$select=lastname", f"{TRACK},odata.maxpagesize=3")
    wire.sandbox.dynamics.update("contact", person_id(0), lastname="Meanwhile")
    *_, last = wire.pages(first["@odata.nextLink"], "odata.maxpagesize=3")
    assert ids(wire.json(last["@odata.deltaLink"])) == ([person_id(0)] if covered else [])


def test_rows_touched_while_paging_appear_again_when_that_is_set(wire: Wire) -> None:
    """With `duplicates` a row that was delivered and then touched is delivered once more, on a later page."""
    load(wire, *range(4))
    wire.sandbox.dynamics.set(duplicates=True)
    first = wire.json("contacts?$select=lastname", f"{TRACK},odata.maxpagesize=2")
    wire.sandbox.dynamics.update("contact", person_id(0), lastname="Again")
    rest = [key for page in wire.pages(first["@odata.nextLink"], "odata.maxpagesize=2") for key in ids(page)]
    assert rest == [person_id(2), person_id(3), person_id(0)]


@pytest.mark.parametrize("option", ["$filter=lastname eq 'L1'", "$orderby=lastname", "$top=1", "$expand=ownerid"])
def test_options_that_tracking_does_not_support_are_refused(wire: Wire, option: str) -> None:
    """The message names the option."""
    answer = wire.get(f"contacts?$select=lastname&{option}", TRACK)
    assert answer.status_code == 400
    assert f'"{option.partition("=")[0]}" query parameter isn\'t supported' in answer.json()["error"]["message"]


def test_expired_tokens_ask_for_a_full_synchronisation(wire: Wire) -> None:
    """All tokens of the past are refused with ExpiredVersionStamp; those given afterwards work."""
    load(wire, 1)
    old = first_load(wire)
    wire.sandbox.dynamics.expire_tokens()
    refused = wire.get(old)
    assert code(refused) == (400, "0x80044352")
    assert refused.json()["error"]["message"].startswith("Version stamp associated with the client has expired.")
    wire.sandbox.dynamics.set(expired_token_status=410)
    assert code(wire.get(old)) == (410, "0x80044352")
    assert wire.values(first_load(wire)) == []


def test_tokens_grow_old(sandbox: Sandbox, wire: Wire) -> None:
    """A token is good for as many days as the organisation says, and the organisation's row says it."""
    load(wire, 1)
    wire.sandbox.dynamics.set(expire_change_tracking_days=2)
    (organization,) = wire.values("organizations?$select=expirechangetrackingindays")
    assert organization["expirechangetrackingindays"] == 2
    link = first_load(wire)
    try:
        sandbox.dynamics.shift_clock(2 * 86_400 - 60)
        wire.token = wire.new_token()
        assert wire.get(link).status_code == 200
        sandbox.dynamics.shift_clock(120)
        wire.token = wire.new_token()
        assert code(wire.get(link)) == (400, "0x80044352")
    finally:
        sandbox.dynamics.shift_clock(-2 * 86_400 - 60)


def test_a_malformed_token_is_refused(wire: Wire) -> None:
    """Neither a number alone nor text is a token."""
    for token in ("12", "abc!01/01/2026 00:00:00", "1!13/45/2026 00:00:00"):
        assert wire.get(f"contacts?$select=lastname&$deltatoken={token}").status_code == 400


def test_tables_without_change_tracking_say_so(wire: Wire) -> None:
    """The refusal has a code of its own, until tracking is switched on."""
    assert code(wire.get("adobe_emailsends?$select=subject", TRACK)) == (400, "0x80072491")
    wire.sandbox.dynamics.set_change_tracking("adobe_emailsend", True)
    assert "@odata.deltaLink" in wire.json("adobe_emailsends?$select=subject", TRACK)


def test_tracking_needs_organisation_wide_read(wire: Wire) -> None:
    """A plain read is still possible with less, a tracked one is not."""
    wire.sandbox.dynamics.set_permissions("contact", read="basic")
    assert wire.get("contacts?$select=lastname").status_code == 200
    assert code(wire.get("contacts?$select=lastname", TRACK)) == (403, "0x80040220")


def test_the_number_of_changes_is_counted_without_reading_them(wire: Wire) -> None:
    """`/$count` with a token counts changed and deleted rows; its body begins with a byte order mark."""
    load(wire, 1, 2)
    token = first_load(wire).partition("$deltatoken=")[2]
    load(wire, 3)
    wire.sandbox.dynamics.delete("contact", person_id(1))
    assert wire.get(f"contacts/$count?$deltatoken={token}").content == b"\xef\xbb\xbf2"


@pytest.mark.parametrize(("form", "keys"), [("list", {"value"}), ("no_value", set()), ("empty", None)])
def test_an_empty_delta_comes_in_three_forms(wire: Wire, form: str, keys: set[str] | None) -> None:
    """The documentation says "an empty JSON response"; a client has to take every reading of it."""
    wire.sandbox.dynamics.set(empty_delta=form)
    expected = set() if keys is None else {"@odata.context", "@odata.deltaLink", *keys}
    assert set(wire.json(first_load(wire))) == expected


def test_links_may_name_another_environment_or_be_missing(wire: Wire) -> None:
    """A copied environment's links name the original; version 8.2 forgot the delta link at times."""
    load(wire, *range(3))
    wire.sandbox.dynamics.set(link_origin="https://elsewhere.example")
    page = wire.json("contacts?$select=lastname", f"{TRACK},odata.maxpagesize=2")
    assert page["@odata.nextLink"].startswith("https://elsewhere.example/api/data/v9.2/contacts?")
    wire.sandbox.dynamics.set(link_origin=None, delta_link_missing=True)
    assert "@odata.deltaLink" not in wire.json("contacts?$select=lastname", TRACK)


def test_deactivation_and_merging_are_updates(wire: Wire) -> None:
    """A merged contact stays, inactive, and names the survivor; what pointed to it points to the survivor."""
    load(wire, 1, 2)
    vehicle = wire.create("new_vehicles", {"new_name": "V", "new_ContactId@odata.bind": f"/contacts({person_id(2)})"})
    link = first_load(wire, "statecode,merged,_masterid_value")
    wire.sandbox.dynamics.merge_contacts(person_id(1), person_id(2))
    entries = {entry["contactid"]: entry for entry in wire.values(link)}
    loser = entries[person_id(2)]
    assert (loser["statecode"], loser["merged"], loser["_masterid_value"]) == (1, True, person_id(1))
    row = wire.json(f"new_vehicles({vehicle})?$select=_new_contactid_value")
    assert row["_new_contactid_value"] == person_id(1)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["load", "update", "delete", "page"]), st.integers(0, 3), st.integers(1, 4)),
        max_size=30,
    ),
    duplicates=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whoever_applies_the_feed_by_key_ends_with_the_same_rows(
    wire: Wire, steps: list[tuple[str, int, int]], duplicates: bool
) -> None:
    """With a token from the beginning, any mix of changes and page reads leaves a follower with the server's rows."""
    control = wire.sandbox.dynamics
    control.reset()
    wire.token = wire.new_token()
    control.set(initial_token="start", duplicates=duplicates, recreated_shows_delete=False)
    follower = _Follower(wire)
    for action, number, size in steps:
        if action == "load":
            load(wire, number)
        elif action == "update" and person_id(number) in follower.on_server():
            control.update("contact", person_id(number), lastname=f"{number}-{size}")
        elif action == "delete":
            control.delete("contact", person_id(number))
        else:
            follower.read(size)
    follower.finish()
    assert follower.rows == follower.on_server()


class _Follower:
    """Applies a tracked feed page by page."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._link = "contacts?$select=lastname"
        self._first = True
        self.rows: dict[str, str] = {}
        self.at_end = False

    def on_server(self) -> dict[str, str]:
        return {row["contactid"]: row["lastname"] for row in self._wire.sandbox.dynamics.rows("contact", ["lastname"])}

    def read(self, size: int) -> int:
        prefer = f"{TRACK},odata.maxpagesize={size}" if self._first else f"odata.maxpagesize={size}"
        page = self._wire.json(self._link, prefer)
        for entry in page["value"]:
            if entry.get("reason") == "deleted":
                self.rows.pop(entry["id"], None)
            else:
                self.rows[entry["contactid"]] = entry["lastname"]
        self.at_end = "@odata.deltaLink" in page
        self._first = False
        self._link = page.get("@odata.nextLink") or page["@odata.deltaLink"]
        return len(page["value"])

    def finish(self) -> None:
        """To the end of what was begun, and on until a delta has nothing in it."""
        while not self.at_end:
            self.read(4)
        while self.read(4) or not self.at_end:
            pass


def test_a_column_that_is_gone_breaks_the_delta_link(wire: Wire) -> None:
    """The link repeats its selection, and a selection of a dropped column is refused."""
    load(wire, 1)
    link = first_load(wire, "lastname,jobtitle")
    wire.sandbox.dynamics.drop_column("contact", "jobtitle")
    assert code(wire.get(link)) == (400, "0x0")
