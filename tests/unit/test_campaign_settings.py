"""What a Campaign connector is told before anything is sent."""

from __future__ import annotations

import pickle

import pytest

from syncline.connectors.campaign import DEFAULT_SCOPES, CampaignStandard, OAuthServerToServer
from syncline.connectors.http import Secret
from syncline.errors import DefinitionError

AUTH = OAuthServerToServer("canary-client-id", "canary-secret")


@pytest.mark.parametrize(
    "url",
    [
        "http://mc.adobe.io/contoso",
        "https://mc.adobe.io",
        "https://mc.adobe.io/",
        "https://mc.adobe.io/campaign",
        "https://user@mc.adobe.io/contoso",
        "https://mc.adobe.io/contoso/../other",
        "https://mc.adobe.io/contoso?x=1",
        "https://169.254.169.254/contoso",
        "mc.adobe.io/contoso",
        "",
    ],
)
def test_addresses_that_cannot_be_right(url: str) -> None:
    """An address without encryption, without an organisation or with tricks is refused when it is configured."""
    with pytest.raises(DefinitionError):
        CampaignStandard(url, AUTH)


def test_loopback_needs_a_switch() -> None:
    """Unencrypted addresses are for this computer only, and only when asked for."""
    auth = OAuthServerToServer("id", "secret", ims_url="http://127.0.0.1:1")
    with pytest.raises(DefinitionError):
        CampaignStandard("http://127.0.0.1:1/contoso", auth)
    with pytest.raises(DefinitionError):
        CampaignStandard("https://mc.adobe.io/contoso", auth)
    allowed = CampaignStandard("http://127.0.0.1:1/contoso", auth, allow_loopback_http=True)
    assert allowed.identity == "campaign:contoso@127.0.0.1:1"
    with pytest.raises(DefinitionError):
        CampaignStandard("http://mc.adobe.io/contoso", AUTH, allow_loopback_http=True)


@pytest.mark.parametrize("ending", ["", "/", "/campaign", "/campaign/"])
def test_identity(ending: str) -> None:
    """Organisation and host tell one environment from another, however the address was typed."""
    campaign = CampaignStandard(f"https://MC.adobe.io/contoso{ending}", AUTH)
    assert campaign.identity == "campaign:contoso@mc.adobe.io"
    assert CampaignStandard("https://mc.adobe.io/fabrikam", AUTH).identity != campaign.identity


def test_one_gate_per_client() -> None:
    """The same client is the same principal in every organisation; another client is another."""
    one = CampaignStandard("https://mc.adobe.io/contoso", AUTH).gates
    same = CampaignStandard("https://mc.adobe.io/fabrikam", AUTH).gates
    other = CampaignStandard("https://mc.adobe.io/contoso", OAuthServerToServer("other", "secret")).gates
    assert [gate.principal for gate in one] == [gate.principal for gate in same]
    assert len({gate.principal for gate in (*one, *other)}) == 2


def test_nothing_secret_is_shown() -> None:
    """Neither the secret nor the API key is in any representation, nor in the name of the gate."""
    campaign = CampaignStandard("https://mc.adobe.io/contoso", AUTH)
    shown = f"{campaign!r} {campaign.name} {AUTH!r} {AUTH} {campaign.gates!r} {campaign.gates[0].principal}"
    assert "canary" not in shown
    assert isinstance(AUTH.client_secret, Secret)
    with pytest.raises(TypeError):
        pickle.dumps(AUTH)


@pytest.mark.parametrize(("client_id", "secret"), [("", "secret"), ("id", ""), ("i d\n", "secret"), ("ü", "secret")])
def test_empty_credentials_are_refused(client_id: str, secret: str) -> None:
    """A credential that cannot be one is refused when it is configured."""
    with pytest.raises(DefinitionError):
        OAuthServerToServer(client_id, secret)


def test_scopes() -> None:
    """Scopes are a sequence or the text the console shows; by default those that working clients ask for."""
    assert AUTH.scopes == DEFAULT_SCOPES
    assert OAuthServerToServer("id", "secret", scopes="openid, AdobeID,").scopes == ("openid", "AdobeID")
    assert OAuthServerToServer("id", "secret", scopes=["openid"]).scopes == ("openid",)


def test_nothing_is_sent_by_making_one() -> None:
    """A connector to a host that does not exist is made without a look-up or a connection."""
    campaign = CampaignStandard("https://nowhere.invalid/contoso", AUTH)
    assert campaign.clock_offset is None
    campaign.close()
