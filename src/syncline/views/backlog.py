"""The backlog as a page shows it.

What lives here: `BacklogView`, a snapshot in plain figures; a workflow fills it in. A host with a page of its own reads
its attributes or takes `as_data()`, which holds nothing but what JSON knows. No storage, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from attrs import Attribute, field, frozen

from syncline.views.figures import MISSING, count, moment, per_second, span
from syncline.views.shown import Shown
from syncline.views.table import Align, Cell, Column, Table

__all__ = ["BacklogView", "Trend"]


class Trend(StrEnum):
    """Where a backlog is heading."""

    GROWING = "growing"
    STEADY = "steady"
    SHRINKING = "shrinking"


def _not_negative(_: object, attribute: Attribute[Any], number: float | None) -> None:
    if number is not None and not number >= 0:
        raise ValueError(f"{attribute.name} cannot be {number}")


def time_zone_aware(_: object, attribute: Attribute[Any], when: datetime | None) -> None:
    if when is not None and when.utcoffset() is None:
        raise ValueError(f"{attribute.name} needs a time zone")


def _largest_first(split: Mapping[str, int]) -> dict[str, int]:
    """Equal ones by name, so that a page does not jump about."""
    return dict(sorted(split.items(), key=lambda item: (-item[1], item[0])))


@frozen(kw_only=True, repr=False, str=False)
class BacklogView(Shown):
    """How many changes were read and queued and wait to be written, and how that is going."""

    #: The exact number, what is being written right now included.
    size: int = field(validator=_not_negative)
    #: When these numbers were true.
    as_of: datetime = field(validator=time_zone_aware)
    _by_table: Mapping[str, int] = field(factory=dict, converter=_largest_first)
    _by_operation: Mapping[str, int] = field(factory=dict, converter=_largest_first)
    #: When the change that has waited longest was queued; None when nothing waits.
    oldest: datetime | None = field(default=None, validator=time_zone_aware)
    #: Records written per second of late; None before anything was measured.
    rate: float | None = field(default=None, validator=_not_negative)
    #: How long until the backlog is empty at this rate; None when nobody can say.
    eta: timedelta | None = None
    trend: Trend | None = None
    #: Being written right now.
    leased: int = field(default=0, validator=_not_negative)
    #: Held until the record they point to is at the target.
    waiting: int = field(default=0, validator=_not_negative)
    #: Deletions that are held, by table: they go once few enough of them are counted, or somebody confirms them.
    held: Mapping[str, int] = field(factory=dict, converter=_largest_first)
    #: Held back because the target asked for silence.
    throttled: int = field(default=0, validator=_not_negative)
    throttled_until: datetime | None = field(default=None, validator=time_zone_aware)
    #: Consent changes, opt-outs above all. They are written before everything else.
    consent: int = field(default=0, validator=_not_negative)
    #: Events of people whom Dynamics does not know yet. They are not part of `size`.
    set_aside: int = field(default=0, validator=_not_negative)
    #: Dead letters that are still open. They are not part of `size`.
    dead: int = field(default=0, validator=_not_negative)
    #: Processes that work on it right now.
    workers: int = field(default=0, validator=_not_negative)
    #: Writes so far that were made and not counted because their worker had lost its lease: others look at them again.
    refused: int = field(default=0, validator=_not_negative)

    @property
    def oldest_age(self) -> timedelta | None:
        """How long the oldest change has waited; never negative, also when a clock was set back."""
        return None if self.oldest is None else max(self.as_of - self.oldest, timedelta(0))

    def by_table(self) -> dict[str, int]:
        """Source table to number of queued changes, the largest first."""
        return dict(self._by_table)

    def by_operation(self) -> dict[str, int]:
        """Operation, such as `upsert`, to number of queued changes, the largest first."""
        return dict(self._by_operation)

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows: times as ISO 8601, spans in seconds."""
        return {
            "size": self.size,
            "as_of": self.as_of.isoformat(),
            "by_table": self.by_table(),
            "by_operation": self.by_operation(),
            "oldest": _iso(self.oldest),
            "oldest_age_seconds": _seconds(self.oldest_age),
            "rate_per_second": self.rate,
            "eta_seconds": _seconds(self.eta),
            "trend": None if self.trend is None else self.trend.value,
            "leased": self.leased,
            "waiting": self.waiting,
            "held": dict(self.held),
            "throttled": self.throttled,
            "throttled_until": _iso(self.throttled_until),
            "consent": self.consent,
            "dead": self.dead,
            "set_aside": self.set_aside,
            "workers": self.workers,
            "refused": self.refused,
        }

    def __int__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"<BacklogView {self.size} queued, {self.leased} leased, {self.dead} dead>"

    def _tables(self) -> Sequence[Table]:
        splits = {"Table": self._by_table, "Operation": self._by_operation}
        return [self._figures(), *(_split(title, split) for title, split in splits.items() if split)]

    def _figures(self) -> Table:
        until = f" (until {moment(self.throttled_until)})" if self.throttled_until else ""
        figures = {
            "Queued": count(self.size),
            "Oldest has waited": span(self.oldest_age),
            "Written": per_second(self.rate),
            "Empty in about": span(self.eta),
            "Trend": MISSING if self.trend is None else self.trend.value,
            "Being written": count(self.leased),
            "Waiting for a parent": count(self.waiting),
            "Held deletions": _held(self.held),
            "Throttled": f"{count(self.throttled)}{until}",
            **({"Consent changes": count(self.consent)} if self.consent else {}),
            "Set aside": count(self.set_aside),
            "Dead letters": count(self.dead),
            **({"Workers": count(self.workers)} if self.workers else {}),
            **({"Late writes refused": count(self.refused)} if self.refused else {}),
        }
        return Table(
            caption="Backlog",
            columns=(Column(title="Backlog"), Column(title=moment(self.as_of))),
            rows=tuple((Cell(name), Cell(figure)) for name, figure in figures.items()),
        )


def _split(title: str, split: Mapping[str, int]) -> Table:
    return Table(
        caption=f"Queued by {title.lower()}",
        columns=(Column(title=title), Column(title="Queued", align=Align.RIGHT)),
        rows=tuple((Cell(name), Cell(count(number))) for name, number in split.items()),
    )


def _held(held: Mapping[str, int]) -> str:
    told = ", ".join(f"{count(number)} of {table}" for table, number in held.items() if number)
    return told or count(0)


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()
