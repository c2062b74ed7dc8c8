"""Definitions survive the way through JSON, and a mistake in a file is told with its path."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.definition_room import DEFINITIONS, ingress_definitions, maps

from syncline.definition_json import definition_from_json, definition_hash, definition_kind, definition_to_json
from syncline.definitions import (
    Comparison,
    Definition,
    EgressDefinition,
    Filter,
    IngressDefinition,
    OptOutDefinition,
    TableMapping,
)
from syncline.errors import DefinitionError


def document(**changes: Any) -> dict[str, Any]:
    return {"kind": "ingress", "version": 1} | changes


def refused(told: Any) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        definition_from_json(told if isinstance(told, str) else json.dumps(told))
    return caught.value


@given(DEFINITIONS)
def test_any_definition_comes_back_as_it_was(definition: Definition) -> None:
    """Writing and reading changes nothing, and writing again gives the same text."""
    text = definition_to_json(definition)
    again = definition_from_json(text)
    assert again == definition
    assert definition_to_json(again) == text
    assert definition_hash(again) == definition_hash(definition)


@given(DEFINITIONS)
def test_the_text_is_plain_json(definition: Definition) -> None:
    """Any JSON reader can read it: ASCII, sorted keys, numbers as numbers."""
    text = definition_to_json(definition)
    told = json.loads(text, parse_float=Decimal)
    assert text.isascii()
    assert told["kind"] == definition_kind(definition)
    assert list(told) == sorted(told)


@given(ingress_definitions(), st.randoms())
def test_the_hash_does_not_depend_on_the_order(definition: IngressDefinition, random: Any) -> None:
    """Fields, filters, replacements and mappings are sets to the hash, whatever order a file lists them in."""

    def shuffled(items: Any) -> Any:
        return tuple(random.sample(items, len(items)))

    mappings = [
        attrs.evolve(
            one,
            fields=shuffled(one.fields),
            filters=shuffled(one.filters),
            replacements=shuffled(one.replacements),
            constants=dict(shuffled(list(one.constants.items()))),
        )
        for one in definition.mappings
    ]
    assert definition_hash(attrs.evolve(definition, mappings=shuffled(mappings))) == definition_hash(definition)


def test_the_hash_depends_on_the_definition_only() -> None:
    """A store remembers the hash of what runs, for other processes on other machines; this one was written down."""
    assert definition_hash(OptOutDefinition()) == "617ca35bc657ecd9"


def test_numbers_keep_every_digit() -> None:
    """A decimal that no float could hold comes back as it was."""
    exact = Decimal("0.1234567890123456789012345")
    mapping = TableMapping(
        table="account",
        resource="cusAccount",
        fields=maps("name > name"),
        filters=(Filter(field="rate", comparison=Comparison.LESS, value=exact),),
    )
    again = definition_from_json(definition_to_json(IngressDefinition(mappings=(mapping,))))
    assert isinstance(again, IngressDefinition)
    assert again.mappings[0].filters[0].value == exact


def test_what_is_left_out_takes_its_default() -> None:
    """A short file is a whole definition."""
    assert definition_from_json('{"kind": "ingress", "version": 1}') == IngressDefinition()
    assert definition_from_json('{"kind": "egress", "version": 1}') == EgressDefinition()
    assert definition_from_json('{"kind": "opt_out", "version": 1}') == OptOutDefinition()


MAPPING = {"table": "contact", "resource": "profile", "fields": [{"source": "a", "target": "b"}]}


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ({"version": 1}, "kind"),
        (document(kind=["ingress"]), "kind"),
        (document(version=2), "version"),
        (document(version=True), "version"),
        (document(mapping=[]), "mapping"),
        (document(mappings={}), "mappings"),
        (document(mappings="contact"), "mappings"),
        (document(mappings=[1]), "mappings[0]"),
        (document(mappings=[MAPPING, {"table": "account"}]), "mappings[1]"),
        (document(mappings=[MAPPING, MAPPING]), "mappings[1].table"),
        (document(mappings=[MAPPING | {"colour": 1}]), "mappings[0].colour"),
        (document(mappings=[MAPPING | {"key": 5}]), "mappings[0].key"),
        (document(mappings=[MAPPING | {"labels": "yes"}]), "mappings[0].labels"),
        (document(mappings=[MAPPING | {"match": "some"}]), "mappings[0].match"),
        (document(mappings=[MAPPING | {"constants": []}]), "mappings[0].constants"),
        (document(mappings=[MAPPING | {"constants": {"c": None}}]), "mappings[0].constants.c"),
        (document(mappings=[MAPPING | {"fields": [{"source": "a"}]}]), "mappings[0].fields[0]"),
        (
            document(mappings=[MAPPING | {"fields": [{"source": "a", "target": "denyListEmail"}]}]),
            "mappings[0].fields[0].target",
        ),
        (
            document(mappings=[MAPPING | {"fields": [{"source": "a", "target": "b"}, {"source": "c", "target": ""}]}]),
            "mappings[0].fields[1].target",
        ),
        (
            document(mappings=[MAPPING | {"filters": [{"field": "a", "comparison": "in", "value": 1}]}]),
            "mappings[0].filters[0].value",
        ),
        (
            document(mappings=[MAPPING | {"filters": [{"field": "a", "comparison": "like", "value": 1}]}]),
            "mappings[0].filters[0].comparison",
        ),
        (document(max_lengths={"firstName": 3}), "max_lengths.firstName"),
        (document(max_lengths={"profile.firstName": "3"}), "max_lengths.profile.firstName"),
        (document(max_lengths=[]), "max_lengths"),
        (document(time_zone=3), "time_zone"),
        (document(label_language="en"), "label_language"),
        (document(guardrails=5), "guardrails"),
        (document(guardrails={"columns": -1}), "guardrails.columns"),
        ({"kind": "egress", "version": 1, "kinds": ["open", "read"]}, "kinds[1]"),
        ({"kind": "egress", "version": 1, "kinds": [["open"]]}, "kinds[0]"),
        ({"kind": "egress", "version": 1, "activities": {"read": {}}}, "activities.read"),
        ({"kind": "egress", "version": 1, "activities": {"open": {"table": "a"}}}, "activities.open"),
        ({"kind": "opt_out", "version": 1, "pairs": [{"dynamics": "a", "campaign": "b"}]}, "pairs[0].campaign"),
        ({"kind": "opt_out", "version": 1, "pairs": [{"dynamics": "a", "campaign": 3}]}, "pairs[0].campaign"),
        ({"kind": "opt_out", "version": 1, "direction": "bidirectional"}, "pairs"),
    ],
)
def test_a_mistake_is_told_with_its_path(told: Any, path: str) -> None:
    """The path leads to the mistake, and the message begins with it once."""
    error = refused(told)
    assert error.path == path
    assert str(error).startswith(f"{path}: ")
    assert error.message.count(f"{path}: ") == 1


def test_an_unknown_key_is_told_with_the_known_ones() -> None:
    """A misspelt key is never ignored."""
    assert "Known here: source, target, apply_updates." in str(
        refused(document(mappings=[MAPPING | {"fields": [{"source": "a", "target": "b", "updates": True}]}]))
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("\ufeff{}", "not JSON"),
        ('{"kind": "ingress", "version": 1,}', "line 1, column"),
        ("[]", "a JSON object"),
        ("null", "a JSON object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"kind": "ingress", "version": 1, "mappings": ' + "[" * 20_000 + "]" * 20_000 + "}", "nested"),
        ('{"kind": "ingress", "kind": "egress", "version": 1}', "'kind' is there twice"),
        ('{"kind": "ingress", "version": NaN}', "NaN is not a value"),
        ('{"kind": "ingress", "version": -Infinity}', "-Infinity is not a value"),
        ('{"kind": "ingress", "version": ' + "1" * 5_000 + "}", "too many digits"),
        ('{"kind": "ingress", "version": 1e99999999999999999999}', "too many digits"),
    ],
)
def test_text_that_is_no_definition_is_refused(text: str, words: str) -> None:
    """Whatever the text is, the answer is a DefinitionError that says what is wrong with it."""
    assert words in str(refused(text))


def test_deep_constants_are_refused_or_read() -> None:
    """Constants may nest, but not without end."""
    deep = '{"a": ' * 5_000 + "1" + "}" * 5_000
    told = json.dumps(document(mappings=[MAPPING | {"constants": "here"}])).replace('"here"', deep)
    assert "nested too deeply" in str(refused(told))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["kind", "version", "mappings", "table", "resource", "fields", "filters", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_makes_another_error(told: Any) -> None:
    """Reading any JSON at all gives a definition or a DefinitionError."""
    for kind in ("ingress", "egress", "opt_out"):
        given_document = {"kind": kind, "version": 1} | (told if isinstance(told, dict) else {"mappings": told})
        with suppress(DefinitionError):
            definition_from_json(json.dumps(given_document))


def test_opt_outs_of_contacts_are_told_and_read_again() -> None:
    """O1, X5: the pairs of a mapping come back, under the documentation's names too."""
    told = {
        "kind": "ingress",
        "version": 1,
        "mappings": [
            {
                "table": "contact",
                "resource": "profile",
                "fields": [],
                "opt_outs": [{"dynamics": "donotemail", "campaign": "denyListEmail"}],
            }
        ],
    }
    definition = definition_from_json(json.dumps(told))
    assert isinstance(definition, IngressDefinition)
    assert [str(pair) for pair in definition.mappings[0].opt_outs] == ["donotemail = blackListEmail"]
    assert definition_from_json(definition_to_json(definition)) == definition
    told["mappings"][0]["opt_outs"].append({"dynamics": "a", "campaign": "email"})  # type: ignore[index]
    with pytest.raises(DefinitionError) as caught:
        definition_from_json(json.dumps(told))
    assert caught.value.path == "mappings[0].opt_outs[1].campaign"
