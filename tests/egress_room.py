"""What tests of the whole egress share: exports written by hand, and what a timeline shows.

The columns are written down here a second time on purpose, so that a misreading in the rules cannot hide.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.ingress_room import campaign, dataverse

from syncline import EgressDefinition, Integration, Storage
from syncline.connectors.file_drop import FileDrop
from syncline.sandbox import Sandbox
from syncline.storage.sqlite import SQLiteStorage
from syncline.workflows.base import CycleReport
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.settings import EngineSettings

DELIVERY = "logId,externalId,campaignId,deliveryId,status,failureType,failureReason,eventDate,lastModified\n"
TRACKING = "logId,externalId,campaignId,deliveryId,urlType,urlSource,logDate\n"
TABLES = {kind: f"adobe_email{kind}" for kind in ("send", "open", "click", "bounce")}
#: Everything at once, so that a test need not wait.
HASTY = EngineSettings(unknown_poll=timedelta(microseconds=1), retry_first=timedelta(milliseconds=10))


def join(
    sandbox: Sandbox,
    storage: Storage | Path,
    *folders: Path,
    definition: EgressDefinition | None = None,
    settings: EngineSettings = HASTY,
    **more: Any,
) -> Integration:
    """An integration that reads exports from folders."""
    return Integration(
        dynamics=more.pop("dynamics", None) or dataverse(sandbox),
        campaign=campaign(sandbox),
        storage=SQLiteStorage(storage) if isinstance(storage, Path) else storage,
        egress=definition,
        events=[FileDrop(folder, quiet=timedelta(0)) for folder in folders],
        settings=settings,
        **more,
    )


def people(sandbox: Sandbox) -> list[str]:
    return [row["contactid"] for row in sandbox.dynamics.rows("contact", ["contactid"])]


def sent(number: object, person: str, *, status: str = "1", failure: str = "0", reason: str = "0") -> str:
    """A row of the delivery log."""
    dates = "2026-03-01 10:00:00.000Z,2026-03-02 10:00:00.000Z"
    return f"{number},{person},CMP1,DM1,{status},{failure},{reason},{dates}\n"


def tracked(number: object, person: str, *, kind: str = "2") -> str:
    """A row of the tracking log."""
    return f"{number},{person},CMP1,DM1,{kind},https://shop.example/{number},2026-03-01 11:00:00.000Z\n"


def export(folder: Path, name: str, rows: Iterable[str], *, age: int = 0) -> Path:
    """An exported file with the header of its log; `age` sets its time apart from that of an earlier state."""
    path = folder / name
    header = DELIVERY if name.startswith("delivery") else TRACKING
    path.write_text(header + "".join(rows), encoding="utf-8")
    os.utime(path, (1_760_000_000 + age, 1_760_000_000 + age))
    return path


def drain(integration: Integration, *, cycles: int = 100) -> CycleReport:
    """Cycle after cycle until egress is caught up, FAILED or STOPPED."""
    for _ in range(cycles):
        report = integration.egress.run_cycle(seconds=10)
        if not report.status.started or (report.end is CycleEnd.IDLE and report.resume_at is None):
            return report
    raise AssertionError(f"not caught up after {cycles} cycles: {report}")


def timeline(sandbox: Sandbox) -> dict[str, int]:
    """How many activities of each kind there are."""
    return {kind: sandbox.dynamics.count(table) for kind, table in TABLES.items()}


def exact(integration: Integration) -> None:
    """Every number of the backlog is what the rows say."""
    assert integration.storage.audit(integration.egress.id) == []
