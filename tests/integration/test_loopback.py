"""An application of the host's own is served like the systems of the sandbox: faults, a log, a date, an end."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from syncline.sandbox import Loopback


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = f"{scope['method']} {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def test_an_application_answers_and_is_counted() -> None:
    """Its own answers, with a date, and every request in the log; afterwards nobody listens."""
    with Loopback(echo) as service, httpx.Client(base_url=service.url, trust_env=False) as client:
        answer = client.get("/hello")
        assert (answer.text, answer.status_code) == ("GET /hello", 200)
        assert "date" in answer.headers
        assert service.control.requests()["counts"] == {"GET /hello": 1}
        assert service.url in repr(service)
    with pytest.raises(httpx.ConnectError):
        httpx.get(service.url, trust_env=False)


def test_faults_and_wrong_commands() -> None:
    """A fault takes the application's place while it lasts; a command that nobody knows is refused."""
    with Loopback(echo) as service, httpx.Client(base_url=service.url, trust_env=False) as client:
        service.control.add_fault("throttle", path="^/data", retry_after=7, count=1)
        assert client.get("/other").status_code == 200
        throttled = client.get("/data")
        assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "7")
        assert client.get("/data").text == "GET /data"
        service.control.add_fault("cut")
        with pytest.raises(httpx.TransportError):
            client.get("/data")
        service.control.clear_faults()
        with pytest.raises(Exception, match="no command is called 'load'"):
            service.control.load(table="contact")
