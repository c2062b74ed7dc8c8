"""The benchmarks of both workflows run from end to end, so that they are still there when somebody wants to know."""

from __future__ import annotations

import pytest
from benchmarks import egress, idle, ingress
from benchmarks import postgres as on_postgres
from tests.postgres_room import Server

pytestmark = pytest.mark.once


def test_the_ingress_benchmark_runs_and_tells_what_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Everybody brings the same people over and is in the table; Syncline's parts and its goals are told."""
    ingress.main(["--records", "60", "--latencies", "0", "--repeats", "1", "--only", "syncline", "bare"])
    told = capsys.readouterr().out
    assert "the same 60 bodies" in told
    for expected in ("\nsyncline ", "\nbare loop, httpx.Client ", "Goal: 1.3 x", "storage: settle", "JSON of requests"):
        assert expected in told


def test_the_benchmark_on_postgresql_runs(postgres: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Batches, single records, ours beside the floor, and several workers; nothing is left on the server."""
    words = [
        "--records",
        "40",
        "--batch",
        "20",
        "--singles",
        "2",
        "--turns",
        "2",
        "--leased",
        "40",
        "--workers",
        "2",
        "--rounds",
        "1",
        "--only",
        "bare",
        "syncline",
        "--url",
    ]
    on_postgres.main([*words, postgres.url])
    told = capsys.readouterr().out
    assert "Batches of 20" in told
    assert told.count("1.00 x as long as syncline") == 2
    assert "2 workers lease batches of 20" in told
    assert postgres.ask("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'bench%%'") == []


def test_the_benchmark_of_idle_integrations_runs(postgres: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Each workflow's call is told with its price, and nothing is left on the server."""
    idle.main(["--integrations", "2", "--rounds", "1", "--wait", "0", "--url", postgres.url])
    told = capsys.readouterr().out
    for expected in ("\ningress ", "\negress ", "\nopt_out ", "KiB of database for each"):
        assert expected in told
    assert postgres.ask("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'bench%%'") == []


def test_the_egress_benchmark_runs_and_tells_what_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Every event is shown once for each contender, and the ratio to the best loop is told."""
    egress.main(["--events", "100", "--repeats", "1"])
    told = capsys.readouterr().out
    for expected in ("\nSyncline ", "\nbare loop, 4 threads ", "Goal: 0.6 x"):
        assert expected in told
