"""What the key check says about a filter, whatever Campaign calls its filters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from syncline.connectors.base import KeyProblem
from syncline.connectors.campaign.key_check import check_key
from syncline.connectors.campaign.lookup import CampaignKey, KeyAddresses
from syncline.connectors.http import Response
from syncline.connectors.http.exchange import Headers
from syncline.schemas import FieldSchema, FieldType, TableSchema

PROFILE = TableSchema(
    name="profile",
    path="profileAndServicesExt/profile",
    fields={"externalId": FieldSchema(name="externalId", type=FieldType.STRING)},
)


def answer(texts: Iterator[str], _: str) -> Response:
    """The next of the answers, whatever was asked."""
    return Response(200, Headers({}), next(texts).encode())


def test_names_of_filters_are_harmless_in_a_terminal() -> None:
    """S-09: what Campaign calls its filters and parameters is escaped and cut before it is shown."""
    metadata = {"filters": {"href": "https://mc.adobe.io/contoso/filters"}}
    addresses = KeyAddresses.of(CampaignKey(), PROFILE.path, v8=False)
    for listed in (
        {"by\x1b[2J\nERROR all is lost": {"data": ""}, "x" * 5_000: {"data": ""}},
        {"byExternalId": {"data": "/profile/byExternalId?evil%0a%1b[31m=1"}},
    ):
        answers = iter((json.dumps(metadata), json.dumps(listed)))
        found = check_key(PROFILE, addresses, partial(answer, answers))
        assert found.problem is KeyProblem.NO_FILTER
        assert found.detail.isprintable()
        assert len(found.detail) < 700
