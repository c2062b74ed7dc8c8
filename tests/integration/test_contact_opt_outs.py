"""Opt-outs that travel with contacts (O1), as a host uses them, against both systems of the sandbox."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.consent_room import ANN, BOB, CONTACTS, EMAIL, PHONE, SETTINGS, add_the_opposite, synced, with_ann_and_bob
from tests.ingress_room import campaign, dataverse

from syncline import (
    Filter,
    IngressDefinition,
    Integration,
    MemoryStorage,
    OptOutDefinition,
    OptOutDirection,
    WorkflowState,
)
from syncline.backlog import Lane
from syncline.consent import Reason, Side
from syncline.definitions import Comparison, OptOutPair
from syncline.sandbox import Sandbox
from syncline.workflows.base import CycleReport

MAPPING = attrs.evolve(CONTACTS, opt_outs=[EMAIL, PHONE])


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With Ann and Bob in Dynamics."""
    return with_ann_and_bob(sandbox)


class Room:
    """An integration whose contacts bring their opt-outs."""

    def __init__(self, sandbox: Sandbox, **mapping: Any) -> None:
        self.sandbox = sandbox
        self.definition = IngressDefinition(mappings=[attrs.evolve(MAPPING, **mapping)])
        self.integration = Integration(
            dynamics=dataverse(sandbox),
            campaign=campaign(sandbox),
            storage=MemoryStorage(),
            ingress=self.definition,
            opt_out=OptOutDefinition(direction=OptOutDirection.BIDIRECTIONAL, pairs=[EMAIL]),
            settings=SETTINGS,
        )
        self.ingress = self.integration.ingress

    def sync(self, *, cycles: int = 3, seconds: float = 10) -> CycleReport:
        return synced(self.ingress, cycles=cycles, seconds=seconds)

    def restart(self) -> None:
        self.ingress.stop()
        self.sync()

    def campaign_says(self, person: str = ANN) -> tuple[Any, Any]:
        """Email and phone."""
        profile = self.sandbox.campaign.get("profile", person)
        assert profile is not None
        return profile["blackListEmail"], profile["blackListPhone"]


def test_opt_outs_travel_with_contacts_and_are_explained(sandbox: Sandbox) -> None:
    """O1, O5: an opt-out, and an opt-in after it, reach Campaign; `why` knows what decided."""
    room = Room(sandbox)
    room.sync()
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.sync()
    assert (room.campaign_says(), room.campaign_says(BOB)) == ((True, False), (False, False))
    (decision,) = room.integration.opt_out.why(ANN)
    assert (decision.out, decision.reason, decision.writes) == (True, Reason.OUT_WINS, (Side.CAMPAIGN,))
    assert decision.workflow == room.ingress.id
    sandbox.dynamics.update("contact", ANN, donotbulkemail=False)
    room.sync()
    assert room.campaign_says() == (False, False)
    assert room.ingress.backlog.size == 0


def test_profiles_are_created_opted_out(sandbox: Sandbox) -> None:
    """O4: who is opted out from the beginning is never reachable in Campaign, and the decision is on record."""
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    sandbox.campaign.keep_requests(1_000)
    sandbox.campaign.clear_requests()
    room = Room(sandbox)
    room.sync()
    created = [one for one in sandbox.campaign.requests()["kept"] if one["method"] == "POST"]
    sandbox.campaign.keep_requests(0)
    assert ["blackListEmail" in str(one["body"]) for one in created if ANN in str(one["body"])] == [True]
    assert not [one for one in created if BOB in str(one["body"]) and "blackList" in str(one["body"])]
    assert room.campaign_says() == (True, False)
    assert room.integration.opt_out.why(ANN).opted_out == {"blackListEmail"}
    assert room.integration.opt_out.consent.waiting == 0


def test_no_full_read_opts_anybody_in(sandbox: Sandbox) -> None:
    """O1, C3: first load over profiles that are opted out, replay and resync leave Campaign's own opt-outs alone."""
    profiles = [{"externalId": one, "lastName": "x", "blackListEmail": True} for one in (ANN, BOB)]
    sandbox.campaign.load("profile", profiles)
    sandbox.dynamics.update("contact", BOB, donotphone=None)
    room = Room(sandbox)
    room.sync()
    room.ingress.replay("contact")
    room.restart()
    sandbox.dynamics.expire_tokens()
    room.sync()
    assert (room.campaign_says(), room.campaign_says(BOB)) == ((True, False), (True, False))


def test_a_filter_keeps_no_opt_out_back(sandbox: Sandbox) -> None:
    """O4: a contact that the filters leave out may have a profile, and its opt-out reaches it."""
    room = Room(sandbox)
    room.sync()
    nobody = Filter(field="lastname", comparison=Comparison.EQUALS, value="nobody")
    room.ingress.edit(IngressDefinition(mappings=[attrs.evolve(MAPPING, filters=[nobody])]))
    room.restart()
    sandbox.dynamics.update("contact", ANN, donotphone=True)
    room.sync()
    assert room.campaign_says() == (False, True)


def test_opt_outs_go_first(sandbox: Sandbox) -> None:
    """O6: they have a lane that is leased before every other; of a first load one is written before any contact."""
    room = Room(sandbox)
    sandbox.campaign.load("profile", [{"externalId": ANN, "lastName": "x"}])
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.ingress.start()
    for _ in range(5):
        room.ingress.run_cycle(records=1)
        if room.ingress.backlog.size < 3:
            break
    assert room.campaign_says() == (True, False)
    groups = room.integration.storage.counts(room.ingress.id).groups
    assert {(group.table, group.lane) for group in groups} == {("contact", Lane.BULK)}
    assert sandbox.campaign.get("profile", BOB) is None


def test_an_opt_out_that_cannot_be_delivered_is_loud(sandbox: Sandbox) -> None:
    """O4: it is shown with ingress, becomes no dead letter and is tried until it is through."""
    room = Room(sandbox)
    room.sync()
    sandbox.campaign.refuse("profile", ANN)
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.sync(cycles=10, seconds=0.05)
    assert "CONSENT AT RISK: 1 opt-outs" in str(room.ingress.view.warnings)
    assert len(room.ingress.dead_letters) == 0
    sandbox.campaign.accept("profile", ANN)
    room.sync()
    assert room.campaign_says() == (True, False)
    assert room.ingress.view.warnings == ()


def test_one_workflow_carries_opt_outs_at_a_time(sandbox: Sandbox) -> None:
    """O1: whichever is started second is refused with what to do; without pairs in the mapping both run."""
    room = Room(sandbox)
    room.sync(cycles=1)
    opt_out = room.integration.opt_out
    opt_out.start()
    assert opt_out.run_cycle().status is WorkflowState.FAILED
    assert opt_out.error is not None
    assert "ingress is started and carries opt-outs" in opt_out.error.message
    room.ingress.stop()
    opt_out.start()
    assert opt_out.run_cycle(seconds=5).status is WorkflowState.RUNNING
    assert "Opt-In/Out is started" in str(room.ingress.check())
    room.ingress.edit(IngressDefinition(mappings=[attrs.evolve(MAPPING, opt_outs=())]))
    assert room.ingress.check().ok


def test_pairs_that_do_not_fit_are_refused_at_the_start(sandbox: Sandbox) -> None:
    """S-33: types and polarity, as for Opt-In/Out."""
    add_the_opposite(sandbox)
    for column, problem in (("nothing", "no field"), ("lastname", "no boolean"), ("new_reachable", "the opposite")):
        room = Room(sandbox, opt_outs=[OptOutPair(dynamics=column, campaign="blackListEmail")])
        assert problem in " ".join(check.detail for check in room.ingress.check().failed)


def test_a_new_pair_is_a_pending_change_and_a_replay_brings_it(sandbox: Sandbox) -> None:
    """W8: opt-outs given before the pair was there travel after the replay that the change asks for."""
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room = Room(sandbox, opt_outs=[PHONE])
    room.sync()
    assert room.campaign_says() == (False, False)
    changes = room.ingress.edit(room.definition)
    assert not changes
    (change,) = room.ingress.edit(IngressDefinition(mappings=[MAPPING]))
    assert "pair donotbulkemail = blackListEmail added" in str(change)
    assert change.replay_tables == ("contact",)
    room.ingress.replay("contact")
    room.restart()
    assert room.campaign_says() == (True, False)


def test_the_survivor_of_a_merge_is_out_and_a_forgotten_person_stays_out(sandbox: Sandbox) -> None:
    """O4, X11: as with Opt-In/Out."""
    room = Room(sandbox)
    sandbox.dynamics.update("contact", BOB, donotbulkemail=True)
    room.sync()
    sandbox.dynamics.merge_contacts(ANN, BOB)
    room.sync()
    assert room.campaign_says() == (True, False)
    erased = room.integration.forget(ANN)
    assert erased.opted_out == {"blackListEmail"}
    sandbox.dynamics.delete("contact", ANN)
    sandbox.campaign.delete("profile", ANN)
    room.sync()
    sandbox.dynamics.load("contact", [{"contactid": ANN, "lastname": "Back", "donotbulkemail": False}])
    room.sync()
    assert room.campaign_says() == (True, False)


def test_a_column_of_a_pair_that_goes_stops_ingress(sandbox: Sandbox) -> None:
    """W10: with a message that names it; nothing is lost."""
    sandbox.dynamics.add_column("contact", "new_no_mail", "Boolean")
    room = Room(sandbox, opt_outs=[OptOutPair(dynamics="new_no_mail", campaign="blackListEmail")])
    room.sync()
    sandbox.dynamics.drop_column("contact", "new_no_mail")
    sandbox.dynamics.update("contact", ANN, lastname="Changed")
    for _ in range(3):
        room.ingress.run_cycle(seconds=5)
    assert room.ingress.error is not None
    assert "new_no_mail" in room.ingress.error.message
