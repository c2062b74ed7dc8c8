"""A load of changing contacts whose host is killed at random moments, and what must hold at the end.

Run by the acceptance test for a few kills, and by hand for any number:

    python -m tests.acceptance.kill_campaign --kills 200
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from attrs import frozen
from tests.acceptance.hosts import Host
from tests.ingress_room import differences, drain, join

from syncline import Integration
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState
from syncline.store import DeadLetterStatus

#: Changes made between two kills, and how long Campaign takes, so that hardly a host dies with nothing to do.
_EDITS = 200
_LATENCY = 10
#: Seconds from a host's first cycle to its death. Many die before they got anything done.
_LONGEST_LIFE = 1.5


@frozen(kw_only=True)
class KillReport:
    """What a campaign came to. `problems` is empty when every promise held."""

    kills: int
    seconds: float
    written: int
    #: Kills that met a host at work.
    at_work: int
    problems: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "all in step" if not self.problems else f"{len(self.problems)} PROBLEMS"
        kills = f"{self.kills} kills in {self.seconds:.0f} s, {self.at_work} of them at work"
        return f"{kills}, {self.written} writes: {verdict}"


def campaign(
    folder: Path, *, contacts: int, kills: int | None = None, seconds: float | None = None, seed: int = 1
) -> KillReport:
    """Kill a host again and again while contacts change, then let one finish and compare everything."""
    folder.mkdir(exist_ok=True)
    dice = random.Random(seed)  # noqa: S311 - moments, not secrets
    began = time.monotonic()
    with Sandbox(process=True, seed=seed) as sandbox:
        crowd = list(people(contacts, seed, clean=True))
        sandbox.dynamics.load("contact", crowd)
        slow = sandbox.campaign.add_fault("latency", milliseconds=_LATENCY, path="profile")
        integration = join(sandbox, folder / "syncline.db")
        integration.ingress.start()
        done = 0
        while (kills is None or done < kills) and (seconds is None or time.monotonic() - began < seconds):
            _kill_once(sandbox, folder / "syncline.db", dice)
            _change(sandbox, crowd, dice, done)
            done += 1
        sandbox.campaign.clear_faults(slow)
        problems = _finish(integration, sandbox)
        history = integration.storage.history(integration.ingress.id, limit=100_000)
        written = integration.storage.counts(integration.ingress.id).totals.written
        integration.close()
    return KillReport(
        kills=done,
        seconds=time.monotonic() - began,
        written=written,
        at_work=sum(entry.action == "taken over" for entry in history),
        problems=tuple(problems),
    )


def _kill_once(sandbox: Sandbox, database: Path, dice: random.Random) -> None:
    with Host(sandbox, database) as host:
        assert host.ask("forever") == "working"
        # Waiting here is the point: the kill must come at a moment nobody chose.
        time.sleep(dice.uniform(0.0, _LONGEST_LIFE))
        host.kill()


def _change(sandbox: Sandbox, crowd: list[dict[str, object]], dice: random.Random, turn: int) -> None:
    for person in dice.sample(crowd, min(_EDITS, len(crowd))):
        sandbox.dynamics.update("contact", str(person["contactid"]), lastname=f"Turn {turn}", numberofchildren=turn % 7)
    gone = crowd.pop(dice.randrange(len(crowd)))
    sandbox.dynamics.delete("contact", str(gone["contactid"]))
    new = list(people(2, 10_000 + turn, clean=True))
    sandbox.dynamics.load("contact", new)
    crowd.extend(new)


def _finish(integration: Integration, sandbox: Sandbox) -> list[str]:
    ingress = integration.ingress
    problems: list[str] = []
    if ingress.status is WorkflowState.FAILED:
        problems.append(f"the workflow is FAILED: {ingress.error}")
        return problems
    drain(integration)
    problems += differences(sandbox)
    problems += [
        f"set aside: {letter}"
        for letter in ingress.dead_letters.list(status=None)
        if letter.status is not DeadLetterStatus.RESOLVED
    ]
    problems += [
        f"{value} is there {count} times"
        for value, count in sandbox.campaign.duplicates("profile", "externalId").items()
    ]
    problems += [f"audit: {line}" for line in integration.storage.audit(ingress.id)]
    counts = integration.storage.counts(ingress.id)
    totals = counts.totals
    ended = totals.written + totals.superseded + totals.skipped + totals.dead + totals.discarded
    if totals.put != ended + counts.size:
        problems.append(f"conservation: {totals} with {counts.size} queued")
    if counts.size:
        problems.append(f"{counts.size} are still queued")
    known = integration.storage.ledger_size(ingress.id, "contact")
    if known != sandbox.dynamics.count("contact"):
        problems.append(f"the ledger has {known} records, Dynamics has {sandbox.dynamics.count('contact')}")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a host at random moments while contacts change.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--contacts", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = campaign(Path(folder), contacts=options.contacts, kills=options.kills, seed=options.seed)
    sys.stdout.write("\n".join([str(report), *report.problems[:50]]) + "\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
