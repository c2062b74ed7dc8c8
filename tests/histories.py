"""A workflow between two services that misbehave, everything that happens to it, and what the end must look like.

The services are in `tests.misbehaving`. What the target should hold is worked out here once more, without the mapping's
own code.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from attrs import evolve, frozen
from tests.misbehaving import KEYS, REFUSED, TABLES, TOO_LONG, Edit, MovedClock, Service, Source, Target, World

from syncline import (
    FieldMapping,
    FieldReplacement,
    Filter,
    IngressDefinition,
    MemoryStorage,
    SQLiteStorage,
    TableMapping,
)
from syncline.records import Value
from syncline.state_machine import WorkflowState
from syncline.storage.sql_storage import SQLStorage
from syncline.table_mapping import Comparison
from syncline.workflows.base import CycleReport
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.ingress import IngressWorkflow
from syncline.workflows.owner import this_owner
from syncline.workflows.settings import EngineSettings


@frozen(kw_only=True)
class Rules:
    """What the definition of a history says; the part that can be edited."""

    #: "" when it is not mapped, "always", or "once" for `apply_updates` off.
    title: str = ""
    #: Only records whose kind is "a".
    filtered: bool = False
    delete_filtered_out: bool = False
    #: The title "A" becomes "Alpha".
    replaced: bool = False
    tables: tuple[str, ...] = ("contact", "account")

    def definition(self, *, apply_deletes: bool) -> IngressDefinition:
        fields = [FieldMapping(source="lastname", target="lastName")]
        if self.title:
            fields.append(FieldMapping(source="jobtitle", target="title", apply_updates=self.title == "always"))
        mappings = [
            TableMapping(
                table=table,
                resource=TABLES[table],
                key=KEYS[TABLES[table]],
                fields=fields,
                filters=[Filter(field="kind", comparison=Comparison.EQUALS, value="a")] if self.filtered else [],
                delete_filtered_out=self.delete_filtered_out,
                apply_deletes=apply_deletes,
                replacements=[FieldReplacement(field="jobtitle", value="A", replacement="Alpha")]
                if self.replaced and self.title
                else [],
            )
            for table in self.tables
        ]
        return IngressDefinition(mappings=mappings)

    def of_table(self, table: str) -> Rules | None:
        return evolve(self, tables=(table,)) if table in self.tables else None

    def title_of(self, row: Mapping[str, Value]) -> Value:
        return "Alpha" if self.replaced and row["jobtitle"] == "A" else row["jobtitle"]


SETTINGS = EngineSettings(
    writers=2,
    attention=timedelta(milliseconds=1),
    retry_first=timedelta(seconds=100),
    retry_most=timedelta(seconds=200),
    crash_loop_limit=1_000,
    poll_interval=timedelta(hours=1),
)


class History:
    """One workflow and everything that happens to it. Each method is a step."""

    def __init__(
        self,
        *,
        rules: Rules,
        apply_deletes: bool = True,
        refuses_duplicates: bool = True,
        file: Path | None = None,
        storage: SQLStorage | None = None,
        start: bool = True,
    ) -> None:
        self.clock = MovedClock()
        self.world = World()
        self.source = Service("source", self.clock)
        self.target = Service("target", self.clock)
        self.storage = storage or (MemoryStorage() if file is None else SQLiteStorage(file))
        self.rules = self.running = rules
        self.apply_deletes = apply_deletes
        self._refuses_duplicates = refuses_duplicates
        #: For each table the version of the source when a start brought other rules for it.
        self.edited_at: dict[str, int] = dict.fromkeys(TABLES, 0)
        self.edited = False
        self.restart()
        if start:
            self.workflow.start()
        self.complaints: list[str] = []

    # -- steps -----------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Another process: only what is stored is known."""
        self.workflow = IngressWorkflow(
            dynamics=Source(self.world, self.source),
            campaign=Target(self.world, self.target, refuses_duplicates=self._refuses_duplicates),
            storage=self.storage,
            definition=self.rules.definition(apply_deletes=self.apply_deletes),
            settings=SETTINGS,
            clock=self.clock,
        )

    def edit(self, edit: Edit) -> None:
        self.world.edit(edit)

    def foreign(self, table: str, number: int, lastname: str, title: str | None) -> None:
        self.world.put_foreign(table, number, lastname, title)

    def interject(self, edits: Sequence[Edit]) -> None:
        self.world.interjections.extend(edits)

    def expire(self) -> None:
        self.world.expire()

    def pages(self, size: int, how: Sequence[str]) -> None:
        self.world.page_size = size
        self.world.pages.extend(how)

    def source_faults(self, faults: Sequence[str]) -> None:
        self.source.faults.extend(faults)

    def target_faults(self, faults: Sequence[str]) -> None:
        self.target.faults.extend(faults)

    def advance(self, seconds: float) -> None:
        self.clock.ahead += seconds
        self.storage.set_time_offset(self.clock.ahead)

    def cycle(self, records: int | None = None) -> CycleReport:
        report = self.workflow.run_cycle(records=records)
        self.complaints += self.storage.audit(self.workflow.id)
        return report

    def stop(self) -> None:
        if self.workflow.status.started:
            self.workflow.stop()
            if self.workflow.status is not WorkflowState.STOPPED:
                self.complaints.append(f"stopped and nobody is at work, but it is {self.workflow.status}")

    def start(self) -> None:
        if not self.workflow.status.started:
            self.workflow.start()
            self._take_up()

    def define(self, rules: Rules) -> None:
        self.rules = rules
        self.edited = True
        self.workflow.edit(rules.definition(apply_deletes=self.apply_deletes))
        if self.workflow.status is WorkflowState.STARTING:  # the definition is taken when the checks begin
            self._take_up()

    def _take_up(self) -> None:
        for table in TABLES:
            if self.running.of_table(table) != self.rules.of_table(table):
                self.edited_at[table] = self.world.version
        self.running = self.rules

    def replay(self, table: str) -> None:
        if table in self.rules.tables:
            self.workflow.replay(table)

    def vanish(self, leased: int, marked: int, applied: int) -> None:
        """A process claims records, marks and writes some of them, and is never heard of again."""
        grant = self.storage.acquire(self.workflow.id, this_owner(), timedelta(seconds=60))
        if grant is None:
            return
        items = self.storage.lease(grant, leased)
        self.storage.mark_sending(grant, items[:marked])
        for item in items[: min(marked, applied)]:
            resource = TABLES[item.key.table]
            with self.world.lock:
                for row in self.world.rows_at(resource, item.key.id):
                    row["lastName"] = "left by the dead"
        self.advance(61)

    def letters(self, discard: bool, some: int) -> None:
        letters = list(self.workflow.dead_letters)[:some]
        if discard:
            # A refused deletion that is discarded stays at the target for good, as whoever discards it has decided.
            letters = [letter for letter in letters if (letter.key.table, letter.key.id) in self.world.rows]
            self.workflow.dead_letters.discard(letters)
            for letter in letters:  # whoever discards settles it at the source
                self._mend((letter.key.table, letter.key.id))
        else:
            self.workflow.dead_letters.retry(letters)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _mend(self, key: tuple[str, str]) -> None:
        with self.world.lock:
            row = self.world.rows.get(key)
            if row is not None:
                if row["lastname"] in (REFUSED, TOO_LONG):
                    row["lastname"] = "mended"
                self.world.touch(key)

    def drain(self) -> None:
        for _ in range(80):
            self.start()
            report = self.cycle()
            self.advance(1_000)
            if report.end is CycleEnd.IDLE and report.resume_at is None:
                return
        self.complaints.append(f"not caught up: {report} {self.workflow.backlog}")

    def settle(self) -> None:
        """All trouble ends, and everything that waits for a person is dealt with."""
        for service in (self.source, self.target):
            service.faults.clear()
        self.world.interjections.clear()
        for key, row in list(self.world.rows.items()):
            if row["lastname"] in (REFUSED, TOO_LONG):
                self._mend(key)
        self.advance(1_000)
        self.drain()
        self.letters(discard=False, some=1_000)
        self.drain()

    def renew(self) -> None:
        """Replay every table under the rules of the day."""
        for table in self.rules.tables:
            self.replay(table)
        self.stop()
        self.start()
        self.drain()

    def wrongs(self, *, renewed: bool = False) -> list[str]:
        """What is not as it must be at the end, a sentence each."""
        found = list(self.complaints)
        counts = self.storage.counts(self.workflow.id)
        totals = counts.totals
        ended = totals.written + totals.superseded + totals.skipped + totals.dead + totals.discarded
        if totals.put != ended + counts.size:
            found.append(f"{totals} do not add up with {counts.size} queued")
        if counts.size:
            found.append(f"{counts.size} are still queued")
        if counts.dead_letters:
            found += [f"dead: {letter.key} {letter.message}" for letter in self.workflow.dead_letters]
        for service in (self.source, self.target):
            if service.intrusions:
                found.append(f"{service.intrusions} requests reached the {service.principal} while it wanted silence")
        found += [f"{one.name} is still alive" for one in threading.enumerate() if one.name.startswith("syncline")]
        for table in self.running.tables:
            found += self._table(table, renewed)
        return found

    def _table(self, table: str, renewed: bool) -> list[str]:
        resource, found = TABLES[table], []
        records = {row[KEYS[resource]] for row in self.world.stored[resource]}
        records |= {record for name, record in self.world.rows if name == table}
        for record in sorted(map(str, records)):
            rows = self.world.rows_at(resource, record)
            if len(rows) > 1:
                found.append(f"{table} {record} is there {len(rows)} times")
            trouble = self._record((table, record), rows[0] if rows else None, renewed)
            found += [f"{table} {record} {trouble}"] if trouble else []
        return found

    def _record(self, key: tuple[str, str], there: dict[str, Value] | None, renewed: bool) -> str:
        row, rules, foreign = self.world.rows.get(key), self.running, key in self.world.foreign
        strict = renewed or self.world.touched.get(key, 0) > self.edited_at[key[0]]
        if row is None:
            gone_too = there is not None and self.apply_deletes and not foreign
            if foreign and there is None and key not in self.world.touched:
                return "was created by others and is gone"
            return f"is deleted and still there as {there}" if gone_too else ""
        if not strict:
            return ""
        if rules.filtered and row["kind"] != "a":
            left = there is not None and rules.delete_filtered_out and not foreign
            return f"left the filter and is still there as {there}" if left else ""
        if there is None:
            return f"is missing; it is {row}"
        if there.get("lastName") != row["lastname"]:
            return f"is {there} and should be {row}"
        return self._title(key, row, there, renewed)

    def _title(self, key: tuple[str, str], row: dict[str, Value], there: dict[str, Value], renewed: bool) -> str:
        title, wanted = there.get("title"), self.running.title_of(row)
        exact = self.running.title == "always" or (self.running.title == "once" and renewed)
        if exact and title != wanted:
            return f"has the title {title!r} and should have {wanted!r}"
        known = self.world.titles[key] | {"Alpha", None} | ({"foreign"} if key in self.world.foreign else set())
        return "" if title in known else f"has the title {title!r}, which it never had"
