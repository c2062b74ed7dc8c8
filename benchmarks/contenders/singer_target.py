"""The same work with Meltano's Singer SDK: records as lines of JSON into a target whose sink creates profiles.

What lives here: two targets. One has a `RecordSink`, as the SDK means it for APIs that take one record at a time, which
writes one after the other. The other has a `BatchSink` that hands each batch to threads of its own. The tap is a
generator that prints with the SDK's own writer, without the tap's checks and metrics; there is no pipe in between.
Needs `singer-sdk`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, ClassVar, cast

from benchmarks.contenders.scene import Pages, Post, Row, Run, Scene, body
from singer_sdk import Target  # type: ignore[import-not-found, unused-ignore]
from singer_sdk.singerlib import RecordMessage, SchemaMessage, StateMessage  # type: ignore[import-not-found, unused-ignore]
from singer_sdk.singerlib.encoding import SimpleSingerWriter  # type: ignore[import-not-found, unused-ignore]
from singer_sdk.sinks import BatchSink, RecordSink  # type: ignore[import-not-found, unused-ignore]

__all__ = ["SingerBatches", "SingerRecords"]

_STREAM = "contacts"
_TEXT = {"type": ["string", "null"]}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "contactid": {"type": "string"},
        "firstname": _TEXT,
        "lastname": _TEXT,
        "emailaddress1": _TEXT,
        "mobilephone": _TEXT,
        "birthdate": _TEXT,
        "gendercode": {"type": ["integer", "null"]},
        "numberofchildren": {"type": ["integer", "null"]},
        "creditlimit": {"type": ["number", "null"]},
    },
}
_BATCH = 1_000


def _profile(record: Row) -> Row:
    """The SDK reads fractions as `Decimal`, which httpx cannot send."""
    values = body(record)
    if "cusScore" in values:
        values["cusScore"] = float(values["cusScore"])
    return values


class _ProfileSink(RecordSink):  # type: ignore[misc, unused-ignore]
    post: ClassVar[Post]

    def process_record(self, record: Row, context: Row) -> None:
        type(self).post(_profile(record))


class _ProfileBatchSink(BatchSink):  # type: ignore[misc, unused-ignore]
    post: ClassVar[Post]
    threads: ClassVar[ThreadPoolExecutor]
    max_size = _BATCH  # type: ignore[assignment, unused-ignore]

    def process_batch(self, context: Row) -> None:
        sink = type(self)
        for _ in sink.threads.map(lambda record: sink.post(_profile(record)), context["records"]):
            pass


class _ProfileTarget(Target):  # type: ignore[misc, unused-ignore]
    name = "target-campaign"
    config_jsonschema: ClassVar[dict[str, Any]] = {"properties": {}}
    default_sink_class = _ProfileSink


class _ProfileBatchTarget(_ProfileTarget):
    default_sink_class = _ProfileBatchSink


class SingerRecords:
    """A `RecordSink`: one create after the other."""

    name = "singer-sdk, RecordSink"
    threads = 1

    def run(self, scene: Scene) -> Run:
        """See `Contender.run`."""
        with scene.source() as pages, scene.target(1) as post:
            _ProfileSink.post = staticmethod(post)  # type: ignore[assignment, unused-ignore]
            return _listen(_ProfileTarget, pages, self.threads)


class SingerBatches:
    """A `BatchSink` with threads of its own."""

    name = "singer-sdk, BatchSink with threads"

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def run(self, scene: Scene) -> Run:
        """See `Contender.run`."""
        with scene.source() as pages, scene.target(self.threads) as post, ThreadPoolExecutor(self.threads) as threads:
            _ProfileBatchSink.post = staticmethod(post)  # type: ignore[assignment, unused-ignore]
            _ProfileBatchSink.threads = threads
            return _listen(_ProfileBatchTarget, pages, self.threads)


def _listen(target_class: type[_ProfileTarget], pages: Pages, threads: int) -> Run:
    logging.disable(logging.INFO)
    count = 0

    def lines() -> Iterator[str]:
        nonlocal count
        write = SimpleSingerWriter().format_message
        yield write(SchemaMessage(stream=_STREAM, schema=_SCHEMA, key_properties=["contactid"]))
        for page in pages():
            count += len(page)
            for row in page:
                wanted = {name: row[name] for name in _SCHEMA["properties"]}
                yield write(RecordMessage(stream=_STREAM, record=wanted))
            yield write(StateMessage(value={"bookmarks": {_STREAM: {"read": count}}}))

    try:
        target = target_class(config={})
        began, busy = time.perf_counter(), time.process_time()
        with redirect_stdout(StringIO()):  # a target prints its state
            target.listen(cast("Any", lines()))
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        return Run(seconds=seconds, records=count, threads=threads, processor=busy)
    finally:
        logging.disable(logging.NOTSET)
