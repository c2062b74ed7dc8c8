"""Signing in to Dynamics 365, privileges, and what its metadata says, against the sandbox."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from tests.dataverse_room import COLUMNS, ask, connector, fill, person, secret, walk

from syncline.connectors.dynamics import ClientCertificate, ClientSecret, Dataverse
from syncline.errors import (
    CredentialsError,
    ProtocolError,
)
from syncline.records import ReadStage
from syncline.sandbox import Sandbox
from syncline.schemas import FieldType


def test_a_table_is_described_completely(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Set, key, types, lengths, options with labels, targets and dates without a zone, as the mapping needs them."""
    schema = dataverse.describe("contact")
    assert schema is not None
    assert (schema.path, schema.primary_key, schema.label, schema.change_tracking) == (
        "contacts", "contactid", "Contact", True,
    )  # fmt: skip
    fields = schema.fields
    assert fields["firstname"].max_length == 50
    assert fields["gendercode"].options == {"1": "Male", "2": "Female"}
    assert fields["new_loyaltytier"].options["100000002"] == "Gold"
    assert fields["donotemail"].options == {"false": "Allow", "true": "Do Not Allow"}
    assert fields["statecode"].type is FieldType.PICKLIST
    assert fields["birthdate"].type is FieldType.DATE
    assert fields["new_appointment"].time_zone_independent
    assert fields["parentcustomerid"].name == "_parentcustomerid_value"
    assert fields["parentcustomerid"].targets == ("account", "contact")
    assert fields["creditlimit"].type is FieldType.MONEY
    assert not fields["fullname"].writable
    task = dataverse.describe("task")
    assert task is not None
    assert task.primary_key == "activityid"
    assert dataverse.describe("new_nothing") is None


def test_every_field_of_the_schema_can_be_read(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Whatever `describe` offers as readable can be asked for by its name."""
    fill(sandbox, 1)
    schema = dataverse.describe("contact")
    assert schema is not None
    names = tuple(field.name for field in schema.fields.values() if field.readable)
    changes, _ = walk(dataverse, ReadStage.LOAD, columns=names)
    assert set(changes[0].values or {}) == set(names)


def test_a_new_option_is_seen_at_once(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Schemas are asked for as they are now."""
    sandbox.dynamics.add_option("contact", "gendercode", 3, "Other")
    schema = dataverse.describe("contact")
    assert schema is not None
    assert schema.fields["gendercode"].options["3"] == "Other"


def test_tables_keys_lookups_and_counts(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """What a mapping can be made of, how lookups are written, and how many rows there are."""
    fill(sandbox, 12)
    tables = dataverse.tables()
    assert tables["contact"] == "Contact"
    assert "organization" not in tables
    assert dataverse.alternate_keys("account") == {"accountnumber_key": ("accountnumber",)}
    assert {one.navigation for one in dataverse.lookups("adobe_emailsend") if one.target == "contact"} == {
        "regardingobjectid_contact_adobe_emailsend"
    }
    assert dataverse.count("contact") == 12
    assert dataverse.count("new_nothing") is None


def test_access_is_proved_and_the_parallelism_learnt(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Before the first answer nothing is known; afterwards the recommended parallelism and the clock are."""
    assert dataverse.recommended_parallelism is None
    assert dataverse.clock_offset is None
    sandbox.dynamics.set(dop_hint=17)
    dataverse.check_access()
    assert dataverse.recommended_parallelism == 17
    assert dataverse.clock_offset == pytest.approx(0, abs=2)
    assert dataverse.identity == f"dynamics:127.0.0.1:{sandbox.dynamics_url.rpartition(':')[2]}"
    assert len(dataverse.gates) == 2


def test_wrong_credentials_are_told_apart(sandbox: Sandbox) -> None:
    """Secret, application, tenant and a missing application user are each said, with what to do."""
    good = secret(sandbox)
    cases = [
        (ClientSecret(good.tenant, good.client_id, "wrong", authority_url=good.authority_url), "AADSTS7000215"),
        (ClientSecret(good.tenant, str(uuid.uuid4()), "wrong", authority_url=good.authority_url), "AADSTS700016"),
        (ClientSecret("fabrikam.com", good.client_id, "wrong", authority_url=good.authority_url), "AADSTS90002"),
    ]
    for credential, words in cases:
        with pytest.raises(CredentialsError, match=words):
            Dataverse(sandbox.dynamics_url, credential, allow_loopback_http=True).check_access()
    sandbox.dynamics.set(application_user=False)
    with pytest.raises(CredentialsError, match="application user"):
        connector(sandbox).check_access()


@pytest.mark.parametrize("read", ["basic", "none"])
def test_a_missing_privilege_names_the_table_and_the_role(sandbox: Sandbox, dataverse: Dataverse, read: str) -> None:
    """Change tracking needs organization-level read; less is a matter of the role."""
    sandbox.dynamics.set_permissions("contact", read=read)
    with pytest.raises(CredentialsError, match="organization-level Read on contact"):
        dataverse.read(ask(ReadStage.LOAD))


def test_a_certificate_signs_in(sandbox: Sandbox) -> None:
    """An application with a registered certificate needs no secret."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    sandbox.dynamics.set(certificates=[public.decode()])
    for algorithm in ("PS256", "RS256"):
        credential = ClientCertificate(
            sandbox.tenant_id,
            sandbox.client_id,
            private + public,
            algorithm=algorithm,
            authority_url=sandbox.authority_url,
        )
        Dataverse(sandbox.dynamics_url, credential, allow_loopback_http=True).check_access()


def test_an_expired_access_token_is_renewed_unseen(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """A token that Dataverse does not take any more costs one sign-in and no error, also in the middle of a load."""
    fill(sandbox)
    page = dataverse.read(ask(ReadStage.LOAD))
    sandbox.dynamics.expire_access_tokens()
    before = sandbox.dynamics.counters()["requests"]["token"]
    walk(dataverse, ReadStage.LOAD, page.next_link)
    assert sandbox.dynamics.counters()["requests"]["token"] == before + 1


def test_many_workers_cause_one_sign_in(sandbox: Sandbox, dataverse: Dataverse) -> None:
    """Eight threads whose token stops working at once make one request for a new one."""
    fill(sandbox, 3)
    dataverse.fetch("contact", COLUMNS, [person(1)])
    sandbox.dynamics.expire_access_tokens()
    before = sandbox.dynamics.counters()["requests"]["token"]
    with ThreadPoolExecutor(8) as workers:
        found = list(workers.map(lambda _: dataverse.fetch("contact", COLUMNS, [person(1)]), range(40)))
    assert all(set(one) == {person(1)} for one in found)
    assert sandbox.dynamics.counters()["requests"]["token"] == before + 1


def test_everything_works_over_https_with_an_authority_of_ones_own() -> None:
    """Sign-in and data over TLS, trusting the given authority and no other."""
    with Sandbox(tls=True, contacts=3) as sandbox:
        who = ClientSecret(
            sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_https_url
        )
        dataverse = Dataverse(sandbox.dynamics_https_url, who, ca_file=sandbox.ca_file)
        assert len(walk(dataverse, ReadStage.LOAD)[0]) == 3
        dataverse.close()
        with pytest.raises(ProtocolError, match="could not prove who it is"):
            Dataverse(sandbox.dynamics_https_url, who).check_access()
