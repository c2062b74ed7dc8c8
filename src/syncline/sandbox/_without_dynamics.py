from __future__ import annotations

from typing import Any


class DynamicsSandbox:
    tenant_id = client_id = client_secret = "none"

    def __init__(self, *, database: str = ":memory:", seed: int = 1, clock: Any = None) -> None:
        pass

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 501, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def control(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass
