"""How a definition stands to its guardrails, as checks with the numbers.

What lives here: the checks, made of counts that somebody else asked for. What is over the limit of links does not even
become a definition; everything else is a warning, and a replay is refused when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from syncline.definition_checks import PROFILE
from syncline.definitions import IngressDefinition
from syncline.workflows.checks import Check, CheckResult

__all__ = ["guardrail_checks"]

_OLD = "counts can be a day old"


def guardrail_checks(definition: IngressDefinition, counts: Mapping[str, int]) -> Iterator[Check]:
    """One check per guardrail, and per table where it is about tables; `counts` are of those tables that tell them."""
    limits = definition.guardrails
    custom = [mapping for mapping in definition.mappings if mapping.resource != PROFILE]
    yield _check(
        "custom tables", len(custom), limits.custom_tables, "tables", "Map fewer tables, or raise the guardrail."
    )
    for mapping in custom:
        columns = len(mapping.fields) + len(mapping.links)
        remedy = "Map fewer fields, or raise the guardrail."
        yield _check(f"columns of {mapping.table}", columns, limits.columns, "columns", remedy)
    most = max((len(mapping.links) for mapping in definition.mappings), default=0)
    yield _check("linked columns", most, limits.linked_columns, "linked columns of one table", "")
    yield _check("depth of links", len(definition.linked_tables.deepest) - 1, limits.depth, "links in a row", "")
    together = sum(counts.values())
    remedy = "Filter the tables, load them one after the other, or raise the guardrail."
    yield _check("first load", together, limits.first_load_records, "records", remedy, about=True)
    for table, count in sorted(counts.items()):
        if count >= limits.replay_records:
            yield Check(
                name=f"guardrails: replay of {table}",
                result=CheckResult.WARNING,
                detail=f"about {count:,} records: a replay is refused from {limits.replay_records:,} on ({_OLD})",
                remedy="Raise the guardrail replay_records before you ask for a replay.",
            )


def _check(name: str, number: int, most: int, what: str, remedy: str, *, about: bool = False) -> Check:
    number, over = max(number, 0), number > most
    told = f"about {number:,}" if about else f"{number:,}"
    detail = f"{told} {what}, {most:,} are recommended" + (f" ({_OLD})" if about else "")
    return Check(
        name=f"guardrails: {name}",
        result=CheckResult.WARNING if over else CheckResult.PASSED,
        detail=detail,
        remedy=remedy if over else "",
    )
