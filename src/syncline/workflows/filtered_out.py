"""Who would be deleted because they do not pass the filters as last edited.

What lives here: the walk over the table that finds them. Nothing is written anywhere, and Campaign is not asked.
"""

from __future__ import annotations

from attrs import evolve

from syncline.mapping import SkipDecision, SkipReason, WriteDecision, decide
from syncline.views.filtered_out import FilteredOut
from syncline.workflows.next_start import NextStart

__all__ = ["filtered_out"]

#: To `decide`: Campaign does not have the record.
_UNKNOWN = None


def filtered_out(start: NextStart, table: str, limit: int) -> FilteredOut:
    """Read the table to its end; see `IngressActions.filtered_out`."""
    plan = start.plan(table)
    # What would leave is asked whether it does leave or not: the answer is what the switch is decided by.
    deleting = evolve(plan, mapping=evolve(plan.mapping, delete_filtered_out=True))
    records: list[str] = []
    number = never_written = 0
    for page, _ in start.pages(plan):
        ledger = start.ledger(table, list(page))
        for record, change in page.items():
            decision = decide(change, deleting, ledger.get(record, _UNKNOWN), first=False)
            if isinstance(decision, WriteDecision) and decision.write.delete:
                number += 1
                if len(records) < limit:
                    records.append(record)
            elif isinstance(decision, SkipDecision) and decision.reason is SkipReason.FILTERED_OUT:
                never_written += 1
    known = start.known(table)
    return FilteredOut(
        table=table,
        resource=plan.resource,
        records=tuple(records),
        number=number,
        known=known,
        never_written=never_written,
        deletes=plan.mapping.delete_filtered_out,
        most=start.most_unasked(table),
        held=plan.mapping.delete_filtered_out and start.would_wait(table, number, known=known),
    )
