"""Records that wait for the record they point to: values.

What lives here: `Parent`, what the storage knows of a record that others wait for. Whether a record waits at all is for
the workflow; that its wait survives a crash and ends in the transaction that ends its reason is for the storage.
"""

from __future__ import annotations

from attrs import frozen

from syncline.backlog import ItemState
from syncline.records import RecordKey

__all__ = ["Parent"]


@frozen(kw_only=True)
class Parent:
    """What is known of a record that another one points to."""

    key: RecordKey
    #: The ledger knows it, and with which values.
    known: bool = False
    #: The ledger knows that it may be at the target, and not with which values.
    doubted: bool = False
    #: Where its row stands in the queue; None when it is not queued.
    state: ItemState | None = None
    #: What is queued for it is a deletion.
    deleting: bool = False
    #: It has an open dead letter.
    dead: bool = False
