# /// script
# dependencies = ["syncline", "jinja2>=3.1", "starlette>=0.40", "uvicorn>=0.29"]
# ///
"""Starts the console, uses it as a person would, and ends: log in, start, edit, restart, replay, look, stop."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started as a file: make the folder the package that it is
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from runpy import run_module

    run_module("console.run", run_name="__main__", alter_sys=True)
    sys.exit()

import tempfile
import time
from collections.abc import Callable
from html.parser import HTMLParser

import httpx

from syncline.sandbox import Sandbox

from .sandboxed import world
from .serving import serving

_PATIENCE = 120.0

Fields = list[tuple[str, str]]


class Controls(HTMLParser):
    """What each form of a page would send as it is, by the form's address."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: dict[str, Fields] = {}
        self._form: Fields = []
        self._select = ""
        self._in_template = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self._in_template = self._in_template or tag == "template"
        if tag == "form":
            self._form = self.forms.setdefault(told.get("action", ""), [])
        elif tag == "select":
            self._select = told.get("name", "")
        elif self._in_template:
            return
        elif tag == "option" and self._select and "selected" in told:
            self._form.append((self._select, told["value"]))
        elif tag == "input" and (told.get("type") not in ("checkbox", "radio") or "checked" in told):
            self._form.append((told.get("name", ""), told.get("value", "on")))

    def handle_endtag(self, tag: str) -> None:
        self._in_template = self._in_template and tag != "template"
        self._select = "" if tag == "select" else self._select


class Browser:
    """Just enough of one: cookies and forms."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, follow_redirects=True, timeout=60)

    def get(self, page: str) -> str:
        return self._shown(self._client.get(page))

    def send(self, page: str, form: str = "", **more: str) -> str:
        """Fill in a form of the page and send it."""
        fields = Controls(self.get(page)).forms[form or page]
        return self._shown(self._client.post(form or page, data={**dict(fields), **more}))

    def _shown(self, answer: httpx.Response) -> str:
        if answer.is_error:
            raise SystemExit(f"{answer.url} answered {answer.status_code}:\n{answer.text}")
        return answer.text

    def close(self) -> None:
        self._client.close()


def wait_for(what: str, seen: Callable[[], bool]) -> None:
    """Look again and again, as a person does; too long is a failure."""
    until = time.monotonic() + _PATIENCE
    while not seen():
        if time.monotonic() > until:
            raise SystemExit(f"waited too long: {what}")
        time.sleep(0.2)
    print(f"{what}: yes", flush=True)


def story(browser: Browser, sandbox: Sandbox) -> None:
    """Start, edit, restart, replay, look, stop."""
    workflows, mapping, act = "/i/contoso/", "/i/contoso/ingress/contact", "/i/contoso/ingress/act"
    browser.send("/login", token="the token")
    browser.send(workflows, act, action="start")
    wait_for("running", lambda: "RUNNING" in browser.get("/i/contoso/live"))
    wait_for("profiles arrive", lambda: sandbox.campaign.count("profile") > 300)
    wait_for("the backlog is empty", lambda: ">0</a>" in browser.get("/i/contoso/live"))
    browser.send(mapping, **{"source-90": "jobtitle", "target-90": "cusLoyalty", "apply-90": "on"})
    if "Edits wait" not in browser.get(workflows):
        raise SystemExit("the edit does not show")
    browser.send(f"{mapping}/replay")
    browser.send(workflows, act, action="stop")
    wait_for("stopped", lambda: "STOPPED" in browser.get("/i/contoso/live"))
    browser.send(workflows, act, action="start")
    wait_for("running again", lambda: "RUNNING" in browser.get("/i/contoso/live"))
    wait_for("the edit is in effect", lambda: "Edits wait" not in browser.get(workflows))
    wait_for(
        "the new field arrives",
        lambda: any(row["cusLoyalty"] for row in sandbox.campaign.rows("profile", ["cusLoyalty"])),
    )
    for page in ("backlog", "dead-letters"):
        browser.get(f"/i/contoso/ingress/{page}")
    if "ready to start" not in browser.send("/i/contoso/settings"):
        raise SystemExit("the checks do not pass")
    browser.send(workflows, act, action="stop")
    wait_for("stopped for good", lambda: "STOPPED" in browser.get("/i/contoso/live"))


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        world(Path(folder) / "console.db", contacts=400) as here,
        serving(here.estate, "the token") as address,
    ):
        browser = Browser(address)
        story(browser, here.sandboxes[0])
        browser.close()


if __name__ == "__main__":
    main()
