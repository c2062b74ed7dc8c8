"""Several workers drain one workflow, whatever happens to them and to their server.

`python -m tests.acceptance.worker_drills` does so as often as asked.
"""

from __future__ import annotations

import sys

import pytest
from tests.acceptance.contact_drills import ingress
from tests.acceptance.crew import Drill
from tests.acceptance.drill_room import Trouble
from tests.acceptance.event_drills import egress
from tests.acceptance.forest_drills import linked
from tests.acceptance.opt_out_drills import opt_outs
from tests.postgres_room import Server

DRILLS = 5
pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="processes are paused by SIGSTOP"),
]


def test_four_workers_bring_contacts_to_campaign(postgres: Server) -> None:
    """Killed, paused beyond their lease, cut off and left without a server: nothing lost, doubled or set aside."""
    report = ingress(postgres, records=20_000, trouble=Trouble(drills=DRILLS))

    assert report.problems == ()
    assert set(report.drills.values()) == {DRILLS}
    assert report.taken_over > 0


def test_four_workers_bring_events_to_dynamics(postgres: Server) -> None:
    """Each event is there once, whatever a paused worker still sends late: rows are only ever created."""
    report = egress(postgres, records=1_000, trouble=Trouble(drills=1))

    assert report.problems == ()
    assert set(report.drills.values()) == {1}


def test_two_workers_bring_linked_tables_to_campaign(postgres: Server) -> None:
    """Killed and cut off in the middle: every record is there, and points to where it pointed in Dynamics."""
    report = linked(postgres, records=300, trouble=Trouble(drills=1, kinds=(Drill.KILL, Drill.TERMINATE), workers=2))

    assert report.problems == ()
    assert set(report.drills.values()) == {1}


def test_opt_outs_outlive_whoever_looks_after_them(postgres: Server) -> None:
    """Killed twice, and whoever stands by goes on: everybody who opted out is out on both sides, and nobody else."""
    report = opt_outs(postgres, records=60, trouble=Trouble(drills=2, kinds=(Drill.KILL,), workers=2))

    assert report.problems == ()
    assert report.drills == {Drill.KILL: 2}
