"""Where Syncline's time goes, part by part, on the processor and beside it.

What lives here: clocks around the parts, put on for one run that is not compared with anybody's. A part's time is its
own: what a part inside it takes is the inner part's. A thread's processor time only runs while the thread does, so the
difference to the wall is waiting: for an answer, for the disk, for Python's lock, or for a free processor.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

from attrs import define, frozen
from benchmarks.contenders.scene import Run, Scene
from benchmarks.contenders.syncline_ingress import SynclineIngress, Watch

from syncline import SQLiteStorage, Storage
from syncline.connectors.base import CampaignConnector, DynamicsConnector

__all__ = ["Breakdown", "Measured", "Part"]

#: Functions by the name their caller knows them by, and the part they belong to.
_FUNCTIONS = {
    "syncline.workflows.ingress.decide": "mapping: decide",
    "syncline.workflows.writing.decide": "mapping: decide",
    "syncline.workflows.ingress.encode_values": "JSON of the backlog",
    "syncline.workflows.writing.decode_values": "JSON of the backlog",
    "syncline.connectors.http.client.dump": "JSON of requests",
    "syncline.connectors.http.response.load": "JSON of answers",
    "syncline.connectors.http.client.HttpClient.request": "HTTP",
}
_ROLES = ("writer", "reader")


@define
class Part:
    """What one part took in one run, in seconds."""

    calls: int = 0
    processor: float = 0.0
    waiting: float = 0.0


@frozen(kw_only=True)
class Measured:
    """One run with the clocks on, from the start of the cycle to the last settled write."""

    run: Run
    #: By kind of thread and name of the part.
    parts: dict[tuple[str, str], Part]


class _Clocks:
    """Own times per part. Each thread keeps its own; nobody waits for a lock."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: list[tuple[str, dict[str, Part]]] = []

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, with the clock on."""

        def timed(*args: Any, **more: Any) -> Any:
            parts, inner = self._mine()
            inner.append([0.0, 0.0])
            wall, processor = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **more)
            finally:
                processor, wall = time.thread_time() - processor, time.perf_counter() - wall
                inside_wall, inside_processor = inner.pop()
                part = parts[name]
                part.calls += 1
                part.processor += processor - inside_processor
                part.waiting += wall - inside_wall - processor + inside_processor
                if inner:
                    inner[-1][0] += wall
                    inner[-1][1] += processor

        return timed

    def _mine(self) -> tuple[dict[str, Part], list[list[float]]]:
        local = self._local
        if not hasattr(local, "parts"):
            local.parts, local.inner = defaultdict(Part), []
            name = threading.current_thread().name
            role = next((role for role in _ROLES if f"-{role}" in name), "coordinator")
            self._all.append((role, local.parts))
        return local.parts, local.inner

    def forget(self) -> None:
        """Begin again at nothing."""
        for _, parts in self._all:
            parts.clear()

    def parts(self) -> dict[tuple[str, str], Part]:
        """All threads of a kind together."""
        total: dict[tuple[str, str], Part] = defaultdict(Part)
        for role, parts in self._all:
            for name, part in parts.items():
                sum_of = total[role, name]
                sum_of.calls += part.calls
                sum_of.processor += part.processor
                sum_of.waiting += part.waiting
        return dict(total)


class _Watch(Watch):
    """Keeps checks and start out of the parts too, and notes what the coordinator's thread did in all."""

    def __init__(self, clocks: _Clocks) -> None:
        super().__init__()
        self._clocks = clocks
        self._coordinator_before = 0.0
        self.coordinator = 0.0

    def cycle_started(self) -> None:
        super().cycle_started()
        self._clocks.forget()
        self._coordinator_before = time.thread_time()

    def settled(self, now: float) -> None:
        super().settled(now)
        self.coordinator = time.thread_time() - self._coordinator_before


class Breakdown(SynclineIngress):
    """Syncline with clocks in it."""

    name = "syncline with clocks"

    def __init__(self) -> None:
        self._clocks = _Clocks()
        self._watch = _Watch(self._clocks)

    def measure(self, scene: Scene) -> Measured:
        """One run, and what its parts took. What no clock is around is called the rest of its thread."""
        with self._functions():
            run = self.run(scene)
        parts = self._clocks.parts()
        known = {role: sum(part.processor for (its, _), part in parts.items() if its == role) for role in _ROLES}
        mine = sum(part.processor for (role, _), part in parts.items() if role == "coordinator")
        rest = self._watch.coordinator - mine
        parts["coordinator", "rest: queues, jobs, verdicts"] = Part(processor=rest)
        others = run.processor - self._watch.coordinator - sum(known.values())
        parts["writer", "rest: queues, threads"] = Part(processor=others)
        return Measured(run=run, parts=parts)

    def watch(self) -> Watch:
        """See `SynclineIngress.watch`; one run per object."""
        return self._watch

    def storage(self, path: Path) -> Storage:
        """Every method of the storage is a part."""
        methods = sorted(Storage.__abstractmethods__)
        storage: Storage = self._with_clocks(SQLiteStorage(path), "storage: {}", methods)
        return storage

    def dynamics(self, scene: Scene) -> DynamicsConnector:
        """Reading pages is a part."""
        source: DynamicsConnector = self._with_clocks(super().dynamics(scene), "Dynamics connector: {}", ["read"])
        return source

    def campaign(self, scene: Scene) -> CampaignConnector:
        """Creating is a part."""
        target: CampaignConnector = self._with_clocks(
            super().campaign(scene), "Campaign connector: {}", ["apply", "create", "find", "update"]
        )
        return target

    @contextmanager
    def _functions(self) -> Iterator[None]:
        with ExitStack() as stack:
            for path, name in _FUNCTIONS.items():
                owner, _, attribute = path.rpartition(".")
                timed = self._clocks.around(name, resolve_name(path))
                stack.enter_context(patch.object(resolve_name(owner), attribute, timed))
            yield

    def _with_clocks(self, target: Any, name: str, methods: list[str]) -> Any:
        """The same object; its class is now one whose methods have clocks around them."""
        kind = type(target)
        timed = {method: self._clocks.around(name.format(method), getattr(kind, method)) for method in methods}
        target.__class__ = type(kind.__name__, (kind,), timed)
        return target
