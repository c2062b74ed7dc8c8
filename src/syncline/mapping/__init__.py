"""The one rule of ingress: what a change in Dynamics means for Campaign. Pure: no I/O, no clock, no memory.

What lives here: the public names of the rooms: `plan` compiles a mapping against the schemas of both sides, `decision`
decides with it, and `links` knows what a record points to.
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
    is_unfit,
)
from syncline.mapping.links import LinkedTo, LinkRule
from syncline.mapping.plan import TablePlan, compile_plan

__all__ = [
    "Decision",
    "LedgerHash",
    "LinkRule",
    "LinkedTo",
    "RefuseDecision",
    "RefuseReason",
    "SkipDecision",
    "SkipReason",
    "TablePlan",
    "WriteDecision",
    "compile_plan",
    "decide",
    "is_unfit",
]
