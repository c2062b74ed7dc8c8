"""What a notebook shows when a value is the last line of a cell: a table, with all that came from outside as text."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from tests.scripted import ScriptedCampaign, ScriptedDynamics

from syncline import FieldMapping, IngressDefinition, Integration, MemoryStorage, TableMapping
from syncline.errors import RecordRefusedError
from syncline.workflows.checks import Check, CheckReport, CheckResult

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(1)>'
MAPPING = TableMapping(table="contact", resource="profile", fields=[FieldMapping(source="lastname", target="lastName")])


class Read(HTMLParser):
    """The tags and the text of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in ("class", "id", "src") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def integration(campaign: ScriptedCampaign) -> Integration:
    return Integration(
        dynamics=ScriptedDynamics(3),
        campaign=campaign,
        storage=MemoryStorage(),
        ingress=IngressDefinition(mappings=[MAPPING]),
    )


def test_a_workflow_shows_its_line_of_the_page() -> None:
    """A workflow shows what the Workflows page shows of it, and looking changes nothing."""
    with integration(ScriptedCampaign()) as joined:
        shown = Read(joined.ingress._repr_html_())
        assert "Microsoft Dynamics 365 to Campaign" in shown.text
        assert "STOPPED" in shown.text
        assert "script" not in shown.tags


def test_a_check_report_shows_results_and_remedies() -> None:
    """Each check is a line with its result, what was found and what to do, as text whatever it holds."""
    report = CheckReport(
        checks=(
            Check(name="contact: change tracking", result=CheckResult.FAILED, detail=HOSTILE, remedy="Turn it on."),
            Check(name="clocks", result=CheckResult.PASSED),
        )
    )
    shown = Read(report._repr_html_())
    assert HOSTILE in shown.text
    assert not {"script", "img"} & set(shown.tags)
    assert "Not ready to start" in shown.text
    assert "Turn it on." in shown.text
    assert json.loads(json.dumps(report.as_data()))[0]["result"] == "failed"
    assert "Ready to start" in Read(CheckReport(checks=report.checks[1:]).to_html()).text
    assert repr(report) == "<CheckReport not ready to start: 1 failed, 1 passed>"


def test_dead_letters_show_what_happened_and_no_payload() -> None:
    """Keys, reasons and messages show, escaped; values of the record do not; a long list says how much is left out."""
    campaign = ScriptedCampaign()

    def refuse(verb: str, key: str) -> None:
        raise RecordRefusedError(HOSTILE, field="lastName")

    campaign.before = refuse
    with integration(campaign) as joined:
        joined.ingress.start()
        joined.ingress.run_cycle()
        assert len(joined.ingress.dead_letters) == 3
        shown = Read(joined.ingress.dead_letters._repr_html_())
        assert not {"script", "img"} & set(shown.tags)
        assert "lastName" in shown.text
        assert "00000001-0000" in shown.text
        assert "Person 1" not in shown.text
        assert "more" not in shown.text


def test_many_dead_letters_are_counted_and_not_all_shown() -> None:
    """A notebook shows the first hundred and says how many more there are."""
    campaign = ScriptedCampaign()

    def refuse(verb: str, key: str) -> None:
        raise RecordRefusedError("no", field="lastName")

    campaign.before = refuse
    joined = Integration(
        dynamics=ScriptedDynamics(130),
        campaign=campaign,
        storage=MemoryStorage(),
        ingress=IngressDefinition(mappings=[MAPPING]),
    )
    with joined:
        joined.ingress.start()
        joined.ingress.run_cycle()
        shown = Read(joined.ingress.dead_letters.to_html())
        assert "and 30 more" in shown.text
        assert shown.tags.count("tr") == 101
