"""The same work with dlt: a resource that reads, and a custom destination that creates one profile per item.

What lives here: the pipeline, with its settings at their best for this work, found by trying: dlt hands each file of a
load package to a worker of its own, so the rows are spread over as many files as there are workers, and a call gets as
many items as it may. Schemas are given instead of guessed, telemetry is off, nothing is compressed. Needs `dlt`.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.contenders.scene import Pages, Post, Row, Run, Scene, body

__all__ = ["DltPipeline"]

_QUIET = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
}
_BATCH = 1_000
_TEXT = {"data_type": "text", "nullable": True}
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("externalId", "firstName", "lastName", "email", "mobilePhone", "birthDate", "gender"), _TEXT),
    "cusChildren": {"data_type": "bigint", "nullable": True},
    "cusScore": {"data_type": "double", "nullable": True},
}


class DltPipeline:
    """A pipeline with `threads` load workers."""

    name = "dlt, custom destination"

    def __init__(self, threads: int, batch: int = _BATCH) -> None:
        self.threads = threads
        self._batch = batch

    def run(self, scene: Scene) -> Run:
        """See `Contender.run`; ends with the last answer to a create, not with dlt's own clearing up."""
        share = -(-scene.sandbox.dynamics.count("contact") // self.threads)
        with (
            tempfile.TemporaryDirectory() as folder,
            _settings(folder, self.threads, share),
            scene.source() as pages,
            scene.target(self.threads) as post,
        ):
            return self._run(pages, post, folder)

    def _run(self, pages: Pages, post: Post, folder: str) -> Run:
        import dlt  # type: ignore[import-not-found, unused-ignore]

        began = ended = busy_before = busy_after = 0.0
        written: list[int] = []

        @dlt.resource(name="profile", columns=_SCHEMA)  # type: ignore[untyped-decorator, unused-ignore]
        def contacts() -> Iterator[list[Row]]:
            nonlocal began, busy_before
            began, busy_before = time.perf_counter(), time.process_time()
            for page in pages():
                yield [body(row) for row in page]

        @dlt.destination(  # type: ignore[untyped-decorator, unused-ignore]
            batch_size=self._batch, loader_parallelism_strategy="parallel", name="campaign"
        )
        def campaign(items: list[Row], table: object) -> None:  # noqa: ARG001
            nonlocal ended, busy_after
            for item in items:
                post({name: value for name, value in item.items() if value is not None})
            written.append(len(items))
            ended, busy_after = time.perf_counter(), time.process_time()

        pipeline = dlt.pipeline("benchmark", destination=campaign, pipelines_dir=folder, progress=None)
        pipeline.run(contacts())
        busy = busy_after - busy_before
        return Run(seconds=ended - began, records=sum(written), threads=self.threads, processor=busy)


@contextmanager
def _settings(folder: str, workers: int, items_per_file: int) -> Iterator[None]:
    """dlt is told by the environment, and keeps nothing outside of `folder`."""
    before = dict(os.environ)
    os.environ.update(_QUIET, DLT_DATA_DIR=folder, DLT_PROJECT_DIR=folder, LOAD__WORKERS=str(workers))
    os.environ["NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS"] = str(items_per_file)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        os.environ.clear()
        os.environ.update(before)
