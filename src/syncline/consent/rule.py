"""Who wins.

What lives here: one function from what was seen and remembered to a verdict. Pure. In its own words:

- Both sides say the same: so be it. A side without a word (null, missing, no such record) never opts anybody in.
- They differ, one opted out and one opted in: **opted out wins unless the opt-in is known to be newer.** What counts
  as known depends on the direction and the rule:

  - *Campaign's opt-in*, where Campaign is a source: its attribute was changed later than Dynamics' record, by more
    than the margin (DOCUMENTED). BASE3_HYB and the direction Campaign to Dynamics also take it when Dynamics' opt-out
    is our own untouched copy of Campaign's and Campaign's attribute was changed after that one.
  - *Dynamics' opt-in*: never under DOCUMENTED. BASE3_HYB takes it when both sides were seen opted out, Dynamics after
    Campaign, and Campaign's attribute was not changed since. In the direction Dynamics to Campaign it is taken when
    Dynamics was seen opted out before and Campaign's opt-out is the one seen then.

- An opt-in that rests on comparing two clocks is held while they are further apart than the margin.
- A record that was created again has taken nothing back, and gets the opt-out that was known of it.
"""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from syncline.consent.values import Case, Reason, Side, Sighting, Standing, Verdict
from syncline.definitions import OptOutDirection, OptOutRule

__all__ = ["Terms", "consider", "standing_after", "standing_before"]


@frozen(kw_only=True)
class Terms:
    """What was configured."""

    direction: OptOutDirection = OptOutDirection.BIDIRECTIONAL
    rule: OptOutRule = OptOutRule.DOCUMENTED
    margin: timedelta = timedelta(seconds=5)


def consider(terms: Terms, case: Case) -> Verdict:
    """The verdict on one channel of one person.

    It never names a write to a side that the direction forbids, but for one: an opt-out that Campaign itself had goes
    back to a profile that was created again.
    """
    dynamics, campaign = _with_what_is_owed(case)
    if case.standing.inherited:
        return _out(terms, case, Reason.CARRIED_OVER)
    if dynamics.out is None or campaign.out is None:
        if dynamics.out or campaign.out:
            return _out(terms, case, Reason.OUT_WINS)
        return Verdict(out=None, reason=Reason.NO_WORD)
    if dynamics.out is campaign.out:
        recalled = dynamics.out and not (case.dynamics.out and case.campaign.out)
        return _out(terms, case, Reason.RESTORED) if recalled else Verdict(out=dynamics.out, reason=Reason.AGREED)
    if dynamics.out:
        return _campaign_in(terms, case, dynamics, campaign)
    if _is_taken_back_in_dynamics(terms, case.standing, dynamics, campaign):
        return _in(terms, case, Reason.DYNAMICS_AGAIN)
    return _out(terms, case, Reason.OUT_WINS)


def _with_what_is_owed(case: Case) -> tuple[Sighting, Sighting]:
    """Both sides, with opt-outs that were read once and not decided on, unless their own side took them back."""
    dynamics, campaign, standing = case.dynamics, case.campaign, case.standing
    if Side.DYNAMICS in standing.owed and not dynamics.out and not _same_contact(standing, dynamics):
        dynamics = evolve(dynamics, out=True)
    elif _took_nothing_back(standing, dynamics):
        dynamics = evolve(dynamics, out=True, changed_at=standing.dynamics_at, precision=timedelta(0))
    if Side.CAMPAIGN in standing.owed and not campaign.out and not _taken_back(standing, campaign):
        campaign = evolve(campaign, out=True, changed_at=standing.owed_at)
    elif _is_another_profile(standing, campaign):
        campaign = evolve(campaign, out=True, changed_at=standing.campaign_at)
    return dynamics, campaign


def _took_nothing_back(standing: Standing, dynamics: Sighting) -> bool:
    """Dynamics was opted out, and what is there now is no opt-in: no value, or a contact created again under the id."""
    another = bool(standing.dynamics_born) and dynamics.born != standing.dynamics_born
    silent = dynamics.exists and not dynamics.out and (another or dynamics.out is None)
    return silent and standing.dynamics_out and standing.out is True


def _is_another_profile(standing: Standing, campaign: Sighting) -> bool:
    """A profile without a value, or whose attribute never changed, is not the one that was opted out.

    An attribute without a time never shows a change: there, when the profile was created tells.
    """
    silent = campaign.exists and not campaign.out and (campaign.changed_at is None or campaign.out is None)
    another = bool(standing.campaign_born) and campaign.born not in ("", standing.campaign_born)
    return silent and standing.out is True and (another or standing.campaign_at is not None)


def _same_contact(standing: Standing, dynamics: Sighting) -> bool:
    return dynamics.exists and dynamics.out is not None and dynamics.born == standing.dynamics_born


def _taken_back(standing: Standing, campaign: Sighting) -> bool:
    if campaign.out is None or campaign.changed_at is None:
        return False
    return standing.owed_at is None or campaign.changed_at > standing.owed_at


def _out(terms: Terms, case: Case, reason: Reason) -> Verdict:
    dynamics, campaign = case.dynamics, case.campaign
    to_dynamics = True if terms.direction.writes_dynamics and dynamics.exists and not dynamics.out else None
    tell_campaign = terms.direction.writes_campaign or _is_another_profile(case.standing, campaign)
    to_campaign = True if tell_campaign and campaign.exists and not campaign.out else None
    return Verdict(out=True, reason=reason, to_dynamics=to_dynamics, to_campaign=to_campaign)


def _in(terms: Terms, case: Case, reason: Reason) -> Verdict:
    to_dynamics = False if terms.direction.writes_dynamics and case.dynamics.out else None
    to_campaign = False if terms.direction.writes_campaign and case.campaign.out else None
    return Verdict(out=False, reason=reason, to_dynamics=to_dynamics, to_campaign=to_campaign)


def _campaign_in(terms: Terms, case: Case, dynamics: Sighting, campaign: Sighting) -> Verdict:
    """Dynamics is opted out, Campaign is not."""
    standing = case.standing
    ours = standing.lent and standing.lent_at in (None, campaign.changed_at)
    if not terms.direction.writes_dynamics or campaign.changed_at is None or ours:
        return _out(terms, case, Reason.OUT_WINS)
    if _is_campaigns_own(terms, standing, dynamics, campaign):
        return _in(terms, case, Reason.CAMPAIGN_AGAIN)
    if dynamics.latest is None or campaign.changed_at <= dynamics.latest + terms.margin:
        return _out(terms, case, Reason.OUT_WINS)
    if case.apart is not None and abs(case.apart) > terms.margin:
        return Verdict(out=None, reason=Reason.HELD, held=True)
    if campaign.seen_at is not None and campaign.changed_at > campaign.seen_at + terms.margin:
        # A time that is still to come was given by a clock that was wrong: it proves nothing.
        return _out(terms, case, Reason.OUT_WINS)
    return _in(terms, case, Reason.CAMPAIGN_NEWER)


def _is_campaigns_own(terms: Terms, standing: Standing, dynamics: Sighting, campaign: Sighting) -> bool:
    """Whether Dynamics' opt-out is nothing but Campaign's earlier one."""
    if terms.rule is OptOutRule.DOCUMENTED and terms.direction is OptOutDirection.BIDIRECTIONAL:
        return False
    if not standing.copied or dynamics.mark != standing.dynamics_mark or standing.campaign_at is None:
        return False
    return campaign.changed_at is not None and campaign.changed_at > standing.campaign_at


def _is_taken_back_in_dynamics(terms: Terms, standing: Standing, dynamics: Sighting, campaign: Sighting) -> bool:
    """Dynamics is opted in, Campaign is not: whether Dynamics' opt-in followed Campaign's opt-out."""
    if not terms.direction.writes_campaign or dynamics.born != standing.dynamics_born:
        return False
    if not standing.dynamics_out or campaign.changed_at != standing.campaign_at:
        return False
    if terms.direction is OptOutDirection.DYNAMICS_TO_CAMPAIGN:
        return True
    return terms.rule is OptOutRule.BASE3_HYB and standing.agreed and standing.ripe


def standing_before(case: Case, verdict: Verdict) -> Standing:
    """What to remember before the writes of a verdict: which side is about to get a copy, of what, over what.

    Of a contact that says nothing any more, what it said is remembered until the writes are done.
    """
    if verdict.to_campaign is False:
        return evolve(case.standing, lent=True, lent_at=None)
    if not verdict.to_dynamics:
        return case.standing
    return evolve(
        case.standing,
        dynamics_out=_took_nothing_back(case.standing, case.dynamics),
        dynamics_mark=case.dynamics.mark,
        campaign_at=_with_what_is_owed(case)[1].changed_at,
        agreed=False,
        ripe=False,
        copied=case.dynamics.out is False and bool(case.campaign.out),
    )


def standing_after(case: Case, verdict: Verdict) -> Standing:
    """What to remember once nothing is left to write. `case` is the sighting the verdict came from."""
    dynamics, campaign, before = case.dynamics, case.campaign, case.standing
    agreed = dynamics.out is not None and dynamics.out is campaign.out
    out = before.out if verdict.out is None else verdict.out
    undelivered = bool(out) and not campaign.exists
    return Standing(
        out=out,
        dynamics_out=bool(dynamics.out) if dynamics.out is not None else before.dynamics_out,
        dynamics_at=dynamics.latest if dynamics.out else before.dynamics_at,
        dynamics_mark=dynamics.mark if agreed else "",
        campaign_at=campaign.changed_at if campaign.out is not None else before.campaign_at,
        agreed=agreed,
        ripe=agreed and campaign.ripe,
        copied=agreed and bool(out) and _is_still_a_copy(before, dynamics),
        lent=before.lent and campaign.out is False,
        lent_at=(before.lent_at or campaign.changed_at) if before.lent and campaign.out is False else None,
        dynamics_born=dynamics.born or before.dynamics_born,
        campaign_born=campaign.born or before.campaign_born,
        # While a decision is held, or a record is missing, what was read must not be forgotten.
        owed=before.owed if verdict.held or undelivered else frozenset(),
        owed_at=before.owed_at if verdict.held or undelivered else None,
        waiting=undelivered,
        inherited=before.inherited and undelivered,
        recorded=before.recorded,
        carried_to=before.carried_to,
        column=before.column,
    )


def _is_still_a_copy(before: Standing, dynamics: Sighting) -> bool:
    return before.copied and before.dynamics_mark in (dynamics.mark, dynamics.replaced)
