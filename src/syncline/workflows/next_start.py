"""What the next start of ingress would run, looked at from outside: its definition, its rules, and what it would read.

What lives here: `NextStart`, which previews and forecasts ask. It reads both services and the storage and writes
nothing anywhere: no position is kept, and a workflow that nobody used yet stays unknown to the storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import evolve, frozen

from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.definitions import IngressDefinition
from syncline.errors import DefinitionError
from syncline.mapping import TablePlan, compile_plan
from syncline.records import Change, ReadPosition, ReadRequest, ReadStage
from syncline.store import Storage
from syncline.views.forecast import NextRead
from syncline.workflows import reading
from syncline.workflows.holding import most_unasked, would_wait

__all__ = ["NextStart"]


@frozen(kw_only=True)
class NextStart:
    """The next start of one workflow, as of when this was made."""

    workflow: str
    #: Whether the storage knows the workflow; when not, it is not asked.
    registered: bool
    #: As last edited.
    definition: IngressDefinition
    storage: Storage
    dynamics: DynamicsConnector
    campaign: CampaignConnector
    #: Tables whose replay is taken for granted, besides those that were asked for.
    replay: frozenset[str] = frozenset()

    def plan(self, table: str) -> TablePlan:
        """The rules for a table, fitted to both sides as they are now.

        Raises DefinitionError when the table is not mapped, or the mapping does not fit.
        """
        mapping = self.definition.mapping(table)
        path = f"mappings[{self.definition.tables.index(table)}]"
        source = self.dynamics.describe(table, language=self.definition.label_language)
        if source is None:
            raise DefinitionError(f"Dynamics 365 has no table {table}", path=f"{path}.table")
        target = self.campaign.describe(mapping.resource)
        if target is None:
            raise DefinitionError(f"Campaign has no resource {mapping.resource}", path=f"{path}.resource")
        return compile_plan(mapping, self.definition, source, target)

    def next_read(self, table: str) -> NextRead:
        """How the next start would begin to read this table."""
        if table in self.replay or (self.registered and table in self.storage.wanted_replays(self.workflow)):
            return NextRead.REPLAY
        position = self._position(table)
        if position is None:
            return NextRead.RESYNC if self.known(table) else NextRead.FIRST_LOAD
        return NextRead.CHANGES if position.stage is ReadStage.DELTA else NextRead.CONTINUED

    def first(self, table: str) -> bool:
        """Whether the records it would read next count as a first load or a replay."""
        read, position = self.next_read(table), self._position(table)
        if position is not None and read is NextRead.CONTINUED:
            return reading.is_first(position)
        return read in (NextRead.FIRST_LOAD, NextRead.REPLAY)

    def finds_deletes(self, table: str) -> bool:
        """Whether what was deleted in Dynamics would be deleted in Campaign."""
        return self.definition.mapping(table).apply_deletes

    def known(self, table: str) -> int:
        """How many records of the table the ledger knows."""
        return self.storage.ledger_size(self.workflow, table) if self.registered else 0

    def queued(self, table: str) -> int:
        """How many changes of the table wait in the backlog."""
        if not self.registered:
            return 0
        groups = self.storage.counts(self.workflow).groups
        return sum(number for group, number in groups.items() if group.table == table)

    def held(self, table: str) -> int:
        """How many of them are deletions that are held."""
        return self.storage.counts(self.workflow).held[table] if self.registered else 0

    def would_wait(self, table: str, inferred: int, *, known: int) -> bool:
        """Whether so many inferred deletions, held ones included, would wait for a confirmation."""
        most = most_unasked(self.definition.guardrails, known)
        if not self.registered:
            return inferred > most
        hold = self.storage.holds(self.workflow).get(table)
        return would_wait(hold, inferred, most=most, now=self.storage.now())

    def most_unasked(self, table: str) -> int:
        """How many inferred deletions would go without a confirmation."""
        return most_unasked(self.definition.guardrails, self.known(table))

    def ledger(self, table: str, ids: Sequence[str]) -> Mapping[str, bytes]:
        """See `Storage.ledger`."""
        return self.storage.ledger(self.workflow, table, ids) if self.registered else {}

    def pages(self, plan: TablePlan) -> Iterator[tuple[Mapping[str, Change], bool]]:
        """Every record of the table from its beginning, page by page, by id; and whether more pages follow.

        The position behind a page is forgotten. A record that a page repeats from the one before it comes once.
        """
        request = ReadRequest(table=plan.table, columns=plan.columns, stage=ReadStage.LOAD)
        before: set[str] = set()
        while True:
            page = self.dynamics.read(request)
            found = {change.key.id: change for change in page.changes}
            yield {record: change for record, change in found.items() if record not in before}, bool(page.next_link)
            if page.next_link is None:
                return
            before = set(found)
            request = evolve(request, link=page.next_link)

    def _position(self, table: str) -> ReadPosition | None:
        return self.storage.positions(self.workflow).get(table) if self.registered else None
