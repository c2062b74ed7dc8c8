"""The sandbox as a host meets it: starts, addresses, TLS, faults that are real on the wire, control, and its end."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.sandbox_room import PROFILES, Stranger, token_form

from syncline.sandbox import Sandbox
from syncline.sandbox.__main__ import main
from syncline.sandbox.remote import SandboxCommandError


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module, with TLS."""
    with Sandbox(tls=True) as running:
        yield running


@pytest.fixture
def stranger(sandbox: Sandbox) -> Iterator[Stranger]:
    """A signed-in client; records, faults and the log are fresh."""
    sandbox.campaign.clear_faults()
    sandbox.campaign.reset()
    sandbox.campaign.keep_requests(0)
    with Stranger(sandbox) as client:
        sandbox.campaign.clear_requests()
        yield client


# -- starting and ending ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [False, True])
def test_both_systems_answer_when_the_block_begins(process: bool) -> None:
    """In a thread as in a process of its own, both systems answer and the contacts are there at once."""
    with Sandbox(process=process, contacts=25, seed=3) as running:
        assert running.dynamics.count("contact") == 25
        assert running.campaign.count("profile") == 0
        with Stranger(running) as client:
            client.create(externalId="one")
        assert running.campaign.count("profile") == 1


def test_the_same_seed_gives_the_same_people_and_credentials() -> None:
    """Two sandboxes of one seed agree on credentials and on who is in them."""
    with Sandbox(contacts=5, seed=9) as first, Sandbox(contacts=5, seed=9) as second:
        assert first.client_secret == second.client_secret
        assert first.campaign_client_secret == second.campaign_client_secret
        columns = ["contactid", "firstname"]
        assert list(first.dynamics.rows("contact", columns)) == list(second.dynamics.rows("contact", columns))


def test_nothing_listens_after_the_block(caplog: pytest.LogCaptureFixture) -> None:
    """The block's end closes the ports and cuts every connection, whether it waits for its answer, waits to be read or
    is only just accepted: nothing is answered any more, and the host's log has no word of it."""
    with Sandbox() as running:
        address = urlsplit(running.campaign_url)
        running.campaign.add_fault("black_hole")
        waiting = [socket.create_connection((address.hostname, address.port or 0)) for _ in range(20)]
        for connection in waiting:
            connection.sendall(b"GET /contoso/campaign/x HTTP/1.1\r\nHost: x\r\n\r\n")
    for connection in waiting:
        with connection:
            assert _reads_to_the_end(connection) == b""
    assert caplog.messages == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port or 0))


def test_a_sandbox_that_is_not_running_says_so() -> None:
    """Asking for an address before the start raises an error that tells what to do."""
    stopped = Sandbox()
    assert "not started" in repr(stopped)
    with pytest.raises(RuntimeError, match="with"):
        _ = stopped.campaign_url


def test_a_start_that_fails_raises(tmp_path: Path) -> None:
    """What goes wrong in the server's thread is raised where the host called `start`."""
    missing = tmp_path / "no such folder" / "sandbox.db"
    with pytest.raises(Exception, match="unable to open database file"):
        Sandbox(database=str(missing)).start()


def test_a_process_dies_with_its_parent() -> None:
    """When the parent is killed the sandbox's process ends, since its standard input closes."""
    program = (
        "import os, sys\n"
        "from syncline.sandbox import Sandbox\n"
        "running = Sandbox(process=True)\n"
        "running.start()\n"
        "print(running.campaign_url, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        address = urlsplit(parent.stdout.readline().decode().strip())
        connection = socket.create_connection((address.hostname, address.port or 0))
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    with connection:
        assert _reads_to_the_end(connection) == b""


def test_records_survive_in_a_file(tmp_path: Path) -> None:
    """With a database path a second sandbox goes on where the first one ended, each system in a file of its own."""
    path = str(tmp_path / "sandbox.db")
    for expected in (1, 2):
        with Sandbox(database=path) as running, Stranger(running) as client:
            client.create(externalId=f"person {expected}")
            assert running.campaign.count("profile") == expected
    assert sorted(found.name for found in tmp_path.glob("*.db")) == ["sandbox-campaign.db", "sandbox-dynamics.db"]


def test_the_command_line_prints_addresses_and_ends_on_interrupt() -> None:
    """`python -m syncline.sandbox` prints where everything is and ends with status 0 on Ctrl-C."""
    # What starts in the background of a shell is deaf to Ctrl-C, and so is what it starts: this one is to hear it.
    hearing = "import signal, sys; from syncline.sandbox.__main__ import main\n"
    hearing += "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    command = [sys.executable, "-c", hearing, "--contacts", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        lines = iter(running.stdout.readline, b"")
        shown = {}
        for line in lines:
            name, _, value = line.decode().strip().rpartition("  ")
            shown[name.strip()] = value
            if name.strip() == "control token":
                break
        with httpx.Client(trust_env=False) as http:
            assert http.get(f"{shown['campaign url']}/campaign/{PROFILES}").status_code == 403
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=60)
    assert running.returncode == 0
    assert complaints.strip() == b""


def test_a_port_that_is_taken_is_told_at_once() -> None:
    """The start raises what the system says, and lets go of what was opened before."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError) as refused:
        main(["--port-campaign", str(taken.getsockname()[1])])
    assert refused.value.errno == errno.EADDRINUSE


# -- TLS ----------------------------------------------------------------------------------------------------------


def test_https_with_its_own_authority(sandbox: Sandbox) -> None:
    """A client that trusts `ca_file` speaks HTTPS to both systems, and links in answers are https."""
    with Stranger(sandbox, https=True) as client:
        created = client.create(externalId="over tls")
        assert created["href"].startswith(sandbox.campaign_https_url + "/campaign/")
        assert client.get(created["href"])["externalId"] == "over tls"
        assert client.http.get(f"{sandbox.dynamics_https_url}/api/data/v9.2/").status_code == 401


def test_https_is_refused_without_the_authority(sandbox: Sandbox) -> None:
    """A client that does not know the authority does not connect."""
    with httpx.Client(trust_env=False) as http, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        http.get(sandbox.campaign_https_url)


# -- control ------------------------------------------------------------------------------------------------------


def test_control_needs_the_token_of_this_start(sandbox: Sandbox) -> None:
    """A control command without the token is refused and does nothing."""
    origin = sandbox.ims_url
    with httpx.Client(trust_env=False) as http:
        for headers in ({}, {"X-Sandbox-Control": "guess"}):
            answer = http.post(f"{origin}/_control/campaign/clear", json={"resource": "profile"}, headers=headers)
            assert answer.status_code == 403


def test_a_mistaken_command_says_what_there_is(sandbox: Sandbox) -> None:
    """Unknown commands, resources, settings and faults raise an error that names what exists."""
    with pytest.raises(SandboxCommandError, match="engine_calls"):
        sandbox.campaign.call("no_such_command")
    with pytest.raises(SandboxCommandError, match="cusVehicle"):
        sandbox.campaign.count("nothing")
    with pytest.raises(SandboxCommandError, match="single_get"):
        sandbox.campaign.set(nonsense=1)
    with pytest.raises(SandboxCommandError, match="takes bool"):
        sandbox.campaign.set(v8="yes")
    with pytest.raises(SandboxCommandError, match="black_hole"):
        sandbox.campaign.add_fault("explode")


def test_what_arrives_is_logged_without_credentials(sandbox: Sandbox, stranger: Stranger) -> None:
    """The log counts by method and path template and keeps bodies on request; secrets are left out of it."""
    sandbox.campaign.keep_requests(5)
    created = stranger.create(externalId="8d2cfd61-0a3f-4f6c-9d6e-2f1f7b1f0001")
    stranger.change(f"{PROFILES}/{created['PKey']}", lastName="Doe")
    stranger.get(f"{PROFILES}/{created['externalId']}")
    stranger.sign_in()
    log = sandbox.campaign.requests()
    root = "/contoso/campaign/profileAndServicesExt/profile"
    assert log["counts"] == {
        f"GET {root}/{{id}}": 1,
        f"PATCH {root}/{{PKey}}": 1,
        f"POST {root}": 1,
        "POST /ims/token/v3": 1,
    }
    assert log["total"] == 4
    assert json.loads(log["kept"][1]["body"]) == {"lastName": "Doe"}
    told = json.dumps(log)
    assert sandbox.campaign_client_secret not in told
    assert "Bearer" not in told


def test_clocks_can_disagree(sandbox: Sandbox, stranger: Stranger) -> None:
    """Moving one system's clock moves its Date header and its stamps, and leaves the other system alone."""
    sandbox.campaign.shift_clock(3600)
    try:
        created = stranger.send("POST", PROFILES, json={"lastName": "Later"})
        campaign = parsedate_to_datetime(created.headers["Date"])
        dynamics = parsedate_to_datetime(stranger.http.get(sandbox.dynamics_url).headers["Date"])
        assert 3590 < (campaign - dynamics).total_seconds() < 3610
        assert created.json()["created"][:16] == campaign.strftime("%Y-%m-%d %H:%M")
    finally:
        sandbox.campaign.shift_clock(-3600)


# -- faults -------------------------------------------------------------------------------------------------------


def test_throttling_in_every_form(sandbox: Sandbox, stranger: Stranger) -> None:
    """A 429 carries Retry-After as seconds, as a date, raw as given, or not at all."""
    shown = {}
    for form, value in (("seconds", 7), ("date", 60), ("raw", "1e9"), ("absent", 0)):
        sandbox.campaign.add_fault("throttle", count=1, retry_after=value, form=form)
        shown[form] = stranger.send("GET", PROFILES)
    assert {answer.status_code for answer in shown.values()} == {429}
    assert shown["seconds"].headers["Retry-After"] == "7"
    assert shown["raw"].headers["Retry-After"] == "1e9"
    assert "Retry-After" not in shown["absent"].headers
    dates = [parsedate_to_datetime(shown["date"].headers[name]) for name in ("Date", "Retry-After")]
    assert 55 < (dates[1] - dates[0]).total_seconds() <= 60


def test_requests_inside_the_window_are_counted(sandbox: Sandbox, stranger: Stranger) -> None:
    """Requests before a Retry-After is over are counted as early; the throttled one itself and tokens are not."""
    sandbox.campaign.add_fault("throttle", count=1, retry_after=600)
    stranger.send("GET", PROFILES)
    assert sandbox.campaign.requests()["early"] == 0
    stranger.sign_in()
    stranger.send("GET", PROFILES)
    stranger.send("GET", PROFILES)
    log = sandbox.campaign.requests()
    assert (log["throttled"], log["early"], len(log["early_after_ms"])) == (1, 2, 2)


def test_a_rule_matches_method_path_and_count(sandbox: Sandbox, stranger: Stranger) -> None:
    """A rule acts on its method and path only, after `skip` matches, `count` times."""
    sandbox.campaign.add_fault("fail", method="GET", path=r"profile\?.*_lineCount", skip=1, count=2, status=502)
    statuses = [stranger.send("GET", f"{PROFILES}?_lineCount=1").status_code for _ in range(4)]
    assert statuses == [200, 502, 502, 200]
    assert stranger.send("GET", PROFILES).status_code == 200


def test_probability_is_repeatable() -> None:
    """A rule that acts half of the time acts on the same requests for the same seed."""
    seen = []
    for _ in range(2):
        with Sandbox(seed=5) as running, Stranger(running) as client:
            running.campaign.add_fault("fail", probability=0.5)
            seen.append([client.send("GET", PROFILES).status_code for _ in range(20)])
    assert seen[0] == seen[1]
    assert set(seen[0]) == {200, 503}


def test_a_fault_can_be_taken_back(sandbox: Sandbox, stranger: Stranger) -> None:
    """A fault goes away by its name; the others stay."""
    first = sandbox.campaign.add_fault("fail", path="nowhere")
    sandbox.campaign.add_fault("fail")
    assert sandbox.campaign.clear_faults(first) == 1
    assert stranger.send("GET", PROFILES).status_code == 503
    assert sandbox.campaign.clear_faults() == 1
    assert stranger.send("GET", PROFILES).status_code == 200


def test_cut_before_the_request_is_applied(sandbox: Sandbox, stranger: Stranger) -> None:
    """The connection ends without an answer, and nothing happened."""
    sandbox.campaign.add_fault("cut", method="POST", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        stranger.create(externalId="cut")
    assert sandbox.campaign.count("profile") == 0
    assert sandbox.campaign.engine_calls()["total"] == 0


@pytest.mark.parametrize("how", ["close", "reset"])
def test_applied_but_not_answered(sandbox: Sandbox, stranger: Stranger, how: str) -> None:
    """The record is there although the client saw the connection end: by FIN or by RST."""
    sandbox.campaign.add_fault("applied", method="POST", count=1, how=how)
    broken = httpx.ReadError if how == "reset" else httpx.RemoteProtocolError
    with pytest.raises(broken):
        stranger.create(externalId="applied")
    assert sandbox.campaign.get("profile", "applied") is not None
    assert sandbox.campaign.engine_calls()["POST"] == 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_cut_after_headers_and_in_the_body(sandbox: Sandbox, stranger: Stranger, how: str) -> None:
    """The status arrives, and none or half of the body, whether the connection ends by FIN or by RST."""
    broken = httpx.ReadError if how == "reset" else httpx.RemoteProtocolError
    received = []
    for action in ("cut_headers", "cut_body"):
        sandbox.campaign.add_fault(action, count=1, how=how)
        with stranger.http.stream("GET", stranger.root + PROFILES) as answer:
            assert answer.status_code == 200
            with pytest.raises(broken):
                list(answer.iter_raw())
            received.append((answer.num_bytes_downloaded, int(answer.headers["Content-Length"])))
    assert received[0][0] == 0
    if how == "close":
        assert received[1][0] == received[1][1] // 2


def test_black_hole(sandbox: Sandbox, stranger: Stranger) -> None:
    """Nothing comes back, whether the request was applied or not."""
    for applied in (False, True):
        sandbox.campaign.add_fault("black_hole", method="POST", count=1, applied=applied)
        with pytest.raises(httpx.ReadTimeout):
            stranger.send("POST", PROFILES, json={"externalId": f"hole {applied}"}, timeout=0.3)
    assert [row["externalId"] for row in sandbox.campaign.rows("profile")] == ["hole True"]


def test_latency_delays_and_then_lets_through(sandbox: Sandbox, stranger: Stranger) -> None:
    """A latency only delays, also in front of another fault."""
    sandbox.campaign.add_fault("latency", count=2, milliseconds=150)
    began = time.monotonic()
    assert stranger.send("GET", PROFILES).status_code == 200
    assert time.monotonic() - began >= 0.15
    sandbox.campaign.add_fault("fail", count=1)
    began = time.monotonic()
    assert stranger.send("GET", PROFILES).status_code == 503
    assert time.monotonic() - began >= 0.15


def test_held_requests_go_on_when_the_rule_is_removed(sandbox: Sandbox, stranger: Stranger) -> None:
    """A held request is neither answered nor applied until its rule is gone; then the system answers as ever."""
    rule = sandbox.campaign.add_fault("hold", method="POST")
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(stranger.create, externalId="held")
        while not sandbox.campaign.requests()["counts"]:
            assert not waiting.done()
        assert sandbox.campaign.count("profile") == 0
        assert not waiting.done()
        assert sandbox.campaign.clear_faults(rule) == 1
        waiting.result(timeout=30)
    assert sandbox.campaign.count("profile") == 1


def test_answers_that_are_no_answers(sandbox: Sandbox, stranger: Stranger) -> None:
    """A login page with 200, half a JSON document, and a redirect to another host arrive as told."""
    sandbox.campaign.add_fault("login_page", count=1)
    page = stranger.send("GET", PROFILES)
    assert (page.status_code, page.headers["Content-Type"][:9]) == (200, "text/html")
    sandbox.campaign.add_fault("truncated", count=1)
    half = stranger.send("GET", PROFILES)
    assert half.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        half.json()
    sandbox.campaign.add_fault("redirect", count=1, location="https://elsewhere.example/x")
    moved = stranger.send("GET", PROFILES)
    assert (moved.status_code, moved.headers["Location"]) == (302, "https://elsewhere.example/x")
    sandbox.campaign.add_fault("answer", count=1, status=200, body="\ufeff{}", headers={"Content-Type": "text/json"})
    odd = stranger.send("GET", PROFILES)
    assert (odd.content, odd.headers["Content-Type"]) == (b"\xef\xbb\xbf{}", "text/json")


def test_gzip_bomb(sandbox: Sandbox, stranger: Stranger) -> None:
    """A few kilobytes on the wire become megabytes of valid JSON."""
    sandbox.campaign.add_fault("gzip_bomb", count=1, megabytes=8)
    with stranger.http.stream("GET", stranger.root + PROFILES) as answer:
        raw = b"".join(answer.iter_raw())
    assert len(raw) < 50_000
    assert len(json.load(gzip.GzipFile(fileobj=io.BytesIO(raw)))["value"]) == 8_000_000


def test_endless_body(sandbox: Sandbox, stranger: Stranger) -> None:
    """The body goes on until the client leaves, and the server goes on serving."""
    sandbox.campaign.add_fault("endless", count=1)
    received = 0
    with stranger.http.stream("GET", stranger.root + PROFILES) as answer:
        for part in answer.iter_raw():
            received += len(part)
            if received > 5_000_000:
                break
    assert stranger.send("GET", PROFILES).status_code == 200


def test_faults_reach_dynamics_and_tokens_too(sandbox: Sandbox, stranger: Stranger) -> None:
    """Each system has faults of its own, its token endpoint included."""
    sandbox.dynamics.add_fault("fail", path="oauth2", status=503)
    try:
        address = f"{sandbox.authority_url}/{sandbox.tenant_id}/oauth2/v2.0/token"
        assert stranger.http.post(address, data={}).status_code == 503
        answer = stranger.http.post(f"{sandbox.ims_url}/ims/token/v3", data=token_form(sandbox))
        assert answer.status_code == 200
    finally:
        sandbox.dynamics.clear_faults()


def test_a_connection_is_used_again(sandbox: Sandbox, stranger: Stranger) -> None:
    """Requests one after another go through one connection, also after a refusal."""
    connection = HTTPConnection(urlsplit(sandbox.campaign_url).netloc, timeout=30)
    connection.connect()
    own = connection.sock.getsockname()
    for path in (PROFILES, f"{PROFILES}/unknown", PROFILES):
        connection.request("GET", f"/contoso/campaign/{path}", headers=dict(stranger.http.headers))
        connection.getresponse().read()
        assert connection.sock.getsockname() == own
    sandbox.campaign.add_fault("cut", count=1)
    connection.request("GET", f"/contoso/campaign/{PROFILES}", headers=dict(stranger.http.headers))
    with pytest.raises(RemoteDisconnected):
        connection.getresponse()
    connection.close()


def _reads_to_the_end(connection: socket.socket) -> bytes:
    connection.settimeout(30)
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return b""
