"""Definitions refuse nonsense when they are built, and say where it is."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from tests.definition_room import maps

from syncline.definitions import (
    ActivityTable,
    Comparison,
    EgressDefinition,
    EventKind,
    FieldMapping,
    FieldReplacement,
    Filter,
    Guardrails,
    IngressDefinition,
    OptOutDefinition,
    OptOutDirection,
    OptOutPair,
    TableMapping,
    opt_out_field,
)
from syncline.errors import DefinitionError

WIRE_NAMES = {
    "blackList",
    "blackListEmail",
    "blackListFax",
    "blackListMobile",
    "blackListPhone",
    "blackListPostalMail",
    "blackListPushnotification",
    "ccpaOptOut",
}


def profile(**changes: Any) -> TableMapping:
    given = {"table": "contact", "resource": "profile", "fields": maps("firstname > firstName")} | changes
    return TableMapping(**given)


def refused(make: Callable[[], object]) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        make()
    return caught.value


def test_the_default_maps_contacts_to_profiles() -> None:
    """Without any configuration, contacts fill profiles by `externalId`, and no consent field is among them."""
    definition = IngressDefinition()
    mapping = definition.mapping("contact")
    assert definition.tables == ("contact",)
    assert (mapping.resource, mapping.key) == ("profile", "externalId")
    assert {"firstname -> firstName", "emailaddress1 -> email"} <= {str(one) for one in mapping.fields}
    assert not [one for one in mapping.fields if opt_out_field(one.target)]


def test_a_table_that_is_not_mapped_is_an_error_that_names_those_that_are() -> None:
    """Asking for a mapping that is not there tells what is."""
    error = refused(lambda: IngressDefinition().mapping("account"))
    assert "account is not mapped" in str(error)
    assert "account is not mapped. Mapped: contact." in str(error)


def test_the_guardrails_are_the_original_numbers() -> None:
    """15,000,000 records, 20 tables, 50 columns, depth 2, 5 linked columns, and no replay from 2,000,000 on."""
    assert attrs.astuple(Guardrails())[:6] == (15_000_000, 20, 50, 2, 5, 2_000_000)


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "1a", "a.", "a'b", "naïve", "a" * 200, None, 3])
def test_what_is_no_name_is_refused(name: Any) -> None:
    """Names end up in addresses: letters, digits and underscores only, and never nothing."""
    assert refused(lambda: FieldMapping(source=name, target="a")).path == "source"
    assert refused(lambda: FieldMapping(source="a", target=name)).path == "target"
    assert refused(lambda: profile(table=name)).path == "table"
    assert refused(lambda: profile(resource=name)).path == "resource"
    assert refused(lambda: profile(key=name)).path == "key"
    assert refused(lambda: Filter(field=name, comparison=Comparison.IS_NULL)).path == "field"


def test_a_nested_field_is_a_name() -> None:
    """A field inside a group is named with a dot."""
    assert FieldMapping(source="address1_city", target="location.city").target == "location.city"


def test_the_same_table_twice_is_refused() -> None:
    """One Dynamics table fills one Campaign table."""
    error = refused(lambda: IngressDefinition(mappings=(profile(), profile(table="Contact", resource="cusOther"))))
    assert error.path == "mappings[1].table"
    assert "first in mappings[0].table" in str(error)


def test_the_same_resource_twice_is_refused() -> None:
    """One Campaign table is filled by one Dynamics table."""
    error = refused(lambda: IngressDefinition(mappings=(profile(), profile(table="lead"))))
    assert error.path == "mappings[1].resource"


def test_two_fields_for_one_target_are_refused() -> None:
    """Two Dynamics fields must not map to one Campaign field; case does not tell two fields apart."""
    error = refused(lambda: profile(fields=maps("firstname > firstName", "nickname > FIRSTNAME")))
    assert error.path == "fields[1].target"
    assert "fields[0].target" in str(error)


def test_one_field_for_two_targets_is_allowed() -> None:
    """A Dynamics field may fill several Campaign fields."""
    assert len(profile(fields=maps("firstname > firstName", "firstname > cusNick")).fields) == 2


def test_the_key_is_neither_a_field_nor_a_constant() -> None:
    """The key holds the Dynamics id and nothing else."""
    assert refused(lambda: profile(fields=maps("contactid > externalId"))).path == "fields[0].target"
    assert refused(lambda: profile(constants={"externalId": "1"})).path == "constants.externalId"


def test_a_field_has_a_source_or_a_constant() -> None:
    """A Campaign field cannot have both."""
    assert refused(lambda: profile(constants={"firstName": "x"})).path == "fields[0].target"


@pytest.mark.parametrize("name", sorted(WIRE_NAMES | {"denyListEmail", "blockListEmail", "BLACKLISTFAX", "denyList"}))
def test_a_consent_field_is_never_a_plain_field(name: str) -> None:
    """Opt-outs travel by the consent rule only: no field, constant or key of a profile may be one."""
    for make in (
        lambda: profile(fields=maps(f"donotemail > {name}")),
        lambda: profile(constants={name: True}),
        lambda: profile(key=name),
    ):
        error = refused(make)
        assert "never a plain field" in error.message
        assert "OptOutPair" in error.remedy


def test_a_custom_resource_may_use_the_name_of_a_consent_field() -> None:
    """Only a profile's opt-outs are opt-outs."""
    mapping = profile(table="lead", resource="cusLead", fields=maps("donotemail > blackListEmail"))
    assert mapping.fields[0].target == "blackListEmail"


def test_constants_need_values_that_can_be_told() -> None:
    """Null, NaN, half a character and nested nonsense are refused with their path; links are allowed."""
    assert refused(lambda: profile(constants={"orgUnit": None})).path == "constants.orgUnit"
    assert refused(lambda: profile(constants={"cusNumber": float("nan")})).path == "constants.cusNumber"
    assert refused(lambda: profile(constants={"cusText": "\ud800"})).path == "constants.cusText"
    nested = {"orgUnit": {"PKey": ["x", Decimal("Infinity")]}}
    assert refused(lambda: profile(constants=nested)).path == "constants.orgUnit.PKey[1]"
    assert refused(lambda: profile(constants={"bad name": 1})).path == "constants"
    assert profile(constants={"orgUnit": {"PKey": "all"}}).constants == {"orgUnit": {"PKey": "all"}}


def test_a_definition_does_not_change_with_the_mapping_it_was_built_from() -> None:
    """Constants are copied, also deep inside."""
    given: dict[str, Any] = {"orgUnit": {"PKey": "all"}}
    mapping = profile(constants=given)
    given["orgUnit"]["PKey"] = "other"
    assert mapping.constants == {"orgUnit": {"PKey": "all"}}


def test_a_replacement_needs_a_mapped_field_and_a_value_of_its_own() -> None:
    """A replacement of a field that goes nowhere, or a second one of the same value, is a mistake."""
    stray = FieldReplacement(field="lastname", value="a", replacement="b")
    assert refused(lambda: profile(replacements=(stray,))).path == "replacements[0].field"
    one = FieldReplacement(field="firstname", value="a", replacement="b")
    assert refused(lambda: profile(replacements=(one, attrs.evolve(one, replacement="c")))).path == (
        "replacements[1].value"
    )
    apart = (one, attrs.evolve(one, value=1), attrs.evolve(one, value=True))
    assert profile(replacements=apart).replacements == apart


@pytest.mark.parametrize("value", [float("nan"), Decimal("NaN"), float("inf"), Decimal("sNaN"), 10**80, "\udfff", [1]])
def test_a_replacement_of_what_is_no_value_is_refused(value: Any) -> None:
    """NaN, the infinities, endless numbers, half characters and lists are no values."""
    assert refused(lambda: FieldReplacement(field="a", value=value, replacement=1)).path == "value"
    assert refused(lambda: FieldReplacement(field="a", value=1, replacement=value)).path == "replacement"


def test_numbers_have_one_form() -> None:
    """1.50 is 1.5 and 2.0 is 2, however they were written; true is not 1."""
    assert FieldReplacement(field="a", value=1.5, replacement=2.0) == FieldReplacement(
        field="a", value=Decimal("1.50"), replacement=2
    )
    assert FieldReplacement(field="a", value=True, replacement="x") != FieldReplacement(
        field="a", value=1, replacement="x"
    )


@pytest.mark.parametrize(
    ("comparison", "value", "path"),
    [
        (Comparison.IS_NULL, 1, "value"),
        (Comparison.IS_NOT_NULL, "", "value"),
        (Comparison.IN, "a", "value"),
        (Comparison.IN, [], "value"),
        (Comparison.IN, None, "value"),
        (Comparison.NOT_IN, [1, None], "value[1]"),
        (Comparison.IN, [[1]], "value[0]"),
        (Comparison.EQUALS, None, "value"),
        (Comparison.EQUALS, ["a"], "value"),
        (Comparison.EQUALS, float("nan"), "value"),
        (Comparison.BEGINS_WITH, 1, "value"),
        (Comparison.ENDS_WITH, True, "value"),
        (Comparison.LESS, True, "value"),
    ],
)
def test_a_filter_takes_what_its_comparison_needs(comparison: Comparison, value: Any, path: str) -> None:
    """Null checks take nothing, `in` takes a list, the text comparisons text, and no comparison NaN."""
    assert refused(lambda: Filter(field="a", comparison=comparison, value=value)).path == path


def test_a_filter_needs_a_comparison_that_exists() -> None:
    """A word that only looks like a comparison is refused."""
    wrong: Any = "equals"
    assert refused(lambda: Filter(field="a", comparison=wrong, value=1)).path == "comparison"


@pytest.mark.parametrize(
    ("value", "form"), [(date(2026, 1, 31), "2026-01-31"), (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T09:30:00Z")]
)
def test_a_filter_says_how_a_date_is_written(value: Any, form: str) -> None:
    """Definitions hold what JSON knows: a date is text, and the error shows its form."""
    with pytest.raises(DefinitionError, match=f"in the form '{form}'"):
        Filter(field="createdon", comparison=Comparison.LESS, value=value)


def test_a_share_is_no_more_than_everything() -> None:
    """Over 100 percent the cap on deletions would be none."""
    assert Guardrails(filtered_out_percent=100).filtered_out_percent == 100
    for percent in (101, -1, True, 10.5):
        with pytest.raises(DefinitionError, match="from 0 to 100"):
            Guardrails(filtered_out_percent=percent)  # type: ignore[arg-type]


def test_the_same_filter_twice_is_refused() -> None:
    """A filter that is there already adds nothing; one that differs in type is another."""
    one = Filter(field="a", comparison=Comparison.EQUALS, value=1)
    assert refused(lambda: profile(filters=(one, one))).path == "filters[1]"
    other = Filter(field="a", comparison=Comparison.EQUALS, value=True)
    assert profile(filters=(one, other)).filters == (one, other)


@pytest.mark.parametrize("name", ["", "Mars/Base", "America", "../etc/passwd", "/etc/passwd", "a\0b", None])
def test_an_unknown_time_zone_is_refused(name: Any) -> None:
    """Also when it is a folder of the time zone database, or no name at all."""
    assert refused(lambda: IngressDefinition(time_zone=name)).path == "time_zone"


def test_lengths_name_a_field_of_a_resource() -> None:
    """`profile.firstName` to a whole number of characters."""
    assert IngressDefinition(max_lengths={"profile.firstName": 50}).max_lengths == {"profile.firstName": 50}
    assert refused(lambda: IngressDefinition(max_lengths={"firstName": 50})).path == "max_lengths.firstName"
    assert refused(lambda: IngressDefinition(max_lengths={"profile.a": 0})).path == "max_lengths.profile.a"
    assert refused(lambda: IngressDefinition(max_lengths={"profile.a": True})).path == "max_lengths.profile.a"


def test_parts_of_the_wrong_kind_are_refused() -> None:
    """What is listed has to be what is listed."""
    wrong: Any = "x"
    assert refused(lambda: profile(fields=(wrong,))).path == "fields[0]"
    assert refused(lambda: IngressDefinition(mappings=(wrong,))).path == "mappings[0]"
    assert refused(lambda: IngressDefinition(guardrails=wrong)).path == "guardrails"
    assert refused(lambda: profile(labels=wrong)).path == "labels"
    assert refused(lambda: Guardrails(depth=-1)).path == "depth"
    assert refused(lambda: EgressDefinition(kinds=frozenset({wrong}))).path == "kinds[0]"
    assert refused(lambda: EgressDefinition(activities={wrong: wrong})).path == "activities.x"
    assert refused(lambda: EgressDefinition(activities={EventKind.OPEN: wrong})).path == "activities.open"


def test_opt_out_names_of_the_documentation_become_wire_names() -> None:
    """`denyList...` and `blockList...` are accepted in any case; what travels is `blackList...`."""
    assert {opt_out_field(name) for name in WIRE_NAMES} == WIRE_NAMES
    assert OptOutPair(dynamics="donotbulkemail", campaign="denyListEmail").campaign == "blackListEmail"
    assert OptOutPair(dynamics="donotbulkemail", campaign="blocklistpushnotification").campaign == (
        "blackListPushnotification"
    )
    assert opt_out_field("denyListOptOut") is None
    assert opt_out_field("firstName") is None


def test_an_opt_out_pair_needs_one_of_the_eight_fields() -> None:
    """Any other Campaign field is refused, and the message lists the eight."""
    error = refused(lambda: OptOutPair(dynamics="donotemail", campaign="email"))
    assert error.path == "campaign"
    assert "blackListPostalMail" in error.remedy


def test_opt_out_pairs_do_not_compete() -> None:
    """A field that is written has one source: Campaign's always, Dynamics' when opt-outs travel there."""
    email = OptOutPair(dynamics="donotemail", campaign="denyListEmail")
    again = OptOutPair(dynamics="donotbulkemail", campaign="blackListEmail")
    fax = OptOutPair(dynamics="donotemail", campaign="blackListFax")
    to_campaign, both = OptOutDirection.DYNAMICS_TO_CAMPAIGN, OptOutDirection.BIDIRECTIONAL
    assert refused(lambda: OptOutDefinition(direction=to_campaign, pairs=(email, again))).path == "pairs[1].campaign"
    assert refused(lambda: OptOutDefinition(direction=both, pairs=(email, fax))).path == "pairs[1].dynamics"
    assert OptOutDefinition(direction=to_campaign, pairs=(email, fax)).pairs == (email, fax)
    assert refused(lambda: OptOutDefinition(direction=both)).path == "pairs"
    assert OptOutDefinition().direction is OptOutDirection.DISABLED


def test_egress_has_all_kinds_and_keeps_defaults_beside_what_is_given() -> None:
    """Every kind is on at first; naming one table leaves the others as they are."""
    table = ActivityTable(table="new_open", occurred_on="new_on")
    definition = EgressDefinition(activities={EventKind.OPEN: table})
    assert definition.kinds == set(EventKind)
    assert definition.activities[EventKind.OPEN] is table
    assert definition.activities[EventKind.SEND].table == "adobe_emailsend"


def test_definitions_travel_between_processes() -> None:
    """They can be pickled, copied, compared and hashed."""
    for one in (
        IngressDefinition(mappings=(profile(constants={"orgUnit": {"PKey": "all"}}),)),
        EgressDefinition(),
        OptOutDefinition(),
    ):
        for twin in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):  # noqa: S301 -- our own bytes
            assert twin == one
            assert hash(twin) == hash(one)


def test_opt_outs_of_contacts_stand_in_their_mapping() -> None:
    """O1: pairs belong to contact and profile, one for each Campaign field; they are no plain fields."""
    email = OptOutPair(dynamics="donotemail", campaign="denyListEmail")
    again = OptOutPair(dynamics="donotbulkemail", campaign="blackListEmail")
    phone = OptOutPair(dynamics="donotemail", campaign="blackListPhone")
    assert profile(opt_outs=[email, phone]).opt_outs == (email, phone)
    assert "2 opt-outs" in repr(profile(opt_outs=[email, phone]))
    assert refused(lambda: profile(opt_outs=[email, again])).path == "opt_outs[1].campaign"
    assert refused(lambda: profile(opt_outs=["donotemail"])).path == "opt_outs[0]"
    error = refused(lambda: profile(table="lead", resource="cusLead", opt_outs=[email]))
    assert (error.path, "contact to profile" in error.remedy) == ("opt_outs", True)
