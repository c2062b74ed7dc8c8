"""An ingress workflow between two scripted systems, which unit tests put on a stage and let things happen to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from attrs import evolve
from tests.scripted import ScriptedCampaign, ScriptedDynamics

from syncline import FieldMapping, Filter, IngressDefinition, MemoryStorage, TableMapping
from syncline.definitions import Comparison
from syncline.instrumentation import Instrumentation, Notice
from syncline.workflows.base import CycleReport
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.ingress import IngressWorkflow
from syncline.workflows.settings import EngineSettings

MAPPING = TableMapping(table="contact", resource="profile", fields=[FieldMapping(source="lastname", target="lastName")])
WIDER = TableMapping(
    table="contact",
    resource="profile",
    fields=[FieldMapping(source="lastname", target="lastName"), FieldMapping(source="jobtitle", target="title")],
)
#: With a filter: whoever has a job is deleted in Campaign.
WORKING = evolve(
    MAPPING,
    filters=[Filter(field="jobtitle", comparison=Comparison.IS_NULL)],
    delete_filtered_out=True,
)
SOON = timedelta(milliseconds=1)


class Stage:
    """A workflow between two scripted connectors."""

    def __init__(self, people: int = 30, settings: EngineSettings | None = None) -> None:
        self.storage = MemoryStorage()
        self._later = 0.0
        self.dynamics = ScriptedDynamics(people)
        self.campaign = ScriptedCampaign()
        self.notices: list[Notice] = []
        self.settings = settings or EngineSettings(retry_first=SOON, retry_most=SOON * 20)
        self.workflow = self.again()

    def again(self) -> IngressWorkflow:
        """The same workflow as another process would make it."""
        return IngressWorkflow(
            dynamics=self.dynamics,
            campaign=self.campaign,
            storage=self.storage,
            definition=IngressDefinition(mappings=[MAPPING]),
            settings=self.settings,
            tell=Instrumentation([self.notices.append]),
        )

    def advance(self, seconds: float) -> None:
        """Let time pass for everything that is stored."""
        self._later += seconds
        self.storage.set_time_offset(self._later)

    def drain(self) -> CycleReport:
        for _ in range(500):
            report = self.workflow.run_cycle()
            self.advance(60)
            if not report.status.started or (report.end is CycleEnd.IDLE and report.resume_at is None):
                return report
        raise AssertionError(f"not caught up: {report}")

    def in_step(self) -> bool:
        wanted = {record: row["lastname"] for record, row in self.dynamics.rows.items()}
        return wanted == {record: row["lastName"] for record, row in self.campaign.records.items()}

    def bring(self) -> None:
        """Start, and bring everybody to Campaign."""
        self.workflow.start()
        self.drain()
        self.campaign.verbs.clear()


@contextmanager
def staged(people: int = 30) -> Iterator[Stage]:
    """A stage whose counters are exact in the end, whatever happened on it."""
    made = Stage(people)
    yield made
    assert made.storage.audit(made.workflow.id) == []
    totals, size = made.storage.counts(made.workflow.id).totals, made.storage.counts(made.workflow.id).size
    ended = totals.written + totals.superseded + totals.skipped + totals.dead + totals.discarded
    assert totals.put == ended + size
    made.storage.close()
