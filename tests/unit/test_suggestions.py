"""What a suggested mapping proposes, why, and what it never proposes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scripted import ScriptedCampaign, ScriptedDynamics

from syncline import FieldReplacement, IngressDefinition, Integration, MemoryStorage, TableMapping
from syncline.definition_checks import OPT_OUT_FIELDS
from syncline.definitions import OptOutPair
from syncline.errors import DefinitionError
from syncline.mapping import compile_plan
from syncline.schemas import FieldSchema, FieldType, TableSchema
from syncline.suggestions import suggest
from syncline.views import Likeness, MappingSuggestion

TEXT, PICKLIST, BOOLEAN = FieldType.STRING, FieldType.PICKLIST, FieldType.BOOLEAN


def one(name: str, kind: FieldType = TEXT, **more: object) -> FieldSchema:
    return FieldSchema(name=name, type=kind, **more)  # type: ignore[arg-type]


def dynamics(*fields: FieldSchema, name: str = "contact") -> TableSchema:
    key = f"{name}id"
    return TableSchema(
        name=name, path=f"{name}s", primary_key=key, fields={each.name: each for each in (one(key), *fields)}
    )


def campaign(*fields: FieldSchema, name: str = "profile") -> TableSchema:
    return TableSchema(name=name, path=name, fields={each.name: each for each in (one("externalId"), *fields)})


def pairs(suggestion: MappingSuggestion) -> dict[str, tuple[str, Likeness]]:
    return {each.source: (each.target, each.likeness) for each in suggestion}


def test_the_usual_pairs_of_a_contact_come_first() -> None:
    """Fields that the default mapping pairs are found though their names differ."""
    suggestion = suggest(
        dynamics(one("emailaddress1"), one("telephone1"), one("new_nickname")),
        campaign(one("cusNickname"), one("phone"), one("email")),
    )
    assert pairs(suggestion) == {
        "telephone1": ("phone", Likeness.USUAL),
        "emailaddress1": ("email", Likeness.USUAL),
        "new_nickname": ("cusNickname", Likeness.SAME_NAME),
    }
    assert [each.likeness.rank for each in suggestion] == [0, 0, 1]


def test_prefixes_and_the_tables_own_name_do_not_tell_two_names_apart() -> None:
    """`new_name` of a vehicle is `vehicleName`, `new_price` is `cusPrice`."""
    suggestion = suggest(
        dynamics(one("new_name"), one("new_price", FieldType.MONEY), name="new_vehicle"),
        campaign(one("vehicleName"), one("cusPrice", FieldType.DOUBLE), name="cusVehicle"),
    )
    assert pairs(suggestion) == {
        "new_name": ("vehicleName", Likeness.SAME_NAME),
        "new_price": ("cusPrice", Likeness.SAME_NAME),
    }


def test_similar_names_need_values_of_one_kind() -> None:
    """`numberofchildren` may be `cusChildren` as long as both are numbers; a date of that name is not believed."""
    count = one("numberofchildren", FieldType.INTEGER)
    assert pairs(suggest(dynamics(count), campaign(one("cusChildren", FieldType.INTEGER)))) == {
        "numberofchildren": ("cusChildren", Likeness.SIMILAR_NAME)
    }
    assert len(suggest(dynamics(count), campaign(one("cusChildren", TEXT)))) == 0


def test_types_that_never_convert_are_not_paired() -> None:
    """The same name is no reason when no value of the one side could ever become one of the other."""
    suggestion = suggest(dynamics(one("new_joined", BOOLEAN)), campaign(one("cusJoined", FieldType.DATE)))
    assert len(suggestion) == 0
    assert suggestion.unmatched == ("cusJoined",)


def test_what_is_never_proposed() -> None:
    """Neither the key, nor an opt-out as a plain field, nor Dataverse's bookkeeping, nor what cannot be read."""
    suggestion = suggest(
        dynamics(
            one("externalid"),
            one("blacklistemail", BOOLEAN),
            one("ownerid", FieldType.LOOKUP),
            one("new_hidden", readable=False),
            one("new_fixed"),
        ),
        campaign(one("blackListEmail", BOOLEAN), one("ownerId"), one("cusHidden"), one("cusFixed", writable=False)),
    )
    assert len(suggestion) == 0
    assert suggestion.opt_outs == ()


@pytest.mark.parametrize(("label", "proposed"), [("Do Not Allow", True), ("Allow", False), ("", False)])
def test_opt_outs_are_proposed_when_both_say_no_the_same_way(label: str, proposed: bool) -> None:
    """An opt-out pair is proposed apart, and only when true is labelled as a refusal in Dynamics."""
    options = {"false": "Something", "true": label} if label else {}
    suggestion = suggest(
        dynamics(one("donotemail", BOOLEAN, options=options)), campaign(one("blackListEmail", BOOLEAN))
    )
    assert suggestion.opt_outs == ((OptOutPair(dynamics="donotemail", campaign="blackListEmail"),) if proposed else ())
    assert suggestion.mapping().fields == ()


def test_choices_bring_their_replacements_along() -> None:
    """Labels that are called the same become replacements, and those without a partner are a caution."""
    suggestion = suggest(
        dynamics(one("gendercode", PICKLIST, options={"1": "Male", "2": "Female", "3": "Diverse"})),
        campaign(one("gender", PICKLIST, options={"unknown": "Unspecified", "male": "Male", "female": "Female"})),
    )
    assert suggestion.replacements == (
        FieldReplacement(field="gendercode", value=1, replacement="male"),
        FieldReplacement(field="gendercode", value=2, replacement="female"),
        FieldReplacement(field="gendercode", value=None, replacement="unknown"),
    )
    (gender,) = suggestion
    assert gender.caution == "Campaign has nothing like Diverse: add a replacement for each"


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (one("new_a", max_length=100), one("cusA", max_length=30), "100 characters, and 30 fit"),
        (one("new_a", PICKLIST, options={"1": "Gold"}), one("cusA"), "technical value"),
        (one("new_a", FieldType.DECIMAL), one("cusA", FieldType.INTEGER), "only whole numbers"),
        (one("new_a", FieldType.DATETIME), one("cusA", FieldType.DATE), "time zone"),
        (one("new_a", PICKLIST), one("cusA", PICKLIST, options={"gold": "Gold"}), "takes gold and nothing else"),
        (one("new_a", max_length=30), one("cusA", max_length=30), ""),
    ],
)
def test_what_could_go_wrong_is_told(source: FieldSchema, target: FieldSchema, words: str) -> None:
    """A pair whose values may not all fit says so, and one that fits says nothing."""
    (found,) = suggest(dynamics(source), campaign(target))
    assert (words in found.caution) if words else not found.caution


def test_a_suggestion_becomes_a_mapping_that_fits() -> None:
    """What was proposed compiles against the schemas it was proposed for; less sure pairs can be left out."""
    source = dynamics(one("firstname"), one("numberofchildren", FieldType.INTEGER))
    target = campaign(one("firstName"), one("cusChildren", FieldType.INTEGER))
    suggestion = suggest(source, target)
    mapping = suggestion.mapping()
    plan = compile_plan(mapping, IngressDefinition(mappings=[mapping]), source, target)
    assert plan.columns == ("firstname", "numberofchildren")
    assert [each.source for each in suggestion.mapping(at_least=Likeness.SAME_NAME).fields] == ["firstname"]
    assert isinstance(mapping, TableMapping)


def test_a_suggestion_reads_well_everywhere() -> None:
    """As text, as HTML with everything escaped, as plain data, and in one line for a log."""
    options = {"1": "<script>alert(1)</script>"}
    suggestion = suggest(
        dynamics(one("gendercode", PICKLIST, options=options)),
        campaign(one("gender", PICKLIST, options={"<b>": "Bold"})),
    )
    text, markup = str(suggestion), suggestion._repr_html_()
    assert "gendercode" in text
    assert "Look at these" in text
    assert "<script>" not in markup
    assert "&lt;script&gt;" in markup
    assert json.loads(json.dumps(suggestion.as_data()))["fields"][0]["likeness"] == "usual pair"
    assert repr(suggestion) == "<MappingSuggestion contact -> profile with 1 fields>"
    assert str(suggestion.fields[0]) == "gendercode -> gender: usual for contacts and profiles"


def test_an_integration_asks_both_sides_and_changes_nothing() -> None:
    """The integration's suggestion comes from both sides' metadata; no definition is stored and nothing is written."""
    storage, there = MemoryStorage(), ScriptedCampaign()
    with Integration(dynamics=ScriptedDynamics(3), campaign=there, storage=storage) as integration:
        suggestion = integration.suggest_mapping("contact", "profile")
        assert ("lastname", "lastName") in {(each.source, each.target) for each in suggestion}
        assert there.verbs == []
        with pytest.raises(KeyError):
            storage.workflow(integration.ingress.id)


def test_a_table_that_is_not_there_is_named() -> None:
    """A misspelt table or resource is a DefinitionError that names it and tells where the names are listed."""
    with Integration(dynamics=ScriptedDynamics(3), campaign=ScriptedCampaign(), storage=MemoryStorage()) as integration:
        with pytest.raises(DefinitionError, match="Dynamics 365 has no table contcat"):
            integration.suggest_mapping("contcat", "profile")
        with pytest.raises(DefinitionError, match="Campaign has no resource porfile"):
            integration.suggest_mapping("contact", "porfile")


NAMES = st.from_regex(r"(new_)?[a-z]{1,8}[0-9]?", fullmatch=True)
TARGETS = st.from_regex(r"(cus[A-Z])?[a-z]{1,8}([A-Z][a-z]{1,6})?", fullmatch=True) | st.sampled_from(OPT_OUT_FIELDS)
TYPES = st.sampled_from(list(FieldType))


@given(
    source=st.dictionaries(NAMES, TYPES, max_size=12),
    target=st.dictionaries(TARGETS, TYPES.filter(lambda kind: kind is not FieldType.MULTI_PICKLIST), max_size=12),
)
def test_any_two_tables_give_a_mapping_without_double_use(
    source: dict[str, FieldType], target: dict[str, FieldType]
) -> None:
    """Whatever the fields are called, no field is used twice, no opt-out is a plain field, and the mapping fits."""
    here = dynamics(*(one(name, kind) for name, kind in source.items()))
    there = campaign(*(one(name, kind) for name, kind in target.items()))
    suggestion = suggest(here, there)
    assert suggestion == suggest(here, there)
    assert len({each.source for each in suggestion}) == len({each.target for each in suggestion}) == len(suggestion)
    mapping = suggestion.mapping()  # refuses opt-outs and double use by itself
    compile_plan(mapping, IngressDefinition(mappings=[mapping]), here, there)
