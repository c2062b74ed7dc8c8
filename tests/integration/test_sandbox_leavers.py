"""Clients that leave in the middle: what arrived whole is acted on, what arrived in part is not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from tests.sandbox_room import PROFILES, Stranger

from syncline.sandbox import Sandbox

BODY = b'{"externalId": "leaver"}'


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Both systems."""
    with Sandbox() as running:
        yield running


def send_and_leave(sandbox: Sandbox, body: bytes) -> None:
    """A create whose headers promise all of `BODY`; then the socket is closed without waiting for an answer."""
    address = urlsplit(sandbox.campaign_url)
    with Stranger(sandbox) as client:
        token = client.http.headers["Authorization"]
    lines = [
        f"POST {address.path}/campaign/{PROFILES} HTTP/1.1",
        f"Host: {address.netloc}",
        f"Authorization: {token}",
        f"X-Api-Key: {sandbox.campaign_client_id}",
        f"Content-Length: {len(BODY)}",
    ]
    head = "\r\n".join([*lines, "", ""])
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(head.encode("ascii") + body)


def arrives(sandbox: Sandbox, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if sandbox.campaign.count("profile"):
            return True
    return False


def test_a_create_that_arrived_whole_happens_although_its_sender_is_gone(sandbox: Sandbox) -> None:
    """A killed client cannot call back what it has sent; with latency it is long gone when the service acts."""
    sandbox.campaign.add_fault("latency", milliseconds=200, path="profile")

    send_and_leave(sandbox, BODY)

    assert arrives(sandbox)
    assert [row["externalId"] for row in sandbox.campaign.rows("profile", ["externalId"])] == ["leaver"]


@pytest.mark.parametrize("arrived", [b"", BODY[:10]], ids=["no body", "half a body"])
def test_a_create_that_arrived_in_part_does_not_happen(sandbox: Sandbox, arrived: bytes) -> None:
    """Least of all as a record without values."""
    send_and_leave(sandbox, arrived)
    send_and_leave(sandbox, BODY)

    assert arrives(sandbox)
    assert sandbox.campaign.count("profile") == 1
