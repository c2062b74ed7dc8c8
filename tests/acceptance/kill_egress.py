"""Events delivered twice, in shuffled overlapping files, to a host that is killed at random moments.

Run:  python -m tests.acceptance.kill_egress [--events 100000] [--kills 30] [--seed 1]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from attrs import frozen

from syncline.definitions import EventKind
from syncline.events import event_id
from syncline.records import Event
from syncline.sandbox import Sandbox
from syncline.sandbox.log_exports import ExportedLogs
from syncline.storage.sqlite import SQLiteStorage

__all__ = ["Report", "campaign"]

_TABLES = {kind: f"adobe_email{kind.value}" for kind in EventKind}
_PEOPLE = 400
#: Of no weight: an id does not rest on it where there is a log id.
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
#: A campaign that gets nowhere for so long has failed.
_PATIENCE = 300.0


@frozen(kw_only=True)
class Report:
    """What came of a campaign. `problems` is empty when each event appears exactly once and every number is right."""

    events: int
    files: int
    kills: int
    seconds: float
    problems: tuple[str, ...]


def campaign(room: Path, *, events: int, kills: int, seed: int = 1) -> Report:
    """Export, deliver everything twice, kill, and compare the timeline with what was exported."""
    draw = random.Random(seed)  # noqa: S311 - repeatable on purpose
    began = time.monotonic()
    with Sandbox(process=True, contacts=_PEOPLE) as sandbox:
        people = [row["contactid"] for row in sandbox.dynamics.rows("contact", ["contactid"])]
        first, drop = room / "exported", room / "drop"
        drop.mkdir(parents=True)
        deliveries = max(1, round(events / (_PEOPLE * 1.45)))
        exported = sandbox.campaign.export_logs(first, people=people, deliveries=deliveries, rows_per_file=2_000)
        waves = list(_deliver_twice(exported, draw))
        killed = _Host(sandbox, room, drop, draw).bring_over(waves, kills)
        problems = [*_differences(sandbox, exported), *_inexact(room / "syncline.db")]
    return Report(
        events=exported.events,
        files=len(list(drop.iterdir())),
        kills=killed,
        seconds=time.monotonic() - began,
        problems=tuple(problems),
    )


def _deliver_twice(exported: ExportedLogs, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    """Every file as it is, and every row once more in other files: shuffled, overlapping, some of them packed."""
    copies: list[tuple[str, bytes]] = [(path.name, path.read_bytes()) for path in exported.files]
    for log in ("delivery_log", "tracking_log"):
        lines = [path.read_bytes().splitlines(keepends=True) for path in exported.files if path.name.startswith(log)]
        header, rows = lines[0][0], [row for file in lines for row in file[1:]]
        draw.shuffle(rows)
        for number, start in enumerate(range(0, len(rows), 1_500)):
            some = header + b"".join(rows[max(0, start - 200) : start + 1_500])
            name = f"{log}_again_{number:04d}.csv"
            copies.append((f"{name}.gz", gzip.compress(some)) if number % 3 == 0 else (name, some))
    draw.shuffle(copies)
    yield from copies


class _Host:
    """A host that is started again after every kill."""

    def __init__(self, sandbox: Sandbox, room: Path, drop: Path, draw: random.Random) -> None:
        self._told = {
            name: getattr(sandbox, name)
            for name in (
                "dynamics_url", "campaign_url", "tenant_id", "client_id", "client_secret", "authority_url", "ims_url",
                "campaign_client_id", "campaign_client_secret",
            )
        }  # fmt: skip
        self._told |= {"database": str(room / "syncline.db"), "folder": str(drop), "file_page": 500}
        self._drop = drop
        self._draw = draw

    def bring_over(self, files: Sequence[tuple[str, bytes]], kills: int) -> int:
        """Deliver the files between the kills; how often the host was killed. Ends when all is written."""
        left = list(files)
        for kill in range(kills):
            for _ in range(len(left) // max(1, kills - kill - 1) if kill < kills - 1 else len(left)):
                self._put(*left.pop())
            host, said = self._start()
            self._wait_for(said, "working")
            self._idle(said, seconds=self._draw.uniform(0.02, 0.9))
            host.kill()
            _end(host)
        while left:
            self._put(*left.pop())
        host, said = self._start()
        deadline = time.monotonic() + _PATIENCE
        idle = 0
        while idle < 3 and time.monotonic() < deadline:
            line = said.get(timeout=_PATIENCE)
            if line.startswith("{"):
                report = json.loads(line)
                idle = idle + 1 if report["idle"] and not report["written"] else 0
        host.kill()
        _end(host)
        return kills

    def _put(self, name: str, data: bytes) -> None:
        """In place at once, as a careful export does it."""
        hidden = self._drop / f".{name}"
        hidden.write_bytes(data)
        hidden.rename(self._drop / name)

    def _start(self) -> tuple[subprocess.Popen[bytes], SimpleQueue[str]]:
        host = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.egress_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert host.stdin is not None
        host.stdin.write(json.dumps(self._told).encode() + b"\n")
        host.stdin.flush()
        said: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=_listen, args=(host, said), daemon=True).start()
        return host, said

    @staticmethod
    def _wait_for(said: SimpleQueue[str], word: str) -> None:
        while said.get(timeout=_PATIENCE) != word:
            pass

    @staticmethod
    def _idle(said: SimpleQueue[str], seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                said.get(timeout=left)
            except Empty:
                return


def _end(host: subprocess.Popen[bytes]) -> None:
    host.wait()
    for pipe in (host.stdin, host.stdout):
        if pipe is not None:
            pipe.close()


def _listen(host: subprocess.Popen[bytes], said: SimpleQueue[str]) -> None:
    assert host.stdout is not None
    try:
        for line in host.stdout:
            said.put(line.decode().strip())
    except ValueError:
        return  # the pipe was closed behind a host that was killed


def _differences(sandbox: Sandbox, exported: ExportedLogs) -> Iterator[str]:
    """Where the timeline is not what was exported."""
    logs = {
        EventKind.SEND: exported.sends,
        EventKind.OPEN: exported.opens,
        EventKind.CLICK: exported.clicks,
        EventKind.BOUNCE: exported.bounces,
    }
    for kind, log_ids in logs.items():
        wanted = {_id(kind, log_id) for log_id in log_ids}
        shown = [row["activityid"] for row in sandbox.dynamics.rows(_TABLES[kind], ["subject"])]
        if len(shown) != len(wanted):
            yield f"{len(wanted)} {kind.value}s were exported and {len(shown)} are shown"
        if set(shown) != wanted:
            yield f"the {kind.value}s that are shown are not those that were exported"


def _id(kind: EventKind, log_id: str) -> str:
    return event_id(Event(kind=kind, contact="x", occurred_on=_SOME_DAY, log_id=log_id), "")


def _inexact(database: Path) -> Iterator[str]:
    with closing(SQLiteStorage(database)) as storage:
        yield from storage.audit("default/egress")
        counts = storage.counts("default/egress")
        if counts.size or counts.dead_letters or counts.set_aside:
            yield f"{counts.size} queued, {counts.dead_letters} dead, {counts.set_aside} set aside"


def main() -> None:
    """One campaign, as large as asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        report = campaign(Path(room), events=options.events, kills=options.kills, seed=options.seed)
    sys.stdout.write(f"{report}\n")
    raise SystemExit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
