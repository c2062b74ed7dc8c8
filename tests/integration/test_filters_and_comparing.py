"""Filters, held deletions, reconciliation and the sweep, against both systems on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from tests.ingress_room import MAPPING, differences, drain, ids, join

from syncline import Filter, IngressDefinition, Integration, MemoryStorage
from syncline.definitions import Comparison, Guardrails
from syncline.sandbox import Sandbox, people
from syncline.table_mapping import Match
from syncline.views import Figure, NextRead, ReconcileKind

CROWD = 90
#: The pre-flight looks the key up with this many calls.
CHECKS = 2


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With a crowd in Dynamics."""
    sandbox.dynamics.load("contact", people(CROWD, 5, clean=True))
    return sandbox


@pytest.fixture
def storage() -> MemoryStorage:
    """A storage whose time can be moved."""
    return MemoryStorage()


@pytest.fixture
def integration(sandbox: Sandbox, storage: MemoryStorage) -> Iterator[Integration]:
    """Joined; nothing started."""
    joined = join(sandbox, storage)
    yield joined
    assert storage.audit(joined.ingress.id) == []
    joined.close()


def fax(number: int) -> Filter:
    """A filter on a field that is not mapped."""
    return Filter(field="fax", comparison=Comparison.NOT_EQUALS, value=f"left {number}")


def restart(integration: Integration, definition: IngressDefinition | None = None, *, replay: bool = False) -> None:
    if integration.ingress.status.started:
        integration.ingress.stop()
    if definition is not None:
        integration.ingress.edit(definition)
    if replay:
        integration.ingress.replay("contact")
    integration.ingress.start()
    drain(integration)


def total(sandbox: Sandbox) -> int:
    return int(sandbox.campaign.engine_calls()["total"])


# -- filters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "comparison", "value", "passes"),
    [
        ("fax", Comparison.EQUALS, "ABC-1", lambda row: row["fax"] == "abc-1"),
        ("fax", Comparison.NOT_EQUALS, "ABC-1", lambda row: row["fax"] != "abc-1"),
        ("fax", Comparison.CONTAINS, "C-", lambda row: row["fax"] in ("abc-1", "abc-2")),
        ("fax", Comparison.NOT_CONTAINS, "c-", lambda row: row["fax"] not in ("abc-1", "abc-2")),
        ("fax", Comparison.BEGINS_WITH, "AB", lambda row: row["fax"] in ("abc-1", "abc-2")),
        ("fax", Comparison.ENDS_WITH, "-2", lambda row: row["fax"] == "abc-2"),
        ("fax", Comparison.IN, ["abc-1", "xyz"], lambda row: row["fax"] in ("abc-1", "xyz")),
        ("fax", Comparison.NOT_IN, ["abc-1", "xyz"], lambda row: row["fax"] not in ("abc-1", "xyz")),
        ("fax", Comparison.IS_NULL, None, lambda row: row["fax"] is None),
        ("fax", Comparison.IS_NOT_NULL, None, lambda row: row["fax"] is not None),
        ("numberofchildren", Comparison.LESS, 2, lambda row: row["numberofchildren"] in (0, 1)),
        ("numberofchildren", Comparison.LESS_OR_EQUAL, 2, lambda row: row["numberofchildren"] in (0, 1, 2)),
        ("numberofchildren", Comparison.GREATER, 2, lambda row: row["numberofchildren"] == 3),
        ("numberofchildren", Comparison.GREATER_OR_EQUAL, 2, lambda row: row["numberofchildren"] in (2, 3)),
        ("birthdate", Comparison.LESS, "1980-05-17", lambda row: row["birthdate"] in ("1980-05-16",)),
        ("birthdate", Comparison.GREATER_OR_EQUAL, "1980-05-17", lambda row: row["birthdate"] == "1980-05-17"),
        ("donotfax", Comparison.EQUALS, True, lambda row: row["donotfax"]),
        ("statecode", Comparison.EQUALS, "Active", lambda row: row["statecode"] == 0),
    ],
)
def test_every_comparison_lets_through_what_it_says(
    integration: Integration, sandbox: Sandbox, field: str, comparison: Comparison, value: Any, passes: Any
) -> None:
    """I6: on fields that are mapped and fields that are not; upper and lower case do not matter in text."""
    four = ids(sandbox)[:4]
    rows: list[dict[str, Any]] = [
        {"fax": "abc-1", "numberofchildren": 0, "birthdate": "1980-05-16", "donotfax": True},
        {"fax": "abc-2", "numberofchildren": 1, "birthdate": "1980-05-17", "donotfax": False},
        {"fax": "xyz", "numberofchildren": 2, "birthdate": None, "donotfax": False},
        {"fax": None, "numberofchildren": 3, "birthdate": None, "donotfax": True},
    ]
    for record in ids(sandbox)[4:]:
        sandbox.dynamics.delete("contact", record)
    for record, row in zip(four, rows, strict=True):
        sandbox.dynamics.update("contact", record, **row)
    one = Filter(field=field, comparison=comparison, value=value)
    restart(integration, IngressDefinition(mappings=[evolve(MAPPING, filters=[one])]))
    stored = sandbox.dynamics.rows("contact", ["contactid", field])
    expected = {str(row["contactid"]) for row in stored if passes(row)}
    arrived = {row["externalId"] for row in sandbox.campaign.rows("profile", ["externalId"])}
    assert arrived == expected


def test_filters_combine_with_and_or_with_or(integration: Integration, sandbox: Sandbox) -> None:
    """I6: every one, or at least one."""
    first, second, *_ = ids(sandbox)
    sandbox.dynamics.update("contact", first, fax="a")
    sandbox.dynamics.update("contact", second, fax="a", jobtitle="b")
    both = [
        Filter(field="fax", comparison=Comparison.EQUALS, value="a"),
        Filter(field="jobtitle", comparison=Comparison.EQUALS, value="b"),
    ]
    restart(integration, IngressDefinition(mappings=[evolve(MAPPING, filters=both)]))
    assert {row["externalId"] for row in sandbox.campaign.rows("profile", ["externalId"])} == {second}
    restart(integration, IngressDefinition(mappings=[evolve(MAPPING, filters=both, match=Match.ANY)]), replay=True)
    assert {row["externalId"] for row in sandbox.campaign.rows("profile", ["externalId"])} == {first, second}


# -- held deletions ---------------------------------------------------------------------------------------------------


def test_the_preview_says_who_would_go_and_the_hold_keeps_them(integration: Integration, sandbox: Sandbox) -> None:
    """I6: ids and numbers before anything happens, no call to find out; the hold and the word are what it said."""
    restart(integration)
    leaving = ids(sandbox)[:20]
    for record in leaving:
        sandbox.dynamics.update("contact", record, fax="left 1")
    drain(integration)
    definition = IngressDefinition(mappings=[evolve(MAPPING, filters=[fax(1)])])
    integration.ingress.edit(definition)
    sandbox.campaign.reset_counters()
    stays = integration.ingress.filtered_out("contact")
    assert (stays.number, stays.held, stays.deletes) == (20, False, False)
    assert "delete_filtered_out is off" in str(stays)
    definition = IngressDefinition(mappings=[evolve(MAPPING, filters=[fax(1)], delete_filtered_out=True)])
    integration.ingress.edit(definition)
    found = integration.ingress.filtered_out("contact", limit=5)
    assert (found.number, found.known, found.most, found.held) == (20, CROWD, 10, True)
    assert (len(found), set(found) <= set(leaving), total(sandbox)) == (5, True, 0)
    assert found.as_data()["number"] == 20
    restart(integration, replay=True)
    assert sandbox.campaign.count("profile") == CROWD
    assert sorted(integration.ingress.held_deletes("contact")) == leaving
    assert integration.ingress.confirm_deletes("contact", by="ann") == 20
    drain(integration)
    assert sandbox.campaign.count("profile") == CROWD - 20


@pytest.mark.parametrize("leaving", [9, 30])
def test_the_forecast_with_filters_and_holds_is_what_the_engine_counts(
    integration: Integration, sandbox: Sandbox, leaving: int
) -> None:
    """I13: to the call, with deletions that go and with deletions that are held."""
    restart(integration)
    everybody = ids(sandbox)
    for record in everybody[:leaving]:
        sandbox.dynamics.update("contact", record, fax="left 1")
    sandbox.dynamics.update("contact", everybody[-1], lastname="Changed")
    sandbox.dynamics.load("contact", people(2, 77, clean=True))
    integration.ingress.stop()
    integration.ingress.edit(IngressDefinition(mappings=[evolve(MAPPING, filters=[fax(1)], delete_filtered_out=True)]))
    found = integration.ingress.forecast(exact=True, replay=["contact"]).table("contact")
    sandbox.campaign.reset_counters()

    restart(integration, replay=True)

    held = leaving if leaving > 10 else 0
    assert (found.deletes, found.held) == (Figure(leaving - held), Figure(held))
    assert found.calls == Figure(2 + 2 + 2 * (leaving - held))
    assert found.original_calls == Figure(2 + 2 + leaving + (CROWD - leaving - 1))
    assert total(sandbox) == (found.calls.value or 0) + CHECKS
    assert sum(integration.ingress.backlog.held.values()) == held
    again = integration.ingress.forecast(exact=True, replay=["contact"]).table("contact")
    assert (again.calls, again.held) == (Figure(0), Figure(held))


def test_the_forecast_of_known_changes_is_what_the_engine_counts(integration: Integration, sandbox: Sandbox) -> None:
    """I13: a set of changes on a caught-up table, filters and deletions included, costs what was told."""
    filtered = evolve(MAPPING, filters=[fax(1)], delete_filtered_out=True)
    restart(integration, IngressDefinition(mappings=[filtered]))
    everybody = ids(sandbox)
    for record in everybody[:3]:
        sandbox.dynamics.update("contact", record, fax="left 1")
    for record in everybody[3:15]:
        sandbox.dynamics.delete("contact", record)
    for record in everybody[15:18]:
        sandbox.dynamics.update("contact", record, firstname="Changed")
    sandbox.dynamics.load("contact", people(4, 77, clean=True))
    found = integration.ingress.forecast(exact=True).table("contact")
    sandbox.campaign.reset_counters()

    drain(integration)

    assert found.read is NextRead.CHANGES
    assert [figure.value for figure in (found.creates, found.updates, found.deletes, found.held)] == [4, 3, 15, 0]
    assert found.calls.value == total(sandbox) == 4 + 3 * 2 + 15 * 2


def test_an_expired_token_that_finds_half_of_the_table_gone_asks(integration: Integration, sandbox: Sandbox) -> None:
    """S-17, I9: deletions that only a full read finds are held when they are many, and go when confirmed."""
    restart(integration)
    for record in ids(sandbox)[: CROWD // 2]:
        sandbox.dynamics.delete("contact", record)
    sandbox.dynamics.expire_tokens()
    drain(integration)
    assert sandbox.campaign.count("profile") == CROWD
    assert integration.ingress.view.warnings == (f"{CROWD // 2} deletions of contact wait for a confirmation",)
    integration.ingress.confirm_deletes("contact")
    drain(integration)
    assert differences(sandbox) == []


def test_a_share_of_a_hundred_percent_and_a_high_number_switch_the_cap_off(
    integration: Integration, sandbox: Sandbox
) -> None:
    """The guardrails are settings: who wants no hold has none."""
    rails = Guardrails(filtered_out_deletes=1_000_000, filtered_out_percent=100)
    filtered = evolve(MAPPING, filters=[fax(1)], delete_filtered_out=True)
    restart(integration, IngressDefinition(mappings=[filtered], guardrails=rails))
    for record in ids(sandbox):
        sandbox.dynamics.update("contact", record, fax="left 1")
    drain(integration)
    assert sandbox.campaign.count("profile") == 0


# -- comparing --------------------------------------------------------------------------------------------------------


def test_a_reconciliation_costs_what_it_says_and_mends_what_it_finds(
    integration: Integration, sandbox: Sandbox
) -> None:
    """X7: missing, extra and different found by key; the engine's counter agrees; strangers stay."""
    restart(integration)
    everybody = ids(sandbox)
    sandbox.campaign.delete("profile", everybody[0])
    sandbox.campaign.update("profile", everybody[1], lastName="Somebody else")
    sandbox.campaign.load("profile", [{"externalId": "theirs", "lastName": "Stranger"}])
    sandbox.campaign.reset_counters()

    report = integration.ingress.reconcile("contact", queue=True)

    assert total(sandbox) == report.calls == CROWD + 1
    assert (report.counts[ReconcileKind.MISSING], report.counts[ReconcileKind.DIFFERENT]) == (1, 1)
    assert (report.counts[ReconcileKind.IDENTICAL], report.strangers, report.queued) == (CROWD - 2, 1, 2)
    drain(integration)
    assert sandbox.campaign.get("profile", "theirs") is not None
    sandbox.campaign.delete("profile", "theirs")
    assert differences(sandbox) == []
    assert integration.ingress.reconcile("contact").in_step


def test_a_move_from_another_integration_sends_nothing_again(sandbox: Sandbox) -> None:
    """X13: what another integration wrote by the same key is adopted; only what differs is written."""
    with join(sandbox, MemoryStorage()) as theirs:
        restart(theirs)
    changed, *_ = ids(sandbox)
    sandbox.campaign.update("profile", changed, lastName="Somebody else")
    ours = join(sandbox, MemoryStorage())
    report = ours.ingress.reconcile("contact", adopt=True)
    assert (report.adopted, report.queued) == (CROWD - 1, 1)
    sandbox.campaign.reset_counters()
    restart(ours)
    calls = sandbox.campaign.engine_calls()
    assert (calls["POST"], calls["PATCH"], calls["total"]) == (0, 1, CHECKS + 2)
    assert differences(sandbox) == []
    ours.close()


def test_a_profile_changed_behind_synclines_back_is_mended_within_the_period(
    integration: Integration, sandbox: Sandbox, storage: MemoryStorage
) -> None:
    """Decision 8: whoever changed it, and although the ledger believes it to be as written."""
    restart(integration)
    drain(integration)
    first, second, third, *_ = ids(sandbox)
    sandbox.campaign.update("profile", first, lastName="Somebody else")
    sandbox.campaign.delete("profile", second)
    sandbox.campaign.update("profile", third, blackListEmail=True)
    storage.set_time_offset(timedelta(days=7).total_seconds())
    sandbox.campaign.reset_counters()
    drain(integration)
    drain(integration)
    assert differences(sandbox) == []
    sweep = integration.ingress.sweeps["contact"]
    assert (sweep.checked_ever, sweep.mended_ever, sweep.calls) == (CROWD, 2, CROWD)
    assert total(sandbox) == CROWD + 2 * 2 + CHECKS, "after so long the schemas are looked at again too"
    kept = sandbox.campaign.get("profile", third)
    assert kept is not None
    assert kept["blackListEmail"], "an opt-out is never a plain field, and never swept"
