"""A real Chromium, headless, in front of the console of the examples, on sandboxes of its own.

What lives here: finding the browser, starting the console, and a visitor who has logged in. Without Playwright or
without a Chromium these tests are skipped and say which is missing; the nox session `browser` gets both.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from examples.console.sandboxed import world
from examples.console.serving import serving
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright
from tests.canary import shown_in

from syncline import Integration
from syncline.sandbox import Sandbox

#: Milliseconds. Patience is for slow machines; nothing is expected to take this long.
PATIENCE = int(os.environ.get("SYNCLINE_PATIENCE", "90")) * 1000
TOKEN = "a token for tests"
#: Each page tells its title, which stays in a browser's history and in logs of proxies.
TELL_TITLE = "addEventListener('DOMContentLoaded', () => console.debug('title: ' + document.title))"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser: the one that SYNCLINE_CHROMIUM names, the system's, or Playwright's own."""
    with sync_playwright() as playwright:
        named = os.environ.get("SYNCLINE_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
        own = playwright.chromium.executable_path
        found = named or (own if Path(own).exists() else None)
        if found is None:
            pytest.skip(f"there is no Chromium here: none of {', '.join(CHROMIUMS)} on PATH, and none of Playwright's")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots are kept: the directory SYNCLINE_SCREENSHOTS names, else `.screenshots` of the checkout."""
    folder = Path(os.environ.get("SYNCLINE_SCREENSHOTS", ".screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@frozen
class Console:
    """A console with one instance or more, and a visitor who has logged in."""

    page: Page
    address: str
    integrations: tuple[Integration, ...]
    sandboxes: tuple[Sandbox, ...]
    #: What the browser complained about: scripts that failed, what the security policy forbade, a person in a title.
    complaints: list[str]

    @property
    def sandbox(self) -> Sandbox:
        return self.sandboxes[0]

    @property
    def toggle(self) -> Locator:
        """The one button that starts or stops the ingress workflow."""
        return self.page.locator("#toggle-ingress")

    @property
    def status(self) -> Locator:
        return self.page.locator("[data-workflow=ingress] .status")

    @property
    def backlog(self) -> Locator:
        return self.page.locator("[data-workflow=ingress] [data-backlog]")

    def row(self, kind: str) -> Locator:
        """A workflow's row of the Workflows page."""
        return self.page.locator(f"[data-workflow={kind}]")

    def until(self, look: Callable[[], Any], wanted: Any) -> None:
        """Look at one of the systems again and again until it is as wanted; what was seen last is in the failure."""
        last = time.monotonic() + PATIENCE / 1000
        while (seen := look()) != wanted:
            assert time.monotonic() < last, f"{wanted!r} was wanted, and {seen!r} is what there is"
            self.page.wait_for_timeout(50)  # lets the browser breathe

    def go(self, page: str = "") -> Page:
        """A page of the first instance."""
        self.page.goto(f"/i/contoso/{page}")
        return self.page

    def start(self) -> None:
        """Start ingress and see it run and catch up."""
        self.go()
        self.toggle.click()
        expect(self.status).to_have_text("RUNNING")
        expect(self.backlog).to_have_text("0")

    def stop(self) -> None:
        self.go()
        self.toggle.click()
        expect(self.status).to_have_text("STOPPED")


Opening = Callable[..., Console]


def complaint(told: ConsoleMessage) -> list[str]:
    """What is wrong with a line of the browser's console."""
    if told.type == "error":
        return [told.text]
    return [f"{told.text} shows {value}"] if told.text.startswith("title: ") and (value := shown_in(told.text)) else []


@pytest.fixture
def opening(chromium: Browser, tmp_path: Path) -> Iterator[Opening]:
    """Opens a console for somebody who logs in; whatever the browser complained about fails the test at its end."""
    expect.set_options(timeout=PATIENCE)
    with ExitStack() as stack:
        opened: list[Console] = []

        def open_console(*, contacts: int = 60, places: int = 1, log_in: bool = True) -> Console:
            here = stack.enter_context(
                world(tmp_path / "console.db", contacts=contacts, places_wanted=places, clean=True)
            )
            address = stack.enter_context(serving(here.estate, TOKEN))
            context = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 800})
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            complaints: list[str] = []
            page.add_init_script(TELL_TITLE)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda told: complaints.extend(complaint(told)))
            if log_in:
                page.goto("/")
                page.get_by_label("Token").fill(TOKEN)
                page.get_by_role("button", name="Log in").click()
                expect(page.get_by_role("heading", name="Instances")).to_be_visible()
            opened.append(
                Console(
                    page=page,
                    address=address,
                    integrations=tuple(one.integration for one in here.estate),
                    sandboxes=here.sandboxes,
                    complaints=complaints,
                )
            )
            return opened[-1]

        yield open_console
        assert [one.complaints for one in opened if one.complaints] == []
