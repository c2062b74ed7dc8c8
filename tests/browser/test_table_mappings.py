"""Table mappings in a real browser: a whole story of edit, restart and replay, and every part of the form."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed: `nox -s browser` brings it along")

from playwright.sync_api import Page, expect
from tests.browser.console_room import Console, Opening

from syncline.definitions import Comparison, FieldReplacement, Filter, Match


def add_row(page: Page, kind: str, *values: str) -> None:
    """Add a row to a part of the form and fill it in from left to right."""
    page.get_by_role("button", name=f"Add a {kind}").click()
    row = page.locator(f'tbody[data-rows="{kind}"] tr').last
    for control, value in zip(row.locator("select, input:not([type=checkbox])").all(), values, strict=True):
        if control.evaluate("one => one.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def saved(console: Console) -> Any:
    return console.integrations[0].ingress.definition.mapping("contact")


def test_the_whole_story_of_an_edit(opening: Opening) -> None:
    """W7: edit while it runs, see that it waits, replay, stop, start: afterwards every profile has the new field."""
    console = opening()
    console.start()
    page = console.go("ingress")
    page.get_by_role("link", name="Edit contact").click()
    add_row(page, "field", "new_score", "cusScore")
    save(page)
    expect(page.get_by_role("status")).to_contain_text("replay contact")
    page.goto("/i/contoso/ingress")
    page.get_by_role("link", name="Replay contact").click()
    expect(page.get_by_text("Records in Dynamics")).to_be_visible()
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("[data-table=contact]")).to_contain_text("replay at the next start")
    console.go()
    expect(console.toggle.locator(".mark")).to_be_visible()
    console.toggle.click()
    expect(console.status).to_have_text("STOPPED")
    console.toggle.click()
    expect(console.status).to_have_text("RUNNING")
    page.goto("/i/contoso/ingress")
    expect(page.locator("[data-table=contact]")).to_be_visible()
    wanted = {
        one["contactid"]: one["new_score"]
        for one in console.sandbox.dynamics.rows("contact", ["new_score", "contactid"])
    }
    expect_in_step(console, wanted)


def expect_in_step(console: Console, wanted: dict[str, Any]) -> None:
    """Look at Campaign once the page says that nothing waits; the page is what a person goes by."""
    page = console.go("ingress/backlog")
    expect(page.locator("[data-backlog]")).to_have_text("0")
    scores = {key: float(value or 0) for key, value in wanted.items()}
    profiles = console.sandbox.campaign.rows
    console.until(
        lambda: {
            one["externalId"]: float(one["cusScore"] or 0) for one in profiles("profile", ["externalId", "cusScore"])
        },
        scores,
    )


def test_every_part_of_the_form_is_saved(opening: Opening) -> None:
    """Apply updates and its toggle-all, replacements, filters with Or and advanced settings end in the definition."""
    console = opening()
    page = console.go("ingress/contact")
    page.get_by_label("Apply updates", exact=True).first.click()  # the one in the head
    expect(page.locator('tbody[data-rows="field"] input[type=checkbox]:checked')).to_have_count(0)
    page.locator('tbody[data-rows="field"] input[type=checkbox]').nth(1).check()
    expect(page.locator("[data-toggle-all=apply]")).to_have_js_property("indeterminate", True)
    add_row(page, "replacement", "lastname", "Smith", "SMITH")
    page.get_by_label("at least one filter (Or)").check()
    add_row(page, "filter", "statecode", "equals", "0")
    add_row(page, "filter", "address1_country", "in", "France, Germany")
    page.get_by_text("Advanced settings").click()
    page.get_by_label("Apply deletes").uncheck()
    page.get_by_label("Picklists as labels").check()
    add_row(page, "constant", "cusLoyalty", "new")
    save(page)
    expect(page.get_by_role("status")).to_contain_text("Saved")
    mapping = saved(console)
    assert [one.apply_updates for one in mapping.fields] == [False, True, False, False, False, False]
    assert FieldReplacement(field="lastname", value="Smith", replacement="SMITH") in mapping.replacements
    assert FieldReplacement(field="gendercode", value=1, replacement="male") in mapping.replacements
    assert mapping.match is Match.ANY
    assert mapping.filters == (
        Filter(field="statecode", comparison=Comparison.EQUALS, value=0),
        Filter(field="address1_country", comparison=Comparison.IN, value=("France", "Germany")),
    )
    assert (mapping.apply_deletes, mapping.labels, dict(mapping.constants)) == (False, True, {"cusLoyalty": "new"})
    save(page)
    expect(page.get_by_role("status")).to_contain_text("Nothing was changed")
    assert saved(console) == mapping


def test_both_sides_types_are_shown_and_tables_are_read_only(opening: Opening) -> None:
    """Each choice tells its type and length; table, resource and key are not fields of the form."""
    console = opening()
    page = console.go("ingress/contact")
    first = page.locator('tbody[data-rows="field"] tr').first
    assert "firstname (string 50)" in first.get_by_label("Dynamics field").inner_text()
    assert "firstName (string 30)" in first.get_by_label("Campaign field").inner_text()
    expect(page.get_by_text("contactid → externalId")).to_be_visible()
    assert page.locator("[name=table], [name=resource], [name=key]").count() == 0
    assert "blackListEmail" not in page.content()


def test_a_mistake_is_named_and_nothing_is_saved(opening: Opening) -> None:
    """Two fields for one target are refused with their names; the definition stays as it was."""
    console = opening()
    page = console.go("ingress/contact")
    before = saved(console)
    add_row(page, "field", "middlename", "firstName")
    save(page)
    expect(page.get_by_role("alert")).to_contain_text("two Dynamics fields cannot fill the Campaign field firstName")
    assert saved(console) == before
    console.complaints.clear()  # the browser notes that the answer's status was not 200


def test_deleting_what_is_filtered_out_is_previewed_first(opening: Opening) -> None:
    """Save and preview shows how many profiles would be deleted, before anything is."""
    console = opening()
    console.start()
    profiles = console.sandbox.campaign.count("profile")
    page = console.go("ingress/contact")
    add_row(page, "filter", "contactid", "is_null", "")
    page.get_by_label("Delete filtered-out records in Campaign").check()
    page.get_by_role("button", name="Save and preview").click()
    expect(page.get_by_role("heading", name="Preview of contact")).to_be_visible()
    expect(page.locator(".kind.delete").first).to_be_visible()
    assert re.search(r"Delete\s+50", page.locator(".tiles").inner_text())
    assert console.sandbox.campaign.count("profile") == profiles


def test_a_table_is_added_from_a_suggestion_and_deleted_again(opening: Opening) -> None:
    """Add takes the suggested fields that are ticked, a link joins it to another table, delete asks first."""
    console = opening()
    page = console.go("ingress")
    page.get_by_role("link", name="Add a table mapping").click()
    page.get_by_label("Dynamics table").select_option("new_vehicle")
    page.get_by_label("Campaign resource").select_option("cusVehicle")
    page.get_by_role("button", name="Suggest fields").click()
    expect(page.get_by_label("Take new_name")).to_be_checked()
    page.get_by_label("Take new_price").uncheck()
    page.get_by_role("button", name="Add the mapping").click()
    expect(page.get_by_role("heading", name="Edit Table Mapping")).to_be_visible()
    definition = console.integrations[0].ingress.definition
    assert [(one.source, one.target) for one in definition.mapping("new_vehicle").fields] == [
        ("new_name", "vehicleName")
    ]
    add_row(page, "link", "new_contactid", "contact", "ownerId")
    save(page)
    expect(page.get_by_role("status")).to_contain_text("Saved")
    (link,) = console.integrations[0].ingress.definition.mapping("new_vehicle").links
    assert str(link) == "new_contactid -> ownerId (contact)"
    page.goto("/i/contoso/ingress")
    page.get_by_role("link", name="Delete new_vehicle").click()
    page.get_by_role("button", name="Delete the mapping").click()
    expect(page.locator("[data-table]")).to_have_count(1)
    assert console.integrations[0].ingress.definition.tables == ("contact",)


def test_many_deletions_wait_for_a_word(opening: Opening) -> None:
    """Deletions that a filter would make are held when they are many; whoever keeps the records loses none."""
    console = opening()
    console.start()
    page = console.go("ingress/contact")
    add_row(page, "filter", "contactid", "is_null", "")
    page.get_by_label("Delete filtered-out records in Campaign").check()
    save(page)
    page.goto("/i/contoso/ingress/contact/replay")
    page.get_by_role("button", name="Replay").click()
    console.stop()
    console.toggle.click()
    held = page.locator("[data-held=contact]")
    expect(held).to_contain_text("60 deletions of contact are held")
    held.get_by_role("link", name="Look at them").click()
    expect(page.locator(".ids li")).to_have_count(60)
    page.get_by_role("button", name="Keep the records").click()
    expect(page.get_by_role("status")).to_contain_text("60 records of contact stay in Campaign")
    expect(held).to_have_count(0)
    expect(console.backlog).to_have_text("0")
    assert console.sandbox.campaign.count("profile") == 60


def test_both_sides_are_compared_and_differences_queued(opening: Opening) -> None:
    """What somebody changed in Campaign behind Syncline's back is found, and mended once it is queued."""
    console = opening()
    console.start()
    person = next(iter(console.sandbox.dynamics.rows("contact", ["contactid"])))["contactid"]
    console.sandbox.campaign.update("profile", person, lastName="Behind our back")
    page = console.go("ingress")
    page.get_by_role("link", name="Compare contact").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="Both sides differ")).to_be_visible()
    expect(page.locator("[data-kind=different] dd")).to_have_text("1")
    page.get_by_role("button", name="Compare and queue what differs").click()
    expect(page.locator("[data-kind=queued] dd")).to_have_text("1")
    expect(page.get_by_role("row").filter(has_text=person)).to_contain_text("lastName")
    console.go()
    expect(console.backlog).to_have_text("0")
    mended = lambda: (console.sandbox.campaign.get("profile", person) or {})["lastName"] != "Behind our back"  # noqa: E731
    console.until(mended, True)
