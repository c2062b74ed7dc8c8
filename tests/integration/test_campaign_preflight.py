"""Before anything is written: credentials, resources, schemas and keys."""

from __future__ import annotations

import pytest
from tests.campaign_room import connect, credential, described
from tests.sandbox_room import fresh

from syncline.connectors.base import KeyProblem
from syncline.connectors.campaign import CampaignKey, CampaignStandard
from syncline.errors import CredentialsError, ProtocolError, SynclineError
from syncline.sandbox import Sandbox
from syncline.schemas import FieldType


@pytest.fixture
def sandbox(servers: Sandbox) -> Sandbox:
    """Campaign as on its first day; of Dynamics nothing is asked here."""
    fresh(servers.campaign)
    return servers


# -- who we are -----------------------------------------------------------------------------------------------------


def test_good_credentials(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """The access check reads nobody's data and makes no engine call."""
    campaign.check_access()
    assert sandbox.campaign.engine_calls()["total"] == 0


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"client_id": "another"}, "Developer Console"),
        ({"client_secret": "p8e-canary-secret"}, "Developer Console"),
        ({"scopes": "openid,not_granted"}, "scopes"),
        ({"scopes": ()}, "scopes"),
    ],
)
def test_wrong_credentials(sandbox: Sandbox, changes: dict[str, object], remedy: str) -> None:
    """What the identity service refuses stops the workflow, with what to correct and without the secret."""
    with connect(sandbox, auth=credential(sandbox, **changes)) as campaign:
        with pytest.raises(CredentialsError) as refused:
            campaign.check_access()
        assert remedy in refused.value.remedy
        assert "canary" not in f"{refused.value!r} {refused.value}"


def test_scopes_may_be_one_text(sandbox: Sandbox) -> None:
    """Scopes can be pasted as the console shows them."""
    with connect(sandbox, auth=credential(sandbox, scopes="openid, AdobeID,campaign_sdk")) as campaign:
        campaign.check_access()


def test_another_address_of_the_identity_service(sandbox: Sandbox) -> None:
    """An address that is no identity service is a mistake in the settings, not a wrong secret."""
    auth = credential(sandbox)
    wrong = type(auth)(auth.client_id, auth.client_secret, ims_url=f"{sandbox.campaign_url}/nothing")
    with connect(sandbox, auth=wrong) as campaign, pytest.raises(SynclineError) as refused:
        campaign.check_access()
    assert isinstance(refused.value, ProtocolError | CredentialsError)


@pytest.mark.parametrize("organisation", ["fabrikam", "contoso-mkt-stage1"])
def test_another_organisation(sandbox: Sandbox, organisation: str) -> None:
    """An organisation the credential does not belong to is named as the likely cause."""
    url = sandbox.campaign_url.replace("contoso", organisation)
    with connect(sandbox, url) as campaign:
        with pytest.raises(CredentialsError) as refused:
            campaign.check_access()
        assert "organisation" in refused.value.remedy


def test_a_missing_product_profile(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """403023 says which product profile to give."""
    sandbox.campaign.set(profile_valid=False)
    with pytest.raises(CredentialsError) as refused:
        campaign.check_access()
    assert "product profile" in refused.value.remedy


def test_a_revoked_token_is_renewed(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A token that stops being accepted is renewed once, unnoticed."""
    campaign.check_access()
    sandbox.campaign.revoke_tokens()
    campaign.check_access()
    assert sandbox.campaign.engine_calls()["token"] == 2


def test_headers(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """The token is asked for with a form, and every call says no-cache."""
    sandbox.campaign.keep_requests(10)
    campaign.check_access()
    token, call = sandbox.campaign.requests()["kept"]
    assert (token["method"], token["path"]) == ("POST", "/ims/token/v3")
    headers = {name.lower(): value for name, value in dict(call["headers"]).items()}
    assert headers["cache-control"] == "no-cache"


def test_tls(sandbox: Sandbox) -> None:
    """Over HTTPS with a certificate authority of one's own, and not without it."""
    with Sandbox(tls=True) as secure:
        auth = credential(secure)
        auth = type(auth)(auth.client_id, auth.client_secret, ims_url=secure.ims_https_url)
        url = secure.campaign_https_url
        with connect(secure, url, auth=auth, ca_file=secure.ca_file, allow_loopback_http=False) as campaign:
            campaign.check_access()
        with (
            connect(secure, url, auth=auth, allow_loopback_http=False) as campaign,
            pytest.raises(ProtocolError),
        ):
            campaign.check_access()


# -- resources and schemas ------------------------------------------------------------------------------------------


def test_tables(sandbox: Sandbox) -> None:
    """What can be mapped: the profile, what is linked to it, and the custom resources that were named and exist."""
    with connect(sandbox, custom_resources=["cusServiceVisit", "cusNothing"]) as campaign:
        tables = campaign.tables()
    assert {"profile", "cusVehicle", "orgUnitBase", "cusServiceVisit"} <= set(tables)
    assert not {"cusNothing", "apiName"} & set(tables)
    assert tables["cusVehicle"] == "Vehicles"


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("profile", "profileAndServicesExt/profile"),
        ("cusVehicle", "profileAndServicesExt/cusVehicle"),
        ("cusServiceVisit", "customResources/cusServiceVisit"),
    ],
)
def test_where_a_resource_is(campaign: CampaignStandard, resource: str, path: str) -> None:
    """A resource linked to the profile and one that is not have different addresses."""
    assert described(campaign, resource).path == path


@pytest.mark.parametrize("name", ["cusNothing", "", "a/b", "..", "profile?x", "é"])
def test_unknown_resources(campaign: CampaignStandard, name: str) -> None:
    """There is no schema for what is not there, and a name that cannot be one asks nothing."""
    assert campaign.describe(name) is None


def test_the_profile(campaign: CampaignStandard) -> None:
    """Types, lengths, options, links and what cannot be written are all known."""
    fields = described(campaign).fields
    assert fields["externalId"].max_length == 100
    assert fields["firstName"].max_length == 30
    assert fields["gender"].type is FieldType.PICKLIST
    assert fields["gender"].options == {"unknown": "Unspecified", "male": "Male", "female": "Female"}
    assert (fields["orgUnit"].type, fields["orgUnit"].targets) == (FieldType.LOOKUP, ("orgUnitBase",))
    assert fields["birthDate"].type is FieldType.DATE
    assert fields["cusLastVisit"].type is FieldType.DATETIME
    assert fields["cusScore"].type is FieldType.DOUBLE
    assert fields["cusChildren"].type is FieldType.INTEGER
    assert fields["blackListEmail"].type is FieldType.BOOLEAN
    assert fields["location.city"].writable
    assert not any(fields[name].writable for name in ("age", "lastModified", "title", "postalAddress.line1"))


def test_schemas_are_read_anew(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A field published in mid-run is seen at the next look."""
    assert "cusNew" not in described(campaign).fields
    sandbox.campaign.add_field("profile", "cusNew", "string")
    assert "cusNew" in described(campaign).fields


def test_a_resource_that_moves(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """Publishing a link to the profile gives a resource another address; it is found there."""
    fields = [{"name": "code", "kind": "string"}]
    sandbox.campaign.add_resource("cusThing", fields, exposure="custom")
    assert described(campaign, "cusThing").path == "customResources/cusThing"
    sandbox.campaign.add_resource("cusThing", fields, exposure="ext")
    assert described(campaign, "cusThing").path == "profileAndServicesExt/cusThing"


def test_the_extended_api_is_not_published(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """Without the extended API the profile has its built-in fields and no others."""
    text = '"RST-360011 An error has occurred - please contact your administrator. Error rc=-2003"'
    sandbox.campaign.add_fault("answer", path="/profileAndServicesExt", status=404, body=text)
    schema = described(campaign)
    assert schema.path == "profileAndServices/profile"
    assert not any(name.startswith("cus") for name in schema.fields)
    assert campaign.tables() == {"profile": "profile"}


# -- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["profile", "cusVehicle", "cusServiceVisit"])
def test_a_key_that_can_serve(campaign: CampaignStandard, sandbox: Sandbox, resource: str) -> None:
    """Field, filter and identification key are proven without a write."""
    schema = described(campaign, resource)
    assert campaign.check_key(schema, "externalId").problem is None
    calls = sandbox.campaign.engine_calls()
    assert calls["POST"] + calls["PATCH"] + calls["DELETE"] == 0


def test_a_missing_field(campaign: CampaignStandard) -> None:
    """A key field that is not there is named."""
    check = campaign.check_key(described(campaign), "cusMissing")
    assert check.problem is KeyProblem.NO_FIELD
    assert "cusMissing" in check.detail


def test_a_missing_filter(campaign: CampaignStandard) -> None:
    """A field that no filter looks up is refused; the filters that exist are named."""
    check = campaign.check_key(described(campaign), "lastName")
    assert check.problem is KeyProblem.NO_FILTER
    assert "byExternalId" in check.detail


def test_a_wrong_parameter(sandbox: Sandbox) -> None:
    """A filter that would ignore our parameter would find anybody; the right name is told."""
    key = CampaignKey(parameter="externalId")
    with connect(sandbox, keys={"profile": key}) as campaign:
        check = campaign.check_key(described(campaign), "externalId")
    assert check.problem is KeyProblem.NO_FILTER
    assert "externalId_parameter" in check.detail


def test_a_filter_that_finds_anything(sandbox: Sandbox) -> None:
    """A filter that finds records for a value nobody has is no look-up."""
    sandbox.campaign.load("profile", [{"externalId": "1"}])
    body = '{"content": [{"PKey": "@a", "externalId": "1", "href": "https://h/profile/@a"}]}'
    with connect(sandbox) as campaign:
        schema = described(campaign)
        sandbox.campaign.add_fault("answer", path="/byExternalId", body=body)
        assert campaign.check_key(schema, "externalId").problem is KeyProblem.NO_FILTER


@pytest.mark.parametrize("resource", ["profile", "cusVehicle"])
def test_a_missing_identification_key(campaign: CampaignStandard, sandbox: Sandbox, resource: str) -> None:
    """A filter alone does not stop duplicates: without an identification key the field cannot serve."""
    sandbox.campaign.drop_key(resource, filtered=True)
    check = campaign.check_key(described(campaign, resource), "externalId")
    assert check.problem is KeyProblem.NO_IDENTIFICATION_KEY
    assert "identification_key=True" in check.detail


@pytest.mark.parametrize(("vouched", "problem"), [(True, None), (False, KeyProblem.NO_IDENTIFICATION_KEY)])
def test_the_operator_knows_better(sandbox: Sandbox, vouched: bool, problem: KeyProblem | None) -> None:
    """What the settings say about the key is believed, and nothing is probed."""
    key = CampaignKey(identification_key=vouched)
    with connect(sandbox, keys={"profile": key}) as campaign:
        assert campaign.check_key(described(campaign), "externalId").problem is problem
    assert sandbox.campaign.engine_calls()["GET record"] == 0


def test_a_resource_without_filter_and_key(campaign: CampaignStandard) -> None:
    """A resource that has neither is told so, without an error."""
    assert campaign.check_key(described(campaign, "cusNoKey"), "externalId").problem is KeyProblem.NO_FILTER


def test_keys_as_addresses_need_no_filter(sandbox: Sandbox) -> None:
    """With by_uri only the identification key is proven."""
    sandbox.campaign.drop_key("cusVehicle")
    keys = {"profile": CampaignKey(by_uri=True), "cusVehicle": CampaignKey(by_uri=True)}
    with connect(sandbox, keys=keys) as campaign:
        assert campaign.check_key(described(campaign), "externalId").problem is None
        check = campaign.check_key(described(campaign, "cusVehicle"), "externalId")
        assert check.problem is KeyProblem.NO_IDENTIFICATION_KEY


def test_version_8_keys(sandbox: Sandbox) -> None:
    """On version 8 the filter has no "by", and the probe understands its words as well."""
    sandbox.campaign.set(v8=True)
    with connect(sandbox, v8=True) as campaign:
        assert campaign.check_key(described(campaign), "externalId").problem is None
        sandbox.campaign.drop_key("profile", filtered=True)
        check = campaign.check_key(described(campaign), "externalId")
        assert check.problem is KeyProblem.NO_IDENTIFICATION_KEY
