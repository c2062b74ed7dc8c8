"""The Workflows page and the backlog, as people and programs get them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from syncline.plain_text import plain
from syncline.state_machine import WorkflowState, available_actions
from syncline.store import WorkflowError
from syncline.views import BacklogView, Trend, WorkflowList, WorkflowView
from syncline.views.figures import count, moment, per_second, share, span
from syncline.views.table import display_width

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EMPTY = BacklogView(size=0, as_of=NOW)
BUSY = BacklogView(
    size=12_340,
    as_of=NOW,
    by_table={"account": 340, "contact": 12_000},
    by_operation={"delete": 40, "upsert": 12_300},
    oldest=NOW - timedelta(seconds=182),
    rate=42.0,
    eta=timedelta(seconds=293),
    trend=Trend.SHRINKING,
    leased=50,
    waiting=2,
    throttled=1,
    throttled_until=NOW + timedelta(seconds=30),
    dead=7,
)
ERROR = WorkflowError(
    kind="SchemaChangedError",
    message="contact.fax was removed.",
    remedy="Remove it from the mapping.",
    at=NOW,
    about="contact",
)
HOSTILE = "<script>alert('x')</script>\r\n\x1b[2J\u202e\" onload=x"


def line(name: str = "Opt-In/Out", state: WorkflowState = WorkflowState.STOPPED) -> WorkflowView:
    return WorkflowView(name=name, backlog=EMPTY, status=state, actions=available_actions(state))


RUNNING = evolve(
    line("Microsoft Dynamics 365 to Campaign", WorkflowState.RUNNING),
    backlog=BUSY,
    pending_changes=("field mapping fax was added",),
    throttled_until=NOW,
)
FAILED = evolve(line("Campaign to Microsoft Dynamics 365", WorkflowState.FAILED), error=ERROR)
PAGE = WorkflowList([RUNNING, FAILED, line()])

VOID = {"br", "meta"}


class Reader(HTMLParser):
    """Reads HTML as a browser would: which elements, and what is text. Elements must be closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_the_list_has_name_backlog_status_and_actions() -> None:
    """The page shows the four columns in the product's order, one line for each workflow."""
    lines = PAGE.to_text(140).splitlines()
    assert lines[0].split() == ["Name", "Backlog", "Status", "Actions"]
    assert lines[2].split("  ")[0] == "Microsoft Dynamics 365 to Campaign"
    assert "12,340  RUNNING, throttled until 2026-01-02 03:04:05 UTC" in lines[2]
    assert lines[4].split() == ["Opt-In/Out", "0", "STOPPED", "Edit,", "Start"]


def test_stop_warns_while_edits_wait() -> None:
    """Stop carries a mark and the page says what waits; without waiting edits, or without Stop, there is no mark."""
    assert "Stop [!]" in RUNNING.to_text(120)
    assert "- field mapping fax was added" in RUNNING.to_text(120)
    assert "Stop and start" in RUNNING.to_text(120)
    assert "[!]" not in evolve(RUNNING, pending_changes=()).to_text(120)
    stopped = evolve(line(), pending_changes=("field mapping fax was added",))
    assert not stopped.stop_warns
    assert "[!]" not in stopped.to_text(120)
    assert "Start the workflow" in stopped.to_text(120)


def test_the_warning_reaches_those_who_do_not_see_it() -> None:
    """In HTML the mark has a name for screen readers, and the table has scopes and a caption."""
    reader = read(RUNNING.to_html())
    assert ("aria-label", "edits wait for a stop and a start") in reader.attributes
    assert [value for name, value in reader.attributes if name == "scope"] == ["col"] * 4 + ["row"]
    assert "caption" in reader.tags


def test_a_failure_says_what_when_where_and_what_to_do() -> None:
    """FAILED comes with the error, the moment, the table and the remedy, in text and in HTML."""
    for shown in (FAILED.to_text(200), read(FAILED.to_html()).text):
        for part in (
            "SchemaChangedError",
            "2026-01-02 03:04:05 UTC",
            "(contact)",
            "contact.fax was removed.",
            "Remove",
        ):
            assert part in shown


def test_stopping_and_warnings_are_shown() -> None:
    """A draining workflow says so beside its status, and what a person must see stands below the table."""
    shown = evolve(RUNNING, stopping=True, warnings=("3 opt-outs wait",)).to_text(200)
    assert "RUNNING, stopping, throttled until" in shown
    assert "3 opt-outs wait" in shown


def test_the_data_is_json_and_complete() -> None:
    """A host's own page gets everything as values JSON knows."""
    data = json.loads(json.dumps(PAGE.as_data()))
    assert [entry["name"] for entry in data] == [entry.name for entry in PAGE]
    assert data[0]["backlog"]["by_table"] == {"contact": 12_000, "account": 340}
    assert data[0]["backlog"]["eta_seconds"] == 293
    assert data[0]["backlog"]["oldest_age_seconds"] == 182
    assert data[0]["stop_warns"] is True
    assert data[1]["error"]["remedy"] == ERROR.remedy
    assert data[2]["actions"] == ["edit", "start"]


def test_the_list_is_a_sequence() -> None:
    """It can be indexed, sliced, counted and walked, and says in one line what it is."""
    assert len(PAGE) == 3
    assert PAGE[0] is RUNNING
    assert list(PAGE[1:]) == [FAILED, PAGE[2]]
    assert isinstance(PAGE[1:], WorkflowList)
    assert repr(PAGE) == "<WorkflowList of 3>"
    assert repr(RUNNING) == "<WorkflowView 'Microsoft Dynamics 365 to Campaign' RUNNING, backlog 12340>"


def test_no_workflows_is_a_page_too() -> None:
    """An empty list says that there are none, in text and in HTML."""
    assert WorkflowList([]).to_text(80) == "Workflows: none"
    assert "none" in read(WorkflowList([]).to_html()).text


def test_printing_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """`print` takes the width the terminal has."""
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(display_width, str(PAGE).splitlines())) <= 60
    assert str(PAGE) == PAGE.to_text(60)
    assert str(RUNNING) == RUNNING.to_text(60)
    assert str(BUSY) == BUSY.to_text(60)


def test_a_narrow_terminal_gets_one_fact_per_line() -> None:
    """Where columns no longer fit, each row is written as name and value, one below the other."""
    lines = PAGE.to_text(30).splitlines()
    assert lines[0] == "Name: Microsoft Dynamics 365"
    assert "Backlog: 12,340" in lines


def test_hostile_names_stay_data() -> None:
    """Markup, line ends, terminal commands and reversed text in any field are shown, never obeyed."""
    error = evolve(ERROR, kind=HOSTILE, message=HOSTILE, remedy=HOSTILE, about=HOSTILE)
    backlog = evolve(BUSY, by_table={HOSTILE: 1}, by_operation={HOSTILE: 1})
    hostile = evolve(
        RUNNING, name=HOSTILE, error=error, backlog=backlog, pending_changes=(HOSTILE,), warnings=(HOSTILE,)
    )
    for html in (hostile.to_html(), backlog.to_html()):
        reader = read(html)
        assert "script" not in reader.tags
        assert not [name for name, _ in reader.attributes if name.startswith("on")]
        assert "<script>alert('x')</script>\\r\\n" in reader.text
    for text in (hostile.to_text(100), backlog.to_text(100)):
        assert all(row.isprintable() for row in text.splitlines())


def test_html_needs_no_script_and_sets_no_colours() -> None:
    """It shows in any notebook or page and reads in a light and in a dark theme."""
    for html in (PAGE.to_html(), BUSY.to_html(), PAGE._repr_html_(), RUNNING._repr_html_(), BUSY._repr_html_()):
        reader = read(html)
        assert {"script", "style", "link", "img", "iframe"}.isdisjoint(reader.tags)
        styles = ";".join(value or "" for name, value in reader.attributes if name == "style")
        assert "background" not in styles
        assert "#" not in styles
        assert "rgb" not in styles


@pytest.mark.parametrize(
    "name", ["Синхронизация", "客户同步到活动", "연락처 동기화", "مزامنة جهات الاتصال", "e\u0301te\u0301"]
)
def test_wide_and_other_scripts_keep_the_columns_straight(name: str) -> None:
    """Every row ends its columns where the heads do, counted in columns of the terminal."""
    rows = WorkflowList([line(name), line("plain")]).to_text(100).splitlines()
    assert len({display_width(row.split("STOPPED")[0]) for row in rows[2:]}) == 1
    assert display_width(rows[2].split("STOPPED")[0]) == rows[0].index("Status")


@given(
    names=st.lists(st.text(max_size=60), min_size=1, max_size=3),
    width=st.integers(min_value=12, max_value=160),
)
def test_any_name_in_any_terminal_stays_within_the_width(names: list[str], width: int) -> None:
    """Whatever a name is made of, no line is wider than the terminal or holds anything unprintable."""
    page = WorkflowList([evolve(RUNNING, name=name, warnings=(name,)) for name in names])
    for row in page.to_text(width).splitlines():
        assert display_width(row) <= width
        assert plain(row) == row
    page.to_text(width).encode("utf-8")
    read(page.to_html())


def test_the_backlog_shows_all_its_figures() -> None:
    """Number, age, rate, time to empty, trend, what is held and why, dead letters, and both splits."""
    shown = BUSY.to_text(100)
    for part in ("12,340", "3 min 2 s", "42.0/s", "4 min 53 s", "shrinking", "50", "1 (until 2026-01-02 03:04:35 UTC)"):
        assert part in shown
    assert shown.index("contact") < shown.index("account")
    assert read(BUSY.to_html()).tags.count("table") == 3


def test_an_empty_backlog_shows_dashes_for_what_nobody_knows() -> None:
    """Unknown is not zero."""
    shown = EMPTY.to_text(80)
    assert [
        row.split()[-1] for row in shown.splitlines() if row.startswith(("Oldest", "Written", "Empty", "Trend"))
    ] == ["-"] * 4
    assert int(EMPTY) == 0


def test_a_clock_that_was_set_back_gives_no_negative_age() -> None:
    """An age is never below nothing."""
    assert evolve(EMPTY, oldest=NOW + timedelta(hours=1)).oldest_age == timedelta(0)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"size": -1},
        {"dead": -1},
        {"rate": -0.5},
        {"rate": float("nan")},
        {"as_of": datetime(2026, 1, 1)},  # noqa: DTZ001 - without a time zone is what must be refused
        {"oldest": datetime(2026, 1, 1)},  # noqa: DTZ001
    ],
)
def test_views_refuse_nonsense(nonsense: dict[str, object]) -> None:
    """A negative number or a time without a zone is a mistake of whoever fills the view in."""
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        BacklogView(**{"size": 1, "as_of": NOW, **nonsense})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (span(None), "-"),
        (span(timedelta(0)), "0 s"),
        (span(timedelta(milliseconds=300)), "under 1 s"),
        (span(timedelta(seconds=59)), "59 s"),
        (span(timedelta(seconds=60)), "1 min"),
        (span(timedelta(hours=3, minutes=20, seconds=9)), "3 h 20 min"),
        (span(timedelta(days=2, minutes=5)), "2 d"),
        (span(timedelta(days=4000)), "4,000 d"),
        (count(None), "-"),
        (count(2_000_000), "2,000,000"),
        (per_second(None), "-"),
        (per_second(0), "0.0/s"),
        (per_second(0.004), "0.004/s"),
        (per_second(1234.56), "1,234.6/s"),
        (share(0), "0 %"),
        (share(0.0001), "1 %"),
        (share(0.9999), "99 %"),
        (share(1), "100 %"),
        (moment(None), "-"),
        (moment(datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))), "2026-01-02 01:00:00 UTC"),
    ],
)
def test_figures_read_well(shown: str, expected: str) -> None:
    """Numbers are grouped, spans have two units, moments are in UTC and say so, nothing is shown as done too early."""
    assert shown == expected
