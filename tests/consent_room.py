"""What tests of opt-outs share: two people, two pairs, and the cycles of whatever carries them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from syncline import FieldMapping, TableMapping, WorkflowState
from syncline.definitions import OptOutPair
from syncline.sandbox import Sandbox
from syncline.workflows.base import CycleReport, Workflow
from syncline.workflows.settings import EngineSettings

EMAIL = OptOutPair(dynamics="donotbulkemail", campaign="denyListEmail")
PHONE = OptOutPair(dynamics="donotphone", campaign="blackListPhone")
CONTACTS = TableMapping(
    table="contact", resource="profile", fields=[FieldMapping(source="lastname", target="lastName")]
)
SETTINGS = EngineSettings(retry_first=timedelta(milliseconds=5), retry_most=timedelta(milliseconds=20))
ANN = "11111111-1111-4111-8111-111111111111"
BOB = "22222222-2222-4222-8222-222222222222"


def with_ann_and_bob(sandbox: Sandbox) -> Sandbox:
    """Two people in Dynamics who opted out of nothing."""
    flags = {"donotbulkemail": False, "donotphone": False}
    sandbox.dynamics.load("contact", [{"contactid": one, "lastname": one[:4], **flags} for one in (ANN, BOB)])
    return sandbox


def add_the_opposite(sandbox: Sandbox) -> None:
    """A column of contacts, `new_reachable`, that is true where somebody is not opted out."""
    labels = [{"value": 0, "label": "Opted out"}, {"value": 1, "label": "Opted in"}]
    sandbox.dynamics.add_column("contact", "new_reachable", "Boolean", options=labels)


def synced(workflow: Workflow[Any], *, cycles: int, seconds: float = 10) -> CycleReport:
    """So many cycles of a workflow, which is started where it was stopped, and goes on running."""
    if workflow.status is WorkflowState.STOPPED:
        workflow.start()
    for _ in range(cycles):
        report = workflow.run_cycle(seconds=seconds)
    assert report.status is WorkflowState.RUNNING, workflow.error
    return report
