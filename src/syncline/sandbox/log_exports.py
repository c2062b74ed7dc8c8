"""Exports of delivery and tracking logs, as a Campaign workflow would put them into a folder.

Lives here: made-up events about given people, the same for the same seed, written as CSV files in the form that the
documentation asks for. Never here: a server; Campaign has no REST source of these logs.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import attrs

__all__ = ["ExportedLogs", "export_logs"]

_DELIVERY = (
    "logId", "externalId", "campaignId", "deliveryId", "channel", "status", "failureType", "failureReason", "eventDate",
    "lastModified", "mirrorPageUrl",
)  # fmt: skip
_TRACKING = ("logId", "externalId", "campaignId", "deliveryId", "channel", "urlType", "urlSource", "logDate")
_FIRST_DAY = datetime(2026, 1, 5, 8, tzinfo=UTC)
Line = tuple[str, ...]


class _Row(NamedTuple):
    """A row of one of the logs, and when it was changed last: an export goes by that."""

    changed: datetime
    line: Line


@attrs.frozen(kw_only=True)
class ExportedLogs:
    """What was exported: the files in order, and of each kind of event the ids of its logs."""

    files: tuple[Path, ...]
    sends: frozenset[str]
    opens: frozenset[str]
    clicks: frozenset[str]
    bounces: frozenset[str]

    @property
    def events(self) -> int:
        """How many different events there are."""
        return len(self.sends) + len(self.opens) + len(self.clicks) + len(self.bounces)


def export_logs(
    folder: Path,
    people: Sequence[str],
    *,
    deliveries: int = 1,
    seed: int = 1,
    rows_per_file: int = 1_000,
    compress: bool = False,
) -> ExportedLogs:
    """Write files; each person gets each delivery. Every file begins with the last rows of the one before."""
    if not people:
        raise ValueError("there is nobody to write to: load people first")
    events = _Events(random.Random(f"logs {seed}"))  # noqa: S311 - repeatable on purpose
    for number in range(deliveries):
        events.deliver(number, people)
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        *_write(folder, "delivery_log", _DELIVERY, events.delivery, rows_per_file, compress),
        *_write(folder, "tracking_log", _TRACKING, events.tracking, rows_per_file, compress),
    ]
    kinds = {kind: frozenset(ids) for kind, ids in events.ids.items()}
    return ExportedLogs(files=tuple(files), **kinds)


class _Events:
    def __init__(self, draw: random.Random) -> None:
        self.delivery: list[_Row] = []
        self.tracking: list[_Row] = []
        self.ids: dict[str, set[str]] = {"sends": set(), "opens": set(), "clicks": set(), "bounces": set()}
        self._draw = draw

    def deliver(self, number: int, people: Sequence[str]) -> None:
        """One delivery to everybody, and what they do with it."""
        begun = _FIRST_DAY + timedelta(days=number)
        for place, person in enumerate(people):
            name = (person, f"CMP{number // 3 + 1}", f"DM{190 + number}", "0")
            self._message(begun + timedelta(milliseconds=40 * place), name)

    def _message(self, sent: datetime, name: Line) -> None:
        log_id = str(100_000 + len(self.ids["sends"]) + len(self.ids["bounces"]))
        mirror = f"https://mirror.example/nl/jsp/m.jsp?c={log_id}"
        dice = self._draw.random()
        if dice < 0.01:  # on the denylist: never sent, and no bounce though the failure counts as hard
            self._log(log_id, name, "2", "2", "8", sent, sent, mirror)
            return
        self.ids["sends"].add(log_id)
        self._log(log_id, name, "1", "0", "0", sent, sent, mirror)
        if dice < 0.03:
            self.ids["bounces"].add(log_id)
            self._log(log_id, name, "2", "2", "1", sent, sent + timedelta(hours=self._draw.randint(1, 90)), mirror)
        elif dice < 0.05:  # a full mailbox, which takes it in the end
            self._log(log_id, name, "2", "1", "5", sent, sent + timedelta(hours=1), mirror)
            self._log(log_id, name, "1", "0", "0", sent, sent + timedelta(hours=5), mirror)
        else:
            self._read(sent, name)

    def _log(
        self,
        log_id: str,
        name: Line,
        status: str,
        failure: str,
        reason: str,
        sent: datetime,
        changed: datetime,
        mirror: str,
    ) -> None:
        line = (log_id, *name, status, failure, reason, _moment(sent), _moment(changed), mirror)
        self.delivery.append(_Row(changed, line))

    def _read(self, sent: datetime, name: Line) -> None:
        """Two of five are opened, one of ten is clicked; some look at the mirror page, and one opts out."""
        dice = self._draw.random()
        when = sent + timedelta(minutes=self._draw.randint(1, 3_000))
        if dice < 0.4:
            self._track("opens", name, "2", "", when)
        if dice < 0.1:
            url = f"https://shop.example/offers?ref={self._draw.randrange(10_000)}&q=a,b"
            self._track("clicks", name, "1", url, when + timedelta(minutes=1))
        if dice < 0.02:
            self._track("", name, "6" if dice < 0.015 else "3", "https://mirror.example/", when + timedelta(minutes=2))

    def _track(self, kind: str, name: Line, url_type: str, url: str, when: datetime) -> None:
        log_id = str(500_000 + len(self.tracking))
        if kind:
            self.ids[kind].add(log_id)
        self.tracking.append(_Row(when, (log_id, *name, url_type, url, _moment(when))))


def _moment(when: datetime) -> str:
    """As Campaign writes it: a blank, milliseconds, a Z."""
    return when.strftime("%Y-%m-%d %H:%M:%S.") + f"{when.microsecond // 1_000:03d}Z"


def _write(folder: Path, log: str, columns: Line, rows: list[_Row], per_file: int, compress: bool) -> Iterator[Path]:
    """The rows in the order of their last change; a file begins where the one before ended, boundary included."""
    rows.sort()
    for start in range(0, len(rows), per_file):
        some = rows[max(0, start - 10) : start + per_file]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(row.line for row in some)
        name = f"{log}_{some[-1].changed:%Y%m%d_%H%M%S}_{start // per_file:04d}.csv"
        data = text.getvalue().encode()
        path = folder / (f"{name}.gz" if compress else name)
        path.write_bytes(gzip.compress(data, mtime=0) if compress else data)
        yield path
