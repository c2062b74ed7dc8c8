"""Being let in, being kept out, dead letters, checks, and how the console looks: small and large, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import httpx
import pytest

pytest.importorskip("playwright", reason="Playwright is not installed: `nox -s browser` brings it along")

from playwright.sync_api import Page, expect
from tests.browser.console_room import TOKEN, Console, Opening

PAGES = {
    "instances": "/",
    "workflows": "/i/contoso/",
    "mappings": "/i/contoso/ingress",
    "mapping": "/i/contoso/ingress/contact",
    "add": "/i/contoso/ingress/add?table=new_vehicle&resource=cusVehicle",
    "preview": "/i/contoso/ingress/contact/preview",
    "replay": "/i/contoso/ingress/contact/replay",
    "delete": "/i/contoso/ingress/contact/delete",
    "compare": "/i/contoso/ingress/contact/compare",
    "held": "/i/contoso/ingress/contact/held",
    "backlog": "/i/contoso/ingress/backlog",
    "dead-letters": "/i/contoso/ingress/dead-letters",
    "egress": "/i/contoso/egress",
    "opt-out": "/i/contoso/opt_out",
    "why": "/i/contoso/why?contact=nobody",
    "settings": "/i/contoso/settings",
    "history": "/i/contoso/history",
}

SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")

PICTURED = ((1280, "light"), (390, "dark"))

#: Texts whose colour is too near to what is behind them: less than 4.5 to 1, as WCAG 2.2 (AA) wants it.
PALE = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = Array.from(one.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.checkVisibility() || one.closest("svg, option")) continue;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`${one.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""

#: Controls that nobody has named for those who do not see them.
NAMELESS = """() => Array.from(document.querySelectorAll("input:not([type=hidden]), select, button, a, textarea"))
  .filter((one) => !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim()))
  .map((one) => one.outerHTML)"""


def test_only_who_knows_the_token_gets_in(opening: Opening) -> None:
    """Without a session every page leads to the log-in; a wrong token is refused; log out ends what the right began."""
    console = opening(log_in=False)
    page = console.page
    page.goto("/i/contoso/ingress/contact")
    expect(page).to_have_url(f"{console.address}/login")
    page.get_by_label("Token").fill("guess")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("That is not the token.")
    console.complaints.clear()  # the browser notes that the answer was 403
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Instances")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.goto("/i/contoso/")
    expect(page).to_have_url(f"{console.address}/login")


def test_what_is_not_ours_is_refused_and_what_is_not_there_says_so(opening: Opening) -> None:
    """Forms without the session's secret do nothing, other host names get nothing, unknown addresses get a page."""
    console = opening()
    cookies = {one["name"]: one["value"] for one in console.page.context.cookies()}
    with httpx.Client(base_url=console.address, cookies=cookies) as client:
        for secret in ({}, {"form_secret": "guess"}):
            answer = client.post("/i/contoso/ingress/act", data={"action": "start", **secret})
            assert answer.status_code == 403
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400
        assert client.get("/i/contoso/").status_code == 200
        for path in ("/i/nobody/", "/i/contoso/sideways/backlog", "/i/contoso/ingress/nothing"):
            answer = client.get(path)
            assert answer.status_code == 404
            assert "Nothing here" in answer.text
    console.go()
    expect(console.status).to_have_text("STOPPED")


def test_every_answer_carries_the_security_headers(opening: Opening) -> None:
    """Policy without inline scripts, no sniffing, no frames, no referrer, nothing cached; errors included."""
    console = opening(log_in=False)
    for path in ("/login", "/i/contoso/", "/static/console.js", "/nowhere"):
        headers = httpx.get(console.address + path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_dead_letter_is_seen_and_retried(opening: Opening) -> None:
    """A refused record shows with its reason, as text whatever is in it; a retry brings it over once it is accepted."""
    console = opening()
    person = next(iter(console.sandbox.dynamics.rows("contact", ["contactid"])))["contactid"]
    console.sandbox.campaign.refuse("profile", person, "XTK-170049 <script>alert(1)</script>")
    page = console.go()
    console.toggle.click()
    page.get_by_role("link", name="1 set aside").click()
    row = page.get_by_role("row").filter(has_text=person)
    expect(row).to_be_visible()
    assert page.locator("main script").count() == 0
    page.get_by_role("button", name="Retry chosen").click()
    expect(page.get_by_role("status")).to_contain_text("Nothing was chosen")
    console.sandbox.campaign.accept("profile", person)
    page.get_by_label("Choose contact", exact=False).check()
    page.get_by_role("button", name="Retry chosen").click()
    expect(page.get_by_role("status")).to_contain_text("1 records are queued")
    console.go()
    expect(page.get_by_role("link", name="set aside")).to_have_count(0)
    expect(console.backlog).to_have_text("0")


def test_the_settings_check_both_connections(opening: Opening) -> None:
    """W9: both sides are named, and the checks say what passed and what to do about what did not."""
    console = opening()
    page = console.go("settings")
    expect(page.get_by_text("Dynamics 365 at 127.0.0.1", exact=False)).to_be_visible()
    page.get_by_role("button", name="May I publish now?").click()
    expect(page.get_by_role("heading", name="Yes")).to_be_visible()
    page.get_by_role("button", name="Run the checks").click()
    expect(page.get_by_role("heading", name="ready to start")).to_have_count(2)  # opt-outs have no direction yet
    console.sandbox.campaign.revoke_tokens()
    console.sandbox.dynamics.set_change_tracking("contact", False)
    page.get_by_role("button", name="Run the checks").click()
    expect(page.get_by_role("heading", name="Dynamics 365 to Campaign: not ready")).to_be_visible()
    expect(page.locator(".checks .failed").first).to_contain_text("Turn on change tracking")
    assert console.sandbox.client_secret not in page.content()
    assert console.sandbox.campaign_client_secret not in page.content()


def look(page: Page, name: str) -> list[str]:
    """What is wrong with the page, a sentence each."""
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    wrong = [f"{name}: wider than the window"] if wide else []
    wrong += [f"{name}: no name: {one}" for one in page.evaluate(NAMELESS)]
    wrong += [f"{name}: too pale: {one}" for one in page.evaluate(PALE)]
    wrong += [] if page.locator("h1").count() == 1 else [f"{name}: not one first heading"]
    return wrong


def furnished(console: Console) -> None:
    """Something to see on every page: records, a dead letter, an edit that waits."""
    person = next(iter(console.sandbox.dynamics.rows("contact", ["contactid"])))["contactid"]
    console.sandbox.campaign.refuse("profile", person)
    console.start()
    page = console.go("ingress/contact")
    page.get_by_role("button", name="Remove this field").first.click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Saved")


def test_every_page_reads_well_small_and_large_light_and_dark(opening: Opening, pictures: Path) -> None:
    """No page is wider than a telephone, every control has a name, every text stands out, and pictures are kept."""
    console = opening(places=3)
    furnished(console)
    page, wrong = console.page, []
    for name, path in PAGES.items():
        page.goto(path)
        for width, height in ((1280, 800), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                wrong += look(page, f"{name} at {width} in {scheme}")
                if (width, scheme) in PICTURED:
                    page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=True)
    assert wrong == []
