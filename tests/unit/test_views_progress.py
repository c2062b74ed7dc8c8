"""The progress of draining a backlog."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from syncline.views import BacklogView, progress_bar
from syncline.views.progress import NotebookProgress, Progress, SilentProgress, TerminalProgress
from syncline.views.table import display_width

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class NoticedElement(HTMLParser):
    """Finds the progress element's value and maximum."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.figures: dict[str, str | None] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("div", "label", "progress")
        if tag == "progress":
            self.figures = dict(attrs)


def after(seconds: float, size: int, rate: float | None = None, eta: timedelta | None = None) -> BacklogView:
    return BacklogView(size=size, as_of=NOW + timedelta(seconds=seconds), rate=rate, eta=eta)


def test_a_line_says_how_far_how_fast_and_how_long() -> None:
    """Share, numbers, rate and time left, measured by the bar itself while the backlog cannot tell."""
    progress = Progress.begin("ingress", after(0, 1000)).with_backlog(after(10, 600))
    assert progress.to_text(100) == (
        "ingress  [################------------------------]   40 %  400 of 1,000  40.0/s  15 s left"
    )


def test_the_backlogs_own_figures_win() -> None:
    """Where the backlog knows its rate and its end, the bar shows those."""
    backlog = after(10, 600, rate=7.0, eta=timedelta(minutes=2))
    assert "7.0/s  2 min left" in Progress.begin("ingress", after(0, 1000)).with_backlog(backlog).to_text(100)


def test_a_growing_backlog_starts_the_bar_anew() -> None:
    """When more arrives than ever was there, the largest size moves and the bar never shows less than nothing."""
    progress = Progress.begin("ingress", after(0, 100)).with_backlog(after(1, 250)).with_backlog(after(2, 200))
    assert (progress.largest, progress.drained, progress.share) == (250, 50, 0.2)


def test_an_empty_backlog_is_done() -> None:
    """Nothing to do counts as all done, with nothing left to wait for."""
    progress = Progress.begin("ingress", after(0, 0))
    assert progress.share == 1.0
    assert "100 %" in progress.to_text(80)
    assert "left" not in progress.to_text(80)


@given(
    title=st.text(max_size=80),
    sizes=st.lists(st.integers(min_value=0, max_value=2_000_000), min_size=1, max_size=5),
    width=st.integers(min_value=1, max_value=200),
)
def test_a_line_fits_any_terminal(title: str, sizes: list[int], width: int) -> None:
    """No title and no number makes the line wider than the terminal or breaks it."""
    progress = Progress.begin(title, after(0, sizes[0]))
    for number, size in enumerate(sizes):
        progress = progress.with_backlog(after(number, size))
    assert 0 <= progress.share <= 1
    text = progress.to_text(width)
    assert display_width(text) <= width
    assert "\n" not in text
    assert "\r" not in text
    assert "\x1b" not in text


def test_a_terminal_line_is_drawn_over_itself_and_ended_once() -> None:
    """Each drawing starts at the line's beginning and covers the last one; closing twice ends the line once."""
    terminal = Terminal()
    with TerminalProgress("ingress", terminal, width=lambda: 90) as bar:
        for second, size in enumerate([100_000, 50, 0]):
            bar.update(after(second, size))
    bar.close()
    drawn = terminal.getvalue()
    assert drawn.count("\n") == 1
    assert drawn.endswith("\n")
    earlier, later, *_ = drawn.split("\r")[1:]
    assert display_width(later) >= display_width(earlier)
    assert "100,000 of 100,000" in drawn.rsplit("\r", 1)[1]


def test_nobody_is_flooded() -> None:
    """Updates that come faster than anybody can see are not drawn, but the last one always is."""
    terminal = Terminal()
    with TerminalProgress("ingress", terminal, width=lambda: 90) as bar:
        for step in range(1000):
            bar.update(after(step / 1000, 1000 - step))
    assert terminal.getvalue().count("\r") <= 7
    assert "999 of 1,000" in terminal.getvalue()


def test_a_bar_without_an_update_writes_nothing() -> None:
    """A bar that was opened and closed leaves the terminal as it was."""
    terminal = Terminal()
    with TerminalProgress("ingress", terminal):
        assert terminal.getvalue() == ""
    assert terminal.getvalue() == ""


def test_a_pipe_stays_clean() -> None:
    """Where output goes to a file or a pipe, the bar is silent."""
    pipe = io.StringIO()
    bar = progress_bar("ingress", pipe)
    assert isinstance(bar, SilentProgress)
    with bar:
        bar.update(after(0, 10))
    assert pipe.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    """On a terminal `progress_bar` draws."""
    terminal = Terminal()
    with progress_bar("ingress", terminal) as bar:
        bar.update(after(0, 10))
    assert "ingress" in terminal.getvalue()


def test_a_process_without_standard_error_gets_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service or a windowed Python has no standard error; that is no reason to fail."""
    monkeypatch.setattr("sys.stderr", None)
    assert isinstance(progress_bar("ingress"), SilentProgress)


def test_a_notebook_shows_one_element_and_replaces_it() -> None:
    """The first look is displayed, later ones take its place."""
    shown: list[Progress] = []

    class Handle:
        def update(self, progress: Progress) -> None:
            shown.append(progress)

    def show(progress: Progress) -> Handle:
        shown.append(progress)
        return Handle()

    with NotebookProgress("<b>ingress</b>", show) as bar:
        bar.update(after(0, 10))
        bar.update(after(1, 4))
    assert [progress.drained for progress in shown] == [0, 6, 6]
    assert NoticedElement(shown[-1].to_html()).figures == {"value": "6", "max": "10"}
    assert shown[-1]._repr_html_() == shown[-1].to_html()
    assert repr(shown[-1]) == "<Progress '<b>ingress</b>' 60 %, 6 of 10>"


def test_what_it_waits_for_is_told() -> None:
    """A throttled backlog says until when, one that only waits for others says so, and one that flows is quiet."""
    begun = Progress.begin("ingress", after(0, 1000))
    throttled = evolve(after(10, 600), throttled_until=NOW + timedelta(minutes=1))
    assert begun.with_backlog(throttled).to_text(160).endswith("throttled until 2026-01-02 03:05:05 UTC")
    assert "throttled until" in begun.with_backlog(throttled).to_html()
    waiting = evolve(after(10, 3), waiting=3)
    assert begun.with_backlog(waiting).waits_for == "3 wait for another record"
    assert begun.with_backlog(evolve(after(10, 600), waiting=3)).waits_for == ""
    assert begun.with_backlog(evolve(throttled, size=0)).waits_for == ""
