"""Request bodies: reading one whole, and handing it on.

What lives here: the difference between a body that is empty and a client that left before its body had arrived. What
arrived only in part is nothing a service would act on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["again", "read_body"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


async def read_body(receive: Receive) -> bytes | None:
    """The whole body, or None when the client left before all of it was there."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return None if message["type"] == "http.disconnect" else body


def again(body: bytes | None, receive: Receive) -> Receive:
    """A `receive` that gives this body once more, even if the client has left since it arrived."""
    first: Message = {"type": "http.disconnect"}
    if body is not None:
        first = {"type": "http.request", "body": body, "more_body": False}
    waiting = [first]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
