"""Several worker processes on one workflow and one PostgreSQL, and the trouble that is made for them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from tests.acceptance.crew_worker import LEASE
from tests.postgres_room import OwnServer, Server

from syncline.sandbox import Sandbox

__all__ = ["Crew", "Drill"]

_TOLD = (
    *("dynamics_url", "campaign_url", "authority_url", "ims_url", "tenant_id", "client_id", "client_secret"),
    *("campaign_client_id", "campaign_client_secret"),
)


class Drill(StrEnum):
    """What is done to the crew."""

    #: SIGKILL for one worker, and a new one in its place.
    KILL = "kill"
    #: SIGSTOP for longer than its lease, then SIGCONT.
    PAUSE = "pause"
    #: The server is stopped, as in a crash or in peace, and started again.
    RESTART = "restart"
    #: All sessions of Syncline are ended by an administrator.
    TERMINATE = "terminate"


class Crew:
    """So many workers, at work until the end of the `with` block."""

    def __init__(
        self, sandbox: Sandbox, server: Server, schema: str, workflow: str, size: int, *, hasty: bool = True
    ) -> None:
        self._server = server
        self._told = {name: getattr(sandbox, name) for name in _TOLD} | {
            "postgres": server.url,
            "schema": schema,
            "workflow": workflow,
            "workers": size,
            "hasty": hasty,
        }
        self._workers = [self._start() for _ in range(size)]
        for worker in self._workers:
            _hear(worker)

    @property
    def drills(self) -> tuple[Drill, ...]:
        """What can be done here: a server that somebody named is not ours to restart."""
        return tuple(drill for drill in Drill if drill is not Drill.RESTART or isinstance(self._server, OwnServer))

    def _start(self) -> subprocess.Popen[str]:
        worker = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("crew_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        _say(worker, json.dumps(self._told))
        return worker

    def suffer(self, drill: Drill, dice: random.Random, pid: int | None = None) -> None:
        """Make one kind of trouble; on return the crew is complete again and may not know it yet.

        What is done to one worker is done to that with this process id, else to any.
        """
        pids = [worker.pid for worker in self._workers]
        place = pids.index(pid) if pid in pids else dice.randrange(len(pids))
        worker = self._workers[place]
        match drill:
            case Drill.KILL:
                worker.kill()
                _bury(worker)
                self._workers[place] = self._start()
                _hear(self._workers[place])
            case Drill.PAUSE:
                worker.send_signal(signal.SIGSTOP)
                # Waiting is the point: others must have taken over what it has.
                time.sleep(LEASE + 0.5)
                worker.send_signal(signal.SIGCONT)
            case Drill.RESTART:
                server = cast(OwnServer, self._server)
                server.stop(at_once=dice.random() < 0.5)
                server.start()
            case Drill.TERMINATE:
                self._server.ask(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name LIKE 'syncline%%' AND pid <> pg_backend_pid()"
                )

    def end(self) -> list[dict[str, Any]]:
        """Let everybody finish what is in flight; what each of them did."""
        for worker in self._workers:
            _say(worker, "end")
        told = [json.loads(_hear(worker) or "{}") for worker in self._workers]
        for worker in self._workers:
            _bury(worker)
        self._workers.clear()
        return told

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.kill()
            _bury(worker)


def _say(worker: subprocess.Popen[str], line: str) -> None:
    with suppress(BrokenPipeError):  # one that has ended tells so by what it said last
        stdin = cast("IO[str]", worker.stdin)
        stdin.write(line + "\n")
        stdin.flush()


def _hear(worker: subprocess.Popen[str]) -> str:
    """The next line of a worker; empty when it ended."""
    return cast("IO[str]", worker.stdout).readline().strip()


def _bury(worker: subprocess.Popen[str]) -> None:
    worker.wait()
    with suppress(BrokenPipeError):
        cast("IO[str]", worker.stdin).close()
    cast("IO[str]", worker.stdout).close()
