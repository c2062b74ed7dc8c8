"""A workflow between a connector under test and another one, whose time passes when a check says so.

What lives here: starting it, and letting it catch up. No check.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from attrs import frozen

from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.definitions import EgressDefinition, IngressDefinition, OptOutDefinition
from syncline.integration import Integration
from syncline.storage.sqlite import MemoryStorage
from syncline.table_mapping import TableMapping
from syncline.testing.clocks import JumpingClock
from syncline.testing.connector_checks.trouble import WAIT
from syncline.testing.memory_campaign import MemoryCampaign
from syncline.workflows.base import Workflow
from syncline.workflows.egress import EgressWorkflow
from syncline.workflows.ingress import IngressWorkflow
from syncline.workflows.opt_out import OptOutWorkflow

__all__ = ["PEOPLE", "Running", "running", "running_events", "running_opt_outs"]

_Workflow = TypeVar("_Workflow", bound=Workflow[Any])

#: How many records the checks begin with.
PEOPLE: Final = 12
#: Longer than any wait that a service asked for and any delay of the backlog.
_LONG: Final = 4 * WAIT
_CYCLES: Final = 12
_SECONDS: Final = 15


@frozen
class Running(Generic[_Workflow]):
    """A workflow, and what makes its time pass."""

    workflow: _Workflow
    storage: MemoryStorage
    clock: JumpingClock

    def cycle(self) -> None:
        """One short cycle, started first where it has to be."""
        if not self.workflow.status.started:
            self.workflow.start()
        self.workflow.run_cycle(seconds=1)

    def catch_up(self) -> None:
        """As a scheduler would, until nothing is queued any more; what waits is waited for."""
        for _ in range(_CYCLES):
            self.clock.jump(_LONG)
            self.storage.set_time_offset(self.clock.ahead)
            if not self.workflow.status.started:
                self.workflow.start()
            report = self.workflow.run_cycle(seconds=_SECONDS)
            if report.end.name == "IDLE" and not self.workflow.backlog.size:
                return
        left = self.workflow.backlog.size
        raise AssertionError(f"after {_CYCLES} cycles {left} records are still to be written: {self.workflow.error}")


@contextmanager
def running(
    dynamics: DynamicsConnector, campaign: CampaignConnector, mapping: TableMapping, clock: JumpingClock
) -> Iterator[Running[IngressWorkflow]]:
    """Ingress between the two, over a storage in memory. It is not started."""
    storage = MemoryStorage()
    integration = Integration(
        dynamics=dynamics,
        campaign=campaign,
        storage=storage,
        ingress=IngressDefinition(mappings=[mapping]),
        clock=clock,
    )
    with integration:
        yield Running(integration.ingress, storage, clock)


@contextmanager
def running_events(
    dynamics: DynamicsConnector, definition: EgressDefinition, clock: JumpingClock
) -> Iterator[Running[EgressWorkflow]]:
    """Egress of pushed events, over a storage in memory. It is not started."""
    storage = MemoryStorage()
    integration = Integration(
        dynamics=dynamics, campaign=MemoryCampaign(), storage=storage, egress=definition, clock=clock
    )
    with integration:
        yield Running(integration.egress, storage, clock)


@contextmanager
def running_opt_outs(
    dynamics: DynamicsConnector, campaign: CampaignConnector, definition: OptOutDefinition, clock: JumpingClock
) -> Iterator[Running[OptOutWorkflow]]:
    """Opt-In/Out between the two, over a storage in memory. It is not started."""
    storage = MemoryStorage()
    integration = Integration(dynamics=dynamics, campaign=campaign, storage=storage, opt_out=definition, clock=clock)
    with integration:
        yield Running(integration.opt_out, storage, clock)
