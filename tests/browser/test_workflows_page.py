"""The Workflows page in a real browser: each of its actions, live, without a reload."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed: `nox -s browser` brings it along")

from playwright.sync_api import expect
from tests.browser.console_room import Opening

from syncline import WorkflowState


def test_start_and_stop_are_one_toggle_and_the_page_follows_live(opening: Opening) -> None:
    """Start shows while it is stopped, Stop while it runs, never both; status and backlog move without a reload."""
    console = opening()
    page = console.go()
    expect(console.status).to_have_text("STOPPED")
    expect(console.toggle).to_have_text("Start")
    expect(console.backlog).to_have_text("0")
    console.toggle.click()
    page.evaluate("window.kept = true")  # gone after a reload
    expect(console.status).to_have_text("RUNNING")
    expect(console.toggle).to_have_text("Stop")
    expect(page.locator("[data-workflow=ingress] button")).to_have_count(1)
    expect(console.backlog).to_have_text("0")
    assert page.evaluate("window.kept")
    console.toggle.click()
    expect(console.status).to_have_text("STOPPED")
    expect(console.toggle).to_have_text("Start")
    assert console.integrations[0].ingress.status is WorkflowState.STOPPED
    page.goto("/i/contoso/history")
    expect(page.get_by_role("row", name="console").filter(has_text="stop")).to_have_count(1)


def test_the_backlog_counts_what_waits(opening: Opening) -> None:
    """While Campaign is away the backlog shows every queued record, with its split; afterwards it empties by itself."""
    console = opening()
    fault = console.sandbox.campaign.add_fault("fail", method="POST", path="profile", status=503)
    page = console.go()
    console.toggle.click()
    expect(console.backlog).to_have_text("60")
    console.backlog.click()
    expect(page.get_by_role("heading", name="Backlog")).to_be_visible()
    expect(page.locator("[data-backlog]")).to_have_text("60")
    by_table = page.locator("section").filter(has=page.get_by_role("heading", name="By table"))
    expect(by_table).to_contain_text("contact")
    console.sandbox.campaign.clear_faults(fault)
    expect(page.locator("[data-backlog]")).to_have_text("0")
    expect(page.get_by_role("img", name="changes in", exact=False)).to_be_visible()


def test_stop_warns_while_an_edit_waits(opening: Opening) -> None:
    """An edit of what runs puts the warning mark on Stop and says what waits; a stop and a start take it away."""
    console = opening()
    console.start()
    expect(console.toggle.locator(".mark")).to_have_count(0)
    page = console.go("ingress/contact")
    page.get_by_role("button", name="Remove this field").first.click()
    page.get_by_role("button", name="Save", exact=True).click()
    console.go()
    expect(console.toggle.locator(".mark")).to_be_visible()
    expect(page.locator("#waits-ingress")).to_contain_text("firstname -> firstName")
    described_by = console.toggle.get_attribute("aria-describedby")
    assert described_by == "waits-ingress"
    console.toggle.click()
    expect(console.status).to_have_text("STOPPED")
    console.toggle.click()
    expect(console.status).to_have_text("RUNNING")
    expect(console.toggle.locator(".mark")).to_have_count(0)
    expect(page.locator("#waits-ingress")).to_have_count(0)


def test_failed_says_why_and_what_to_do_and_start_tries_again(opening: Opening) -> None:
    """A field that is gone makes it FAILED with the reason and a remedy; once it is back, Start works."""
    console = opening()
    console.sandbox.dynamics.set_change_tracking("contact", False)
    page = console.go()
    console.toggle.click()
    expect(console.status).to_have_text("FAILED")
    why = page.get_by_role("alert", name="Why", exact=False)
    expect(why).to_contain_text("change tracking")
    expect(console.toggle).to_have_text("Start")
    console.sandbox.dynamics.set_change_tracking("contact", True)
    console.toggle.click()
    expect(console.status).to_have_text("RUNNING")
    expect(why).to_have_count(0)


def test_edit_is_there_whatever_the_status(opening: Opening) -> None:
    """Edit leads to the table mappings while it is stopped and while it runs."""
    console = opening()
    for prepare in (console.go, console.start):
        prepare()
        console.page.get_by_role("link", name="Edit Microsoft Dynamics 365 to Campaign").click()
        expect(console.page.get_by_role("heading", name="Dynamics 365 to Campaign")).to_be_visible()


def test_the_keyboard_is_enough(opening: Opening) -> None:
    """Tab reaches the toggle and Enter starts; the focus stays on it when the page moves."""
    console = opening()
    page = console.go()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "toggle-ingress":
            break
    page.keyboard.press("Enter")
    expect(console.status).to_have_text("RUNNING")
    console.toggle.focus()
    console.sandbox.dynamics.update(
        "contact", next(iter(console.sandbox.dynamics.rows("contact", ["contactid"])))["contactid"], lastname="Anew"
    )
    console.toggle.press("Enter")
    expect(console.status).to_have_text("STOPPED")


def test_two_organisations_and_three_instances_are_kept_apart(opening: Opening) -> None:
    """Each instance has its own workflows; what is started in one stays stopped in the others."""
    console = opening(places=3)
    page = console.page
    page.goto("/")
    for organisation in ("Contoso", "Fabrikam"):
        expect(page.get_by_role("heading", name=organisation)).to_be_visible()
    page.get_by_label("Instance", exact=True).select_option(label="Fabrikam · Production")
    expect(page.get_by_role("navigation", name="Breadcrumbs")).to_contain_text("Fabrikam")
    console.toggle.click()
    expect(console.status).to_have_text("RUNNING")
    expect(console.backlog).to_have_text("0")
    console.go()
    expect(console.status).to_have_text("STOPPED")
    assert [one.campaign.count("profile") for one in console.sandboxes] == [0, 0, 60]
