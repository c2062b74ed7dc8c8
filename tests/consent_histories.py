"""Random histories of people who opt out and in on both sides, through the real engine against the sandbox.

Many people live through one run at once, each with a history of their own; trouble hits all of them. What must be true
at the end is worked out here from what people did, without the engine's own code: an opt-out holds until a later opt-in
of its own side, or one of the other side that is newer by more than the margin.

Opt-outs travel both ways by one of the rules, or with contacts: with the pairs in their mapping, carried by ingress and
from Dynamics to Campaign only. Run as a program it goes on as long as asked:
`python -m tests.consent_histories --histories 20000`, and `--rule contacts` for those that travel with contacts.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from attrs import define, evolve, field
from tests.ingress_room import campaign, dataverse

from syncline import (
    FieldMapping,
    IngressDefinition,
    Integration,
    MemoryStorage,
    OptOutDefinition,
    OptOutDirection,
    TableMapping,
)
from syncline.definitions import OptOutPair, OptOutRule
from syncline.sandbox import Sandbox
from syncline.state_machine import WorkflowState
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.owner import this_owner
from syncline.workflows.settings import EngineSettings

MARGIN = 5
#: Channels: the contact's column and the profile's field.
PAIRS = {"donotbulkemail": "blackListEmail", "donotphone": "blackListPhone"}
OPT_OUTS = [OptOutPair(dynamics=column, campaign=channel) for column, channel in PAIRS.items()]
CONTACTS = TableMapping(
    table="contact", resource="profile", fields=[FieldMapping(source="lastname", target="lastName")]
)
SETTINGS = EngineSettings(
    writers=8,
    retry_first=timedelta(milliseconds=5),
    retry_most=timedelta(milliseconds=20),
)
FAULTS: tuple[dict[str, Any], ...] = (
    {"action": "fail", "status": 503, "count": 3},
    {"action": "cut", "count": 2},
    # The request is carried out and its answer lost.
    {"action": "applied", "method": "PATCH", "count": 2},
)


@define
class OptOut:
    """An opt-out somebody made: where and when, by the time that both sides go by."""

    side: str
    when: float
    #: The sync had a chance to carry it to the other side.
    heard: bool = False


@define
class Person:
    """What one person did, and what follows from it. Channels by Campaign field."""

    id: str
    holds: dict[str, list[OptOut]] = field(factory=lambda: {channel: [] for channel in PAIRS.values()})
    contact: bool = False
    profile: bool = False
    merged_into: str = ""
    told: list[str] = field(factory=list)

    def act(self, side: str, channel: str, out: bool, when: float, rule: OptOutRule | None) -> None:
        """Somebody opts out or in."""
        self.told.append(f"{side} opts {'out' if out else 'in'} of {channel} at {when:.0f}")
        if out:
            self.holds[channel].append(OptOut(side, when))
            return
        self.holds[channel] = [held for held in self.holds[channel] if not _ends(held, side, when, rule)]


def _ends(held: OptOut, side: str, when: float, rule: OptOutRule | None) -> bool:
    """Whether an opt-in on a side ends an opt-out: its own side's always, the other's when it is known to be newer.

    Without a rule opt-outs travel with contacts, and Campaign is not asked what changed there: what somebody does in it
    by hand stands until something makes Syncline look.
    """
    if held.side == side or rule is None:
        return True
    if side == "campaign":
        return when > held.when + MARGIN
    return rule is OptOutRule.BASE3_HYB and (held.heard or when > held.when + MARGIN)


class Batch:
    """Some people in one run of the integration."""

    def __init__(
        self, sandbox: Sandbox, seed: int, people: int, rule: OptOutRule | None = OptOutRule.DOCUMENTED
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a history, not a secret
        self.sandbox = sandbox
        self.seed = seed
        self.now = 0.0
        self.ahead = 0.0
        self.storage = MemoryStorage()
        self.definition = OptOutDefinition(
            direction=OptOutDirection.BIDIRECTIONAL,
            pairs=OPT_OUTS,
            skew_margin_seconds=MARGIN,
            rule=rule or OptOutRule.DOCUMENTED,
        )
        self.contacts = evolve(CONTACTS, opt_outs=OPT_OUTS) if rule is None else CONTACTS
        self.rule = rule
        self.integration = self._join()
        self.people = [Person(str(UUID(int=self.random.getrandbits(128), version=4))) for _ in range(people)]
        self.opted_in = 0

    def _join(self) -> Integration:
        return Integration(
            dynamics=dataverse(self.sandbox),
            campaign=campaign(self.sandbox),
            storage=self.storage,
            ingress=IngressDefinition(mappings=[self.contacts]),
            opt_out=self.definition,
            settings=SETTINGS,
        )

    # -- the run ---------------------------------------------------------------------------------------------------

    def live(self, rounds: int = 4) -> list[str]:
        """Everything that happens, and what is wrong at the end; a sentence each."""
        for system in (self.sandbox.dynamics, self.sandbox.campaign):
            system.freeze_clock()
        for workflow in self._workflows:
            workflow.start()
        self._create(self.people[: len(self.people) * 3 // 4])
        for _ in range(rounds):
            self._disturb()
            for _ in range(self.random.randint(1, 3)):
                self._act()
            for _ in range(self.random.randint(0, 2)):
                self._heard()
                self.integration.ingress.run_cycle(records=self.random.choice([20, 1000]))
                self._carrier.run_cycle(records=self.random.choice([5, 20, 1000]))
            if self.random.random() < 0.5:
                self._settle()
                self._replace()
        self._create([person for person in self.people if not person.contact and not person.merged_into])
        self._settle()
        return [*self._last_edit(), *self._wrongs()]

    def _settle(self) -> None:
        """All trouble ends, and everybody catches up."""
        for system in (self.sandbox.dynamics, self.sandbox.campaign):
            system.clear_faults()
        quiet = 0
        for _ in range(60):
            self._heard()
            done = [workflow.run_cycle(seconds=10) for workflow in self._workflows]
            if any(report.status is not WorkflowState.RUNNING for report in done):
                raise AssertionError(f"seed {self.seed}: {[workflow.error for workflow in self._workflows]}")
            calm = all(one.end is CycleEnd.IDLE and one.resume_at is None and not one.written for one in done)
            quiet = quiet + 1 if calm else 0
            if quiet == 2:
                return
        raise AssertionError(f"seed {self.seed}: it never comes to rest: {done}")

    def _heard(self) -> None:
        for person in self.people:
            for held in (one for channel in person.holds.values() for one in channel):
                held.heard = True

    @property
    def _carrier(self) -> Any:
        return self.integration.ingress if self.rule is None else self.integration.opt_out

    @property
    def _workflows(self) -> list[Any]:
        return [self.integration.ingress, *([] if self.rule is None else [self.integration.opt_out])]

    # -- trouble ---------------------------------------------------------------------------------------------------

    def _disturb(self) -> None:
        what = self.random.choice(["", "", "fault", "fault", "replay", "expire", "vanish", "restart"])
        if what == "fault":
            for _ in range(self.random.randint(1, 3)):
                system = self.random.choice([self.sandbox.dynamics, self.sandbox.campaign])
                system.add_fault(**{**self.random.choice(FAULTS), "skip": self.random.randint(0, 12)})
        elif what == "expire":
            self.sandbox.dynamics.expire_tokens()
        elif what == "replay":
            self.integration.ingress.replay("contact")
            if self.rule is not None:
                self.integration.opt_out.replay()
            for workflow in self._workflows:
                workflow.stop()
                workflow.start()
        elif what == "restart":
            self.integration.dynamics.close()
            self.integration.campaign.close()
            self.integration = self._join()
        elif what == "vanish":
            self._vanish()

    def _vanish(self) -> None:
        """A process claims people, marks some as being sent, and is never heard of again."""
        workflow = self._carrier.id
        grant = self.storage.acquire(workflow, this_owner(), timedelta(seconds=60))
        if grant is not None:
            items = self.storage.lease(grant, 20)
            self.storage.mark_sending(grant, items[: self.random.randint(0, 20)])
            self.ahead += 61
            self.storage.set_time_offset(self.ahead)

    # -- people ----------------------------------------------------------------------------------------------------

    def _create(self, people: list[Person]) -> None:
        """Contacts appear, some of them opted out already; profiles follow through ingress."""
        rows = []
        for person in people:
            flags = {column: self.random.random() < 0.15 for column in PAIRS}
            rows.append({"contactid": person.id, "lastname": f"Person {person.id[:8]}", **flags})
            person.contact = True
            person.told.append(f"contact created {flags}")
            for column, out in flags.items():
                if out:
                    person.act("dynamics", PAIRS[column], True, self.now, self.rule)
        self.sandbox.dynamics.load("contact", rows)

    def _pass_time(self) -> None:
        """Seconds go by in both systems; sometimes none."""
        step = self.random.choice([0, 0, 1, 20])
        if step:
            self._shift(step)

    def _shift(self, seconds: float) -> None:
        for system in (self.sandbox.dynamics, self.sandbox.campaign):
            system.shift_clock(seconds)
        self.now += seconds

    def _act(self) -> None:
        """Some people do something on one side, all at once, and then some on the other."""
        self._pass_time()
        there = [person for person in self.people if person.contact]
        actors = [person for person in there if self.random.random() < 0.25]
        if self.random.random() < 0.5:
            self._act_in_dynamics(actors)
            self._act_in_campaign([person for person in there if self.random.random() < 0.15])
        else:
            self._act_in_campaign(actors)
            self._act_in_dynamics([person for person in there if self.random.random() < 0.15])

    def _act_in_dynamics(self, people: list[Person]) -> None:
        rows = []
        for person in people:
            column = self.random.choice([*PAIRS])
            row: dict[str, Any] = {"contactid": person.id}
            kind = self.random.choice(["out", "out", "in", "in", "unrelated"])
            if kind == "unrelated":
                row["lastname"] = f"Person {self.random.random():.6f}"
            else:
                row[column] = kind == "out"
                person.act("dynamics", PAIRS[column], kind == "out", self.now, self.rule)
            rows.append(row)
        self.sandbox.dynamics.load("contact", rows)

    def _act_in_campaign(self, people: list[Person]) -> None:
        shown = {
            row["externalId"]: row for row in self.sandbox.campaign.rows("profile", ["externalId", *PAIRS.values()])
        }
        changes = {}
        for person in people:
            row = shown.get(person.id)
            if row is None:
                continue
            channel = self.random.choice([*PAIRS.values()])
            out = self.random.random() < 0.6
            changes[person.id] = {channel: out}
            if bool(row[channel]) is not out:  # Campaign stamps what changes, and nothing else is an act
                person.act("campaign", channel, out, self.now, self.rule)
        self.sandbox.campaign.update_many("profile", changes)

    def _replace(self) -> None:
        """After a rest, when all was heard: values are lost, records are created again, contacts merged."""
        if self.rule is None:  # within the second of its creation nobody can tell another contact under the same id
            self._shift(1)
        there = [person for person in self.people if person.contact]
        forgotten = self.random.sample(there, min(6, len(there)))
        for person in forgotten:
            person.told.append(f"the contact loses its values at {self.now:.0f}")
        empty = [{"contactid": person.id, **dict.fromkeys(PAIRS, None)} for person in forgotten]
        self.sandbox.dynamics.load("contact", empty)
        profiles = {row["externalId"] for row in self.sandbox.campaign.rows("profile", ["externalId"])}
        for person in self.random.sample(there, min(4, len(there))):
            if person.id in profiles and self.random.random() < 0.5:
                person.told.append(f"profile created again at {self.now:.0f}")
                self.sandbox.campaign.delete("profile", person.id)
                self.sandbox.campaign.load("profile", [{"externalId": person.id, "lastName": "Again"}])
                if self.rule is None:  # a look follows from an edit in Dynamics; what it had of its own nobody saw
                    self._forget_campaigns(person)
                    edit = {"contactid": person.id, "lastname": f"Person {self.random.random():.6f}"}
                    self.sandbox.dynamics.load("contact", [edit])
            else:
                person.told.append(f"contact created again at {self.now:.0f}")
                if self.rule is None:
                    self._forget_campaigns(person)
                self.sandbox.dynamics.delete("contact", person.id)
                if self.random.random() < 0.5:
                    self._heard()
                    self._carrier.run_cycle(seconds=5)
                    self.integration.ingress.run_cycle(seconds=5)
                row = {"contactid": person.id, "lastname": "Again", **dict.fromkeys(PAIRS, False)}
                self.sandbox.dynamics.load("contact", [row])
        if len(there) > 3 and self.random.random() < 0.7:
            survivor, loser = self.random.sample(there, 2)
            self.sandbox.dynamics.merge_contacts(survivor.id, loser.id)
            loser.contact, loser.merged_into = False, survivor.id
            survivor.told += [f"takes over at {self.now:.0f}:", *loser.told]
            for channel, held in loser.holds.items():
                if held:
                    survivor.holds[channel].append(OptOut("dynamics", self.now))

    @staticmethod
    def _forget_campaigns(person: Person) -> None:
        for channel, held in person.holds.items():
            person.holds[channel] = [one for one in held if one.side != "campaign"]

    # -- the end ---------------------------------------------------------------------------------------------------

    def _last_edit(self) -> list[str]:
        """O7: after the last edit each side is written once at most for each person."""
        for system in (self.sandbox.dynamics, self.sandbox.campaign):
            system.clear_requests()
            system.keep_requests(100_000)
        self._act()
        self._settle()
        found = []
        for name, system in (("Dynamics", self.sandbox.dynamics), ("Campaign", self.sandbox.campaign)):
            kept = system.requests()["kept"]
            writes = Counter(one["path"] for one in kept if one["method"] == "PATCH" and _about_opt_outs(one))
            found += [f"{name} was written {number} times: {path}" for path, number in writes.items() if number > 1]
            system.keep_requests(0)
        return found

    def _wrongs(self) -> list[str]:
        contacts = {row["contactid"]: row for row in self.sandbox.dynamics.rows("contact", ["contactid", *PAIRS])}
        profiles = {
            row["externalId"]: row for row in self.sandbox.campaign.rows("profile", ["externalId", *PAIRS.values()])
        }
        found = list(self.storage.audit(self._carrier.id))
        record = self.integration.opt_out.consent.verify()
        found += [] if record.ok else [str(record)]
        for person in self.people:
            contact, profile = contacts.get(person.id), profiles.get(person.id)
            if person.merged_into or contact is None or profile is None:
                if not person.merged_into:
                    found.append(f"{person.id} is not on both sides")
                continue
            for column, channel in PAIRS.items():
                out = contact[column], profile[channel]
                self.opted_in += out == (False, False) and any(f"in of {channel}" in told for told in person.told)
                if person.holds[channel] and not (out[1] if self.rule is None else all(out)):
                    story = "\n    ".join([*person.told, str(self.integration.opt_out.why(person.id))])
                    found.append(f"{person.id} {channel}: Dynamics {out[0]}, Campaign {out[1]}\n    {story}")
        counts = self.integration.opt_out.consent
        if counts.undelivered or counts.held:
            found.append(str(counts))
        return [f"seed {self.seed}: {one}" for one in found]


def _about_opt_outs(request: dict[str, Any]) -> bool:
    body = str(request.get("body", ""))
    return any(name in body for name in (*PAIRS, *PAIRS.values()))


def run(
    sandbox: Sandbox, seed: int, people: int, rule: OptOutRule | None = OptOutRule.DOCUMENTED
) -> tuple[list[str], int]:
    """One batch on a clean sandbox: what is wrong, and how many opt-ins stood at the end."""
    for table in ("contact",):
        for row in list(sandbox.dynamics.rows(table, [f"{table}id"])):
            sandbox.dynamics.delete(table, row[f"{table}id"])
    sandbox.campaign.clear("profile")
    batch = Batch(sandbox, seed, people, rule)
    try:
        return batch.live(), batch.opted_in
    finally:
        batch.integration.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1_000)
    parser.add_argument("--people", type=int, default=100, help="histories that share a run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--rule", choices=[*OptOutRule, "contacts"], default=OptOutRule.DOCUMENTED)
    told = parser.parse_args()
    began, lived, wrong, opted_in = time.monotonic(), 0, 0, 0
    with Sandbox(process=True) as sandbox:
        seed = told.seed
        while lived < told.histories and time.monotonic() - began < told.seconds:
            rule = None if told.rule == "contacts" else OptOutRule(told.rule)
            found, stood = run(sandbox, seed, told.people, rule)
            lived, wrong, opted_in, seed = lived + told.people, wrong + len(found), opted_in + stood, seed + 1
            for one in found:
                sys.stdout.write(f"{one}\n")
    seconds = time.monotonic() - began
    sys.stdout.write(f"{lived:,} histories in {seconds:.0f} s, {wrong} wrong, {opted_in} opt-ins stood at the end\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
