"""Opt-outs, while the clock of this computer is set."""

from __future__ import annotations

from contextlib import closing

from tests.connector_room import CampaignStandardSubject
from tests.consent_room import ANN, EMAIL

from syncline import OptOutDefinition, OptOutDirection
from syncline.sandbox import Sandbox
from syncline.testing.connector_checks.running import running_opt_outs
from syncline.testing.memory_dynamics import MemoryDynamics


def test_a_clock_of_ours_that_is_set_right_loses_no_opt_out() -> None:
    """O3: from when on Campaign is asked for changes is counted by its own clock, whatever ours was a moment ago."""
    with Sandbox() as sandbox, closing(CampaignStandardSubject(sandbox)) as subject:
        source = MemoryDynamics(opt_outs=[EMAIL.dynamics], clock=subject.clock)
        source.put(ANN)
        subject.put(ANN, {"lastName": "Ann"})
        definition = OptOutDefinition(direction=OptOutDirection.CAMPAIGN_TO_DYNAMICS, pairs=[EMAIL])
        with running_opt_outs(source, subject.connector, definition, subject.clock) as run:
            for wrong in (-3600, 0):
                subject.clock.wrong = wrong
                subject.clock.jump(60)
                run.cycle()
            sandbox.campaign.update("profile", ANN, blackListEmail=True)
            subject.clock.jump(60)
            run.cycle()
        assert source.rows[ANN][EMAIL.dynamics] is True
