"""The pages of the other workflows in a real browser: event switches, opt-outs and why they are there."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed: `nox -s browser` brings it along")

from playwright.sync_api import expect
from tests.browser.console_room import Opening

from syncline.definitions import EventKind, OptOutDirection, OptOutPair


def test_events_travel_and_kinds_are_switched_off(opening: Opening) -> None:
    """Exported events become activities; a kind that is switched off waits for a restart, and then does not travel."""
    console = opening()
    page = console.go("egress")
    page.get_by_role("switch", name="Open events travel").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    assert console.integrations[0].egress.definition.kinds == set(EventKind) - {EventKind.OPEN}
    console.go()
    row = console.row("egress")
    row.get_by_role("button", name="Start Campaign to Microsoft Dynamics 365").click()
    expect(row.locator(".status")).to_have_text("RUNNING")
    expect(row.locator("[data-backlog]")).to_have_text("0")
    kinds = ("send", "open", "click")
    console.until(lambda: [console.sandbox.dynamics.count(f"adobe_email{kind}") for kind in kinds], [30, 0, 3])
    page.goto("/i/contoso/egress")
    page.get_by_role("switch", name="Open events travel").check()
    page.get_by_role("button", name="Save").click()
    console.go()
    expect(row.locator(".mark")).to_be_visible()


def test_opt_outs_travel_and_their_reason_is_shown(opening: Opening) -> None:
    """Direction and suggested pairs are saved; an opt-out arrives in Campaign, and the page says why it is there."""
    console = opening()
    console.start()
    page = console.go("opt_out")
    page.get_by_label("Dynamics 365 to Campaign").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    definition = console.integrations[0].opt_out.definition
    assert definition.direction is OptOutDirection.DYNAMICS_TO_CAMPAIGN
    assert OptOutPair(dynamics="donotemail", campaign="blackListEmail") in definition.pairs
    console.go()
    row = console.row("opt_out")
    row.get_by_role("button", name="Start Opt-In/Out").click()
    expect(row.locator(".status")).to_have_text("RUNNING")
    person = next(iter(console.sandbox.dynamics.rows("contact", ["contactid"])))["contactid"]
    console.sandbox.dynamics.update("contact", person, donotemail=True)
    console.until(lambda: (console.sandbox.campaign.get("profile", person) or {}).get("blackListEmail"), True)
    page.goto("/i/contoso/opt_out")
    page.get_by_label("Id of the contact in Dynamics 365").fill(person)
    page.get_by_role("button", name="Show the decisions").click()
    expect(page.get_by_text("Opted out of blackListEmail.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="donotemail = blackListEmail").first).to_contain_text("opted out")
