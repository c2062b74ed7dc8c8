"""What a preview tells of records, and that it leaves no trace."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from attrs import evolve
from tests.scripted import ScriptedCampaign, ScriptedDynamics

from syncline import FieldMapping, Filter, IngressDefinition, MemoryStorage, TableMapping
from syncline.definitions import Comparison
from syncline.errors import DefinitionError, RecordRefusedError, ThrottledError, UnavailableError
from syncline.records import ReadRequest, RecordKey
from syncline.views import FieldChange, Preview, PreviewedRecord, PreviewKind
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.ingress import IngressWorkflow

MAPPING = TableMapping(
    table="contact",
    resource="profile",
    fields=[
        FieldMapping(source="lastname", target="lastName"),
        FieldMapping(source="jobtitle", target="title", apply_updates=False),
    ],
    constants={"orgUnit": "all"},
)
PLAIN = evolve(MAPPING, constants={})
SECRET = "Hölderlin"
HOSTILE = "<script>alert('x')</script>\r\n\x1b[2J\u202e"


class Stage:
    """A workflow between two scripted connectors, with two people on one side and none on the other."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.dynamics = ScriptedDynamics()
        self.campaign = ScriptedCampaign()
        self.ann = self.dynamics.put("0000000a-0000-4000-8000-000000000000", lastname=SECRET, jobtitle="Poet")
        self.bob = self.dynamics.put("0000000b-0000-4000-8000-000000000000", lastname="Bob")
        self.workflow = self.with_mapping(PLAIN)

    def with_mapping(self, mapping: TableMapping) -> IngressWorkflow:
        self.workflow = IngressWorkflow(
            dynamics=self.dynamics,
            campaign=self.campaign,
            storage=self.storage,
            definition=IngressDefinition(mappings=[mapping]),
        )
        return self.workflow

    def load(self) -> None:
        """Bring everything over, so that the ledger knows it."""
        self.workflow.start()
        for _ in range(50):
            report = self.workflow.run_cycle()
            if report.end is CycleEnd.IDLE:
                self.campaign.verbs.clear()
                return
        raise AssertionError(report)

    def one(self, record: str) -> PreviewedRecord:
        (found,) = self.workflow.preview(record=record)
        return found


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Whatever is previewed: Campaign was only asked, and the counters add up."""
    made = Stage()
    yield made
    assert {verb for verb, _ in made.campaign.verbs} <= {"find"}


def changed(record: PreviewedRecord) -> dict[str, tuple[object, object]]:
    return {one.name: (one.before, one.after) for one in record.fields}


def test_a_record_that_campaign_does_not_have_would_be_created(stage: Stage) -> None:
    """X4: with every field that would be written, the key included."""
    record = stage.one(stage.ann)

    assert record.kind is PreviewKind.CREATE
    assert changed(record) == {
        "externalId": (None, stage.ann),
        "lastName": (None, SECRET),
        "title": (None, "Poet"),
    }


def test_a_known_record_would_be_updated_where_it_differs(stage: Stage) -> None:
    """X4: before and after, and without the fields that an update leaves alone."""
    stage.load()
    stage.dynamics.put(stage.ann, lastname="Neu", jobtitle="Tutor")

    record = stage.one(stage.ann)

    assert record.kind is PreviewKind.UPDATE
    assert changed(record) == {"lastName": (SECRET, "Neu")}


def test_a_wanted_replay_would_write_the_fields_of_a_first_load_too(stage: Stage) -> None:
    """I3: what the next start does is what the preview tells."""
    stage.load()
    stage.dynamics.put(stage.ann, jobtitle="Tutor")
    assert stage.one(stage.ann).kind is PreviewKind.IDENTICAL
    stage.workflow.replay("contact")

    assert changed(stage.one(stage.ann)) == {"title": ("Poet", "Tutor")}


def test_what_is_unchanged_is_told_from_the_ledger_without_a_question(stage: Stage) -> None:
    """I13: no engine call for what Syncline wrote and nobody changed."""
    stage.load()

    preview = stage.workflow.preview()

    assert {record.kind for record in preview} == {PreviewKind.IDENTICAL}
    assert preview.look_ups == 0
    assert stage.campaign.verbs == []


def test_what_others_wrote_alike_is_identical(stage: Stage) -> None:
    """I12: the key matches and the values do: nothing would be written."""
    stage.campaign.records[stage.ann] = {"externalId": stage.ann, "lastName": SECRET, "title": "Poet"}

    preview = stage.workflow.preview(record=stage.ann)

    assert [record.kind for record in preview] == [PreviewKind.IDENTICAL]
    assert preview.look_ups == 1


def test_what_is_gone_in_dynamics_would_be_deleted_or_left_alone(stage: Stage) -> None:
    """I7: a record that Dynamics does not have counts as deleted, whatever way its id is written."""
    stage.load()
    stage.dynamics.remove(stage.ann)
    assert stage.one(f"{{{stage.ann.upper()}}}").kind is PreviewKind.DELETE
    del stage.campaign.records[stage.ann]
    assert stage.one(stage.ann).kind is PreviewKind.LEFT_ALONE

    stage.workflow.edit(IngressDefinition(mappings=[evolve(PLAIN, apply_deletes=False)]))

    assert stage.one(stage.ann).reason == "not in Dynamics, and deletes are not applied"
    assert stage.one("0000000c-0000-4000-8000-000000000000").kind is PreviewKind.LEFT_ALONE


@pytest.mark.parametrize(("delete", "kind"), [(True, PreviewKind.DELETE), (False, PreviewKind.FILTERED_OUT)])
def test_a_record_that_leaves_the_filter_is_deleted_or_stays(stage: Stage, delete: bool, kind: PreviewKind) -> None:
    """I6: the definition as last edited counts, not the one that runs."""
    stage.load()
    only_bob = Filter(field="lastname", comparison=Comparison.EQUALS, value="Bob")
    stage.workflow.edit(IngressDefinition(mappings=[evolve(PLAIN, filters=[only_bob], delete_filtered_out=delete)]))

    preview = stage.workflow.preview()

    assert [(record.key.id, record.kind) for record in preview] == [
        (stage.ann, kind),
        (stage.bob, PreviewKind.IDENTICAL),
    ]
    assert stage.workflow.pending_changes


def test_what_would_be_set_aside_says_which_field_and_why(stage: Stage) -> None:
    """X4: refused by the rules, or by Campaign's own answer; the reason names no value."""
    stage.dynamics.put(stage.ann, lastname=SECRET * 20)

    def several(_verb: str, _key: str) -> None:
        raise RecordRefusedError("Several records have the same externalId.", field="externalId")

    stage.campaign.before = several
    second, first = stage.workflow.preview()

    assert (first.kind, first.field) == (PreviewKind.REFUSED, "lastname")
    assert SECRET not in first.reason
    assert (second.kind, second.field) == (PreviewKind.REFUSED, "externalId")


def test_a_limit_bounds_what_is_read_and_asked(stage: Stage) -> None:
    """The first records of a full read, over pages where it takes several, and it says that more follow."""
    for number in range(40):
        stage.dynamics.put(f"{number:08d}-0000-4000-8000-000000000000", lastname=f"Person {number}")
    stage.dynamics.page_size = 10
    requests: list[ReadRequest] = []
    stage.dynamics.before_read = requests.append

    preview = stage.workflow.preview(limit=15)

    assert (len(preview), preview.complete, preview.look_ups, len(requests)) == (15, False, 15, 2)
    assert "Only the first 15 records were read" in str(preview)
    assert stage.workflow.preview(limit=42).complete
    assert not stage.workflow.preview(limit=41).complete, "one more on the last page"
    with pytest.raises(ValueError, match="limit"):
        stage.workflow.preview(limit=0)
    for ask in (stage.workflow.reconcile, stage.workflow.held_deletes, stage.workflow.filtered_out):
        with pytest.raises(ValueError, match="limit must be 0 or more, not -1"):
            ask("contact", limit=-1)


@pytest.mark.parametrize("record", ["", "ann", "00000000-0000-4000-8000-00000000000", "../contacts"])
def test_what_is_no_id_is_refused(stage: Stage, record: str) -> None:
    """It would else be told as a record that was deleted."""
    with pytest.raises(ValueError, match="the id of a record of contact, a GUID such as"):
        stage.workflow.preview(record=record)
    assert stage.workflow.preview(record=f" {{{stage.ann.upper()}}} ").records


def test_a_preview_leaves_no_trace(stage: Stage) -> None:
    """X4: not even the workflow's own row, when nobody used it yet; and no position moves when somebody did."""
    stage.workflow.preview()
    stage.workflow.preview(record=stage.ann)
    with pytest.raises(KeyError):
        stage.storage.workflow(stage.workflow.id)

    stage.load()
    stage.dynamics.put(stage.ann, lastname="Neu")
    position = stage.storage.positions(stage.workflow.id)
    counts = stage.storage.counts(stage.workflow.id)
    history = stage.workflow.history

    stage.workflow.preview()

    assert stage.storage.positions(stage.workflow.id) == position
    assert stage.storage.counts(stage.workflow.id) == counts
    assert stage.workflow.history == history


def test_the_table_has_to_be_named_when_there_are_several(stage: Stage) -> None:
    """And has to be mapped, and to exist on both sides."""
    accounts = TableMapping(table="account", resource="cusAccount", fields=[])
    stage.workflow.edit(IngressDefinition(mappings=[PLAIN, accounts]))

    with pytest.raises(DefinitionError, match="contact, account"):
        stage.workflow.preview()
    with pytest.raises(DefinitionError, match="no table account"):
        stage.workflow.preview(table="account")
    with pytest.raises(DefinitionError, match="lead is not mapped"):
        stage.workflow.preview(table="lead")
    assert len(stage.workflow.preview(table="contact")) == 2
    stage.workflow.edit(IngressDefinition(mappings=[]))
    with pytest.raises(DefinitionError, match="none"):
        stage.workflow.preview()


def test_a_mapping_that_does_not_fit_says_where(stage: Stage) -> None:
    """A field that Campaign does not have, and a resource that it does not have."""
    stage.with_mapping(MAPPING)
    with pytest.raises(DefinitionError, match="orgUnit"):
        stage.workflow.preview()
    stage.with_mapping(TableMapping(table="contact", resource="cusContact", fields=[]))
    with pytest.raises(DefinitionError, match="no resource cusContact"):
        stage.workflow.preview()


@pytest.mark.parametrize("error", [UnavailableError("away"), ThrottledError("busy", retry_after=3, principal="p")])
def test_trouble_that_passes_is_the_callers_to_wait_for(stage: Stage, error: Exception) -> None:
    """A preview that cannot be made raises; it never shows half of the truth."""

    def before(_verb: str, _key: str) -> None:
        raise error

    stage.campaign.before = before
    with pytest.raises(type(error)):
        stage.workflow.preview()


# -- how it reads -----------------------------------------------------------------------------------------------------


SHOWN = Preview(
    table="contact",
    resource="profile",
    records=(
        PreviewedRecord(
            key=RecordKey(table="contact", id="a"),
            kind=PreviewKind.UPDATE,
            fields=(
                FieldChange(name="lastName", before=SECRET, after=HOSTILE),
                FieldChange(name="blank", before=1, after=None),
            ),
        ),
        PreviewedRecord(
            key=RecordKey(table="contact", id="b"),
            kind=PreviewKind.CREATE,
            fields=tuple(FieldChange(name=f"field{number}", before=None, after="x" * 100) for number in range(20)),
        ),
        PreviewedRecord(key=RecordKey(table="contact", id="c"), kind=PreviewKind.REFUSED, reason="Why.", field="f"),
    ),
    complete=False,
    look_ups=3,
)


def test_a_preview_prints_as_a_table_with_its_counts() -> None:
    """Every field of every record is there, in as many rows as it takes, and the counts below."""
    text = SHOWN.to_text(160)

    assert f'"{SECRET}" ->' in text
    assert "blank: 1 -> empty" in text
    assert all(f"field{number}:" in text for number in range(20))
    assert "1 create, 1 update, 1 refused" in text
    assert "\x1b" not in text
    assert all(len(line) <= 60 for line in SHOWN.to_text(60).splitlines())
    assert str(Preview(table="t", resource="r", records=(), complete=True, look_ups=0)).startswith("Preview of t")


def test_a_preview_in_a_notebook_is_escaped() -> None:
    """Whatever a record holds stays text."""
    html = SHOWN._repr_html_()

    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_values_show_only_where_they_were_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """The house rule: `str` and data show values, `repr` and the log never do."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("host").info("%r %r %r", SHOWN, SHOWN.records, [SHOWN.records[0].fields])
        stage = Stage()
        stage.workflow.preview()

    assert SECRET not in caplog.text
    assert SECRET in str(SHOWN)
    assert repr(SHOWN) == "<Preview contact -> profile: 1 create, 1 update, 1 refused>"


def test_a_preview_is_plain_data_too() -> None:
    """For a host's own page: only what JSON knows."""
    data = json.loads(json.dumps(SHOWN.as_data()))

    assert data["records"][0]["fields"][1] == {"name": "blank", "before": 1, "after": None}
    assert data["counts"] == {kind.value: number for kind, number in SHOWN.counts.items()}
    assert [record.key.id for record in SHOWN.of(PreviewKind.REFUSED)] == ["c"]
