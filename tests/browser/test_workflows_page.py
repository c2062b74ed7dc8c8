"""The Workflows page in a real browser: each of its actions, live, without a reload."""

from __future__ import annotations

import pytest
from attrs import evolve

pytest.importorskip("playwright", reason="Playwright is not installed: `nox -s browser` brings it along")

from playwright.sync_api import expect
from tests.browser.console_room import Opening

from syncline import FieldMapping, IngressDefinition, WorkflowState

NAMES = ["Microsoft Dynamics 365 to Campaign", "Campaign to Microsoft Dynamics 365", "Opt-In/Out"]


def test_start_and_stop_are_one_toggle_and_the_page_follows_live(opening: Opening) -> None:
    """W2 and W5: name, backlog, status, actions. Start shows while it is stopped, Stop while it runs, never both; all
    of it moves without a reload."""
    console = opening()
    page = console.go()
    expect(page.locator("thead th")).to_have_text(["Name", "Backlog", "Status", "Actions"])
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
    """W3: while Campaign is away the backlog shows every queued record, with its split and all that is known of how it
    moves; afterwards it empties by itself."""
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
    by_operation = page.locator("section").filter(has=page.get_by_role("heading", name="By operation"))
    expect(by_operation).to_contain_text("60")
    for figure in (
        "Rate",
        "Empty in about",
        "Trend",
        "Oldest has waited",
        "Being written",
        "Waiting for a parent",
        "Throttled",
        "Dead letters",
    ):
        expect(page.get_by_role("term").filter(has_text=figure)).to_be_visible()
    console.sandbox.campaign.clear_faults(fault)
    expect(page.locator("[data-backlog]")).to_have_text("0")
    expect(page.get_by_role("img", name="changes in", exact=False)).to_be_visible()


def test_stop_warns_while_an_edit_waits(opening: Opening) -> None:
    """W8: an edit of what runs puts the warning mark on Stop and says what waits and what it needs; a stop and a start
    take it away."""
    console = opening()
    console.start()
    expect(console.toggle.locator(".mark")).to_have_count(0)
    page = console.go("ingress/contact")
    page.get_by_role("button", name="Remove this field").first.click()
    page.get_by_role("button", name="Save", exact=True).click()
    console.go()
    expect(console.toggle.locator(".mark")).to_be_visible()
    expect(page.locator("#waits-ingress")).to_contain_text("field firstname -> firstName removed (restart")
    described_by = console.toggle.get_attribute("aria-describedby")
    assert described_by == "waits-ingress"
    console.toggle.click()
    expect(console.status).to_have_text("STOPPED")
    console.toggle.click()
    expect(console.status).to_have_text("RUNNING")
    expect(console.toggle.locator(".mark")).to_have_count(0)
    expect(page.locator("#waits-ingress")).to_have_count(0)


def test_failed_says_why_and_what_to_do_and_start_tries_again(opening: Opening) -> None:
    """W4 and W9: a check that fails makes it FAILED with the reason and a remedy; once it is mended, Start works."""
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
    """W7: Edit leads to the table mappings while it is stopped and while it runs."""
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
    """W1: each instance has its own three workflows; what is started in one stays stopped in the others."""
    console = opening(places=3)
    page = console.page
    page.goto("/")
    for organisation in ("Contoso", "Fabrikam"):
        expect(page.get_by_role("heading", name=organisation)).to_be_visible()
    page.get_by_label("Instance", exact=True).select_option(label="Fabrikam · Production")
    expect(page.get_by_role("navigation", name="Breadcrumbs")).to_contain_text("Fabrikam")
    expect(page.locator("[data-workflow] th")).to_have_text(NAMES)
    console.toggle.click()
    expect(console.status).to_have_text("RUNNING")
    expect(console.backlog).to_have_text("0")
    console.go()
    expect(console.status).to_have_text("STOPPED")
    assert [one.campaign.count("profile") for one in console.sandboxes] == [0, 0, 60]


def test_starting_lasts_until_the_checks_are_made(opening: Opening) -> None:
    """W4: nothing runs before the checks are done; until then it is STARTING, and Stop is what can be done."""
    console = opening()
    held = console.sandbox.campaign.add_fault("hold", path="token")
    console.go()
    console.toggle.click()
    expect(console.status).to_have_text("STARTING")
    expect(console.toggle).to_have_text("Stop")
    assert console.sandbox.campaign.count("profile") == 0
    console.sandbox.campaign.clear_faults(held)
    expect(console.status).to_have_text("RUNNING")


def test_an_action_that_is_not_available_is_refused_by_name(opening: Opening) -> None:
    """W5: who presses Start on a page that is out of date learns the status, and what can be done instead."""
    console = opening()
    old = console.page.context.new_page()
    old.route("**/live", lambda route: route.abort())  # this page does not follow
    old.goto("/i/contoso/")
    console.start()
    old.get_by_role("button", name=f"Start {NAMES[0]}").click()
    expect(old.get_by_role("heading", name="That did not work")).to_be_visible()
    expect(old.get_by_role("alert")).to_contain_text("RUNNING")
    expect(old.get_by_role("main")).to_contain_text("stop")
    console.go()
    expect(console.status).to_have_text("RUNNING")


def test_stop_waits_for_what_is_in_flight(opening: Opening) -> None:
    """W6: Stop is a request; it shows as stopping while a write is under way, and STOPPED only afterwards. What was not
    written stays in the backlog, and nothing is written any more."""
    console = opening()
    held = console.sandbox.campaign.add_fault("hold", method="POST", path="profile")
    console.go()
    console.toggle.click()
    console.go("ingress/backlog")
    being_written = console.page.locator("dl > div").filter(has_text="Being written").locator("dd")
    expect(being_written).not_to_have_text("0")
    console.go()
    console.toggle.click()
    expect(console.status).to_have_text("RUNNING, stopping")
    console.sandbox.campaign.clear_faults(held)
    expect(console.status).to_have_text("STOPPED")
    written = console.sandbox.campaign.count("profile")
    console.go("ingress/backlog")
    expect(being_written).to_have_text("0")
    assert console.sandbox.campaign.count("profile") == written
    console.start()
    assert console.sandbox.campaign.count("profile") == 60


def test_an_invalid_definition_can_be_stopped_but_not_started(opening: Opening) -> None:
    """W6 and W9: whatever somebody saved, Stop works; the start makes the checks and shows what each found."""
    console = opening()
    console.start()
    ingress = console.integrations[0].ingress
    mapping = ingress.definition.mapping("contact")
    nowhere = FieldMapping(source="new_gone", target="cusLoyalty")
    ingress.edit(IngressDefinition(mappings=[evolve(mapping, fields=[*mapping.fields, nowhere])]), by="somebody")
    console.stop()
    console.toggle.click()
    expect(console.status).to_have_text("FAILED")
    expect(console.page.get_by_role("alert", name="Why", exact=False)).to_contain_text("new_gone")


def test_a_schema_change_while_it_runs_stops_it_with_nothing_lost(opening: Opening) -> None:
    """W10: a field that was removed in Dynamics while ingress runs stops it with the field's name; the console tells
    when it is safe, and after an edit it goes on from where it was."""
    console = opening()
    console.start()
    page = console.go("settings")
    page.get_by_role("button", name="May I publish now?").click()
    expect(page.get_by_role("heading", name="Not now")).to_be_visible()
    person = next(iter(console.sandbox.dynamics.rows("contact", ["contactid"])))["contactid"]
    console.sandbox.dynamics.drop_column("contact", "mobilephone")
    console.sandbox.dynamics.update("contact", person, lastname="After the change")
    console.go()
    expect(console.status).to_have_text("FAILED")
    expect(page.get_by_role("alert", name="Why", exact=False)).to_contain_text("mobilephone")
    page.goto("/i/contoso/ingress/contact")
    row = page.locator('tbody[data-rows="field"] tr').filter(has=page.locator("option:checked", has_text="mobilephone"))
    row.get_by_role("button", name="Remove this field").click()
    page.get_by_role("button", name="Save", exact=True).click()
    console.start()
    arrived = lambda: (console.sandbox.campaign.get("profile", person) or {})["lastName"]  # noqa: E731
    console.until(arrived, "After the change")
