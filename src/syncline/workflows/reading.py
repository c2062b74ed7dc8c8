"""How a table is read from nothing to caught up, one page at a time.

What lives here: which page comes next, and which position follows a page. Pure: the connector fetches, the storage
keeps. The order of stages is what makes a full read miss nothing:

    LOAD (tracked, every row; the delta link comes with the last page)
      → KEYS (untracked: the key of every row, unless the load was one page of a table of which nothing was known)
      → OVERLAP (untracked: everything modified since a margin before the load began, for what changed meanwhile)
      → DELTA (change tracking), and after KEYS, once the first delta is read to its end,
      → MISSING (what is known here and was shown by nothing since the load is asked for by key) → DELTA

KEYS is there because a delta link may tell nothing of what was deleted before its last page was asked for: a record of
the first page that is gone by the last one would never be heard of again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import evolve

from syncline.backlog import Lane
from syncline.errors import ProtocolError
from syncline.records import Page, ReadPosition, ReadRequest, ReadStage

__all__ = ["begin", "caught_up", "following", "is_beginning", "is_first", "lane_of", "request_for"]


def begin(*, now: datetime, seq: int, first: bool, resync: bool) -> ReadPosition:
    """The position of a full read that has not begun. `now` should be the service's clock as far as it is known."""
    return ReadPosition(stage=ReadStage.LOAD, started_at=now, pass_seq=seq, first=first, resync=resync)


def request_for(table: str, columns: tuple[str, ...], position: ReadPosition, margin: timedelta) -> ReadRequest:
    """The page to fetch next at this position. MISSING has none: it asks the ledger, not the source."""
    if position.stage is ReadStage.KEYS:
        columns = ()
    since = position.started_at - margin if position.stage is ReadStage.OVERLAP else None
    return ReadRequest(table=table, columns=columns, stage=position.stage, link=position.link, since=since)


def following(position: ReadPosition, page: Page, now: datetime, *, deletions: bool) -> ReadPosition:
    """The position behind this page; `deletions` says whether it matters which records were deleted meanwhile."""
    read = position.read + (len(page.changes) if position.stage is ReadStage.LOAD else 0)
    position = evolve(position, read_at=now, read=read, about=position.about if page.about is None else page.about)
    if page.next_link is not None:
        return evolve(position, link=page.next_link)
    if position.stage is ReadStage.LOAD:
        compares = deletions and (position.resync or position.link is not None)
        stage = ReadStage.KEYS if compares else ReadStage.OVERLAP
        return evolve(position, stage=stage, link=None, delta_link=_delta_link(page), compares=compares)
    if position.stage is ReadStage.KEYS:
        return evolve(position, stage=ReadStage.OVERLAP, link=None)
    if position.stage is ReadStage.OVERLAP:
        return evolve(position, stage=ReadStage.DELTA, link=position.delta_link, delta_link=None)
    stage = ReadStage.MISSING if position.compares else ReadStage.DELTA
    return evolve(position, stage=stage, link=_delta_link(page))


def _delta_link(page: Page) -> str:
    if page.delta_link is None:
        raise ProtocolError(
            "The source ended a tracked read without a delta link.",
            remedy="Nothing was lost: the position stays where it was. Report this to the source's support.",
        )
    return page.delta_link


def caught_up(position: ReadPosition, page: Page) -> bool:
    """Whether `page`, which led to `position`, was the newest there was."""
    return position.stage is ReadStage.DELTA and page.next_link is None and page.delta_link is not None


def is_beginning(position: ReadPosition) -> bool:
    """Whether nothing of a full read was read yet, so that there is no position to lose."""
    return position.stage is ReadStage.LOAD and position.link is None


def is_first(position: ReadPosition) -> bool:
    """Whether records read at this position are a first load or a replay."""
    return position.first and position.stage in (ReadStage.LOAD, ReadStage.KEYS, ReadStage.OVERLAP)


def lane_of(position: ReadPosition) -> Lane:
    """Changes of a caught-up table go before full reads."""
    return Lane.LIVE if position.stage is ReadStage.DELTA else Lane.BULK
