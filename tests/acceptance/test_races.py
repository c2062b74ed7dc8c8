"""Two processes start, stop, edit and replay one workflow against each other: one reader, and a history that is legal.

`SYNCLINE_RACES=10000` says how many actions each process takes (120 without it).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from tests.postgres_room import Server

from syncline import SQLiteStorage
from syncline.state_machine import INITIAL_STATE, TRANSITIONS, WorkflowEvent, WorkflowState
from syncline.storage.sql_storage import SQLStorage

ACTIONS = os.environ.get("SYNCLINE_RACES", "120")
PROCESSES = 2
#: What the history calls a step: the states it may lead from.
STEPS = {
    "start": {start for start, event in TRANSITIONS if event is WorkflowEvent.START_REQUESTED},
    **{
        end.value: {start for (start, _), into in TRANSITIONS.items() if into is end and start is not end}
        for end in (WorkflowState.RUNNING, WorkflowState.STOPPED, WorkflowState.FAILED)
    },
}
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="the processes notice each other by flock"),
]


def race(place: str, schema: str, folder: Path) -> Counter[str]:
    """Let processes race; what all of them did."""
    lock = folder / "reader"
    lock.touch()
    command = [sys.executable, "-m", "tests.acceptance.racer", place, schema, str(lock)]
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    racers = [
        subprocess.Popen([*command, str(seed), ACTIONS], stdout=subprocess.PIPE, text=True, env=where)
        for seed in range(PROCESSES)
    ]
    done: Counter[str] = Counter()
    for racer in racers:
        told, _ = racer.communicate()
        assert racer.returncode == 0
        done.update(json.loads(told))
    return done


def look(storage: SQLStorage, done: Counter[str]) -> None:
    """The history is legal, every start that came true is in it, and the numbers are exact."""
    workflow = "race/ingress"
    state = INITIAL_STATE
    steps = [entry.action for entry in reversed(storage.history(workflow, 10**9))]
    for step in steps:
        if step in STEPS:
            assert state in STEPS[step], f"{step} in state {state}"
            state = WorkflowState.STARTING if step == "start" else WorkflowState(step)
    row = storage.workflow(workflow)
    assert row.state is state
    assert row.generation == steps.count("start") == done["start"] > 0
    assert steps.count(WorkflowState.RUNNING.value) > 0
    assert row.crashes == 0
    assert row.owner is None
    assert row.workers == row.vanished == 0
    assert done["met"] == 0
    assert sum(done.values()) == PROCESSES * int(ACTIONS)
    assert storage.audit(workflow) == []


def test_two_processes_race_on_postgresql(postgres: Server, tmp_path: Path) -> None:
    """V6 and W5 with guards in the database alone: the processes share nothing else."""
    schema = postgres.schema()
    done = race(postgres.url, schema, tmp_path)
    with closing(postgres.storage(schema)) as storage:
        look(storage, done)


def test_two_processes_race_on_a_file(tmp_path: Path) -> None:
    """The same on SQLite."""
    file = tmp_path / "syncline.db"
    done = race(str(file), "", tmp_path)
    with closing(SQLiteStorage(file)) as storage:
        look(storage, done)
