"""What the tests of definitions and mapping share: any definition there can be, and two small schemas."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs
from hypothesis import strategies as st

from syncline.definitions import (
    ActivityTable,
    Comparison,
    Definition,
    DeliveryLog,
    EgressDefinition,
    EventKind,
    FieldMapping,
    FieldReplacement,
    FileFormat,
    Filter,
    Guardrails,
    IngressDefinition,
    Link,
    LinkBy,
    Match,
    OptOutDefinition,
    OptOutDirection,
    OptOutPair,
    TableMapping,
    TrackingLog,
)
from syncline.records import Change, RecordKey, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema

CONTACT_ID = "7b5f2f2e-0c41-4c3e-9a6d-0f0a2b1c3d4e"


def table(name: str, fields: Mapping[str, FieldType | FieldSchema], *, primary_key: str = "") -> TableSchema:
    """A schema out of names and types."""
    described = {
        key: value if isinstance(value, FieldSchema) else FieldSchema(name=key, type=value)
        for key, value in fields.items()
    }
    return TableSchema(name=name, path=name, primary_key=primary_key, fields=described)


def contact(**values: Any) -> Change:
    """A contact as Dynamics told it."""
    return Change(key=RecordKey(table="contact", id=CONTACT_ID), values=values)


def change(table_name: str, values: Values | None, *, key: str = CONTACT_ID) -> Change:
    """Any change."""
    return Change(key=RecordKey(table=table_name, id=key), values=values)


def maps(*pairs: str) -> tuple[FieldMapping, ...]:
    """Field mappings written as `source > target`; a star at the end switches updates off."""
    found = []
    for pair in pairs:
        source, target = pair.removesuffix("*").split(">")
        found.append(FieldMapping(source=source.strip(), target=target.strip(), apply_updates=not pair.endswith("*")))
    return tuple(found)


# ---------------------------------------------------------------------------------------------------- any definition

NAMES = st.sampled_from([f"{letter}{number}" for letter in "abcXYZ" for number in range(4)])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(10**18), 10**18) | st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=6
)
SCALARS = st.none() | st.booleans() | TEXTS | NUMBERS
SOME = st.booleans() | TEXTS | NUMBERS
NESTED = st.recursive(SOME, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))

_NULL_CHECKS = [Comparison.IS_NULL, Comparison.IS_NOT_NULL]
_LIST_CHECKS = [Comparison.IN, Comparison.NOT_IN]
_TEXT_CHECKS = [Comparison.BEGINS_WITH, Comparison.ENDS_WITH]
_EQUALITY = [Comparison.EQUALS, Comparison.NOT_EQUALS, Comparison.CONTAINS, Comparison.NOT_CONTAINS]
_ORDER = [Comparison.LESS, Comparison.LESS_OR_EQUAL, Comparison.GREATER, Comparison.GREATER_OR_EQUAL]

FILTERS = st.one_of(
    st.builds(Filter, field=NAMES, comparison=st.sampled_from(_NULL_CHECKS)),
    st.builds(
        Filter, field=NAMES, comparison=st.sampled_from(_LIST_CHECKS), value=st.lists(SOME, min_size=1, max_size=3)
    ),
    st.builds(Filter, field=NAMES, comparison=st.sampled_from(_TEXT_CHECKS), value=TEXTS),
    st.builds(Filter, field=NAMES, comparison=st.sampled_from(_EQUALITY), value=SOME),
    st.builds(Filter, field=NAMES, comparison=st.sampled_from(_ORDER), value=TEXTS | NUMBERS),
)


def _unique(names: st.SearchStrategy[str], size: int) -> st.SearchStrategy[list[str]]:
    return st.lists(names, max_size=size, unique_by=str.lower)


@st.composite
def table_mappings(draw: st.DrawFn, name: str = "account", resource: str = "cusAccount") -> TableMapping:
    """Any mapping of one table."""
    targets = draw(_unique(NAMES, 5))
    sources = draw(st.lists(NAMES, min_size=len(targets), max_size=len(targets)))
    constants = draw(_unique(NAMES.filter(lambda one: one.lower() not in {target.lower() for target in targets}), 2))
    replacements = (
        draw(
            st.lists(
                st.builds(FieldReplacement, field=st.sampled_from(sources), value=SCALARS, replacement=SCALARS),
                max_size=3,
                unique_by=lambda one: (one.field, type(one.value), one.value),
            )
        )
        if sources
        else []
    )
    return TableMapping(
        table=name,
        resource=resource,
        key=draw(st.sampled_from(["externalId", "cusKey"])),
        fields=tuple(
            FieldMapping(source=source, target=target, apply_updates=draw(st.booleans()))
            for source, target in zip(sources, targets, strict=True)
        ),
        constants={constant: draw(NESTED) for constant in constants},
        replacements=tuple(replacements),
        filters=tuple(draw(st.lists(FILTERS, max_size=3, unique_by=repr))),
        match=draw(st.sampled_from(Match)),
        delete_filtered_out=draw(st.booleans()),
        apply_deletes=draw(st.booleans()),
        labels=draw(st.booleans()),
    )


@st.composite
def ingress_definitions(draw: st.DrawFn) -> IngressDefinition:
    """Any ingress definition."""
    names = draw(st.lists(st.sampled_from(["contact", "account", "incident"]), max_size=3, unique=True))
    mappings = [draw(table_mappings(name, f"cus{name}")) for name in names]
    for place, one in enumerate(mappings):
        linked = draw(st.lists(st.sampled_from(names[: place + 1]), max_size=2, unique=True))
        links = [
            Link(source="parent", target=f"cusParent{table}", table=table, by=draw(st.sampled_from(LinkBy)))
            for table in linked
        ]
        mappings[place] = attrs.evolve(one, links=links)
    return IngressDefinition(
        mappings=mappings,
        time_zone=draw(st.sampled_from(["UTC", "Europe/Paris", "America/Sao_Paulo"])),
        label_language=draw(st.sampled_from([1033, 1036])),
        max_lengths=draw(st.dictionaries(NAMES.map(lambda one: f"profile.{one}"), st.integers(1, 255), max_size=2)),
        guardrails=draw(st.builds(Guardrails, columns=st.integers(0, 99), replay_records=st.integers(0, 99))),
    )


ACTIVITIES = st.builds(ActivityTable, table=NAMES, occurred_on=NAMES, subject=NAMES, mirror_page_url=st.none() | NAMES)
EGRESS = st.builds(
    EgressDefinition,
    kinds=st.frozensets(st.sampled_from(EventKind)),
    activities=st.dictionaries(st.sampled_from(EventKind), ACTIVITIES, max_size=2),
    file_format=st.builds(
        FileFormat, delimiter=st.sampled_from(",;\t|"), encoding=st.sampled_from(["utf-8", "cp1252"])
    ),
    delivery_log=st.builds(DeliveryLog, status=st.sampled_from(["status", "État"]), sent=st.just(["1"]) | st.just(())),
    tracking_log=st.builds(TrackingLog, files=st.sampled_from(["tracking*", "t_??.csv"]), test=st.just("")),
    date_format=st.sampled_from(["", "%d/%m/%Y %H:%M:%S"]),
    time_zone=st.sampled_from(["UTC", "Europe/Paris"]),
    instance=st.sampled_from(["", "second"]),
    keep_unknown_days=st.none() | st.integers(1, 400),
)
OPT_OUTS = ["blackList", "denyListEmail", "blocklistfax", "ccpaOptOut", "denyListPushnotification"]


@st.composite
def opt_out_definitions(draw: st.DrawFn) -> OptOutDefinition:
    """Any opt-out definition."""
    campaign = draw(st.lists(st.sampled_from(OPT_OUTS), min_size=1, max_size=5, unique=True))
    dynamics = draw(
        st.lists(NAMES, min_size=len(campaign), max_size=len(campaign), unique_by=lambda name: name.lower())
    )
    return OptOutDefinition(
        direction=draw(st.sampled_from(OptOutDirection)),
        pairs=tuple(OptOutPair(dynamics=one, campaign=other) for one, other in zip(dynamics, campaign, strict=True)),
        skew_margin_seconds=draw(st.integers(0, 60)),
    )


DEFINITIONS: st.SearchStrategy[Definition] = st.one_of(ingress_definitions(), EGRESS, opt_out_definitions())
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal(-(10**9)), max_value=Decimal(10**9))
