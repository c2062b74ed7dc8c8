"""The benchmark of ingress runs from end to end, so that it is still there when somebody wants to know."""

from __future__ import annotations

import pytest
from benchmarks import ingress


def test_the_ingress_benchmark_runs_and_tells_what_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Everybody brings the same people over and is in the table; Syncline's parts and its goals are told."""
    ingress.main(["--records", "60", "--latencies", "0", "--repeats", "1", "--only", "syncline", "bare"])
    told = capsys.readouterr().out
    assert "the same 60 bodies" in told
    for expected in ("\nsyncline ", "\nbare loop, httpx.Client ", "Goal: 1.3 x", "storage: settle", "JSON of requests"):
        assert expected in told
