"""Linked tables while everything happens to the workers that bring them over: parents and children, link by link.

Accounts that belong to accounts, contacts that belong to accounts and vehicles that belong to contacts: planted from
the leaves as well as from the root, moved to other parents, and felled.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from uuid import UUID

from attrs import field, frozen
from tests.acceptance import drill_room
from tests.acceptance.drill_room import DrillReport, Trouble
from tests.ingress_room import drain, join
from tests.postgres_room import Server

from syncline import FieldMapping, IngressDefinition, Link, LinkBy, TableMapping
from syncline.sandbox import Sandbox
from syncline.store import Storage

__all__ = ["linked"]

#: Table, its name's column and what that is in Campaign, its resource and key, the link and what the table points to.
_TABLES = {
    "account": ("name", "label", "cusAccount", "accountId", "parentId", "parentaccountid", "account"),
    "contact": ("lastname", "lastName", "profile", "externalId", "cusAccount", "parentcustomerid", "account"),
    "new_vehicle": ("new_name", "vehicleName", "cusVehicle", "externalId", "ownerId", "new_contactid", "contact"),
}
_POINTS_TO = "Microsoft.Dynamics.CRM.lookuplogicalname"
#: By PKey, which costs a look at the parent; the others by a column.
_BY_PKEY = "contact"
#: How many records have a parent, of ten.
_LINKED = 8
_LOADED_AT_ONCE = 5_000
#: Between two drills: new trees, records that move to another parent, and trees that go.
_PLANTED, _MOVED, _FELLED = 8, 60, 2


@frozen
class _Forest:
    """What is in Dynamics: each record's parent, by table; parents are never deleted before their children."""

    sandbox: Sandbox
    dice: random.Random
    parents: dict[str, dict[str, str | None]] = field(factory=lambda: {table: {} for table in _TABLES})

    def plant(self, records: int) -> None:
        """So many records, the vehicles first: that their owners come later is what has to be borne."""
        accounts, contacts = self._ids(records // 10 + 1), self._ids(records * 4 // 10 + 1)
        vehicles = self._ids(max(0, records - len(accounts) - len(contacts)))
        older = [*self.parents["account"]]
        for table, made, above in (("new_vehicle", vehicles, contacts), ("contact", contacts, accounts)):
            self._put(table, {one: self._one_of(above) for one in made})
        # Each account belongs to one that was there before or stands before it: no circles.
        self._put("account", {one: self._one_of([*older[-20:], *accounts[:at]]) for at, one in enumerate(accounts)})

    def move(self, number: int) -> None:
        """Others get another parent, or none, and another name."""
        for table, above in (("contact", "account"), ("new_vehicle", "contact")):
            known, possible = [*self.parents[table]], [*self.parents[above]]
            moved = self.dice.sample(known, min(number, len(known)))
            self._put(table, {one: self._one_of(possible) for one in moved}, again=True)
        for one in self.dice.sample([*self.parents["account"]], min(number // 4, len(self.parents["account"]))):
            self._put("account", {one: self.parents["account"][one]}, again=True)

    def fell(self, number: int) -> None:
        """Contacts go, with the vehicles that point to them, the vehicles first."""
        for _ in range(min(number, len(self.parents["contact"]))):
            gone = self.dice.choice([*self.parents["contact"]])
            for table, records in (
                ("new_vehicle", [one for one, owner in self.parents["new_vehicle"].items() if owner == gone]),
                ("contact", [gone]),
            ):
                for record in records:
                    self.sandbox.dynamics.delete(table, record)
                    del self.parents[table][record]

    def _ids(self, number: int) -> list[str]:
        return [str(UUID(int=self.dice.getrandbits(128), version=4)) for _ in range(number)]

    def _one_of(self, possible: list[str]) -> str | None:
        return self.dice.choice(possible) if possible and self.dice.randrange(10) < _LINKED else None

    def _put(self, table: str, records: dict[str, str | None], *, again: bool = False) -> None:
        name, _, _, _, _, lookup, points_to = _TABLES[table]
        rows = (
            {f"{table}id": record, name: f"Turn {self.dice.randrange(1_000)}", f"_{lookup}_value": parent}
            | ({f"_{lookup}_value@{_POINTS_TO}": points_to} if parent else {})
            for record, parent in records.items()
        )
        if again:
            for row in rows:
                self.sandbox.dynamics.update(table, str(row.pop(f"{table}id")), **row)
        else:
            while some := list(islice(rows, _LOADED_AT_ONCE)):
                self.sandbox.dynamics.load(table, some)
        self.parents[table].update(records)


def _definition() -> IngressDefinition:
    return IngressDefinition(
        mappings=[
            TableMapping(
                table=table,
                resource=resource,
                key=key,
                fields=[FieldMapping(source=name, target=named)],
                links=[
                    Link(
                        source=lookup,
                        target=link,
                        table=points_to,
                        by=LinkBy.PKEY if table == _BY_PKEY else LinkBy.COLUMN,
                    )
                ],
            )
            for table, (name, named, resource, key, link, lookup, points_to) in _TABLES.items()
        ]
    )


def _make_room(sandbox: Sandbox) -> None:
    texts = [{"name": name, "kind": "string", "length": 100} for name in ("accountId", "label", "parentId")]
    sandbox.campaign.add_resource("cusAccount", texts, exposure="ext", key="accountId")
    sandbox.campaign.add_field("cusAccount", "parent", "link", target="cusAccount", column="parentId")
    sandbox.campaign.add_field("profile", "cusAccount", "link", target="cusAccount")


def linked(server: Server, *, records: int, trouble: Trouble) -> DrillReport:
    """Both systems must end equal, links included."""
    dice = random.Random(trouble.seed)  # noqa: S311 - moments, not secrets
    began, schema, mended = time.monotonic(), server.schema(), 0
    with Sandbox(process=True, seed=trouble.seed) as sandbox, closing(server.storage(schema)) as storage:
        _make_room(sandbox)
        forest = _Forest(sandbox, dice)
        forest.plant(records)
        integration = join(sandbox, storage, definition=_definition(), settings=trouble.settings)
        workflow = integration.ingress.id
        integration.ingress.start()

        def between() -> None:
            forest.move(_MOVED)
            forest.plant(_PLANTED * 10)
            forest.fell(_FELLED)

        def read() -> bool:
            return all(storage.ledger_size(workflow, table) == len(known) for table, known in forest.parents.items())

        with trouble.crew(sandbox, server, schema, "ingress") as crew:
            since = time.monotonic()
            done = drill_room.suffer(crew, trouble, dice, between)
            problems = drill_room.await_empty(workflow, storage, read)
            working = time.monotonic() - since
            problems += drill_room.ended_badly(crew)
        if not problems:
            drain(integration)
            mended = _sweep(sandbox, storage, trouble) if any(_differences(sandbox)) else 0
            problems += _differences(sandbox)
        problems += drill_room.inexact(storage, workflow)
        return drill_room.report(
            storage, workflow, done, began=began, working=working, mended=mended, problems=problems
        )


def _differences(sandbox: Sandbox) -> Iterator[str]:
    """What is not in step, a sentence each."""
    for table, (name, named, resource, key, link, lookup, _) in _TABLES.items():
        there: dict[str, tuple[str, str]] = {}
        for row in sandbox.campaign.rows(resource, [key, named, link]):
            if row[key] in there:
                yield f"{table} {row[key]} is there twice"
            there[row[key]] = (row[named], row[link] or "")
        for row in sandbox.dynamics.rows(table, [f"{table}id", name, f"_{lookup}_value"]):
            wanted = (row[name], row.get(f"_{lookup}_value") or "")
            found = there.pop(row[f"{table}id"], None)
            if found != wanted:
                yield f"{table} {row[f'{table}id']} is {found}, not {wanted}"
        yield from (f"{table} {record} is only in Campaign" for record in there)


def _sweep(sandbox: Sandbox, storage: Storage, trouble: Trouble) -> int:
    """Compare everything once; how many records differed."""
    settings = drill_room.sweeping(trouble.settings)
    sweeper = join(sandbox, storage, definition=_definition(), settings=settings)
    rounds = 0
    while rounds < 2:
        drain(sweeper)
        rounds = min(sweep.rounds for sweep in sweeper.ingress.sweeps.values()) if sweeper.ingress.sweeps else 0
    drain(sweeper)
    return sum(sweep.mended_ever for sweep in sweeper.ingress.sweeps.values())
