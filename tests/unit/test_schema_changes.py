"""The comparison of two looks at a table: what stops, what is learnt, what is no matter."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from tests.scripted import CONTACT, PROFILE, ScriptedCampaign, ScriptedDynamics

from syncline.definitions import FieldMapping, IngressDefinition, TableMapping
from syncline.records import Change, RecordKey
from syncline.schema_changes import (
    ChangeEffect,
    SchemaChange,
    SchemaChangeKind,
    SchemaSide,
    compare_schemas,
    key_gone,
    learn,
)
from syncline.schemas import FieldSchema, FieldType, TableSchema
from syncline.workflows.schema_watch import SchemaWatch
from syncline.workflows.settings import EngineSettings
from syncline.workflows.snapshot import Snapshot

CODE = FieldSchema(
    name="code", type=FieldType.PICKLIST, options={"1": "One", "2": "Two"}, targets=("a",), max_length=10
)
KEPT = FieldSchema(name="kept", type=FieldType.STRING)
TABLE = TableSchema(
    name="thing", path="things", primary_key="thingid", fields={"code": CODE, "kept": KEPT}, change_tracking=True
)
STOPS, LEARNT, NONE = ChangeEffect.STOPS, ChangeEffect.LEARNT, ChangeEffect.NONE
Kind = SchemaChangeKind


def with_code(**changes: Any) -> TableSchema:
    return evolve(TABLE, fields={**TABLE.fields, "code": evolve(CODE, **changes)})


def compared(now: TableSchema | None, side: SchemaSide = SchemaSide.DYNAMICS, *, used: bool = True) -> SchemaChange:
    (change,) = compare_schemas(side, TABLE, now, {"code"} if used else set())
    return change


def test_nothing_changed_is_nothing() -> None:
    """A look that shows the same gives no difference."""
    assert compare_schemas(SchemaSide.DYNAMICS, TABLE, TABLE, {"code"}) == ()


@pytest.mark.parametrize(
    ("now", "kind"),
    [
        (None, Kind.TABLE_GONE),
        (evolve(TABLE, path="others"), Kind.TABLE_MOVED),
        (evolve(TABLE, primary_key="id"), Kind.TABLE_MOVED),
        (evolve(TABLE, change_tracking=False), Kind.TRACKING_OFF),
    ],
)
def test_a_table_that_is_another_stops(now: TableSchema | None, kind: SchemaChangeKind) -> None:
    """Whatever the mapping uses of it."""
    change = compared(now, used=False)
    assert (change.kind, change.effect, change.place) == (kind, STOPS, "thing")


@pytest.mark.parametrize("used", [True, False])
@pytest.mark.parametrize(
    ("now", "kind"),
    [
        (evolve(TABLE, fields={"kept": KEPT}), Kind.FIELD_GONE),
        (with_code(type=FieldType.INTEGER), Kind.FIELD_RETYPED),
        (with_code(time_zone_independent=True), Kind.FIELD_RETYPED),
        (with_code(readable=False), Kind.FIELD_CLOSED),
        (with_code(targets=("b",)), Kind.LINK_CHANGED),
    ],
)
def test_a_field_that_is_another_stops_where_it_is_used(now: TableSchema, kind: SchemaChangeKind, used: bool) -> None:
    """What nobody maps may change as it likes."""
    change = compared(now, used=used)
    assert (change.kind, change.effect, change.place) == (kind, STOPS if used else NONE, "thing.code")
    assert bool(change.meaning) is used


@pytest.mark.parametrize(
    ("now", "kind"),
    [
        (with_code(options={"1": "One", "2": "Two", "3": "Three"}), Kind.VALUE_ADDED),
        (with_code(options={"1": "One"}), Kind.VALUE_GONE),
        (with_code(options={"1": "Uno", "2": "Two"}), Kind.VALUE_RENAMED),
        (with_code(max_length=5), Kind.LENGTH_CHANGED),
    ],
)
def test_values_and_lengths_are_learnt(now: TableSchema, kind: SchemaChangeKind) -> None:
    """They change what becomes of single records, and never what a record means."""
    change = compared(now)
    assert (change.kind, change.effect) == (kind, LEARNT)
    assert compared(now, used=False).effect is NONE


def test_what_only_one_side_minds_is_told_of_that_side() -> None:
    """Dynamics is read and Campaign is written; a value that Campaign takes no more would be refused."""
    campaign = SchemaSide.CAMPAIGN
    assert compared(with_code(writable=False), campaign).kind is Kind.FIELD_CLOSED
    assert compare_schemas(campaign, TABLE, with_code(readable=False), {"code"}) == ()
    assert compare_schemas(SchemaSide.DYNAMICS, TABLE, with_code(writable=False), {"code"}) == ()
    assert compared(with_code(options={"1": "One"}), campaign).effect is STOPS
    assert compared(with_code(native_type="short"), campaign).kind is Kind.FIELD_RETYPED
    assert compare_schemas(SchemaSide.DYNAMICS, TABLE, with_code(native_type="StateType"), {"code"}) == ()


def test_a_field_that_may_have_a_new_name_is_named() -> None:
    """Metadata knows no renaming; a new field of the same type is offered as a guess."""
    renamed = evolve(TABLE, fields={"kept": KEPT, "number": evolve(CODE, name="number")})
    gone, added = compare_schemas(SchemaSide.DYNAMICS, TABLE, renamed, {"code"})
    assert (gone.kind, added.kind, added.effect) == (Kind.FIELD_GONE, Kind.FIELD_ADDED, LEARNT)
    assert "Perhaps its name is number now." in gone.meaning
    assert str(gone).startswith("Dynamics 365: thing.code is gone (stops the workflow). Perhaps")


def test_what_is_learnt_keeps_the_labels_of_values_that_went() -> None:
    """A record may still hold them."""
    learnt = learn(TABLE, with_code(options={"2": "Zwei", "3": "Three"}))
    assert learnt.fields["code"].options == {"1": "One", "2": "Zwei", "3": "Three"}
    assert learn(TABLE, with_code(type=FieldType.STRING, options={})).fields["code"].options == {}


def test_a_key_that_goes_stops() -> None:
    """Without it a create could make a duplicate."""
    change = key_gone("profile", "externalId", "no filter")
    assert (change.side, change.effect, change.place) == (SchemaSide.CAMPAIGN, STOPS, "profile.externalId")


def test_a_value_that_metadata_does_not_describe_is_asked_about_once() -> None:
    """Afterwards it goes by its number, and nobody asks again for every record that holds it."""
    asked: list[str] = []
    source = evolve(CONTACT, fields={**CONTACT.fields, "code": evolve(CODE, targets=())})

    class Dynamics(ScriptedDynamics):
        def describe(self, table: str, *, language: int = 1033) -> TableSchema | None:
            asked.append(table)
            return source

    mapping = TableMapping(
        table="contact", resource="profile", fields=[FieldMapping(source="code", target="title")], labels=True
    )
    snapshot = Snapshot(
        definition="", source_identity="", target_identity="", sources={"contact": source}, targets={"profile": PROFILE}
    )
    watch = SchemaWatch(
        snapshot,
        IngressDefinition(mappings=[mapping]),
        Dynamics(),
        ScriptedCampaign(),
        interval=EngineSettings().schema_interval,
    )
    odd = Change(key=RecordKey(table="contact", id="a"), values={"code": 99})
    for _ in range(3):
        watch.heed("contact", [odd])
    assert asked == ["contact"]
    plan = watch.plans["contact"]
    assert [convert(99) for _, convert in plan.always_steps] == ["99"]
    assert watch.news() is not None
    assert watch.news() is None
