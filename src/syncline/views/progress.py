"""How far a backlog has been drained, as a bar in a terminal or in a notebook.

What lives here: `Progress`, the arithmetic as a value; and the three places it is shown in: a terminal, a notebook,
nowhere. Nothing is written where nobody watches, so that logs and pipes stay clean.
"""

from __future__ import annotations

import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta
from html import escape
from types import TracebackType
from typing import Any, Final, Protocol, Self, TextIO

from attrs import evolve, frozen

from syncline.plain_text import plain
from syncline.views.backlog import BacklogView
from syncline.views.figures import count, moment, per_second, share, span
from syncline.views.table import display_width

__all__ = ["NotebookProgress", "Progress", "ProgressBar", "SilentProgress", "TerminalProgress", "progress_bar"]

#: Redrawing more often than this shows nothing more and costs time.
_BETWEEN_DRAWS: Final = timedelta(milliseconds=200)
_NARROWEST_BAR: Final = 10
_WIDEST_BAR: Final = 40


@frozen(kw_only=True, repr=False)
class Progress:
    """How far a backlog has come since its largest."""

    title: str
    #: The largest size seen.
    largest: int
    backlog: BacklogView
    #: What it looked like first, to tell the rate when the backlog itself cannot yet.
    first: BacklogView

    @classmethod
    def begin(cls, title: str, backlog: BacklogView) -> Self:
        """The first look."""
        return cls(title=title, largest=backlog.size, backlog=backlog, first=backlog)

    def with_backlog(self, backlog: BacklogView) -> Progress:
        """A later look. A backlog that grew beyond its largest starts anew from there."""
        if backlog.size > self.largest:
            return evolve(self, largest=backlog.size, backlog=backlog, first=backlog)
        return evolve(self, backlog=backlog)

    @property
    def drained(self) -> int:
        return self.largest - self.backlog.size

    @property
    def share(self) -> float:
        """From 0 to 1. An empty backlog is drained."""
        return self.drained / self.largest if self.largest else 1.0

    @property
    def rate(self) -> float | None:
        """Changes per second: the backlog's own figure, else what was seen here."""
        seconds = (self.backlog.as_of - self.first.as_of).total_seconds()
        if self.backlog.rate is not None or seconds <= 0:
            return self.backlog.rate
        return max(self.first.size - self.backlog.size, 0) / seconds

    @property
    def left(self) -> timedelta | None:
        """How long it will still take; None when nobody can say."""
        if self.backlog.eta is not None or not self.rate:
            return self.backlog.eta
        return timedelta(seconds=self.backlog.size / self.rate)

    @property
    def waits_for(self) -> str:
        """What holds it up, for people; empty while nothing does."""
        if not self.backlog.size:
            return ""
        if self.backlog.throttled_until is not None:
            return f"throttled until {moment(self.backlog.throttled_until)}"
        if self.backlog.waiting == self.backlog.size:
            return f"{count(self.backlog.waiting)} wait for another record"
        return ""

    def to_text(self, width: int) -> str:
        """One line of at most `width` columns. When it is too narrow for all, the bar goes first, then the rest."""
        title, done = plain(self.title, limit=60), share(self.share).rjust(5)
        figures = f"{done}  {count(self.drained)} of {count(self.largest)}{self._outlook()}"
        room = width - display_width(title) - len(figures) - 6
        if room < _NARROWEST_BAR:
            return _cut(f"{title}  {figures}", width)
        length = min(room, _WIDEST_BAR)
        full = int(length * self.share)
        return f"{title}  [{'#' * full}{'-' * (length - full)}]  {figures}"

    def to_html(self) -> str:
        """A `<progress>` element with its figures beside it."""
        title = escape(plain(self.title, limit=60))
        value = f'value="{self.drained}" max="{max(self.largest, 1)}"' if self.largest else 'value="1" max="1"'
        figures = f"{share(self.share)}, {count(self.drained)} of {count(self.largest)}{self._outlook()}"
        return f"<div><label>{title} <progress {value}></progress></label> {escape(figures)}</div>"

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return f"<Progress {self.title!r} {share(self.share)}, {self.drained} of {self.largest}>"

    def _outlook(self) -> str:
        rate = "" if self.rate is None else f"  {per_second(self.rate)}"
        left = "" if self.left is None or not self.backlog.size else f"  {span(self.left)} left"
        held = f"  {self.waits_for}" if self.waits_for else ""
        return rate + left + held


class ProgressBar(Protocol):
    """Somewhere progress is shown. Close it, or use it in a `with`, so that the last figures are drawn."""

    def update(self, backlog: BacklogView) -> None:
        """Show where the backlog stands now."""

    def close(self) -> None:
        """Draw the last figures and leave the place in order."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Closing(ABC):
    """Closes itself at the end of a `with`."""

    @abstractmethod
    def close(self) -> None:
        """Leave the place in order."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SilentProgress(_Closing):
    """Shows nothing: output goes to a file or a pipe, where a bar would only be rubbish."""

    def update(self, backlog: BacklogView) -> None:
        """Nobody watches."""

    def close(self) -> None:
        """There is nothing to put in order."""


class _Drawn(_Closing):
    """What is drawn again and again, but not more often than anybody can see."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._progress: Progress | None = None
        self._drawn_at: datetime | None = None

    def update(self, backlog: BacklogView) -> None:
        if self._progress is None:
            self._progress = Progress.begin(self._title, backlog)
        else:
            self._progress = self._progress.with_backlog(backlog)
        # By the view's own time: an earlier one means a clock that was set back, and is drawn.
        since = None if self._drawn_at is None else backlog.as_of - self._drawn_at
        if since is None or not timedelta(0) <= since < _BETWEEN_DRAWS:
            self._drawn_at = backlog.as_of
            self._draw(self._progress)

    def close(self) -> None:
        if self._progress is not None:
            self._draw(self._progress)

    @abstractmethod
    def _draw(self, progress: Progress) -> None:
        """Put it in the place of the last one."""


class TerminalProgress(_Drawn):
    """A line that is drawn over itself."""

    def __init__(self, title: str, stream: TextIO, *, width: Callable[[], int] | None = None) -> None:
        super().__init__(title)
        self._stream = stream
        self._width = width or (lambda: shutil.get_terminal_size().columns)
        self._last_width = 0

    def close(self) -> None:
        super().close()
        if self._progress is not None:
            self._progress = None
            self._stream.write("\n")
            self._stream.flush()

    def _draw(self, progress: Progress) -> None:
        # One column stays free: many terminals break the line when the last one is written.
        line = progress.to_text(max(self._width() - 1, 1))
        filling = " " * max(self._last_width - display_width(line), 0)
        self._stream.write(f"\r{line}{filling}")
        self._stream.flush()
        self._last_width = display_width(line)


class NotebookProgress(_Drawn):
    """An element of a notebook's cell that is replaced again and again.

    `show` displays a value and returns a handle whose `update` replaces it.
    """

    def __init__(self, title: str, show: Callable[[Progress], Any]) -> None:
        super().__init__(title)
        self._show = show
        self._handle: Any = None

    def _draw(self, progress: Progress) -> None:
        if self._handle is None:
            self._handle = self._show(progress)
        else:
            self._handle.update(progress)


def progress_bar(title: str, stream: TextIO | None = None) -> ProgressBar:
    """The bar that fits the place: a notebook's, a terminal's on `stream` (standard error), or none at all."""
    if stream is None and (show := _notebook_display()) is not None:
        return NotebookProgress(title, show)
    place = sys.stderr if stream is None else stream
    # Started without a console, as a service or with pythonw, a process has no standard error.
    return TerminalProgress(title, place) if place is not None and place.isatty() else SilentProgress()


def _notebook_display() -> Callable[[Progress], Any] | None:
    """How this notebook displays a value; None outside of one. Never loads IPython where it is not already."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    return lambda progress: display(progress, display_id=True)


def _cut(line: str, width: int) -> str:
    while display_width(line) > width:
        line = line[:-1]
    return line
