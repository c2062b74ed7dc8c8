"""Random forests of linked tables, a workflow between two services that misbehave, and what the end must look like.

Three tables one behind the other, with a link from the first to itself. The services are in `tests.misbehaving`; here
rows point to each other, deletions cascade as in Dynamics, and the target refuses to know anything about rows that are
not there. What the target should hold is worked out once more, without the mapping's own code.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import frozen
from tests import histories
from tests.histories import SETTINGS
from tests.misbehaving import LONGEST, REFUSED, TOO_LONG, MovedClock, Service, Source, Target, World, record_id

from syncline import FieldMapping, Filter, IngressDefinition, Link, LinkBy, MemoryStorage, TableMapping
from syncline.backlog import DeadReason
from syncline.connectors.base import CampaignCapabilities
from syncline.definitions import Guardrails
from syncline.records import RecordKey, Value, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema
from syncline.table_mapping import Comparison
from syncline.workflows.base import CycleReport
from syncline.workflows.ingress import IngressWorkflow

#: Table to resource, parents first.
FOREST = {"account": "cusAccount", "contact": "profile", "visit": "cusVisit"}
FOREST_KEYS = {"cusAccount": "accountId", "profile": "externalId", "cusVisit": "visitId"}
#: Table, lookup, the table it points to, the plain column and the link field of the target.
LINKS = (
    ("account", "parentid", "account", "parentId", "parent"),
    ("contact", "accountid", "account", "accountId", "account"),
    ("visit", "contactid", "contact", "contactId", "contact"),
)
#: Table, number, lastname or None to delete, kind, and the numbers of what the lookups point to, by lookup.
Growth: TypeAlias = tuple[str, int, str | None, str, int | None]


def lookup_of_table(table: str) -> tuple[str, str, str, str]:
    """The one lookup of a table: its name, the table it points to, column and link."""
    return next((lookup, parent, column, link) for one, lookup, parent, column, link in LINKS if one == table)


def _string(name: str, longest: int | None = None) -> FieldSchema:
    return FieldSchema(name=name, type=FieldType.STRING, max_length=longest)


def _source(table: str) -> TableSchema:
    lookup, parent, *_ = lookup_of_table(table)
    return TableSchema(
        name=table,
        path=f"{table}s",
        primary_key=f"{table}key",
        fields={
            f"{table}key": FieldSchema(name=f"{table}key", type=FieldType.GUID),
            "lastname": _string("lastname"),
            "kind": _string("kind"),
            lookup: FieldSchema(name=lookup, type=FieldType.LOOKUP, targets=(parent,)),
        },
        change_tracking=True,
    )


def _target(table: str) -> TableSchema:
    _, parent, column, link = lookup_of_table(table)
    resource = FOREST[table]
    return TableSchema(
        name=resource,
        path=resource,
        fields={
            FOREST_KEYS[resource]: _string(FOREST_KEYS[resource]),
            "lastName": _string("lastName", LONGEST),
            column: _string(column),
            link: FieldSchema(name=link, type=FieldType.LOOKUP, targets=(FOREST[parent],)),
        },
    )


FOREST_SOURCES = {table: _source(table) for table in FOREST}
FOREST_TARGETS = {FOREST[table]: _target(table) for table in FOREST}


@frozen(kw_only=True)
class Planting:
    """What the definition of a forest says."""

    #: Tables whose links are written by PKey.
    by_pkey: frozenset[str] = frozenset()
    #: Tables of which only records of kind "a" go.
    filtered: frozenset[str] = frozenset()
    delete_filtered_out: bool = False
    tables: tuple[str, ...] = tuple(FOREST)

    def definition(self) -> IngressDefinition:
        return IngressDefinition(
            mappings=[self._mapping(table) for table in self.tables],
            guardrails=Guardrails(filtered_out_floor=1_000),
        )

    def _mapping(self, table: str) -> TableMapping:
        lookup, parent, column, link = lookup_of_table(table)
        by = LinkBy.PKEY if table in self.by_pkey else LinkBy.COLUMN
        target = link if table in self.by_pkey else column
        return TableMapping(
            table=table,
            resource=FOREST[table],
            key=FOREST_KEYS[FOREST[table]],
            fields=[FieldMapping(source="lastname", target="lastName")],
            links=[Link(source=lookup, target=target, table=parent, by=by)] if parent in self.tables else [],
            filters=[Filter(field="kind", comparison=Comparison.EQUALS, value="a")] if table in self.filtered else [],
            delete_filtered_out=self.delete_filtered_out,
        )


class Forest(World):
    """Both services' data. Keeps what Dynamics keeps: a lookup points to what exists.

    In a hierarchy it never leads in a circle; a lookup of any other kind may lead to the record itself, too.
    """

    def __init__(self, *, cascades: bool, circles: bool = False) -> None:
        super().__init__()
        self.circles = circles
        self.stored = {resource: [] for resource in FOREST_KEYS}
        #: A parent that is deleted takes its children along; else they lose their link.
        self.cascades = cascades
        #: What is to happen while requests are under way.
        self.growths: deque[Growth] = deque()
        self.complaints: list[str] = []
        self._pkeys = itertools.count(1)

    def pkey(self, resource: str, record: str) -> str:
        """The PKey of the record that is there now: whoever comes back has another one."""
        return str(self.rows_at(resource, record)[0].setdefault("PKey", f"@{next(self._pkeys)}"))

    def of_pkey(self, resource: str, link: Any) -> str | None:
        """The key of the record that a link by PKey leads to."""
        if not isinstance(link, dict):
            return None
        rows = [row for row in self.stored[resource] if row.get("PKey") == link["PKey"]]
        return str(rows[0][FOREST_KEYS[resource]]) if rows else None

    def remove(self, resource: str, record: str) -> None:
        """Delete a record of the target: links to its PKey become empty."""
        gone = [row.get("PKey") for row in self.rows_at(resource, record)]
        self.stored[resource] = [row for row in self.stored[resource] if row[FOREST_KEYS[resource]] != record]
        for table, _, parent, _, link in LINKS:
            for row in self.stored[FOREST[table]] if FOREST[parent] == resource else ():
                nested: Any = row.get(link)
                if isinstance(nested, dict) and nested["PKey"] in gone:
                    row[link] = None

    def interject(self) -> None:
        with self.lock:
            if self.growths:
                self.grow(self.growths.popleft())

    def rows_at(self, resource: str, record: str) -> list[dict[str, Value]]:
        return [row for row in self.stored[resource] if row[FOREST_KEYS[resource]] == record]

    def grow(self, growth: Growth) -> None:
        """Change, create or (with no lastname) delete a record of the source."""
        table, number, lastname, kind, points_to = growth
        key = (table, record_id(number))
        with self.lock:
            if lastname is None:
                self._fell(key)
                return
            lookup, parent, *_ = lookup_of_table(table)
            pointed = None if points_to is None else record_id(points_to)
            if pointed is not None and not self._may_point(key, (parent, pointed)):
                pointed = None
            self.before[key] = self.rows.get(key)
            self.rows[key] = {"lastname": lastname, "kind": kind, lookup: pointed}
            self.touch(key)

    def _may_point(self, key: tuple[str, str], pointed: tuple[str, str]) -> bool:
        if self.circles:
            return pointed in self.rows or pointed == key
        return pointed in self.rows and not self._is_below(key, pointed)

    def _is_below(self, key: tuple[str, str], here: tuple[str, str]) -> bool:
        """Whether `here` is the record or one below it."""
        while here in self.rows:
            if here == key:
                return True
            lookup, parent, *_ = lookup_of_table(here[0])
            pointed = self.rows[here][lookup]
            if pointed is None:
                return False
            here = (parent, str(pointed))
        return here == key

    def _fell(self, key: tuple[str, str]) -> None:
        old = self.rows.pop(key, None)
        if old is None:
            return
        for child, row in list(self.rows.items()):
            lookup, parent, *_ = lookup_of_table(child[0])
            if parent == key[0] and row[lookup] == key[1]:
                if self.cascades:
                    self._fell(child)
                else:
                    self.before[child] = dict(row)
                    row[lookup] = None
                    self.touch(child)
        self.before[key] = old
        self.touch(key)


class ForestSource(Source):
    """Change tracking over a forest."""

    def tables(self) -> Mapping[str, str]:
        return {table: table.title() for table in FOREST}

    def describe(self, table: str, *, language: int = 1033) -> TableSchema | None:
        return FOREST_SOURCES.get(table)


class ForestTarget(Target):
    """Records by key, with links: it notes every write that points to a record that is not there."""

    def __init__(self, world: Forest, service: Service, *, refuses_duplicates: bool) -> None:
        super().__init__(world, service, refuses_duplicates=refuses_duplicates)
        self._forest = world
        self.capabilities = CampaignCapabilities(refuses_duplicates=refuses_duplicates, nested_links=True)

    def tables(self) -> Mapping[str, str]:
        return {resource: resource for resource in FOREST_KEYS}

    def describe(self, table: str) -> TableSchema | None:
        return FOREST_TARGETS.get(table)

    def link_to(self, resource: TableSchema, key_field: str, key: str) -> Value:
        if self.find(resource, key_field, key) is None:
            return None
        with self._forest.lock:
            return {"PKey": self._forest.pkey(resource.name, key)}

    @staticmethod
    def _key(resource: TableSchema, values: Values) -> str:
        return str(values[FOREST_KEYS[resource.name]])

    def create(self, resource: TableSchema, values: Values) -> None:
        self._look(resource, values)
        super().create(resource, values)

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        self._look(resource, values)
        super().update(resource, ref, values)

    def _look(self, resource: TableSchema, values: Values) -> None:
        table = next(table for table, one in FOREST.items() if one == resource.name)
        _, parent, column, link = lookup_of_table(table)
        if values.get(link) is not None and not isinstance(values[link], dict):
            self._forest.complaints.append(f"{resource.name} was given a link without a key: {values}")
        with self._forest.lock:
            column_leads = values.get(column) is None or self._forest.rows_at(FOREST[parent], str(values[column]))
            link_leads = values.get(link) is None or self._forest.of_pkey(FOREST[parent], values[link])
            if not (column_leads and link_leads):
                self._forest.complaints.append(f"{resource.name} was written before the {parent} of {values} was there")

    def delete(self, resource: TableSchema, ref: str) -> None:
        fault = self._begin()
        with self._forest.lock:
            self._forest.remove(resource.name, ref)
        self._end(fault)


class ForestHistory(histories.History):
    """One workflow over a forest and everything that happens to it. Each method is a step."""

    world: Forest

    def __init__(
        self, *, planting: Planting, cascades: bool = False, refuses_duplicates: bool = True, circles: bool = False
    ) -> None:
        self.clock = MovedClock()
        self.world = Forest(cascades=cascades, circles=circles)
        self.source = Service("source", self.clock)
        self.target = Service("target", self.clock)
        self.storage = MemoryStorage()
        self.planting = planting
        self._refuses_duplicates = refuses_duplicates
        self.complaints: list[str] = []
        self.restart()
        self.workflow.start()

    # -- steps -----------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        self.workflow = IngressWorkflow(
            dynamics=ForestSource(self.world, self.source),
            campaign=ForestTarget(self.world, self.target, refuses_duplicates=self._refuses_duplicates),
            storage=self.storage,
            definition=self.planting.definition(),
            settings=SETTINGS,
            clock=self.clock,
        )

    def grow_all(self, growths: Sequence[Growth]) -> None:
        for growth in growths:
            self.world.grow(growth)

    def interject_all(self, growths: Sequence[Growth]) -> None:
        """While requests are under way, before one and after another."""
        self.world.growths.extend(growths)

    def start(self) -> None:
        if not self.workflow.status.started:
            self.workflow.start()

    def replay(self, table: str) -> None:
        if table in self.planting.tables:
            self.workflow.replay(table)

    def vanish(self, leased: int, marked: int, applied: int) -> None:
        super().vanish(leased, marked, 0)

    def letters(self, discard: bool, some: int) -> None:
        self.workflow.dead_letters.retry(list(self.workflow.dead_letters)[:some])

    def cycle(self, records: int | None = None) -> CycleReport:
        report = super().cycle(records)
        self.complaints += self.world.complaints
        self.world.complaints.clear()
        return report

    # -- the end ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """All trouble ends, and whoever is set aside is corrected, and tried again."""
        for service in (self.source, self.target):
            service.faults.clear()
        self.world.growths.clear()
        for key, row in self.world.rows.items():
            if row["lastname"] in (REFUSED, TOO_LONG):
                row["lastname"] = "mended"
                self.world.touch(key)
        self.advance(1_000)
        self.drain()
        mine = [letter for letter in self.workflow.dead_letters if letter.reason is not DeadReason.PARENT]
        self.workflow.dead_letters.retry(mine)
        self.drain()
        # A link by PKey is empty after its record went and came back: what the sweep finds in days is asked for.
        for table in self.planting.by_pkey & set(self.planting.tables):
            self.workflow.reconcile(table, queue=True)
        self.drain()

    def wrongs(self, *, renewed: bool = False) -> list[str]:
        """What is not as it must be at the end, a sentence each."""
        found = list(dict.fromkeys(self.complaints))
        counts = self.storage.counts(self.workflow.id)
        if counts.size:
            found.append(f"{counts.size} are still queued")
        for service in (self.source, self.target):
            if service.intrusions:
                found.append(f"{service.intrusions} requests reached the {service.principal} while it wanted silence")
        found += [f"{one.name} is still alive" for one in threading.enumerate() if one.name.startswith("syncline")]
        letters = {letter.key: letter for letter in self.workflow.dead_letters}
        for table in self.planting.tables:
            records = {record for name, record in self.world.rows if name == table}
            records |= {str(row[FOREST_KEYS[FOREST[table]]]) for row in self.world.stored[FOREST[table]]}
            for record in sorted(records):
                trouble = self._trouble(table, record, letters.pop(RecordKey(table=table, id=record), None))
                found += [f"{table} {record} {trouble}"] if trouble else []
        # A letter about a record that is gone stays until somebody reads it.
        letters = {key: one for key, one in letters.items() if (key.table, key.id) in self.world.rows}
        return [*found, *(f"dead for no reason: {key} {one.message}" for key, one in letters.items())]

    def _trouble(self, table: str, record: str, letter: Any) -> str:
        rows = self.world.rows_at(FOREST[table], record)
        if len(rows) > 1:
            return f"is there {len(rows)} times"
        there, row = rows[0] if rows else None, self.world.rows.get((table, record))
        if row is None:
            return "is deleted and still there" if there else ""
        if not self._passes(table, row):
            stays = there is not None and self.planting.delete_filtered_out
            return f"left the filter and is still there as {there}" if stays else ""
        missing = self._missing_parent(table, row)
        if missing:
            named = letter is not None and letter.reason is DeadReason.PARENT and str(missing) in letter.message
            # What was written while its parent was there, and has not changed since, stays as it is; so does a link by
            # PKey that Campaign emptied.
            stays = there is not None and self._difference(table, row, there) in ("", self._emptied(table, row))
            return "" if named or stays else f"points to {missing}, which never comes, and {letter} does not say so"
        if letter is not None:
            return f"is dead although it could be written: {letter.message}"
        if there is None:
            return f"is missing; it is {row}"
        return self._difference(table, row, there)

    def _passes(self, table: str, row: Mapping[str, Value]) -> bool:
        return table not in self.planting.filtered or row["kind"] == "a"

    def _missing_parent(self, table: str, row: Mapping[str, Value]) -> RecordKey | None:
        """The record it points to, if the target does not have it at the end."""
        lookup, parent, *_ = lookup_of_table(table)
        pointed = row[lookup]
        if pointed is None or parent not in self.planting.tables:
            return None
        there = self.world.rows_at(FOREST[parent], str(pointed))
        return None if there else RecordKey(table=parent, id=str(pointed))

    def _difference(self, table: str, row: Mapping[str, Value], there: Mapping[str, Value]) -> str:
        lookup, parent, column, link = lookup_of_table(table)
        if there.get("lastName") != row["lastname"]:
            return f"is {there} and should be {row}"
        if parent not in self.planting.tables:
            return ""
        pointed, stored = row[lookup], there.get(column)
        if table in self.planting.by_pkey:
            stored = self.world.of_pkey(FOREST[parent], there.get(link))
            return "" if stored == pointed else self._emptied(table, row, stored)
        return "" if stored == pointed else f"points to {stored} and should point to {pointed}"

    @staticmethod
    def _emptied(table: str, row: Mapping[str, Value], stored: str | None = None) -> str:
        return f"has a link to {stored} and should have one to {row[lookup_of_table(table)[0]]}"
