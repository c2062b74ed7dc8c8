"""Opt-outs that travel with contacts: what the pairs of their mapping add to a cycle of ingress.

What lives here: `ContactOptOuts`, between the work of ingress and the consent lane. Its rows stand beside those of the
contacts themselves, in a lane of their own, so that neither waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, cast

from syncline.backlog import Entry, Grant, Item, Settlement
from syncline.clock import Clock
from syncline.consent import Terms
from syncline.definitions import OptOutDirection
from syncline.errors import DefinitionError
from syncline.instrumentation import Instrumentation
from syncline.records import Change
from syncline.store import Storage
from syncline.workflows.consent_lane import ConsentLane
from syncline.workflows.consent_round import CONTACT, Met, Parties
from syncline.workflows.settings import EngineSettings
from syncline.workflows.work import Plan, Reading
from syncline.workflows.writers import Answer

__all__ = ["CONTACT_OPT_OUTS", "ContactOptOuts"]

#: What stands for a table where rows of this lane are counted.
CONTACT_OPT_OUTS: Final = "contact opt-outs"
#: People who may have a profile now, looked up at a time.
_ARRIVED: Final = 1_000


class ContactOptOuts:
    """The opt-outs of one generation of ingress. Only the coordinator calls methods."""

    def __init__(
        self, *, workflow: str, parties: Parties, storage: Storage, settings: EngineSettings, tell: Instrumentation
    ) -> None:
        self._lane = ConsentLane(
            workflow=workflow,
            table=CONTACT_OPT_OUTS,
            ingress=workflow,
            terms=Terms(direction=OptOutDirection.DYNAMICS_TO_CAMPAIGN),
            parties=parties,
            storage=storage,
            settings=settings,
            tell=tell,
        )
        self._clock: Clock = parties.clock
        self._grant: Grant | None = None
        self._due = self._clock.monotonic()

    def begin(self, grant: Grant) -> None:
        """Work under this grant from now on."""
        self._grant = grant

    def columns(self, table: str, mapped: tuple[str, ...]) -> tuple[str, ...]:
        """What is read of a table: the columns that are mapped, and of contacts those that the rule rests on too."""
        return tuple(dict.fromkeys([*mapped, *self._lane.parties.columns])) if table == CONTACT else mapped

    def heard(self, grant: Grant, table: str, changes: Sequence[Change], seq: int) -> list[Entry]:
        """What a page owes, noted before it is stored, and what to queue with it."""
        return self._lane.entries(self._lane.heard(grant, changes), seq) if table == CONTACT else []

    def next(self, grant: Grant) -> Reading | None:
        """Who waited for a profile that there is now, when it is time; asks no service."""
        if self._clock.monotonic() < self._due:
            return None

        def keep(_: object) -> int:
            people = self._lane.arrived(_ARRIVED)
            if people:
                self._lane.storage.put(grant, self._lane.entries(people, self._lane.storage.next_read(grant)))
            self._due = self._clock.monotonic() + self._lane.settings.poll_interval.total_seconds()
            return len(people)

        return Reading(fetch=lambda: None, keep=keep, about=CONTACT)

    def plan(self, items: Sequence[Item], others: Callable[[Sequence[Item]], Plan]) -> Plan:
        """What becomes of leased items; `others` decides about those that are no opt-outs."""
        ours = [item for item in items if item.key.table == CONTACT_OPT_OUTS]
        if not ours:
            return others(items)
        jobs = self._lane.jobs(ours)
        rest = others([item for item in items if item.key.table != CONTACT_OPT_OUTS])
        return Plan(
            settlements=rest.settlements,
            jobs=[*jobs, *rest.jobs],
            refresh=rest.refresh,
            refreshing=rest.refreshing,
        )

    def midway(self, met: Sequence[tuple[Item, object]]) -> Plan:
        """See `Work.midway`."""
        return self._lane.midway(self._held, cast("Sequence[tuple[Item, Met]]", met))

    def settled(self, item: Item, answer: Answer, usual: Settlement) -> Settlement:
        """See `Work.settled`."""
        if item.key.table != CONTACT_OPT_OUTS:
            return usual
        return self._lane.settled(self._held, item, answer, usual)

    @property
    def _held(self) -> Grant:
        if self._grant is None:
            raise DefinitionError("A cycle begins before it works.")
        return self._grant
