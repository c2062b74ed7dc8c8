"""Previews and forecasts against both systems on loopback: what they say is what then happens, without a trace."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.ingress_room import DEFINITION, MAPPING, dataverse, differences, drain, ids, join

from syncline import FieldMapping, Filter, IngressDefinition, Integration, MemoryStorage, TableMapping
from syncline.definitions import Comparison
from syncline.errors import ThrottledError
from syncline.sandbox import Sandbox, people
from syncline.views import Figure, NextRead, PreviewKind

CROWD = 120
VEHICLES = TableMapping(
    table="new_vehicle",
    resource="cusVehicle",
    fields=[FieldMapping(source="new_name", target="vehicleName")],
)
#: What the checks of one start look up at Campaign for each table: the key's filter, and whether the key is one.
CHECKS = 2


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With a crowd in Dynamics."""
    sandbox.dynamics.load("contact", people(CROWD, 5, clean=True))
    return sandbox


@pytest.fixture
def integration(sandbox: Sandbox) -> Iterator[Integration]:
    """Joined, nothing started; pages of fifty."""
    joined = join(sandbox, MemoryStorage(), dynamics=dataverse(sandbox, page_size=50))
    yield joined
    joined.close()


def calls_of_a_start(integration: Integration, sandbox: Sandbox) -> int:
    """What a start and everything it leads to cost at the engine, counted there."""
    sandbox.campaign.reset_counters()
    integration.ingress.start()
    drain(integration)
    return sandbox.campaign.engine_calls()["total"]


def calls_of_the_checks(integration: Integration, sandbox: Sandbox) -> int:
    sandbox.campaign.reset_counters()
    assert integration.ingress.check().ok
    return sandbox.campaign.engine_calls()["total"]


def forecast_calls(integration: Integration, sandbox: Sandbox, *replay: str) -> int:
    """The exact forecast, which must not cost an engine call itself."""
    sandbox.campaign.reset_counters()
    found = integration.ingress.forecast(exact=True, replay=replay).calls
    assert sandbox.campaign.engine_calls()["total"] == 0
    assert found.exact
    assert found.value is not None
    return found.value


def change_some(sandbox: Sandbox) -> None:
    """Four changed, one of them only in what is not mapped; two gone; three new."""
    everybody = ids(sandbox)
    for number, person in enumerate(everybody[:3]):
        sandbox.dynamics.update("contact", person, lastname=f"Changed {number}")
    sandbox.dynamics.update("contact", everybody[3], fax="12345")
    for person in everybody[4:6]:
        sandbox.dynamics.delete("contact", person)
    sandbox.dynamics.load("contact", people(3, 77, clean=True))


def test_the_forecast_of_a_first_load_is_what_the_engine_counts(integration: Integration, sandbox: Sandbox) -> None:
    """I13: to the call; the look-ups of the checks come on top, as many as `check()` makes."""
    expected = forecast_calls(integration, sandbox)
    checks = calls_of_the_checks(integration, sandbox)

    counted = calls_of_a_start(integration, sandbox)

    assert (expected, checks) == (CROWD, CHECKS)
    assert counted == expected + checks
    assert differences(sandbox) == []


@pytest.mark.parametrize("changed", [False, True])
def test_the_forecast_of_a_replay_is_what_the_engine_counts(
    integration: Integration, sandbox: Sandbox, changed: bool
) -> None:
    """I13: nothing for what is in step, and each change at its price."""
    calls_of_a_start(integration, sandbox)
    if changed:
        change_some(sandbox)
    expected = forecast_calls(integration, sandbox, "contact")
    original = integration.ingress.forecast(exact=True, replay=["contact"]).original_calls
    integration.ingress.replay("contact")
    integration.ingress.stop()

    counted = calls_of_a_start(integration, sandbox)

    assert expected == (3 * 2 + 2 * 2 + 3 if changed else 0)
    assert original == Figure(3 * 2 + 2 + 3 + CROWD - 5 if changed else CROWD)
    assert counted == expected + CHECKS
    assert differences(sandbox) == []


def test_the_forecast_of_a_resync_is_what_the_engine_counts(integration: Integration, sandbox: Sandbox) -> None:
    """I9, I13: a full read against the ledger, deletions included."""
    calls_of_a_start(integration, sandbox)
    change_some(sandbox)
    integration.storage.drop_position(integration.ingress.id, "contact")
    integration.ingress.stop()
    (table,) = integration.ingress.forecast(exact=True)
    expected = forecast_calls(integration, sandbox)

    counted = calls_of_a_start(integration, sandbox)

    assert table.read is NextRead.RESYNC
    assert [
        figure.value for figure in (table.source, table.creates, table.updates, table.identical, table.deletes)
    ] == [
        CROWD + 1,
        3,
        3,
        CROWD - 5,
        2,
    ]
    assert counted == expected + CHECKS == 3 + 3 * 2 + 2 * 2 + CHECKS
    assert differences(sandbox) == []


def test_the_forecast_after_an_edit_is_what_the_engine_counts(integration: Integration, sandbox: Sandbox) -> None:
    """The definition as last edited decides: a filter that deletes, and a second table."""
    calls_of_a_start(integration, sandbox)
    sandbox.dynamics.load("new_vehicle", [{"new_vehicleid": "0a0b0c0d-0000-4000-8000-00000000000a", "new_name": "Car"}])
    active = Filter(field="statecode", comparison=Comparison.EQUALS, value=0)
    filtered = evolve(MAPPING, filters=[active], delete_filtered_out=True)
    integration.ingress.edit(IngressDefinition(mappings=[filtered, VEHICLES]))
    found = integration.ingress.forecast(exact=True, replay=["contact"])
    integration.ingress.replay("contact")
    integration.ingress.stop()

    counted = calls_of_a_start(integration, sandbox)

    passive = sum(row["statecode"] != 0 for row in sandbox.dynamics.rows("contact", ["statecode"]))
    assert passive > 0
    assert found.table("contact").deletes == Figure(passive)
    assert found.table("new_vehicle").creates == Figure(1)
    assert found.calls == Figure(passive * 2 + 1)
    assert counted == passive * 2 + 1 + 2 * CHECKS


def test_a_preview_is_what_then_happens(integration: Integration, sandbox: Sandbox) -> None:
    """X4: every kind, before and after, as the cycle then makes it true."""
    calls_of_a_start(integration, sandbox)
    everybody = ids(sandbox)
    old = sandbox.campaign.get("profile", everybody[0])
    assert old is not None
    sandbox.dynamics.update("contact", everybody[0], lastname="Neu")
    sandbox.dynamics.delete("contact", everybody[1])
    sandbox.dynamics.update("contact", everybody[2], firstname="x" * 31)
    sandbox.campaign.reset_counters()

    preview = integration.ingress.preview(limit=10_000)
    gone = integration.ingress.preview(record=everybody[1])

    calls = sandbox.campaign.engine_calls()
    assert (calls["total"], calls["GET by filter"]) == (2, 2)
    counts = preview.counts
    assert (len(preview), preview.complete, preview.look_ups) == (CROWD - 1, True, 1)
    assert (counts[PreviewKind.UPDATE], counts[PreviewKind.REFUSED], counts[PreviewKind.IDENTICAL]) == (1, 1, CROWD - 3)
    (updated,) = preview.of(PreviewKind.UPDATE)
    assert [(one.name, one.before, one.after) for one in updated.fields] == [("lastName", old["lastName"], "Neu")]
    assert [one.field for one in preview.of(PreviewKind.REFUSED)] == ["firstname"]
    assert [record.kind for record in gone] == [PreviewKind.DELETE]
    drain(integration)
    new = sandbox.campaign.get("profile", everybody[0])
    assert new is not None
    assert {name for name in old if old[name] != new[name]} >= {"lastName"}
    assert new["lastName"] == "Neu"
    assert sandbox.campaign.get("profile", everybody[1]) is None
    assert [letter.key.id for letter in integration.ingress.dead_letters] == [everybody[2]]


def test_a_created_record_holds_what_the_preview_showed(integration: Integration, sandbox: Sandbox) -> None:
    """X4: the after of a create is what Campaign then has."""
    person = ids(sandbox)[7]
    (shown,) = integration.ingress.preview(record=person)
    integration.ingress.start()
    drain(integration)

    made = sandbox.campaign.get("profile", person)

    assert made is not None
    assert shown.kind is PreviewKind.CREATE
    assert {one.name: one.after for one in shown.fields} == {one.name: made[one.name] for one in shown.fields}


def dump(path: Path) -> list[Any]:
    """Every row of every table."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        names = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        found = [(name, connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in names]  # noqa: S608
    connection.close()
    return found


def test_neither_writes_anything_anywhere(sandbox: Sandbox, tmp_path: Path) -> None:
    """X4: not a row of the storage changes, no write reaches Campaign, none reaches Dynamics, while it runs."""
    path = tmp_path / "syncline.db"
    with join(sandbox, path) as integration:
        integration.ingress.start()
        drain(integration)
        change_some(sandbox)
        sandbox.campaign.reset_counters()
        before, profiles = dump(path), list(sandbox.campaign.rows("profile"))
        contacts = list(sandbox.dynamics.rows("contact"))

        integration.ingress.preview(limit=10_000)
        integration.ingress.preview(record=ids(sandbox)[0])
        integration.ingress.forecast(replay=["contact"])
        integration.ingress.forecast(exact=True, replay=["contact"])

        assert dump(path) == before
        assert sum(len(rows) for _, rows in before) > CROWD, "the dump sees what is there"
        assert list(sandbox.campaign.rows("profile")) == profiles
        assert list(sandbox.dynamics.rows("contact")) == contacts
        calls = sandbox.campaign.engine_calls()
        assert (calls["POST"], calls["PATCH"], calls["DELETE"]) == (0, 0, 0)
        drain(integration)

    assert differences(sandbox) == []


def test_a_silence_that_another_process_was_asked_for_is_kept(integration: Integration, sandbox: Sandbox) -> None:
    """V10: looking is no reason to send anything inside a Retry-After wait."""
    (gate,) = integration.campaign.gates
    integration.storage.close_gate(gate.principal, integration.storage.now() + timedelta(minutes=5))

    with pytest.raises(ThrottledError):
        integration.ingress.preview()
    with pytest.raises(ThrottledError):
        integration.ingress.forecast(exact=True)

    assert sandbox.campaign.requests()["total"] == 0


def test_an_id_that_no_record_has_is_left_alone(integration: Integration) -> None:
    """It counts as deleted, and Syncline never wrote it."""
    (found,) = integration.ingress.preview(record="00000000-0000-4000-8000-00000000000f")

    assert found.kind is PreviewKind.LEFT_ALONE


@pytest.mark.parametrize("record", ["", "nobody", "') or 1 eq 1 or contactid eq ('"])
def test_what_is_no_id_is_refused_before_anybody_is_asked(
    integration: Integration, sandbox: Sandbox, record: str
) -> None:
    """Whatever somebody types as an id, it is data, and the error says what an id looks like."""
    integration.ingress.preview(limit=1)
    sandbox.dynamics.clear_requests()

    with pytest.raises(ValueError, match="a GUID such as"):
        integration.ingress.preview(record=record)

    assert not [one for one in sandbox.dynamics.requests()["kept"] if "contacts" in one["path"]]


def test_looking_while_a_first_load_is_paging_does_not_disturb_it(integration: Integration, sandbox: Sandbox) -> None:
    """The same connector, the same table: each read goes its own way."""
    integration.ingress.start()
    integration.ingress.run_cycle(records=1)

    preview = integration.ingress.preview(limit=60)
    found = integration.ingress.forecast(exact=True)

    assert len(preview) == 60
    assert found.table("contact").read is NextRead.CONTINUED
    drain(integration)
    assert differences(sandbox) == []
    assert integration.ingress.definition == DEFINITION
