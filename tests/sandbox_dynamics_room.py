"""The Dynamics sandbox and a plain HTTP client that knows nothing of Syncline, for the tests of the sandbox itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from syncline.sandbox import Sandbox

__all__ = ["Wire", "code", "person_id"]

HEADERS = {"Accept": "application/json", "OData-MaxVersion": "4.0", "OData-Version": "4.0", "If-None-Match": "null"}


class Wire:
    """The recommended headers and a bearer token on every request; paths are relative to `/api/data/v9.2/`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.root = f"{sandbox.dynamics_url}/api/data/v9.2/"
        self._http = httpx.Client(trust_env=False, timeout=60)
        self.token = self.new_token()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_problem: object) -> None:
        self._http.close()

    def ask_token(self, **changes: str) -> httpx.Response:
        tenant = changes.pop("tenant", self.sandbox.tenant_id)
        form = {
            "grant_type": "client_credentials",
            "client_id": self.sandbox.client_id,
            "client_secret": self.sandbox.client_secret,
            "scope": f"{self.sandbox.dynamics_url}/.default",
            **changes,
        }
        return self._http.post(f"{self.sandbox.authority_url}/{tenant}/oauth2/v2.0/token", data=form)

    def new_token(self) -> str:
        return str(self.ask_token().raise_for_status().json()["access_token"])

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        merged = {**HEADERS, "Authorization": f"Bearer {self.token}", **(headers or {})}
        url = path if path.startswith("http") else self.root + path
        if body is not None:
            more["json"] = body
        return self._http.request(method, url, headers=merged, **more)

    def get(self, path: str, prefer: str | None = None, **headers: str) -> httpx.Response:
        return self.send("GET", path, headers={**headers, **({"Prefer": prefer} if prefer else {})})

    def json(self, path: str, prefer: str | None = None) -> Any:
        return self.get(path, prefer).raise_for_status().json()

    def values(self, path: str, prefer: str | None = None) -> list[dict[str, Any]]:
        return list(self.json(path, prefer)["value"])

    def create(self, entity_set: str, body: Mapping[str, Any]) -> str:
        """The id of a new row."""
        answer = self.send("POST", entity_set, dict(body))
        assert answer.status_code == 204, answer.text
        return answer.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")

    def pages(self, path: str, prefer: str) -> Iterator[dict[str, Any]]:
        """Pages until there is no next link."""
        page = self.json(path, prefer)
        yield page
        while "@odata.nextLink" in page:
            page = self.json(page["@odata.nextLink"], prefer)
            yield page


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and error code of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]


def person_id(number: int) -> str:
    """A contact id that sorts by its number."""
    return f"00000000-0000-4000-8000-{number:012d}"
