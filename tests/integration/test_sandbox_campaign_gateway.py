"""Campaign's doors in the sandbox: the identity service, the gateway's refusals, and its limits."""

from __future__ import annotations

import httpx
import pytest
from tests.sandbox_room import PROFILES, Stranger, fresh, token_form

from syncline.sandbox import Sandbox


@pytest.fixture
def sandbox(servers: Sandbox) -> Sandbox:
    """Campaign as on its first day; of Dynamics nothing is asked here."""
    fresh(servers.campaign)
    return servers


def ask(sandbox: Sandbox, **changes: str) -> httpx.Response:
    """Ask IMS for a token."""
    return httpx.post(f"{sandbox.ims_url}/ims/token/v3", data=token_form(sandbox, **changes), trust_env=False)


def test_a_token_lives_in_seconds(sandbox: Sandbox) -> None:
    """IMS answers a bearer token whose life is given in seconds."""
    answer = ask(sandbox)
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "bearer"
    assert answer.json()["expires_in"] == 86_399


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "wrong"}, "invalid_client"),
        ({"scope": "openid,ent_everything"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_wrong_credentials_are_a_400(sandbox: Sandbox, changes: dict[str, str], error: str) -> None:
    """Wrong secret, id, scope or grant type is HTTP 400 with the reason's name."""
    answer = ask(sandbox, **changes)
    assert answer.status_code == 400
    assert answer.json()["error"] == error


@pytest.mark.parametrize(
    ("header", "value", "status", "code"),
    [
        ("Authorization", None, 401, "401010"),
        ("Authorization", "Bearer nonsense", 401, "401013"),
        ("X-Api-Key", None, 403, "403000"),
        ("X-Api-Key", "nonsense", 403, "403003"),
    ],
)
def test_the_gateway_checks_token_and_key(
    stranger: Stranger, header: str, value: str | None, status: int, code: str
) -> None:
    """Missing or wrong token or API key is refused with the gateway's own body, before the engine sees it."""
    if value is None:
        del stranger.http.headers[header]
    else:
        stranger.http.headers[header] = value
    answer = stranger.send("GET", PROFILES)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


def test_a_wrong_organisation_is_an_oops(sandbox: Sandbox, stranger: Stranger) -> None:
    """Another organisation's address answers 500 with an integer `code`, not an `error_code`."""
    answer = stranger.send("GET", f"{sandbox.ims_url}/somebody-else/campaign/{PROFILES}")
    assert answer.status_code == 500
    assert answer.json()["code"] == 500
    assert "Oops" in answer.json()["message"]


def test_tokens_end(sandbox: Sandbox, stranger: Stranger) -> None:
    """A token is refused when its life is over, and when it was revoked; a new one is taken."""
    sandbox.campaign.set(token_seconds=60)
    stranger.sign_in()
    sandbox.campaign.shift_clock(61)
    assert stranger.send("GET", PROFILES).status_code == 401
    sandbox.campaign.shift_clock(-61)
    assert stranger.send("GET", PROFILES).status_code == 200
    assert sandbox.campaign.revoke_tokens() >= 1
    assert stranger.send("GET", PROFILES).status_code == 401
    stranger.sign_in()
    assert stranger.send("GET", PROFILES).status_code == 200


def test_a_missing_product_profile(sandbox: Sandbox, stranger: Stranger) -> None:
    """Without the product profile every call is a 403 with code 403023."""
    sandbox.campaign.set(profile_valid=False)
    answer = stranger.send("GET", PROFILES)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "403023")


def test_no_limit_unless_set(sandbox: Sandbox, stranger: Stranger) -> None:
    """A rate limit is only there when set; then further requests of that second are 429, with Retry-After if set."""
    sandbox.campaign.freeze_clock()
    try:
        assert {stranger.send("GET", PROFILES).status_code for _ in range(20)} == {200}
        sandbox.campaign.set(rate_limit=3)
        statuses = [stranger.send("GET", PROFILES).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        sandbox.campaign.set(rate_limit_retry_after="2")
        answer = stranger.send("GET", PROFILES)
        assert (answer.headers["Retry-After"], answer.json()["error_code"]) == ("2", "429050")
        sandbox.campaign.shift_clock(1)
        assert stranger.send("GET", PROFILES).status_code == 200
        sandbox.campaign.shift_clock(-1)
    finally:
        sandbox.campaign.freeze_clock(False)


def test_engine_calls_are_counted_by_verb(sandbox: Sandbox, stranger: Stranger) -> None:
    """Each request that reaches the engine counts once; metadata, tokens and refusals of the gateway do not."""
    sandbox.campaign.reset_counters()
    created = stranger.create(externalId="one")
    stranger.change(f"{PROFILES}/one", lastName="Doe")
    stranger.get(created["href"])
    stranger.get(f"{PROFILES}/byExternalId", externalId_parameter="one")
    stranger.get(PROFILES)
    stranger.get("profileAndServicesExt/resourceType/profile")
    stranger.refused("POST", PROFILES, json={"nonsense": 1})
    stranger.send("DELETE", f"{PROFILES}/one")
    stranger.http.headers["X-Api-Key"] = "nonsense"
    stranger.send("GET", PROFILES)
    assert sandbox.campaign.engine_calls() == {
        "total": 7,
        "POST": 2,
        "PATCH": 1,
        "DELETE": 1,
        "GET": 3,
        "GET record": 1,
        "GET by filter": 1,
        "GET list": 1,
        "metadata": 1,
        "token": 0,
    }
