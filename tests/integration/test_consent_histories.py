"""No opt-out is lost, whatever people and the systems do: random histories through the whole engine.

`SYNCLINE_CONSENT_HISTORIES` says how many a run takes; `python -m tests.consent_histories` goes on as long as asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.consent_histories import run

from syncline.definitions import OptOutRule
from syncline.sandbox import Sandbox

pytestmark = pytest.mark.once

HOW_MANY = int(os.environ.get("SYNCLINE_CONSENT_HISTORIES", "1000"))
#: Histories that share one run of the engine.
TOGETHER = 250


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Both systems in a process of their own, for all runs."""
    with Sandbox(process=True) as running:
        yield running


@pytest.mark.parametrize("seed", range(1, max(2, HOW_MANY // TOGETHER) + 1))
def test_no_opt_out_is_lost(sandbox: Sandbox, seed: int) -> None:
    """An opt-out holds until its own side takes it back or the other does so later by more than the margin.

    People are created opted out, opt out and in within one window and on both sides at once; values vanish, records are
    created again and contacts merged; requests fail, answers are lost, processes vanish and replays run. At the end
    both sides are written once at most, and every number is exact. In one run of three opt-outs travel with contacts.
    """
    rule = (OptOutRule.DOCUMENTED, OptOutRule.BASE3_HYB, None)[seed % 3]
    wrong, opted_in = run(sandbox, 1000 + seed, TOGETHER, rule)
    assert wrong == []
    assert opted_in, "an engine that opts everybody out would pass as well"
