"""Writes to the Dynamics sandbox: creates, updates, upserts, links, states, bulk messages and their refusals."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sandbox_dynamics_room import Wire, code, person_id

ANY = {"If-Match": "*"}
NEW = {"If-None-Match": "*"}
TYPE = "Microsoft.Dynamics.CRM."


def column(wire: Wire, entity_set: str, row_id: str, name: str) -> Any:
    return wire.json(f"{entity_set}({row_id})?$select={name}")[name]


# -- creates ----------------------------------------------------------------


def test_a_create_is_answered_with_an_address_or_with_the_row(wire: Wire) -> None:
    """204 with OData-EntityId; asked for the representation, 201 with the row and without that header."""
    answer = wire.send("POST", "contacts", {"lastname": "A", "contactid": person_id(1)})
    assert answer.status_code == 204
    assert answer.headers["OData-EntityId"] == f"{wire.root}contacts({person_id(1)})"
    shown = wire.send("POST", "contacts?$select=fullname", {"lastname": "B"}, {"Prefer": "return=representation"})
    assert shown.status_code == 201
    assert shown.json()["fullname"] == "B"
    assert "OData-EntityId" not in shown.headers


def test_an_id_or_a_key_value_can_be_taken_once(wire: Wire) -> None:
    """A taken id and a taken alternate key value are both 412, with different codes."""
    wire.create("accounts", {"name": "A", "accountnumber": "X1", "accountid": person_id(1)})
    assert code(wire.send("POST", "accounts", {"name": "B", "accountid": person_id(1)})) == (412, "0x80040237")
    assert code(wire.send("POST", "accounts", {"name": "B", "accountnumber": "x1"})) == (412, "0x80060892")
    assert wire.create("accounts", {"name": "no number"}) != wire.create("accounts", {"name": "no number either"})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"firstname": "x" * 51}, "0x80044331"),
        ({"firstname": "𠮷" * 26}, "0x80044331"),
        ({"gendercode": 77}, "0x8004431a"),
        ({"new_interests": "1,77"}, "0x8004431a"),
        ({"numberofchildren": -1}, "0x80044330"),
        ({"numberofchildren": "2"}, "0x80048d19"),
        ({"numberofchildren": True}, "0x80048d19"),
        ({"donotemail": 1}, "0x80048d19"),
        ({"birthdate": "1990-02-30"}, "0x80048d19"),
        ({"birthdate": "1990-02-28T00:00:00Z"}, "0x80048d19"),
        ({"birthdate": "1752-12-31"}, "0x80040239"),
        ({"lastusedincampaign": "2026-10-04T17:03:10+00:00Z"}, "0x80048d19"),
        ({"creditlimit": -5}, "0x80044330"),
        ({"Lastname": "x"}, "0x0"),
        ({"_parentcustomerid_value": person_id(1)}, "0x80060888"),
        ({"parentcustomerid@odata.bind": f"/accounts({person_id(1)})"}, "0x80048d19"),
        ({"contactid": "not an id"}, "0x80048d19"),
        ({"statuscode": 2}, "0x80048408"),
    ],
)
def test_bodies_that_do_not_fit_are_refused(wire: Wire, body: dict[str, Any], expected: str) -> None:
    """Lengths, ranges, choices, types, unknown names, wrong navigation properties: all 400, each with its code."""
    assert code(wire.send("POST", "contacts", body)) == (400, expected)
    assert wire.sandbox.dynamics.count("contact") == 0


def test_a_body_that_is_no_object_is_refused(wire: Wire) -> None:
    """Neither broken JSON nor a list is a row."""
    for content in (b"{", b"[]", b"", b'"x"', b"[" * 100_000):
        assert wire.send("POST", "contacts", content=content).status_code == 400


def test_values_come_back_in_their_canonical_form(wire: Wire) -> None:
    """Moments in UTC to the second, a missing offset taken as UTC, multi-selects sorted, numbers rounded."""
    contact = wire.create(
        "contacts",
        {
            "lastusedincampaign": "2026-01-02T03:04:05.999+02:00",
            "new_appointment": "2026-01-02T03:04:05",
            "new_interests": "9, 1",
            "new_score": 1.005,
            "creditlimit": 0.1,
        },
    )
    row = wire.get(
        f"contacts({contact})?$select=lastusedincampaign,new_appointment,new_interests,new_score,creditlimit"
    )
    assert '"lastusedincampaign":"2026-01-02T01:04:05Z"' in row.text
    assert '"new_appointment":"2026-01-02T03:04:05Z"' in row.text
    assert '"new_interests":"1,9"' in row.text
    assert '"new_score":1.00' in row.text
    assert '"creditlimit":0.1000' in row.text


def test_what_is_not_for_writing_is_ignored(wire: Wire) -> None:
    """Computed and system columns take no value and refuse none; the state cannot be chosen at birth."""
    contact = wire.create(
        "contacts", {"lastname": "L", "firstname": "F", "fullname": "X", "merged": True, "statecode": 1}
    )
    row = wire.json(f"contacts({contact})?$select=fullname,merged,statecode,statuscode")
    assert (row["fullname"], row["merged"], row["statecode"], row["statuscode"]) == ("F L", False, 0, 1)
    wire.sandbox.dynamics.set(state_on_create=True)
    task = wire.create("tasks", {"subject": "Done", "statecode": 1})
    assert wire.json(f"tasks({task})?$select=statecode,statuscode")["statuscode"] == 2


# -- updates and upserts ----------------------------------------------------------------


def test_an_update_changes_what_it_names_and_moves_the_version(wire: Wire) -> None:
    """Only named columns change; the etag and the time of modification move; computed columns follow."""
    contact = wire.create("contacts", {"firstname": "F", "lastname": "L", "address1_city": "Łódź"})
    before = wire.json(f"contacts({contact})")
    answer = wire.send("PATCH", f"contacts({contact})", {"lastname": "M"}, ANY)
    assert (answer.status_code, answer.content) == (204, b"")
    after = wire.json(f"contacts({contact})")
    assert (after["fullname"], after["address1_composite"]) == ("F M", "Łódź")
    assert after["@odata.etag"] != before["@odata.etag"]


def test_without_preconditions_a_patch_creates_what_is_gone(wire: Wire) -> None:
    """That is how a deleted contact comes back; `If-Match: *` prevents it."""
    path = f"contacts({person_id(7)})"
    assert code(wire.send("PATCH", path, {"lastname": "L"}, ANY)) == (404, "0x80040217")
    assert wire.send("PATCH", path, {"lastname": "L"}).status_code == 204
    assert wire.json(path)["lastname"] == "L"
    shown = {"Prefer": "return=representation"}
    assert wire.send("PATCH", f"{path}?$select=lastname", {"lastname": "M"}, shown).status_code == 200
    other = f"contacts({person_id(8)})?$select=contactid"
    assert wire.send("PATCH", other, {"lastname": "N"}, shown).status_code == 201


def test_create_only_and_optimistic_concurrency(wire: Wire) -> None:
    """`If-None-Match: *` refuses an existing row, an old etag a changed one; both are 412, with different codes."""
    path = f"contacts({person_id(1)})"
    assert wire.send("PATCH", path, {"lastname": "L"}, NEW).status_code == 204
    assert code(wire.send("PATCH", path, {"lastname": "X"}, NEW)) == (412, "0x80040237")
    etag = wire.json(path)["@odata.etag"]
    assert wire.send("PATCH", path, {"lastname": "M"}, {"If-Match": etag}).status_code == 204
    assert code(wire.send("PATCH", path, {"lastname": "N"}, {"If-Match": etag})) == (412, "0x80060882")
    assert code(wire.send("DELETE", path, headers={"If-Match": etag})) == (412, "0x80060882")
    assert wire.send("DELETE", path, headers={"If-Match": wire.json(path)["@odata.etag"]}).status_code == 204
    assert code(wire.send("DELETE", path)) == (404, "0x80040217")


def test_upserts_by_alternate_key_answer_with_the_key(wire: Wire) -> None:
    """The address echoes the key, not an id; on create the body's key value wins, on update it is dropped."""
    answer = wire.send("PATCH", "accounts(accountnumber='K1')", {"name": "First"})
    assert answer.headers["OData-EntityId"] == f"{wire.root}accounts(accountnumber='K1')"
    wire.send("PATCH", "accounts(accountnumber='K1')", {"name": "Second", "accountnumber": "K9"})
    assert wire.json("accounts(accountnumber='K1')")["name"] == "Second"
    wire.send("PATCH", "accounts(accountnumber='K2')", {"name": "Third", "accountnumber": "K3"})
    assert wire.get("accounts(accountnumber='K2')").status_code == 404
    assert wire.json("accounts(accountnumber='K3')")["name"] == "Third"


def test_keys_of_several_columns_and_failed_keys(wire: Wire) -> None:
    """All columns of a key are needed, quotes are doubled, and a key over shared values cannot be used."""
    wire.create("contacts", {"firstname": "Joe", "emailaddress1": "o'joe@example.com"})
    assert wire.sandbox.dynamics.add_key("contact", "name_and_mail", ["firstname", "emailaddress1"]) == "Active"
    assert wire.get("contacts(firstname='Joe',emailaddress1='o''joe@example.com')").status_code == 200
    assert wire.get("contacts(firstname='Joe')").status_code == 400
    wire.create("contacts", {"firstname": "Joe"})
    assert wire.sandbox.dynamics.add_key("contact", "name_only", ["firstname"]) == "Failed"
    assert wire.get("contacts(firstname='Joe')").status_code == 400


def test_states_and_reasons_belong_together(wire: Wire) -> None:
    """A state alone brings its first reason; a reason of another state is refused."""
    contact = wire.create("contacts", {"lastname": "L"})
    path = f"contacts({contact})"
    wire.send("PATCH", path, {"statecode": 1}, ANY)
    assert column(wire, "contacts", contact, "statuscode") == 2
    assert code(wire.send("PATCH", path, {"statecode": 0, "statuscode": 2}, ANY)) == (400, "0x80048408")
    assert code(wire.send("PATCH", path, {"statecode": None}, ANY)) == (400, "0x80040203")


# -- lookups and activities ----------------------------------------------------------------


def test_lookups_are_bound_by_navigation_property(wire: Wire) -> None:
    """By id, by alternate key, by full address; cleared with null; the row must exist and be of the right table."""
    account = wire.create("accounts", {"name": "A", "accountnumber": "B1"})
    contact = wire.create("contacts", {"parentcustomerid_account@odata.bind": f"/accounts({account})"})
    assert column(wire, "contacts", contact, "_parentcustomerid_value") == account
    path, bind = f"contacts({contact})", "parentcustomerid_account@odata.bind"
    for clear in ({bind: None}, {"parentcustomerid_account": None}):
        wire.send("PATCH", path, clear, ANY)
        assert column(wire, "contacts", contact, "_parentcustomerid_value") is None
        for reference in ("accounts(accountnumber='B1')", f"{wire.root}accounts({account})"):
            assert wire.send("PATCH", path, {bind: reference}, ANY).status_code == 204
            assert column(wire, "contacts", contact, "_parentcustomerid_value") == account
    assert code(wire.send("PATCH", path, {bind: f"/accounts({person_id(5)})"}, ANY)) == (404, "0x80040217")
    assert code(wire.send("PATCH", path, {bind: f"/contacts({contact})"}, ANY)) == (400, "0x80048d19")


def test_custom_lookups_are_bound_by_schema_name(wire: Wire) -> None:
    """The navigation property of a custom lookup keeps its capitals; the column's name is not one."""
    contact = wire.create("contacts", {"lastname": "L"})
    reference = f"/contacts({contact})"
    wrong = wire.send("POST", "new_vehicles", {"new_name": "V", "new_contactid@odata.bind": reference})
    assert code(wrong) == (400, "0x80048d19")
    assert "An undeclared property 'new_contactid'" in wrong.json()["error"]["message"]
    vehicle = wire.create("new_vehicles", {"new_name": "V", "new_ContactId@odata.bind": reference})
    assert wire.json(f"new_vehicles({vehicle})/new_ContactId?$select=lastname")["lastname"] == "L"


def test_links_are_set_and_cleared_by_reference(wire: Wire) -> None:
    """PUT and DELETE of `$ref`, and of single properties."""
    contact, account = wire.create("contacts", {"lastname": "L"}), wire.create("accounts", {"name": "A"})
    path = f"contacts({contact})"
    link = f"{path}/parentcustomerid_account/$ref"
    assert wire.send("PUT", link, {"@odata.id": f"{wire.root}accounts({account})"}).status_code == 204
    assert column(wire, "contacts", contact, "_parentcustomerid_value") == account
    assert wire.send("DELETE", link).status_code == 204
    assert wire.get(f"{path}/parentcustomerid_account").status_code == 204
    assert wire.send("PUT", f"{path}/lastname", {"value": "M"}).status_code == 204
    assert wire.json(f"{path}/lastname")["value"] == "M"
    assert wire.send("DELETE", f"{path}/lastname").status_code == 204
    assert column(wire, "contacts", contact, "lastname") is None


def test_activities_regard_a_contact_and_have_parties(wire: Wire) -> None:
    """The binding names the contact and the activity; parties are written whole, on create or afterwards."""
    contact = wire.create("contacts", {"lastname": "L"})
    reference = f"/contacts({contact})"
    party = {"partyid_contact@odata.bind": reference, "participationtypemask": 2}
    sent = wire.create(
        "adobe_emailsends",
        {
            "subject": "DM1 DM2",
            "activityid": person_id(3),
            "adobe_campaignname": "Spring",
            "adobe_senton": "2026-03-01T08:00:00Z",
            "regardingobjectid_contact_adobe_emailsend@odata.bind": reference,
            "adobe_emailsend_activity_parties": [party],
        },
    )
    assert sent == person_id(3)
    assert column(wire, "adobe_emailsends", sent, "_regardingobjectid_value") == contact
    parties = f"adobe_emailsends({sent})/adobe_emailsend_activity_parties"
    assert [entry["_partyid_value"] for entry in wire.values(parties)] == [contact]
    assert wire.send("PUT", parties, {"value": [party, {**party, "participationtypemask": 1}]}).status_code == 204
    assert sorted(entry["participationtypemask"] for entry in wire.values(parties)) == [1, 2]
    done = wire.send("PATCH", f"adobe_emailsends({sent})", {"statecode": 1, "statuscode": 2}, ANY)
    assert done.status_code == 204


# -- refusals on demand ----------------------------------------------------------------


def test_a_plug_in_can_refuse_a_row(wire: Wire) -> None:
    """Every write of that row is refused until the plug-in is taken away; others go through."""
    contact = wire.create("contacts", {"lastname": "L"})
    wire.sandbox.dynamics.issue_rejects(contact, "No thanks.")
    refused = wire.send("PATCH", f"contacts({contact})", {"lastname": "M"}, ANY)
    assert code(refused) == (400, "0x80040265")
    assert refused.json()["error"]["message"] == "No thanks."
    assert code(wire.send("DELETE", f"contacts({contact})")) == (400, "0x80040265")
    wire.create("contacts", {"lastname": "Other"})
    wire.sandbox.dynamics.issue_rejects(contact, None)
    assert wire.send("DELETE", f"contacts({contact})").status_code == 204


def test_privileges_are_needed_for_each_kind_of_write(wire: Wire) -> None:
    """Create, write and delete are missing one by one; the refusal names the privilege."""
    contact = wire.create("contacts", {"lastname": "L"})
    wire.sandbox.dynamics.set_permissions("contact", create=False, write=False, delete=False, read="none")
    refusals = {
        "Create": wire.send("POST", "contacts", {}),
        "Write": wire.send("PATCH", f"contacts({contact})", {}, ANY),
        "Delete": wire.send("DELETE", f"contacts({contact})"),
        "Read": wire.get("contacts"),
    }
    for verb, refusal in refusals.items():
        assert code(refusal) == (403, "0x80040220")
        assert f"prv{verb}Contact" in refusal.json()["error"]["message"]


# -- bulk messages ----------------------------------------------------------------


def targets(*rows: dict[str, Any], table: str = "contact") -> dict[str, Any]:
    return {"Targets": [{"@odata.type": f"{TYPE}{table}", **row} for row in rows]}


def test_create_multiple_answers_with_ids_in_order(wire: Wire) -> None:
    """Ids that were given and ids that were made, each where its row stood."""
    body = targets({"lastname": "A", "contactid": person_id(1)}, {"lastname": "B"})
    ids = wire.send("POST", f"contacts/{TYPE}CreateMultiple", body).json()["Ids"]
    assert ids[0] == person_id(1)
    assert column(wire, "contacts", ids[1], "lastname") == "B"


def test_bulk_messages_do_all_or_nothing(wire: Wire) -> None:
    """One refused row leaves none changed, whichever the message."""
    wire.create("contacts", {"contactid": person_id(1), "lastname": "Old"})
    good, bad = {"contactid": person_id(1), "lastname": "New"}, {"contactid": person_id(2), "gendercode": 77}
    for message in ("UpdateMultiple", "UpsertMultiple"):
        assert wire.send("POST", f"contacts/{TYPE}{message}", targets(good, bad)).status_code in {400, 404}
    assert wire.send("POST", f"contacts/{TYPE}CreateMultiple", targets({"lastname": "X"}, bad)).status_code == 400
    rows = list(wire.sandbox.dynamics.rows("contact", ["lastname"]))
    assert [row["lastname"] for row in rows] == ["Old"]


def test_upsert_multiple_has_no_body(wire: Wire) -> None:
    """204 for created and updated alike; rows are named by id, by `@odata.id` or by key columns."""
    wire.create("accounts", {"name": "Old", "accountnumber": "K1"})
    body = targets(
        {"name": "By key form", "@odata.id": "accounts(accountnumber='K1')"},
        {"name": "By id", "accountid": person_id(4)},
        {"name": "By columns", "accountnumber": "K2"},
        table="account",
    )
    for _ in range(2):
        answer = wire.send("POST", f"accounts/{TYPE}UpsertMultiple", body)
        assert (answer.status_code, answer.content) == (204, b"")
    names = sorted(row["name"] for row in wire.values("accounts?$select=name"))
    assert names == ["By columns", "By id", "By key form"]


def test_every_target_says_its_type(wire: Wire) -> None:
    """Without `@odata.type`, with another table's, or for a table that does not support it, the call is refused."""
    path = f"contacts/{TYPE}CreateMultiple"
    assert wire.send("POST", path, {"Targets": [{"lastname": "A"}]}).status_code == 400
    assert wire.send("POST", path, targets({"name": "A"}, table="account")).status_code == 400
    assert wire.send("POST", path, {"Targets": []}).status_code == 400
    assert wire.send("POST", f"organizations/{TYPE}CreateMultiple", targets({})).status_code == 400
    assert code(wire.send("POST", f"contacts/{TYPE}DeleteMultiple", targets({}))) == (404, "0x8006088a")
