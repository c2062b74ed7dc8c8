"""Forgetting a person: what a host asks of an integration, or of any of its workflows.

What lives here: the step from a contact's id to `Storage.forget`. What is removed is the storage's contract.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from syncline.definitions import opt_out_field
from syncline.erasure import Erased
from syncline.errors import DefinitionError
from syncline.scopes import workflow_name
from syncline.store import ActionEntry, Storage

__all__ = ["forget"]

#: Workflows whose queued records came once and cannot be asked for again.
_CANNOT_READ_AGAIN: Final = ("egress",)
_is_guid: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


def forget(storage: Storage, integration: str, contact_id: str, *, opted_out: Collection[str], by: str) -> Erased:
    """See `Integration.forget`."""
    person = contact_id.strip().strip("{}")
    if not person:
        raise DefinitionError("the id of a contact is needed here", path="contact_id")
    return storage.forget(
        integration,
        person.lower() if _is_guid(person.lower()) else person,
        # The history outlives the person and names nobody.
        ActionEntry(at=storage.now(), action="forget", by=by),
        opted_out=[_channel(name) for name in opted_out],
        cannot_read_again=[workflow_name(integration, kind) for kind in _CANNOT_READ_AGAIN],
    )


def _channel(name: str) -> str:
    found = opt_out_field(name)
    if found is None:
        raise DefinitionError(f"{name} is not one of Campaign's opt-out fields", path="opted_out")
    return found
