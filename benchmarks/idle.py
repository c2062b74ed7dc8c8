"""What it costs to look after integrations in which nothing happens: the floor for whoever has thousands.

    python benchmarks/idle.py --integrations 100 --rounds 3 [--url postgresql://...]

Each integration has a name of its own over one PostgreSQL; all look at one sandbox, which runs in a process of its own.
Each loads a few contacts, and then its three workflows are called in turn, as a scheduler does, while nothing changes.
Told are, for one call of `run_cycle` of each workflow: seconds, our processor's time, transactions, and requests to the
services; and what one integration takes in the database.

The server's processor is not in the numbers.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from attrs import frozen
from psycopg import sql

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.queues.postgres_server import server

from syncline import (
    FieldMapping,
    IngressDefinition,
    Integration,
    OptOutDefinition,
    OptOutDirection,
    OptOutPair,
    TableMapping,
    Workflow,
)
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.sandbox import Sandbox
from syncline.storage.postgres import PostgresStorage

_CONTACTS = 20


@frozen(kw_only=True)
class Cost:
    """Of one call."""

    seconds: float
    processor: float
    transactions: float
    requests: float


class Estate:
    """Integrations that differ by name alone: connectors and storage are shared, as in a process that has many."""

    def __init__(self, sandbox: Sandbox, url: str, schema: str, count: int) -> None:
        self._sandbox, self._url = sandbox, url
        secret = ClientSecret(
            sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
        )
        adobe = OAuthServerToServer(sandbox.campaign_client_id, sandbox.campaign_client_secret, ims_url=sandbox.ims_url)
        self._shared = {
            "dynamics": Dataverse(sandbox.dynamics_url, secret, allow_loopback_http=True),
            "campaign": CampaignStandard(sandbox.campaign_url, adobe, allow_loopback_http=True),
            "storage": PostgresStorage(url, schema=schema),
        }
        mapping = TableMapping(
            table="contact", resource="profile", fields=[FieldMapping(source="lastname", target="lastName")]
        )
        pairs = [OptOutPair(dynamics="donotbulkemail", campaign="blackListEmail")]
        shared: dict[str, Any] = self._shared
        self.integrations = [
            Integration(
                name=f"tenant-{number}",
                ingress=IngressDefinition(mappings=[mapping]),
                opt_out=OptOutDefinition(direction=OptOutDirection.BIDIRECTIONAL, pairs=pairs),
                **shared,
            )
            for number in range(count)
        ]

    def settle(self) -> None:
        """Start everything and let it load, until a round of calls has nothing to do."""
        for one in self._workflows():
            one.start()
            while any((report := one.run_cycle()).written for _ in range(3)):
                pass
            if not report.status.started:
                raise SystemExit(f"{one.id}: {one.error}")

    def _workflows(self) -> Iterator[Workflow[Any]]:
        for one in self.integrations:
            yield from (one.ingress, one.egress, one.opt_out)

    def cost(self, kind: str, rounds: int, wait: float) -> Cost:
        """The mean of `rounds` calls of each integration's workflow of a kind."""
        chosen = [one for one in self._workflows() if one.kind == kind]
        requests, transactions = self._requests(), self._transactions(wait)
        processor, began = time.process_time(), time.perf_counter()
        for _ in range(rounds):
            for one in chosen:
                one.run_cycle()
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
        calls = rounds * len(chosen)
        return Cost(
            seconds=seconds / calls,
            processor=processor / calls,
            transactions=(self._transactions(wait) - transactions) / calls,
            requests=(self._requests() - requests) / calls,
        )

    def _requests(self) -> int:
        return int(self._sandbox.dynamics.requests()["total"]) + int(self._sandbox.campaign.requests()["total"])

    def _transactions(self, wait: float) -> int:
        """As the server counts them, after `wait` seconds in which its sessions report."""
        time.sleep(wait)
        with psycopg.connect(self._url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Let go of everything."""
        self.integrations[0].close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parsed(arguments)
    schema = f"bench {uuid4().hex[:12]}"
    with ExitStack() as stack:
        url = stack.enter_context(server(options.url))
        sandbox = stack.enter_context(Sandbox(process=True, contacts=_CONTACTS))
        stack.enter_context(_dropped(url, schema))
        estate = Estate(sandbox, url, schema, options.integrations)
        stack.callback(estate.close)
        estate.settle()
        print(f"{options.integrations} integrations in which nothing happens, {options.rounds} calls of each workflow")
        print(f"{'one call of':12} {'seconds':>9} {'processor':>10} {'transactions':>13} {'requests':>9}")
        for kind in ("ingress", "egress", "opt_out"):
            cost = estate.cost(kind, options.rounds, options.wait)
            spent = f"{cost.seconds * 1000:6.1f} ms {cost.processor * 1000:7.1f} ms"
            print(f"{kind:12} {spent} {cost.transactions:13.1f} {cost.requests:9.1f}", flush=True)
        print(f"{_size(url, schema) / options.integrations / 1024:,.0f} KiB of database for each, {_CONTACTS} contacts")


@contextmanager
def _dropped(url: str, schema: str) -> Iterator[None]:
    try:
        yield
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _size(url: str, schema: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT sum(pg_total_relation_size(format('%%I.%%I', schemaname, tablename)::regclass))"
            " FROM pg_tables WHERE schemaname = %s",
            (schema,),
        ).fetchone()
    return 0 if row is None else int(row[0])


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--integrations", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wait", type=float, default=1.5, help="seconds for the server to count; too few miss some")
    parser.add_argument("--url", default="", help="a PostgreSQL to use; one of its own without it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
