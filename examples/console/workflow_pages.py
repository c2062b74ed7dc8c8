"""The pages about workflows: the Workflows page itself, start and stop, backlog, dead letters, history, settings."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import Any

from starlette.responses import Response

from syncline import Workflow
from syncline.state_machine import Action

from .chart import chart_of
from .estate import Instance
from .visit import NotThere, Visit

__all__ = [
    "act",
    "backlog",
    "backlog_figures",
    "change_dead_letters",
    "dead_letters",
    "history",
    "home",
    "run_checks",
    "settings",
    "workflow_list",
    "workflows",
]

#: Dead letters on one page.
_LETTERS = 200
_LOOK_BACK = timedelta(hours=1)


def _rows(instance: Instance) -> list[dict[str, Any]]:
    """What the Workflows page shows of each workflow."""
    return [
        {
            "kind": kind,
            "view": (view := workflow.view),
            "start": Action.START in view.actions,
            "changes": tuple(workflow.pending_changes),
        }
        for kind, workflow in instance.workflows.items()
    ]


def _workflow(visit: Visit, instance: Instance) -> tuple[str, Workflow[Any]]:
    kind = visit.part("kind")
    workflow = instance.workflows.get(kind)
    if workflow is None:
        raise NotThere
    return kind, workflow


def home(visit: Visit) -> Response:
    """Every organisation with its instances."""
    shown = {
        organisation: [(one, [workflow.view for workflow in one.workflows.values()]) for one in instances]
        for organisation, instances in visit.estate.organisations.items()
    }
    return visit.page("home.html", organisations=shown)


def workflows(visit: Visit, instance: Instance) -> Response:
    """The Workflows page."""
    return visit.page("workflows.html", instance=instance, rows=_rows(instance))


def workflow_list(visit: Visit, instance: Instance) -> Response:
    """The part of the Workflows page that moves."""
    return visit.fragment("_workflows.html", instance=instance, rows=_rows(instance))


def act(visit: Visit, instance: Instance) -> Response:
    """Start or stop."""
    _, workflow = _workflow(visit, instance)
    if visit.form["action"] == Action.START.value:
        workflow.start(by=visit.who)
        visit.tell(f"Start requested: {workflow.name}.")
    else:
        workflow.stop(by=visit.who)
        visit.tell(f"Stop requested: {workflow.name}. What is in flight is finished first.")
    return visit.go(f"/i/{instance.slug}/")


def _backlog(instance: Instance, kind: str, workflow: Workflow[Any]) -> dict[str, Any]:
    view = workflow.view
    storage = instance.integration.storage
    samples = storage.samples(workflow.id, view.backlog.as_of - _LOOK_BACK)
    chart = chart_of(samples, view.backlog.size, view.backlog.as_of)
    return {"instance": instance, "kind": kind, "view": view, "backlog": view.backlog, "chart": chart}


def backlog(visit: Visit, instance: Instance) -> Response:
    """What waits, how long it has waited, and how long it will take."""
    return visit.page("backlog.html", **_backlog(instance, *_workflow(visit, instance)))


def backlog_figures(visit: Visit, instance: Instance) -> Response:
    """The part of the backlog's page that moves."""
    return visit.fragment("_backlog.html", **_backlog(instance, *_workflow(visit, instance)))


def dead_letters(visit: Visit, instance: Instance) -> Response:
    """Records that were set aside."""
    kind, workflow = _workflow(visit, instance)
    table = visit.query.get("table") or None
    letters = list(islice(workflow.dead_letters.list(table=table), _LETTERS))
    return visit.page(
        "dead_letters.html",
        instance=instance,
        kind=kind,
        view=workflow.view,
        letters=letters,
        total=len(workflow.dead_letters),
        table=table or "",
    )


def change_dead_letters(visit: Visit, instance: Instance) -> Response:
    """Try records again, or let them go."""
    kind, workflow = _workflow(visit, instance)
    chosen = {int(number) for number in visit.form.all("letter") if number.isdecimal()}
    letters = [letter for letter in workflow.dead_letters if letter.id in chosen]
    match visit.form["action"]:
        case "retry all":
            visit.tell(f"{workflow.dead_letters.retry(by=visit.who):,} records are queued to be read and tried again.")
        case "retry" if letters:
            number = workflow.dead_letters.retry(letters, by=visit.who)
            visit.tell(f"{number:,} records are queued to be read and tried again.")
        case "discard" if letters:
            number = workflow.dead_letters.discard(letters, by=visit.who)
            visit.tell(
                f"{number:,} dead letters are closed. Later changes of such records are synchronised all the same."
            )
        case _:
            visit.tell("Nothing was chosen.", bad=True)
    return visit.go(f"/i/{instance.slug}/{kind}/dead-letters")


def history(visit: Visit, instance: Instance) -> Response:
    """Who did what, and what became of it."""
    entries = [(workflow.name, entry) for workflow in instance.workflows.values() for entry in workflow.history]
    entries.sort(key=lambda told: told[1].at, reverse=True)
    return visit.page("history.html", instance=instance, entries=entries[:200])


def settings(visit: Visit, instance: Instance) -> Response:
    """What is connected with what."""
    return visit.page("settings.html", instance=instance, reports={}, guard=None)


def run_checks(visit: Visit, instance: Instance) -> Response:
    """The pre-flight of every workflow, or whether a schema may be published now."""
    if visit.form["action"] == "guard":
        guard = instance.integration.ingress.schema_guard()
        return visit.page("settings.html", instance=instance, reports={}, guard=guard)
    reports = {workflow.name: workflow.check() for workflow in instance.workflows.values()}
    return visit.page("settings.html", instance=instance, reports=reports, guard=None)
