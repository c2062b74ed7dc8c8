"""Telling what happens, without being hurt by who listens."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import attrs
import pytest

from syncline import instrumentation
from syncline.instrumentation import (
    CycleFinished,
    CycleStarted,
    DeadLettered,
    DeletesHeld,
    Edited,
    FileRead,
    Instrumentation,
    LeaseLost,
    Notice,
    OptOutDelayed,
    PageRead,
    ReplayRequested,
    ResyncStarted,
    StateChanged,
    SweepMended,
    TakenOver,
    Throttled,
    WritesSettled,
)
from syncline.records import ReadStage, RecordKey
from syncline.state_machine import WorkflowEvent, WorkflowState

KEY = RecordKey(table="contact", id="7f3c")
FAILURE = StateChanged(
    workflow="ingress",
    before=WorkflowState.RUNNING,
    after=WorkflowState.FAILED,
    cause=WorkflowEvent.UNRECOVERABLE,
    generation=4,
    detail="SchemaChangedError: contact.emailaddress1",
)
EVERY_KIND: list[Notice] = [
    CycleStarted(workflow="ingress", generation=4),
    CycleFinished(workflow="ingress", generation=4, seconds=1.25, read=10, written=9, dead=1, backlog=3),
    PageRead(
        workflow="ingress",
        table="contact",
        stage=ReadStage.DELTA,
        changes=10,
        queued=8,
        skipped=1,
        refused=1,
        seconds=0.5,
    ),
    FileRead(
        workflow="egress", file="delivery_log_1.csv", rows=9, queued=6, skipped=2, refused=1, done=True, seconds=0.1
    ),
    WritesSettled(workflow="ingress", written=7, skipped=1, delayed=1, dead=0, calls=15, seconds=2.0),
    Throttled(workflow="ingress", principal="campaign", until=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    DeadLettered(workflow="ingress", key=KEY, reason="too long", field="lastName"),
    OptOutDelayed(workflow="opt_out", key=KEY, attempts=12, reason="UnavailableError"),
    FAILURE,
    TakenOver(workflow="ingress", generation=4, epoch=9, crashes=1),
    LeaseLost(workflow="ingress", generation=4, epoch=8),
    Edited(workflow="ingress", changes=2),
    ReplayRequested(workflow="ingress", table="contact"),
    SweepMended(workflow="ingress", table="contact", checked=20, mended=1),
    DeletesHeld(workflow="ingress", table="contact", held=3_120, most=1_000),
    ResyncStarted(workflow="ingress", table="contact", reason="the delta link expired"),
]


class Watcher:
    """A host's hook: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Notice] = []

    def __call__(self, notice: Notice, /) -> None:
        self.told.append(notice)


def failing_hook(notice: Notice, /) -> None:
    raise RuntimeError("the metrics server is away")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, logger="syncline"):
        yield caplog


def test_every_kind_of_notice_is_tried_here() -> None:
    """The list above is complete: a new notice has to join it."""
    exported = {getattr(instrumentation, name) for name in instrumentation.__all__}
    kinds = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, Notice)} - {Notice}
    assert {type(notice) for notice in EVERY_KIND} == kinds


@pytest.mark.parametrize("notice", EVERY_KIND, ids=lambda notice: notice.event)
def test_each_notice_is_one_line_with_its_fields_beside_it(notice: Notice, log: pytest.LogCaptureFixture) -> None:
    """The log names the workflow and the event, and carries every field under a prefixed name."""
    Instrumentation()(notice)
    (record,) = log.records
    assert record.name == "syncline"
    assert "\n" not in record.getMessage()
    assert record.getMessage().startswith(notice.workflow)
    assert vars(record)["syncline_event"] == notice.event
    told = {name for name in vars(record) if name.startswith("syncline_")}
    assert told == {"syncline_event"} | {f"syncline_{attribute.name}" for attribute in attrs.fields(type(notice))}


def test_event_names_are_distinct() -> None:
    """A filter on an event's name finds that event only."""
    names = [notice.event for notice in EVERY_KIND]
    assert len(set(names)) == len(names)


def test_a_failure_is_logged_as_an_error(log: pytest.LogCaptureFixture) -> None:
    """FAILED is loud; other steps of the workflow are not."""
    tell = Instrumentation()
    tell(FAILURE)
    tell(attrs.evolve(FAILURE, after=WorkflowState.STOPPED, cause=WorkflowEvent.DRAINED))
    assert [record.levelno for record in log.records] == [logging.ERROR, logging.INFO]


def test_hooks_receive_the_notice_itself() -> None:
    """Every hook is handed every notice, in order, also when nobody listens to the log."""
    first, second = Watcher(), Watcher()
    tell = Instrumentation([first, second])
    for notice in EVERY_KIND:
        tell(notice)
    assert first.told == EVERY_KIND == second.told


def test_a_hook_that_raises_hurts_nobody_and_is_reported_once(log: pytest.LogCaptureFixture) -> None:
    """The engine goes on, the hooks after it are still called, and the log has one complaint with a traceback."""
    watcher = Watcher()
    tell = Instrumentation([failing_hook, watcher])
    for _ in range(3):
        tell(EVERY_KIND[0])
    assert len(watcher.told) == 3
    complaints = [record for record in log.records if vars(record).get("syncline_event") == "hook.failed"]
    assert len(complaints) == 1
    assert complaints[0].levelno == logging.ERROR
    assert complaints[0].exc_info is not None
    assert "failing_hook" in complaints[0].getMessage()


def test_a_broken_logging_set_up_hurts_nobody() -> None:
    """When the host's own log filter raises, the engine and the hooks go on."""

    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise OSError("disk full")

    broken, watcher = Broken(), Watcher()
    instrumentation.logger.addFilter(broken)
    try:
        Instrumentation([watcher])(FAILURE)
    finally:
        instrumentation.logger.removeFilter(broken)
    assert watcher.told == [FAILURE]


def test_a_person_who_interrupts_is_heard() -> None:
    """Containing a hook does not eat Ctrl-C."""

    def interrupted(notice: Notice, /) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Instrumentation([interrupted])(FAILURE)


def test_text_of_a_service_cannot_forge_a_line(log: pytest.LogCaptureFixture) -> None:
    """Line ends, terminal colours and characters that turn text around are escaped, in the line and in the fields."""
    forged = "x\r\nERROR root: all is lost \x1b[31m\u202egnp.exe\u2028"
    Instrumentation()(DeadLettered(workflow="ingress", key=KEY, reason=forged))
    (record,) = log.records
    for text in (record.getMessage(), vars(record)["syncline_reason"]):
        assert text.isprintable()
        assert "\\r\\nERROR" in text


def test_long_text_is_cut(log: pytest.LogCaptureFixture) -> None:
    """A page of HTML in an error does not fill the log."""
    Instrumentation()(DeadLettered(workflow="ingress", key=KEY, reason="<p>" * 100_000))
    (record,) = log.records
    assert len(record.getMessage()) < 1000
    assert len(vars(record)["syncline_reason"]) <= 500


def test_the_root_logger_is_left_alone() -> None:
    """Our own logger has a handler that does nothing; nothing else is configured."""
    ours = logging.getLogger("syncline")
    assert [type(handler) for handler in ours.handlers] == [logging.NullHandler]
    assert ours.propagate
