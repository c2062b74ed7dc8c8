"""What holds for every mapping and every record."""

from __future__ import annotations

import copy
import json
from datetime import date
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.definition_room import change, table

from syncline.definitions import Comparison, FieldMapping, Filter, IngressDefinition, Match, TableMapping
from syncline.mapping import (
    RefuseDecision,
    RefuseReason,
    SkipDecision,
    SkipReason,
    TablePlan,
    WriteDecision,
    compile_plan,
    decide,
)
from syncline.records import encode_values
from syncline.schemas import FieldSchema, FieldType

T = FieldType
KINDS = {
    "text": (T.STRING, T.STRING),
    "whole": (T.INTEGER, T.INTEGER),
    "money": (T.MONEY, T.DOUBLE),
    "rate": (T.DECIMAL, T.STRING),
    "truth": (T.BOOLEAN, T.BOOLEAN),
    "day": (T.DATE, T.DATE),
    "moment": (T.DATETIME, T.DATETIME),
    "dated": (T.DATETIME, T.DATE),
    "colour": (T.PICKLIST, T.STRING),
    "several": (T.MULTI_PICKLIST, T.STRING),
    "link": (T.LOOKUP, T.STRING),
    "other": (T.OTHER, T.STRING),
}
OPTIONS = {"1": "Red", "2": "Green"}
SOURCE = table(
    "account",
    {name: FieldSchema(name=name, type=kinds[0], options=OPTIONS) for name, kinds in KINDS.items()},
    primary_key="accountid",
)
TARGET = table(
    "cusAccount",
    {"externalId": T.STRING}
    | {f"cus{name}": FieldSchema(name=f"cus{name}", type=kinds[1], max_length=40) for name, kinds in KINDS.items()},
)

GOOD: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40),
    "whole": st.integers(-(2**31), 2**31),
    "money": st.decimals(-(10**9), 10**9, places=4),
    "rate": st.decimals(-(10**9), 10**9, places=10),
    "truth": st.booleans(),
    "day": st.dates(min_value=date(1753, 1, 2)).map(str),
    "moment": st.sampled_from(["2023-04-07T21:59:01Z", "1999-12-31T23:59:59.5Z"]),
    "dated": st.sampled_from(["2023-04-07T21:59:01Z", "2023-04-07T23:30:00Z"]),
    "colour": st.integers(0, 5),
    "several": st.sampled_from(["1", "1,2", "2,9"]),
    "link": st.uuids().map(str),
    "other": st.text("abc", max_size=5) | st.booleans() | st.integers(),
}
ODD = st.one_of(
    st.just("a" * 41),
    st.just("nul\0"),
    st.just("half \ud800"),
    st.floats(allow_nan=True),
    st.integers(10**20, 10**30),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@st.composite
def plans(draw: st.DrawFn) -> TablePlan:
    """Any mapping of the two tables, with any switches."""
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), unique=True))
    filters = draw(
        st.lists(
            st.sampled_from(
                [
                    Filter(field="truth", comparison=Comparison.EQUALS, value=True),
                    Filter(field="text", comparison=Comparison.IS_NOT_NULL),
                    Filter(field="whole", comparison=Comparison.GREATER, value=0),
                ]
            ),
            unique=True,
        )
    )
    mapping = TableMapping(
        table="account",
        resource="cusAccount",
        fields=tuple(FieldMapping(source=one, target=f"cus{one}", apply_updates=draw(st.booleans())) for one in names),
        filters=tuple(filters),
        match=draw(st.sampled_from(Match)),
        delete_filtered_out=draw(st.booleans()),
        apply_deletes=draw(st.booleans()),
        labels=draw(st.booleans()),
    )
    zone = draw(st.sampled_from(["UTC", "Europe/Paris"]))
    return compile_plan(mapping, IngressDefinition(mappings=(mapping,), time_zone=zone), SOURCE, TARGET)


RECORDS = st.fixed_dictionaries({name: st.none() | values for name, values in GOOD.items()})
ANY_RECORDS = st.one_of(
    st.none(),
    st.fixed_dictionaries({}, optional={name: st.none() | values | ODD for name, values in GOOD.items()}),
    RECORDS,
)


def is_delete(decision: object) -> bool:
    return isinstance(decision, WriteDecision) and decision.write.delete


ENTRIES = st.none() | st.binary(min_size=16, max_size=16) | st.binary(max_size=20)


@given(plans(), ANY_RECORDS, ENTRIES, st.booleans(), st.booleans())
def test_a_decision_is_pure(plan: TablePlan, values: Any, entry: bytes | None, first: bool, unknown: bool) -> None:
    """The same input gives the same decision, whatever was decided in between, and stays as it was."""
    before = copy.deepcopy(values)
    one = decide(change("account", values), plan, entry, first=first, write_unknown_deletes=unknown)
    decide(change("account", None), plan, entry, first=not first)
    other = decide(change("account", values), plan, entry, first=first, write_unknown_deletes=unknown)
    assert repr(values) == repr(before)
    if isinstance(one, RefuseDecision):
        assert isinstance(other, RefuseDecision)
        assert (one.reason, str(one.error)) == (other.reason, str(other.error))
    else:
        assert one == other


@given(plans(), RECORDS, ENTRIES, st.booleans())
def test_what_was_written_needs_no_second_write(plan: TablePlan, values: Any, entry: bytes | None, first: bool) -> None:
    """With the fingerprint of a write in the ledger, the same record is identical; so an echo ends here."""
    decision = decide(change("account", values), plan, entry, first=first)
    assume(isinstance(decision, WriteDecision))
    assert isinstance(decision, WriteDecision)
    if decision.write.delete:
        return
    again = decide(change("account", values), plan, decision.fingerprint, first=first)
    assert again == SkipDecision(reason=SkipReason.IDENTICAL)
    created = decide(change("account", values), plan, decision.fingerprint_if_created, first=True)
    assert created == SkipDecision(reason=SkipReason.IDENTICAL)


@given(plans(), RECORDS, RECORDS, st.booleans())
def test_identical_means_that_nothing_would_be_written(plan: TablePlan, old: Any, new: Any, first: bool) -> None:
    """A record is identical exactly when an update would carry the same values as the one that was written."""
    before = decide(change("account", old), plan, None, first=True)
    wanted = decide(change("account", new), plan, None, first=first)
    assume(isinstance(before, WriteDecision) and isinstance(wanted, WriteDecision))
    assert isinstance(before, WriteDecision)
    assert isinstance(wanted, WriteDecision)
    carried = {name: before.write.update_values[name] for name in wanted.write.update_values}
    same = carried == wanted.write.update_values
    now = decide(change("account", new), plan, before.fingerprint, first=first)
    assert isinstance(now, SkipDecision) is same


@given(plans(), RECORDS, ENTRIES, st.booleans())
def test_a_write_can_be_stored_and_sent(plan: TablePlan, values: Any, entry: bytes | None, first: bool) -> None:
    """Every written value is one JSON can carry, of a mapped field, and never null on create."""
    decision = decide(change("account", values), plan, entry, first=first)
    assume(isinstance(decision, WriteDecision))
    assert isinstance(decision, WriteDecision)
    write = decision.write
    json.loads(encode_values(write.create_values))
    json.loads(encode_values(write.update_values))
    targets = {one.target for one in plan.mapping.fields}
    assert set(write.update_values) <= targets
    assert set(write.create_values) <= targets | {"externalId"}
    assert None not in write.create_values.values()
    assert write.delete or write.create_values["externalId"] == write.key.id


@given(plans(), ANY_RECORDS, ENTRIES, st.booleans())
def test_only_what_the_ledger_knows_is_deleted(plan: TablePlan, values: Any, entry: bytes | None, first: bool) -> None:
    """Without an entry nothing is deleted, whatever happened to the record."""
    decision = decide(change("account", values), plan, entry, first=first)
    if isinstance(decision, WriteDecision) and decision.write.delete:
        assert entry is not None
        assert plan.mapping.apply_deletes if values is None else plan.mapping.delete_filtered_out


@given(plans(), st.sampled_from(sorted(KINDS)), RECORDS, st.booleans())
def test_a_missing_column_is_never_taken_for_null(plan: TablePlan, name: str, values: Any, first: bool) -> None:
    """Without a column that it needs, a record asks for another reading; out of the filter it needs the filter only."""
    whole = decide(change("account", values), plan, b"", first=first)
    rest = {one: value for one, value in values.items() if one != name}
    decision = decide(change("account", rest), plan, b"", first=first)
    if isinstance(decision, RefuseDecision):
        assert name in plan.columns
        assert (decision.reason, decision.error.field) == (RefuseReason.NOT_READ, name)
    else:
        assert decision == whole
        assert name not in plan.columns or decision == SkipDecision(reason=SkipReason.FILTERED_OUT) or is_delete(whole)


MARK = "Zqxj"


@given(
    plans(),
    RECORDS,
    st.sampled_from(sorted(KINDS)),
    st.one_of(
        st.text(max_size=30).map(lambda text: f"{MARK}\0{text}"),
        st.just(f"{MARK} " * 20),
        st.just(MARK),
        st.just([MARK]),
        st.just({MARK: MARK}),
    ),
    st.booleans(),
)
def test_no_message_holds_a_value(plan: TablePlan, values: Any, name: str, bad: Any, first: bool) -> None:
    """A refusal names the field and the reason; the value shows in neither the message nor a repr."""
    decision = decide(change("account", values | {name: bad}), plan, None, first=first)
    assert MARK not in repr(decision)
    if isinstance(decision, RefuseDecision):
        assert MARK not in str(decision.error)
        assert decision.error.field == name
        assert name in decision.error.message
        assert decision.error.__cause__ is None
        assert decision.error.__context__ is None
