"""Every interleaving of people, both systems and the sync, in a small world: no opt-out is lost."""

from __future__ import annotations

import pytest
from tests.consent_model import Exploration, World

from syncline.definitions import OptOutDirection, OptOutRule

pytestmark = pytest.mark.once


def explored(**world: object) -> Exploration:
    return Exploration(World(**world)).run()  # type: ignore[arg-type]


def test_the_documented_rule_loses_no_opt_out() -> None:
    """Whoever opted out last is out on both sides, in each of more than 200,000 states.

    Four opt-outs and opt-ins in any order, ties, a clock one second ahead, an unrelated edit, the sync dying anywhere.
    """
    found = explored(actions=4, ticks=2, skew=1, margin=1)
    assert not found.lost, "\n".join(found.lost)
    assert found.states >= 200_000
    assert found.opted_in, "a rule that opts everybody out would pass as well"


def test_a_clock_that_is_behind_loses_no_opt_out() -> None:
    """Campaign's clock may as well be behind."""
    found = explored(actions=3, ticks=2, skew=-1, margin=1)
    assert not found.lost, "\n".join(found.lost)


def test_base3_hyb_loses_no_opt_out() -> None:
    """The fairer rule keeps the same promise, as long as nothing comes between Campaign's comparison and the write."""
    found = explored(rule=OptOutRule.BASE3_HYB, actions=3, ticks=2, skew=1, margin=1)
    assert not found.lost, "\n".join(found.lost)
    assert found.states >= 20_000


@pytest.mark.parametrize("rule", list(OptOutRule))
def test_a_profile_that_is_created_again_gets_its_opt_out_back(rule: OptOutRule) -> None:
    """Also while people go on changing their minds."""
    found = explored(rule=rule, actions=3, ticks=1, recreations=1)
    assert not found.lost, "\n".join(found.lost)


def test_base3_hyb_needs_campaign_to_hold_still() -> None:
    """What stays open and is told in the docs: a person who comes between Campaign's comparison and the write."""
    assert explored(rule=OptOutRule.BASE3_HYB, actions=4, ticks=1, undisturbed=False).lost


def test_the_documented_rule_does_not_need_campaign_to_hold_still() -> None:
    """It never writes an opt-in to Campaign, so that nothing can come in between."""
    found = explored(actions=3, ticks=2, undisturbed=False)
    assert not found.lost, "\n".join(found.lost)


def test_without_the_condition_an_opt_out_is_lost() -> None:
    """The check sees something: a Dynamics that ignores If-Match loses an opt-out."""
    assert explored(actions=4, ticks=1, conditional=False).lost


def test_without_the_margin_an_opt_out_is_lost() -> None:
    """The check sees something: with a clock ahead and no margin an opt-out is lost."""
    assert explored(actions=4, ticks=1, skew=1, margin=0).lost


@pytest.mark.parametrize("direction", [OptOutDirection.DYNAMICS_TO_CAMPAIGN, OptOutDirection.CAMPAIGN_TO_DYNAMICS])
def test_one_direction_loses_no_opt_out(direction: OptOutDirection) -> None:
    """The source's last opt-out reaches the other side, and the other side's own opt-outs stay where they are."""
    found = explored(direction=direction, actions=3, ticks=1, margin=1, fine=True)
    assert not found.lost, "\n".join(found.lost)
