"""The quickstart says that both systems are in step, and would not say so if they were not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.py"


def run(*options: str) -> tuple[int, str]:
    finished = subprocess.run(
        [sys.executable, str(QUICKSTART), "--contacts", "600", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.stderr == ""
    return finished.returncode, finished.stdout


@pytest.mark.slow
def test_the_quickstart_ends_in_step_and_shows_the_way_there() -> None:
    """All three workflows: edits, held deletions, a dead letter, a lost column, events, opt-outs, what is the same."""
    status, said = run()

    assert status == 0
    assert "In step: 700 contacts are the same on both sides, 0 differ, 0 are missing" in said
    assert "In step: 320 vehicles are the same on both sides, 0 differ, 0 are missing" in said
    assert "In step: 700 people's opt-outs are the same on both sides, 0 differ, 0 are missing" in said
    assert re.search(r"In step: [\d,]+ people's events of a kind are the same on both sides, 0 differ", said)
    for shown in (
        "✓ profile: key externalId",
        "Edit, Stop [!]",
        "a replay of",
        "does not pass the filters",
        "80 deletions of new_vehicle wait for a confirmation",
        "new_vehicle.new_registeredon is gone",
        "✓ send: regarding a contact",
        "written to Dynamics",
        "RST-360011",
        "0 dead letters are left",
    ):
        assert shown in said


@pytest.mark.slow
def test_a_planted_difference_is_found() -> None:
    """The comparison can fail: one profile changed behind Syncline's back is one that differs, and the status is 1."""
    status, said = run("--plant-difference")

    assert status == 1
    assert "NOT in step: 699 contacts are the same on both sides, 1 differ" in said
