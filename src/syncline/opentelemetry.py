"""What Syncline tells, as OpenTelemetry spans and metrics. Needs the extra `opentelemetry`.

What lives here: `OpenTelemetryHook`, and the names of its spans, metrics and attributes, which stay as they are. What
never goes in: keys and values of records, secrets, error messages. Spans and metrics carry the names of workflows,
tables and fields, numbers, and classes of errors.

- Spans: `syncline.cycle`, and within it `syncline.page` for each page that was read and `syncline.write` for each batch
  that was written.
- Everything is under `syncline.`; times are in seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from syncline.clock import Clock, SystemClock
from syncline.errors import MissingExtraError, SynclineError
from syncline.instrumentation import (
    CycleFinished,
    CycleStarted,
    DeadLettered,
    LeaseLost,
    Notice,
    OptOutDelayed,
    PageRead,
    ResyncStarted,
    StateChanged,
    TakenOver,
    Throttled,
    WritesSettled,
)
from syncline.state_machine import WorkflowState
from syncline.views.workflow_list import WorkflowView

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
    from opentelemetry.trace import Span, StatusCode, TracerProvider
except ImportError:
    raise MissingExtraError("Telling spans and metrics", extra="opentelemetry") from None

__all__ = ["OpenTelemetryHook", "Watched"]

_NAME: Final = "syncline"
#: One look at a workflow serves all gauges of one collection.
_FRESH_SECONDS: Final = 1.0

_Attributes = Mapping[str, str | int | float | bool]


class Watched(Protocol):
    """What the gauges need of a workflow; every `Workflow` is one."""

    id: str

    @property
    def view(self) -> WorkflowView:
        """Its line of the Workflows page, as of now."""


class OpenTelemetryHook:
    """A hook for `Integration(hooks=[...])` that makes spans and counts, and gauges for the workflows it watches.

    Uses the global providers unless it is given its own. Starts no thread and exports nothing: that is the business of
    the SDK your host has set up. May be shared by any number of integrations.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        self._lock = threading.Lock()
        #: The span of the cycle that is under way in this process, by workflow.
        self._cycles: dict[str, Span] = {}
        self._watched: dict[str, _Look] = {}
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._add_counters(meter)
        self._add_gauges(meter)

    def watch(self, *workflows: Watched) -> None:
        """Show the backlogs and statuses of these workflows in the gauges.

        Each collection of metrics then reads the storage once for each workflow; one that cannot be read just now is
        left out of that collection. Watch a workflow in one process only, or its gauges are reported twice.
        """
        with self._lock:
            self._watched.update({one.id: _Look(one, self._clock) for one in workflows})

    def __call__(self, notice: Notice, /) -> None:
        """Take note. Costs microseconds; exporting happens in the SDK."""
        match notice:
            case CycleStarted():
                self._cycle_started(notice)
            case CycleFinished():
                self._cycle_finished(notice)
            case PageRead():
                self._page_read(notice)
            case WritesSettled():
                self._writes_settled(notice)
            case StateChanged():
                self._state_changed(notice)
            case LeaseLost():
                self._ended(notice.workflow, error="LeaseLostError")
            case Throttled():
                self._throttles.add(1, _about(notice))
                self._event(notice, {"syncline.until": notice.until.isoformat()})
            case OptOutDelayed():
                self._opt_outs_delayed.add(1, _about(notice))
                self._event(notice, {"syncline.attempts": notice.attempts})
            case DeadLettered():
                attributes = {"syncline.table": notice.key.table, "syncline.reason": notice.reason}
                self._event(notice, {**attributes, "syncline.field": notice.field})
            case ResyncStarted():
                self._event(notice, {"syncline.table": notice.table})
            case TakenOver():
                self._event(notice, {"syncline.crashes": notice.crashes})

    # -- spans ---------------------------------------------------------------------------------------------------------

    def _cycle_started(self, notice: CycleStarted) -> None:
        self._ended(notice.workflow, error="abandoned")
        span = self._tracer.start_span(
            "syncline.cycle",
            start_time=_nanoseconds(self._clock.now()),
            attributes={"syncline.workflow": notice.workflow, "syncline.generation": notice.generation},
        )
        with self._lock:
            self._cycles[notice.workflow] = span

    def _cycle_finished(self, notice: CycleFinished) -> None:
        self._cycle_seconds.record(notice.seconds, _about(notice))
        self._ended(
            notice.workflow,
            attributes={
                "syncline.records.read": notice.read,
                "syncline.records.written": notice.written,
                "syncline.records.dead": notice.dead,
                "syncline.backlog.size": notice.backlog,
            },
        )

    def _ended(self, workflow: str, *, attributes: _Attributes | None = None, error: str = "") -> None:
        with self._lock:
            span = self._cycles.pop(workflow, None)
        if span is None:
            return
        span.set_attributes(attributes or {})
        if error:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR)
        span.end(_nanoseconds(self._clock.now()))

    def _child(self, name: str, notice: Notice, seconds: float, attributes: _Attributes) -> None:
        now = self._clock.now()
        with self._lock:
            parent = self._cycles.get(notice.workflow)
        span = self._tracer.start_span(
            name,
            context=trace.set_span_in_context(parent) if parent is not None else None,
            start_time=_nanoseconds(now - timedelta(seconds=seconds)),
            attributes={"syncline.workflow": notice.workflow, **attributes},
        )
        span.end(_nanoseconds(now))

    def _event(self, notice: Notice, attributes: _Attributes) -> None:
        with self._lock:
            span = self._cycles.get(notice.workflow)
        if span is not None:
            span.add_event(f"syncline.{notice.event}", attributes, _nanoseconds(self._clock.now()))

    def _state_changed(self, notice: StateChanged) -> None:
        about = {"syncline.status.before": notice.before.value, "syncline.status.after": notice.after.value}
        self._state_changes.add(1, {**_about(notice), **about})
        self._event(notice, about)
        if notice.after is not WorkflowState.FAILED:
            return
        with self._lock:
            span = self._cycles.get(notice.workflow)
        if span is not None:
            # The class alone: what it is about may be a record.
            span.set_attribute("error.type", notice.detail.partition(":")[0].partition(" ")[0])
            span.set_status(StatusCode.ERROR)

    # -- what is counted -----------------------------------------------------------------------------------------------

    def _add_counters(self, meter: Meter) -> None:
        self._read = meter.create_counter(
            "syncline.records.read", unit="{record}", description="Changes that arrived from the source."
        )
        self._settled = meter.create_counter(
            "syncline.records.settled",
            unit="{record}",
            description="Queued changes that were done with, by syncline.outcome: written, skipped, delayed or dead.",
        )
        self._dead = meter.create_counter(
            "syncline.dead_letters.added", unit="{record}", description="How often a record was set aside."
        )
        self._calls = meter.create_counter(
            "syncline.calls", unit="{call}", description="Requests that count as engine calls at the target."
        )
        self._throttles = meter.create_counter(
            "syncline.throttles", unit="{throttle}", description="How often a service asked for silence."
        )
        self._opt_outs_delayed = meter.create_counter(
            "syncline.opt_outs.delayed",
            unit="{attempt}",
            description="Attempts to deliver an opt-out that failed and will be made again.",
        )
        self._state_changes = meter.create_counter(
            "syncline.state_changes", unit="{change}", description="Steps of the state machine."
        )
        self._cycle_seconds = meter.create_histogram(
            "syncline.cycle.duration", unit="s", description="How long a cycle took."
        )
        self._page_seconds = meter.create_histogram(
            "syncline.page.duration", unit="s", description="From asking for a page until it was stored."
        )
        self._write_seconds = meter.create_histogram(
            "syncline.write.duration", unit="s", description="From the first request of a batch until it was stored."
        )

    def _page_read(self, notice: PageRead) -> None:
        table = {**_about(notice), "syncline.table": notice.table, "syncline.stage": notice.stage.value}
        self._read.add(notice.changes, table)
        self._dead.add(notice.refused, _about(notice))
        self._page_seconds.record(notice.seconds, table)
        numbers = {"syncline.records.read": notice.changes, "syncline.records.queued": notice.queued}
        others = {"syncline.records.skipped": notice.skipped, "syncline.records.refused": notice.refused}
        self._child("syncline.page", notice, notice.seconds, {**table, **numbers, **others})

    def _writes_settled(self, notice: WritesSettled) -> None:
        outcomes = {
            "written": notice.written,
            "skipped": notice.skipped,
            "delayed": notice.delayed,
            "dead": notice.dead,
        }
        for outcome, number in outcomes.items():
            self._settled.add(number, {**_about(notice), "syncline.outcome": outcome})
        self._dead.add(notice.dead, _about(notice))
        self._calls.add(notice.calls, _about(notice))
        self._write_seconds.record(notice.seconds, _about(notice))
        numbers = {f"syncline.records.{outcome}": number for outcome, number in outcomes.items()}
        self._child("syncline.write", notice, notice.seconds, {**numbers, "syncline.calls": notice.calls})

    # -- what is looked at ---------------------------------------------------------------------------------------------

    def _add_gauges(self, meter: Meter) -> None:
        for name, (unit, description, figure) in _GAUGES.items():
            meter.create_observable_gauge(
                name, callbacks=[self._observe_with(figure)], unit=unit, description=description
            )
        meter.create_observable_gauge(
            "syncline.status",
            callbacks=[self._statuses],
            description="1 for the status the workflow is in, by syncline.status; 0 for the others.",
        )

    def _views(self) -> Iterator[tuple[str, WorkflowView]]:
        with self._lock:
            watched = list(self._watched.items())
        for name, look in watched:
            view = look.now()
            if view is not None:
                yield name, view

    def _observe_with(self, figure: _Figure) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for name, view in self._views():
                number = figure(view)
                if number is not None:
                    yield Observation(number, {"syncline.workflow": name})

        return observe

    def _statuses(self, _options: CallbackOptions) -> Iterable[Observation]:
        for name, view in self._views():
            for state in WorkflowState:
                attributes = {"syncline.workflow": name, "syncline.status": state.value}
                yield Observation(int(view.status is state), attributes)

    def __repr__(self) -> str:
        return f"<OpenTelemetryHook watching {len(self._watched)} workflows>"


_Figure = Callable[[WorkflowView], float | None]


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


#: Unit, meaning and where the number comes from.
_GAUGES: Final[Mapping[str, tuple[str, str, _Figure]]] = {
    "syncline.backlog.size": (
        "{record}",
        "Changes that were read and queued and wait to be written.",
        lambda view: view.backlog.size,
    ),
    "syncline.backlog.oldest_age": (
        "s",
        "How long the oldest change has waited; 0 when nothing waits.",
        lambda view: _seconds(view.backlog.oldest_age) or 0.0,
    ),
    "syncline.backlog.rate": (
        "{record}/s",
        "Records written per second of late; absent before anything was measured.",
        lambda view: view.backlog.rate,
    ),
    "syncline.backlog.eta": (
        "s",
        "How long until the backlog is empty at this rate; absent when nobody can say.",
        lambda view: _seconds(view.backlog.eta),
    ),
    "syncline.backlog.leased": ("{record}", "Being written right now.", lambda view: view.backlog.leased),
    "syncline.backlog.waiting": ("{record}", "Held until another record is there.", lambda view: view.backlog.waiting),
    "syncline.backlog.throttled": (
        "{record}",
        "Held because a service asked for silence.",
        lambda view: view.backlog.throttled,
    ),
    "syncline.dead_letters.open": (
        "{record}",
        "Records that were set aside and are neither retried nor discarded.",
        lambda view: view.backlog.dead,
    ),
    "syncline.consent.queued": (
        "{record}",
        "Consent changes, opt-outs above all, that were read and are not yet delivered.",
        lambda view: view.backlog.consent,
    ),
    "syncline.pending_changes": (
        "{change}",
        "Edits that wait for a stop and a start.",
        lambda view: len(view.pending_changes),
    ),
}


class _Look:
    """A workflow's view, looked at no more than once a second."""

    def __init__(self, workflow: Watched, clock: Clock) -> None:
        self._workflow = workflow
        self._clock = clock
        self._view: WorkflowView | None = None
        self._looked_at: float | None = None

    def now(self) -> WorkflowView | None:
        moment = self._clock.monotonic()
        if self._looked_at is None or moment - self._looked_at >= _FRESH_SECONDS:
            self._looked_at = moment
            try:
                self._view = self._workflow.view
            except SynclineError:  # the storage is busy or gone: an absent gauge says so to whoever watches it
                self._view = None
        return self._view


def _about(notice: Notice) -> dict[str, str]:
    return {"syncline.workflow": notice.workflow}


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000
