"""How fast events travel: the whole egress workflow against a bare loop of the same bulk calls.

Run:  python benchmarks/egress.py [--events 20000] [--repeats 3]
Needs: pip install 'syncline[sandbox]'

The sandbox runs in a process of its own on loopback. Both contenders bring the same exported events to the same server,
in `CreateMultiple` calls of 1,000 rows. They take turns, and a ratio is the median of the ratios within a turn, since
the machine is not the same from one minute to the next. After each run the activities are counted.

The bare loop parses the files with Python's csv module, makes a dictionary of each row that is an event, and posts
them, with 1, 2 and 4 threads; it has no queue, no ledger, no retries, and knows the meaning of every column beforehand.
Syncline's time runs from the first look into the folder to the end of the transaction that settled the last event: so
in it are the rules, the queue, the ledger and the counters in a SQLite file with full durability. Not in it are opening
the file, the checks and the start. Signing in is in nobody's time.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from syncline import EgressDefinition, Integration
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.connectors.file_drop import FileDrop
from syncline.sandbox import Sandbox
from syncline.sandbox.log_exports import ExportedLogs
from syncline.storage.sqlite import SQLiteStorage
from syncline.workflows.cycle import CycleEnd

_GOAL = 0.6
_PEOPLE = 1_000
_BULK = 1_000
_THREADS = (1, 2, 4)
_DATES = {"send": "senton", "open": "openedon", "click": "clickedon", "bounce": "bouncedon"}


class _Scene:
    """The sandbox with its people, and the files everybody reads."""

    def __init__(self, sandbox: Sandbox, room: Path, events: int) -> None:
        self.sandbox = sandbox
        self.room = room
        self.people = [row["contactid"] for row in sandbox.dynamics.rows("contact", ["contactid"])]
        self.folder = room / "exports"
        deliveries = max(1, round(events / (_PEOPLE * 1.45)))
        self.exported: ExportedLogs = sandbox.campaign.export_logs(
            self.folder, people=self.people, deliveries=deliveries, rows_per_file=50_000
        )
        self._shown = 0
        self._token = _sign_in(sandbox)

    def time(self, run: Callable[[], float]) -> float:
        """Events per second of one run, which must show every event."""
        seconds = run()
        shown = sum(self.sandbox.dynamics.count(f"adobe_email{kind}") for kind in _DATES)
        assert shown - self._shown == self.exported.events, f"{shown - self._shown} events are shown"
        self._shown = shown
        return self.exported.events / seconds

    # -- the contenders -----------------------------------------------------------------------------------------------

    def syncline(self, turn: int) -> float:
        """Seconds. Each turn has an instance of its own, so that its events are new."""
        sandbox, drop = self.sandbox, self.room / f"drop {turn}"
        drop.mkdir()
        secret = ClientSecret(
            sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
        )
        key = OAuthServerToServer(sandbox.campaign_client_id, sandbox.campaign_client_secret, ims_url=sandbox.ims_url)
        with Integration(
            dynamics=Dataverse(sandbox.dynamics_url, secret, allow_loopback_http=True),
            campaign=CampaignStandard(sandbox.campaign_url, key, allow_loopback_http=True),
            storage=SQLiteStorage(self.room / f"turn {turn}.db"),
            egress=EgressDefinition(instance=f"turn {turn}"),
            events=FileDrop(drop, quiet=timedelta(0)),
        ) as integration:
            integration.egress.start()
            integration.egress.run_cycle()
            for file in self.exported.files:
                (drop / file.name).hardlink_to(file)
            began = time.perf_counter()
            while integration.egress.run_cycle().end is not CycleEnd.IDLE:
                pass
            return time.perf_counter() - began

    def bare_loop(self, threads: int) -> float:
        """Seconds."""
        began = time.perf_counter()
        calls = [(kind, some) for kind, rows in _events(self.exported.files).items() for some in _batches(rows)]
        with ThreadPoolExecutor(threads) as pool:
            statuses = list(pool.map(self._post, calls))
        assert statuses == [200] * len(calls)
        return time.perf_counter() - began

    def _post(self, call: tuple[str, Sequence[dict[str, Any]]]) -> int:
        kind, rows = call
        table = f"adobe_email{kind}"
        body = json.dumps({"Targets": [{"@odata.type": f"Microsoft.Dynamics.CRM.{table}", **row} for row in rows]})
        connection = HTTPConnection(urlsplit(self.sandbox.dynamics_url).netloc)
        try:
            address = f"/api/data/v9.2/{table}s/Microsoft.Dynamics.CRM.CreateMultiple"
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            connection.request("POST", address, body.encode(), headers)
            answer = connection.getresponse()
            told = answer.read()
            assert answer.status == 200, told
            return answer.status
        finally:
            connection.close()


def _events(files: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """Every event once: the exports repeat the rows at their boundaries, and those of messages that changed."""
    found: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _DATES}
    for file in files:
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                kind = _kind(row)
                if kind:
                    found[kind][row["logId"]] = row
    return {kind: [_body(kind, row) for row in rows.values()] for kind, rows in found.items()}


def _batches(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    left = iter(rows)
    while some := list(islice(left, _BULK)):
        yield some


def _kind(row: dict[str, str]) -> str:
    if "urlType" in row:
        return {"1": "click", "2": "open"}.get(row["urlType"], "")
    if row["status"] == "1":
        return "send"
    return "bounce" if row["failureType"] == "2" and row["failureReason"] != "8" else ""


def _body(kind: str, row: dict[str, str]) -> dict[str, Any]:
    when = row.get("logDate") or row["lastModified" if kind == "bounce" else "eventDate"]
    body = {
        "activityid": str(uuid4()),
        "subject": f"{row['campaignId']} {row['deliveryId']}",
        "adobe_campaignname": row["campaignId"],
        "adobe_deliveryname": row["deliveryId"],
        f"adobe_{_DATES[kind]}": f"{when[:10]}T{when[11:19]}Z",
        f"regardingobjectid_contact_adobe_email{kind}@odata.bind": f"/contacts({row['externalId']})",
    }
    if "mirrorPageUrl" in row:
        body["adobe_mirrorpageurl"] = row["mirrorPageUrl"]
    if kind == "click":
        body["adobe_trackingurl"] = row["urlSource"]
    return body


def _sign_in(sandbox: Sandbox) -> str:
    connection = HTTPConnection(urlsplit(sandbox.authority_url).netloc)
    form = {
        "grant_type": "client_credentials",
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "scope": f"{sandbox.dynamics_url}/.default",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", f"/{sandbox.tenant_id}/oauth2/v2.0/token", urlencode(form), headers)
    token = json.loads(connection.getresponse().read())["access_token"]
    connection.close()
    return str(token)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000, help="events to bring over")
    parser.add_argument("--repeats", type=int, default=3, help="turns of everybody")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as room, Sandbox(process=True, contacts=_PEOPLE) as sandbox:
        scene = _Scene(sandbox, Path(room), options.events)
        turns: list[dict[str, float]] = []
        for turn in range(options.repeats):
            rates = {"Syncline": scene.time(lambda turn=turn: scene.syncline(turn))}  # type: ignore[misc]
            for threads in _THREADS:
                rates[f"bare loop, {threads} threads"] = scene.time(
                    lambda threads=threads: scene.bare_loop(threads)  # type: ignore[misc]
                )
            turns.append(rates)
        _print(turns, scene.exported)


def _print(turns: Sequence[dict[str, float]], exported: ExportedLogs) -> None:
    print(f"{exported.events:,} events in {len(exported.files)} files, bulk calls of {_BULK:,}\n")
    print(f"{'':26}{'events/s':>10}   (least-most)       Syncline is as fast")
    for name in turns[0]:
        rates = [rates[name] for rates in turns]
        ratio = median(rates["Syncline"] / rates[name] for rates in turns)
        print(f"{name:26}{median(rates):10,.0f}   ({min(rates):,.0f}-{max(rates):,.0f})   {ratio:12.2f} x")
    best = median(
        rates["Syncline"] / max(rate for name, rate in rates.items() if name != "Syncline") for rates in turns
    )
    print(f"\nGoal: {_GOAL:.1f} x the best bare loop. {'Reached' if best >= _GOAL else 'Not reached'}: {best:.2f} x.")


if __name__ == "__main__":
    main(sys.argv[1:])
