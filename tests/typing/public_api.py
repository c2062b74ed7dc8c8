"""Every public name as a user would write it. Never run: type checkers read it, and that is the test.

What lives here: code that must type-check. `assert_type` fixes what a call gives back; a name that loses its type, or
changes it, makes the `typing` session fail.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_type

import syncline
from syncline import (
    ActionNotAvailableError,
    Backlog,
    CampaignConnector,
    CheckFailedError,
    Comparison,
    DefinitionError,
    DynamicsConnector,
    EgressDefinition,
    FieldMapping,
    FieldReplacement,
    Filter,
    IngressDefinition,
    Integration,
    Link,
    LinkBy,
    Match,
    MemoryStorage,
    MissingExtraError,
    OptOutDefinition,
    OptOutDirection,
    OptOutPair,
    RetryLaterError,
    SkipRecordError,
    SQLiteStorage,
    StopWorkflowError,
    Storage,
    SynclineError,
    TableMapping,
    ThrottledError,
    Workflow,
    WorkflowState,
    asynchronous,
)
from syncline.connectors.file_drop import FileDrop
from syncline.consent import ChainCheck, Seal
from syncline.erasure import Erased
from syncline.exported_files import FileMark, FileRow
from syncline.file_format import FileFormat
from syncline.instrumentation import Hook, Notice
from syncline.records import Event, EventKind
from syncline.state_machine import Action
from syncline.views import (
    BacklogView,
    Certainty,
    FieldChange,
    Figure,
    Forecast,
    Likeness,
    MappingSuggestion,
    NextRead,
    Preview,
    PreviewedRecord,
    PreviewKind,
    ProgressBar,
    SuggestedField,
    TableForecast,
    WorkflowList,
    WorkflowView,
    progress_bar,
)
from syncline.workflows.base import CycleReport
from syncline.workflows.egress import Accepted, EgressWorkflow
from syncline.workflows.settings import WorkflowOptions


def definitions() -> tuple[IngressDefinition, EgressDefinition, OptOutDefinition]:
    mapping = TableMapping(
        table="contact",
        resource="profile",
        fields=[FieldMapping(source="firstname", target="firstName", apply_updates=False)],
        replacements=[FieldReplacement(field="gendercode", value=1, replacement="male")],
        constants={"orgUnit": "all"},
        filters=[Filter(field="statecode", comparison=Comparison.EQUALS, value=0)],
        match=Match.ANY,
        links=[Link(source="parentcustomerid", target="cusAccountId", table="account", by=LinkBy.COLUMN)],
    )
    account = TableMapping(table="account", resource="cusAccount", key="accountId", fields=[])
    assert_type(mapping.links, tuple[Link, ...])
    assert_type(mapping.fields, tuple[FieldMapping, ...])
    assert_type(mapping.filters, tuple[Filter, ...])
    opt_out = OptOutDefinition(
        direction=OptOutDirection.BIDIRECTIONAL, pairs=[OptOutPair(dynamics="donotemail", campaign="blackListEmail")]
    )
    return IngressDefinition(mappings=[mapping, account]), EgressDefinition(), opt_out


def storages(path: str) -> list[Storage]:
    found: list[Storage] = [SQLiteStorage(path), MemoryStorage()]
    backlog: Backlog = found[0]
    assert backlog is found[0]
    return found


def watch(notice: Notice, /) -> None:
    assert_type(notice.event, str)
    assert_type(notice.workflow, str)


def integrate(dynamics: DynamicsConnector, campaign: CampaignConnector, storage: Storage) -> Integration:
    hook: Hook = watch
    return Integration(
        dynamics=dynamics, campaign=campaign, storage=storage, ingress=definitions()[0], name="contoso", hooks=[hook]
    )


def run(integration: Integration) -> None:
    with integration as entered:
        assert_type(entered.workflows, WorkflowList)
        workflow: Workflow[IngressDefinition] = entered.ingress
        assert_type(workflow.status, WorkflowState)
        assert_type(workflow.available_actions, tuple[Action, ...])
        assert_type(workflow.backlog, BacklogView)
        assert_type(workflow.view, WorkflowView)
        assert_type(workflow.stopping, bool)
        assert_type(workflow.definition, IngressDefinition)
        workflow.start(by="somebody")
        with progress_bar("First load") as bar:
            assert_type(bar, ProgressBar)
            report = workflow.run_cycle(seconds=1.0, records=100, until=lambda: False)
            assert_type(report.status, WorkflowState)
            assert_type(report.written, int)
            bar.update(workflow.backlog)


async def await_it(integration: Integration) -> None:
    """In an event loop."""
    assert_type(await asynchronous.run_cycle(integration.ingress, seconds=1.0, records=100), CycleReport)
    assert_type(await asynchronous.run(integration.egress), CycleReport)
    assert_type(await asynchronous.call(integration.ingress.replay, "contact", by="ann"), None)
    assert_type(await asynchronous.call(integration.forget, "id", opted_out=["blackListEmail"]), Erased)


def push(integration: Integration, files: FileDrop) -> None:
    event = Event(kind=EventKind.OPEN, contact="contact id", occurred_on=datetime.now(UTC), log_id="1")
    egress: Workflow[EgressDefinition] = integration.egress
    assert_type(egress.backlog, BacklogView)
    assert_type(integration.egress.accept([event]), Accepted)
    assert_type(integration.egress.replay(by="somebody"), int)
    (found, *_) = files.files()
    page = files.read(found, None, FileFormat(delimiter=";"), 100)
    assert_type(page.mark, FileMark)
    assert_type(page.rows, tuple[FileRow, ...])


def look_ahead(integration: Integration) -> None:
    preview = integration.ingress.preview(table="contact", limit=10)
    assert_type(preview, Preview)
    assert_type(preview.counts[PreviewKind.CREATE], int)
    for record in integration.ingress.preview(record="00000000-0000-4000-8000-000000000001"):
        assert_type(record, PreviewedRecord)
        assert_type(record.fields, tuple[FieldChange, ...])
    forecast = integration.ingress.forecast(replay=["contact"], exact=True)
    assert_type(forecast, Forecast)
    assert_type(forecast.calls, Figure)
    assert_type(forecast.calls.certainty, Certainty)
    assert_type(forecast.table("contact"), TableForecast)
    assert_type(forecast.table("contact").read, NextRead)


def look_at_the_others(integration: Integration) -> bool:
    assert_type(integration.egress.preview(limit=10), Preview)
    assert_type(integration.opt_out.preview(record="00000000-0000-4000-8000-000000000001"), Preview)
    consent = integration.opt_out.consent
    assert_type(consent.seal, Seal)
    found = consent.verify(str(consent.seal))
    assert_type(found, ChainCheck)
    assert_type(found.broken_at, int | None)
    return found.ok


def egress_alone(integration: Integration, storage: Storage) -> EgressWorkflow:
    options: WorkflowOptions = {"integration": "acme", "settings": None}
    return EgressWorkflow(dynamics=integration.dynamics, storage=storage, **options)


def suggest(integration: Integration) -> TableMapping:
    suggestion = integration.suggest_mapping("contact", "profile", key="externalId")
    assert_type(suggestion, MappingSuggestion)
    assert_type(suggestion.fields, tuple[SuggestedField, ...])
    assert_type(suggestion.fields[0].likeness, Likeness)
    return suggestion.mapping(at_least=Likeness.SAME_NAME)


def handle(error: SynclineError) -> str | float | None:
    assert_type(syncline.__version__, str)
    match error:
        case ThrottledError():
            assert_type(error.retry_after, float | None)
            return error.retry_after
        case ActionNotAvailableError():
            assert_type(error.available, tuple[str, ...])
            return error.status
        case SkipRecordError():
            return error.field
        case DefinitionError():
            return error.path
        case MissingExtraError():
            return error.extra
        case RetryLaterError() | StopWorkflowError() | CheckFailedError():
            return error.remedy
        case _:
            return error.message
