"""Backup and restore as the how-to on deploying says: an older copy of the storage is put back, and nothing is wrong.

Both systems went on after the copy was taken. What the copy does not know is read again; what is there already is found
to be there.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.egress_room import export, sent, timeline, tracked
from tests.ingress_room import DEFINITION, campaign, dataverse, differences
from tests.postgres_room import OwnServer, Server

from syncline import Integration, OptOutDefinition, OptOutDirection, OptOutPair, SQLiteStorage, Storage, Workflow
from syncline.connectors.file_drop import FileDrop
from syncline.sandbox import Sandbox, people
from syncline.workflows.cycle import CycleEnd

CONSENT = OptOutDefinition(
    direction=OptOutDirection.BIDIRECTIONAL, pairs=[OptOutPair(dynamics="donotbulkemail", campaign="blackListEmail")]
)

pytestmark = pytest.mark.once


class Host:
    """A host over one storage that can be copied and put back while it is closed."""

    def __init__(self, sandbox: Sandbox, exports: Path, store: Store) -> None:
        self.sandbox, self.exports, self.store = sandbox, exports, store
        self.integration = self._open()

    def _open(self) -> Integration:
        return Integration(
            dynamics=dataverse(self.sandbox),
            campaign=campaign(self.sandbox),
            storage=self.store.open(),
            ingress=DEFINITION,
            events=FileDrop(self.exports, quiet=timedelta(0)),
            opt_out=CONSENT,
        )

    def start(self) -> None:
        for workflow in self.workflows:
            workflow.start()

    def people(self) -> list[str]:
        """All contacts there are, by id."""
        return sorted(row["contactid"] for row in self.sandbox.dynamics.rows("contact", ["contactid"]))

    def apart(self) -> list[str]:
        """What is not in step, or there twice: people, opt-outs, events."""
        out = {
            r["contactid"]: bool(r["donotbulkemail"])
            for r in self.sandbox.dynamics.rows("contact", ["contactid", "donotbulkemail"])
        }
        profiles = self.sandbox.campaign.rows("profile", ["externalId", "blackListEmail"])
        events = {"send": 20, "open": 5, "click": 0, "bounce": 0}
        return [
            *differences(self.sandbox),
            *(
                f"{row['externalId']} is opted out on one side"
                for row in profiles
                if out.get(row["externalId"], row["blackListEmail"]) != row["blackListEmail"]
            ),
            *([] if timeline(self.sandbox) == events else [f"on the timeline are {timeline(self.sandbox)}"]),
        ]

    def profiles(self) -> list[dict[str, Any]]:
        """Every profile with all that it holds, also when it was created; not when it was last set to what it was."""
        rows = self.sandbox.campaign.rows("profile")
        return [{name: value for name, value in row.items() if name != "lastModified"} for row in rows]

    def audit(self) -> list[str]:
        """Where a count is not what the rows say."""
        return [one for workflow in self.workflows for one in self.integration.storage.audit(workflow.id)]

    @property
    def workflows(self) -> tuple[Workflow[Any], ...]:
        return self.integration.ingress, self.integration.egress, self.integration.opt_out

    def work(self) -> None:
        """Cycles of all three, until two rounds had nothing to do."""
        calm = 0
        for _ in range(60):
            reports = [workflow.run_cycle(seconds=10) for workflow in self.workflows]
            assert all(report.status.started for report in reports), reports
            idle = all(one.end is CycleEnd.IDLE and one.resume_at is None and not one.written for one in reports)
            calm = calm + 1 if idle else 0
            if calm == 2:
                return
        raise AssertionError(f"not caught up: {reports}")

    def back_up(self) -> None:
        """Close the host, copy, open again."""
        self.integration.close()
        self.store.copy()
        self.integration = self._open()

    def restore(self) -> None:
        """As the how-to says: close, put back, doubt the ledger, start."""
        self.integration.close()
        self.store.put_back()
        self.integration = self._open()
        for workflow in self.workflows:
            workflow.stop(by="restore")
        self.integration.ingress.rebuild_ledger("contact", by="restore")
        self.start()


class Store:
    """Where the state is."""

    def __init__(
        self, open_it: Callable[[], Storage], copy: Callable[[], object], put_back: Callable[[], object]
    ) -> None:
        self.open, self.copy, self.put_back = open_it, copy, put_back


def sqlite(folder: Path) -> Store:
    """A file, copied as a file."""
    place, kept = folder / "syncline.db", folder / "copy.db"
    return Store(lambda: SQLiteStorage(place), lambda: shutil.copy2(place, kept), lambda: _replace(kept, place))


def _replace(kept: Path, place: Path) -> None:
    for old in place.parent.glob(f"{place.name}*"):  # also what SQLite and Syncline keep beside it
        old.unlink()
    shutil.copy2(kept, place)


def dumped(server: Server, folder: Path) -> Store:
    """A schema, dumped and restored with PostgreSQL's own programs."""
    if not isinstance(server, OwnServer):
        pytest.skip("pg_dump has to be of the server's version, and there is none for a server that was named")
    schema, kept = server.schema(), str(folder / "copy.dump")

    def run(program: str, *arguments: str) -> None:
        subprocess.run([str(server.programs / program), *arguments], check=True, capture_output=True)

    def put_back() -> None:
        server.ask(f'DROP SCHEMA "{schema}" CASCADE')
        run("pg_restore", "--dbname", server.url, kept)

    return Store(
        lambda: server.storage(schema),
        lambda: run("pg_dump", "--format=custom", f'--schema="{schema}"', "--file", kept, server.url),
        put_back,
    )


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A file, unless a test asks for a dumped schema."""
    if getattr(request, "param", sqlite) is sqlite:
        return sqlite(tmp_path)
    return dumped(request.getfixturevalue("postgres"), tmp_path)


@pytest.fixture
def host(store: Store, tmp_path: Path) -> Iterator[Host]:
    """Sixty people, twenty messages sent to them, and everything started; nothing has happened yet."""
    exports = tmp_path / "exports"
    exports.mkdir()
    with Sandbox(process=True) as sandbox:
        sandbox.dynamics.load("contact", people(60, 5, clean=True))
        running = Host(sandbox, exports, store)
        export(exports, "delivery_log_1.csv", [sent(n, one) for n, one in enumerate(running.people()[:20])])
        running.start()
        yield running
        running.integration.close()


def live_on(host: Host) -> None:
    """What both systems live through after the copy was taken; in step in the end."""
    first, second, third, fourth, fifth, sixth, *_ = host.people()
    dynamics, profiles = host.sandbox.dynamics, host.sandbox.campaign
    (before,) = (
        row["lastname"] for row in dynamics.rows("contact", ["contactid", "lastname"]) if row["contactid"] == first
    )
    dynamics.update("contact", first, lastname="There")
    dynamics.update("contact", second, lastname="Changed")
    dynamics.update("contact", third, donotbulkemail=True)
    profiles.update("profile", fourth, blackListEmail=True)
    dynamics.delete("contact", fifth)
    dynamics.load("contact", people(5, 6, clean=True))
    export(host.exports, "tracking_log_1.csv", [tracked(n, sixth) for n in range(5)])
    host.work()
    dynamics.update("contact", first, lastname=before)  # and back: what the copy's ledger takes for written
    host.work()
    assert host.apart() == []


@pytest.mark.parametrize(
    ("store", "moment"),
    [(sqlite, "in the first load"), (sqlite, "in step"), (dumped, "in the first load")],
    indirect=["store"],
)
def test_an_older_copy_that_is_put_back_ends_in_step_and_does_nothing_twice(host: Host, moment: str) -> None:
    """The position goes back with the queue; changes are read again, and what is there already is found to be there."""
    if moment == "in step":
        host.work()
    else:
        host.integration.ingress.run_cycle(records=30)
    host.back_up()
    host.work()
    live_on(host)
    before = host.profiles()

    host.restore()
    host.work()

    assert host.apart() == []
    assert host.profiles() == before
    assert host.audit() == []


def test_a_copy_older_than_the_position_lasts_ends_in_step_after_a_full_read(host: Host) -> None:
    """Dynamics forgot the position meanwhile. What went in between is found by what the ledger knew."""
    host.work()
    host.back_up()
    live_on(host)
    sixth = host.people()[5]
    host.sandbox.dynamics.delete("contact", sixth)  # while nobody looks
    host.sandbox.dynamics.expire_tokens()

    host.restore()
    host.work()

    assert host.apart() == []
    assert host.audit() == []


def test_what_a_restored_copy_never_knew_of_stays_and_is_counted(host: Host) -> None:
    """Not promised: created after the copy, gone while nobody looked, position expired. A comparison shows it."""
    host.work()
    host.back_up()
    (late,) = (one["contactid"] for one in people(1, 9, clean=True))
    host.sandbox.dynamics.load("contact", people(1, 9, clean=True))
    host.work()
    host.sandbox.dynamics.delete("contact", late)
    host.sandbox.dynamics.expire_tokens()

    host.restore()
    host.work()

    assert differences(host.sandbox) == [f"{late} is only in Campaign"]
    assert host.integration.ingress.reconcile("contact").strangers == 1
