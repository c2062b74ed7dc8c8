"""The pages of the other workflows in a real browser: event switches."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed: `nox -s browser` brings it along")

from playwright.sync_api import expect
from tests.browser.console_room import Opening

from syncline.definitions import EventKind


def test_events_travel_and_kinds_are_switched_off(opening: Opening) -> None:
    """Exported events become activities; a kind that is switched off waits for a restart, and then does not travel."""
    console = opening()
    page = console.go("egress")
    page.get_by_role("switch", name="Open events travel").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    assert console.integrations[0].egress.definition.kinds == set(EventKind) - {EventKind.OPEN}
    console.go()
    row = page.locator("[data-workflow=egress]")
    row.get_by_role("button", name="Start Campaign to Microsoft Dynamics 365").click()
    expect(row.locator(".status")).to_have_text("RUNNING")
    expect(row.locator("[data-backlog]")).to_have_text("0")
    for _ in range(200):
        counts = {kind: console.sandbox.dynamics.count(f"adobe_email{kind}") for kind in ("send", "open", "click")}
        if counts == {"send": 30, "open": 0, "click": 3}:
            break
        page.wait_for_timeout(100)
    assert counts == {"send": 30, "open": 0, "click": 3}
    page.goto("/i/contoso/egress")
    page.get_by_role("switch", name="Open events travel").check()
    page.get_by_role("button", name="Save").click()
    console.go()
    expect(row.locator(".mark")).to_be_visible()
