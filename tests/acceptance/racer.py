"""A process that starts, stops, edits, replays and works on one workflow, over and over, while another does so too.

Both may work at a time; one of them reads.

    python -m tests.acceptance.racer PLACE SCHEMA LOCK SEED ACTIONS

PLACE is the address of a PostgreSQL, or with an empty SCHEMA the file of a SQLite. Prints one line of JSON: how often
each action came true, and how often two readers met.
"""

from __future__ import annotations

import fcntl
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from attrs import evolve
from tests.histories import SETTINGS, History, Rules
from tests.misbehaving import Source, Target

from syncline import SQLiteStorage
from syncline.errors import ActionNotAvailableError, StorageBusyError
from syncline.records import Page, ReadRequest
from syncline.storage.postgres import PostgresStorage
from syncline.storage.sql_storage import SQLStorage
from syncline.workflows.ingress import IngressWorkflow

RULES = (Rules(tables=("contact",)), Rules(tables=("contact",), title="always"))


class LonelySource(Source):
    """Notices when another process reads at the same time."""

    lock: Path
    met = 0

    def read(self, request: ReadRequest) -> Page:
        with self.lock.open("rb") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.met += 1
            return super().read(request)


def race(storage: SQLStorage, lock: Path, seed: int, actions: int) -> dict[str, int]:
    dice = random.Random(seed)  # noqa: S311 - no secrets
    history = History(rules=RULES[0], storage=storage, start=False)
    source = LonelySource(history.world, history.source)
    source.lock = lock
    workflow = IngressWorkflow(
        dynamics=source,
        campaign=Target(history.world, history.target, refuses_duplicates=True),
        storage=storage,
        integration="race",
        definition=RULES[0].definition(apply_deletes=True),
        settings=evolve(SETTINGS, workers=2),
        clock=history.clock,
    )
    doings: dict[str, Callable[[], object]] = {
        "start": workflow.start,
        "stop": workflow.stop,
        "cycle": workflow.run_cycle,
        "edit": lambda: workflow.edit(dice.choice(RULES).definition(apply_deletes=True)),
        "replay": lambda: workflow.replay("contact"),
    }
    done: Counter[str] = Counter()
    for action in dice.choices([*doings], weights=[4, 3, 4, 1, 1], k=actions):
        try:
            doings[action]()
        except (ActionNotAvailableError, StorageBusyError) as refusal:
            action = type(refusal).__name__
        done[action] += 1
    return {**done, "met": source.met}


def main() -> None:
    place, schema, lock, seed, actions = sys.argv[1:]
    storage = PostgresStorage(place, schema=schema) if schema else SQLiteStorage(place)
    with closing(storage):
        sys.stdout.write(json.dumps(race(storage, Path(lock), int(seed), int(actions))))


if __name__ == "__main__":
    main()
