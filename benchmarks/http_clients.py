"""How fast one small call is: our client against httpx and the standard library, in one run.

Run:  python benchmarks/http_clients.py [seconds per measurement]

A lean ASGI server answers in another process on loopback, at once or after 20 ms. Every candidate sends the same
request (a PATCH of 300 bytes with the headers Dataverse wants) and reads the same answer (a small JSON object), with
1, 8 and 32 threads. The figures are requests per second; what counts is the ratio, since both sides share the machine.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import socket
import sys
import threading
import time
from collections.abc import Callable

import httpx
import uvicorn

from syncline.clock import SystemClock
from syncline.connectors.http import HttpClient, ThrottleGate

Call = Callable[[], None]

HEADERS = {
    "Accept": "application/json",
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "If-Match": "*",
    "Content-Type": "application/json",
    "Authorization": "Bearer " + "x" * 1200,
}
BODY = json.dumps({f"field_{number}": "value of the field" for number in range(8)}).encode()
ANSWER = json.dumps({"contactid": "00000000-0000-0000-0000-000000000001", "statecode": 0}).encode()


async def application(scope, receive, send):  # type: ignore[no-untyped-def]
    """Answer any request: after 20 ms where the path says so."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"].endswith("/slow"):
        await asyncio.sleep(0.02)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def serve(port: int) -> None:
    uvicorn.run(application, host="127.0.0.1", port=port, log_level="error", access_log=False, lifespan="off")


def with_httpx_client(base: str, path: str) -> Callable[[], Call]:
    client = httpx.Client(
        base_url=base, headers=HEADERS, trust_env=False, limits=httpx.Limits(max_connections=64), timeout=20
    )

    def call() -> None:
        client.patch(path, content=BODY).json()

    return lambda: call


def with_httpx_transport(base: str, path: str) -> Callable[[], Call]:
    transport = httpx.HTTPTransport(trust_env=False, limits=httpx.Limits(max_connections=64))
    url = httpx.URL(f"{base}/{path}")
    headers = httpx.Headers({**HEADERS, "Host": url.netloc.decode()})
    timeout = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), 20)}

    def call() -> None:
        answer = transport.handle_request(
            httpx.Request("PATCH", url, headers=headers, content=BODY, extensions=timeout)
        )
        answer.read()
        answer.json()

    return lambda: call


def with_http_client(base: str, path: str) -> Callable[[], Call]:
    host = base.removeprefix("http://")

    def for_thread() -> Call:
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def call() -> None:
            connection.request("PATCH", f"/{path}", body=BODY, headers=HEADERS)
            json.loads(connection.getresponse().read())

        return call

    return for_thread


def with_ours(base: str, path: str) -> Callable[[], Call]:
    clock = SystemClock()
    constant = {name: value for name, value in HEADERS.items() if name != "If-Match"}
    client = HttpClient(
        base, clock=clock, gate=ThrottleGate("benchmark", clock), headers=constant, connections=64,
        allow_loopback_http=True,
    )  # fmt: skip
    own = {"If-Match": "*"}

    def call() -> None:
        client.request("PATCH", path, headers=own, content=BODY, write=True).json()

    return lambda: call


CANDIDATES = {
    "httpx.Client": with_httpx_client,
    "httpx.HTTPTransport": with_httpx_transport,
    "http.client": with_http_client,
    "syncline": with_ours,
}


def rate(make: Callable[[], Call], threads: int, seconds: float) -> float:
    """Requests per second of `threads` threads, after a warm-up that opens the connections."""
    counts = [0] * threads
    ready, begin = threading.Barrier(threads + 1), threading.Event()
    end = 0.0

    def work(number: int) -> None:
        call = make()
        for _ in range(5):
            call()
        ready.wait()
        begin.wait()
        while time.perf_counter() < end:
            call()
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    started = time.perf_counter()
    end = started + seconds
    begin.set()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - started)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    server.start()
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    base = f"http://127.0.0.1:{port}"
    try:
        for path, latency in (("fast", "0 ms"), ("slow", "20 ms")):
            for threads in (1, 8, 32):
                rates = {name: rate(make(base, path), threads, seconds) for name, make in CANDIDATES.items()}
                slowest = rates["httpx.Client"]
                figures = "   ".join(
                    f"{name} {value:7,.0f}/s ({value / slowest:4.1f}x)" for name, value in rates.items()
                )
                print(f"{latency:>5}, {threads:2} threads   {figures}", flush=True)
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
