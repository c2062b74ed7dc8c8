"""A host can be killed at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.kill_campaign import campaign

pytestmark = pytest.mark.once


@pytest.mark.kills
@pytest.mark.slow
def test_a_host_killed_at_random_moments_loses_and_doubles_nothing(tmp_path: Path, kill_seconds: float) -> None:
    """Every record ends in step, no innocent one is set aside, no profile exists twice, and every count is exact."""
    report = campaign(tmp_path, contacts=1_000, kills=20)

    assert report.problems == ()
    assert report.kills >= 20

    if kill_seconds > report.seconds:
        longer = campaign(tmp_path / "longer", contacts=5_000, seconds=kill_seconds - report.seconds, seed=2)
        assert longer.problems == ()
