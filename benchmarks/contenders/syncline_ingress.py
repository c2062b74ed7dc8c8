"""Syncline as a host uses it: both connectors, a database file with full durability, and one call of `run_cycle`.

What lives here: the contender, and nothing that makes it faster than a host's own would be.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from statistics import mean

from benchmarks.contenders.scene import FIELDS, GENDERS, Run, Scene

from syncline import (
    FieldMapping,
    FieldReplacement,
    IngressDefinition,
    Integration,
    SQLiteStorage,
    Storage,
    TableMapping,
)
from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.instrumentation import CycleStarted, Notice, PageRead, WritesSettled
from syncline.workflows.cycle import CycleEnd

__all__ = ["MAPPING", "SynclineIngress", "Watch"]

MAPPING = TableMapping(
    table="contact",
    resource="profile",
    fields=[FieldMapping(source=source, target=target) for source, target in FIELDS.items()],
    replacements=[FieldReplacement(field="gendercode", value=code, replacement=name) for code, name in GENDERS.items()],
)
_TOO_LONG = 600


class SynclineIngress:
    """The whole workflow. Subclasses may watch its parts."""

    name = "syncline"
    threads = 0

    def run(self, scene: Scene) -> Run:
        """See `Contender.run`: from the first request for a page to the end of the last transaction that settled a
        write. Not in it: opening the database, `check` and `start`, which read both systems' metadata."""
        with tempfile.TemporaryDirectory() as folder:
            return self._run(scene, Path(folder))

    def _run(self, scene: Scene, folder: Path) -> Run:
        watch = self.watch()
        with Integration(
            dynamics=self.dynamics(scene),
            campaign=self.campaign(scene),
            storage=self.storage(folder / "syncline.db"),
            ingress=IngressDefinition(mappings=[MAPPING]),
            hooks=[watch],
        ) as integration:
            ingress = integration.ingress
            ingress.check()
            ingress.start()
            report = ingress.run_cycle(seconds=_TOO_LONG)
            if report.end is not CycleEnd.IDLE or len(ingress.dead_letters):
                raise RuntimeError(f"Syncline did not come to an end of its work: {report}")
        return Run(
            seconds=watch.last_settled - watch.first_asked,
            records=watch.written,
            threads=round(mean(watch.writers)) if watch.writers else 0,
            processor=watch.busy,
        )

    def watch(self) -> Watch:
        """What takes the times."""
        return Watch()

    def dynamics(self, scene: Scene) -> DynamicsConnector:
        """The source."""
        sandbox = scene.sandbox
        secret = ClientSecret(
            sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
        )
        return Dataverse(sandbox.dynamics_url, secret, allow_loopback_http=True)

    def campaign(self, scene: Scene) -> CampaignConnector:
        """The target."""
        sandbox = scene.sandbox
        secret = OAuthServerToServer(
            sandbox.campaign_client_id, sandbox.campaign_client_secret, ims_url=sandbox.ims_url
        )
        return CampaignStandard(sandbox.campaign_url, secret, allow_loopback_http=True)

    def storage(self, path: Path) -> Storage:
        """The database."""
        return SQLiteStorage(path)


class Watch:
    """A hook that takes the times, and looks how many writers there are."""

    def __init__(self) -> None:
        self.first_asked = self.last_settled = 0.0
        #: Processor time of the process from the start of the cycle to the last settled write.
        self.busy = self._busy_before = 0.0
        self.written = 0
        self.writers: list[int] = []

    def __call__(self, notice: Notice, /) -> None:
        now = time.perf_counter()
        if isinstance(notice, CycleStarted):
            self.cycle_started()
        elif isinstance(notice, PageRead) and not self.first_asked:
            self.first_asked = now - notice.seconds
        elif isinstance(notice, WritesSettled) and notice.written:
            self.settled(now)
            self.written += notice.written
            self.writers.append(sum("-writer-" in thread.name for thread in threading.enumerate()))

    def cycle_started(self) -> None:
        """Called right before the first read."""
        self._busy_before = time.process_time()

    def settled(self, now: float) -> None:
        """Called after each batch of writes."""
        self.last_settled = now
        self.busy = time.process_time() - self._busy_before
