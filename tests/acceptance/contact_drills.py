"""Contacts that are loaded, changed, deleted and made while everything happens to the workers that bring them over."""

from __future__ import annotations

import random
import time
from contextlib import closing
from itertools import islice

from tests.acceptance import drill_room
from tests.acceptance.drill_room import DrillReport, Trouble
from tests.ingress_room import differences, drain, join
from tests.postgres_room import Server

from syncline.sandbox import Sandbox, people
from syncline.store import Storage

__all__ = ["ingress"]

#: Changes made between two drills, so that nobody is ever without work.
_EDITS = 150
_LOADED_AT_ONCE = 10_000


def ingress(server: Server, *, records: int, trouble: Trouble) -> DrillReport:
    """Both systems must end equal."""
    dice = random.Random(trouble.seed)  # noqa: S311 - moments, not secrets
    began, schema, mended = time.monotonic(), server.schema(), 0
    with Sandbox(process=True, seed=trouble.seed) as sandbox, closing(server.storage(schema)) as storage:
        crowd = _load(sandbox, records, trouble.seed)
        integration = join(sandbox, storage, settings=trouble.settings)
        workflow = integration.ingress.id
        integration.ingress.start()
        turn = iter(range(1_000_000))
        with trouble.crew(sandbox, server, schema, "ingress") as crew:
            since = time.monotonic()
            done = drill_room.suffer(crew, trouble, dice, lambda: _change(sandbox, crowd, dice, next(turn)))
            problems = drill_room.await_empty(
                workflow, storage, lambda: storage.ledger_size(workflow, "contact") == sandbox.dynamics.count("contact")
            )
            working = time.monotonic() - since
            problems += drill_room.ended_badly(crew)
        if not problems:
            drain(integration)
            mended = _sweep(sandbox, storage, trouble) if differences(sandbox) else 0
            problems += differences(sandbox)
        problems += drill_room.inexact(storage, workflow)
        problems += [
            f"{value} is there {count} times"
            for value, count in sandbox.campaign.duplicates("profile", "externalId").items()
        ]
        known, there = storage.ledger_size(workflow, "contact"), sandbox.dynamics.count("contact")
        problems += [f"the ledger has {known} records, Dynamics has {there}"] if known != there else []
        return drill_room.report(
            storage, workflow, done, began=began, working=working, mended=mended, problems=problems
        )


def _load(sandbox: Sandbox, records: int, seed: int) -> list[str]:
    """Make so many contacts; their ids."""
    made = people(records, seed, clean=True)
    crowd: list[str] = []
    while some := list(islice(made, _LOADED_AT_ONCE)):
        sandbox.dynamics.load("contact", some)
        crowd.extend(str(person["contactid"]) for person in some)
    return crowd


def _change(sandbox: Sandbox, crowd: list[str], dice: random.Random, turn: int) -> None:
    for person in dice.sample(crowd, min(_EDITS, len(crowd))):
        sandbox.dynamics.update("contact", person, lastname=f"Turn {turn}", numberofchildren=turn % 7)
    for _ in range(3):
        sandbox.dynamics.delete("contact", crowd.pop(dice.randrange(len(crowd))))
    crowd.extend(_load(sandbox, 5, 1_000_000 + turn))


def _sweep(sandbox: Sandbox, storage: Storage, trouble: Trouble) -> int:
    """Compare everything once; how many records differed."""
    sweeper = join(sandbox, storage, settings=drill_room.sweeping(trouble.settings))
    rounds = 0
    while rounds < 2:
        drain(sweeper)
        sweep = sweeper.ingress.sweeps.get("contact")
        rounds = 0 if sweep is None else sweep.rounds
    drain(sweeper)
    return sweeper.ingress.sweeps["contact"].mended_ever
