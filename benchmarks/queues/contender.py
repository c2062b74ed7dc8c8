"""What a queue must be able to do to be compared, and the records all of them carry.

What lives here: the contract of a contender and the making of records. No queue.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol
from uuid import UUID

__all__ = ["Contender", "Record", "records"]

#: A GUID in its usual form, and the payload.
Record = tuple[str, bytes]

_WORDS = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty", "knoll", "larch", "maple",
    "north", "ocean", "pearl", "quartz",
)  # fmt: skip


def records(seed: int) -> Iterator[Record]:
    """Endless contacts of about 400 bytes, with random GUIDs: the hardest case for an index."""
    dice = random.Random(seed)  # noqa: S311 - no secrets
    while True:
        first, last, town = dice.choice(_WORDS), dice.choice(_WORDS), dice.choice(_WORDS)
        key = str(UUID(int=dice.getrandbits(128), version=4))
        values = {
            "contactid": key,
            "firstname": first.title(),
            "lastname": last.title(),
            "emailaddress1": f"{first}.{last}.{dice.randrange(10_000)}@{town}.example",
            "telephone1": f"+49 30 {dice.randrange(10**8):08}",
            "address1_line1": f"{town.title()} Street {dice.randrange(200)}",
            "address1_city": town.title(),
            "address1_postalcode": f"{dice.randrange(10**5):05}",
            "birthdate": f"{dice.randrange(1940, 2008)}-0{dice.randrange(1, 10)}-1{dice.randrange(10)}",
            "donotbulkemail": dice.random() < 0.2,
            "modifiedon": "2026-02-01T12:00:00Z",
            "versionnumber": dice.randrange(10**8),
        }
        yield key, json.dumps(values, separators=(",", ":")).encode("ascii")


class Contender(Protocol):
    """A durable queue. `take` claims, `finish` ends what was claimed; each call is durable when it returns."""

    name: ClassVar[str]
    #: What is safe when a call returned, in words.
    durability: ClassVar[str]
    #: Whether many records go in one call.
    batches: ClassVar[bool]

    def __init__(self, folder: Path) -> None: ...

    def prepare(self, some: Sequence[Record]) -> Any:
        """The records in the queue's own form; not timed."""

    def put(self, prepared: Any) -> None:
        """Queue them."""

    def take(self, count: int) -> Any:
        """Claim up to so many."""

    def finish(self, taken: Any) -> int:
        """End what was taken; how many that were."""

    def size(self) -> int:
        """How many are queued, taken ones included where the queue knows them."""

    def close(self) -> None: ...
