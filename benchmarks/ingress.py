"""How fast a first load is: the whole ingress workflow against a bare loop of requests, dlt and the Singer SDK.

Run:  python benchmarks/ingress.py [--records 3000] [--latencies 0 20] [--repeats 3] [--only syncline bare]
Needs: pip install 'syncline[sandbox]' dlt singer-sdk    (without the last two their rows are missing, and it says so)

Both systems run in a process of their own on loopback. Every contender brings the same contacts from the same server
to the same server with one create per contact. After each run every profile is compared with what the mapping wants,
and before anything is timed what was sent is compared, body by body. They take turns, and a ratio is the median of the
ratios within a turn, since the machine is not the same from one minute to the next.

What is timed: from the first request for a page to the last answer to a create; for Syncline, which has more to do, to
the end of the transaction that settled the last write. So in Syncline's time are reading, mapping, the queue, the
ledger and the counters in a SQLite file with full durability; not in it are opening the file, checks and start.
Signing in is in nobody's time. The bare loop has no queue, no ledger and no retries, and a dict literal for a mapping.

The processor's time per record is told too: it hardly depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contenders.bare_loop import BareLoop, BareLoopOnOurClient
from benchmarks.contenders.breakdown import Breakdown, Measured
from benchmarks.contenders.scene import Contender, Run, Scene
from benchmarks.contenders.syncline_ingress import SynclineIngress

from syncline.sandbox import Sandbox

#: Seconds a run may take by what latency and threads allow at best; who is slower than that gets fewer records.
_PATIENCE = 6.0
#: Records for the comparison of bodies, which also warms everybody up.
_WARM_UP = 200
_BARE = (1, 8, 16)
#: Threads of the peers, best of 8, 16 and 32: without latency more of them only stand in each other's way.
_PEERS_NEAR, _PEERS_FAR = 16, 32
#: Latency in milliseconds to how many times the bare loop's rate, and to records per second.
_GOALS: dict[float, tuple[float, int]] = {0: (1.3, 0), 20: (1.0, 1_450)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison and print it."""
    options = _parsed(arguments)
    with Sandbox(process=True) as sandbox:
        scene = Scene(sandbox)
        for module in ("dlt", "singer_sdk"):
            if not _installed(module):
                print(f"{module} is not installed: its rows are missing.")
        _prove(scene, _chosen(0, options.only), min(_WARM_UP, options.records))
        for latency in options.latencies:
            field = _chosen(latency, options.only)
            print(f"\nFirst load, {latency:g} ms before each answer to a create", flush=True)
            turns = _compare(scene, field, latency, options.records, options.repeats)
            _print_table(turns)
            if isinstance(field[0], SynclineIngress):
                _print_goals(turns, latency)
                scene.set_up(options.records, latency)
                _print_breakdown(Breakdown().measure(scene))


def _chosen(latency: float, only: Sequence[str]) -> list[Contender]:
    return [one for one in _everybody(latency) if not only or any(word in one.name for word in only)]


def _everybody(latency: float) -> Iterator[Contender]:
    """Syncline first: how many threads it finds right decides on the loop it is compared with."""
    threads_of_peers = _PEERS_FAR if latency >= 5 else _PEERS_NEAR
    yield SynclineIngress()
    for threads in _BARE:
        yield BareLoop(threads)
    yield BareLoopOnOurClient(threads_of_peers)
    if _installed("dlt"):
        from benchmarks.contenders.dlt_pipeline import DltPipeline

        yield DltPipeline(threads_of_peers)
    if _installed("singer_sdk"):
        from benchmarks.contenders.singer_target import SingerBatches, SingerRecords

        yield SingerRecords()
        yield SingerBatches(threads_of_peers)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _prove(scene: Scene, field: Sequence[Contender], records: int) -> None:
    """Everybody sends the same, or nothing is compared."""
    expected = None
    for contender in field:
        scene.set_up(records)
        scene.keep_bodies()
        contender.run(scene)
        scene.verify()
        sent = scene.bodies()
        expected = expected or sent
        assert sent == expected, f"{contender.name} sends other bodies than {field[0].name}"
    print(f"Everybody sent the same {records} bodies, and Campaign holds the same profiles afterwards.", flush=True)


Turns = dict[Contender, list[Run]]


def _compare(scene: Scene, field: Sequence[Contender], latency: float, records: int, repeats: int) -> Turns:
    """Everybody in turns. A bare loop with as many threads as Syncline had in its first turn joins."""
    turns: Turns = {contender: [] for contender in field}
    for turn in range(repeats):
        for contender in list(turns):
            run = _take_turn(scene, contender, latency, records)
            turns[contender].append(run)
            if turn == 0 and not contender.threads and not any(_is_loop(one, run.threads) for one in turns):
                loop = BareLoop(run.threads)
                rest = {one: runs for one, runs in turns.items() if one is not contender}
                turns = {contender: turns[contender], loop: [_take_turn(scene, loop, latency, records)], **rest}
    return turns


def _take_turn(scene: Scene, contender: Contender, latency: float, records: int) -> Run:
    at_best = contender.threads * 1_000 / latency if latency and contender.threads else records
    scene.set_up(max(1, min(records, round(at_best * _PATIENCE))), latency)
    run = contender.run(scene)
    scene.verify()
    return run


def _is_loop(contender: Contender, threads: int) -> bool:
    return type(contender) is BareLoop and contender.threads == threads


def _ratio(turns: Turns, one: Contender, other: Contender | None) -> float | None:
    """How many times as fast one is as the other, by turns."""
    if other is None:
        return None
    return median(mine.rate / its.rate for mine, its in zip(turns[one], turns[other], strict=False))


def _partner(turns: Turns, contender: Contender) -> Contender | None:
    """The bare loop with as many threads."""
    threads = contender.threads or turns[contender][0].threads
    return next((one for one in turns if _is_loop(one, threads)), None)


def _print_table(turns: Turns) -> None:
    print(f"\n{'':34}threads records  records/s (least-most)  of bare loop  syncline is   processor")
    print(f"{'':34}                                          same threads  as fast     ms/record")
    syncline = next((one for one in turns if isinstance(one, SynclineIngress)), None)
    for contender, runs in turns.items():
        rates = [run.rate for run in runs]
        print(
            f"{contender.name:34}{runs[-1].threads:7}{runs[-1].records:8,}{median(rates):11,.0f}"
            f" {f'({min(rates):,.0f}-{max(rates):,.0f})':13}"
            f"{_times(_ratio(turns, contender, _partner(turns, contender))):>12}"
            f"{_times(_ratio(turns, syncline, contender) if syncline else None):>13}"
            f"{median(run.cost for run in runs):12.2f}"
        )


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f} x"


def _print_goals(turns: Turns, latency: float) -> None:
    syncline = next(iter(turns))
    ratio, rate = _GOALS.get(latency, (0.0, 0))
    achieved = _ratio(turns, syncline, _partner(turns, syncline))
    print()
    if ratio and achieved is not None:
        print(
            f"Goal: {ratio:.1f} x the bare loop with the same threads. {_verdict(achieved, ratio)}: {achieved:.2f} x."
        )
    if rate:
        reached = median(run.rate for run in turns[syncline])
        print(f"Goal: {rate:,} records/s. {_verdict(reached, rate)}: {reached:,.0f}.")
    for peer in ("dlt", "singer"):
        for contender in (one for one in turns if one.name.startswith(peer)):
            lead = _ratio(turns, syncline, contender) or 0.0
            print(f"Goal: ahead of {contender.name}. {_verdict(lead, 1.0)}: {lead:.2f} x.")


def _verdict(achieved: float, goal: float) -> str:
    return "Reached" if achieved >= goal else "Not reached"


def _print_breakdown(measured: Measured) -> None:
    """Per record, dearest first; what is under one per cent of the processor and of no weight otherwise is one line."""
    run, total = measured.run, measured.run.processor
    print(
        f"\nWhere the time goes, in a run with clocks in it ({run.rate:,.0f} records/s, {run.threads} writers, "
        f"{run.processor / run.seconds:.2f} processors busy), per record:"
    )
    print(f"{'':13}{'':36}  calls  processor us    share   waiting us")
    small, count = 0.0, 0
    for (role, name), part in sorted(measured.parts.items(), key=lambda item: -item[1].processor):
        if part.processor < total / 100:
            small, count = small + part.processor, count + 1
            continue
        print(
            f"{role:13}{name:36}{part.calls:7,}{part.processor / run.records * 1e6:14.1f}{part.processor / total:9.0%}"
            f"{part.waiting / run.records * 1e6:13,.0f}"
        )
    print(f"{'':13}{f'{count} further parts':36}{'':7}{small / run.records * 1e6:14.1f}{small / total:9.0%}")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=3_000, help="contacts to bring over")
    parser.add_argument("--latencies", type=float, nargs="+", default=[0, 20], help="milliseconds before each answer")
    parser.add_argument("--repeats", type=int, default=3, help="turns of everybody")
    parser.add_argument("--only", nargs="+", default=[], help="words; only contenders with one of them in the name")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
