"""The rule of opt-outs, over every combination of what can be seen, remembered and configured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from syncline.consent import (
    Call,
    Case,
    Reason,
    Side,
    Sighting,
    Standing,
    Terms,
    Writes,
    calls_of,
    consider,
    standing_after,
    standing_before,
    still_as_seen,
)
from syncline.definitions import OptOutDirection, OptOutRule

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BOTH = OptOutDirection.BIDIRECTIONAL
TO_CAMPAIGN = OptOutDirection.DYNAMICS_TO_CAMPAIGN
TO_DYNAMICS = OptOutDirection.CAMPAIGN_TO_DYNAMICS


def dynamics(out: bool | None, after: float = 0, **more: object) -> Sighting:
    changed = NOON + timedelta(seconds=after)
    return Sighting(out=out, changed_at=changed, mark=f"W/{after}", born="b", **more)  # type: ignore[arg-type]


def campaign(out: bool | None, after: float | None = None, **more: object) -> Sighting:
    changed = None if after is None else NOON + timedelta(seconds=after)
    return Sighting(out=out, changed_at=changed, **more)  # type: ignore[arg-type]


#: Both sides were seen opted out, Campaign since noon.
AGREED = Standing(
    out=True, dynamics_out=True, dynamics_mark="W/0", campaign_at=NOON, agreed=True, ripe=True, dynamics_born="b"
)

whether = st.sampled_from([True, False, None])
moments = st.one_of(st.none(), st.integers(-20, 20).map(lambda seconds: NOON + timedelta(seconds=seconds)))
sightings = st.builds(
    Sighting,
    out=whether,
    changed_at=moments,
    precision=st.sampled_from([timedelta(0), SECOND]),
    seen_at=moments,
    mark=st.sampled_from(["1", "2"]),
    replaced=st.sampled_from(["", "1"]),
    born=st.sampled_from(["b", "c"]),
)
absent = st.just(Sighting(exists=False))
standings = st.builds(
    Standing,
    out=whether,
    dynamics_out=st.booleans(),
    dynamics_mark=st.sampled_from(["", "1", "2"]),
    campaign_at=moments,
    agreed=st.booleans(),
    ripe=st.booleans(),
    copied=st.booleans(),
    lent=st.booleans(),
    lent_at=moments,
    dynamics_born=st.sampled_from(["b", "c"]),
    owed=st.frozensets(st.sampled_from(Side)),
    owed_at=moments,
    inherited=st.booleans(),
)
aparts = st.one_of(st.none(), st.integers(-9, 9).map(lambda seconds: timedelta(seconds=seconds)))
cases = st.builds(
    Case,
    dynamics=st.one_of(sightings, absent),
    campaign=st.one_of(sightings, absent),
    standing=standings,
    apart=aparts,
)
terms = st.builds(
    Terms,
    direction=st.sampled_from([BOTH, TO_CAMPAIGN, TO_DYNAMICS]),
    rule=st.sampled_from(OptOutRule),
    margin=st.sampled_from([timedelta(0), 5 * SECOND]),
)


@given(terms=terms, case=cases)
def test_nothing_but_a_change_opts_anybody_in(terms: Terms, case: Case) -> None:
    """C3: an opt-in is written only over an opt-out, and only for a side that says opted in itself."""
    verdict = consider(terms, case)
    if verdict.to_dynamics is False:
        assert case.campaign.out is False
        assert case.campaign.changed_at is not None
        assert case.dynamics.out is True
    if verdict.to_campaign is False:
        assert case.dynamics.out is False
        assert case.standing.dynamics_out
        assert case.campaign.out is True


@given(terms=terms, case=cases)
def test_an_opt_out_is_never_overruled_by_silence(terms: Terms, case: Case) -> None:
    """A side without a word, and no time in Campaign, leave an opt-out standing."""
    verdict = consider(terms, case)
    silent = None in (case.dynamics.out, case.campaign.out) or case.standing.inherited
    if silent and True in (case.dynamics.out, case.campaign.out, case.standing.inherited):
        assert verdict.out is True


@given(terms=terms, case=cases)
def test_a_verdict_writes_only_what_differs_and_where_it_may(terms: Terms, case: Case) -> None:
    """No write repeats what is there, goes to a missing record, or against the direction, but to restore an opt-out."""
    verdict = consider(terms, case)
    for told, side in ((verdict.to_dynamics, case.dynamics), (verdict.to_campaign, case.campaign)):
        assert told is None or (told is not side.out and side.exists and told is verdict.out)
    if verdict.to_dynamics is not None:
        assert terms.direction.writes_dynamics
    if verdict.to_campaign is not None and not terms.direction.writes_campaign:
        assert verdict.to_campaign is True
        assert case.campaign.changed_at is None or case.campaign.out is None
        assert case.standing.out
    assert not verdict.held or (verdict.to_dynamics is None and verdict.to_campaign is None)


@given(terms=terms, case=cases)
def test_after_its_own_writes_nothing_is_left_to_write(terms: Terms, case: Case) -> None:
    """O7: at most one write per side. Whatever was written reads back as agreement, or as a decision that stands."""
    verdict = consider(terms, case)
    told, heard = case.dynamics, case.campaign
    if verdict.to_dynamics is not None:
        told = evolve(told, out=verdict.to_dynamics, changed_at=NOON + 30 * SECOND, mark="3", replaced=told.mark)
    if verdict.to_campaign is not None:
        heard = evolve(heard, out=verdict.to_campaign, changed_at=NOON + 31 * SECOND)
    remembered = standing_before(case, verdict)
    again = Case(dynamics=told, campaign=heard, standing=remembered, apart=case.apart)
    second = consider(terms, again)
    assert second.to_dynamics is None or verdict.to_dynamics is None
    assert second.to_campaign is None or verdict.to_campaign is None


@given(terms=terms, case=cases)
def test_what_is_owed_is_forgotten_only_when_it_is_done(terms: Terms, case: Case) -> None:
    """An opt-out that was read is kept while it is held or has nowhere to go."""
    verdict = consider(terms, case)
    after = standing_after(case, verdict)
    if verdict.held or (verdict.out and not case.campaign.exists):
        assert after.owed == case.standing.owed
    assert after.waiting is (bool(after.out) and not case.campaign.exists)


@pytest.mark.parametrize("rule", list(OptOutRule))
@pytest.mark.parametrize(
    ("later", "wins"), [(-1, True), (0, True), (5, True), (5.999, True), (6, True), (6.001, False)]
)
def test_an_opt_in_in_campaign_must_be_newer_by_more_than_the_margin(
    rule: OptOutRule, later: float, wins: bool
) -> None:
    """O3: ties and everything within the margin are opted out; a record time in whole seconds leaves a second more."""
    case = Case(dynamics=dynamics(True, 0, precision=SECOND), campaign=campaign(False, later))
    verdict = consider(Terms(rule=rule), case)
    assert verdict.out is wins
    assert (verdict.to_dynamics, verdict.to_campaign) == ((None, True) if wins else (False, None))


@pytest.mark.parametrize("later", [-100, 0, 100])
def test_an_opt_in_in_dynamics_never_beats_campaign_under_the_documented_rule(later: float) -> None:
    """O3: Dynamics newer or equal: opted out wins if either side is."""
    for standing in (Standing(), AGREED):
        verdict = consider(
            Terms(), Case(dynamics=dynamics(False, later), campaign=campaign(True, 0), standing=standing)
        )
        assert verdict.out is True
        assert verdict.to_dynamics is True


def test_base3_hyb_honours_an_opt_in_in_dynamics_that_followed() -> None:
    """Both were opted out, Campaign did not change since, and now Dynamics opts in: so be it, on both sides."""
    case = Case(dynamics=dynamics(False, 1), campaign=campaign(True, 0), standing=AGREED)
    verdict = consider(Terms(rule=OptOutRule.BASE3_HYB), case)
    assert verdict.reason is Reason.DYNAMICS_AGAIN
    assert verdict.to_campaign is False


@pytest.mark.parametrize(
    "standing",
    [Standing(), evolve(AGREED, ripe=False), evolve(AGREED, agreed=False), evolve(AGREED, dynamics_born="other"),
     evolve(AGREED, campaign_at=NOON - SECOND), evolve(AGREED, dynamics_out=False)],
)  # fmt: skip
def test_base3_hyb_wants_proof(standing: Standing) -> None:
    """Without an agreement seen before, with another contact under the key, or a Campaign that changed: opted out."""
    case = Case(dynamics=dynamics(False, 1), campaign=campaign(True, 0), standing=standing)
    assert consider(Terms(rule=OptOutRule.BASE3_HYB), case).out is True


def test_base3_hyb_sees_through_its_own_copy() -> None:
    """Dynamics has Campaign's opt-out from us; our write is no news, so that Campaign can take it back at once."""
    standing = evolve(AGREED, copied=True, dynamics_mark="W/9")
    case = Case(dynamics=dynamics(True, 9), campaign=campaign(False, 3), standing=standing)
    assert consider(Terms(), case).out is True
    assert consider(Terms(rule=OptOutRule.BASE3_HYB), case).reason is Reason.CAMPAIGN_AGAIN
    touched = evolve(case, dynamics=dynamics(True, 10))
    assert consider(Terms(rule=OptOutRule.BASE3_HYB), touched).out is True


def test_an_opt_in_is_held_while_the_clocks_are_apart() -> None:
    """O4: beyond the margin clocks prove nothing; opt-outs pass all the same."""
    case = Case(dynamics=dynamics(True, 0), campaign=campaign(False, 60), apart=6 * SECOND)
    verdict = consider(Terms(), case)
    assert verdict.held
    assert verdict.out is None
    assert verdict.to_dynamics is None
    assert verdict.to_campaign is None
    assert consider(Terms(), evolve(case, apart=5 * SECOND)).out is False
    assert consider(Terms(), evolve(case, campaign=campaign(True, 60), dynamics=dynamics(False, 0))).to_dynamics is True


def test_an_opt_in_of_the_future_proves_nothing() -> None:
    """A clock that was ahead and was put right leaves times that are still to come: opted out wins."""
    case = Case(dynamics=dynamics(True, 60), campaign=campaign(False, 3600))
    assert consider(Terms(), evolve(case, campaign=evolve(case.campaign, seen_at=NOON + 3600 * SECOND))).out is False
    assert consider(Terms(), evolve(case, campaign=evolve(case.campaign, seen_at=NOON + 120 * SECOND))).out is True


def test_a_channel_without_a_time_passes_opt_outs_only() -> None:
    """Push notification has no change time: Campaign's opt-out counts, its opt-in does not."""
    assert consider(Terms(), Case(dynamics=dynamics(False), campaign=campaign(True))).to_dynamics is True
    assert consider(Terms(), Case(dynamics=dynamics(True), campaign=campaign(False))).to_campaign is True


def test_dynamics_as_the_only_source_opts_in_by_a_seen_change_only() -> None:
    """Decision 14: a first load, replay or resync shows no change, and opts nobody in."""
    terms = Terms(direction=TO_CAMPAIGN)
    first = Case(dynamics=dynamics(False, 100), campaign=campaign(True, 0))
    assert consider(terms, first).to_campaign is None
    assert consider(terms, evolve(first, standing=AGREED)).to_campaign is False
    again = evolve(first, standing=evolve(AGREED, dynamics_born="earlier"))
    assert consider(terms, again).to_campaign is None, "the contact was created again: nobody took anything back"
    own = evolve(first, standing=evolve(AGREED, campaign_at=NOON - SECOND))
    assert consider(terms, own).to_campaign is None, "Campaign has an opt-out of its own since"


def test_campaign_as_the_only_source_never_gets_anything_but_its_own_opt_out_back() -> None:
    """A profile that was created again had no change yet: it gets back what the one before it had."""
    terms = Terms(direction=TO_DYNAMICS)
    assert consider(terms, Case(dynamics=dynamics(True), campaign=campaign(False))).to_campaign is None
    again = Case(dynamics=dynamics(True), campaign=campaign(False), standing=AGREED)
    assert consider(terms, again).to_campaign is True
    assert consider(terms, evolve(again, campaign=campaign(False, 60))).to_dynamics is False


def test_an_opt_out_read_once_outlives_its_record() -> None:
    """Opted out in Campaign, deleted and created again before anything was decided: still opted out."""
    owed = Standing(owed=frozenset({Side.CAMPAIGN}), owed_at=NOON)
    case = Case(dynamics=dynamics(False, 9), campaign=campaign(False), standing=owed)
    verdict = consider(Terms(), case)
    assert (verdict.out, verdict.to_dynamics, verdict.to_campaign) == (True, True, True)
    taken_back = evolve(case, campaign=campaign(False, 1))
    assert consider(Terms(), taken_back).reason is Reason.AGREED
    gone = evolve(case, dynamics=Sighting(exists=False), standing=Standing(owed=frozenset({Side.DYNAMICS})))
    assert consider(Terms(), gone).to_campaign is True


def test_a_merged_contact_or_a_suppression_counts() -> None:
    """The survivor is out if either was, whatever the times say."""
    for one, other in product((True, False, None), repeat=2):
        case = Case(dynamics=dynamics(one), campaign=campaign(other, 99), standing=Standing(inherited=True))
        assert consider(Terms(), case).out is True


def test_a_round_reads_campaign_before_dynamics_and_compares_before_it_writes() -> None:
    """The order that the model check relies on."""
    assert calls_of(None) == (Call.READ_CAMPAIGN, Call.READ_DYNAMICS)
    assert calls_of(Writes(dynamics={"donotemail": True})) == (Call.WRITE_DYNAMICS, *calls_of(None))
    both = Writes(dynamics={"donotemail": True}, campaign={"blackListFax": True})
    assert calls_of(both) == (Call.WRITE_DYNAMICS, Call.COMPARE_CAMPAIGN, Call.WRITE_CAMPAIGN, *calls_of(None))


def test_campaign_is_written_only_as_it_was_seen() -> None:
    """What changed in the written fields, or went away, is decided on anew; other fields do not matter."""
    seen = {"blackListEmail": campaign(True, 0), "blackListFax": campaign(False)}
    writes = Writes(campaign={"blackListEmail": False}, seen=seen)
    assert still_as_seen(writes, seen)
    assert still_as_seen(writes, {**seen, "blackListFax": campaign(True, 3)})
    assert not still_as_seen(writes, {**seen, "blackListEmail": campaign(True, 1)})
    assert not still_as_seen(writes, {**seen, "blackListEmail": campaign(False, 0)})
    assert not still_as_seen(writes, {})
