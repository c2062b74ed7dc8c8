"""Several workers on one workflow: who reads, who writes, and what of a worker that comes back too late."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve, frozen
from tests.ingress_room import DEFINITION, MAPPING, campaign_of, differences, drain, join

from syncline import IngressDefinition, Integration, MemoryStorage, OptOutDefinition, OptOutDirection, OptOutPair
from syncline.backlog import Role
from syncline.connectors.campaign import CampaignStandard
from syncline.errors import CredentialsError
from syncline.instrumentation import CycleStarted, Notice, WritesSettled
from syncline.records import Values
from syncline.sandbox import Sandbox, people
from syncline.schemas import TableSchema
from syncline.state_machine import WorkflowState
from syncline.storage.sql_storage import SQLStorage
from syncline.testing.storage_checks.subject import owner
from syncline.workflows.base import CycleReport
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.settings import EngineSettings

LEASE = timedelta(seconds=60)
PAIR = EngineSettings(workers=2, attention=timedelta(milliseconds=10), retry_first=timedelta(milliseconds=10))


class Pausing(CampaignStandard):
    """Can be stopped in the last moment before an update is sent, when nobody asks any more whether it may."""

    armed = False
    #: Its credentials were taken away.
    refuses = False

    def create(self, resource: TableSchema, values: Values) -> None:
        if self.refuses:
            raise CredentialsError("These credentials are no longer good.")
        super().create(resource, values)

    def hold(self) -> None:
        """Stop before the next update."""
        self.armed, self.reached, self.go_on = True, threading.Event(), threading.Event()

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        if self.armed:
            self.armed = False
            self.reached.set()
            assert self.go_on.wait(60)
        super().update(resource, ref, values)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def room(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Both systems with some people."""
    sandbox.dynamics.reset()
    sandbox.campaign.reset()
    sandbox.dynamics.load("contact", people(40, 3, clean=True))
    yield sandbox
    sandbox.campaign.clear_faults()


@pytest.fixture
def storage() -> Iterator[SQLStorage]:
    made = MemoryStorage()
    yield made
    made.close()


def one_contact(room: Sandbox) -> str:
    return str(next(iter(room.dynamics.rows("contact", ["contactid"])))["contactid"])


def lastname(room: Sandbox, contact: str) -> str:
    (found,) = [
        row["lastName"]
        for row in room.campaign.rows("profile", ["externalId", "lastName"])
        if row["externalId"] == contact
    ]
    return str(found)


@frozen(kw_only=True)
class Asleep:
    """A worker in the middle of a cycle, about to send somebody's new last name, `First`."""

    worker: Integration
    contact: str
    go_on: threading.Event
    report: Future[CycleReport]

    def wake(self) -> CycleReport:
        """Let it go on to the end of its cycle."""
        self.go_on.set()
        return self.report.result(60)


@contextmanager
def asleep(room: Sandbox, storage: SQLStorage) -> Iterator[Asleep]:
    """One of two workers of a workflow that was caught up falls asleep; at the end of the block it goes on."""
    slow = campaign_of(Pausing, room)
    worker = join(room, storage, campaign=slow, settings=PAIR)
    worker.ingress.start()
    drain(worker)
    contact = one_contact(room)
    room.dynamics.update("contact", contact, lastname="First")
    slow.hold()
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(worker.ingress.run_cycle)
        try:
            assert slow.reached.wait(60)
            yield Asleep(worker=worker, contact=contact, go_on=slow.go_on, report=report)
        finally:
            slow.go_on.set()


def test_the_late_write_of_a_paused_worker_is_refused_found_and_mended(room: Sandbox, storage: SQLStorage) -> None:
    """Campaign knows no conditional write: the stale value lands, its settling is refused, and the sweep mends it."""
    with asleep(room, storage) as sleeper:
        storage.set_time_offset(LEASE.total_seconds() + 1)
        other = join(room, storage, settings=PAIR)
        drain(other)
        room.dynamics.update("contact", sleeper.contact, lastname="Second")
        drain(other)
        assert lastname(room, sleeper.contact) == "Second"
        report = sleeper.wake()

    assert (report.end, report.refused, report.written) == (CycleEnd.LEASE_LOST, 1, 0)
    assert lastname(room, sleeper.contact) == "First"  # the hole that a target without conditional writes has
    assert other.ingress.backlog.refused == 1
    assert "Late writes refused" in str(other.ingress.backlog)
    sweeper = join(room, storage, settings=evolve(PAIR, sweep_period=timedelta(milliseconds=1)))
    while not (swept := sweeper.ingress.sweeps.get("contact")) or swept.mended_ever == 0:
        assert drain(sweeper).status is WorkflowState.RUNNING
    drain(sweeper)
    assert differences(room) == []
    assert storage.audit(other.ingress.id) == []


def test_what_a_paused_worker_was_sending_is_read_back(room: Sandbox, storage: SQLStorage) -> None:
    """Whoever takes it over compares first: where the write arrived after all nothing is sent twice."""
    with asleep(room, storage) as sleeper:
        storage.set_time_offset(LEASE.total_seconds() + 1)
        other = join(room, storage, settings=PAIR)
        assert storage.workflow(other.ingress.id).vanished == 1
        sleeper.wake()
        room.campaign.clear_requests()
        drain(other)

    assert not [request for request in room.campaign.requests()["counts"] if request.startswith("PATCH")]
    assert differences(room) == []
    assert storage.audit(other.ingress.id) == []


def test_a_writer_goes_on_as_the_reader_when_nobody_reads(room: Sandbox, storage: SQLStorage) -> None:
    """The reader vanishes: within its own cycle a writer takes the role, and everything gets done."""
    started: list[CycleStarted] = []

    def watch(notice: Notice) -> None:
        if isinstance(notice, CycleStarted):
            started.append(notice)
            if len(started) == 1:
                storage.set_time_offset(LEASE.total_seconds() + 1)

    worker = join(room, storage, settings=PAIR, hooks=[watch])
    worker.ingress.start()
    storage.set_time_offset(0)
    begin = join(room, storage, settings=PAIR)
    begin.ingress.run_cycle(records=1)  # the checks of the start
    gone = storage.acquire(worker.ingress.id, owner(), LEASE, workers=2)
    assert gone is not None
    assert gone.role is Role.READER

    report = worker.ingress.run_cycle()

    assert (report.role, report.end) == (Role.READER, CycleEnd.IDLE)
    assert len(started) == 2
    assert "taken over" in [entry.action for entry in worker.ingress.history]
    assert differences(room) == []
    assert storage.audit(worker.ingress.id) == []


def test_as_many_as_are_admitted_and_no_more(room: Sandbox, storage: SQLStorage) -> None:
    """The first reads, the next one writes what it queued, a third one is told that all places are taken."""
    with asleep(room, storage) as first:
        held = storage.acquire(first.worker.ingress.id, owner(), LEASE, workers=2)
        assert held is not None
        assert held.role is Role.WRITER
        third = join(room, storage, settings=PAIR)
        assert third.ingress.backlog.workers == 2
        assert "Workers" in str(third.ingress.backlog)
        busy = third.ingress.run_cycle()
        assert (busy.end, busy.role, busy.worked) == (CycleEnd.BUSY, None, False)
        storage.release(held)
        second = third.ingress.run_cycle(seconds=0)
        assert second.role is Role.WRITER
        assert first.wake().role is Role.READER
    drain(third)
    assert differences(room) == []


def test_stopped_comes_when_the_last_worker_is_done(room: Sandbox, storage: SQLStorage) -> None:
    """While one of them still writes the status is not STOPPED, whoever else has ended."""
    with asleep(room, storage) as first:
        second = join(room, storage, settings=PAIR)
        second.ingress.stop()
        assert second.ingress.run_cycle().end is CycleEnd.STOP
        assert (second.ingress.status, second.ingress.stopping) == (WorkflowState.RUNNING, True)
        assert first.wake().end is CycleEnd.STOP
    assert second.ingress.status is WorkflowState.STOPPED
    assert storage.counts(second.ingress.id).size == 0
    assert storage.workflow(second.ingress.id).workers == 0


def test_a_failure_that_one_worker_meets_ends_the_others(room: Sandbox, storage: SQLStorage) -> None:
    """FAILED is told by every report, with what the one that met it said."""
    broken = campaign_of(Pausing, room)
    writer = join(room, storage, campaign=broken, settings=PAIR)
    writer.ingress.start()
    writer.ingress.run_cycle(records=1)
    broken.refuses = True
    failed: list[CycleReport] = []

    def watch(notice: Notice) -> None:
        if isinstance(notice, CycleStarted):
            failed.append(writer.ingress.run_cycle())

    reader = join(room, storage, settings=PAIR, hooks=[watch])
    report = reader.ingress.run_cycle()

    assert (report.role, failed[0].role) == (Role.READER, Role.WRITER)
    assert {report.end, failed[0].end} == {CycleEnd.FAILED}
    assert report.status is failed[0].status is WorkflowState.FAILED
    assert "no longer" in report.message
    assert "no longer" in failed[0].message
    assert storage.workflow(reader.ingress.id).workers == 0


def test_silence_asked_of_one_worker_is_kept_by_all(room: Sandbox, storage: SQLStorage) -> None:
    """A gate that another process closed holds within a cycle that is under way."""
    principals = [gate.principal for gate in join(room, storage).campaign.gates]

    def watch(notice: Notice) -> None:
        if isinstance(notice, WritesSettled):
            for principal in principals:
                storage.close_gate(principal, storage.now() + timedelta(hours=1))

    room.dynamics.load("contact", people(1_500, 5, clean=True))
    worker = join(room, storage, settings=evolve(PAIR, writers=1), hooks=[watch])
    worker.ingress.start()

    report = worker.ingress.run_cycle(seconds=60)

    assert report.end is CycleEnd.THROTTLED
    assert 0 < room.campaign.count("profile") < 1_500
    assert storage.audit(worker.ingress.id) == []


@pytest.mark.parametrize("workflow", ["opt_out", "ingress"])
def test_what_carries_opt_outs_has_one_worker(room: Sandbox, storage: SQLStorage, workflow: str) -> None:
    """What is decided about a person rests on what was just decided: nobody works beside, and whoever asks is told."""
    paired = evolve(MAPPING, opt_outs=[OptOutPair(dynamics="donotbulkemail", campaign="blackListEmail")])
    definition = DEFINITION if workflow == "opt_out" else IngressDefinition(mappings=[paired])
    apart = OptOutDefinition(direction=OptOutDirection.DYNAMICS_TO_CAMPAIGN, pairs=paired.opt_outs)
    integration = join(room, storage, definition=definition, opt_out=apart, settings=PAIR)
    chosen = getattr(integration, workflow)
    chosen.start()
    assert chosen.run_cycle(records=1).worked
    held = storage.acquire(chosen.id, owner(), LEASE)
    assert held is not None

    standing_by = chosen.run_cycle()
    assert standing_by.end is CycleEnd.BUSY
    assert "one at a time, whatever EngineSettings.workers says" in standing_by.message
    storage.release(held)
    assert chosen.run_cycle(records=1).worked


def test_two_workers_share_a_database_file(room: Sandbox, tmp_path: Path) -> None:
    """SQLite serves several workers of one host, too: all is written once, and every number is right."""
    room.dynamics.load("contact", people(400, 5, clean=True))
    crew: list[Integration] = [join(room, tmp_path / "syncline.db", settings=PAIR) for _ in range(2)]
    crew[0].ingress.start()
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(drain, crew))
    assert all(report.end is CycleEnd.IDLE for report in reports)
    drain(crew[0])
    assert differences(room) == []
    storage = crew[0].storage
    assert storage.counts(crew[0].ingress.id).totals.written == 440
    assert storage.audit(crew[0].ingress.id) == []
    for integration in crew:
        integration.close()
