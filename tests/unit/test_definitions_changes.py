"""What changed between two definitions, and what each change needs before it shows in the data."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from tests.definition_room import DEFINITIONS, ingress_definitions, maps

from syncline.definition_changes import (
    DefinitionChange,
    DefinitionChanges,
    Needs,
    Subject,
    What,
    difference,
    validate_edit,
)
from syncline.definition_json import definition_from_json, definition_hash, definition_to_json
from syncline.definitions import (
    ActivityTable,
    Comparison,
    Definition,
    EgressDefinition,
    EventKind,
    FieldReplacement,
    Filter,
    Guardrails,
    IngressDefinition,
    Match,
    OptOutDefinition,
    OptOutDirection,
    OptOutPair,
    TableMapping,
)
from syncline.errors import DefinitionError

ACTIVE = Filter(field="statecode", comparison=Comparison.EQUALS, value=0)
NAMED = Filter(field="lastname", comparison=Comparison.IS_NOT_NULL)
GREEN = FieldReplacement(field="firstname", value="#00FF00", replacement="green")
CONTACT = TableMapping(
    table="contact", resource="profile", fields=maps("firstname > firstName", "lastname > lastName*")
)
ACCOUNT = TableMapping(table="account", resource="cusAccount", fields=maps("name > name"))


def ingress(mapping: TableMapping = CONTACT, *others: TableMapping, **settings: Any) -> IngressDefinition:
    return IngressDefinition(mappings=(mapping, *others), **settings)


def edited(**changes: Any) -> IngressDefinition:
    return ingress(attrs.evolve(CONTACT, **changes))


def only(changes: DefinitionChanges) -> DefinitionChange:
    assert len(changes) == 1, str(changes)
    return changes.changes[0]


def between(old: Definition, new: Definition) -> DefinitionChange:
    return only(difference(old, new))


@given(DEFINITIONS)
def test_nothing_changed_between_a_definition_and_itself(definition: Definition) -> None:
    """No difference, no need, falsy; also after a way through JSON."""
    for twin in (definition, definition_from_json(definition_to_json(definition))):
        changes = difference(definition, twin)
        assert not changes
        assert changes.needs is None
        assert str(changes) == "nothing changed"
        validate_edit(definition, twin)


@given(ingress_definitions(), ingress_definitions())
def test_a_difference_shows_exactly_when_the_hashes_differ(old: IngressDefinition, new: IngressDefinition) -> None:
    """`pending_changes` and the hash of what runs never disagree."""
    changes = difference(old, new)
    assert bool(changes) == (definition_hash(old) != definition_hash(new))
    assert set(changes.replay_tables) <= set(new.tables) & set(old.tables)


@given(DEFINITIONS, DEFINITIONS)
def test_only_definitions_of_one_workflow_can_be_compared(old: Definition, new: Definition) -> None:
    """A difference of two workflows is refused; of one it agrees with the hash."""
    if type(old) is type(new):
        assert bool(difference(old, new)) == (definition_hash(old) != definition_hash(new))
    else:
        with pytest.raises(DefinitionError):
            difference(old, new)


def test_a_new_field_needs_a_replay() -> None:
    """Existing profiles get a new field by a replay only, and the sentence says so."""
    change = between(ingress(), edited(fields=(*CONTACT.fields, *maps("mobilephone > mobilePhone"))))
    assert (change.what, change.subject, change.table) == (What.ADDED, Subject.FIELD, "contact")
    assert (change.path, change.before) == ("mappings[0].fields[2]", None)
    assert change.needs is Needs.RESTART_AND_REPLAY
    assert str(change) == (
        "contact: field mobilephone -> mobilePhone added "
        "(restart, and a replay of contact to bring existing records up to date)"
    )


def test_a_field_from_elsewhere_needs_a_replay() -> None:
    """Another source for a Campaign field alters what every record holds."""
    change = between(ingress(), edited(fields=maps("nickname > firstName", "lastname > lastName*")))
    assert (change.what, change.path) == (What.CHANGED, "mappings[0].fields[0]")
    assert change.needs is Needs.RESTART_AND_REPLAY
    assert str(change).startswith("contact: field firstname -> firstName changed to nickname -> firstName (")


def test_a_removed_field_needs_a_restart_only() -> None:
    """What was written stays in Campaign: there is nothing to replay."""
    change = between(ingress(), edited(fields=CONTACT.fields[:1]))
    assert (change.what, change.path) == (What.REMOVED, "mappings[0].fields[1]")
    assert change.needs is Needs.RESTART
    assert str(change) == "contact: field lastname -> lastName (first load only) removed (restart)"


def test_updates_switched_off_need_a_restart_only() -> None:
    """From now on the field is left alone; nothing that was written changes."""
    change = between(ingress(), edited(fields=maps("firstname > firstName*", "lastname > lastName*")))
    assert change.needs is Needs.RESTART


def test_updates_switched_on_need_a_replay() -> None:
    """Changes that were not written meanwhile are missing in Campaign."""
    change = between(ingress(), edited(fields=maps("firstname > firstName", "lastname > lastName")))
    assert change.needs is Needs.RESTART_AND_REPLAY


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ((), (GREEN,), What.ADDED),
        ((GREEN,), (), What.REMOVED),
        ((GREEN,), (attrs.evolve(GREEN, replacement="lime"),), What.CHANGED),
    ],
)
def test_replacements_need_a_replay(old: Any, new: Any, what: What) -> None:
    """Each of adding, removing and changing one alters what records hold."""
    change = between(edited(replacements=old), edited(replacements=new))
    assert (change.what, change.subject, change.needs) == (what, Subject.REPLACEMENT, Needs.RESTART_AND_REPLAY)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [((), (ACTIVE,), [What.ADDED]), ((ACTIVE,), (), [What.REMOVED]), ((ACTIVE,), (NAMED,), [What.REMOVED, What.ADDED])],
)
def test_filters_need_a_replay(old: Any, new: Any, what: list[What]) -> None:
    """Records that pass now and did not before, or the other way round, do not change by themselves."""
    changes = difference(edited(filters=old), edited(filters=new))
    assert [change.what for change in changes] == what
    assert {change.needs for change in changes} == {Needs.RESTART_AND_REPLAY}


@pytest.mark.parametrize(
    ("old", "new", "needs"),
    [
        ({"labels": False}, {"labels": True}, Needs.RESTART_AND_REPLAY),
        ({"labels": True}, {"labels": False}, Needs.RESTART_AND_REPLAY),
        ({"apply_deletes": False}, {"apply_deletes": True}, Needs.RESTART),
        ({"apply_deletes": True}, {"apply_deletes": False}, Needs.RESTART),
        ({"match": Match.ALL}, {"match": Match.ANY}, Needs.RESTART),
        ({"match": Match.ALL, "filters": (ACTIVE,)}, {"match": Match.ANY, "filters": (ACTIVE,)}, Needs.RESTART),
        (
            {"match": Match.ALL, "filters": (ACTIVE, NAMED)},
            {"match": Match.ANY, "filters": (ACTIVE, NAMED)},
            Needs.RESTART_AND_REPLAY,
        ),
        ({"delete_filtered_out": False}, {"delete_filtered_out": True}, Needs.RESTART),
        (
            {"delete_filtered_out": False, "filters": (ACTIVE,)},
            {"delete_filtered_out": True, "filters": (ACTIVE,)},
            Needs.RESTART_AND_REPLAY,
        ),
        (
            {"delete_filtered_out": True, "filters": (ACTIVE,)},
            {"delete_filtered_out": False, "filters": (ACTIVE,)},
            Needs.RESTART,
        ),
        ({}, {"constants": {"orgUnit": "all"}}, Needs.RESTART),
        ({"constants": {"orgUnit": "all"}}, {}, Needs.RESTART),
        ({"constants": {"orgUnit": "all"}}, {"constants": {"orgUnit": "some"}}, Needs.RESTART),
    ],
)
def test_what_a_switch_or_constant_needs(old: dict[str, Any], new: dict[str, Any], needs: Needs) -> None:
    """A replay where written records should look different or be gone; else a restart.

    Constants belong to Campaign once a record is created, and deletions that were ignored cannot be read again.
    """
    change = between(edited(**old), edited(**new))
    assert change.needs is needs
    assert change.table == "contact"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"key": "cusKey"}, "key"),
        ({"resource": "cusContact"}, "resource"),
    ],
)
def test_key_and_resource_of_a_mapping_stay(changes: dict[str, Any], name: str) -> None:
    """The tables and the key of a saved mapping are read-only: delete and add."""
    change = between(ingress(), edited(**changes))
    assert change.needs is Needs.DELETE_AND_ADD
    assert not change.allowed
    with pytest.raises(DefinitionError) as caught:
        validate_edit(ingress(), edited(**changes))
    assert caught.value.path == f"mappings[0].{name}"
    assert "Delete the mapping and save, then add it again." in str(caught.value)


def test_a_mapping_can_be_deleted_and_added_with_another_key() -> None:
    """In two steps it is allowed, as the message says."""
    validate_edit(ingress(), ingress(ACCOUNT))
    validate_edit(ingress(ACCOUNT), ingress(ACCOUNT, attrs.evolve(CONTACT, key="cusKey")))


def test_mappings_come_and_go_with_a_restart() -> None:
    """A new table is read in full by itself; a removed one leaves its records in Campaign."""
    added = between(ingress(), ingress(CONTACT, ACCOUNT))
    assert (added.what, added.subject, added.table, added.path) == (
        What.ADDED,
        Subject.MAPPING,
        "account",
        "mappings[1]",
    )
    assert added.needs is Needs.RESTART
    assert str(added) == "account: mapping to cusAccount added (restart)"
    assert between(ingress(CONTACT, ACCOUNT), ingress()).needs is Needs.RESTART


def test_another_time_zone_needs_a_replay_of_every_kept_table() -> None:
    """Any date may fall on another day; a table that is new is read anyway."""
    lead = TableMapping(table="lead", resource="cusLead", fields=maps("subject > subject"))
    changes = difference(ingress(CONTACT, ACCOUNT), ingress(ACCOUNT, CONTACT, lead, time_zone="Europe/Paris"))
    assert changes.replay_tables == ("account", "contact")
    assert "time zone changed from UTC to Europe/Paris (restart, and a replay of account, contact" in str(changes)


def test_another_label_language_concerns_tables_that_use_labels() -> None:
    """Labels are written by the switch, and named in replacements and filters."""
    mappings = (
        CONTACT,
        attrs.evolve(ACCOUNT, labels=True),
        TableMapping(table="lead", resource="cusLead", fields=(), filters=(ACTIVE,)),
    )
    changes = difference(ingress(*mappings), ingress(*mappings, label_language=1036))
    assert changes.replay_tables == ("account", "lead")
    assert between(ingress(), ingress(label_language=1036)).needs is Needs.RESTART


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"max_lengths": {"profile.email": 200}}),
        ({"max_lengths": {"profile.email": 200}}, {"max_lengths": {"profile.email": 100}}),
        ({"max_lengths": {"profile.email": 200}}, {}),
        ({}, {"guardrails": Guardrails(columns=60)}),
    ],
)
def test_limits_need_a_restart_only(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Limits decide what is refused, not what records hold."""
    change = between(ingress(**old), ingress(**new))
    assert change.needs is Needs.RESTART
    assert change.subject is Subject.SETTING


def test_order_is_no_change() -> None:
    """Listing the same in another order changes nothing."""
    old = ingress(CONTACT, ACCOUNT)
    new = ingress(ACCOUNT, attrs.evolve(CONTACT, fields=CONTACT.fields[::-1]))
    assert not difference(old, new)


def test_several_changes_need_the_most_that_one_of_them_needs() -> None:
    """The summary tells the strongest need, every table to replay, and one line per change."""
    new = ingress(attrs.evolve(CONTACT, labels=True), ACCOUNT)
    changes = difference(ingress(), new)
    assert changes.needs is Needs.RESTART_AND_REPLAY
    assert changes.replay_tables == ("contact",)
    assert len(str(changes).splitlines()) == len(changes) == 2


def test_egress_changes_need_a_restart() -> None:
    """Kinds and tables concern events that are still to come."""
    old = EgressDefinition(kinds={EventKind.OPEN, EventKind.SEND})
    new = EgressDefinition(
        kinds={EventKind.OPEN, EventKind.CLICK},
        activities={EventKind.OPEN: ActivityTable(table="new_open", occurred_on="adobe_openedon")},
    )
    changes = difference(old, new)
    assert [str(change) for change in changes] == [
        "kind click added (restart)",
        "kind send removed (restart)",
        "open table changed from adobe_emailopen to new_open (restart)",
    ]


def test_opt_outs_given_earlier_travel_too() -> None:
    """A new pair, or a new direction, concerns opt-outs that are there already."""
    email = OptOutPair(dynamics="donotbulkemail", campaign="denyListEmail")
    fax = OptOutPair(dynamics="donotfax", campaign="denyListFax")
    one_way = OptOutDefinition(direction=OptOutDirection.DYNAMICS_TO_CAMPAIGN, pairs=(email,))
    both_ways = attrs.evolve(one_way, direction=OptOutDirection.BIDIRECTIONAL)
    assert between(one_way, both_ways).needs is Needs.RESTART_AND_REPLAY
    assert between(both_ways, one_way).needs is Needs.RESTART
    more = attrs.evolve(one_way, pairs=(email, fax))
    assert between(one_way, more).needs is Needs.RESTART_AND_REPLAY
    assert between(one_way, more).subject is Subject.PAIR
    assert between(more, one_way).needs is Needs.RESTART
    other = attrs.evolve(one_way, pairs=(attrs.evolve(email, dynamics="donotemail"),))
    assert str(between(one_way, other)).startswith(
        "contact: pair donotbulkemail = blackListEmail changed to donotemail = blackListEmail (restart, and a replay"
    )
    assert between(one_way, attrs.evolve(one_way, skew_margin_seconds=9)).needs is Needs.RESTART


@pytest.mark.parametrize("other", [None, {}, OptOutDefinition()])
def test_a_definition_of_another_kind_is_no_edit(other: Any) -> None:
    """The error says what is needed."""
    with pytest.raises(DefinitionError, match="Give it an IngressDefinition"):
        validate_edit(ingress(), other)
