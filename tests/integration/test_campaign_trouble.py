"""When the network, the gateway or the engine misbehaves: nothing is lost, doubled or mistaken for success."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.campaign_room import ID, JumpingClock, connect, described, person, wanted
from tests.sandbox_room import fresh

from syncline.connectors.campaign import CampaignStandard
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    CredentialsError,
    LeaseLostError,
    ProtocolError,
    RecordRefusedError,
    SynclineError,
    ThrottledError,
    UnavailableError,
)
from syncline.records import OutcomeKind
from syncline.retries import retries_off
from syncline.sandbox import Sandbox

HIDDEN = '"RST-360011 An error has occurred - please contact your administrator."'
OOPS = '{"code":500,"message":"Oops. Something went wrong. Check your URI and try again."}'
DUPLICATE = '"PGS-220000 PostgreSQL error: duplicate key value violates unique constraint"'


@pytest.fixture
def sandbox(servers: Sandbox) -> Sandbox:
    """Campaign as on its first day; of Dynamics nothing is asked here."""
    fresh(servers.campaign)
    return servers


@pytest.fixture
def campaign(sandbox: Sandbox) -> Iterator[CampaignStandard]:
    with connect(sandbox, timeout=2.0) as connector:
        yield connector


def free() -> None:
    """This process may write."""


@pytest.mark.parametrize("action", ["applied", "cut_headers", "cut_body"])
def test_applied_but_not_answered(campaign: CampaignStandard, sandbox: Sandbox, action: str) -> None:
    """A create whose answer is lost is unknown, and the next attempt looks before it creates: one record, once."""
    schema = described(campaign)
    sandbox.campaign.add_fault(action, method="POST", path="/profile", count=1)
    with pytest.raises(AmbiguousWriteError):
        campaign.apply(wanted(person()), schema, still_ours=free)
    outcome = campaign.apply(wanted(person(), ambiguous=True), schema, still_ours=free)
    assert (outcome.kind, outcome.calls) == (OutcomeKind.IDENTICAL, 1)
    assert sandbox.campaign.count("profile") == 1
    assert sandbox.campaign.engine_calls()["POST"] == 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_not_applied_and_not_answered(campaign: CampaignStandard, sandbox: Sandbox, how: str) -> None:
    """A create that was cut off before Campaign saw it is made by the next attempt."""
    schema = described(campaign)
    sandbox.campaign.add_fault("cut", method="POST", path="/profile", count=1, how=how)
    with pytest.raises(AmbiguousWriteError):
        campaign.apply(wanted(person()), schema, still_ours=free)
    outcome = campaign.apply(wanted(person(), ambiguous=True), schema, still_ours=free)
    assert outcome.kind is OutcomeKind.CREATED
    assert sandbox.campaign.count("profile") == 1


def test_silence(sandbox: Sandbox) -> None:
    """A create that is never answered ends at the time-out, unknown."""
    with connect(sandbox, timeout=0.3) as campaign:
        schema = described(campaign)
        sandbox.campaign.add_fault("black_hole", method="POST", path="/profile", count=1, applied=True)
        with pytest.raises(AmbiguousWriteError):
            campaign.create(schema, person())
    assert sandbox.campaign.count("profile") == 1


def test_updates_and_deletes_without_an_answer(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """They are unknown too; repeating them after a look changes nothing twice."""
    schema = described(campaign)
    campaign.create(schema, person())
    sandbox.campaign.add_fault("applied", method="PATCH", count=1)
    sandbox.campaign.add_fault("applied", method="DELETE", count=1)
    changed = person(firstName="B")
    with pytest.raises(AmbiguousWriteError):
        campaign.apply(wanted(changed, known=True), schema, still_ours=free)
    again = campaign.apply(wanted(changed, known=True, ambiguous=True), schema, still_ours=free)
    assert again.kind is OutcomeKind.IDENTICAL
    delete = wanted(changed, delete=True)
    with pytest.raises(AmbiguousWriteError):
        campaign.apply(delete, schema, still_ours=free)
    assert campaign.apply(delete, schema, still_ours=free).kind is OutcomeKind.MISSING


@pytest.mark.parametrize(("present", "expected"), [(True, ConflictError), (False, UnavailableError)])
def test_a_create_refused_without_a_cause(
    campaign: CampaignStandard, sandbox: Sandbox, present: bool, expected: type[SynclineError]
) -> None:
    """The key decides: there already is a conflict, not there may be tried again."""
    schema = described(campaign)
    if present:
        sandbox.campaign.load("profile", [person()])
    sandbox.campaign.add_fault("fail", method="POST", path="/profile", status=500, body=HIDDEN)
    with pytest.raises(expected):
        campaign.create(schema, person())


def test_a_create_refused_without_a_cause_and_no_look(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """Where the look-up fails as well, or the key is not among the values, the create stays unknown."""
    schema = described(campaign)
    sandbox.campaign.add_fault("fail", path="/profile", status=500, body=HIDDEN)
    with pytest.raises(AmbiguousWriteError):
        campaign.create(schema, person())
    with pytest.raises(AmbiguousWriteError):
        campaign.create(schema, {"firstName": "Ada"})


@pytest.mark.parametrize(
    ("status", "body", "content_type", "expected"),
    [
        (500, DUPLICATE, "application/json", ConflictError),
        (500, OOPS, "application/json", CredentialsError),
        (502, "<html>Bad gateway</html>", "text/html", AmbiguousWriteError),
        (504, "", "text/plain", AmbiguousWriteError),
        (503, "", "text/plain", UnavailableError),
        (403, '{"error_code":"403023","message":"Profile is not valid"}', "application/json", CredentialsError),
        (401, '{"error_code":"401013","message":"Oauth token is not valid"}', "application/json", CredentialsError),
        (413, "Request Entity Too Large", "text/plain", RecordRefusedError),
        (302, "", "text/plain", ProtocolError),
    ],
)
def test_answers_to_a_create(
    campaign: CampaignStandard,
    sandbox: Sandbox,
    status: int,
    body: str,
    content_type: str,
    expected: type[SynclineError],
) -> None:
    """Each answer leads to the branch that fits it, over the wire."""
    schema = described(campaign)
    sandbox.campaign.add_fault(
        "fail", method="POST", path="/campaign/", status=status, body=body, content_type=content_type
    )
    with pytest.raises(expected):
        campaign.create(schema, person())


def test_a_login_page_is_no_success(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A page with status 200 in place of Campaign's answer is neither a record nor a write that was done."""
    schema = described(campaign)
    campaign.create(schema, person())
    found = campaign.find(schema, "externalId", ID)
    assert found is not None
    sandbox.campaign.add_fault("login_page", path="/campaign/")
    with pytest.raises(AmbiguousWriteError):
        campaign.create(schema, person("other"))
    with pytest.raises(AmbiguousWriteError):
        campaign.update(schema, found.ref, {"firstName": "B"})
    with pytest.raises(AmbiguousWriteError):
        campaign.delete(schema, found.ref)
    with pytest.raises(ProtocolError):
        campaign.find(schema, "externalId", ID)
    with pytest.raises(ProtocolError):
        campaign.describe("profile")
    sandbox.campaign.clear_faults()
    assert [row["firstName"] for row in sandbox.campaign.rows("profile")] == ["Ada"]


def test_a_foreign_404_does_not_make_a_delete(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """Only Campaign can say that a record is gone; a proxy's page cannot."""
    schema = described(campaign)
    campaign.create(schema, person())
    found = campaign.find(schema, "externalId", ID)
    assert found is not None
    page = {"status": 404, "body": "<html>Not found</html>", "content_type": "text/html"}
    sandbox.campaign.add_fault("fail", method="DELETE", **page)
    with pytest.raises(ProtocolError):
        campaign.delete(schema, found.ref)
    assert sandbox.campaign.count("profile") == 1


@pytest.mark.parametrize("action", ["truncated", "cut_body", "endless"])
def test_half_an_answer_is_no_absence(sandbox: Sandbox, action: str) -> None:
    """A look-up whose answer is broken never reads as "not there"."""
    with connect(sandbox, timeout=1.0) as campaign, retries_off():
        schema = described(campaign)
        sandbox.campaign.load("profile", [person()])
        sandbox.campaign.add_fault(action, method="GET", path="/byExternalId")
        with pytest.raises((ProtocolError, UnavailableError)):
            campaign.find(schema, "externalId", ID)


def test_reads_are_tried_again_at_once(sandbox: Sandbox) -> None:
    """A passing fault of a look-up is over before anybody notices; a lasting one is reported after three tries."""
    clock = JumpingClock()
    with connect(sandbox, clock=clock) as campaign:
        schema = described(campaign)
        sandbox.campaign.load("profile", [person()])
        sandbox.campaign.add_fault("fail", method="GET", path="/byExternalId", count=2)
        assert campaign.find(schema, "externalId", ID) is not None
        assert len(clock.sleeps) == 2
        sandbox.campaign.add_fault("fail", method="GET", path="/byExternalId")
        with pytest.raises(UnavailableError):
            campaign.find(schema, "externalId", ID)


def test_writes_are_never_repeated_by_the_connector(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """Whether a write is sent again is the backlog's decision."""
    schema = described(campaign)
    sandbox.campaign.add_fault("fail", method="POST", path="/profile", status=503)
    sandbox.campaign.clear_requests()
    with pytest.raises(UnavailableError):
        campaign.create(schema, person())
    assert sandbox.campaign.requests()["total"] == 1


@pytest.mark.parametrize(("form", "seconds"), [("seconds", 30.0), ("date", 30.0), ("absent", None)])
def test_silence_is_kept(sandbox: Sandbox, form: str, seconds: float | None) -> None:
    """After a 429 nothing is sent before the time the service named, not even a look."""
    clock = JumpingClock()
    with connect(sandbox, clock=clock) as campaign:
        schema = described(campaign)
        sandbox.campaign.add_fault("throttle", path="/profile", count=1, retry_after=30, form=form)
        with pytest.raises(ThrottledError) as throttled:
            campaign.create(schema, person())
        assert throttled.value.principal == campaign.gates[0].principal
        assert throttled.value.retry_after is None or throttled.value.retry_after == pytest.approx(seconds, abs=2)
        assert campaign.gates[0].closed_until is not None
        sandbox.campaign.clear_requests()
        for attempt in (lambda: campaign.find(schema, "externalId", ID), lambda: campaign.describe("profile")):
            with pytest.raises(ThrottledError):
                attempt()
        assert sandbox.campaign.requests()["total"] == 0
        clock.sleep(31)
        campaign.create(schema, person())


def test_a_lease_that_is_lost(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """Nothing is changed once the process may not write any more."""
    schema = described(campaign)

    def taken() -> None:
        raise LeaseLostError("taken over")

    with pytest.raises(LeaseLostError):
        campaign.apply(wanted(person()), schema, still_ours=taken)
    assert sandbox.campaign.count("profile") == 0


def test_one_bad_record_among_good_ones(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A record that is refused for good does not keep the others from being written."""
    schema = described(campaign)
    sandbox.campaign.refuse("profile", "bad")
    with pytest.raises(RecordRefusedError):
        campaign.apply(wanted(person("bad")), schema, still_ours=free)
    assert campaign.apply(wanted(person("good")), schema, still_ours=free).kind is OutcomeKind.CREATED


def test_the_clocks_are_compared(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """The difference of the clocks is measured from answers and survives closing."""
    assert campaign.clock_offset is None
    campaign.check_access()
    assert campaign.clock_offset == pytest.approx(0, abs=5)
    campaign.close()
    assert campaign.clock_offset is not None


def test_it_opens_again_after_closing(campaign: CampaignStandard) -> None:
    """A closed connector is used again without being told."""
    schema = described(campaign)
    campaign.create(schema, person())
    campaign.close()
    assert campaign.find(schema, "externalId", ID) is not None


def test_no_answer_reaches_a_message(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """Whatever Campaign says, a record's values are not repeated."""
    schema = described(campaign)
    values = person("canary-key", lastName="canary-name", email="canary@example.org")
    text = f'"XTK-170049 {values!r}"'.replace("'", "")
    sandbox.campaign.add_fault("fail", method="POST", path="/profile", status=500, body=text)
    with pytest.raises(RecordRefusedError) as refused:
        campaign.create(schema, values)
    assert "canary" not in f"{refused.value} {refused.value!r}"
