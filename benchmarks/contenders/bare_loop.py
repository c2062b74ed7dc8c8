"""What a programmer would write in an afternoon: read the pages, send each row, remember nothing.

What lives here: the loop with `httpx.Client`, and the same loop with Syncline's HTTP client, which shows how much of a
difference is the client's and how much the engine's. No queue on disk, no ledger, no retry, no mapping.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from queue import SimpleQueue

from benchmarks.contenders.scene import Pages, Post, Row, Run, Scene, body

from syncline.clock import SystemClock
from syncline.connectors.http import HttpClient, ThrottleGate

__all__ = ["BareLoop", "BareLoopOnOurClient"]


class BareLoop:
    """`threads` threads that send what one thread reads, over one `httpx.Client`."""

    name = "bare loop, httpx.Client"

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def run(self, scene: Scene) -> Run:
        """See `Contender.run`; reading and writing go on at once."""
        with scene.source() as pages, self._target(scene) as post:
            return self._run(pages, post)

    def _run(self, pages: Pages, post: Post) -> Run:
        rows: SimpleQueue[Row | None] = SimpleQueue()
        failures: list[BaseException] = []
        workers = [
            threading.Thread(target=self._work, args=(rows, post, failures), daemon=True) for _ in range(self.threads)
        ]
        for worker in workers:
            worker.start()
        began, busy, count = time.perf_counter(), time.process_time(), 0
        for page in pages():
            for row in page:
                rows.put(row)
            count += len(page)
        for _ in workers:
            rows.put(None)
        for worker in workers:
            worker.join()
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        if failures:
            raise failures[0]
        return Run(seconds=seconds, records=count, threads=self.threads, processor=busy)

    def _target(self, scene: Scene) -> AbstractContextManager[Post]:
        return scene.target(self.threads)

    @staticmethod
    def _work(rows: SimpleQueue[Row | None], post: Post, failures: list[BaseException]) -> None:
        try:
            while (row := rows.get()) is not None:
                post(body(row))
        except BaseException as error:  # noqa: BLE001 - told in the thread that asked
            failures.append(error)


class BareLoopOnOurClient(BareLoop):
    """The same loop, sending with the client that Syncline's connectors share."""

    name = "bare loop, Syncline's client"

    @contextmanager
    def _target(self, scene: Scene) -> Iterator[Post]:
        clock = SystemClock()
        client = HttpClient(
            scene.sandbox.campaign_url,
            clock=clock,
            gate=ThrottleGate("benchmark", clock),
            headers=scene.credentials(),
            connections=self.threads,
            allow_loopback_http=True,
        )
        url = scene.profiles_url

        def post(values: Row) -> None:
            answer = client.request("POST", url, json=values, write=True)
            if answer.status != 201:
                raise RuntimeError(f"Campaign answered {answer.status} to a create")

        try:
            yield post
        finally:
            client.close()
