"""Proposing a table mapping from what both sides say about their fields.

What lives here: `suggest`, a pure function over two schemas, and the rules by which names are taken for alike. It looks
at names, types and choices and at no record; what it returns is for a person to judge. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from syncline.conversions.reading import Form, UnfitError, form_of
from syncline.conversions.writing import converter
from syncline.definition_checks import OPT_OUT_FIELDS, PROFILE
from syncline.definitions import IngressDefinition, OptOutPair
from syncline.schemas import FieldSchema, FieldType, TableSchema
from syncline.table_mapping import FieldReplacement
from syncline.views.suggestion import Likeness, MappingSuggestion, SuggestedField

__all__ = ["suggest"]

#: Beyond the default mapping: pairs of a contact and a profile that are named differently and mean the same.
_MORE_USUAL: Final[Mapping[str, str]] = {
    "gendercode": "gender",
    "address1_line1": "location.address1",
    "address1_line2": "location.address2",
    "address1_line3": "location.address3",
    "address1_city": "location.city",
    "address1_postalcode": "location.zipCode",
}

#: Columns that Dataverse keeps for itself. `ownerid` is a user of Dynamics, not the owner of anything in Campaign.
_BOOKKEEPING: Final = frozenset(
    {
        "importsequencenumber",
        "ownerid",
        "overriddencreatedon",
        "owningbusinessunit",
        "owningteam",
        "owninguser",
        "statecode",
        "statuscode",
        "timezoneruleversionnumber",
        "transactioncurrencyid",
        "utcconversiontimezonecode",
        "versionnumber",
    }
)

#: A publisher's prefix, such as `new_`. `address1_` is none: it ends in a digit.
_PREFIX: Final = re.compile(r"^[a-z][a-z0-9]{0,6}[a-z]_(?=\w)")
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
#: Shorter names are found in too many others.
_SHORTEST_ALIKE: Final = 4
_LEAST_COVERED: Final = 0.5

#: Kinds of values between which similar names are believed.
_KINDS: Final[Mapping[Form, str]] = {
    Form.BOOLEAN: "truth",
    Form.WHOLE: "number",
    Form.NUMBER: "number",
    Form.TEXT: "text",
    Form.DATE: "time",
    Form.MOMENT: "time",
}


def suggest(source: TableSchema, target: TableSchema, *, key: str = "externalId") -> MappingSuggestion:
    """Propose which fields of a Dynamics table fill which of a Campaign resource.

    - Each field is in one pair at most, and a pair is proposed only if the types can be converted.
    - Never proposed: the key, opt-outs as plain fields, links, and columns that Dataverse keeps for itself.
    - The same schemas give the same suggestion, in the order of Campaign's fields within each `Likeness`.

    `key` is the Campaign field that would hold the Dynamics primary key; whether it can is for the pre-flight check.
    """
    matches = _chosen(sorted(_matches(source, target, key), key=lambda match: match.order))
    paired = {match.target.name for match in matches}
    return MappingSuggestion(
        table=source.name,
        resource=target.name,
        key=key,
        fields=tuple(match.told() for match in matches),
        replacements=tuple(one for match in matches for one in _replacements(match)),
        opt_outs=tuple(_opt_outs(source, target)),
        unmatched=tuple(one.name for one in _targets(target, key) if one.name not in paired),
    )


@frozen(kw_only=True)
class _Match:
    name: str
    source: FieldSchema
    target: FieldSchema
    likeness: Likeness
    #: How much of the longer name the shorter one covers, from 0 to 1.
    covered: float
    position: int

    @property
    def order(self) -> tuple[int, float, int, str]:
        return self.likeness.rank, -self.covered, self.position, self.name

    def told(self) -> SuggestedField:
        return SuggestedField(
            source=self.name,
            source_type=self.source.type,
            target=self.target.name,
            target_type=self.target.type,
            likeness=self.likeness,
            reason=_REASONS[self.likeness],
            caution=_caution(self.source, self.target),
        )


_REASONS: Final[Mapping[Likeness, str]] = {
    Likeness.USUAL: "usual for contacts and profiles",
    Likeness.SAME_NAME: "the same name",
    Likeness.SIMILAR_NAME: "similar names, and values of one kind",
}


def _matches(source: TableSchema, target: TableSchema, key: str) -> Iterator[_Match]:
    usual = _usual_pairs() if (source.name, target.name) == ("contact", PROFILE) else {}
    names = {name: _joined(_PREFIX.sub("", name), source.name) for name in source.fields}
    for position, into in enumerate(_targets(target, key)):
        own = _joined(into.name.rpartition(".")[2].removeprefix("cus"), target.name)
        for name, schema in source.fields.items():
            if not schema.readable or name in _BOOKKEEPING or name == source.primary_key:
                continue
            likeness, covered = _likeness(names[name], own, usual.get(name) == into.name)
            if likeness is None or (likeness is Likeness.SIMILAR_NAME and not _one_kind(schema, into)):
                continue
            if _fits(schema, into):
                yield _Match(
                    name=name, source=schema, target=into, likeness=likeness, covered=covered, position=position
                )


def _usual_pairs() -> dict[str, str]:
    defaults = IngressDefinition().mapping("contact").fields
    return {one.source: one.target for one in defaults} | dict(_MORE_USUAL)


def _targets(target: TableSchema, key: str) -> list[FieldSchema]:
    opt_outs = OPT_OUT_FIELDS if target.name == PROFILE else ()
    return [
        one
        for one in target.fields.values()
        if one.writable and one.name != key and one.name not in opt_outs and one.type is not FieldType.LOOKUP
    ]


def _joined(name: str, table: str) -> str:
    """The words of a name as one, in small letters, without the table's own: `vehicleName` of a vehicle is `name`."""
    words = [word.lower() for word in _WORD.findall(name)]
    own = [word.lower() for word in _WORD.findall(_PREFIX.sub("", table).removeprefix("cus"))]
    if len(words) > len(own) and words[: len(own)] == own:
        words = words[len(own) :]
    return "".join(words)


def _likeness(source: str, target: str, usual: bool) -> tuple[Likeness | None, float]:
    if usual:
        return Likeness.USUAL, 1.0
    if source == target and source:
        return Likeness.SAME_NAME, 1.0
    shorter, longer = sorted((source, target), key=len)
    covered = len(shorter) / len(longer) if longer else 0.0
    alike = len(shorter) >= _SHORTEST_ALIKE and shorter in longer and covered >= _LEAST_COVERED
    return (Likeness.SIMILAR_NAME if alike else None), covered


def _one_kind(source: FieldSchema, target: FieldSchema) -> bool:
    kind = _KINDS.get(form_of(source), form_of(source))
    return kind == _KINDS.get(form_of(target), form_of(target))


def _fits(source: FieldSchema, target: FieldSchema) -> bool:
    try:
        converter(source, target)
    except UnfitError:
        return False
    return True


def _chosen(matches: list[_Match]) -> list[_Match]:
    """The best for each field, both ways."""
    found: list[_Match] = []
    sources: set[str] = set()
    targets: set[str] = set()
    for match in matches:
        if match.name not in sources and match.target.name not in targets:
            found.append(match)
            sources.add(match.name)
            targets.add(match.target.name)
    return sorted(found, key=lambda match: (match.likeness.rank, match.position))


def _caution(source: FieldSchema, target: FieldSchema) -> str:
    if target.max_length is not None and (source.max_length or 0) > target.max_length:
        return f"up to {source.max_length} characters, and {target.max_length} fit; longer ones become dead letters"
    if target.type is FieldType.PICKLIST and target.options:
        return _choice_caution(source, target)
    if source.type in (FieldType.PICKLIST, FieldType.MULTI_PICKLIST):
        return "goes as the technical value; switch on labels in the mapping to send the label"
    if form_of(source) is Form.NUMBER and target.type is FieldType.INTEGER:
        return "only whole numbers fit; others become dead letters"
    if form_of(source) is Form.MOMENT and target.type is FieldType.DATE:
        return "becomes the date in the time zone of the definition"
    return ""


def _choice_caution(source: FieldSchema, target: FieldSchema) -> str:
    if not source.options:
        return f"Campaign takes {', '.join(target.options)} and nothing else"
    alone = [label for label in source.options.values() if _partner(label, target) is None]
    return f"Campaign has nothing like {', '.join(alone)}: add a replacement for each" if alone else ""


#: What Campaign's enumerations call an empty field.
_NOTHING: Final = ("unknown", "none")


def _replacements(match: _Match) -> Iterator[FieldReplacement]:
    if match.source.type is not FieldType.PICKLIST or match.target.type is not FieldType.PICKLIST:
        return
    for value, label in match.source.options.items():
        partner = _partner(label, match.target)
        if partner is not None:
            yield FieldReplacement(field=match.name, value=int(value), replacement=partner)
    nothing = next((one for one in _NOTHING if one in match.target.options), None)
    if nothing is not None:
        yield FieldReplacement(field=match.name, value=None, replacement=nothing)


def _partner(label: str, target: FieldSchema) -> str | None:
    """The value of Campaign that is called the same, by itself or by its label."""
    wanted = label.casefold()
    return next(
        (value for value, told in target.options.items() if wanted in (value.casefold(), told.casefold())), None
    )


def _opt_outs(source: TableSchema, target: TableSchema) -> Iterator[OptOutPair]:
    """`donotemail` and `blackListEmail`, if true is labelled the same way round: as a refusal."""
    if (source.name, target.name) != ("contact", PROFILE):
        return
    for name in OPT_OUT_FIELDS:
        channel = name.removeprefix("blackList").lower()
        found = source.fields.get(f"donot{channel}") if channel else None
        if found is None or name not in target.fields or found.type is not FieldType.BOOLEAN:
            continue
        if found.options.get("true", "").casefold().startswith("do not"):
            yield OptOutPair(dynamics=found.name, campaign=name)
