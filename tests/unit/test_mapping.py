"""What one change in Dynamics means for Campaign."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.definition_room import CONTACT_ID, change, contact, maps, table

from syncline.definitions import (
    Comparison,
    FieldReplacement,
    Filter,
    IngressDefinition,
    Match,
    OptOutPair,
    TableMapping,
)
from syncline.errors import ConversionError
from syncline.mapping import (
    Decision,
    RefuseDecision,
    RefuseReason,
    SkipDecision,
    SkipReason,
    TablePlan,
    WriteDecision,
    compile_plan,
    decide,
)
from syncline.records import Change
from syncline.schemas import FieldSchema, FieldType

T = FieldType
CONTACT = table(
    "contact",
    {
        "contactid": T.GUID,
        "firstname": T.STRING,
        "lastname": T.STRING,
        "birthdate": T.DATE,
        "createdon": T.DATETIME,
        "creditlimit": T.MONEY,
        "donotemail": T.BOOLEAN,
        "gendercode": FieldSchema(name="gendercode", type=T.PICKLIST, options={"1": "Male", "2": "Female"}),
        "statecode": FieldSchema(name="statecode", type=T.PICKLIST, options={"0": "Active", "1": "Inactive"}),
    },
    primary_key="contactid",
)
PROFILE = table(
    "profile",
    {
        "externalId": T.STRING,
        "blackListEmail": T.BOOLEAN,
        "firstName": FieldSchema(name="firstName", type=T.STRING, max_length=30),
        "lastName": T.STRING,
        "birthDate": T.DATE,
        "cusCreated": T.DATE,
        "cusCredit": T.DOUBLE,
        "cusId": T.STRING,
        "gender": FieldSchema(name="gender", type=T.PICKLIST, options={"unknown": "", "female": "", "male": ""}),
        "orgUnit": T.LOOKUP,
    },
)
ACTIVE = Filter(field="statecode", comparison=Comparison.EQUALS, value="Active")
NAMED = Filter(field="lastname", comparison=Comparison.IS_NOT_NULL)
KNOWN = b"something else!!"


def plan(*fields: str, time_zone: str = "UTC", max_lengths: Any = None, **changes: Any) -> TablePlan:
    mapping = TableMapping(table="contact", resource="profile", fields=maps(*fields or NAMES), **changes)
    definition = IngressDefinition(mappings=(mapping,), time_zone=time_zone, max_lengths=max_lengths or {})
    return compile_plan(mapping, definition, CONTACT, PROFILE)


NAMES = ("firstname > firstName", "lastname > lastName")
ONCE = ("firstname > firstName", "lastname > lastName*")
ANN = contact(firstname="Ann", lastname="Lee")
GONE = change("contact", None)


def written(decision: Decision) -> WriteDecision:
    assert isinstance(decision, WriteDecision), decision
    return decision


def skipped(decision: Decision) -> SkipReason:
    assert isinstance(decision, SkipDecision), decision
    return decision.reason


def refused(decision: Decision) -> RefuseDecision:
    assert isinstance(decision, RefuseDecision), decision
    return decision


def test_a_new_record_is_written_whole() -> None:
    """Create carries the fields that hold something, the constants and the key; update carries the fields."""
    decision = written(
        decide(contact(firstname="Ann", lastname=None), plan(constants={"orgUnit": {"PKey": "all"}}), None, first=True)
    )
    write = decision.write
    assert write.create_values == {"firstName": "Ann", "orgUnit": {"PKey": "all"}, "externalId": CONTACT_ID}
    assert write.update_values == {"firstName": "Ann", "lastName": None}
    assert (write.key, write.resource, write.key_field) == (ANN.key, "profile", "externalId")
    assert (write.delete, write.known, write.ambiguous) == (False, False, False)
    assert len(decision.fingerprint) == 16


@pytest.mark.parametrize(("said", "told"), [(True, {"blackListEmail": True}), (False, {}), (None, {})])
def test_a_record_is_created_opted_out_and_never_updated_so(said: bool | None, told: dict[str, Any]) -> None:
    """O1, C3: an opt-out is part of a create, an opt-in of nothing, and neither makes a record differ."""
    rules = plan(opt_outs=[OptOutPair(dynamics="donotemail", campaign="denyListEmail")])
    assert rules.columns == ("donotemail", "firstname", "lastname")
    ann = contact(firstname="Ann", lastname="Lee", donotemail=said)
    decision = written(decide(ann, rules, None, first=True))
    names = {"firstName": "Ann", "lastName": "Lee"}
    assert decision.write.create_values == {**names, **told, "externalId": CONTACT_ID}
    assert decision.write.update_values == names
    other = contact(firstname="Ann", lastname="Lee", donotemail=not said)
    assert skipped(decide(other, rules, decision.fingerprint, first=True)) is SkipReason.IDENTICAL
    assert refused(decide(ANN, rules, None, first=True)).error.field == "donotemail"


def test_what_was_written_is_identical_afterwards() -> None:
    """A record whose mapped values did not change causes no write at all."""
    rules = plan()
    remembered = written(decide(ANN, rules, None, first=True)).fingerprint
    assert skipped(decide(ANN, rules, remembered, first=False)) is SkipReason.IDENTICAL
    assert skipped(decide(ANN, rules, remembered, first=True)) is SkipReason.IDENTICAL
    other = written(decide(contact(firstname="Anne", lastname="Lee"), rules, remembered, first=False))
    assert other.write.known
    assert other.fingerprint != remembered


def test_a_column_that_is_not_mapped_makes_no_difference() -> None:
    """Extra columns in an answer change neither the write nor the fingerprint."""
    more = contact(firstname="Ann", lastname="Lee", modifiedon="2026-01-01T00:00:00Z")
    assert decide(more, plan(), None, first=True) == decide(ANN, plan(), None, first=True)


def test_constants_make_no_difference_to_what_is_identical() -> None:
    """They are written on create and belong to Campaign afterwards: a new one does not resend every record."""
    remembered = written(decide(ANN, plan(), None, first=True)).fingerprint
    with_constant = plan(constants={"orgUnit": "all"})
    assert skipped(decide(ANN, with_constant, remembered, first=True)) is SkipReason.IDENTICAL


@pytest.mark.parametrize("entry", [b"", b"short", bytes(17), b"\0" * 15])
def test_a_fingerprint_of_another_length_says_that_the_record_is_there(entry: bytes) -> None:
    """It is written as an update, whatever the ledger holds."""
    assert written(decide(ANN, plan(), entry, first=False)).write.known


def test_first_load_fields_are_left_alone_by_later_changes() -> None:
    """With updates off, a field is written on create and by a first load or replay; a change leaves it alone."""
    rules = plan(*ONCE)
    first = written(decide(ANN, rules, None, first=True))
    assert first.write.update_values == {"firstName": "Ann", "lastName": "Lee"}
    later = contact(firstname="Anne", lastname="Kim")
    second = written(decide(later, rules, first.fingerprint, first=False))
    assert second.write.update_values == {"firstName": "Anne"}
    assert second.write.create_values == {"firstName": "Anne", "lastName": "Kim", "externalId": CONTACT_ID}


def test_a_change_of_first_load_fields_only_is_identical() -> None:
    """It is nothing that an incremental update writes, and something that a replay does."""
    rules = plan(*ONCE)
    remembered = written(decide(ANN, rules, None, first=True)).fingerprint
    later = contact(firstname="Ann", lastname="Kim")
    assert skipped(decide(later, rules, remembered, first=False)) is SkipReason.IDENTICAL
    replayed = written(decide(later, rules, remembered, first=True))
    assert replayed.write.update_values == {"firstName": "Ann", "lastName": "Kim"}


def test_an_update_does_not_hide_first_load_fields_from_a_replay() -> None:
    """The ledger remembers what was written, not what was seen: a later replay still writes the field."""
    rules = plan(*ONCE)
    first = written(decide(ANN, rules, None, first=True))
    later = contact(firstname="Anne", lastname="Kim")
    second = written(decide(later, rules, first.fingerprint, first=False))
    assert written(decide(later, rules, second.fingerprint, first=True)).write.update_values["lastName"] == "Kim"
    back = contact(firstname="Anne", lastname="Lee")
    assert skipped(decide(back, rules, second.fingerprint, first=True)) is SkipReason.IDENTICAL


def test_a_create_by_an_update_is_remembered_whole() -> None:
    """An incremental change that had to create the record wrote every field; one that adopted it did not."""
    rules = plan(*ONCE)
    decision = written(decide(ANN, rules, None, first=False))
    assert skipped(decide(ANN, rules, decision.fingerprint_if_created, first=True)) is SkipReason.IDENTICAL
    assert skipped(decide(ANN, rules, decision.fingerprint, first=False)) is SkipReason.IDENTICAL
    assert written(decide(ANN, rules, decision.fingerprint, first=True)).write.update_values["lastName"] == "Lee"


def test_switching_updates_on_writes_the_field() -> None:
    """A field that joins the always-written ones is not taken for written."""
    remembered = written(decide(ANN, plan(*ONCE), None, first=True)).fingerprint
    assert written(decide(ANN, plan(), remembered, first=False)).write.update_values["lastName"] == "Lee"


def test_a_deleted_record_is_deleted_where_it_is_known() -> None:
    """The ledger knows what Syncline wrote; anything else was never ours to delete."""
    decision = written(decide(GONE, plan(), KNOWN, first=False))
    assert (decision.write.delete, decision.write.known, decision.fingerprint) == (True, True, b"")
    assert dict(decision.write.create_values) == dict(decision.write.update_values) == {}
    assert skipped(decide(GONE, plan(), None, first=False)) is SkipReason.NOT_IN_TARGET


def test_a_delete_may_follow_a_write_that_nobody_answered() -> None:
    """When an earlier write may have been applied, the delete goes out although the ledger does not know the record."""
    decision = written(decide(GONE, plan(), None, first=False, write_unknown_deletes=True))
    assert (decision.write.delete, decision.write.known) == (True, False)


@pytest.mark.parametrize("entry", [None, KNOWN])
def test_deletes_can_be_ignored(entry: bytes | None) -> None:
    """With `apply_deletes` off, nothing is deleted, known or not."""
    rules = plan(apply_deletes=False)
    decision = decide(GONE, rules, entry, first=False, write_unknown_deletes=True)
    assert skipped(decision) is SkipReason.DELETES_IGNORED


def test_what_does_not_pass_the_filters_is_skipped() -> None:
    """A record out of the filter is not written, and not deleted unless the mapping says so."""
    rules = plan(filters=(ACTIVE,))
    out = contact(firstname="Ann", lastname="Lee", statecode=1)
    assert skipped(decide(out, rules, None, first=True)) is SkipReason.FILTERED_OUT
    assert skipped(decide(out, rules, KNOWN, first=False)) is SkipReason.FILTERED_OUT
    inside = contact(firstname="Ann", lastname="Lee", statecode=0)
    assert not written(decide(inside, rules, None, first=True)).write.delete


def test_what_leaves_the_filter_is_deleted_when_the_mapping_says_so() -> None:
    """Only what the ledger knows; records of others stay as they are."""
    rules = plan(filters=(ACTIVE,), delete_filtered_out=True)
    out = contact(firstname="Ann", lastname="Lee", statecode=1)
    assert written(decide(out, rules, KNOWN, first=False)).write.delete
    assert skipped(decide(out, rules, None, first=False)) is SkipReason.FILTERED_OUT


def test_filters_combine() -> None:
    """And by default, Or when the mapping says so."""
    out = contact(firstname="Ann", lastname="Lee", statecode=1)
    every, one = plan(filters=(ACTIVE, NAMED)), plan(filters=(ACTIVE, NAMED), match=Match.ANY)
    assert skipped(decide(out, every, None, first=True)) is SkipReason.FILTERED_OUT
    assert written(decide(out, one, None, first=True)).write.update_values["firstName"] == "Ann"


def test_a_record_that_cannot_be_judged_is_not_deleted() -> None:
    """A filtered column that holds what it cannot hold refuses the record; it does not take it out of the filter."""
    rules = plan(filters=(ACTIVE,), delete_filtered_out=True)
    decision = refused(decide(contact(firstname="Ann", lastname="Lee", statecode="odd"), rules, KNOWN, first=False))
    assert (decision.reason, decision.error.field) == (RefuseReason.WRONG_TYPE, "statecode")


def test_a_value_that_does_not_fit_refuses_the_record_with_the_fields_name() -> None:
    """The person sees which field, why and what to do; the value itself is nowhere."""
    decision = refused(
        decide(contact(firstname="Wolfeschlegelsteinhausenbergerdorff", lastname="x"), plan(), None, first=True)
    )
    assert decision.reason is RefuseReason.TOO_LONG
    assert isinstance(decision.error, ConversionError)
    assert decision.error.field == "firstname"
    assert str(decision.error) == (
        "contact.firstname cannot become profile.firstName: it has 35 characters, and at most 30 fit. "
        "Shorten it in Dynamics, or set max_lengths if Campaign takes more."
    )


def test_a_longer_length_can_be_configured() -> None:
    """`max_lengths` overrides what Campaign says."""
    long = contact(firstname="a" * 31, lastname="x")
    assert refused(decide(long, plan(), None, first=True)).reason is RefuseReason.TOO_LONG
    decision = written(decide(long, plan(max_lengths={"profile.firstName": 31}), None, first=True))
    assert decision.write.update_values["firstName"] == "a" * 31


def test_a_first_load_field_that_does_not_fit_refuses_the_record_too() -> None:
    """A create would need it, and whether a create is needed shows only at the target."""
    bad = contact(firstname="Ann", lastname="\0")
    assert refused(decide(bad, plan(*ONCE), KNOWN, first=False)).error.field == "lastname"


@pytest.mark.parametrize("rules", [plan(), plan(*ONCE), plan("firstname > firstName", filters=(NAMED,))])
def test_a_column_that_was_not_read_is_not_null(rules: TablePlan) -> None:
    """A record read under other rules must be read again: absent is not empty, and nothing is erased."""
    decision = refused(decide(contact(firstname="Ann"), rules, KNOWN, first=True))
    assert (decision.reason, decision.error.field) == (RefuseReason.NOT_READ, "lastname")


def test_replacements_come_before_conversion() -> None:
    """By technical value or label; the other values go their usual way."""
    rules = plan(
        "gendercode > gender",
        "firstname > firstName",
        "donotemail > lastName",
        "creditlimit > cusCredit",
        replacements=(
            FieldReplacement(field="gendercode", value="Female", replacement="female"),
            FieldReplacement(field="gendercode", value=1, replacement="male"),
            FieldReplacement(field="gendercode", value=None, replacement="unknown"),
            FieldReplacement(field="firstname", value="#00FF00", replacement="green"),
            FieldReplacement(field="donotemail", value=True, replacement="no"),
            FieldReplacement(field="creditlimit", value=Decimal("0.00"), replacement=None),
        ),
    )
    read = {"gendercode": 2, "firstname": "#00FF00", "donotemail": True, "creditlimit": Decimal("0.0000")}
    assert written(decide(contact(**read), rules, None, first=True)).write.update_values == {
        "gender": "female",
        "firstName": "green",
        "lastName": "no",
        "cusCredit": None,
    }
    read = {"gendercode": None, "firstname": "#00ff00", "donotemail": False, "creditlimit": Decimal("1.50")}
    assert written(decide(contact(**read), rules, None, first=True)).write.update_values == {
        "gender": "unknown",
        "firstName": "#00ff00",
        "lastName": "false",
        "cusCredit": Decimal("1.5"),
    }
    unknown = refused(decide(contact(**read | {"gendercode": 3}), rules, None, first=True))
    assert (unknown.reason, unknown.error.field) == (RefuseReason.UNKNOWN_OPTION, "gendercode")


def test_the_settings_reach_the_values() -> None:
    """Time zone and label switch are part of the rules."""
    read = contact(createdon="2023-04-07T22:30:00Z", statecode=1)
    fields = ("createdon > cusCreated", "statecode > lastName")
    assert written(decide(read, plan(*fields), None, first=True)).write.update_values == {
        "cusCreated": "2023-04-07",
        "lastName": "1",
    }
    rules = plan(*fields, time_zone="Europe/Paris", labels=True)
    assert written(decide(read, rules, None, first=True)).write.update_values == {
        "cusCreated": "2023-04-08",
        "lastName": "Inactive",
    }


def test_the_primary_key_can_be_mapped() -> None:
    """Its value is the change's own key, so it need not be read."""
    decision = written(decide(contact(), plan("contactid > cusId"), None, first=True))
    assert decision.write.update_values == {"cusId": CONTACT_ID}


def test_a_mapping_without_fields_still_creates_and_deletes() -> None:
    """Only the key is kept in step then."""
    mapping = TableMapping(table="contact", resource="profile", fields=())
    rules = compile_plan(mapping, IngressDefinition(mappings=(mapping,)), CONTACT, PROFILE)
    assert rules.columns == ()
    decision = written(decide(contact(), rules, None, first=True))
    assert decision.write.create_values == {"externalId": CONTACT_ID}
    assert skipped(decide(contact(), rules, decision.fingerprint, first=True)) is SkipReason.IDENTICAL


def test_a_change_of_another_table_is_a_mistake() -> None:
    """A plan decides for its own table only."""
    with pytest.raises(ValueError, match="a change of account was given to the plan of contact"):
        decide(change("account", {}), plan(), None, first=True)


def test_decisions_show_no_values() -> None:
    """A decision can be logged."""
    secret = "Wolfeschlegel"
    for one in (
        decide(contact(firstname=secret, lastname="x"), plan(), None, first=True),
        decide(contact(firstname=secret * 5, lastname="x"), plan(), None, first=True),
    ):
        assert secret not in repr(one)


def test_changes_are_left_as_they_were() -> None:
    """The input of a decision is never altered, and the write holds copies."""
    values: dict[str, Any] = {"firstname": "Ann", "lastname": None}
    rules = plan(*ONCE, constants={"orgUnit": {"PKey": "all"}})
    given = Change(key=ANN.key, values=values)
    first, second = (written(decide(given, rules, None, first=True)) for _ in range(2))
    assert values == {"firstname": "Ann", "lastname": None}
    assert first == second
    assert first.write.create_values is not second.write.create_values
