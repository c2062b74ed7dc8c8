"""Replay, clause by clause: when it begins, what it may overtake, what survives, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve
from tests.scripted import nothing
from tests.workflow_room import MAPPING, WIDER, Stage, staged

from syncline import FieldMapping, IngressDefinition
from syncline.definitions import Guardrails
from syncline.errors import ActionNotAvailableError, UnavailableError
from syncline.records import ReadRequest, ReadStage
from syncline.views import ReadKind

PEOPLE = 45


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Everybody is in Campaign; pages of ten."""
    with staged(PEOPLE) as made:
        made.dynamics.page_size = 10
        made.bring()
        yield made


def replay(stage: Stage, definition: IngressDefinition | None = None) -> None:
    """Asked for, and the workflow stopped and started."""
    if definition is not None:
        stage.workflow.edit(definition)
    stage.workflow.replay("contact", by="ann")
    stage.workflow.stop()
    stage.workflow.start()


def wider() -> IngressDefinition:
    """A definition under which every record is written anew."""
    return IngressDefinition(mappings=[WIDER])


def give_titles(stage: Stage) -> None:
    for record in list(stage.dynamics.rows):
        stage.dynamics.put(record, jobtitle="Engineer")


def test_it_begins_with_the_next_start_and_says_so(stage: Stage) -> None:
    """I10: nothing is read again before; the page and the history know of it."""
    stage.workflow.replay("contact", by="ann")
    stage.drain()
    (waiting,) = stage.workflow.reading
    assert (waiting.kind, waiting.waits, waiting.as_data()["began_at"]) == (ReadKind.REPLAY, True, None)
    assert "replay of contact begins with the next start" in str(stage.workflow.view)
    newest = stage.workflow.history[0]
    assert (newest.action, newest.by, newest.detail) == ("replay", "ann", "contact")
    assert stage.storage.positions(stage.workflow.id)["contact"].stage is ReadStage.DELTA
    stage.workflow.stop()
    stage.workflow.start()
    stage.drain()
    assert stage.workflow.reading == ()


@pytest.mark.parametrize(("most", "where"), [(PEOPLE, "45 records in contact"), (6, "7 records in the backlog")])
def test_it_is_refused_with_the_numbers_at_the_guardrail(stage: Stage, most: int, where: str) -> None:
    """I10: the table, and the backlog; the limit is a setting and is named."""
    stage.workflow.edit(IngressDefinition(mappings=[MAPPING], guardrails=Guardrails(replay_records=most)))
    if most < PEOPLE:
        stage.dynamics.counted = 1

        def away(verb: str, key: str) -> None:
            raise UnavailableError("away")

        stage.campaign.before = away
        for record in sorted(stage.dynamics.rows)[:7]:
            stage.dynamics.put(record, lastname="Changed")
        stage.workflow.run_cycle(seconds=0.2)
    with pytest.raises(ActionNotAvailableError, match=f"{where}, the limit is {most}"):
        stage.workflow.replay("contact")
    assert stage.workflow.reading == ()
    stage.campaign.before = nothing
    stage.drain()


def test_how_far_it_has_come_is_told(stage: Stage) -> None:
    """I10: records read so far, of about how many, in the page and as data; it goes up with each page and ends."""
    stage.dynamics.counted = 1_000_000
    stage.workflow.edit(IngressDefinition(mappings=[MAPPING], guardrails=Guardrails(replay_records=2_000_000)))
    replay(stage)
    views = []

    def look(request: ReadRequest) -> None:
        views.append(stage.workflow.view)

    stage.dynamics.before_read = look
    stage.drain()
    under_way = [one for view in views for one in view.reading]
    assert {one.kind for one in under_way} == {ReadKind.REPLAY}
    assert [one.read for one in under_way][:6] == [0, 10, 20, 30, 40, PEOPLE]
    assert {one.about for one in under_way[1:]} == {1_000_000}
    assert "replay of contact: 10 of about 1,000,000 records read" in str(views[1])
    assert views[1].as_data()["reading"][0]["read"] == 10
    assert stage.workflow.reading == ()


def test_a_source_that_cannot_count_just_now_delays_nothing(stage: Stage) -> None:
    """The number is a courtesy: without it the replay goes on."""
    replay(stage)

    told: list[str] = []

    def look(request: ReadRequest) -> None:
        told.extend(map(str, stage.workflow.reading))
        stage.dynamics.access = away

    def away() -> None:
        raise UnavailableError("away")

    stage.dynamics.before_read = look
    stage.drain()
    assert told[:2] == ["replay of contact: 0 records read", "replay of contact: 10 records read"]


def test_live_changes_leave_before_it(stage: Stage) -> None:
    """I10: it has a lane of its own, behind what changes meanwhile."""
    give_titles(stage)
    stage.drain()
    replay(stage, wider())
    while stage.workflow.reading:
        stage.workflow.run_cycle(records=1)
    last = max(stage.dynamics.rows)
    stage.dynamics.put(last, lastname="Urgent")
    stage.campaign.verbs.clear()
    stage.workflow.run_cycle(records=1)
    stage.workflow.run_cycle(records=1)
    assert [key for verb, key in stage.campaign.verbs if verb == "update"][-1] == last
    assert stage.workflow.backlog.size > PEOPLE / 2
    stage.drain()


def test_an_older_state_never_takes_the_place_of_a_newer_one(stage: Stage) -> None:
    """I10, V3: what changed after its page was read is written once it is known, and never undone."""
    give_titles(stage)
    stage.drain()
    replay(stage, wider())
    changing = sorted(stage.dynamics.rows)[::7]
    changed: list[str] = []

    def change(request: ReadRequest) -> None:
        if changing and request.stage is not ReadStage.LOAD:
            changed.append(stage.dynamics.put(changing.pop(), lastname="Newest"))

    written: dict[str, list[object]] = {}

    def note(verb: str, key: str) -> None:
        written.setdefault(key, []).append(stage.campaign.records[key]["lastName"])

    stage.dynamics.before_read, stage.campaign.after = change, note
    for _ in range(60):
        stage.workflow.run_cycle(records=3)
    stage.drain()
    assert changed
    for record in changed:
        names = written[record]
        assert names[-1] == "Newest"
        assert "Newest" not in names[: names.index("Newest")]
        assert set(names[names.index("Newest") :]) == {"Newest"}


def test_it_goes_on_after_a_process_vanished_in_the_middle(stage: Stage) -> None:
    """I10: another process takes over at the page where the first one stood, and every record is written."""
    give_titles(stage)
    stage.drain()
    replay(stage, wider())
    pages: list[str | None] = []

    def vanish(request: ReadRequest) -> None:
        pages.append(request.link)
        if len(pages) == 4:
            stage.dynamics.before_read = lambda request: pages.append(request.link)
            stage.advance(61)  # this process stands still for longer than its lease holds
            assert stage.again().run_cycle().end.value == "caught up"

    stage.dynamics.before_read = vanish
    assert stage.workflow.run_cycle().end.value == "lease lost"
    assert pages.count(None) == 3, "the load began once, and so did the keys and the overlap"
    assert {record["title"] for record in stage.campaign.records.values()} == {"Engineer"}
    assert stage.workflow.history[0].action == "taken over"


def test_fields_of_the_first_load_are_written_again(stage: Stage) -> None:
    """I3: `apply_updates` off means load, create and replay."""
    once = FieldMapping(source="jobtitle", target="title", apply_updates=False)
    definition = IngressDefinition(mappings=[evolve(WIDER, fields=[*MAPPING.fields, once])])
    give_titles(stage)
    stage.workflow.edit(definition)
    stage.workflow.stop()
    stage.workflow.start()
    stage.drain()
    assert {record.get("title") for record in stage.campaign.records.values()} == {None}
    replay(stage)
    stage.drain()
    assert {record["title"] for record in stage.campaign.records.values()} == {"Engineer"}
