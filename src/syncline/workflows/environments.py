"""Whether a storage belongs to the environments it is used with, and what to do when it does not.

What lives here: the comparison, its error, and adoption. Asks no service: an environment is told by the identity of its
connector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve, frozen

from syncline.connectors.base import Connector
from syncline.errors import EnvironmentChangedError
from syncline.workflows.snapshot import Snapshot

__all__ = ["Moved", "adopted", "check_environments", "moved"]

_LABELS: Final = ("Dynamics 365", "Campaign")


@frozen(kw_only=True)
class Moved:
    """One side is another environment than before."""

    label: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.label} was {self.before} and is {self.now} now"


def moved(snapshot: Snapshot, source: Connector, target: Connector) -> Mapping[str, Moved]:
    """The sides that are others than those the snapshot was made of, as `source` and `target`; empty when none is."""
    pairs = {
        "source": (_LABELS[0], snapshot.source_identity, source.identity),
        "target": (_LABELS[1], snapshot.target_identity, target.identity),
    }
    return {
        side: Moved(label=label, before=before, now=now)
        for side, (label, before, now) in pairs.items()
        if before != now
    }


def check_environments(snapshot: Snapshot, source: Connector, target: Connector) -> None:
    """Raise EnvironmentChangedError when this storage was filled from or for another environment."""
    found = moved(snapshot, source, target)
    if found:
        told = "; ".join(map(str, found.values()))
        raise EnvironmentChangedError(f"This storage belongs to another environment: {told}. Nothing was sent there.")


def adopted(snapshot: Snapshot, source: Connector, target: Connector) -> Snapshot:
    """The snapshot as if it had been made of these environments; their schemas are looked at by the next start."""
    return evolve(snapshot, source_identity=source.identity, target_identity=target.identity, marks={}, checked_at=None)
