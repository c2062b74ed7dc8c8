"""Host processes that a test starts, talks to, pauses and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from tests.ingress_room import DEFINITION

from syncline.definition_json import definition_to_json
from syncline.definitions import IngressDefinition
from syncline.errors import StorageBusyError
from syncline.sandbox import Sandbox
from syncline.storage.sqlite import SQLiteStorage

_TOLD = (
    *("dynamics_url", "campaign_url", "authority_url", "ims_url", "tenant_id", "client_id", "client_secret"),
    *("campaign_client_id", "campaign_client_secret"),
)


class Host:
    """`tests/acceptance/worker.py` in a process of its own."""

    def __init__(self, sandbox: Sandbox, database: Path, definition: IngressDefinition = DEFINITION) -> None:
        worker = Path(__file__).with_name("worker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        told = {name: getattr(sandbox, name) for name in _TOLD}
        self.ask(json.dumps({**told, "database": str(database), "definition": definition_to_json(definition)}))

    def ask(self, line: str) -> str:
        """Send a request and wait for the first line of its answer."""
        self.tell(line)
        return self.answer()

    def tell(self, line: str) -> None:
        """Send a request without waiting."""
        stdin = cast("IO[str]", self.process.stdin)
        stdin.write(line + "\n")
        stdin.flush()

    def answer(self) -> str:
        """The next line the host says; empty when it ended."""
        return cast("IO[str]", self.process.stdout).readline().strip()

    def cycle(self, seconds: float) -> dict[str, Any]:
        """One cycle's report."""
        report: dict[str, Any] = json.loads(self.ask(f"cycle {seconds}"))
        return report

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.process.kill()
        self._reap()

    def pause(self, database: Path) -> None:
        """SIGSTOP, at a moment when it holds no lock: a process stopped in the middle of a transaction stops all."""
        with closing(SQLiteStorage(database, busy_timeout=0.0)) as storage:
            while True:
                self.process.send_signal(signal.SIGSTOP)
                os.waitpid(self.process.pid, os.WUNTRACED)
                try:
                    storage.close_gate("nobody", storage.now())
                except StorageBusyError:
                    self.resume()
                else:
                    return

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def _reap(self) -> None:
        self.process.wait()
        cast("IO[str]", self.process.stdin).close()
        cast("IO[str]", self.process.stdout).close()

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()
