"""The example of a connector keeps every promise of a Campaign connector, but one that it names, and works."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from examples.postbox.connector import KEY, PostboxConnector
from examples.postbox.server import Postbox

from syncline.errors import ProtocolError, SchemaChangedError
from syncline.records import Values
from syncline.sandbox import Loopback
from syncline.testing.connector_checks import CAMPAIGN_CHECKS, FAULTS, CampaignSubject, Trouble
from syncline.testing.promises import Promise, promises

FOLDER = Path(__file__).parents[2] / "examples" / "postbox"
DIFFERENCES = {"check_access_that_ran_out_is_renewed": "Postbox has keys, which do not run out."}


class PostboxSubject(CampaignSubject):
    """The connector in front of the service, both in this process."""

    resource = "members"
    key_field = KEY
    text_fields = ("given_name", "family_name")
    opt_out = ""

    def __init__(self, postbox: Postbox, service: Loopback) -> None:
        super().__init__()
        self.postbox = postbox
        self.service = service
        self.made: list[PostboxConnector] = []
        self._connector = self.another()

    def close(self) -> None:
        for connector in self.made:
            connector.close()

    @property
    def connector(self) -> PostboxConnector:
        return self._connector

    def another(self) -> PostboxConnector:
        return self.make(self.postbox.key)

    def stranger(self) -> PostboxConnector:
        return self.make("another key")

    def make(self, key: str) -> PostboxConnector:
        made = PostboxConnector(self.service.url, key, allow_loopback_http=True, clock=self.clock)
        self.made.append(made)
        return made

    @property
    def secrets(self) -> Collection[str]:
        return [self.postbox.key]

    def requests(self) -> int:
        return int(self.service.control.requests()["total"])

    def begin(self, trouble: Trouble) -> None:
        self.service.control.add_fault(**FAULTS[trouble])

    def calm(self) -> None:
        self.service.control.clear_faults()

    def put(self, key: str, values: Values) -> None:
        members = self.postbox.members[self.resource]
        members[key] = {**members.get(key, {"email": None, "born": None, "credit": None}), KEY: key, **values}

    def get(self, key: str) -> Values | None:
        found = self.postbox.members[self.resource].get(key)
        return None if found is None else {name: found[name] for name in self.text_fields}

    def keys(self) -> Collection[str]:
        return list(self.postbox.members[self.resource])

    def remove(self, key: str) -> None:
        del self.postbox.members[self.resource][key]

    def refuse(self, key: str) -> None:
        self.postbox.refuses.add(key)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Postbox, Loopback]]:
    postbox = Postbox(key="a key that nobody may read")
    with Loopback(postbox.app) as service:
        yield postbox, service


@pytest.fixture
def subject(running: tuple[Postbox, Loopback]) -> Iterator[PostboxSubject]:
    """The service as on its first day."""
    postbox, service = running
    postbox.members[PostboxSubject.resource].clear()
    postbox.refuses.clear()
    service.control.clear_faults()
    service.control.clear_requests()
    with closing(PostboxSubject(postbox, service)) as made:
        yield made


@pytest.mark.parametrize("promise", promises(CAMPAIGN_CHECKS, DIFFERENCES), ids=str)
def test_it_keeps_the_promises_of_a_connector(promise: Promise[CampaignSubject], subject: PostboxSubject) -> None:
    """What the check's docstring promises."""
    promise(subject)


def test_what_it_cannot_know_stops_it(subject: PostboxSubject) -> None:
    """A method that the service does not know any more, and an answer of no meaning, are told apart."""
    for status, kind in ((405, SchemaChangedError), (418, ProtocolError)):
        subject.service.control.add_fault("fail", status=status, count=1, method="PUT")
        with pytest.raises(kind):
            subject.create("somebody")
    assert not subject.keys()


def test_the_example_runs() -> None:
    """As a host would start it: a first load through a wait, changes, deletions, a refusal, and both sides in step."""
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "run.py")], capture_output=True, text=True, check=False, timeout=240
    )
    assert ran.returncode == 0, ran.stderr
    assert "290 members, in step with 290 contacts." in ran.stdout
    assert "Postbox asked to wait 1 times." in ran.stdout


def test_it_is_short() -> None:
    """A service, its connector and both at work: an author reads them in one sitting."""
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in FOLDER.glob("*.py")) < 400
