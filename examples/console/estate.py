"""What this host looks after: organisations, their instances, and the thread that runs each instance's cycles.

What lives here: `Instance`, one integration with a place in the menu; `Estate`, all of them; and the workers. No pages.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

from syncline import Integration, SynclineError, Workflow
from syncline.schemas import TableSchema

__all__ = ["Estate", "Instance"]

#: Metadata older than this is asked for again when a page needs it, in seconds.
_METADATA_FRESH = 60.0
#: How long one cycle of a workflow may take before the next workflow has its turn, and the pause when all are idle.
_TURN_SECONDS, _PAUSE_SECONDS = 2.0, 0.5


@define(eq=False)
class Instance:
    """One Dynamics environment and one Campaign instance of an organisation, joined."""

    #: What stands in addresses.
    slug: str
    organisation: str
    name: str
    integration: Integration
    _metadata: dict[tuple[str, str], tuple[float, Any]] = field(factory=dict, repr=False)

    @property
    def workflows(self) -> Mapping[str, Workflow[Any]]:
        """The workflows by kind, in the order of the page."""
        return {one.kind: one for one in (self.integration.ingress, self.integration.egress, self.integration.opt_out)}

    def dynamics_table(self, table: str) -> TableSchema | None:
        """The schema, at most a minute old."""
        found: TableSchema | None = self._asked("dynamics", table, lambda: self.integration.dynamics.describe(table))
        return found

    def campaign_resource(self, resource: str) -> TableSchema | None:
        """The schema, at most a minute old."""
        found: TableSchema | None = self._asked(
            "campaign", resource, lambda: self.integration.campaign.describe(resource)
        )
        return found

    def dynamics_tables(self) -> Mapping[str, str]:
        """Logical name to label."""
        found: Mapping[str, str] = self._asked("dynamics", "", self.integration.dynamics.tables)
        return found

    def campaign_resources(self) -> Mapping[str, str]:
        """Name to label."""
        found: Mapping[str, str] = self._asked("campaign", "", self.integration.campaign.tables)
        return found

    def _asked(self, side: str, name: str, ask: Any) -> Any:
        now = time.monotonic()
        known = self._metadata.get((side, name))
        if known is None or now - known[0] > _METADATA_FRESH:
            known = self._metadata[side, name] = (now, ask())
        return known[1]


class Estate:
    """Every instance, and a worker for each that runs its cycles in a thread of its own while the `with` block runs."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = {one.slug: one for one in instances}
        self._over = threading.Event()
        self._workers = [
            threading.Thread(target=self._work, args=(one,), name=f"console-{one.slug}") for one in instances
        ]

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances.values())

    def instance(self, slug: str) -> Instance | None:
        return self._instances.get(slug)

    @property
    def organisations(self) -> Mapping[str, Sequence[Instance]]:
        """Organisation to its instances."""
        found: dict[str, list[Instance]] = {}
        for one in self:
            found.setdefault(one.organisation, []).append(one)
        return found

    def __enter__(self) -> Estate:
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for worker in self._workers:
            worker.join()
        for one in self:
            one.integration.close()

    def _work(self, instance: Instance) -> None:
        """What a scheduler does: a slice of each started workflow in turn. Trouble is on the page, not in here."""
        while not self._over.is_set():
            busy = False
            for workflow in instance.workflows.values():
                try:
                    report = workflow.run_cycle(seconds=_TURN_SECONDS)
                except SynclineError:  # the storage is busy, or full: nothing happened, and the next turn tries again
                    continue
                busy = busy or report.end.name == "BUDGET"
            if not busy:
                self._over.wait(_PAUSE_SECONDS)
