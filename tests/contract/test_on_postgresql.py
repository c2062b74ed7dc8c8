"""What random histories promise on SQLite holds on PostgreSQL: the backlog against its model, and the whole engine.

`SYNCLINE_HISTORIES_ON_POSTGRES` says how many of each a run takes (4 without it).
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.contract.test_backlog_machine import BacklogMachine
from tests.contract.test_histories import PHASES, histories, live, rules
from tests.histories import History, Rules
from tests.postgres_room import Server

from syncline.storage.sql_storage import SQLStorage

HOW_MANY = int(os.environ.get("SYNCLINE_HISTORIES_ON_POSTGRES", "4"))
FEW = settings(max_examples=HOW_MANY, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))


def test_random_histories_of_the_backlog(postgres: Server) -> None:
    """After every step the numbers, the groups, the ledger and the letters are the model's."""

    class Machine(BacklogMachine):
        def make(self) -> SQLStorage:
            return postgres.storage()

        def teardown(self) -> None:
            super().teardown()
            self.storage.close()

    run_state_machine_as_test(Machine, settings=settings(FEW, stateful_step_count=25))


def test_random_histories_of_the_engine(postgres: Server) -> None:
    """V1 to V10: whatever happens, in whatever order, everything ends in step."""

    @FEW
    @given(rules=rules, told=histories)
    def tell(rules: Rules, told: list[tuple[str, tuple[Any, ...]]]) -> None:
        with closing(postgres.storage()) as storage:
            live(History(rules=rules, storage=storage), told)

    tell()
