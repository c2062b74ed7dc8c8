"""Every check of the conformance kits, against our own connectors in front of the sandbox: real HTTP on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.connector_room import CampaignStandardSubject, DataverseSubject, fresh

from syncline.sandbox import Sandbox
from syncline.testing.connector_checks import CAMPAIGN_CHECKS, DYNAMICS_CHECKS, CampaignSubject, DynamicsSubject
from syncline.testing.promises import Promise, promises


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    fresh(running)
    return running


@pytest.mark.parametrize("promise", promises(DYNAMICS_CHECKS), ids=str)
def test_dataverse(promise: Promise[DynamicsSubject], sandbox: Sandbox) -> None:
    """What the check's docstring promises."""
    with closing(DataverseSubject(sandbox)) as subject:
        promise(subject)


@pytest.mark.parametrize("promise", promises(CAMPAIGN_CHECKS), ids=str)
def test_campaign_standard(promise: Promise[CampaignSubject], sandbox: Sandbox) -> None:
    """What the check's docstring promises."""
    with closing(CampaignStandardSubject(sandbox)) as subject:
        promise(subject)


@pytest.mark.parametrize("check", {*DYNAMICS_CHECKS, *CAMPAIGN_CHECKS}, ids=lambda check: check.__name__)
def test_each_check_says_what_it_promises(check: object) -> None:
    """A check without a sentence is no promise."""
    assert (check.__doc__ or "").strip().endswith(".")
