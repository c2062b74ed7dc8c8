"""Writes that must not cross: a record that points to another one, and the deletion of that one.

What lives here: what happens on writer threads because of links, and the PKeys of linked records, kept for a cycle and
never stored. Which record may be sent at all was decided before, in `linking`; here only what is in flight at the same
moment counts.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from attrs import evolve

from syncline.connectors.base import CampaignConnector
from syncline.errors import AmbiguousWriteError, ConflictError, RecordRefusedError
from syncline.mapping import LinkedTo
from syncline.records import Outcome, RecordKey, Value, Write
from syncline.schemas import TableSchema

__all__ = ["LinkTraffic"]

#: A record that is pointed to, and its Campaign resource.
_Parent: TypeAlias = tuple[LinkedTo, TableSchema]


class LinkTraffic:
    """Makes writes, one of a pair that would cross after the other. Thread-safe."""

    def __init__(self, campaign: CampaignConnector) -> None:
        self._campaign = campaign
        self._lock = threading.Lock()
        self._in_use: Counter[RecordKey] = Counter()
        #: Deleted in this cycle, or being deleted.
        self._gone: set[RecordKey] = set()
        self._pkeys: dict[RecordKey, Value] = {}

    def send(
        self, write: Write, resource: TableSchema, parents: Sequence[_Parent], still_ours: Callable[[], None]
    ) -> Outcome:
        """Make the write. Raises what `CampaignConnector.apply` does, and ConflictError when it would cross another."""
        if write.delete:
            with self._deleting(write.key):
                return self._campaign.apply(write, resource, still_ours=still_ours)
        with self._pointing({parent.key for parent, _ in parents}):
            outcome = self._apply(write, resource, [one for one in parents if one[0].rule.by_pkey], still_ours)
        with self._lock:
            self._gone.discard(write.key)
        return outcome

    def are_back(self, keys: Collection[RecordKey]) -> None:
        """The ledger has these, and nothing of them is queued: whoever deleted one of them, it was made again since."""
        with self._lock:
            self._gone.difference_update(keys)

    @contextmanager
    def _pointing(self, keys: set[RecordKey]) -> Iterator[None]:
        with self._lock:
            if gone := sorted(keys & self._gone):
                raise ConflictError(f"{gone[0]} was deleted meanwhile: whoever points to it is decided anew.")
            self._in_use.update(keys)
        try:
            yield
        finally:
            with self._lock:
                self._in_use.subtract(keys)

    @contextmanager
    def _deleting(self, key: RecordKey) -> Iterator[None]:
        with self._lock:
            if self._in_use[key]:
                raise ConflictError(f"A record that points to {key} is being written: it is deleted in a moment.")
            self._gone.add(key)
            self._pkeys.pop(key, None)
        try:
            yield
        except AmbiguousWriteError:
            raise  # it may be gone
        except BaseException:
            with self._lock:
                self._gone.discard(key)
            raise

    def _apply(
        self, write: Write, resource: TableSchema, by_pkey: Sequence[_Parent], still_ours: Callable[[], None]
    ) -> Outcome:
        links, calls = self._links(by_pkey)
        try:
            outcome = self._campaign.apply(_with_links(write, links), resource, still_ours=still_ours)
        except RecordRefusedError:
            # A PKey that was looked up earlier may be that of a record that is no more.
            if calls == len(by_pkey):
                raise
            self._forget(by_pkey)
            links, more = self._links(by_pkey)
            outcome = self._campaign.apply(_with_links(write, links), resource, still_ours=still_ours)
            calls += more
        return evolve(outcome, calls=outcome.calls + calls)

    def _links(self, by_pkey: Sequence[_Parent]) -> tuple[dict[str, Value], int]:
        """What each link field is given, and how many requests that took."""
        links: dict[str, Value] = {}
        calls = 0
        for parent, resource in by_pkey:
            value = self._pkeys.get(parent.key)
            if value is None:
                value = self._campaign.link_to(resource, parent.rule.key_field, parent.id)
                calls += 1
            if value is None:
                raise RecordRefusedError(
                    f"{parent.key}, which {parent.rule.link.source} points to, is not in Campaign any more.",
                    field=parent.rule.link.source,
                    # A replay would not do: the ledger says that the record is there as it should be.
                    remedy=f"Queue it by reconcile({parent.key.table!r}, queue=True), then retry this record.",
                )
            self._pkeys[parent.key] = links[parent.rule.link.target] = value
        return links, calls

    def _forget(self, by_pkey: Sequence[_Parent]) -> None:
        for parent, _ in by_pkey:
            self._pkeys.pop(parent.key, None)


def _with_links(write: Write, links: dict[str, Value]) -> Write:
    if not links:
        return write
    return evolve(write, create_values={**write.create_values, **links}, update_values={**write.update_values, **links})
