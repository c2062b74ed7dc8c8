"""A mapping is fitted to both schemas once, and every mistake is told at once."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.definition_room import maps, table

from syncline.definitions import (
    Comparison,
    FieldReplacement,
    Filter,
    IngressDefinition,
    TableMapping,
)
from syncline.errors import DefinitionError
from syncline.mapping import TablePlan, compile_plan
from syncline.schemas import FieldSchema, FieldType, TableSchema

T = FieldType
CONTACT = table(
    "contact",
    {
        "contactid": T.GUID,
        "firstname": T.STRING,
        "lastname": T.STRING,
        "birthdate": T.DATE,
        "donotemail": T.BOOLEAN,
        "gendercode": FieldSchema(name="gendercode", type=T.PICKLIST, options={"1": "Male", "2": "Female"}),
        "interests": FieldSchema(name="interests", type=T.MULTI_PICKLIST, options={"1": "Golf"}),
        "parentcustomerid": FieldSchema(name="_parentcustomerid_value", type=T.LOOKUP, targets=("account",)),
        "secret": FieldSchema(name="secret", type=T.STRING, readable=False),
        "statecode": FieldSchema(name="statecode", type=T.PICKLIST, options={"0": "Active", "1": "Inactive"}),
    },
    primary_key="contactid",
)
PROFILE = table(
    "profile",
    {
        "externalId": T.STRING,
        "firstName": FieldSchema(name="firstName", type=T.STRING, max_length=30),
        "lastName": T.STRING,
        "birthDate": T.DATE,
        "gender": FieldSchema(name="gender", type=T.PICKLIST, options={"unknown": "", "female": "", "male": ""}),
        "age": FieldSchema(name="age", type=T.INTEGER, writable=False),
        "orgUnit": T.LOOKUP,
        "cusCompany": T.STRING,
    },
)


def compiled(source: TableSchema = CONTACT, target: TableSchema = PROFILE, **changes: Any) -> TablePlan:
    settings = {name: changes.pop(name) for name in ("time_zone", "label_language", "max_lengths") if name in changes}
    given: dict[str, Any] = {"table": "contact", "resource": "profile", "fields": maps("firstname > firstName")}
    mapping = TableMapping(**(given | changes))
    return compile_plan(mapping, IngressDefinition(mappings=(mapping,), **settings), source, target)


def refused(**changes: Any) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        compiled(**changes)
    return caught.value


def test_a_plan_reads_what_it_maps_filters_and_replaces() -> None:
    """The columns are sorted, by the name they are read by, each once, and without the primary key."""
    plan = compiled(
        fields=maps("firstname > firstName", "parentcustomerid > cusCompany", "contactid > lastName"),
        filters=(Filter(field="statecode", comparison=Comparison.EQUALS, value="Active"),),
    )
    assert plan.columns == ("_parentcustomerid_value", "firstname", "statecode")
    assert (plan.table, plan.resource) == ("contact", "profile")
    assert repr(plan) == f"<TablePlan contact -> profile reading 3 columns, {plan.rules_hash}>"


def test_a_lookup_can_be_named_by_either_name() -> None:
    """By its logical name or by the name it is read by."""
    for name in ("parentcustomerid", "_parentcustomerid_value"):
        plan = compiled(fields=maps(f"{name} > cusCompany"))
        assert plan.columns == ("_parentcustomerid_value",)


def test_plans_are_themselves() -> None:
    """A plan is equal to itself only, so that it can be a key."""
    one, other = compiled(), compiled()
    assert one != other
    assert len({one, other}) == 2
    assert one.rules_hash == other.rules_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"fields": maps("lastname > firstName")},
        {"fields": maps("firstname > firstName*")},
        {"labels": True},
        {"apply_deletes": False},
        {"constants": {"orgUnit": "all"}},
        {"filters": (Filter(field="statecode", comparison=Comparison.EQUALS, value=0),)},
        {"time_zone": "Europe/Paris"},
        {"max_lengths": {"profile.firstName": 40}},
        {"source": attrs.evolve(CONTACT, fields={"firstname": FieldSchema(name="firstname", type=T.OTHER)})},
    ],
)
def test_the_rules_hash_changes_with_the_rules(changes: dict[str, Any]) -> None:
    """Whatever may alter a decision alters the hash."""
    assert compiled(**changes).rules_hash != compiled().rules_hash


def test_the_rules_hash_does_not_change_with_what_is_not_used() -> None:
    """A new field in Dynamics, or a length of another resource, concerns nobody here."""
    more = attrs.evolve(CONTACT, fields={**CONTACT.fields, "new_field": FieldSchema(name="new_field", type=T.STRING)})
    assert compiled(source=more).rules_hash == compiled().rules_hash
    assert compiled(max_lengths={"cusLead.name": 5}).rules_hash == compiled().rules_hash


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"key": "cusKey"}, "mappings[0].key", "profile has no field cusKey"),
        ({"key": "age"}, "mappings[0].key", "profile.age is read-only"),
        ({"fields": maps("frstname > firstName")}, "mappings[0].fields[0].source", "Did you mean firstname?"),
        ({"fields": maps("FirstName > firstName")}, "mappings[0].fields[0].source", "Did you mean firstname?"),
        ({"fields": maps("firstname > firstname")}, "mappings[0].fields[0].target", "Did you mean firstName?"),
        ({"fields": maps("qqqqq > firstName")}, "mappings[0].fields[0].source", "contact has no field qqqqq."),
        ({"fields": maps("secret > firstName")}, "mappings[0].fields[0].source", "contact.secret cannot be read"),
        ({"fields": maps("firstname > age")}, "mappings[0].fields[0].target", "profile.age is read-only"),
        (
            {"fields": maps("donotemail > birthDate")},
            "mappings[0].fields[0].target",
            "profile.birthDate takes date, which yes or no can never become",
        ),
        ({"fields": maps("parentcustomerid > orgUnit")}, "mappings[0].fields[0].target", "is a link"),
        ({"constants": {"orgUnits": "all"}}, "mappings[0].constants.orgUnits", "Did you mean orgUnit?"),
        ({"constants": {"birthDate": "today"}}, "mappings[0].constants.birthDate", "does not hold a date"),
        ({"constants": {"gender": "divers"}}, "mappings[0].constants.gender", "none of the options"),
        (
            {"filters": (Filter(field="statuscode", comparison=Comparison.IS_NULL),)},
            "mappings[0].filters[0].field",
            "Did you mean statecode?",
        ),
        (
            {"filters": (Filter(field="statecode", comparison=Comparison.EQUALS, value="Closed"),)},
            "mappings[0].filters[0]",
            "contact.statecode has no option of that label",
        ),
        (
            {"filters": (Filter(field="birthdate", comparison=Comparison.CONTAINS, value="19"),)},
            "mappings[0].filters[0]",
            "cannot be compared with contains: it holds a date",
        ),
        ({"max_lengths": {"profile.fistName": 3}}, "max_lengths.profile.fistName", "Did you mean firstName?"),
    ],
)
def test_a_name_or_type_that_does_not_fit_is_told(changes: dict[str, Any], path: str, words: str) -> None:
    """With the path in the definition, what is wrong, and what was probably meant."""
    error = refused(**changes)
    assert error.path == path
    assert words in str(error)


def test_replacements_must_fit_both_sides() -> None:
    """The value must be one the field can hold, the replacement one that Campaign can."""

    def replacing(field: str, value: Any, replacement: Any, target: str = "gender") -> DefinitionError:
        return refused(
            fields=maps(f"{field} > {target}"),
            replacements=(FieldReplacement(field=field, value=value, replacement=replacement),),
        )

    assert replacing("gendercode", "Other", "female").path == "mappings[0].replacements[0].value"
    assert replacing("gendercode", 2, "woman").path == "mappings[0].replacements[0].replacement"
    assert replacing("firstname", "a", "b" * 31, "firstName").path == "mappings[0].replacements[0].replacement"
    assert replacing("interests", 1, "golf", "firstName").path == "mappings[0].replacements[0].field"


def test_two_names_of_one_value_are_one_value() -> None:
    """A label and its technical value cannot be replaced by two different things."""
    error = refused(
        fields=maps("gendercode > gender"),
        replacements=(
            FieldReplacement(field="gendercode", value=2, replacement="female"),
            FieldReplacement(field="gendercode", value="female", replacement="unknown"),
        ),
    )
    assert error.path == "mappings[0].replacements[1].value"


def test_every_problem_is_told_at_once() -> None:
    """One look at the message is enough to mend the whole mapping."""
    error = refused(
        fields=maps("frstname > firstName", "lastname > lastNme", "birthdate > gender", "nosuch > nosuch"),
        constants={"nothing": 1},
        filters=(Filter(field="state", comparison=Comparison.IS_NULL),),
    )
    assert error.path == "mappings[0]"
    assert "6 things do not fit the tables:" in str(error)
    for path in ("fields[0].source", "fields[1].target", "fields[3].source", "fields[3].target", "constants.nothing"):
        assert f"\n  mappings[0].{path}: " in str(error)


def test_a_mapping_can_be_tried_before_it_is_saved() -> None:
    """Paths are relative to the mapping when the definition does not have it yet."""
    mapping = TableMapping(table="lead", resource="cusLead", fields=maps("nothing > firstName"))
    with pytest.raises(DefinitionError) as caught:
        compile_plan(mapping, IngressDefinition(), attrs.evolve(CONTACT, name="lead"), PROFILE)
    assert caught.value.path == "fields[0].source"


def test_the_default_mapping_fits_the_published_tables() -> None:
    """Contacts and profiles as both vendors ship them take the default mapping as it is."""
    mapping = IngressDefinition().mapping("contact")
    source = table(
        "contact",
        {one.source: T.DATE if one.source == "birthdate" else T.STRING for one in mapping.fields},
        primary_key="contactid",
    )
    target = table(
        "profile",
        {"externalId": T.STRING}
        | {one.target: T.DATE if one.target == "birthDate" else T.STRING for one in mapping.fields},
    )
    assert len(compile_plan(mapping, IngressDefinition(), source, target).columns) == len(mapping.fields)
