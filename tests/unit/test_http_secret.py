"""Secrets: no way of printing, copying or storing an object shows them."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import attrs
import pytest

from syncline.clock import SystemClock
from syncline.connectors.http import HttpClient, OAuthTokenSource, Secret, SecretBytes, ThrottleGate, check_secret
from syncline.errors import DefinitionError

CANARY = "canary-7f3a"


@attrs.frozen(kw_only=True)
class Holder:
    secret: Secret


def test_no_form_of_text_shows_the_value() -> None:
    """repr, str, format and the repr of whatever holds a secret print stars."""
    secret = Secret(CANARY)
    for text in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret!r}",
        repr(Holder(secret=secret)),
        repr([secret]),
        repr(attrs.asdict(Holder(secret=secret))),
    ):
        assert CANARY not in text
        assert "***" in text


def test_a_secret_leaves_the_process_by_no_serialiser() -> None:
    """JSON and pickle refuse a secret instead of writing it."""
    secret = Secret(CANARY)
    with pytest.raises(TypeError) as caught:
        json.dumps({"password": secret})
    assert CANARY not in str(caught.value)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(secret, protocol)
        assert CANARY not in str(caught.value)
    assert not hasattr(secret, "__dict__")


def test_a_copy_is_the_same_secret() -> None:
    """Copying a definition that holds a secret works and keeps it one."""
    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    assert attrs.evolve(Holder(secret=secret)).secret.reveal() == CANARY


def test_secrets_compare_by_value() -> None:
    """Equal values are equal secrets, and a secret is never equal to plain text."""
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert not Secret("")
    with pytest.raises(TypeError):
        Secret(b"bytes")  # type: ignore[arg-type]


def test_a_traceback_with_locals_does_not_show_what_a_client_holds() -> None:
    """Error reporters print the locals of every frame: clients, gates and token sources print no secret."""
    clock = SystemClock()
    source = OAuthTokenSource(lambda: (CANARY, 60.0), clock)
    source.get()
    client = HttpClient(
        "https://contoso.example",
        clock=clock,
        gate=ThrottleGate("u", clock),
        auth=source,
        headers={"X-Api-Key": Secret(CANARY)},
    )
    try:
        client.request("bad method", "x")
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert CANARY not in shown
        assert CANARY not in repr(client) + repr(source)
    else:
        pytest.fail("a method in lower case was sent")


def test_secret_bytes_go_to_the_wire_and_nowhere_else() -> None:
    """Header lines and forms behave as bytes when they are sent, and print their length when they are shown."""
    held = SecretBytes(CANARY.encode())
    assert b"%b." % held == CANARY.encode() + b"."
    assert CANARY not in f"{held!r} {held!s} {held} {[held]}"
    with pytest.raises(TypeError):
        pickle.dumps(held)


@pytest.mark.parametrize("pasted", ["", " qx7", "qx7\n", "qx\n7", "qx\u200b7", "\ud800", "qx7\t"])
def test_what_was_pasted_along_with_a_secret_is_told(pasted: str) -> None:
    """The usual mistake with a secret: a blank or a line break that nobody sees, and a service that only says no."""
    with pytest.raises(DefinitionError) as caught:
        check_secret(Secret(pasted), "client_secret")
    assert caught.value.path == "client_secret"
    assert "qx" not in str(caught.value)
    check_secret(Secret("s3cret with blanks~ü"), "client_secret")
