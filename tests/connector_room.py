"""Our own connectors in front of the sandbox, as subjects of the conformance kits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from types import ModuleType
from typing import Any

from tests.sandbox_room import fresh

from syncline.connectors.campaign import CampaignChanges, CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.records import Values
from syncline.sandbox import Sandbox
from syncline.testing.connector_checks import FAULTS, CampaignSubject, DynamicsSubject, Trouble

__all__ = ["CampaignStandardSubject", "DataverseSubject", "failed"]

DATA = "^/api/data/"
RECORDS = "^/contoso/campaign/"


class DataverseSubject(DynamicsSubject):
    """`Dataverse`, or a connector made of it, in front of the sandbox."""

    bulk_rows = 1_000

    def __init__(self, sandbox: Sandbox, kind: type[Dataverse] = Dataverse) -> None:
        super().__init__()
        self.sandbox = sandbox
        self.kind = kind
        self.made: list[Dataverse] = []
        self._connector = self.another()

    def close(self) -> None:
        for connector in self.made:
            connector.close()

    @property
    def connector(self) -> Dataverse:
        return self._connector

    def another(self) -> Dataverse:
        return self.make(self.sandbox.client_secret)

    def stranger(self) -> Dataverse:
        return self.make("not the secret")

    def make(self, secret: str) -> Dataverse:
        sandbox = self.sandbox
        credential = ClientSecret(sandbox.tenant_id, sandbox.client_id, secret, authority_url=sandbox.authority_url)
        made = self.kind(
            sandbox.dynamics_url,
            credential,
            page_size=self.page_size,
            bulk_rows=self.bulk_rows,
            allow_loopback_http=True,
            clock=self.clock,
        )
        self.made.append(made)
        return made

    @property
    def secrets(self) -> Collection[str]:
        return [self.sandbox.client_secret]

    def requests(self) -> int:
        return int(self.sandbox.dynamics.requests()["total"])

    def begin(self, trouble: Trouble) -> None:
        self.sandbox.dynamics.add_fault(path=DATA, **FAULTS[trouble])

    def calm(self) -> None:
        self.sandbox.dynamics.clear_faults()

    def expire_access(self) -> None:
        self.sandbox.dynamics.expire_access_tokens()

    def load(self, rows: Mapping[str, Values]) -> None:
        key = f"{self.table}id"
        self.sandbox.dynamics.load(self.table, ({key: record, **values} for record, values in rows.items()))

    def get(self, record: str) -> Values | None:
        rows = self.sandbox.dynamics.rows(self.table, [f"{self.table}id", *self.columns])
        found = [row for row in rows if row[f"{self.table}id"] == record]
        return {name: found[0][name] for name in self.columns} if found else None

    def delete(self, record: str) -> None:
        self.sandbox.dynamics.delete(self.table, record)

    def expire_links(self) -> None:
        self.sandbox.dynamics.expire_tokens()

    def foreign(self, link: str) -> str:
        return link.replace(self.sandbox.dynamics_url, "https://copy.crm.example")

    def repeat_rows(self) -> None:
        self.sandbox.dynamics.set(duplicates=True)

    def omit_delta_links(self) -> None:
        self.sandbox.dynamics.set(delta_link_missing=True)

    def link_elsewhere(self) -> None:
        self.sandbox.dynamics.set(link_origin="https://elsewhere.example")

    def drop_column(self, column: str) -> None:
        self.sandbox.dynamics.drop_column(self.table, column)

    def refuse(self, record: str) -> None:
        self.sandbox.dynamics.issue_rejects(record)

    def opted_out(self, record: str) -> bool | None:
        rows = self.sandbox.dynamics.rows(self.table, [f"{self.table}id", self.opt_out])
        found: dict[str, bool | None] = {row[f"{self.table}id"]: row[self.opt_out] for row in rows}
        return found[record]

    def merge(self, survivor: str, loser: str) -> None:
        self.sandbox.dynamics.merge_contacts(survivor, loser)

    def timeline(self) -> Mapping[str, Values]:
        activity = self.activity
        columns = {
            activity.subject: activity.subject,
            activity.occurred_on: activity.occurred_on,
            activity.regarding: f"_{activity.regarding}_value",
        }
        rows = self.sandbox.dynamics.rows(activity.table, ["activityid", *columns.values()])
        return {row["activityid"]: {name: row[column] for name, column in columns.items()} for row in rows}


class CampaignStandardSubject(CampaignSubject):
    """`CampaignStandard`, or a connector made of it, in front of the sandbox."""

    def __init__(self, sandbox: Sandbox, kind: type[CampaignStandard] = CampaignStandard) -> None:
        super().__init__()
        self.sandbox = sandbox
        self.kind = kind
        self.made: list[CampaignStandard] = []
        self._connector = self.another()

    def close(self) -> None:
        for connector in self.made:
            connector.close()

    @property
    def connector(self) -> CampaignStandard:
        return self._connector

    def another(self) -> CampaignStandard:
        return self.make(self.sandbox.campaign_client_secret)

    def stranger(self) -> CampaignStandard:
        return self.make("not the secret")

    def make(self, secret: str) -> CampaignStandard:
        auth = OAuthServerToServer(self.sandbox.campaign_client_id, secret, ims_url=self.sandbox.ims_url)
        changes = CampaignChanges(lines=self.page_size)
        made = self.kind(self.sandbox.campaign_url, auth, changes=changes, allow_loopback_http=True, clock=self.clock)
        self.made.append(made)
        return made

    @property
    def secrets(self) -> Collection[str]:
        return [self.sandbox.campaign_client_id, self.sandbox.campaign_client_secret]

    def requests(self) -> int:
        return int(self.sandbox.campaign.requests()["total"])

    def begin(self, trouble: Trouble) -> None:
        self.sandbox.campaign.add_fault(path=RECORDS, **FAULTS[trouble])

    def calm(self) -> None:
        self.sandbox.campaign.clear_faults()

    def expire_access(self) -> None:
        self.sandbox.campaign.call("revoke_tokens")

    def put(self, key: str, values: Values) -> None:
        if self.get(key) is None:
            self.sandbox.campaign.load(self.resource, [{self.key_field: key, **values}])
        else:
            self.sandbox.campaign.update(self.resource, key, **values)

    def get(self, key: str) -> Values | None:
        row = self.sandbox.campaign.call("get", resource=self.resource, key=key)["row"]
        return None if row is None else {name: row[name] for name in self.text_fields}

    def keys(self) -> Collection[str]:
        return [row[self.key_field] for row in self.sandbox.campaign.rows(self.resource, [self.key_field])]

    def remove(self, key: str) -> None:
        self.sandbox.campaign.delete(self.resource, key)

    def refuse(self, key: str) -> None:
        self.sandbox.campaign.refuse(self.resource, key)

    def opted_out(self, key: str) -> bool:
        return bool(self.sandbox.campaign.call("get", resource=self.resource, key=key)["row"][self.opt_out])

    def link_elsewhere(self) -> None:
        self.sandbox.campaign.set(foreign_links="https://elsewhere.example")


def failed(room: ModuleType, make: Callable[[], Any], sandbox: Sandbox) -> set[str]:
    """The checks of a room that do not pass on a fresh subject, without their prefix."""
    found = set()
    for name, check in vars(room).items():
        if name.startswith("check_"):
            fresh(sandbox.dynamics, sandbox.campaign)
            with closing(make()) as subject:
                try:
                    check(subject)
                except Exception:  # noqa: BLE001 - however a check fails, it has failed
                    found.add(name.removeprefix("check_"))
    return found
