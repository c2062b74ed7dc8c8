"""What the next start would send and what it would cost in engine calls, without writing anything anywhere.

What lives here: the arithmetic, from counts alone or from reading each table to its end, page by page and keeping
none. Calls of the original are those Adobe publishes for its integration: insert 1, delete 1, update 2 or 1 if
identical. Ours are those of `CampaignConnector.apply`.
"""

from __future__ import annotations

from attrs import define

from syncline.mapping import RefuseDecision, SkipDecision, SkipReason, TablePlan, decide
from syncline.table_mapping import LinkBy
from syncline.views.forecast import Certainty, Figure, Forecast, TableForecast
from syncline.workflows.next_start import NextStart

__all__ = ["forecast"]

#: A known record is looked at and then updated, or looked at and then deleted.
_UPDATE, _DELETE = 2, 2
#: What a queued change may cost beyond the forecast: an attempt that got no answer is looked at and written again.
_QUEUED = 2


def forecast(start: NextStart, *, exact: bool) -> Forecast:
    """Forecast each mapped table; with `exact` each is read to its end."""
    for table in start.replay:
        start.definition.mapping(table)
    make = _by_reading if exact else _by_counting
    return Forecast(tables=tuple(make(start, table) for table in start.definition.tables), read=exact)


# -- by counting ------------------------------------------------------------------------------------------------------


def _by_counting(start: NextStart, table: str) -> TableForecast:
    mapping, known, queued = start.definition.mapping(table), start.known(table), start.queued(table)
    read, source = start.next_read(table), start.dynamics.count(table)
    may_delete = start.finds_deletes(table) or mapping.delete_filtered_out
    counted = source if read.reads_all else None
    return TableForecast(
        table=table,
        resource=mapping.resource,
        read=read,
        source=_about(source),
        known=known,
        queued=queued,
        creates=_at_most(counted) if not known else _about(None if counted is None else max(counted - known, 0)),
        updates=_at_most(known),
        identical=_at_most(known),
        deletes=_at_most(known if may_delete else 0),
        held=_at_most(known if may_delete and start.would_wait(table, known, known=known) else 0),
        filtered_out=Figure.unknown() if mapping.filters else Figure(0),
        refused=Figure.unknown(),
        calls=_most_calls(start, table, counted, create=_create(start), delete=_DELETE, more=_look_ups(start, table)),
        original_calls=_most_calls(start, table, counted, create=1, delete=1),
    )


def _most_calls(start: NextStart, table: str, source: int | None, *, create: int, delete: int, more: int = 0) -> Figure:
    """The dearest of all cases that fit the counts.

    Where deletes are found that is when all known records are gone and all that is read is new; else when all known
    records are read and each is updated.
    """
    if source is None:
        return Figure.unknown()
    known, queued = start.known(table), start.queued(table)
    dearer = known * delete if start.finds_deletes(table) else min(source, known) * (_UPDATE - create)
    return _at_most(source * (create + more) + dearer + queued * _QUEUED)


def _look_ups(start: NextStart, table: str) -> int:
    """Records that are looked up for one write, at most, because links take their PKeys."""
    return sum(link.by is LinkBy.PKEY for link in start.definition.mapping(table).links)


def _at_most(value: int | None) -> Figure:
    """Nothing can be less than none, so an upper bound of none is exact."""
    if value is None:
        return Figure.unknown()
    return Figure(value, Certainty.AT_MOST if value else Certainty.EXACT)


def _about(value: int | None) -> Figure:
    return Figure.unknown() if value is None else Figure(value, Certainty.ABOUT)


def _create(start: NextStart) -> int:
    """Where the target refuses duplicates, a record is created without looking first."""
    return 1 if start.campaign.capabilities.refuses_duplicates else 2


# -- by reading -------------------------------------------------------------------------------------------------------


@define(kw_only=True)
class _Tally:
    """What a full read came to."""

    read: int = 0
    #: Links to give a PKey, for each of which at most one record is looked up.
    links: int = 0
    #: Records that the ledger knows and that are still in the source.
    there: int = 0
    creates: int = 0
    updates: int = 0
    identical: int = 0
    #: Records that left the filters and go for it.
    left: int = 0
    filtered_out: int = 0
    refused: int = 0


def _by_reading(start: NextStart, table: str) -> TableForecast:
    read, known, queued = start.next_read(table), start.known(table), start.queued(table)
    plan = start.plan(table)
    tally = _read(start, plan)
    missing = max(known - tally.there, 0) if start.finds_deletes(table) else 0
    # Only change tracking tells of a deletion; what a full read does not find is inferred.
    told = 0 if read.reads_all else missing
    inferred = tally.left + missing - told
    waits = inferred if start.would_wait(table, inferred, known=known + tally.creates - told) else 0
    deletes, moving = tally.left + missing - waits, queued - start.held(table)
    # A start that reads only changes does not see what an edit would change in records that stay as they are.
    sure = Certainty.EXACT if read.reads_all else Certainty.AT_MOST
    calls_sure = Certainty.AT_MOST if moving or tally.links else sure
    calls = tally.creates * _create(start) + tally.updates * _UPDATE + deletes * _DELETE + tally.links
    original = tally.creates + tally.updates * 2 + tally.identical + deletes + waits
    return TableForecast(
        table=table,
        resource=plan.resource,
        read=read,
        source=Figure(tally.read),
        known=known,
        queued=queued,
        creates=Figure(tally.creates, sure),
        updates=Figure(tally.updates, sure),
        identical=Figure(tally.identical, sure),
        deletes=Figure(deletes, sure),
        held=Figure(waits, sure),
        filtered_out=Figure(tally.filtered_out, sure),
        refused=Figure(tally.refused, sure),
        calls=Figure(calls + moving * _QUEUED, calls_sure),
        original_calls=Figure(original + moving * _QUEUED, calls_sure),
    )


def _read(start: NextStart, plan: TablePlan) -> _Tally:
    tally, first = _Tally(), start.first(plan.table)
    for page, _ in start.pages(plan):
        ledger = start.ledger(plan.table, list(page))
        tally.read += len(page)
        tally.there += len(ledger)
        for record, change in page.items():
            decision = decide(change, plan, ledger.get(record), first=first)
            if isinstance(decision, RefuseDecision):
                tally.refused += 1
            elif isinstance(decision, SkipDecision):
                _note_skip(tally, decision.reason)
            elif decision.write.delete:
                tally.left += 1
            else:
                tally.updates += decision.write.known
                tally.creates += not decision.write.known
                tally.links += sum(parent.rule.by_pkey for parent in decision.parents)
    return tally


def _note_skip(tally: _Tally, reason: SkipReason) -> None:
    if reason is SkipReason.IDENTICAL:
        tally.identical += 1
    elif reason is SkipReason.FILTERED_OUT:
        tally.filtered_out += 1
