"""The history as people see it."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.scripted import ScriptedCampaign, ScriptedDynamics

from syncline import IngressDefinition, MemoryStorage
from syncline.store import ActionEntry
from syncline.views.history import History
from syncline.workflows.ingress import IngressWorkflow

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


def test_entries_are_a_sequence_and_a_table() -> None:
    """Newest first, as text, as data and as HTML; names and details are data and stay data."""
    entries = [
        ActionEntry(at=NOON, action="edit", by="<b>ann</b>", detail="contact: field added"),
        ActionEntry(at=NOON, action="start"),
    ]
    history = History(entries)
    assert [entry.action for entry in history] == ["edit", "start"]
    assert history[0].by == "<b>ann</b>"
    assert history[1:] == (entries[1],)
    assert history == History(entries) != History(entries[:1])
    assert len({history, History(entries)}) == 1
    assert "2026-02-01 12:00:00+00:00" in history.to_text(120)
    assert "&lt;b&gt;ann" in history.to_html()
    assert history.as_data()[1] == {"at": "2026-02-01T12:00:00+00:00", "action": "start", "by": "", "detail": ""}
    assert "nothing happened yet" in History([]).to_text(80)


def test_every_action_is_noted_with_who_did_it() -> None:
    """X12: start, stop, edit, replay, retry, discard, forget, purge and starting over name whom the host named."""
    dynamics, campaign = ScriptedDynamics(), ScriptedCampaign()
    workflow = IngressWorkflow(dynamics=dynamics, campaign=campaign, storage=MemoryStorage())
    workflow.edit(IngressDefinition(time_zone="Europe/Paris"), by="a")
    workflow.replay("contact", by="b")
    workflow.rebuild_ledger("contact", by="c")
    workflow.start(by="d")
    workflow.stop(by="e")
    workflow.dead_letters.retry(by="f")
    workflow.dead_letters.discard([], by="g")
    workflow.confirm_deletes("contact", by="h")
    workflow.discard_deletes("contact", by="i")
    workflow.forget("11111111-1111-4111-8111-111111111111", by="j")
    workflow.purge(by="k")
    told = {entry.by: entry.action for entry in workflow.history if entry.by}
    assert told == {
        "a": "edit",
        "b": "replay",
        "c": "rebuild ledger",
        "d": "start",
        "e": "stop",
        "f": "retry",
        "g": "discard",
        "h": "confirm deletes",
        "i": "discard deletes",
        "j": "forget",
        "k": "purge",
    }
    assert any(entry.action == "STOPPED" for entry in workflow.history), "and what became of it"
