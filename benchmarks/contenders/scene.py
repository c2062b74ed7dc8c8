"""The two systems, the people in them, and what every contender must have done in the end.

What lives here: the sandbox as all contenders meet it, the one mapping they all apply, and the proof that each of them
really did the work. Never here: a contender.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import httpx
from attrs import frozen

from syncline.sandbox import Sandbox, people

__all__ = ["COLUMNS", "FIELDS", "GENDERS", "Contender", "Pages", "Post", "Run", "Scene", "body"]

Row = dict[str, Any]
#: Reads everything, a page of rows at a time.
Pages = Callable[[], Iterator[list[Row]]]
#: Creates one profile.
Post = Callable[[Row], None]

#: Dynamics column to Campaign field, as in `examples/quickstart.py`.
FIELDS = {
    "firstname": "firstName",
    "lastname": "lastName",
    "emailaddress1": "email",
    "mobilephone": "mobilePhone",
    "birthdate": "birthDate",
    "gendercode": "gender",
    "numberofchildren": "cusChildren",
    "creditlimit": "cusScore",
}
GENDERS = {1: "male", 2: "female", None: "unknown"}
COLUMNS = ",".join(sorted(FIELDS))

_PAGE = 5_000
_DAY = 86_400
#: The custom fields are reached this way only, so everybody goes there.
_PROFILES = "campaign/profileAndServicesExt/profile"


def body(row: Row) -> Row:
    """The mapping of everybody but Syncline: a dict literal, and nulls left out."""
    values = {
        "externalId": row["contactid"],
        "firstName": row["firstname"],
        "lastName": row["lastname"],
        "email": row["emailaddress1"],
        "mobilePhone": row["mobilephone"],
        "birthDate": row["birthdate"],
        "gender": GENDERS[row["gendercode"]],
        "cusChildren": row["numberofchildren"],
        "cusScore": row["creditlimit"],
    }
    return {name: value for name, value in values.items() if value is not None}


@frozen(kw_only=True)
class Run:
    """One measured run: seconds from the first read on, and the records that were created."""

    seconds: float
    records: int
    #: Writes at once, as they were on average.
    threads: int
    #: Seconds that this process kept a processor busy meanwhile, all threads together.
    processor: float

    @property
    def rate(self) -> float:
        """Records per second."""
        return self.records / self.seconds

    @property
    def cost(self) -> float:
        """Milliseconds of processor per record, on our side."""
        return self.processor / self.records * 1_000


class Contender(Protocol):
    """Somebody who brings every contact from Dynamics to Campaign."""

    name: str
    #: Writes at once; 0 for "as many as it finds right".
    threads: int

    def run(self, scene: Scene) -> Run:
        """Do it once; only what happens from the first read on is timed."""


class Scene:
    """Both systems in a process of their own, with `set_up` people in one and nobody in the other."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._people: list[Row] = []

    def set_up(self, records: int, latency: float = 0) -> None:
        """As new, with this many contacts, and this many milliseconds before each answer to a create."""
        dynamics, campaign = self.sandbox.dynamics, self.sandbox.campaign
        if len(self._people) != records:
            self._people = list(people(records, 7, clean=True))
        dynamics.reset()
        # Changed yesterday: else every one of them counts as changed while it was read, and is read a second time.
        dynamics.shift_clock(-_DAY)
        dynamics.load("contact", self._people)
        dynamics.shift_clock(_DAY)
        campaign.clear_faults()
        campaign.clear("profile")
        campaign.reset_counters()
        if latency:
            campaign.add_fault("latency", method="POST", path="profile", milliseconds=latency)

    # -- what the contenders other than Syncline use ------------------------------------------------------------

    @contextmanager
    def source(self) -> Iterator[Pages]:
        """The reads of a first load, ready to begin: tracked pages, the changes made meanwhile, then the delta."""
        size = f"odata.maxpagesize={_PAGE}"
        table = f"{self.sandbox.dynamics_url}/api/data/v9.2/contacts?$select={COLUMNS}"
        with httpx.Client(headers=self._sign_in(), trust_env=False, timeout=60) as client:

            def get(url: str, prefer: str) -> Any:
                return client.get(url, headers={"Prefer": prefer}).raise_for_status().json()

            def pages() -> Iterator[list[Row]]:
                page = get(table, f"odata.track-changes,{size}")
                yield page["value"]
                while next_link := page.get("@odata.nextLink"):
                    page = get(next_link, f"odata.track-changes,{size}")
                    yield page["value"]
                yield get(f"{table}&$filter=modifiedon ge 2999-01-01T00:00:00Z", size)["value"]
                yield get(page["@odata.deltaLink"], size)["value"]

            yield pages

    def _sign_in(self) -> dict[str, str]:
        sandbox = self.sandbox
        answer = httpx.post(
            f"{sandbox.authority_url}/{sandbox.tenant_id}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": sandbox.client_id,
                "client_secret": sandbox.client_secret,
                "scope": f"{sandbox.dynamics_url}/.default",
            },
        ).raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def credentials(self) -> dict[str, str]:
        """The headers that a write to Campaign needs."""
        sandbox = self.sandbox
        answer = httpx.post(
            f"{sandbox.ims_url}/ims/token/v3",
            data={
                "grant_type": "client_credentials",
                "client_id": sandbox.campaign_client_id,
                "client_secret": sandbox.campaign_client_secret,
                "scope": "openid,AdobeID,campaign_sdk",
            },
        ).raise_for_status()
        token = answer.json()["access_token"]
        return {"Authorization": f"Bearer {token}", "X-Api-Key": sandbox.campaign_client_id}

    @property
    def profiles_url(self) -> str:
        """Where a profile is created."""
        return f"{self.sandbox.campaign_url}/{_PROFILES}"

    @contextmanager
    def target(self, threads: int) -> Iterator[Post]:
        """One create with `httpx.Client`, for so many threads at once."""
        limits = httpx.Limits(max_connections=threads, max_keepalive_connections=threads)
        url = self.profiles_url
        with httpx.Client(headers=self.credentials(), limits=limits, trust_env=False, timeout=60) as client:

            def post(values: Row) -> None:
                answer = client.post(url, json=values)
                if answer.status_code != 201:
                    raise RuntimeError(f"Campaign answered {answer.status_code} to a create")

            yield post

    # -- proof --------------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """One create per contact and no other write, and each profile as the mapping wants it, or AssertionError."""
        calls = self.sandbox.campaign.engine_calls()
        posts, wanted = calls["POST"], len(self._people)
        assert posts == wanted, f"{posts:,} creates for {wanted:,} contacts"
        others = calls["PATCH"] + calls["DELETE"]
        assert not others, f"{others:,} writes other than creates"
        found = Counter(
            _told({name: row[name] for name in _WRITTEN}) for row in self.sandbox.campaign.rows("profile", _WRITTEN)
        )
        expected = Counter(_told(body(_row(person))) for person in self._people)
        assert found == expected, f"{(found - expected).total():,} of {wanted:,} profiles are not as they should be"

    def keep_bodies(self) -> None:
        """Keep what is sent to Campaign from now on, for `bodies`."""
        self.sandbox.campaign.clear_requests()
        self.sandbox.campaign.keep_requests(len(self._people) * 2)

    def bodies(self) -> Counter[str]:
        """What was sent in creates since `keep_bodies`, each in one spelling; keeps no more from here on."""
        kept = self.sandbox.campaign.requests()["kept"]
        self.sandbox.campaign.keep_requests(0)
        creates = (one["body"] for one in kept if one["method"] == "POST" and one["path"].endswith("/profile"))
        return Counter(json.dumps(json.loads(one), sort_keys=True) for one in creates)


_WRITTEN = ["externalId", *FIELDS.values()]


def _row(person: Row) -> Row:
    return {name: person.get(name) for name in ("contactid", *FIELDS)}


def _told(profile: Row) -> str:
    """A profile as text. Campaign knows no null: nothing, an empty text and a zero are the same there."""
    return repr([_spelled(profile.get(name)) for name in _WRITTEN])


def _spelled(value: object) -> str:
    if value in (None, "", 0):
        return ""
    return f"{value:g}" if isinstance(value, int | float) else str(value)
