"""A host in an asyncio event loop: a Starlette application that works, shows a status page and takes pushed events.

`uvicorn hosts.with_starlette:app` runs it. When the server shuts down, the cycles under way finish what is in flight
and begin nothing new, and only then does it end.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from syncline import Integration, StorageBusyError, StorageFullError, Workflow, asynchronous
from syncline.records import Event, EventKind

from .integration import connect, workflows

__all__ = ["app"]

#: Seconds between two looks at whether there is something to do.
PAUSE = float(os.environ.get("HOST_EVERY", "5"))
#: Events in one push, and bytes of one.
MOST_EVENTS, MOST_BYTES = 10_000, 8 << 20


@asynccontextmanager
async def lifespan(application: Starlette) -> AsyncIterator[None]:
    """A task for each workflow while the server runs."""
    with connect() as integration:
        application.state.integration = integration
        tasks = [asyncio.create_task(keep_in_step(one), name=one.id) for one in workflows(integration)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)  # a task that was cancelled ends when its cycle has


async def keep_in_step(workflow: Workflow[Any]) -> None:
    """Cycle after cycle. Any number of servers may do this: one of them works on a workflow, the others say BUSY."""
    while True:
        with suppress(StorageBusyError, StorageFullError):  # nothing happened; the log tells, the next cycle tries
            await asynchronous.run_cycle(workflow, seconds=30)
        await asyncio.sleep(PAUSE)


async def status(request: Request) -> Response:
    """The Workflows page."""
    integration: Integration = request.app.state.integration
    table = await asynchronous.call(lambda: integration.workflows.to_html())
    return HTMLResponse(f"<!doctype html><html lang=en><title>Workflows</title><body>{table}</body></html>")


async def status_data(request: Request) -> Response:
    """The same as data. A monitor alarms on FAILED."""
    integration: Integration = request.app.state.integration
    return JSONResponse(await asynchronous.call(lambda: integration.workflows.as_data()))


async def push(request: Request) -> Response:
    """Take events from whoever has the token. Answers 202 once they are durable; else push them again."""
    token = f"Bearer {os.environ['PUSH_TOKEN']}"
    if not hmac.compare_digest(request.headers.get("authorization", "").encode(), token.encode()):
        return PlainTextResponse("who are you?", status_code=401)
    if int(request.headers.get("content-length") or MOST_BYTES + 1) > MOST_BYTES:
        return PlainTextResponse("say how long it is, and not so much at once", status_code=413)
    try:
        events = events_of(await request.json())
    except (KeyError, TypeError, ValueError) as error:
        return PlainTextResponse(f"no list of events: {error}", status_code=400)
    integration: Integration = request.app.state.integration
    try:
        accepted = await asynchronous.call(integration.egress.accept, events)
    except (StorageBusyError, StorageFullError):
        return PlainTextResponse("not now", status_code=503, headers={"Retry-After": "5"})
    return JSONResponse({"queued": accepted.queued, "known": accepted.known}, status_code=202)


def events_of(told: Any) -> list[Event]:
    """All of them, or KeyError, TypeError or ValueError."""
    if not isinstance(told, list) or len(told) > MOST_EVENTS:
        raise ValueError(f"it takes a list of at most {MOST_EVENTS}")
    return [
        Event(
            kind=EventKind(one["kind"]),
            contact=one["contact"],
            occurred_on=datetime.fromisoformat(one["occurred_on"]),
            log_id=one.get("log_id", ""),
            campaign=one.get("campaign", ""),
            delivery=one.get("delivery", ""),
        )
        for one in told
    ]


app = Starlette(
    routes=[Route("/", status), Route("/status.json", status_data), Route("/events", push, methods=["POST"])],
    lifespan=lifespan,
)
