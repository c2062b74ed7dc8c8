"""The client against servers on loopback that break every rule there is."""

from __future__ import annotations

import gc
import gzip
import os
import socket
import threading
import time
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.http_room import CLOCK, HangupError, Script, ScriptedServer, answer, client, reset, say, silence

from syncline.connectors.http import HttpClient, Limits, OAuthTokenSource, ThrottleGate
from syncline.errors import (
    AmbiguousWriteError,
    CredentialsError,
    ProtocolError,
    ThrottledError,
    UnavailableError,
    UntrustedUrlError,
)


def test_one_request_on_the_wire() -> None:
    """Method, target, Host, headers and body arrive as given, with gzip as the only encoding asked for."""
    with ScriptedServer(say(answer(201, b'{"id": 1.50}', Content_Type="application/json"))) as server:
        http = client(server)
        response = http.request(
            "PATCH", "contacts(1)?a=%20", headers={"If-Match": "*"}, json={"name": "Zoë"}, write=True
        )
        assert response.status == 201
        assert str(response.json()["id"]) == "1.50"
        http.close()
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "PATCH /api/contacts(1)?a=%20 HTTP/1.1"
    assert lines[1] == f"Host: 127.0.0.1:{server.port}"
    assert {"Accept-Encoding: gzip", "X-Api-Key: the-key", "If-Match: *", "Content-Type: application/json"} < set(lines)
    assert len(lines) == len({line.split(":")[0].lower() for line in lines})
    assert body == '{"name":"Zoë"}'.encode()


def test_connections_are_used_again() -> None:
    """Many requests of one thread travel over one connection."""
    with ScriptedServer(say(answer())) as server:
        http = client(server)
        for _ in range(20):
            http.request("GET", "x")
        http.close()
    assert server.connections == 1
    assert len(server.requests) == 20


def test_threads_share_no_connection_and_no_answer() -> None:
    """Each of sixteen threads gets its own answers, over no more connections than allowed."""

    def echo(opened: socket.socket, request: bytes) -> None:
        opened.sendall(answer(200, request.split(b" ")[1]))

    wrong: list[bytes] = []
    with ScriptedServer(echo) as server:
        http = client(server, connections=5)

        def work(number: int) -> None:
            for turn in range(50):
                body = http.request("GET", f"{number}/{turn}").body
                if body != f"/api/{number}/{turn}".encode():
                    wrong.append(body)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        http.close()
    assert wrong == []
    assert server.connections <= 5


def test_a_connection_that_was_closed_while_idle_is_noticed_before_a_write() -> None:
    """A server that closes after its answer never makes the next write ambiguous."""

    def close_after(opened: socket.socket, _: bytes) -> None:
        opened.sendall(answer())
        raise HangupError

    with ScriptedServer(close_after) as server:
        http = client(server)
        for number in range(10):
            assert http.request("POST", "x", json={}, write=True).status == 200
            deadline = time.monotonic() + 5
            while len(server._threads) <= number or server._threads[number].is_alive():
                assert time.monotonic() < deadline
        http.close()
    assert server.connections == 10


def test_an_answer_nobody_asked_for_is_not_taken_for_the_next() -> None:
    """Bytes that arrive on an idle connection spend it: the next request opens another."""
    with ScriptedServer(say(answer(200, b"1") + answer(200, b"evil"), answer(200, b"2"))) as server:
        http = client(server)
        assert http.request("GET", "x").body == b"1"
        assert http.request("GET", "x").body == b"2"
        http.close()
    assert server.connections == 2


def nothing(opened: socket.socket, _: bytes) -> None:
    raise HangupError


def half_a_head(opened: socket.socket, _: bytes) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    raise HangupError


def half_a_body(opened: socket.socket, _: bytes) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    raise HangupError


def half_a_chunk(opened: socket.socket, _: bytes) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12")
    raise HangupError


def reset_in_body(opened: socket.socket, _: bytes) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    reset(opened)


def reset_at_once(opened: socket.socket, _: bytes) -> None:
    reset(opened)


def drip_head(opened: socket.socket, _: bytes) -> None:
    opened.settimeout(0.05)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        opened.sendall(bytes([byte]))
        try:
            if not opened.recv(1):
                raise HangupError
        except TimeoutError:
            continue


def drip_body(opened: socket.socket, request: bytes) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    drip_head(opened, request)


def rubbish(opened: socket.socket, _: bytes) -> None:
    opened.sendall(b"\x16\x03\x01 what is this\r\n\r\n")


def damaged_gzip(opened: socket.socket, _: bytes) -> None:
    opened.sendall(answer(200, gzip.compress(b"x" * 1000)[:-9], Content_Encoding="gzip"))


def endless_chunks(opened: socket.socket, _: bytes) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        opened.sendall(b"8000\r\n" + bytes(0x8000) + b"\r\n")


def endless_headers(opened: socket.socket, _: bytes) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        opened.sendall(b"X-Header: value\r\n" * 1000)


NETWORK: list[Script] = [
    nothing,
    silence,
    half_a_head,
    half_a_body,
    half_a_chunk,
    reset_in_body,
    reset_at_once,
    drip_head,
    drip_body,
]
BROKEN: list[Script] = [rubbish, damaged_gzip, endless_chunks, endless_headers]


@pytest.mark.parametrize("script", NETWORK + BROKEN, ids=lambda script: script.__name__)
def test_a_write_without_a_usable_answer_is_ambiguous(script: Script) -> None:
    """After the request left, whatever goes wrong leaves a write in doubt, and soon: never a hang."""
    with ScriptedServer(script) as server:
        http = client(server, timeout=0.5, limits=Limits(wire_bytes=1 << 20))
        began = time.monotonic()
        with pytest.raises(AmbiguousWriteError):
            http.request("POST", "x", json={"a": 1}, write=True)
        assert time.monotonic() - began < 3
        http.close()
    assert len(server.requests) == 1


@pytest.mark.parametrize("script", NETWORK, ids=lambda script: script.__name__)
def test_a_read_without_an_answer_can_be_repeated(script: Script) -> None:
    """A question changes nothing: cut or silent, the service counts as unavailable."""
    with ScriptedServer(script) as server:
        http = client(server, timeout=0.5)
        with pytest.raises(UnavailableError):
            http.request("GET", "x")
        http.close()


@pytest.mark.parametrize("script", BROKEN, ids=lambda script: script.__name__)
def test_a_read_with_a_broken_answer_is_refused(script: Script) -> None:
    """What is not HTTP, or beyond the limits, is no answer of the service."""
    with ScriptedServer(script) as server:
        http = client(server, limits=Limits(wire_bytes=1 << 20))
        with pytest.raises(ProtocolError):
            http.request("GET", "x")
        http.close()


def test_nobody_listening_is_not_ambiguous() -> None:
    """Before a connection stands nothing was sent, so a write is simply not applied."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        http = HttpClient(f"http://{host}", clock=CLOCK, gate=ThrottleGate("u", CLOCK), allow_loopback_http=True)
        with pytest.raises(UnavailableError, match="could not be reached"):
            http.request("POST", "x", json={}, write=True)


def test_an_unknown_name_is_not_ambiguous() -> None:
    """A host that does not resolve is unavailable, and the error shows its origin."""
    http = HttpClient("https://no-such-host.invalid", clock=CLOCK, gate=ThrottleGate("u", CLOCK))
    with pytest.raises(UnavailableError, match=r"https://no-such-host\.invalid"):
        http.request("POST", "x", json={}, write=True)


def test_a_request_that_never_left_as_a_whole_is_not_ambiguous() -> None:
    """A server that breaks off while a large body is still being sent cannot have acted on it."""

    def stop_reading(opened: socket.socket, _: bytes) -> None:
        opened.recv(1000)
        reset(opened)

    with ScriptedServer(stop_reading, read_request=False) as server:
        http = client(server)
        with pytest.raises(UnavailableError, match="while sending"):
            http.request("POST", "x", content=bytes(32 << 20), write=True)
        http.close()


def test_an_answer_given_before_the_body_was_read_is_heard() -> None:
    """A service that says 413 and stops listening is understood, although sending failed."""

    def refuse(opened: socket.socket, _: bytes) -> None:
        opened.recv(1000)
        opened.sendall(answer(413, b'{"error": {"code": "0x0"}}', Connection="close"))
        opened.shutdown(socket.SHUT_WR)
        while opened.recv(1 << 20):
            pass

    with ScriptedServer(refuse, read_request=False) as server:
        http = client(server)
        assert http.request("POST", "x", content=bytes(8 << 20), write=True).status == 413
        http.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_never_followed(status: int) -> None:
    """The error shows where to, without path, and the other server sees nothing."""
    with ScriptedServer(say(answer())) as other:
        location = f"{other.url}/steal?token=1"
        with ScriptedServer(say(answer(status, Location=location))) as server:
            http = client(server, auth=OAuthTokenSource(lambda: ("the-token", 60.0), CLOCK))
            with pytest.raises(ProtocolError) as caught:
                http.request("GET", "x")
            http.close()
    assert other.connections == 0
    assert other.url in str(caught.value)
    assert "steal" not in str(caught.value)


def test_a_foreign_link_is_refused_before_anything_is_sent() -> None:
    """An address out of an answer that leads elsewhere reaches neither the foreign server nor our own."""
    with ScriptedServer(say(answer())) as other, ScriptedServer(say(answer())) as server:
        http = client(server, auth=OAuthTokenSource(lambda: ("the-token", 60.0), CLOCK))
        links = [
            f"{other.url}/api/x",
            f"http://127.0.0.1:{server.port}@127.0.0.1:{other.port}/api/x",
            f"{server.url}/other/x",
            f"{server.url}/api/../other",
            f"{server.url}/api/x\r\nX-Injected: y",
            f"//127.0.0.1:{other.port}/api/x",
        ]
        for link in links:
            with pytest.raises(UntrustedUrlError):
                http.request("GET", link)
        assert http.request("GET", f"{server.url}/api/x?good").status == 200
        http.close()
    assert other.connections == 0
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["X: y\r\nEvil", "A\nB", "", "a b", "Host", "Content-Length", "Cookie", "Connection"])
def test_headers_cannot_be_smuggled(name: str) -> None:
    """A name that is none, or that the client sets itself, is a mistake of the caller and sends nothing."""
    with ScriptedServer(say(answer())) as server:
        http = client(server)
        with pytest.raises(ValueError, match="header"):
            http.request("GET", "x", headers={name: "1"})
        with pytest.raises(ValueError, match="header"):
            http.request("GET", "x", headers={"If-Match": "a\r\nEvil: 1"})
        http.close()
    assert server.connections == 0


@pytest.mark.parametrize(
    ("status", "retry_after", "wait"),
    [(429, "7", 7.0), (503, "7", 7.0), (429, None, None), (429, "nan", None), (429, "1e9", None)],
)
def test_nothing_leaves_while_the_gate_is_closed(status: int, retry_after: str | None, wait: float | None) -> None:
    """After one 429 no request of any thread reaches the service, with or without a usable header."""
    headers = {} if retry_after is None else {"Retry_After": retry_after}
    with ScriptedServer(say(answer(status, b"{}", **headers))) as server:
        http = client(server)
        with pytest.raises(ThrottledError) as caught:
            http.request("POST", "x", json={}, write=True)
        assert caught.value.retry_after == wait
        assert caught.value.principal == "user at test"
        refused: list[ThrottledError] = []

        def work() -> None:
            for _ in range(20):
                with pytest.raises(ThrottledError) as again:
                    http.request("GET", "x")
                refused.append(again.value)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        http.close()
    assert len(server.requests) == 1
    assert len(refused) == 160
    assert all(error.retry_after is not None and 0 < error.retry_after <= 7 for error in refused)


def test_a_503_without_a_time_is_the_connectors_business() -> None:
    """503 alone closes nothing and is returned, like every other status."""
    with ScriptedServer(say(answer(503), answer(500), answer(404), answer(412))) as server:
        http = client(server)
        assert [http.request("GET", "x").status for _ in range(4)] == [503, 500, 404, 412]
        http.close()


def test_a_refused_token_is_renewed_once_and_the_request_repeated() -> None:
    """401 leads to one new token for all threads and one repetition, also of a write: 401 means not applied."""
    count = 0

    def fetch() -> tuple[str, float]:
        nonlocal count
        count += 1
        return f"token-{count}", 3600.0

    def accept_second(opened: socket.socket, request: bytes) -> None:
        opened.sendall(answer(200 if b"Bearer token-2\r\n" in request else 401))

    with ScriptedServer(accept_second) as server:
        http = client(server, auth=OAuthTokenSource(fetch, CLOCK))
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(http.request("POST", "x", json={}, write=True).status))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        http.close()
    assert statuses == [200] * 8
    assert count == 2


def test_a_second_401_is_about_the_credentials() -> None:
    """Two refusals end in CredentialsError, after exactly two requests and without the token in the message."""
    with ScriptedServer(say(answer(401))) as server:
        http = client(server, auth=OAuthTokenSource(lambda: ("canary-token", 3600.0), CLOCK))
        with pytest.raises(CredentialsError) as caught:
            http.request("GET", "x")
        http.close()
    assert len(server.requests) == 2
    assert "canary" not in str(caught.value)


def test_the_difference_of_the_clocks_is_measured() -> None:
    """A service whose Date header is two minutes ahead is seen as such, within the second the header is good for.

    When somebody puts its clock right, the next answer tells.
    """
    seconds = 120

    def ahead(opened: socket.socket, _: bytes) -> None:
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        opened.sendall(answer(Date=moment.strftime("%a, %d %b %Y %H:%M:%S GMT")))

    with ScriptedServer(ahead) as server:
        http = client(server)
        assert http.clock_offset is None
        for _ in range(50):
            http.request("GET", "x")
        assert http.clock_offset == pytest.approx(120, abs=1.5)
        seconds = 0
        http.request("GET", "x")
        assert http.clock_offset == pytest.approx(0, abs=1.5)
        http.close()


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(hours=-2), timedelta(0)])
def test_a_date_to_wait_for_is_one_by_the_clock_of_the_service(ahead: timedelta) -> None:
    """Retry-After with a date 30 seconds after the answer's own Date is 30 seconds, whatever our clock says."""
    here = datetime.now(UTC) + ahead
    dates = {
        name: (here + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        for name, seconds in (("Date", 0), ("Retry_After", 30))
    }
    with ScriptedServer(say(answer(429, b"{}", **dates))) as server:
        http = client(server)
        with pytest.raises(ThrottledError) as caught:
            http.request("GET", "x")
        http.close()
    assert caught.value.retry_after == 30


def test_a_bomb_costs_little_memory() -> None:
    """A thousand times what came over the wire is refused with less than 32 MiB more memory in use."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(128)) + packer.flush()
    with ScriptedServer(say(answer(200, bomb, Content_Encoding="gzip"))) as server:
        http = client(server)
        tracemalloc.start()
        message, peak = "", 0
        try:
            http.request("GET", "x")
        except ProtocolError as error:  # not pytest.raises, which uses more memory than all that is measured here
            peak = tracemalloc.get_traced_memory()[1]
            message = str(error)
        finally:
            tracemalloc.stop()
        http.close()
    assert "beyond the limits" in message
    assert peak < 32 << 20


def test_a_gzip_page_arrives_whole() -> None:
    """A page of five megabytes, packed and in chunks, is read as it was."""
    page = b'{"value": [' + b",".join(b'{"contactid": "%036d"}' % number for number in range(100_000)) + b"]}"
    packed = gzip.compress(page)

    def chunks(opened: socket.socket, _: bytes) -> None:
        opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(packed), 7001):
            piece = packed[start : start + 7001]
            opened.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        opened.sendall(b"0\r\n\r\n")

    with ScriptedServer(chunks) as server:
        http = client(server)
        response = http.request("GET", "x")
        assert response.body == page
        assert len(response.json()["value"]) == 100_000
        http.close()


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proxies, netrc and certificate files named by the environment are not used."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login evil password evil\n")
    with ScriptedServer(say(answer(500))) as proxy, ScriptedServer(say(answer())) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
        http = client(server, auth=OAuthTokenSource(lambda: ("the-token", 60.0), CLOCK))
        assert http.request("GET", "x").status == 200
        http.close()
    assert proxy.connections == 0
    assert b"Authorization: Bearer the-token\r\n" in server.requests[0]
    assert not (tmp_path / "keys").exists()


def test_a_busy_client_says_so_in_time() -> None:
    """With every connection in use a request waits no longer than its time, and was not sent."""
    release = threading.Event()

    def slow(opened: socket.socket, _: bytes) -> None:
        release.wait(10)
        opened.sendall(answer())

    with ScriptedServer(slow) as server:
        http = client(server, connections=1)
        hurried = threading.Thread(target=lambda: http.request("GET", "x"))
        hurried.start()
        while not server.requests:
            pass
        http._timeout = 0.2
        with pytest.raises(UnavailableError, match="every connection is in use"):
            http.request("POST", "x", json={}, write=True)
        release.set()
        hurried.join()
        http.close()
    assert len(server.requests) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_opens_its_own_connection() -> None:
    """Two processes never speak on one connection, or each would read the other's answers."""
    with ScriptedServer(say(answer())) as server:
        http = client(server)
        http.request("GET", "parent")
        child = os.fork()
        if child == 0:
            try:
                http.request("GET", "child")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        http.request("GET", "parent")
        http.close()
    assert server.connections == 2


def test_a_closed_client_keeps_nothing_open_and_can_go_on() -> None:
    """After close() idle connections are gone; used again, the client opens one and keeps it."""
    with ScriptedServer(say(answer())) as server:
        http = client(server)
        http.request("GET", "x")
        http.close()
        server._threads[0].join(5)
        assert not server._threads[0].is_alive()
        http.request("GET", "x")
        http.request("GET", "x")
        http.close()
    assert server.connections == 2


def test_a_client_that_is_dropped_leaves_no_connection_behind() -> None:
    """A host that forgets to close its connectors keeps no open socket, and is not warned of one."""
    with ScriptedServer(say(answer())) as server:
        http = client(server)
        http.request("GET", "x")
        del http
        gc.collect()
        server._threads[0].join(5)
        assert not server._threads[0].is_alive()
