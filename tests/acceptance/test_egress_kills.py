"""Exports may be delivered twice, and the host may be killed at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.kill_egress import campaign

pytestmark = pytest.mark.once


@pytest.mark.kills
@pytest.mark.slow
def test_events_delivered_twice_to_a_host_that_is_killed_appear_once(tmp_path: Path, kill_seconds: float) -> None:
    """Shuffled, overlapping, packed files, and kills at random moments: nothing lost, nothing twice."""
    report = campaign(tmp_path, events=3_000, kills=6)
    assert report.problems == ()
    assert report.kills == 6

    if kill_seconds > 60:
        longer = campaign(tmp_path / "longer", events=100_000, kills=30, seed=2)
        assert longer.problems == ()
