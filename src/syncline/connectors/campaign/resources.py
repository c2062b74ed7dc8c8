"""Which address a resource has: asked of Campaign at run time and remembered for the run.

What lives here: the map of `profileAndServicesExt` and where a resource's metadata is. Never a schema's meaning (see
`metadata`) and never a record.

A resource is exposed in exactly one place: with the profile's extensions under `profileAndServicesExt` when it is
linked to the profile, else under `customResources`. Publishing a link moves it from one to the other, so an address
that stopped answering is asked for again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from syncline.connectors.http import Response
from syncline.errors import ProtocolError

__all__ = ["Metadata", "Resources"]

EXTENDED = "profileAndServicesExt"
BUILT_IN = "profileAndServices"
CUSTOM = "customResources"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
#: Resources that exist without the extended API being published, with the built-in fields only.
_ALWAYS = frozenset({"profile", "service"})

#: Reads an address: the answer, or None for 404.
Read = Callable[[str], Response | None]


@frozen(kw_only=True)
class Metadata:
    """A resource's metadata, and its address: endpoint and resource."""

    path: str
    content: Mapping[str, Any]


class Resources:
    """The resources of one Campaign instance. Thread-safe."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._extended: dict[str, str] | None = None

    def __repr__(self) -> str:
        known = self._extended
        return f"<Resources: {'not asked yet' if known is None else f'{len(known)} extended'}>"

    def forget(self) -> None:
        """Ask Campaign again at the next use."""
        with self._lock:
            self._extended = None

    def extended(self) -> Mapping[str, str]:
        """Name to label of everything under `profileAndServicesExt`; empty while that API is not published."""
        with self._lock:
            if self._extended is None:
                self._extended = self._ask()
            return self._extended

    def metadata(self, resource: str) -> Metadata | None:
        """The resource's metadata as of now, or None when there is no such resource."""
        if not _NAME.fullmatch(resource):
            return None
        found = self._find(resource)
        if found is None:
            self.forget()
            found = self._find(resource)
        return found

    def _find(self, resource: str) -> Metadata | None:
        for endpoint in self._endpoints(resource):
            answer = self._read(f"campaign/{endpoint}/resourceType/{resource}")
            if answer is None:
                continue
            content = answer.json()
            if not isinstance(content, dict):
                raise ProtocolError(f"The metadata of Campaign resource {resource} is no object.")
            if content:
                return Metadata(path=f"{endpoint}/{resource}", content=content)
        return None

    def _endpoints(self, resource: str) -> tuple[str, ...]:
        if resource in _ALWAYS:
            return (EXTENDED, BUILT_IN)
        return (EXTENDED,) if resource in self.extended() else (CUSTOM,)

    def _ask(self) -> dict[str, str]:
        answer = self._read(f"campaign/{EXTENDED}")
        content = answer.json() if answer is not None else {}
        if not isinstance(content, dict):
            raise ProtocolError("Campaign's list of resources is no object.")
        # entries are objects; the map also holds a text named apiName
        entries = {name: entry for name, entry in content.items() if isinstance(entry, dict) and _NAME.fullmatch(name)}
        return {name: label_of(entry, name) for name, entry in entries.items()}


def label_of(entry: Mapping[str, Any], name: str) -> str:
    label = entry.get("label")
    return label if isinstance(label, str) and label else name
