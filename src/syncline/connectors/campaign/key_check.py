"""Whether a field can serve as the key of a resource: the pre-flight's question, asked with reads only.

What lives here: the three proofs (field, filter, identification key). Never a write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from syncline.connectors.base import KeyCheck, KeyProblem
from syncline.connectors.campaign.lookup import KeyAddresses
from syncline.connectors.campaign.metadata import filters_href
from syncline.connectors.campaign.verdicts import Meaning, judge, verdict_of
from syncline.connectors.http import Response
from syncline.errors import CredentialsError, ProtocolError, ThrottledError
from syncline.plain_text import plain
from syncline.schemas import TableSchema

__all__ = ["check_key"]

Ask = Callable[[str], Response]


def check_key(resource: TableSchema, addresses: KeyAddresses, ask: Ask) -> KeyCheck:
    """See `CampaignStandard.check_key`. `ask` reads an address and raises only for passing trouble."""
    key = addresses.key
    if key.field not in resource.fields:
        return KeyCheck(
            problem=KeyProblem.NO_FIELD, detail=f"{resource.name} has no field {key.field}; add it and publish."
        )
    if not key.by_uri:
        missing = _filter_problem(resource, addresses, ask)
        if missing:
            return KeyCheck(problem=KeyProblem.NO_FILTER, detail=missing)
    if key.identification_key is True:
        return KeyCheck(problem=None, detail=f"{key.field} is an identification key because the settings say so.")
    if key.identification_key is None and _has_identification_key(resource, addresses, ask):
        return KeyCheck(problem=None)
    return KeyCheck(
        problem=KeyProblem.NO_IDENTIFICATION_KEY,
        detail=f"Declare {key.field} as an identification key of {resource.name} in Campaign and publish,"
        " or say identification_key=True if it is one.",
    )


def _impossible_key() -> str:
    return f"syncline-probe-{uuid4().hex}"


def _filter_problem(resource: TableSchema, addresses: KeyAddresses, ask: Ask) -> str:
    """What is wrong with the filter, or an empty string."""
    wanted = f"{addresses.filter}?{addresses.key.parameter_name}"
    listed = _listed_filters(resource, ask)
    if listed is not None:
        parameters = _parameters(listed, addresses.filter)
        if parameters is None:
            return f"{resource.name} has no filter {addresses.filter}. It has: {_shown(listed)}."
        if parameters and addresses.key.parameter_name not in parameters:
            return f"The filter {addresses.filter} takes {_shown(parameters)}, not {addresses.key.parameter_name}."
    answer = ask(addresses.by_filter(_impossible_key()))
    if answer.status != 200:
        _raise_if_not_ours(answer, resource)
        return f"{wanted} answers with status {answer.status}."
    page = answer.json()
    if not isinstance(page, dict) or not isinstance(content := page.get("content"), list):
        raise ProtocolError(f"Campaign answered a search in {resource.name} with something that is no list of records.")
    return f"{wanted} finds records for a value that no record has." if content else ""


def _shown(names: Iterable[str]) -> str:
    """Names that Campaign told, harmless in a terminal and a log."""
    return plain(", ".join(sorted(names)) or "none", limit=500)


def _listed_filters(resource: TableSchema, ask: Ask) -> Mapping[str, Any] | None:
    """The resource's filters by name; None where Campaign does not tell."""
    endpoint, _, name = resource.path.partition("/")
    metadata = _content(ask(f"campaign/{endpoint}/resourceType/{name}"), resource)
    href = filters_href(metadata)
    if "://" not in href[:8]:
        return None
    return {name: one for name, one in _content(ask(href), resource).items() if isinstance(one, dict)}


def _content(answer: Response, resource: TableSchema) -> Mapping[str, Any]:
    if answer.status != 200:
        raise judge(verdict_of(answer), resource=resource.name)
    content = answer.json()
    if not isinstance(content, dict):
        raise ProtocolError(f"The metadata of Campaign resource {resource.name} is no object.")
    return content


def _parameters(listed: Mapping[str, Any], wanted: str) -> tuple[str, ...] | None:
    """The names of the filter's parameters, taken from its sample address; None when there is no such filter."""
    for name, entry in listed.items():
        data = entry.get("data")
        path, _, query = data.partition("?") if isinstance(data, str) else ("", "", "")
        if wanted in (name, unquote(path.rstrip("/").rpartition("/")[2])):
            return tuple(parameter for parameter, _ in parse_qsl(query, keep_blank_values=True))
    return None


def _has_identification_key(resource: TableSchema, addresses: KeyAddresses, ask: Ask) -> bool:
    answer = ask(f"{addresses.root}/{_impossible_key()}")
    if answer.status == 200:
        return False
    _raise_if_not_ours(answer, resource)
    return answer.status == 404 and "unable to find document" in verdict_of(answer).text.lower()


def _raise_if_not_ours(answer: Response, resource: TableSchema) -> None:
    """Answers about the credentials or the moment say nothing about the key."""
    verdict = verdict_of(answer)
    error = judge(verdict, resource=resource.name)
    if isinstance(error, CredentialsError | ThrottledError) or verdict.meaning is Meaning.BUSY or verdict.is_outside:
        raise error
