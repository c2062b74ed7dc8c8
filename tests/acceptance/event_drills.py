"""Events that are pushed while everything happens to the workers that bring them to Dynamics."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice

from tests import egress_room
from tests.acceptance import drill_room
from tests.acceptance.drill_room import DrillReport, Trouble
from tests.postgres_room import Server

from syncline import Integration
from syncline.definitions import EventKind
from syncline.events import event_id
from syncline.records import Event
from syncline.sandbox import Sandbox

__all__ = ["egress"]

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_KINDS = (EventKind.OPEN, EventKind.CLICK, EventKind.SEND)
_PUSHED_AT_ONCE = 1_000


def egress(server: Server, *, records: int, trouble: Trouble) -> DrillReport:
    """Each event must be there once. Rows are only ever created."""
    dice = random.Random(trouble.seed)  # noqa: S311 - moments, not secrets
    began, schema = time.monotonic(), server.schema()
    with Sandbox(process=True, seed=trouble.seed, contacts=400) as sandbox, closing(server.storage(schema)) as storage:
        known = egress_room.people(sandbox)
        integration = egress_room.join(sandbox, storage, settings=trouble.settings)
        workflow = integration.egress.id
        integration.egress.start()
        events, pushed = _events(known, records, dice), _Pushed()
        wave = -(-records // (trouble.drills * len(trouble.kinds) + 1))
        pushed.push(integration, events, wave)
        with trouble.crew(sandbox, server, schema, "egress") as crew:
            since = time.monotonic()
            done = drill_room.suffer(crew, trouble, dice, lambda: pushed.push(integration, events, wave))
            pushed.push(integration, events, records)
            problems = drill_room.await_empty(workflow, storage)
            working = time.monotonic() - since
            problems += drill_room.ended_badly(crew)
        problems += pushed.differences(sandbox)
        problems += drill_room.inexact(storage, workflow)
        return drill_room.report(storage, workflow, done, began=began, working=working, problems=problems)


def _events(known: list[str], records: int, dice: random.Random) -> Iterator[Event]:
    for number in range(records):
        moment = _NOON + timedelta(seconds=number)
        yield Event(kind=dice.choice(_KINDS), contact=dice.choice(known), occurred_on=moment, log_id=f"log {number}")


class _Pushed:
    """The ids of what was accepted, by kind."""

    def __init__(self) -> None:
        self._ids: defaultdict[EventKind, set[str]] = defaultdict(set)

    def push(self, integration: Integration, events: Iterator[Event], number: int) -> None:
        """The next ones, so many at most."""
        while some := list(islice(events, min(number, _PUSHED_AT_ONCE))):
            number -= len(some)
            _insist(integration, some)
            for event in some:
                self._ids[event.kind].add(event_id(event, ""))

    def differences(self, sandbox: Sandbox) -> Iterator[str]:
        """What is not on the timeline as it was pushed."""
        for kind in EventKind:
            left = set(self._ids[kind])
            for row in sandbox.dynamics.rows(f"adobe_email{kind.value}", ["subject"]):
                if row["activityid"] not in left:
                    yield f"{kind.value} {row['activityid']} is there twice or was never pushed"
                left.discard(row["activityid"])
            if left:
                yield f"{len(left)} of {len(self._ids[kind])} {kind.value}s are missing"


def _insist(integration: Integration, events: list[Event]) -> None:
    """Push until it is durable, as whoever pushes must."""
    for _ in range(50):
        try:
            integration.egress.accept(events)
        except Exception:  # noqa: BLE001 - the server may be away for any reason
            time.sleep(0.2)
        else:
            return
    raise AssertionError("nothing could be pushed for 10 s")
