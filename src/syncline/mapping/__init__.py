"""The one rule of ingress: what a change in Dynamics means for Campaign. Pure: no I/O, no clock, no memory.

What lives here: the public names of the two rooms: `plan` compiles a mapping against the schemas of both sides, and
`decision` decides with it.
"""

from __future__ import annotations

from syncline.conversions.reading import RefuseReason
from syncline.mapping.decision import (
    Decision,
    LedgerHash,
    RefuseDecision,
    SkipDecision,
    SkipReason,
    WriteDecision,
    decide,
)
from syncline.mapping.plan import Link, TablePlan, compile_plan

__all__ = [
    "Decision",
    "LedgerHash",
    "Link",
    "RefuseDecision",
    "RefuseReason",
    "SkipDecision",
    "SkipReason",
    "TablePlan",
    "WriteDecision",
    "compile_plan",
    "decide",
]
