"""How PostgreSQL goes about a batch, whatever its statistics say: each row is looked up, none compared with all others.

A plan with the batch inside a loop takes a thousand times a thousand steps for a thousand rows, for minutes, under the
lock of the workflow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.postgres_room import Server

from syncline.storage.postgres import PostgresStorage
from syncline.storage.postgres_queries import postgres_queries
from syncline.testing.storage_checks.subject import Subject, entry, settlements

MANY = 20_000
BATCHES = sorted(name for name, statement in postgres_queries().items() if statement.columns)
#: A value of each type that a column of a batch has.
VALUES: dict[str, Callable[[int], object]] = {"BIGINT": int, "BYTEA": lambda number: b"%d" % number, "TEXT": str}


def all_queued(subject: Subject) -> None:
    """Every record is queued when the statistics are made: not one is without a place in the queue."""
    subject.storage.put(subject.grant(), [entry(str(number)) for number in range(MANY)])


def all_known(subject: Subject) -> None:
    """Every record was written, and nothing is queued."""
    grant = subject.grant()
    subject.storage.put(grant, [entry(str(number)) for number in range(MANY)])
    subject.storage.settle(grant, settlements(subject.storage.lease(grant, MANY)))


def nothing_yet(subject: Subject) -> None:
    """The statistics know of nothing at all."""
    subject.grant()


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from steps(inner)


def goes_through_the_batch_again(plan: dict[str, Any]) -> bool:
    """Whether the batch is read once for each row of something else."""
    return any(
        step["Node Type"] == "Function Scan"
        for loop in steps(plan)
        if loop["Node Type"] == "Nested Loop"
        for step in steps(loop["Plans"][1])
    )


@pytest.mark.parametrize("statistics", [all_queued, all_known, nothing_yet])
def test_a_batch_is_no_square(postgres: Server, statistics: Callable[[Subject], None]) -> None:
    """No statement for many rows goes through them again for each row of a table."""
    schema = postgres.schema()
    storage: PostgresStorage = postgres.storage(schema)
    statistics(Subject(storage=storage, advance=storage.set_time_offset))
    storage.close()
    squares = []
    with psycopg.connect(postgres.url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        connection.execute("VACUUM ANALYZE")
        for name in BATCHES:
            text = postgres_queries()[name].text
            types = re.findall(r"%s::(\w+)\[\]", text)
            for size in (100, 300, 1_000):
                batch = [[VALUES[kind](number) for number in range(size)] for kind in types]
                rows = connection.execute(f"EXPLAIN (FORMAT JSON) {text}".encode(), batch).fetchall()
                if goes_through_the_batch_again(rows[0][0][0]["Plan"]):
                    squares.append((name, size))
    assert squares == []
