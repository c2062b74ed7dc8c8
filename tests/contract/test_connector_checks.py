"""Every check of the conformance kits, against our own connectors in front of the sandbox: real HTTP on loopback."""

from __future__ import annotations

from contextlib import closing

import pytest
from tests.connector_room import CampaignStandardSubject, DataverseSubject

from syncline.connectors.dynamics import Dataverse
from syncline.sandbox import Sandbox
from syncline.testing.connector_checks import (
    CAMPAIGN_CHECKS,
    DYNAMICS_CHECKS,
    CampaignSubject,
    DynamicsSubject,
    dynamics_events,
)
from syncline.testing.promises import Promise, promises


@pytest.mark.parametrize("promise", promises(DYNAMICS_CHECKS), ids=str)
def test_dataverse(promise: Promise[DynamicsSubject], sandbox: Sandbox) -> None:
    """What the check's docstring promises."""
    with closing(DataverseSubject(sandbox)) as subject:
        promise(subject)


EVENT_CHECKS = [check for check in DYNAMICS_CHECKS if check.__module__ == dynamics_events.__name__]


class RowByRow(Dataverse):
    """In front of a table that takes no bulk messages: rows are created one by one, in batches."""

    def creates_in_bulk(self, table: str) -> bool:
        return False


class RowByRowSubject(DataverseSubject):
    """A call of two batches and a half."""

    bulk_rows = 250


@pytest.mark.parametrize("promise", promises(EVENT_CHECKS), ids=str)
def test_dataverse_row_by_row(promise: Promise[DynamicsSubject], sandbox: Sandbox) -> None:
    """What the check's docstring promises, also where many rows do not go in one message."""
    with closing(RowByRowSubject(sandbox, RowByRow)) as subject:
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
