"""The backlog over time, as points for a small SVG chart.

What lives here: arithmetic. The drawing is in the template; colours are the style sheet's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import frozen

from syncline.store import Sample

__all__ = ["Chart", "chart_of"]

#: Of the drawing area, in the SVG's own units.
WIDTH, HEIGHT = 640.0, 160.0
_FEWEST = 2


@frozen(kw_only=True)
class Chart:
    """A line, and what stands at its edges."""

    line: str
    area: str
    most: int
    begin: datetime
    end: datetime
    #: The chart in words, for those who do not see it.
    words: str


def chart_of(samples: Sequence[Sample], size: int, now: datetime) -> Chart | None:
    """The chart of these samples and of the backlog now; None while there are too few to draw a line."""
    points = [*((sample.at, sample.size) for sample in samples), (now, size)]
    if len(points) < _FEWEST:
        return None
    begin, end = points[0][0], points[-1][0]
    length = max((end - begin) / timedelta(seconds=1), 1.0)
    most = max(number for _, number in points)
    places = [
        f"{(at - begin) / timedelta(seconds=1) / length * WIDTH:.1f},{HEIGHT - number / max(1, most) * HEIGHT:.1f}"
        for at, number in points
    ]
    line = " ".join(places)
    first, last = points[0][1], points[-1][1]
    return Chart(
        line=line,
        area=f"0,{HEIGHT} {line} {WIDTH},{HEIGHT}",
        most=most,
        begin=begin,
        end=end,
        words=f"From {first:,} to {last:,} changes in {length:,.0f} seconds; at most {most:,}.",
    )
