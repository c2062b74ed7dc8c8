"""How fast the backlog is: against the least that is correct on bare sqlite3, and against other people's queues.

Run:  python benchmarks/backlog.py [--records 100000] [--batch 1000] [--singles 1000] [--turns 5] [--only syncline bare]
Needs: pip install persist-queue litequeue huey diskcache   (those that are missing are left out, and it says so)

Every contender carries the same contacts, of about 400 bytes with random GUIDs, in a process and a file of its own.
They take turns, and a ratio is the median of the ratios within a turn, since the machine is not the same from one
minute to the next. What is timed are the calls of the queue alone, until each one is durable.

Three courses:
  deep     everything is put, counted, and then worked off: the queue is as long as --records
  cycles   a batch is put, taken and finished, again and again: the queue is short and the ledger grows
  singles  the same, one record at a time: what a synchronised transaction costs

Syncline does more than the others in the same time: it marks what is about to be sent in a transaction of its own
(`without mark` shows what that costs), fences every write, keeps exact counters, takes turns between tables and writes
a fingerprint of each record down.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

from attrs import define, field, frozen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.queues.bare_sqlite import BareSQLite
from benchmarks.queues.contender import Contender, records
from benchmarks.queues.peers import installed_peers
from benchmarks.queues.syncline_backlog import SynclineBacklog, SynclineUnmarked

_Result = TypeVar("_Result")

#: What the slow ones get in a turn of a course with many records; a rate is a rate.
_PATIENCE: Final = 2_000
_MEBI: Final = 1024


@frozen
class Took:
    """What some calls cost: records, seconds by the clock, and seconds of the processor."""

    records: int
    seconds: float
    processor: float

    @property
    def rate(self) -> float:
        return self.records / self.seconds if self.seconds else 0.0

    @property
    def processor_each(self) -> float:
        """Microseconds of the processor for each record."""
        return self.processor / self.records * 1e6 if self.records else 0.0


@define
class _Timer:
    seconds: float = 0.0
    processor: float = 0.0

    def call(self, act: Callable[..., _Result], *arguments: object) -> _Result:
        began, used = time.perf_counter(), time.process_time()
        result = act(*arguments)
        self.seconds += time.perf_counter() - began
        self.processor += time.process_time() - used
        return result

    def took(self, count: int) -> Took:
        return Took(count, self.seconds, self.processor)


# -- one contender in a process of its own ----------------------------------------------------------------------------


class _Bench:
    """Runs turns of one contender; lives in the contender's process."""

    def __init__(self, kind: type[Contender], folder: Path, seed: int) -> None:
        self._queue = kind(folder)
        self._records = records(seed)

    def put(self, count: int, batch: int) -> Took:
        """Queue this many."""
        timer = _Timer()
        for size in _batches(count, batch):
            timer.call(self._queue.put, self._queue.prepare(list(islice(self._records, size))))
        return timer.took(count)

    def drain(self, count: int, batch: int) -> Took:
        """Take and finish this many."""
        timer = _Timer()
        done = 0
        for size in _batches(count, batch):
            done += timer.call(self._queue.finish, timer.call(self._queue.take, size))
        assert done == count, f"{done} of {count} came back"
        return timer.took(done)

    def cycles(self, count: int, batch: int) -> Took:
        """Put, take and finish batch by batch."""
        timer = _Timer()
        for size in _batches(count, batch):
            prepared = self._queue.prepare(list(islice(self._records, size)))
            timer.call(self._queue.put, prepared)
            assert timer.call(self._queue.finish, timer.call(self._queue.take, size)) == size
        return timer.took(count)

    def count(self, expected: int) -> Took:
        """Ask for the size."""
        timer = _Timer()
        found = timer.call(self._queue.size)
        assert found == expected, f"{found} queued instead of {expected}"
        return timer.took(1)

    def memory(self) -> int:
        """The most memory this process ever had, in MiB."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _MEBI

    def close(self) -> None:
        self._queue.close()


def _batches(count: int, batch: int) -> Iterator[int]:
    for start in range(0, count, batch):
        yield min(batch, count - start)


def _serve(kind: type[Contender], folder: Path, seed: int, line: Connection) -> None:
    bench = _Bench(kind, folder, seed)
    line.send(None)
    while (asked := line.recv()) is not None:
        name, arguments = asked
        line.send(getattr(bench, name)(*arguments))


@frozen
class _Runner:
    """A contender's process, seen from here."""

    kind: type[Contender]
    _line: Connection

    def ask(self, act: str, *arguments: int) -> Any:
        """Have it run a turn, and wait for what it took."""
        self._line.send((act, arguments))
        return self._line.recv()

    def end(self) -> None:
        self.ask("close")
        self._line.send(None)


@contextmanager
def _running(kinds: Sequence[type[Contender]], folder: Path) -> Iterator[list[_Runner]]:
    """Each contender in a fresh process with a fresh file."""
    context = multiprocessing.get_context("spawn")
    runners, processes = [], []
    for kind in kinds:
        ours, theirs = context.Pipe()
        place = Path(tempfile.mkdtemp(dir=folder))
        process = context.Process(target=_serve, args=(kind, place, 7, theirs), daemon=True)
        process.start()
        assert ours.recv() is None
        runners.append(_Runner(kind, ours))
        processes.append(process)
    yield runners
    for runner, process in zip(runners, processes, strict=True):
        runner.end()
        process.join()


# -- the courses ------------------------------------------------------------------------------------------------------


@define
class _Lap:
    """What the contenders took in one kind of turn, turn by turn."""

    title: str
    took: dict[str, list[Took]] = field(factory=dict)

    def add(self, runner: _Runner, took: Took) -> None:
        self.took.setdefault(runner.kind.name, []).append(took)

    def show(self, first: str) -> None:
        """A line for each contender: rate, processor time, and its ratio to `first` within each turn."""
        print(f"  {self.title}")
        base = self.took.get(first)
        for name, turns in self.took.items():
            rate = sum(turn.records for turn in turns) / sum(turn.seconds for turn in turns)
            used = median(turn.processor_each for turn in turns)
            line = f"    {name:<14} {rate:>10,.0f} records/s   {used:>8,.1f} us of processor each"
            if base is not None and name != first:
                ratio = median(turn.rate / other.rate for turn, other in zip(turns, base, strict=False))
                line += f"   {ratio:>6.2f} x {first}"
            print(line, flush=True)


def _share(runner: _Runner, count: int, batch: int) -> int:
    """How many records a turn has for this contender."""
    return count if runner.kind.batches or batch == 1 else min(count, _PATIENCE)


def _deep(kinds: Sequence[type[Contender]], folder: Path, options: argparse.Namespace) -> None:
    """Fill the queue in turns, count it, work it off in turns."""
    print(f"\nDeep: {options.records:,} records in batches of {options.batch:,}", flush=True)
    put, drain, whole = _Lap("put"), _Lap("take and finish"), _Lap("both together")
    with _running(kinds, folder) as runners:
        for size in _batches(options.records, -(-options.records // options.turns)):
            for runner in runners:
                put.add(runner, runner.ask("put", size, options.batch))
        put.show(BareSQLite.name)
        for runner in runners:
            took: Took = runner.ask("count", options.records)
            print(f"    {runner.kind.name:<14} counts {options.records:,} in {took.seconds * 1000:.1f} ms")
        for size in _batches(options.records, -(-options.records // options.turns)):
            for runner in runners:
                drain.add(runner, runner.ask("drain", size, options.batch))
        drain.show(BareSQLite.name)
        for runner in runners:
            name = runner.kind.name
            for one, other in zip(put.took[name], drain.took[name], strict=True):
                whole.add(runner, Took(one.records, one.seconds + other.seconds, one.processor + other.processor))
        whole.show(BareSQLite.name)
        for runner in runners:
            print(f"    {runner.kind.name:<14} needed {runner.ask('memory')} MiB at most", flush=True)


def _cycles(
    kinds: Sequence[type[Contender]], folder: Path, options: argparse.Namespace, count: int, batch: int
) -> None:
    print(f"\n{'Singles' if batch == 1 else 'Cycles'}: {count:,} records in batches of {batch:,}", flush=True)
    lap = _Lap("put, take and finish")
    with _running(kinds, folder) as runners:
        for size in _batches(count, -(-count // options.turns)):
            for runner in runners:
                lap.add(runner, runner.ask("cycles", _share(runner, size, batch), batch))
        lap.show(BareSQLite.name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison and print it."""
    options = _parsed(arguments)
    peers, missing = installed_peers()
    kinds: list[type[Contender]] = [BareSQLite, SynclineBacklog, SynclineUnmarked, *peers]
    if options.only:
        kinds = [kind for kind in kinds if any(word in kind.name for word in options.only)]
    print(f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}")
    for kind in kinds:
        print(f"  {kind.name:<14} {kind.durability}{'' if kind.batches else '; one record a call'}")
    if missing and not options.only:
        print(f"  not installed: {', '.join(missing)}")
    ours = [kind for kind in kinds if kind in (BareSQLite, SynclineBacklog)]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        _deep(ours, folder, options)
        _cycles(kinds, folder, options, options.records, options.batch)
        _cycles(kinds, folder, options, options.singles, 1)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--records", type=int, default=100_000, help="for `deep` and `cycles`; 2000000 is the real size"
    )
    parser.add_argument("--batch", type=int, default=1_000, help="records in one call")
    parser.add_argument("--singles", type=int, default=1_000, help="records one by one")
    parser.add_argument("--turns", type=int, default=5, help="how often the contenders take turns")
    parser.add_argument("--only", nargs="*", default=[], help="words of the names to compare")
    parser.add_argument("--folder", type=Path, default=None, help="where the files go; the disk matters")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
