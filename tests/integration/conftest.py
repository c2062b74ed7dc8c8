"""The sandbox through other eyes: each fixture is one more way to look at the `sandbox` of a test.

A module that wants one of them otherwise has a fixture of its own under the same name.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.campaign_room import connect
from tests.dataverse_room import connector
from tests.ingress_room import join
from tests.sandbox_dynamics_room import Wire
from tests.sandbox_room import Stranger

from syncline import Integration, MemoryStorage
from syncline.connectors.campaign import CampaignStandard
from syncline.connectors.dynamics import Dataverse
from syncline.instrumentation import Notice
from syncline.sandbox import Sandbox


@pytest.fixture
def stranger(sandbox: Sandbox) -> Iterator[Stranger]:
    """A signed-in client of Campaign that knows nothing of Syncline."""
    with Stranger(sandbox) as client:
        yield client


@pytest.fixture
def wire(sandbox: Sandbox) -> Iterator[Wire]:
    """A signed-in client of Dynamics that knows nothing of Syncline."""
    with Wire(sandbox) as client:
        yield client


@pytest.fixture
def campaign(sandbox: Sandbox) -> Iterator[CampaignStandard]:
    """The connector to Campaign."""
    with connect(sandbox) as made:
        yield made


@pytest.fixture
def dataverse(sandbox: Sandbox) -> Iterator[Dataverse]:
    """The connector to Dynamics, with small pages."""
    made = connector(sandbox)
    yield made
    made.close()


@pytest.fixture
def notices() -> list[Notice]:
    """What the workflow told its hook."""
    return []


@pytest.fixture
def integration(sandbox: Sandbox, notices: list[Notice]) -> Iterator[Integration]:
    """Joined, started, nothing read yet."""
    joined = join(sandbox, MemoryStorage(), hooks=[notices.append])
    joined.ingress.start()
    yield joined
    assert joined.storage.audit(joined.ingress.id) == []
    joined.close()
