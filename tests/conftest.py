"""What every test gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from tests.canary import Canary

if TYPE_CHECKING:
    from tests.postgres_room import Server

    from syncline.sandbox import Sandbox

# Two profiles: the default finishes quickly on a busy machine; `--hypothesis-profile=thorough` is for a night.
settings.register_profile("quick", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")


def pytest_configure(config: pytest.Config) -> None:
    """Something listens to everything that is said meanwhile."""
    config.pluginmanager.register(Canary(), "canary")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long to go on killing processes; a plain test run only proves that the campaign works."""
    parser.addoption("--kill-seconds", type=float, default=10.0, help="seconds for each test marked `kills`")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL of the tests' own, or the one that SYNCLINE_TEST_POSTGRES names. Started by whoever asks first."""
    from tests.postgres_room import running_server

    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def servers() -> Iterator[Sandbox]:
    """Both systems, started once for a module."""
    from syncline.sandbox import Sandbox

    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(servers: Sandbox) -> Sandbox:
    """Both systems as on their first day. A module that wants them otherwise has a fixture of its own of this name."""
    from tests.sandbox_room import fresh

    fresh(servers.dynamics, servers.campaign)
    return servers


@pytest.fixture
def kill_seconds(request: pytest.FixtureRequest) -> float:
    """For how many seconds a test marked `kills` goes on."""
    return float(request.config.getoption("--kill-seconds"))
