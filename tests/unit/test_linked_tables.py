"""Links in a definition: what is refused, which table goes first, and what a record points to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from tests.definition_room import change, ingress_definitions, maps, table

from syncline.connectors.dynamics import odata
from syncline.connectors.dynamics.pages import row_of
from syncline.definition_changes import Needs, difference
from syncline.definition_json import definition_from_json, definition_to_json
from syncline.definitions import Guardrails, IngressDefinition, Link, LinkBy, TableMapping
from syncline.errors import DefinitionError, ProtocolError
from syncline.linked_tables import LinkedTables
from syncline.mapping import RefuseDecision, SkipDecision, TablePlan, WriteDecision, compile_plan, decide
from syncline.schemas import FieldSchema, FieldType, lookup_of, table_column

ACCOUNT = "11111111-0000-4000-8000-000000000000"
OTHER = "22222222-0000-4000-8000-000000000000"


def linked(name: str, *parents: str, **more: Any) -> TableMapping:
    """A mapping with a link to each of these tables."""
    links = [Link(source=f"{parent}id", target=f"{parent}Id", table=parent) for parent in parents]
    return TableMapping(table=name, resource=f"cus{name}", fields=[], **{"links": links, **more})


def refused(make: Callable[[], object]) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        make()
    return caught.value


# ---------------------------------------------------------------------------------------------------------- definition


def test_a_link_needs_a_mapped_table() -> None:
    """A parent that nobody sends would never come."""
    error = refused(lambda: IngressDefinition(mappings=[linked("contact", "account")]))
    assert error.path == "mappings[0].links[0].table"
    assert "Map account too" in error.remedy


def test_tables_that_wait_for_each_other_are_refused() -> None:
    """The circle is named, table by table; a table that points to itself is none."""
    error = refused(lambda: IngressDefinition(mappings=[linked("a", "b"), linked("b", "c"), linked("c", "a")]))
    assert "a -> b -> c -> a" in str(error)
    assert IngressDefinition(mappings=[linked("account", "account")]).linked_tables.level("account") == 0


def test_three_levels_and_five_links_and_no_more() -> None:
    """The guardrails `depth` and `linked_columns` hold, and can be raised."""
    deep = [linked("a"), linked("b", "a"), linked("c", "b"), linked("d", "c")]
    IngressDefinition(mappings=deep[:3])
    error = refused(lambda: IngressDefinition(mappings=deep))
    assert "d to c to b to a" in str(error)
    assert "guardrail depth" in error.remedy
    IngressDefinition(mappings=deep, guardrails=Guardrails(depth=3))
    parents = [f"p{number}" for number in range(6)]
    wide = [*map(linked, parents), linked("child", *parents)]
    error = refused(lambda: IngressDefinition(mappings=wide))
    assert error.path == "mappings[6].links"
    IngressDefinition(mappings=wide, guardrails=Guardrails(linked_columns=6))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"fields": maps("name > aId")}, "links[0].target"),
        ({"key": "aId"}, "links[0].target"),
        ({"constants": {"aId": "x"}}, "links[0].target"),
        ({"resource": "profile", "links": [Link(source="x", target="blackList", table="a")]}, "links[0].target"),
        (
            {"links": [Link(source="x", target="p", table="a"), Link(source="x", target="q", table="a")]},
            "links[1].table",
        ),
    ],
)
def test_a_link_has_its_target_to_itself(changes: dict[str, Any], path: str) -> None:
    """A Campaign field is filled by one thing only, and an opt-out is none of them."""
    given = {"table": "b", "resource": "cusB", "fields": [], "links": [Link(source="aid", target="aId", table="a")]}
    assert refused(lambda: TableMapping(**{**given, **changes})).path == path


def test_the_order_of_tables() -> None:
    """Parents go before children, and so do their parents; a table without links has nothing before it."""
    tables = LinkedTables.of([linked("visit", "vehicle", "garage"), linked("vehicle", "contact"), linked("contact")])
    assert tables.before("visit") == {"vehicle", "garage", "contact"}
    assert tables.behind("contact") == {"vehicle", "visit"}
    assert [tables.level(one) for one in ("contact", "vehicle", "visit")] == [0, 1, 2]
    assert tables.deepest == ("visit", "vehicle", "contact")
    assert LinkedTables.of([]).deepest == ()


def test_a_link_reads_well() -> None:
    """As a line of a difference and of a repr."""
    link = Link(source="parentcustomerid", target="account", table="account", by=LinkBy.PKEY)
    assert str(link) == "parentcustomerid -> account (account) by PKey"
    assert repr(linked("b", "a")) == "<TableMapping b -> cusb with 0 fields and 1 links>"


def test_a_changed_link_needs_a_replay() -> None:
    """A new link, or one that is written otherwise, shows only in records that are sent again; a removed one stays."""
    old = IngressDefinition(mappings=[linked("a"), linked("b", "a")])
    (added,) = difference(IngressDefinition(mappings=[linked("a"), linked("b")]), old)
    assert (added.path, str(added.subject), added.replay_tables) == ("mappings[1].links[0]", "link", ("b",))
    other = Link(source="aid", target="aId", table="a", by=LinkBy.PKEY)
    (changed,) = difference(old, IngressDefinition(mappings=[linked("a"), linked("b", links=[other])]))
    assert changed.needs is Needs.RESTART_AND_REPLAY
    (removed,) = difference(old, IngressDefinition(mappings=[linked("a"), linked("b")]))
    assert removed.needs is Needs.RESTART


@given(ingress_definitions())
def test_links_survive_json(definition: IngressDefinition) -> None:
    """What was written down reads back the same."""
    assert definition_from_json(definition_to_json(definition)) == definition


# ---------------------------------------------------------------------------------------------------------------- plan

SOURCE = table(
    "contact",
    {
        "contactid": FieldType.GUID,
        "lastname": FieldType.STRING,
        "accountid": FieldSchema(name="_accountid_value", type=FieldType.LOOKUP, targets=("account",)),
        "parentcustomerid": FieldSchema(
            name="_parentcustomerid_value", type=FieldType.LOOKUP, targets=("account", "contact")
        ),
    },
    primary_key="contactid",
)
TARGET = table(
    "profile",
    {
        "externalId": FieldType.STRING,
        "lastName": FieldType.STRING,
        "cusAccountId": FieldType.STRING,
        "cusShort": FieldSchema(name="cusShort", type=FieldType.INTEGER),
        "cusAccount": FieldSchema(name="cusAccount", type=FieldType.LOOKUP, targets=("cusAccount",)),
        "cusOther": FieldSchema(name="cusOther", type=FieldType.LOOKUP, targets=("cusOther",)),
    },
)
BY_COLUMN = Link(source="accountid", target="cusAccountId", table="account")
BY_PKEY = Link(source="accountid", target="cusAccount", table="account", by=LinkBy.PKEY)
ANY_KIND = Link(source="parentcustomerid", target="cusAccountId", table="account")


def compiled(link: Link) -> TablePlan:
    mapping = TableMapping(table="contact", resource="profile", fields=maps("lastname > lastName"), links=[link])
    account = TableMapping(table="account", resource="cusAccount", key="accountId", fields=[])
    return compile_plan(mapping, IngressDefinition(mappings=[mapping, account]), SOURCE, TARGET)


def test_a_plan_reads_what_it_links() -> None:
    """The lookup is read by its own name, and with it whose id it is where that is not certain."""
    assert compiled(BY_COLUMN).columns == ("_accountid_value", "lastname")
    assert compiled(ANY_KIND).columns == ("_parentcustomerid_value", "_parentcustomerid_value@table", "lastname")
    (rule,) = compiled(BY_PKEY).links
    assert (rule.resource, rule.key_field, rule.by_pkey) == ("cusAccount", "accountId", True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "lastname"}, "is no lookup"),
        ({"source": "nothing"}, "has no field nothing"),
        ({"target": "nothing"}, "has no field nothing"),
        ({"target": "cusAccount"}, "is a link"),
        ({"target": "cusShort"}, "can never become"),
        ({"by": LinkBy.PKEY}, "is no link"),
        ({"by": LinkBy.PKEY, "target": "cusOther"}, "does not link to cusAccount but to cusOther"),
    ],
)
def test_a_link_that_fits_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    """A lookup on one side, and on the other what can hold it: the path leads to the link."""
    error = refused(lambda: compiled(evolve(BY_COLUMN, **changes)))
    assert message in str(error)
    assert error.path.startswith("mappings[0].links[0]")


def test_a_lookup_to_another_table_is_refused() -> None:
    """What can never point to the table has nothing to link."""
    mapping = TableMapping(
        table="contact",
        resource="profile",
        fields=[],
        links=[Link(source="accountid", target="lastName", table="lead")],
    )
    lead = TableMapping(table="lead", resource="cusLead", fields=[])
    error = refused(lambda: compile_plan(mapping, IngressDefinition(mappings=[mapping, lead]), SOURCE, TARGET))
    assert "does not point to lead but to account" in str(error)


# ------------------------------------------------------------------------------------------------------------ decision


def decided(plan: TablePlan, entry: bytes | None = None, /, **values: Any) -> WriteDecision:
    given = dict.fromkeys(plan.columns) | values
    decision = decide(change("contact", given), plan, entry, first=False)
    assert isinstance(decision, WriteDecision)
    return decision


@pytest.mark.parametrize("link", [BY_COLUMN, BY_PKEY])
def test_a_link_is_written_and_remembered(link: Link) -> None:
    """It goes with every change, names the record that must be there first, and a record moved is not identical."""
    plan = compiled(link)
    one = decided(plan, _accountid_value=ACCOUNT.upper())
    assert one.write.update_values[link.target] == ACCOUNT
    assert [str(parent.key) for parent in one.parents] == [f"account({ACCOUNT})"]
    assert one.fingerprint != decided(plan, _accountid_value=OTHER).fingerprint
    same = decide(
        change("contact", {"lastname": None, "_accountid_value": ACCOUNT}), plan, one.fingerprint, first=False
    )
    assert isinstance(same, SkipDecision)


def test_an_empty_lookup_empties_the_link() -> None:
    """Nothing to wait for, and null to write."""
    one = decided(compiled(BY_COLUMN))
    assert one.parents == ()
    assert one.write.update_values["cusAccountId"] is None
    assert "cusAccountId" not in one.write.create_values


def test_a_lookup_that_points_elsewhere_is_empty() -> None:
    """An id of a contact is never taken for that of an account."""
    plan, lookup = compiled(ANY_KIND), "_parentcustomerid_value"
    there = decided(plan, None, **{lookup: ACCOUNT, table_column(lookup): "account"})
    elsewhere = decided(plan, None, **{lookup: ACCOUNT, table_column(lookup): "contact"})
    assert [parent.id for parent in there.parents] == [ACCOUNT]
    assert elsewhere.parents == ()
    assert elsewhere.write.update_values["cusAccountId"] is None


def test_what_is_no_id_is_refused() -> None:
    """The lookup is named and its value is not."""
    decision = decide(
        change("contact", {"lastname": None, "_accountid_value": 7}), compiled(BY_COLUMN), None, first=False
    )
    assert isinstance(decision, RefuseDecision)
    assert decision.error.field == "accountid"
    missing = decide(change("contact", {"lastname": None}), compiled(BY_COLUMN), None, first=False)
    assert isinstance(missing, RefuseDecision)
    assert "was not read" in str(missing.error)


# ---------------------------------------------------------------------------------------------------------- annotation


def test_whose_id_it_is_comes_as_an_annotation() -> None:
    """It is preferred and not selected, and read beside its lookup; one that does not come is an error."""
    column = table_column("_x_value")
    assert lookup_of(column) == "_x_value"
    assert odata.select(["a", "_x_value", column]) == "$select=a,_x_value"
    assert odata.preferring(["a"]) == ""
    assert odata.preferring([column]) == ',odata.include-annotations="Microsoft.Dynamics.CRM.lookuplogicalname"'
    row = {"id": ACCOUNT, "_x_value": OTHER, "_x_value@Microsoft.Dynamics.CRM.lookuplogicalname": "account"}
    assert row_of(row, "contact", (column,), "id").values == {column: "account"}
    assert row_of({"id": ACCOUNT, "_x_value": None}, "contact", (column,), "id").values == {column: None}
    assert row_of({"id": ACCOUNT}, "contact", (column,), "id").values == {}
    with pytest.raises(ProtocolError):
        row_of({"id": ACCOUNT, "_x_value": OTHER}, "contact", (column,), "id")
