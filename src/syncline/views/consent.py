"""Opt-outs for people to look at: why somebody is opted out, what is at risk, and the decision record for an audit.

What lives here: `Why` and `ConsentView`, as text, HTML and plain data. They are handed what they show.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from attrs import field, frozen

from syncline.consent import (
    ChainCheck,
    ChainWalk,
    ConsentTrouble,
    Decision,
    RecordEntry,
    Seal,
    Sighting,
    decision_data,
)
from syncline.plain_text import plain

__all__ = ["ConsentView", "Why"]

_PAGE = 1_000
_COLUMNS = (
    "id", "at", "person", "dynamics_field", "campaign_field", "winner", "reason", "rule", "writes", "margin_seconds",
    "clocks_apart_seconds", "dynamics_value", "dynamics_changed_at", "dynamics_precision_seconds", "dynamics_seen_at",
    "dynamics_version", "campaign_value", "campaign_changed_at", "campaign_precision_seconds", "campaign_seen_at",
    "workflow", "generation", "seal",
)  # fmt: skip


def _word(out: bool | None, *, exists: bool = True) -> str:
    if not exists:
        return "no record"
    return {True: "opted out", False: "opted in", None: "no value"}[out]


def _when(moment: datetime | None) -> str:
    return "at an unknown time" if moment is None else moment.isoformat(sep=" ", timespec="milliseconds")


def _seen(sighting: Sighting) -> str:
    what = _word(sighting.out, exists=sighting.exists)
    if not sighting.exists:
        return what
    precision = sighting.precision.total_seconds()
    exact = f" (to {precision:g} s)" if sighting.changed_at is not None and precision else ""
    return f"{what}, changed {_when(sighting.changed_at)}{exact}"


@frozen(kw_only=True)
class Why:
    """Why a person is opted out or in: what holds now by Campaign field, and every decision that led there."""

    person: str
    decisions: tuple[Decision, ...] = field(repr=lambda decisions: f"<{len(decisions)} decisions>")
    #: What was decided last, by Campaign field; None where nothing could be.
    now: Mapping[str, bool | None] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.decisions)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)

    def __len__(self) -> int:
        return len(self.decisions)

    @property
    def opted_out(self) -> frozenset[str]:
        """The Campaign fields in which the person is opted out."""
        return frozenset(channel for channel, out in self.now.items() if out)

    def __str__(self) -> str:
        if not self.decisions:
            return f"Nothing was decided about the opt-outs of contact {plain(self.person)}."
        lines = [f"Contact {self.person}: opted out of {', '.join(sorted(self.opted_out)) or 'nothing'}"]
        for one in self.decisions:
            lines += [
                str(one),
                f"    Dynamics {one.pair.dynamics}: {_seen(one.dynamics)}",
                f"    Campaign {one.pair.campaign}: {_seen(one.campaign)}",
                f"    rule {one.rule.value}, margin {one.margin.total_seconds():g} s",
            ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if not self.decisions:
            return f"<p>{escape(str(self))}</p>"
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{escape(cell)}</td>"
                for cell in (
                    one.at.isoformat(sep=" ", timespec="seconds"),
                    str(one.pair),
                    "held" if one.out is None else _word(one.out),
                    one.reason.value,
                    _seen(one.dynamics),
                    _seen(one.campaign),
                    f"{one.rule.value}, margin {one.margin.total_seconds():g} s",
                )
            )
            + "</tr>"
            for one in self.decisions
        )
        head = "".join(
            f"<th>{name}</th>" for name in ("At", "Channel", "Winner", "Because", "Dynamics", "Campaign", "Rule")
        )
        channels = escape(", ".join(sorted(self.opted_out)) or "nothing")
        caption = f"<caption>Contact {escape(self.person)}: opted out of {channels}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


@frozen(kw_only=True)
class ConsentView:
    """Opt-outs at a glance, as of now, and the decision record."""

    #: People whose opt-out could not be delivered yet. It is tried without end.
    undelivered: int
    #: People whose opt-in waits for the clocks.
    held: int
    #: People whose opt-out waits for a profile in Campaign.
    waiting: int
    #: The longest first, at most a hundred.
    troubles: tuple[ConsentTrouble, ...] = ()
    _read: Callable[..., Sequence[Decision]] = field(repr=False, eq=False, alias="read")
    _entries: Callable[..., Sequence[RecordEntry]] = field(repr=False, eq=False, alias="entries")
    _ends: Callable[[], Seal] = field(repr=False, eq=False, alias="ends")

    @property
    def at_risk(self) -> bool:
        """Whether somebody's opt-out is not where it belongs although it could be."""
        return self.undelivered > 0

    @property
    def decisions(self) -> Iterator[Decision]:
        """The whole decision record, in its order."""
        after = 0
        while page := self._read(after=after, limit=_PAGE):
            yield from page
            after = page[-1].id

    @property
    def seal(self) -> Seal:
        """Where the decision record ends now. Kept elsewhere, it proves later that nothing before it was changed."""
        return self._ends()

    def verify(self, seal: Seal | str = "") -> ChainCheck:
        """Whether the decision record is whole: nothing changed, taken out, put in or moved, but what says so itself.

        Reads all of it, a page at a time. The result names the first entry that does not fit. With a `seal` from
        earlier it must be the one of its place, too: who may write the database can make all hashes anew, but not meet
        a seal that lies elsewhere. Raises ValueError when `seal` is none.
        """
        known = _seal(seal)
        walk, ends = ChainWalk(), Seal()
        while not walk.broken:
            ends, before = self._ends(), walk.place
            for entry in self._walked(before):
                walk.follow(entry)
                if known is not None and entry.place == known.place and entry.link != known.link:
                    walk.doubt(entry.place, "its hash is not the one that was kept")
                if walk.broken:
                    break
            if walk.place == before:  # else it may have grown meanwhile
                break
        if known is not None and known.place > walk.place:
            walk.doubt(walk.place + 1, f"the record ends before it and reached {known} once")
        return walk.end(ends)

    def _walked(self, after: int) -> Iterator[RecordEntry]:
        while page := self._entries(after=after, limit=_PAGE):
            yield from page
            after = page[-1].place

    def sealed_lines(self) -> Iterator[str]:
        """The decision record with its hashes, for somebody who checks it without Syncline: a JSON object per line.

        `text` is what was hashed, null where it was erased; salts and hashes are hex. How they are made is said in
        `syncline.consent.chain`.
        """
        for entry in self._walked(0):
            hashes = {"salt": entry.salt.hex(), "content": entry.content.hex(), "link": entry.link.hex()}
            yield json.dumps({"place": entry.place, "text": entry.text, **hashes})

    def json_lines(self) -> Iterator[str]:
        """The decision record for an audit: a JSON object per line."""
        return (json.dumps(decision_data(one)) for one in self.decisions)

    def csv_lines(self) -> Iterator[str]:
        """The decision record for an audit: a header and a line per decision, as spreadsheets read them."""
        yield _csv_line(_COLUMNS)
        for one in self.decisions:
            yield _csv_line([_cell(value) for value in _row(one)])

    def __str__(self) -> str:
        alarm = "CONSENT AT RISK. " if self.at_risk else ""
        numbers = (
            f"{self.undelivered} opt-outs not delivered, {self.held} opt-ins held, {self.waiting} waiting for a profile"
        )
        return "\n".join([alarm + numbers, *(f"  {trouble}" for trouble in self.troubles)])

    def _repr_html_(self) -> str:
        first, *rest = str(self).split("\n")
        told = "".join(f"<li>{escape(line.strip())}</li>" for line in rest)
        return f"<p>{escape(first)}</p>" + (f"<ul>{told}</ul>" if told else "")


def _seal(given: Seal | str) -> Seal | None:
    """A seal as it prints, back; None for none."""
    if isinstance(given, Seal):
        return given
    if not given:
        return None
    place, _, link = given.partition(":")
    return Seal(place=int(place), link=bytes.fromhex(link))


def _row(one: Decision) -> list[object]:
    apart = None if one.apart is None else one.apart.total_seconds()
    return [
        one.id, one.at, one.person, one.pair.dynamics, one.pair.campaign, "held" if one.out is None else _word(one.out),
        one.reason.value, one.rule.value, " ".join(side.value for side in one.writes), one.margin.total_seconds(),
        apart,
        _word(one.dynamics.out, exists=one.dynamics.exists), one.dynamics.changed_at,
        one.dynamics.precision.total_seconds(), one.dynamics.seen_at, one.dynamics.mark,
        _word(one.campaign.out, exists=one.campaign.exists), one.campaign.changed_at,
        one.campaign.precision.total_seconds(), one.campaign.seen_at, one.workflow, one.generation,
        one.seal,
    ]  # fmt: skip


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    # What a spreadsheet would take for a formula gets a quote in front.
    return f"'{text}" if text[:1] in ("=", "+", "@", "\t", "\r") else text


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
