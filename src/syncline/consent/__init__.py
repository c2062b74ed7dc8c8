"""Who wins an opt-out, and why: values, the rule, and the order of reads and writes. No I/O, no clock, no storage.

What lives here: names of the modules beside it. `values` says what is seen, remembered and decided, `rule` who wins,
`rounds` in which order both systems are asked and told, `written` how it is kept, `chain` how the record proves itself.
The engine and the model check call the same functions.
"""

from syncline.consent.chain import ChainCheck, ChainWalk, RecordEntry, Seal, content_of, erasure_text, link_of
from syncline.consent.rounds import Call, Writes, calls_of, still_as_seen
from syncline.consent.rule import Terms, consider, standing_after, standing_before
from syncline.consent.values import (
    Case,
    ConsentNote,
    ConsentTrouble,
    Decision,
    Reason,
    Side,
    Sighting,
    Standing,
    Verdict,
)
from syncline.consent.written import decision_data

__all__ = [
    "Call",
    "Case",
    "ChainCheck",
    "ChainWalk",
    "ConsentNote",
    "ConsentTrouble",
    "Decision",
    "Reason",
    "RecordEntry",
    "Seal",
    "Side",
    "Sighting",
    "Standing",
    "Terms",
    "Verdict",
    "Writes",
    "calls_of",
    "consider",
    "content_of",
    "decision_data",
    "erasure_text",
    "link_of",
    "standing_after",
    "standing_before",
    "still_as_seen",
]
