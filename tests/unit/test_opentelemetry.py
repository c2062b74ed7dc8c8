"""Spans and metrics by OpenTelemetry's own SDK: what they are called, what is in them, and what never is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from tests.scripted import ScriptedCampaign, ScriptedDynamics

from syncline import FieldMapping, IngressDefinition, MemoryStorage, TableMapping
from syncline.clock import Clock
from syncline.errors import RecordRefusedError, StorageBusyError, ThrottledError, UnavailableError
from syncline.instrumentation import (
    CycleFinished,
    CycleStarted,
    Instrumentation,
    LeaseLost,
    OptOutDelayed,
    PageRead,
    Throttled,
)
from syncline.opentelemetry import OpenTelemetryHook
from syncline.records import ReadStage, RecordKey
from syncline.state_machine import WorkflowState, available_actions
from syncline.views import BacklogView, WorkflowView
from syncline.workflows.ingress import IngressWorkflow

MAPPING = TableMapping(table="contact", resource="profile", fields=[FieldMapping(source="lastname", target="lastName")])
PEOPLE = 12
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Stage:
    """The SDK with everything kept in memory, and a workflow between two scripted connectors."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._spans = InMemorySpanExporter()
        tracing = TracerProvider()
        tracing.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.hook = OpenTelemetryHook(
            tracer_provider=tracing, meter_provider=MeterProvider(metric_readers=[self._reader]), clock=clock
        )
        self.dynamics, self.campaign = ScriptedDynamics(PEOPLE), ScriptedCampaign()
        self.workflow = IngressWorkflow(
            dynamics=self.dynamics,
            campaign=self.campaign,
            storage=MemoryStorage(),
            definition=IngressDefinition(mappings=[MAPPING]),
            tell=Instrumentation([self.hook]),
        )

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._spans.get_finished_spans() if span.name == name]

    def metrics(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """Metric name to attributes and number of each of its points; of a histogram, how often."""
        collected = self._reader.get_metrics_data()
        found: dict[str, list[tuple[dict[str, Any], float]]] = {}
        if collected is None:
            return found
        for resource in collected.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] = [
                        (dict(point.attributes or {}), point.count if hasattr(point, "count") else point.value)
                        for point in metric.data.data_points
                    ]
        return found

    def everything(self) -> str:
        """All that was told, as one text."""
        spans = [span.to_json() for span in self._spans.get_finished_spans()]
        return json.dumps([spans, self.metrics()], default=str)


def told(span: ReadableSpan, name: str) -> int:
    value = (span.attributes or {})[name]
    assert isinstance(value, int)
    return value


def number(points: list[tuple[dict[str, Any], float]], **attributes: str) -> float:
    wanted = {f"syncline.{name}": value for name, value in attributes.items()}
    (found,) = [value for told, value in points if wanted.items() <= told.items()]
    return found


def test_a_cycle_is_a_span_with_its_pages_and_writes_inside() -> None:
    """One span for the cycle, and within it one for each page and each batch of writes, with what they came to."""
    stage = Stage()
    stage.workflow.start()
    stage.workflow.run_cycle()
    (cycle,) = stage.spans("syncline.cycle")
    pages, writes = stage.spans("syncline.page"), stage.spans("syncline.write")
    assert cycle.attributes is not None
    assert cycle.attributes["syncline.workflow"] == "default/ingress"
    assert cycle.attributes["syncline.records.written"] == PEOPLE
    assert cycle.status.status_code is StatusCode.UNSET
    assert {span.parent.span_id for span in (*pages, *writes) if span.parent} == {cycle.context.span_id}
    assert sum(told(span, "syncline.records.written") for span in writes) == PEOPLE
    assert (pages[0].attributes or {})["syncline.table"] == "contact"
    for span in (*pages, *writes):
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time


def test_the_counters_agree_with_what_was_done() -> None:
    """Records read, settled and written, engine calls and durations are counted once each."""
    stage = Stage()
    stage.workflow.start()
    report = stage.workflow.run_cycle()
    metrics = stage.metrics()
    assert sum(value for _, value in metrics["syncline.records.read"]) == report.read
    assert number(metrics["syncline.records.settled"], outcome="written") == report.written == PEOPLE
    assert number(metrics["syncline.calls"], workflow="default/ingress") == report.calls
    assert number(metrics["syncline.cycle.duration"], workflow="default/ingress") == 1


def test_the_gauges_show_what_the_workflows_page_shows() -> None:
    """Backlog, dead letters and status of a watched workflow are those of its own view, at every collection."""
    stage = Stage()
    stage.hook.watch(stage.workflow)

    def refuse(verb: str, key: str) -> None:
        if verb == "create" and key.startswith("00000001"):
            raise RecordRefusedError("no", field="lastName")

    stage.campaign.before = refuse
    stage.workflow.start()
    stage.workflow.run_cycle()
    metrics = stage.metrics()
    assert number(metrics["syncline.backlog.size"], workflow="default/ingress") == stage.workflow.backlog.size == 0
    assert number(metrics["syncline.dead_letters.open"], workflow="default/ingress") == 1
    settled_dead = number(metrics["syncline.records.settled"], outcome="dead")
    assert number(metrics["syncline.dead_letters.added"], workflow="default/ingress") == settled_dead >= 1
    assert number(metrics["syncline.status"], status="RUNNING") == 1
    assert number(metrics["syncline.status"], status="FAILED") == 0
    assert number(metrics["syncline.consent.queued"], workflow="default/ingress") == 0


def test_a_workflow_that_fails_marks_its_span_with_the_errors_class() -> None:
    """FAILED is an error of the cycle's span; what it was about is a matter for the log."""
    stage = Stage()
    stage.workflow.start()
    stage.workflow.run_cycle()
    stage.dynamics.put("00000099-0000-4000-8000-000000000000", lastname="Canary")

    def broken(verb: str, key: str) -> None:
        from syncline.errors import SchemaChangedError

        raise SchemaChangedError("profile.lastName is gone")

    stage.campaign.before = broken
    stage.workflow.stop()
    stage.workflow.start()
    stage.workflow.run_cycle()
    assert stage.workflow.status is WorkflowState.FAILED
    cycle = stage.spans("syncline.cycle")[-1]
    assert cycle.status.status_code is StatusCode.ERROR
    assert (cycle.attributes or {})["error.type"] == "SchemaChangedError"
    assert cycle.status.description is None


def test_nothing_told_is_about_a_person() -> None:
    """Whatever goes wrong with records, no key, value or error message reaches a span or a metric."""
    stage = Stage()
    stage.hook.watch(stage.workflow)
    troubles = iter(
        [
            RecordRefusedError("Canary-Message", field="lastName"),
            UnavailableError("Canary-Message"),
            ThrottledError("Canary-Message", retry_after=0.0, principal="campaign"),
        ]
    )

    def before(verb: str, key: str) -> None:
        trouble = next(troubles, None)
        if trouble is not None:
            raise trouble

    stage.campaign.before = before
    stage.dynamics.put("00c0ffee-0000-4000-8000-000000000000", lastname="Canary-Person")
    stage.workflow.start()
    stage.workflow.run_cycle(seconds=1)
    everything = stage.everything()
    assert "syncline.write" in everything
    for planted in ("Canary", "Person", "00c0ffee", "4000-8000"):
        assert planted not in everything


def test_trouble_is_an_event_of_the_cycle() -> None:
    """Throttling and opt-outs that are late show in the span they happened in and are counted; no key is told."""
    stage = Stage()
    stage.hook(CycleStarted(workflow="a/ingress", generation=1))
    stage.hook(Throttled(workflow="a/ingress", principal="campaign", until=NOON))
    key = RecordKey(table="contact", id="00c0ffee")
    stage.hook(OptOutDelayed(workflow="a/ingress", key=key, attempts=3, reason="UnavailableError"))
    stage.hook(CycleFinished(workflow="a/ingress", generation=1, seconds=1, read=0, written=0, dead=0, backlog=0))
    (cycle,) = stage.spans("syncline.cycle")
    assert [event.name for event in cycle.events] == ["syncline.throttled", "syncline.opt_out.delayed"]
    metrics = stage.metrics()
    assert number(metrics["syncline.throttles"], workflow="a/ingress") == 1
    assert number(metrics["syncline.opt_outs.delayed"], workflow="a/ingress") == 1
    assert "00c0ffee" not in stage.everything()


def test_a_cycle_that_was_cut_short_ends_as_an_error() -> None:
    """A lost lease ends the span at once; one that nobody ended is ended when the next cycle begins."""
    stage = Stage()
    stage.hook(CycleStarted(workflow="a/ingress", generation=1))
    stage.hook(LeaseLost(workflow="a/ingress", generation=1, epoch=2))
    stage.hook(CycleStarted(workflow="a/ingress", generation=2))
    stage.hook(CycleStarted(workflow="a/ingress", generation=3))
    lost, abandoned = stage.spans("syncline.cycle")
    assert [(span.attributes or {})["error.type"] for span in (lost, abandoned)] == ["LeaseLostError", "abandoned"]
    assert {span.status.status_code for span in (lost, abandoned)} == {StatusCode.ERROR}


def test_two_workflows_do_not_share_a_span() -> None:
    """Cycles that overlap in one process keep their pages apart."""
    stage = Stage()
    for name in ("a/ingress", "b/ingress"):
        stage.hook(CycleStarted(workflow=name, generation=1))
    page = {"table": "contact", "stage": ReadStage.DELTA, "changes": 1, "queued": 1, "skipped": 0, "refused": 0}
    stage.hook(PageRead(workflow="a/ingress", seconds=0.5, **page))  # type: ignore[arg-type]
    for name in ("a/ingress", "b/ingress"):
        stage.hook(CycleFinished(workflow=name, generation=1, seconds=1, read=0, written=0, dead=0, backlog=0))
    (page_span,) = stage.spans("syncline.page")
    parents = {(span.attributes or {})["syncline.workflow"]: span.context for span in stage.spans("syncline.cycle")}
    assert page_span.parent is not None
    assert page_span.parent.span_id == parents["a/ingress"].span_id
    assert page_span.start_time is not None
    assert page_span.end_time is not None
    assert page_span.end_time - page_span.start_time == pytest.approx(500_000_000, abs=1_000_000)


class StandingClock:
    """A clock on which it is always noon."""

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")


class Scripted:
    """A workflow whose view is what a test wants, or an error."""

    id = "a/ingress"

    def __init__(self) -> None:
        self.looks = 0
        self.away = False

    @property
    def view(self) -> WorkflowView:
        self.looks += 1
        if self.away:
            raise StorageBusyError("busy")
        backlog = BacklogView(
            size=7, as_of=NOON, oldest=NOON - timedelta(minutes=2), rate=2.5, eta=timedelta(seconds=3), consent=2
        )
        return WorkflowView(
            name="A", backlog=backlog, status=WorkflowState.RUNNING, actions=available_actions(WorkflowState.RUNNING)
        )


def test_one_collection_looks_at_a_workflow_once() -> None:
    """A dozen gauges cost one look at the storage."""
    stage, workflow = Stage(StandingClock()), Scripted()
    stage.hook.watch(workflow)
    metrics = stage.metrics()
    assert workflow.looks == 1
    assert number(metrics["syncline.backlog.oldest_age"]) == 120
    assert number(metrics["syncline.backlog.rate"]) == 2.5
    assert number(metrics["syncline.backlog.eta"]) == 3
    assert number(metrics["syncline.consent.queued"]) == 2
    assert repr(stage.hook) == "<OpenTelemetryHook watching 1 workflows>"


def test_a_storage_that_is_away_leaves_gaps_and_no_lies() -> None:
    """While a workflow cannot be looked at its gauges are absent, and the collection itself goes well."""
    stage, workflow = Stage(StandingClock()), Scripted()
    workflow.away = True
    stage.hook.watch(workflow)
    metrics = stage.metrics()
    assert metrics.get("syncline.backlog.size", []) == []
    assert workflow.looks == 1
