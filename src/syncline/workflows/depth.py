"""How deep a backlog is and where it is heading.

What lives here: arithmetic over the storage's counts and samples, giving the view that pages show; and taking a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from syncline.backlog import BacklogCounts, ItemState, Lane
from syncline.store import Sample, Storage
from syncline.views.backlog import BacklogView, Trend

__all__ = ["SAMPLES_SINCE", "add_sample", "view_of"]

#: How far back samples are asked for: the trend looks that far, the rate at the newest part.
SAMPLES_SINCE = timedelta(hours=1)
_RATE_OVER = timedelta(minutes=5)
#: A change of the backlog smaller than this share of it, or than this many records, is steady.
_STEADY_SHARE, _STEADY_RECORDS = 0.05, 10


def add_sample(storage: Storage, workflow: str) -> None:
    """Remember how deep the backlog is now."""
    counts = storage.counts(workflow)
    storage.add_sample(workflow, Sample(at=storage.now(), size=counts.size, written=counts.totals.written))


def view_of(
    counts: BacklogCounts,
    samples: Sequence[Sample],
    now: datetime,
    throttled_until: datetime | None,
    workers: int = 0,
) -> BacklogView:
    """The view as of `now`, while so many processes work on it."""
    rate = _rate(samples, counts, now)
    by_table: Counter[str] = Counter()
    by_operation: Counter[str] = Counter()
    leased = consent = 0
    for group, number in counts.groups.items():
        by_table[group.table] += number
        by_operation[group.operation.value] += number
        leased += number if group.state is ItemState.LEASED else 0
        consent += number if group.lane is Lane.CONSENT else 0
    return BacklogView(
        size=counts.size,
        as_of=now,
        by_table={table: number for table, number in by_table.items() if number},
        by_operation={operation: number for operation, number in by_operation.items() if number},
        oldest=counts.oldest,
        rate=rate,
        eta=_eta(counts.moving, rate),
        trend=_trend(samples, counts.size),
        leased=leased,
        waiting=counts.waiting,
        held=counts.held,
        throttled=counts.moving - leased if throttled_until is not None else 0,
        throttled_until=throttled_until,
        consent=consent,
        dead=counts.dead_letters,
        set_aside=counts.set_aside,
        workers=workers,
        refused=counts.totals.refused,
    )


def _rate(samples: Sequence[Sample], counts: BacklogCounts, now: datetime) -> float | None:
    recent = [sample for sample in samples if now - sample.at <= _RATE_OVER]
    if not recent:
        return None
    seconds = (now - recent[0].at).total_seconds()
    return max(0, counts.totals.written - recent[0].written) / seconds if seconds >= 1 else None


def _eta(size: int, rate: float | None) -> timedelta | None:
    if size == 0:
        return timedelta(0)
    return timedelta(seconds=round(size / rate)) if rate else None


def _trend(samples: Sequence[Sample], size: int) -> Trend | None:
    if not samples:
        return None
    before = samples[0].size
    if abs(size - before) <= max(_STEADY_RECORDS, _STEADY_SHARE * max(size, before)):
        return Trend.STEADY
    return Trend.GROWING if size > before else Trend.SHRINKING
