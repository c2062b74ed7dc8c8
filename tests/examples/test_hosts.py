"""The hosts of the examples: what they say is so, and what others send them is looked at. They need what they embed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("apscheduler")

import httpx

from syncline import Integration
from syncline.sandbox import Sandbox

RUN = Path(__file__).parents[2] / "examples" / "hosts" / "run.py"
EVENT = {"kind": "open", "contact": "somebody", "occurred_on": "2026-03-01T10:00:00Z", "log_id": "1"}


IN = {"Authorization": "Bearer let me in"}
REFUSED: list[tuple[dict[str, str], Any, int]] = [
    ({}, [EVENT], 401),
    ({"Authorization": "Bearer let me out"}, [EVENT], 401),
    (IN, EVENT, 400),
    (IN, [EVENT, {**EVENT, "kind": "sneeze"}], 400),
    (IN, [EVENT, {**EVENT, "occurred_on": "2026-03-01T10:00:00"}], 400),
    (IN, [EVENT, {"kind": "open"}], 400),
    (IN, [EVENT] * 10_001, 400),
    ({**IN, "Content-Length": "99999999"}, [EVENT], 413),
]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a host finds in its environment."""
    from examples.hosts.stage import environment

    with Sandbox() as sandbox:
        for name, value in environment(sandbox, str(tmp_path / "syncline.db"), PUSH_TOKEN="let me in").items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.slow
def test_a_difference_that_was_planted_is_found() -> None:
    """The demonstration can fail: a profile changed behind Syncline's back is named, and the status is 1."""
    finished = subprocess.run(
        [sys.executable, str(RUN), "apscheduler", "--contacts", "300", "--plant-difference"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert finished.returncode == 1
    assert "NOT in step" in finished.stdout
    assert "differs" in finished.stdout


def test_a_push_is_taken_whole_or_not_at_all(told: None) -> None:
    """Who may not, and what is no list of events, queues nothing; what is answered with 202 is durable and known."""
    from examples.hosts.with_starlette import app, lifespan

    async def host() -> tuple[list[int], list[Any], list[int]]:
        async with (
            lifespan(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as sender,
        ):
            integration: Integration = app.state.integration
            refused = [await sender.post("/events", json=body, headers=headers) for headers, body, _ in REFUSED]
            queued = [integration.egress.backlog.size]
            taken = [await sender.post("/events", json=[EVENT, EVENT], headers=IN) for _ in range(2)]
            queued.append(integration.egress.backlog.size)
            return [one.status_code for one in refused], [one.json() for one in taken], queued

    refused, taken, queued = asyncio.run(host())
    assert refused == [answer for _, _, answer in REFUSED]
    assert taken == [{"queued": 1, "known": 1}, {"queued": 0, "known": 2}]
    assert queued == [0, 1]
