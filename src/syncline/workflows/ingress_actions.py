"""What a person can ask of ingress beyond a start and a stop: a replay, a preview, a forecast.

What lives here: `IngressActions`, which the ingress workflow is made on. Each action is a few lines over a module of
its own; what happens within a cycle is in `syncline.workflows.ingress`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Unpack

from attrs import evolve

from syncline.connectors.base import CampaignConnector, DynamicsConnector, Gate
from syncline.definitions import IngressDefinition
from syncline.errors import ActionNotAvailableError, DefinitionError
from syncline.instrumentation import ReplayRequested
from syncline.state_machine import WorkflowEvent, next_state
from syncline.store import Storage
from syncline.sweeps import Sweep
from syncline.views.filtered_out import FilteredOut
from syncline.views.forecast import Forecast
from syncline.views.preview import Preview
from syncline.views.reconciliation import Reconciliation
from syncline.views.schema_guard import SchemaGuardReport
from syncline.workflows.base import Workflow
from syncline.workflows.environments import adopted, moved
from syncline.workflows.filtered_out import filtered_out
from syncline.workflows.forecast import forecast
from syncline.workflows.next_start import NextStart
from syncline.workflows.preview import preview_record, preview_table
from syncline.workflows.reconcile import reconcile
from syncline.workflows.schema_guard import schema_guard
from syncline.workflows.settings import WorkflowOptions

__all__ = ["IngressActions"]


class IngressActions(Workflow[IngressDefinition]):
    """Ingress as far as a person asks something of it."""

    def __init__(
        self,
        *,
        dynamics: DynamicsConnector,
        campaign: CampaignConnector,
        storage: Storage,
        definition: IngressDefinition | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> None:
        super().__init__(storage, definition or IngressDefinition(), **options)
        self._dynamics = dynamics
        self._campaign = campaign

    def start(self, *, by: str = "") -> None:
        """Ask for a start: STOPPED or FAILED becomes STARTING, and the next cycle checks and runs.

        Where the workflow failed because Campaign lost a mapped field or a resource, tables that still write it are
        read in full and compared with Campaign, record by record: what is published anew is empty. Raises
        ActionNotAvailableError in any other status.
        """
        self._doubt_what_was_lost(by)
        super().start(by=by)

    def _doubt_what_was_lost(self, by: str) -> None:
        snapshot = self._snapshot(self._row())
        if snapshot is None or not snapshot.lost:
            return
        written = {
            mapping.table: {
                (mapping.resource, ""),
                *((mapping.resource, one.target) for one in mapping.fields),
                *((mapping.resource, one.target) for one in mapping.links),
            }
            for mapping in self.definition.mappings
        }
        tables = [table for table, fields in written.items() if fields & snapshot.lost]
        told = ", ".join(sorted(f"{resource}.{name}".rstrip(".") for resource, name in snapshot.lost))
        entry = self._action("read in full", by, f"{', '.join(tables) or 'no table'}: Campaign had lost {told}")
        kept = evolve(snapshot, lost=frozenset()).to_json()
        # Where the workflow was started meanwhile nothing happens: whoever did that has seen to it.
        self._storage.start_over(self.id, tables, entry, doubt=True, snapshot=kept)

    def replay(self, table: str, *, by: str = "") -> None:
        """Send all records of a table again from the next start, behind everything that changes meanwhile.

        Raises DefinitionError when the table is not mapped, and ActionNotAvailableError, with the numbers, when the
        backlog or the table is as large as the guardrail `replay_records`.
        """
        definition = self.definition
        definition.mapping(table)
        row, most = self._row(), definition.guardrails.replay_records
        records = {"in the backlog": self._storage.counts(self.id).size, f"in {table}": self._dynamics.count(table)}
        for where, number in records.items():
            if number is not None and number >= most:
                raise ActionNotAvailableError(
                    "replay",
                    status=row.state.value,
                    available=[action.value for action in self.available_actions],
                    reason=f"{number:,} records {where}, the limit is {most:,}",
                )
        next_state(row.state, WorkflowEvent.REPLAY_REQUESTED)
        self._storage.want_replay(self.id, table, self._action("replay", by, table))
        self._tell(ReplayRequested(workflow=self.id, table=table))

    def filtered_out(self, table: str, *, limit: int = 1_000) -> FilteredOut:
        """Who of those that Syncline wrote does not pass the filters as last edited, without writing anything anywhere.

        Reads the whole table in Dynamics, a page at a time, and asks Campaign nothing. Lists the first `limit` ids and
        counts all. Says whether they would go or be held, `delete_filtered_out` or not. Raises DefinitionError when the
        table is not mapped or the mapping does not fit, and what the Dynamics connector raises.
        """
        return filtered_out(self._next_start(), table, _at_least_none(limit))

    def confirm_deletes(self, table: str, *, by: str = "") -> int:
        """Let the deletions of a table that are held go, now or from the next cycle on; how many they are.

        What comes back before its turn is not deleted. Raises DefinitionError when the table is neither mapped nor has
        anything held.
        """
        return self._storage.confirm_held(self.id, self._held_table(table), self._action("confirm deletes", by, table))

    def discard_deletes(self, table: str, *, by: str = "") -> int:
        """Take the deletions of a table that are held out of the backlog; how many they were.

        Their records stay in Campaign, and Syncline goes on knowing them: a later change of such a record, or the next
        full read, finds it again. Raises DefinitionError when the table is neither mapped nor has anything held.
        """
        return self._storage.discard_held(self.id, self._held_table(table), self._action("discard deletes", by, table))

    def held_deletes(self, table: str, *, limit: int = 100) -> tuple[str, ...]:
        """Ids of the first `limit` records of a table whose deletion is held; `backlog.held` has the numbers."""
        return tuple(self._storage.held_records(self.id, self._held_table(table), _at_least_none(limit)))

    def _held_table(self, table: str) -> str:
        definition = self.definition
        if table not in self._storage.holds(self.id):
            definition.mapping(table)
        return table

    def reconcile(
        self, table: str, *, adopt: bool = False, queue: bool = False, limit: int = 1_000, by: str = ""
    ) -> Reconciliation:
        """Compare both sides of a table record by record, by the definition as last edited.

        - Reads all of the table in Dynamics and looks each record up in Campaign, one engine call for each and for each
          record that a link by PKey leads to; and what the ledger knows and Dynamics does not have any more. Whatever
          the ledger remembers of values does not count.
        - Without `adopt` and `queue` nothing is written anywhere.
        - `queue` queues what is missing, extra or different in the bulk lane, to be read again by key when its turn
          comes. Of inferred deletions that are many, all are held as ever.
        - `adopt` lets the ledger know the records that match, so that a first start sends nothing again, and queues
          what is missing or different.
        - A record is extra only when the ledger knows it as ours. Records that others made are counted, from
          Campaign's own count, and never touched.
        - `limit` is how many records that differ are listed; the counts are complete.

        The workflow may run meanwhile or not. A record that changes during the comparison can show as different.
        Raises DefinitionError when the table is not mapped or the mapping does not fit, and what the connectors raise;
        what was compared before is adopted and queued then. Silence that Campaign asks for is waited for.
        """
        _at_least_none(limit)
        if adopt or queue:
            self._row()
        report = reconcile(self._next_start(), table, adopt=adopt, queue=queue, limit=limit, clock=self._clock)
        if adopt or queue:
            told = f"{table}: {report.adopted:,} adopted, {report.queued:,} queued"
            self._storage.record(self.id, self._action("reconcile", by, told))
        return report

    @property
    def sweeps(self) -> Mapping[str, Sweep]:
        """How far the rolling comparison of each table has come, and what it found."""
        self._row()
        return self._storage.sweeps(self.id)

    def preview(self, *, table: str | None = None, record: str | None = None, limit: int = 100) -> Preview:
        """What the definition as last edited would do, without writing anything anywhere.

        - With `record`, the id of one Dynamics record: that record as it is now; one that does not exist counts as
          deleted.
        - Else the first `limit` records of the table as a full read gives them, whatever is queued. Deleted records
          do not show there.
        - `table` can be left out while a single table is mapped.

        Each record that would be written is looked up in Campaign, which is an engine call; `look_ups` counts them.
        What only Campaign can refuse shows when it is written.

        Raises DefinitionError when the table is not mapped or the mapping does not fit, ValueError for a limit below
        1 or what is no id, and what the connectors raise: RetryLaterErrors when a service cannot be asked just now,
        StopWorkflowErrors.
        """
        start = self._next_start()
        chosen = table if table is not None else _only_table(start.definition)
        return preview_table(start, chosen, limit) if record is None else preview_record(start, chosen, record)

    def forecast(self, *, replay: Sequence[str] = (), exact: bool = False) -> Forecast:
        """What the next start would send and cost in engine calls, without writing anything anywhere.

        - `replay` names tables as if `replay()` had been asked for them.
        - Without `exact` both systems and the storage are asked for counts only. What the ledger knows is exact;
          updates, identical records, deletes and calls are upper bounds. Dynamics' count can be a day old.
        - With `exact` each table is read to its end, a page at a time, and each record decided. For tables of which
          the next start reads everything all figures are exact; where it reads only changes they are upper bounds.

        `Forecast` says what the calls rest on. Costs no engine call itself. Raises DefinitionError when a table is not
        mapped or a mapping does not fit, and what the connectors raise.
        """
        return forecast(self._next_start(replay), exact=exact)

    def adopt_environment(self, *, by: str = "") -> tuple[str, ...]:
        """Go on with a storage that was filled from, or for, another environment; what had changed, a line each.

        - For an environment that was renamed, copied or reset on purpose. The next start reads every table in full
          and finds by the ledger what is not there any more, under the cap on deletions.
        - Where Campaign is another one, nobody knows what it holds: each record is compared before it is written.
        - Empty, and nothing happened, when nothing has changed. Raises ActionNotAvailableError while the workflow is
          started.
        """
        row = self._row()
        snapshot = self._snapshot(row)
        found = moved(snapshot, self._dynamics, self._campaign) if snapshot is not None else {}
        if snapshot is None or not found:
            return ()
        told = tuple(map(str, found.values()))
        new = adopted(snapshot, self._dynamics, self._campaign).to_json()
        self._start_over(snapshot.sources, "adopt environment", by, "; ".join(told), "target" in found, new)
        return told

    def rebuild_ledger(self, table: str, *, by: str = "") -> None:
        """Doubt what the ledger says of a table: the next start reads all of it and compares each record with Campaign.

        What is the same costs one look and no write; what the ledger lacked enters it. Raises DefinitionError when the
        table is not mapped, and ActionNotAvailableError while the workflow is started.
        """
        self.definition.mapping(table)
        self._start_over([table], "rebuild ledger", by, table, True, None)

    def _start_over(
        self, tables: Iterable[str], action: str, by: str, detail: str, doubt: bool, snapshot: str | None
    ) -> None:
        entry = self._action(action, by, detail)
        if not self._storage.start_over(self.id, list(tables), entry, doubt=doubt, snapshot=snapshot):
            row = self._row()
            raise ActionNotAvailableError(
                action, status=row.state.value, available=[one.value for one in self.available_actions]
            )

    def schema_guard(self) -> SchemaGuardReport:
        """Whether a schema change may be published now, on either side, and what was changed since the start.

        Asks both services for their schemas and writes nothing. Not safe while the workflow is started or records are
        in flight, or when a difference is there already that stops it. Raises RetryLaterErrors when a service cannot
        be asked just now, StopWorkflowErrors.
        """
        row = self._row()
        self._heed_gates()
        return schema_guard(row, self._storage.counts(self.id), self._dynamics, self._campaign)

    def _next_start(self, replay: Sequence[str] = ()) -> NextStart:
        try:
            edited, registered = self._storage.workflow(self.id).definition, True
        except KeyError:  # nobody used this workflow yet, and looking does not count as use
            edited, registered = self._first_definition, False
        self._heed_gates()
        return NextStart(
            workflow=self.id,
            registered=registered,
            definition=self._parse(edited),
            storage=self._storage,
            dynamics=self._dynamics,
            campaign=self._campaign,
            replay=frozenset(replay),
        )

    def _gates(self) -> Sequence[Gate]:
        return (*self._dynamics.gates, *self._campaign.gates)


def _at_least_none(limit: int) -> int:
    if limit < 0:
        raise ValueError(f"limit must be 0 or more, not {limit}")
    return limit


def _only_table(definition: IngressDefinition) -> str:
    if len(definition.tables) == 1:
        return definition.tables[0]
    mapped = ", ".join(definition.tables) or "none"
    raise DefinitionError("Say which table to preview.", path="table", remedy=f"Mapped: {mapped}.")
