"""Whatever happens, in whatever order, everything ends in step: random histories of the whole ingress engine.

Each history is a list of steps: edits of the source, trouble on either side, cycles, stops, edits of the definition,
processes that vanish. `SYNCLINE_HISTORIES` says how many histories a run takes (300 without it).
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from tests.histories import History, Rules
from tests.misbehaving import REFUSED, TABLES, TOO_LONG

pytestmark = pytest.mark.once

HOW_MANY = int(os.environ.get("SYNCLINE_HISTORIES", "300"))
#: Explaining a failure takes many more runs than finding it.
PHASES = set(Phase) - {Phase.explain}

names = st.sampled_from(["A", "B", "C", "A", "B", "C", REFUSED, TOO_LONG])
titles = st.sampled_from([None, "A", "B"])
kinds = st.sampled_from(["a", "a", "b"])
numbers = st.integers(0, 4)
tables = st.sampled_from([*TABLES])
edits = st.tuples(tables, numbers, st.one_of(names, names, st.none()), titles, kinds)
target_faults = st.sampled_from(
    ["", "", "unavailable", "throttled", "lost before", "lost after", "lost after", "conflict", "refused", "bug",
     "bug after", "credentials"]
)  # fmt: skip
source_faults = st.sampled_from(["", "", "unavailable", "throttled", "cursor", "cursor", "credentials"])
disorders = st.sampled_from(["", "twice", "reversed", "overlapping", "history", "contradictory"])
rules = st.builds(
    Rules,
    title=st.sampled_from(["", "always", "once"]),
    filtered=st.booleans(),
    delete_filtered_out=st.booleans(),
    replaced=st.booleans(),
    tables=st.sampled_from([("contact", "account"), ("contact",), ("account",)]),
)


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    return st.tuples(st.just(name), st.tuples(*arguments))


budgets = st.one_of(st.none(), st.integers(1, 5))
steps = st.one_of(
    step("edit", edits),
    step("edit", edits),
    step("edit", edits),
    step("cycle", budgets),
    step("cycle", budgets),
    step("cycle", budgets),
    step("interject", st.lists(edits, min_size=1, max_size=4)),
    step("foreign", tables, st.integers(0, 2), names, st.just("foreign")),
    step("pages", st.integers(1, 4), st.lists(disorders, max_size=4)),
    step("source_faults", st.lists(source_faults, min_size=1, max_size=4)),
    step("target_faults", st.lists(target_faults, min_size=1, max_size=6)),
    step("target_faults", st.lists(target_faults, min_size=1, max_size=6)),
    step("expire"),
    step("advance", st.sampled_from([1.0, 61.0, 400.0])),
    step("stop"),
    step("start"),
    step("restart"),
    step("define", rules),
    step("replay", tables),
    step("vanish", st.integers(1, 5), st.integers(0, 5), st.integers(0, 5)),
    step("letters", st.booleans(), st.integers(1, 3)),
)
histories = st.one_of(st.lists(steps, min_size=12, max_size=40), st.lists(steps, max_size=12))


def live(history: History, told: list[tuple[str, tuple[Any, ...]]]) -> None:
    """Take every step, let all trouble end, and look."""
    for name, arguments in told:
        getattr(history, name)(*arguments)
    history.settle()
    assert history.wrongs() == []
    if history.edited:
        history.renew()
        assert history.wrongs(renewed=True) == []
    event(f"{len(told) // 10 * 10} steps or more")


@settings(max_examples=HOW_MANY, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(rules=rules, told=histories, apply_deletes=st.sampled_from([True, True, True, False]), refuses=st.booleans())
def test_every_history_ends_in_step(
    rules: Rules, told: list[tuple[str, tuple[Any, ...]]], apply_deletes: bool, refuses: bool
) -> None:
    """V1 to V10: the target is the mapped, filtered source, and every counter is exact."""
    live(History(rules=rules, apply_deletes=apply_deletes, refuses_duplicates=refuses), told)


@settings(max_examples=max(10, HOW_MANY // 20), phases=PHASES, suppress_health_check=list(HealthCheck))
@given(rules=rules, told=histories)
def test_every_history_ends_in_step_on_a_file(rules: Rules, told: list[tuple[str, tuple[Any, ...]]]) -> None:
    """The same with everything on a disk."""
    with TemporaryDirectory() as folder:
        history = History(rules=rules, file=Path(folder) / "syncline.db")
        try:
            live(history, told)
        finally:
            history.storage.close()
