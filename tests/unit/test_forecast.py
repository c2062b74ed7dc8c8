"""What a forecast tells from counts and from reading, and how sure it says it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve
from tests.scripted import CONTACT, ScriptedCampaign, ScriptedDynamics, nothing

from syncline import FieldMapping, Filter, IngressDefinition, MemoryStorage, TableMapping
from syncline.connectors.base import CampaignCapabilities
from syncline.definitions import Comparison, Guardrails
from syncline.errors import AmbiguousWriteError, CursorLostError, DefinitionError, UnavailableError
from syncline.records import Change, Page, ReadRequest, ReadStage
from syncline.views import Certainty, Figure, Forecast, NextRead, TableForecast
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.ingress import IngressWorkflow

MAPPING = TableMapping(
    table="contact",
    resource="profile",
    fields=[
        FieldMapping(source="lastname", target="lastName"),
        FieldMapping(source="jobtitle", target="title", apply_updates=False),
    ],
)
PEOPLE = 25


class Stage:
    """A workflow between two scripted connectors; pages of ten."""

    def __init__(self, mapping: TableMapping = MAPPING, dynamics: ScriptedDynamics | None = None) -> None:
        self.storage = MemoryStorage()
        self.dynamics = dynamics or ScriptedDynamics(PEOPLE)
        self.dynamics.page_size = 10
        self.campaign = ScriptedCampaign()
        self.workflow = IngressWorkflow(
            dynamics=self.dynamics,
            campaign=self.campaign,
            storage=self.storage,
            definition=IngressDefinition(mappings=[mapping], guardrails=Guardrails(filtered_out_floor=PEOPLE)),
        )
        self.people = list(self.dynamics.rows)

    def drain(self) -> int:
        """Caught up; how many requests Campaign got."""
        self.campaign.verbs.clear()
        for _ in range(50):
            report = self.workflow.run_cycle()
            if report.end is CycleEnd.IDLE:
                return len(self.campaign.verbs)
        raise AssertionError(report)

    def again(self) -> None:
        self.workflow.stop()
        self.workflow.start()

    def contact(self, *, exact: bool, replay: Sequence[str] = ()) -> TableForecast:
        return self.workflow.forecast(exact=exact, replay=replay).table("contact")

    def change_some(self) -> None:
        """Three changed, one of them in a field of first loads only; two gone; one new."""
        self.dynamics.put(self.people[0], lastname="New name")
        self.dynamics.put(self.people[1], lastname="Another")
        self.dynamics.put(self.people[2], jobtitle="Poet")
        self.dynamics.remove(self.people[3])
        self.dynamics.remove(self.people[4])
        self.dynamics.put("0000000a-0000-4000-8000-000000000000", lastname="Newcomer")


def loaded(mapping: TableMapping = MAPPING) -> Stage:
    stage = Stage(mapping)
    stage.workflow.start()
    stage.drain()
    return stage


def numbers(found: TableForecast) -> dict[str, Any]:
    names = ("creates", "updates", "identical", "deletes", "filtered_out", "refused")
    return {name: figure.value for name in names if (figure := getattr(found, name)).value}


# -- by reading -------------------------------------------------------------------------------------------------------


def test_a_first_load_is_a_create_for_each_record() -> None:
    """I13: one call each, in both arithmetics, and exactly that is used."""
    stage = Stage()

    found = stage.contact(exact=True)

    assert (found.read, numbers(found)) == (NextRead.FIRST_LOAD, {"creates": PEOPLE})
    assert found.calls == found.original_calls == Figure(PEOPLE)
    assert stage.campaign.verbs == []
    with pytest.raises(KeyError):
        stage.storage.workflow(stage.workflow.id)
    stage.workflow.start()
    assert stage.drain() == PEOPLE


def test_a_replay_of_what_is_in_step_costs_nothing_here_and_much_there() -> None:
    """I13: the original sends everything again; the ledger knows better."""
    stage = loaded()

    found = stage.contact(exact=True, replay=["contact"])

    assert (found.read, numbers(found)) == (NextRead.REPLAY, {"identical": PEOPLE})
    assert (found.calls, found.original_calls) == (Figure(0), Figure(PEOPLE))
    stage.workflow.replay("contact")
    assert stage.contact(exact=True) == found, "asked for or taken for granted is the same"
    stage.again()
    assert stage.drain() == 0


def test_a_replay_after_changes_writes_the_fields_of_first_loads_too() -> None:
    """I3, I10: three updates and not two, and what is gone is found."""
    stage = loaded()
    stage.change_some()

    found = stage.contact(exact=True, replay=["contact"])

    assert numbers(found) == {"creates": 1, "updates": 3, "identical": PEOPLE - 5, "deletes": 2}
    assert found.calls == Figure(1 + 3 * 2 + 2 * 2)
    assert found.original_calls == Figure(1 + 3 * 2 + PEOPLE - 5 + 2)
    stage.workflow.replay("contact")
    stage.again()
    assert stage.drain() == found.calls.value


def test_a_resync_is_exact_and_leaves_fields_of_first_loads_alone() -> None:
    """I9: the position is gone, the ledger is not."""
    stage = loaded()
    stage.change_some()
    stage.storage.drop_position(stage.workflow.id, "contact")

    found = stage.contact(exact=True)

    assert found.read is NextRead.RESYNC
    assert numbers(found) == {"creates": 1, "updates": 2, "identical": PEOPLE - 4, "deletes": 2}
    assert stage.drain() == found.calls.value
    assert found.calls.exact


def test_where_only_changes_are_read_a_full_read_gives_upper_bounds() -> None:
    """With rules as they were, the bound is what happens; after an edit it is not, and says so."""
    stage = loaded()
    stage.change_some()

    found = stage.contact(exact=True)

    assert (found.read, found.calls) == (NextRead.CHANGES, Figure(1 + 2 * 2 + 2 * 2, Certainty.AT_MOST))
    stage.again()
    assert stage.drain() == found.calls.value
    unmapped = evolve(MAPPING, fields=[*MAPPING.fields[:1], evolve(MAPPING.fields[1], apply_updates=True)])
    stage.workflow.edit(IngressDefinition(mappings=[unmapped]))
    bound = stage.contact(exact=True).updates
    assert bound == Figure(PEOPLE - 1, Certainty.AT_MOST)
    stage.again()
    assert stage.drain() == 0


def test_a_full_read_that_was_cut_goes_on_and_says_so() -> None:
    """What is queued already is part of what a full read finds, and makes the calls an upper bound."""
    stage = Stage()
    stage.workflow.start()
    stage.workflow.run_cycle(records=1)

    found = stage.contact(exact=True)

    assert found.read is NextRead.CONTINUED
    assert found.queued > 0
    assert found.calls.certainty is Certainty.AT_MOST
    already = len(stage.campaign.records)
    assert found.creates.value == PEOPLE - already
    stage.dynamics.put(next(iter(stage.campaign.records)), jobtitle="Poet")
    found = stage.contact(exact=True)
    assert found.updates.value == 1, "the rest of a first load writes the fields of first loads"
    assert stage.drain() <= (found.calls.value or 0)
    assert stage.campaign.verbs.count(("update", next(iter(stage.campaign.records)))) == 1


def test_what_waits_in_the_backlog_makes_the_calls_an_upper_bound() -> None:
    """An attempt without an answer is looked at and written again: nobody knows until then what it came to."""
    stage = Stage()
    stage.campaign.after = _no_answer
    stage.workflow.start()
    stage.workflow.run_cycle(records=1)
    stage.campaign.after = nothing

    found = stage.contact(exact=True, replay=["contact"])

    assert found.queued > 0
    bound = PEOPLE + found.queued * 2
    assert found.calls == found.original_calls == Figure(bound, Certainty.AT_MOST)
    assert found.creates == Figure(PEOPLE)
    assert stage.contact(exact=False, replay=["contact"]).calls == Figure(bound, Certainty.AT_MOST)


def _no_answer(_verb: str, _key: str) -> None:
    raise AmbiguousWriteError("no answer came")


def test_a_record_that_the_next_page_repeats_is_counted_once() -> None:
    """The feed is at least once."""

    class Repeating(ScriptedDynamics):
        """Each page begins with the record that the one before it ended with."""

        last: Change | None = None

        def read(self, request: ReadRequest) -> Page:
            page = super().read(request)
            repeated = () if self.last is None else (self.last,)
            self.last = page.changes[-1] if page.next_link else None
            return evolve(page, changes=(*repeated, *page.changes))

    stage = Stage(dynamics=Repeating(PEOPLE))
    stage.dynamics.page_size = 10

    found = stage.contact(exact=True)

    assert found.source == found.creates == Figure(PEOPLE)
    assert len({record.key for record in stage.workflow.preview()}) == len(stage.workflow.preview()) == PEOPLE


def test_filters_deletes_and_refusals_are_counted_apart() -> None:
    """I6: filtered-out records are deleted where the mapping says so and the ledger knows them."""
    stage = loaded()
    beyond = Filter(field="lastname", comparison=Comparison.NOT_EQUALS, value="Person 5")
    mapping = evolve(MAPPING, filters=[beyond], delete_filtered_out=True)
    stage.workflow.edit(IngressDefinition(mappings=[mapping]))
    stage.dynamics.put("0000000a-0000-4000-8000-000000000000", lastname="Person 5")
    stage.dynamics.put("0000000b-0000-4000-8000-000000000000", lastname="x" * 51)

    found = stage.contact(exact=True, replay=["contact"])

    assert numbers(found) == {"identical": PEOPLE - 1, "deletes": 1, "filtered_out": 1, "refused": 1}
    stage.workflow.replay("contact")
    stage.again()
    assert stage.drain() == found.calls.value == 2


def test_deletes_that_are_not_applied_cost_nothing() -> None:
    """I7."""
    stage = loaded(evolve(MAPPING, apply_deletes=False))
    stage.dynamics.remove(stage.people[0])

    found = stage.contact(exact=True, replay=["contact"])

    assert (found.deletes, found.calls) == (Figure(0), Figure(0))
    stage.workflow.replay("contact")
    stage.again()
    assert stage.drain() == 0


def test_a_replay_of_a_table_without_a_position_looks_for_deletions_too() -> None:
    """As the cycle does it: what the ledger knows and the source no longer shows is looked up and deleted."""
    stage = loaded()
    stage.dynamics.remove(stage.people[0])
    stage.workflow.replay("contact")
    stage.storage.drop_position(stage.workflow.id, "contact")

    found = stage.contact(exact=True)

    assert (found.read, found.deletes, found.calls) == (NextRead.REPLAY, Figure(1), Figure(2))
    stage.again()
    assert stage.drain() == 2


def test_a_target_that_takes_duplicates_is_looked_at_before_a_create() -> None:
    """The connector's capabilities are part of the arithmetic."""
    stage = Stage()
    stage.campaign.capabilities = CampaignCapabilities(refuses_duplicates=False)

    found = stage.contact(exact=True)

    assert (found.calls, found.original_calls) == (Figure(2 * PEOPLE), Figure(PEOPLE))
    assert stage.contact(exact=False).calls == Figure(2 * PEOPLE, Certainty.AT_MOST)
    stage.workflow.start()
    assert stage.drain() == 2 * PEOPLE


def test_a_read_keeps_no_more_than_a_page_and_asks_for_each_once() -> None:
    """Memory is bounded by pages, whatever the table's size; nothing is kept of the position."""
    stage = Stage()
    requests: list[ReadRequest] = []
    stage.dynamics.before_read = requests.append

    stage.contact(exact=True)

    assert [request.stage for request in requests] == [ReadStage.LOAD] * 3
    assert [request.link is None for request in requests] == [True, False, False]


@pytest.mark.parametrize("error", [UnavailableError("away"), CursorLostError("gone")])
def test_a_read_that_breaks_off_gives_no_forecast(error: Exception) -> None:
    """Half of the truth is none."""
    stage = Stage()

    def second_page(request: ReadRequest) -> None:
        if request.link is not None:
            raise error

    stage.dynamics.before_read = second_page
    with pytest.raises(type(error)):
        stage.workflow.forecast(exact=True)


def test_a_table_that_is_not_mapped_cannot_be_replayed() -> None:
    """The same error as `replay` itself."""
    with pytest.raises(DefinitionError, match="lead is not mapped"):
        Stage().workflow.forecast(replay=["lead"])


# -- by counting ------------------------------------------------------------------------------------------------------


def test_counts_alone_say_what_they_know() -> None:
    """Before a first load: the count of the source, that nothing is known, and at most so many calls."""
    stage = Stage()
    stage.dynamics.before_read = lambda request: pytest.fail(f"read {request.table}")

    found = stage.contact(exact=False)

    assert found.source == Figure(PEOPLE, Certainty.ABOUT)
    assert found.creates == found.calls == Figure(PEOPLE, Certainty.AT_MOST)
    assert found.updates == found.identical == found.deletes == found.filtered_out == Figure(0)
    assert found.refused == Figure.unknown()


@pytest.mark.parametrize("apply_deletes", [True, False])
def test_the_bounds_of_a_replay_hold_for_the_dearest_case(apply_deletes: bool) -> None:
    """Every known record gone and as many new ones, or where deletes are not applied, every one updated."""
    stage = loaded(evolve(MAPPING, apply_deletes=apply_deletes))
    for number, person in enumerate(stage.people):
        if apply_deletes:
            stage.dynamics.remove(person)
            stage.dynamics.put(f"{number:08d}-0000-4000-9000-000000000000", lastname="Newcomer")
        else:
            stage.dynamics.put(person, lastname="Changed")

    counted = stage.contact(exact=False, replay=["contact"])
    read = stage.contact(exact=True, replay=["contact"])

    dearest = PEOPLE * 3 if apply_deletes else PEOPLE * 2
    assert counted.calls == Figure(dearest, Certainty.AT_MOST)
    assert read.calls == Figure(dearest)
    assert counted.original_calls == Figure(PEOPLE * 2, Certainty.AT_MOST)
    assert read.original_calls == Figure(PEOPLE * 2)
    assert counted.updates == counted.identical == Figure(PEOPLE, Certainty.AT_MOST)
    assert counted.creates == Figure(0, Certainty.ABOUT)


def test_what_changed_cannot_be_counted() -> None:
    """Where the next start reads only changes, nobody knows how many before reading."""
    found = loaded().contact(exact=False)

    assert (found.read, found.known) == (NextRead.CHANGES, PEOPLE)
    assert found.calls == found.original_calls == found.creates == Figure.unknown()
    assert found.deletes == Figure(PEOPLE, Certainty.AT_MOST)


def test_a_source_that_cannot_count_leaves_it_unknown() -> None:
    """None is not zero."""

    class Countless(ScriptedDynamics):
        def count(self, table: str) -> int | None:
            assert table == CONTACT.name
            return None

    found = Stage(dynamics=Countless()).contact(exact=False)

    assert found.source == found.creates == found.calls == Figure.unknown()


# -- how it reads -----------------------------------------------------------------------------------------------------


def test_a_figure_says_how_sure_it_is() -> None:
    """And a sum is as sure as the least sure of its parts."""
    exact, most, about = Figure(1_200), Figure(1_200, Certainty.AT_MOST), Figure(5, Certainty.ABOUT)
    assert [str(one) for one in (exact, most, about, Figure.unknown())] == [
        "1,200",
        "at most 1,200",
        "about 5",
        "unknown",
    ]
    assert Figure.sum([exact, most]) == Figure(2_400, Certainty.AT_MOST)
    assert Figure.sum([about, most]) == Figure(1_205, Certainty.ABOUT)
    assert Figure.sum([exact, Figure.unknown()]) == Figure.unknown()
    assert Figure.sum([]) == Figure(0)


@pytest.mark.parametrize(
    ("value", "certainty"), [(None, Certainty.EXACT), (1, Certainty.UNKNOWN), (-1, Certainty.ABOUT)]
)
def test_a_figure_refuses_nonsense(value: int | None, certainty: Certainty) -> None:
    """Unknown has no number, everything else has one, and none is negative."""
    with pytest.raises(ValueError, match="a figure"):
        Figure(value, certainty)


def test_a_forecast_prints_says_what_it_rests_on_and_is_plain_data() -> None:
    """As text that fits, as HTML, as data, and in one line without numbers of people."""
    stage = loaded()
    quick, exact = stage.workflow.forecast(), stage.workflow.forecast(exact=True, replay=["contact"])

    assert "can be a day old" in str(quick)
    assert "can be a day old" not in exact.to_text(120)
    assert "Engine calls: 0; by Adobe's arithmetic: 25" in exact.to_text(120)
    assert "checks of a start come on top" in exact.to_text(120)
    assert all(len(line) <= 60 for line in exact.to_text(60).splitlines())
    assert "<td" in exact._repr_html_()
    assert repr(exact) == "<Forecast of 1 tables: 0 calls>"
    data = json.loads(json.dumps(exact.as_data()))
    assert data["tables"][0]["identical"] == {"value": PEOPLE, "certainty": "exact"}
    assert [table.table for table in exact] == ["contact"]
    assert len(exact) == 1
    with pytest.raises(KeyError):
        exact.table("lead")


def test_names_of_tables_stay_text_in_a_notebook() -> None:
    """Escaped, as everything that a view is handed."""
    stage = Stage()
    shown = evolve(stage.contact(exact=False), table="<b>", queued=1)

    html = Forecast(tables=(shown,), read=False).to_html()

    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert "backlog" in html
