"""The sandbox as on its first day, and a plain HTTP client of its Campaign half, as a stranger would have one."""

from __future__ import annotations

import json
import ssl
from types import TracebackType
from typing import Any

import httpx

from syncline.sandbox import Sandbox
from syncline.sandbox.remote import CampaignControl, DynamicsControl

__all__ = ["Stranger", "fresh", "token_form"]

PROFILES = "profileAndServicesExt/profile"


def fresh(*systems: DynamicsControl | CampaignControl) -> None:
    """As on the first day: no records, no faults, nothing counted or kept."""
    for system in systems:
        system.clear_faults()
        system.reset()
        system.clear_requests()
        system.keep_requests(0)


def token_form(sandbox: Sandbox, **changes: str) -> dict[str, str]:
    """The form that IMS takes."""
    form = {
        "grant_type": "client_credentials",
        "client_id": sandbox.campaign_client_id,
        "client_secret": sandbox.campaign_client_secret,
        "scope": "openid,AdobeID,campaign_sdk",
    }
    return {**form, **changes}


class Stranger:
    """Somebody's client: a token, the headers, and addresses under `/campaign/`."""

    def __init__(self, sandbox: Sandbox, *, https: bool = False) -> None:
        self.root = (sandbox.campaign_https_url if https else sandbox.campaign_url) + "/campaign/"
        verify: Any = False
        if https:
            verify = ssl.create_default_context(cafile=sandbox.ca_file)
        self.http = httpx.Client(verify=verify, timeout=30, trust_env=False)
        self._ims = sandbox.ims_https_url if https else sandbox.ims_url
        self._sandbox = sandbox
        self.sign_in()

    def sign_in(self) -> None:
        """Ask for a token and use it from now on."""
        answer = self.http.post(f"{self._ims}/ims/token/v3", data=token_form(self._sandbox))
        answer.raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self.http.headers["X-Api-Key"] = self._sandbox.campaign_client_id

    def __enter__(self) -> Stranger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request; `path` is under `/campaign/` or a whole address out of an answer. JSON is sent as ASCII."""
        if "json" in options:
            options["content"] = json.dumps(options.pop("json"))
        return self.http.request(method, path if "://" in path else self.root + path, **options)

    def get(self, path: str, **parameters: str) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.send("GET", path, **({"params": parameters} if parameters else {}))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(self, path: str = PROFILES, **values: Any) -> dict[str, Any]:
        """A record that must be created; answers the whole of it."""
        answer = self.send("POST", path, json=values)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def change(self, path: str, **values: Any) -> dict[str, Any]:
        """A PATCH that must succeed."""
        answer = self.send("PATCH", path, json=values)
        assert answer.status_code == 200, answer.text
        changed: dict[str, Any] = answer.json()
        return changed

    def refused(self, method: str, path: str, status: int = 500, **options: Any) -> str:
        """The text of a refusal, which is a bare JSON string."""
        answer = self.send(method, path, **options)
        assert answer.status_code == status, answer.text
        text = answer.json()
        assert isinstance(text, str)
        return text
