"""Opt-In/Out as a host uses it, against both systems of the sandbox."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.consent_room import ANN, BOB, CONTACTS, EMAIL, PHONE, SETTINGS, add_the_opposite, synced, with_ann_and_bob
from tests.ingress_room import campaign, campaign_of, dataverse

from syncline import (
    IngressDefinition,
    Integration,
    MemoryStorage,
    OptOutDefinition,
    OptOutDirection,
    WorkflowState,
)
from syncline.backlog import Lane
from syncline.connectors.base import ChangedPage, DynamicsConnector
from syncline.connectors.campaign import CampaignChanges, CampaignStandard
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.connectors.file_drop import FileDrop
from syncline.consent import Reason, Side
from syncline.definitions import OptOutPair, OptOutRule
from syncline.errors import DefinitionError, SchemaChangedError
from syncline.instrumentation import Notice, OptOutDelayed, ResyncStarted
from syncline.records import Values
from syncline.sandbox import Sandbox
from syncline.schemas import TableSchema
from syncline.storage.sqlite import SQLiteStorage
from syncline.views.preview import PreviewKind
from syncline.workflows.base import CycleReport
from syncline.workflows.cycle import CycleEnd

INGRESS = IngressDefinition(mappings=[CONTACTS])
EVE = "33333333-3333-4333-8333-333333333333"


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With Ann and Bob in Dynamics."""
    return with_ann_and_bob(sandbox)


class Room:
    """An integration and what was told about it."""

    def __init__(self, sandbox: Sandbox, direction: str = "bidirectional", **more: Any) -> None:
        self.sandbox = sandbox
        self.told: list[Notice] = []
        files = more.pop("files", None)
        storage = more.pop("storage", None) or MemoryStorage()
        dynamics = more.pop("dynamics", None) or dataverse(sandbox)
        target = more.pop("campaign", None) or campaign(sandbox)
        definition = OptOutDefinition(direction=OptOutDirection(direction), pairs=[EMAIL, PHONE], **more)
        self.integration = Integration(
            dynamics=dynamics,
            campaign=target,
            storage=storage,
            ingress=INGRESS,
            opt_out=definition,
            opt_out_files=files,
            settings=SETTINGS,
            hooks=[self.told.append],
        )
        self.opt_out = self.integration.opt_out

    def load(self) -> None:
        """Profiles for everybody."""
        if self.integration.ingress.status is WorkflowState.STOPPED:
            self.integration.ingress.start()
        self.integration.ingress.run_cycle(seconds=10)

    def sync(self, *, cycles: int = 2, seconds: float = 10) -> CycleReport:
        return synced(self.opt_out, cycles=cycles, seconds=seconds)

    def flags(self, person: str = ANN) -> tuple[Any, Any, Any, Any]:
        """Email and phone in Dynamics, then in Campaign."""
        rows = {row["contactid"]: row for row in self.sandbox.dynamics.rows("contact")}
        profile = self.sandbox.campaign.get("profile", person) or {}
        contact = rows[person]
        told = contact["donotbulkemail"], contact["donotphone"]
        return (*told, profile.get("blackListEmail"), profile.get("blackListPhone"))

    def pass_time(self, seconds: float) -> None:
        for system in (self.sandbox.dynamics, self.sandbox.campaign):
            system.shift_clock(seconds)


def test_opt_outs_travel_both_ways_and_are_explained(sandbox: Sandbox) -> None:
    """O1, O3, O5: each side's opt-out reaches the other; `why` tells what was known and what decided."""
    room = Room(sandbox)
    room.load()
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    sandbox.campaign.update("profile", ANN, blackListPhone=True)
    report = room.sync()
    assert room.flags() == (True, True, True, True)
    assert room.flags(BOB) == (False, False, False, False)
    assert (report.end, room.opt_out.backlog.size) == (CycleEnd.IDLE, 0)
    why = room.opt_out.why(f"{{{ANN.upper()}}}")
    assert why.opted_out == {"blackListEmail", "blackListPhone"}
    assert {(one.pair.campaign, one.writes) for one in why} == {
        ("blackListEmail", (Side.CAMPAIGN,)),
        ("blackListPhone", (Side.DYNAMICS,)),
    }
    assert all(one.reason is Reason.OUT_WINS and one.out for one in why)
    assert "donotbulkemail: opted out" in str(why)
    assert "<table>" in why._repr_html_()
    assert len(room.opt_out.why(BOB)) == 0
    assert "Nothing was decided" in str(room.opt_out.why("<b>"))
    assert "<b>" not in room.opt_out.why("<b>")._repr_html_()
    assert [one.name for one in room.integration.workflows][-1] == "Opt-In/Out"


def test_after_the_last_edit_nothing_is_written_any_more(sandbox: Sandbox) -> None:
    """O7: our own writes come back as changes and end there."""
    room = Room(sandbox)
    room.load()
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.sync(cycles=3)
    sandbox.campaign.keep_requests(1_000)
    sandbox.dynamics.keep_requests(1_000)
    sandbox.campaign.clear_requests()
    sandbox.dynamics.clear_requests()
    room.sync(cycles=4)
    kept = [*sandbox.campaign.requests()["kept"], *sandbox.dynamics.requests()["kept"]]
    assert kept
    assert not [one for one in kept if one["method"] == "PATCH"]


def test_a_newer_opt_in_in_campaign_reaches_dynamics(sandbox: Sandbox) -> None:
    """O3: newer by more than the margin: Campaign's value."""
    room = Room(sandbox)
    room.load()
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.sync()
    room.pass_time(30)
    sandbox.campaign.update("profile", ANN, blackListEmail=False)
    room.sync()
    assert room.flags()[::2] == (False, False)
    assert room.opt_out.why(ANN).decisions[-1].reason is Reason.CAMPAIGN_NEWER
    assert room.opt_out.why(ANN).opted_out == frozenset()


def test_dynamics_as_the_only_source_opts_in_after_a_seen_change_only(sandbox: Sandbox) -> None:
    """Decision 14: what Campaign has of its own stays; what Dynamics took back is taken back."""
    room = Room(sandbox, "dynamics_to_campaign")
    room.load()
    sandbox.campaign.update("profile", BOB, blackListEmail=True)
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.sync()
    assert room.flags()[::2] == (True, True)
    sandbox.dynamics.update("contact", ANN, donotbulkemail=False)
    room.sync()
    assert room.flags()[::2] == (False, False)
    room.opt_out.replay()
    room.opt_out.stop()
    room.sync()
    assert room.flags(BOB)[::2] == (False, True)


class ForgottenPages(CampaignStandard):
    """Campaign, which does not know the addresses of some next pages any more."""

    dead = 0

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        if link is not None and self.dead:
            self.dead -= 1
            raise SchemaChangedError("There is nothing at this address.", table=resource.name)
        return super().changed_since(resource, since, link)


def test_a_pass_over_profiles_that_cannot_go_on_begins_anew(sandbox: Sandbox) -> None:
    """The address of a page may live no longer than what made it; when it dies again and again, a person is told."""
    target = campaign_of(ForgottenPages, sandbox, changes=CampaignChanges(lines=1))
    room = Room(sandbox, campaign=target)
    room.load()
    sandbox.campaign.update("profile", BOB, blackListEmail=True)
    target.dead = 1
    room.sync()
    assert room.flags(BOB) == (True, False, True, False)
    assert [notice.table for notice in room.told if isinstance(notice, ResyncStarted)] == ["profile"]
    room.pass_time(120)
    sandbox.campaign.update("profile", ANN, blackListPhone=True)
    target.dead = 2
    room.opt_out.replay()
    room.opt_out.stop()
    room.opt_out.start()
    assert room.opt_out.run_cycle(seconds=10).status is WorkflowState.FAILED
    room.opt_out.start()
    room.sync()
    assert room.flags(ANN) == (False, True, False, True)


def test_campaign_as_the_only_source(sandbox: Sandbox) -> None:
    """Opt-outs and genuine opt-ins of Campaign reach Dynamics; Dynamics' own never reach Campaign."""
    room = Room(sandbox, "campaign_to_dynamics")
    room.load()
    sandbox.campaign.update("profile", ANN, blackListPhone=True)
    sandbox.dynamics.update("contact", BOB, donotphone=True)
    room.sync()
    assert room.flags()[1::2] == (True, True)
    assert room.flags(BOB)[1::2] == (True, False)
    room.pass_time(1)
    sandbox.campaign.update("profile", ANN, blackListPhone=False)
    room.sync()
    assert room.flags()[1::2] == (False, False), "its own opt-out, taken back: no margin is needed"


def test_exported_files_bring_campaigns_opt_outs(sandbox: Sandbox, tmp_path: Path) -> None:
    """The documented columns, without asking Campaign for changes; a row nobody can use is set aside with its line."""
    files = FileDrop(tmp_path, pattern="*.csv", quiet=timedelta(0))
    room = Room(sandbox, files=files, poll_campaign=False)
    room.load()
    sandbox.campaign.update("profile", ANN, blackListPhone=True)
    assert sandbox.campaign.export_opt_outs(str(tmp_path / "opt-outs_1.csv")) == 2
    (tmp_path / "opt-outs_2.csv").write_text(f"externalId,denyListEmail\n{BOB.upper()},yes\n,true\n", encoding="utf-8")
    room.sync()
    assert room.flags()[1::2] == (True, True)
    (letter,) = room.opt_out.dead_letters
    assert "opt-outs_2.csv, line 3" in letter.message
    # The file says Bob is opted out and Campaign's own answer does not: what was read once is owed.
    assert room.flags(BOB)[::2] == (True, True)
    report = room.sync()
    assert (report.read, room.opt_out.backlog.size) == (0, 0), "each file is read once"


def test_a_refused_opt_out_is_loud_and_never_given_up(sandbox: Sandbox) -> None:
    """O4: no dead letter; a trouble is shown and told until the opt-out is delivered. The other side gets its own."""
    room = Room(sandbox)
    room.load()
    sandbox.campaign.update("profile", ANN, blackListPhone=True)
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    sandbox.dynamics.issue_rejects(ANN)
    room.sync(cycles=12, seconds=0.05)
    assert room.flags() == (True, False, True, True)
    assert len(room.opt_out.dead_letters) == 0
    consent = room.opt_out.consent
    assert consent.at_risk
    assert (consent.undelivered, consent.troubles[0].person) == (1, ANN)
    assert "CONSENT AT RISK" in str(consent)
    assert "CONSENT AT RISK" in consent._repr_html_()
    assert "CONSENT AT RISK: 1 opt-outs could not be delivered yet" in str(room.integration.workflows)
    assert any(isinstance(notice, OptOutDelayed) for notice in room.told)
    assert {group.lane for group in room.integration.storage.counts(room.opt_out.id).groups} == {Lane.CONSENT}
    sandbox.dynamics.issue_rejects(ANN, None)
    room.sync(cycles=3)
    assert room.flags() == (True, True, True, True)
    assert not room.opt_out.consent.at_risk
    assert "AT RISK" not in str(room.integration.workflows)


def test_an_opt_in_is_held_while_the_clocks_are_apart(sandbox: Sandbox) -> None:
    """O4: beyond the margin an opt-in waits, visibly; opt-outs pass; when the clocks agree it goes through."""
    room = Room(sandbox)
    room.load()
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.sync()
    sandbox.campaign.shift_clock(60)
    sandbox.campaign.update("profile", ANN, blackListEmail=False)
    sandbox.campaign.update("profile", BOB, blackListEmail=True)
    room.sync(seconds=0.3)
    assert room.flags()[::2] == (True, False)
    assert room.flags(BOB)[::2] == (True, True)
    assert room.opt_out.consent.held == 1
    assert "1 opt-ins wait until the clocks of both systems agree" in room.opt_out.view.warnings
    assert not room.opt_out.consent.at_risk
    assert any(check.name == "clocks: within the margin" for check in room.opt_out.check().warnings)
    sandbox.dynamics.shift_clock(60)
    room.sync(cycles=3)
    assert room.flags()[::2] == (False, False)
    assert room.opt_out.consent.held == 0


class Racing(Dataverse):
    """Somebody edits a contact between our reading and our write."""

    sandbox: Sandbox
    races = 1

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        if self.races:
            self.races -= 1
            self.sandbox.dynamics.update(table, record, donotbulkemail=True, donotphone=False)
        return super().update_over(table, record, values, etag=etag)


def test_a_write_to_dynamics_never_covers_a_newer_opt_out(sandbox: Sandbox) -> None:
    """F-66: an opt-out that arrives while an opt-in is being written: 412, read again, decide again."""
    secret = ClientSecret(
        sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
    )
    racing = Racing(sandbox.dynamics_url, secret, allow_loopback_http=True)
    racing.sandbox, racing.races = sandbox, 0
    room = Room(sandbox, dynamics=racing)
    room.load()
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.sync()
    room.pass_time(30)
    sandbox.campaign.update("profile", ANN, blackListEmail=False)
    room.pass_time(30)
    racing.races = 1
    room.sync()
    assert room.flags()[::2] == (True, True)


def test_an_opt_out_waits_for_its_profile_and_pulls_it_forward(sandbox: Sandbox) -> None:
    """F-67: no profile yet: visible, and applied as soon as ingress has brought the profile."""
    room = Room(sandbox)
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.integration.ingress.start()
    room.sync()
    assert room.opt_out.consent.waiting == 1
    assert room.opt_out.backlog.size == 0
    assert room.integration.ingress.backlog.size == 1
    room.load()
    room.sync()
    assert room.flags()[::2] == (True, True)
    assert room.opt_out.consent.waiting == 0


def test_the_survivor_of_a_merge_is_out_if_either_was(sandbox: Sandbox) -> None:
    """O4: also where only the other contact's profile was opted out; and a later opt-in is not undone by a replay."""
    room = Room(sandbox)
    room.load()
    sandbox.campaign.update("profile", BOB, blackListPhone=True)
    sandbox.dynamics.update("contact", BOB, donotbulkemail=True)
    room.sync()
    sandbox.dynamics.merge_contacts(ANN, BOB)
    room.sync()
    assert room.flags() == (True, True, True, True)
    assert {one.reason for one in room.opt_out.why(ANN)} == {Reason.CARRIED_OVER}
    room.pass_time(30)
    sandbox.campaign.update("profile", ANN, blackListPhone=False)
    room.sync()
    room.opt_out.replay()
    room.opt_out.stop()
    room.sync(cycles=3)
    assert room.flags() == (True, False, True, False)


def test_what_is_forgotten_stays_opted_out(sandbox: Sandbox) -> None:
    """X11: decisions go with the person; under the same id the person is opted out from the first look."""
    room = Room(sandbox)
    room.load()
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.sync()
    erased = room.integration.forget(ANN)
    assert (erased.decisions, erased.opted_out) == (1, frozenset({"blackListEmail"}))
    assert len(room.opt_out.why(ANN)) == 0
    sandbox.dynamics.delete("contact", ANN)
    sandbox.campaign.delete("profile", ANN)
    sandbox.dynamics.load("contact", [{"contactid": ANN, "lastname": "Back", "donotbulkemail": False}])
    room.load()
    sandbox.campaign.update("profile", ANN, blackListPhone=True)
    room.sync()
    assert room.flags()[::2] == (True, True)


@pytest.mark.parametrize("direction", ["bidirectional", "dynamics_to_campaign"])
def test_who_comes_back_after_an_erasure_is_opted_out_without_a_word(sandbox: Sandbox, direction: str) -> None:
    """X11: also when their deletion was seen and nothing in the new records gives a reason to look."""
    room = Room(sandbox, direction)
    room.load()
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    room.sync()
    room.integration.forget(ANN)
    sandbox.dynamics.delete("contact", ANN)
    sandbox.campaign.delete("profile", ANN)
    room.load()
    room.sync()
    sandbox.dynamics.load("contact", [{"contactid": ANN, "lastname": "Back", "donotbulkemail": False}])
    room.load()
    room.sync()
    assert room.flags()[2], "Campaign has the opt-out"
    assert room.flags()[0] is (direction == "bidirectional")


@pytest.mark.parametrize(
    ("direction", "rule"), [("dynamics_to_campaign", OptOutRule.DOCUMENTED), ("bidirectional", OptOutRule.BASE3_HYB)]
)
def test_another_column_of_a_pair_takes_no_opt_out_back(sandbox: Sandbox, direction: str, rule: OptOutRule) -> None:
    """O4: what one column of Dynamics said is not the word of the one that takes its place in the pair."""
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True, donotemail=False)
    sandbox.dynamics.update("contact", BOB, donotemail=False)
    room = Room(sandbox, direction, rule=rule)
    room.load()
    room.sync()
    room.pass_time(10)
    room.sync()
    assert room.flags() == (True, False, True, False)
    room.opt_out.stop()
    room.opt_out.run_cycle(seconds=5)
    other = OptOutPair(dynamics="donotemail", campaign="denyListEmail")
    room.opt_out.edit(OptOutDefinition(direction=OptOutDirection(direction), rule=rule, pairs=[other, PHONE]))
    room.opt_out.replay()
    room.sync(cycles=3)
    assert room.flags() == (True, False, True, False)
    assert room.flags(BOB) == (False, False, False, False)


def test_a_profile_that_is_created_again_gets_an_opt_out_without_a_time_back(sandbox: Sandbox) -> None:
    """O4: push notification has no change time; that the profile is another one is told by when it was created."""
    room = Room(sandbox, "dynamics_to_campaign")
    push = OptOutPair(dynamics="donotemail", campaign="blackListPushnotification")
    room.opt_out.edit(OptOutDefinition(direction=OptOutDirection.DYNAMICS_TO_CAMPAIGN, pairs=[push, PHONE]))
    room.load()
    sandbox.campaign.update("profile", ANN, blackListPushnotification=True)
    sandbox.dynamics.update("contact", ANN, donotphone=True)
    room.sync()
    sandbox.campaign.delete("profile", ANN)
    room.pass_time(10)
    sandbox.campaign.load("profile", [{"externalId": ANN, "lastName": "Again"}])
    sandbox.dynamics.update("contact", ANN, lastname="Again")
    room.sync()
    profile = sandbox.campaign.get("profile", ANN)
    assert profile is not None
    assert (profile["blackListPushnotification"], profile["blackListPhone"]) == (True, True)


def test_the_decision_record_is_exported_for_an_audit(sandbox: Sandbox) -> None:
    """Every decision, in order, as CSV and as JSON lines, with both values, both times and how precise they are."""
    room = Room(sandbox)
    room.load()
    for person in (ANN, BOB):
        sandbox.dynamics.update("contact", person, donotbulkemail=True)
    room.sync()
    rows = list(csv.DictReader(room.opt_out.consent.csv_lines()))
    told = [json.loads(line) for line in room.opt_out.consent.json_lines()]
    assert len(rows) == len(told) == 2
    assert [int(row["id"]) for row in rows] == [one["id"] for one in told]
    assert {row["person"] for row in rows} == {ANN, BOB}
    assert rows[0]["dynamics_precision_seconds"] == "1.0"
    assert told[0]["pair"] == {"dynamics": "donotbulkemail", "campaign": "blackListEmail"}
    assert told[0]["reason"] == "out_wins"


def link(before: str, place: int, content: str) -> str:
    """The hash of an entry, as the documentation says it."""
    return sha256(bytes.fromhex(before) + place.to_bytes(8, "big") + bytes.fromhex(content)).hexdigest()


def test_the_decision_record_proves_that_nobody_touched_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """S-18: a row that is changed by hand is named; who makes all hashes anew does not meet a seal that was kept."""
    room = Room(sandbox, storage=SQLiteStorage(tmp_path / "syncline.db"))
    room.load()
    for person in (ANN, BOB):
        sandbox.dynamics.update("contact", person, donotbulkemail=True)
    room.sync()
    room.integration.forget(BOB)
    consent = room.opt_out.consent
    seal = str(consent.seal)
    found = consent.verify(seal)
    assert (found.ok, found.entries, found.erased, str(found.seal)) == (True, 3, 1, seal)
    told = [json.loads(line) for line in consent.sealed_lines()]
    assert [one["text"] is None for one in told] in ([True, False, False], [False, True, False])
    before = ""
    for place, one in enumerate(told, 1):
        if one["text"] is not None:
            assert sha256(bytes.fromhex(one["salt"]) + one["text"].encode()).hexdigest() == one["content"]
        before = link(before, place, one["content"])
        assert one["link"] == before
    assert seal == f"3:{before}"
    assert [one.seal for one in consent.decisions] == [one["link"] for one in told if ANN in (one["text"] or "")]
    with closing(sqlite3.connect(tmp_path / "syncline.db")) as by_hand, by_hand:
        by_hand.execute("UPDATE decisions SET told = replace(told, 'true', 'false') WHERE told LIKE '%true%'")
    touched = next(place for place, one in enumerate(told, 1) if ANN in (one["text"] or ""))
    assert str(consent.verify()).startswith(f"The decision record was tampered with at entry {touched}: its text")
    with closing(sqlite3.connect(tmp_path / "syncline.db")) as by_hand, by_hand:
        by_hand.execute("DELETE FROM decisions")
        by_hand.execute("DELETE FROM decision_seals")
    assert consent.verify().ok, "who may write the database can begin a new record"
    assert consent.verify(seal).broken_at == 1
    with pytest.raises(ValueError, match="invalid literal"):
        consent.verify("nonsense")


def failed(room: Room) -> str:
    return " | ".join(f"{check.name}: {check.detail}" for check in room.opt_out.check().failed)


def test_a_preview_tells_who_would_be_opted_out_and_writes_nothing(sandbox: Sandbox) -> None:
    """X4: by the rule of the day, over what is remembered; afterwards everything is as it was."""
    room = Room(sandbox)
    room.load()
    sandbox.dynamics.update("contact", ANN, donotbulkemail=True)
    sandbox.campaign.update("profile", BOB, blackListPhone=True)
    sandbox.dynamics.load("contact", [{"contactid": EVE, "lastname": "New", "donotphone": True}])
    before = room.flags(), room.flags(BOB)
    preview = room.opt_out.preview()
    told = {record.key.id: (record.kind, [str(one) for one in record.fields]) for record in preview}
    assert told[ANN] == (PreviewKind.UPDATE, ["Campaign blackListEmail: false -> true"])
    assert told[BOB] == (PreviewKind.UPDATE, ["Dynamics donotphone: false -> true"])
    assert told[EVE] == (PreviewKind.LEFT_ALONE, [])
    assert "waits for a profile" in preview.of(PreviewKind.LEFT_ALONE)[0].reason
    assert (preview.complete, preview.look_ups) == (True, 3)
    assert (room.flags(), room.flags(BOB)) == before
    assert len(room.opt_out.why(ANN)) == 0
    assert room.opt_out.consent.waiting == 0
    room.sync()
    (ann,) = room.opt_out.preview(record=ANN.upper())
    assert ann.kind is PreviewKind.IDENTICAL
    (nobody,) = room.opt_out.preview(record=EVE.replace("3", "4"))
    assert (nobody.kind, nobody.reason) == (PreviewKind.LEFT_ALONE, "not in Dynamics")
    sandbox.dynamics.merge_contacts(ANN, BOB)
    (bob,) = room.opt_out.preview(record=BOB)
    assert "merged into contact" in bob.reason
    assert not room.opt_out.preview(limit=1).complete
    with pytest.raises(ValueError, match="1 or more"):
        room.opt_out.preview(limit=0)
    room.opt_out.edit(OptOutDefinition())
    with pytest.raises(DefinitionError, match="disabled"):
        room.opt_out.preview()


def test_what_does_not_fit_is_refused_at_the_start(sandbox: Sandbox) -> None:
    """S-33: a missing column, a wrong type and a column that says the opposite never start."""
    add_the_opposite(sandbox)
    room = Room(sandbox)
    for column, problem in (("nothing", "no column"), ("lastname", "no boolean"), ("new_reachable", "the opposite")):
        room.opt_out.edit(
            OptOutDefinition(
                direction=OptOutDirection.DYNAMICS_TO_CAMPAIGN,
                pairs=[OptOutPair(dynamics=column, campaign="blackListEmail")],
            )
        )
        assert problem in failed(room)
    room.opt_out.edit(OptOutDefinition())
    assert "disabled" in failed(room)
    room.opt_out.start()
    assert room.opt_out.run_cycle().status is WorkflowState.FAILED


class Unconditional(Dataverse):
    """A connector whose writes depend on nothing."""

    update_over = DynamicsConnector.update_over


def test_a_connector_that_could_cover_a_newer_opt_out_is_not_written_with(sandbox: Sandbox) -> None:
    """Said before anything runs, where opt-outs are to travel to Dynamics; the other direction needs no such write."""
    secret = ClientSecret(
        sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
    )
    dynamics = Unconditional(sandbox.dynamics_url, secret, allow_loopback_http=True)
    assert "Unconditional cannot make them" in failed(Room(sandbox, dynamics=dynamics))
    one_way = Room(sandbox, direction="dynamics_to_campaign", dynamics=dynamics)
    one_way.load()
    one_way.sync()


def test_a_source_for_campaigns_opt_outs_is_needed(sandbox: Sandbox) -> None:
    """Neither a filter on lastModified nor exported files: said before anything runs. Push has no time: a warning."""
    assert "neither asked for nor exported" in failed(Room(sandbox, poll_campaign=False))
    push = OptOutPair(dynamics="donotphone", campaign="blackListPushnotification")
    room = Room(sandbox)
    room.opt_out.edit(OptOutDefinition(direction=OptOutDirection.BIDIRECTIONAL, pairs=[push]))
    assert "no time for this channel" in str(room.opt_out.check().warnings)
    one_way = OptOutDefinition(direction=OptOutDirection.DYNAMICS_TO_CAMPAIGN, pairs=[push], rule=OptOutRule.BASE3_HYB)
    room.opt_out.edit(one_way)
    assert "both directions" in str(room.opt_out.check().warnings)
    sandbox.campaign.call("drop_field", resource="profile", field="lastModified")
    assert "changed profiles" in failed(Room(sandbox))
