"""The decision record as a chain: each entry carries a hash of its content and of all entries before it.

What lives here: how hashes are made, and the walk that finds the first entry that does not fit. Pure. In words that
need no Syncline to check:

- content = SHA-256 of the salt and the text, in UTF-8;
- link = SHA-256 of the link before it (nothing at the first), the place as eight bytes, big end first, and content.

A text that was erased leaves its place, content and link behind, and a later entry names that place. Without the salt,
which is erased too, nobody can find out by trying what the text was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from attrs import field, frozen

__all__ = ["ChainCheck", "ChainWalk", "RecordEntry", "Seal", "content_of", "erasure_text", "link_of"]


@frozen(kw_only=True)
class RecordEntry:
    """One entry of the decision record as it is stored."""

    #: 1 for the first of an integration; none is left out.
    place: int
    #: JSON: a decision, or the places that were erased. None: erased.
    text: str | None = field(repr=False)
    salt: bytes = field(repr=False)
    content: bytes = field(repr=False)
    link: bytes = field(repr=False)
    #: The contact that the entry is found by; None where it is about nobody.
    person: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Seal:
    """Where the record ends: kept elsewhere, it proves later that nothing before it was changed."""

    #: Entries so far.
    place: int = 0
    #: The last link; empty where there is none.
    link: bytes = b""

    def __str__(self) -> str:
        return f"{self.place}:{self.link.hex()}"


@frozen(kw_only=True)
class ChainCheck:
    """What became of checking the decision record."""

    entries: int
    #: Entries whose text was erased, each named by a later entry.
    erased: int
    #: The link at the end of what is whole.
    seal: Seal
    #: The place of the first entry that does not fit; None when all do.
    broken_at: int | None = None
    #: What does not fit there.
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether the record is whole."""
        return self.broken_at is None

    def __str__(self) -> str:
        if self.ok:
            return f"The decision record is whole: {self.entries:,} entries, {self.erased:,} erased, seal {self.seal}"
        return f"The decision record was tampered with at entry {self.broken_at:,}: {self.why}"


def content_of(salt: bytes, text: str) -> bytes:
    """The hash of a text."""
    return sha256(salt + text.encode("utf-8", "surrogatepass")).digest()


def link_of(before: bytes, place: int, content: bytes) -> bytes:
    """The hash that an entry carries."""
    return sha256(before + place.to_bytes(8, "big") + content).digest()


def erasure_text(places: Iterable[int]) -> str:
    """The text of the entry that names erased ones."""
    return json.dumps({"erased": sorted(places)})


class ChainWalk:
    """Goes through the record from its first entry, and says at the end what was found."""

    def __init__(self) -> None:
        self._seal = Seal()
        self._erased = 0
        #: Places without a text that no later entry has named yet.
        self._blank: dict[int, None] = {}
        self._broken: tuple[int, str] | None = None

    @property
    def place(self) -> int:
        """How far it came."""
        return self._seal.place

    @property
    def broken(self) -> bool:
        """Whether an entry does not fit; what follows it proves nothing."""
        return self._broken is not None

    def follow(self, entry: RecordEntry) -> None:
        """Take up the next entry."""
        why = self._wrong(entry)
        if why:
            self._broken = entry.place, why
            return
        self._seal = Seal(place=entry.place, link=entry.link)
        if entry.text is None:
            self._erased += 1
            self._blank[entry.place] = None
            return
        for place in _erases(entry):
            self._blank.pop(place, None)

    def doubt(self, place: int, why: str) -> None:
        """Something else than the chain speaks against an entry."""
        if self._broken is None:
            self._broken = place, why

    def _wrong(self, entry: RecordEntry) -> str:
        if entry.place != self._seal.place + 1:
            return f"the entry before it is {self._seal.place:,}: what stood between them is missing"
        if link_of(self._seal.link, entry.place, entry.content) != entry.link:
            return "its hash does not follow from the entry before it"
        if entry.text is None:
            return ""
        if content_of(entry.salt, entry.text) != entry.content:
            return "its text was changed"
        return "" if _told(entry).get("person") == entry.person else "it was put down to somebody else"

    def end(self, seal: Seal) -> ChainCheck:
        """What was found, given where the storage says that the record ends."""
        if self._broken is None and seal != self._seal:
            self._broken = self._seal.place + 1, f"the record ends before it, and where it ends should be {seal}"
        if self._broken is None and self._blank:
            self._broken = min(self._blank), "its text is gone and nothing says that it was erased"
        place, why = self._broken or (None, "")
        return ChainCheck(entries=self._seal.place, erased=self._erased, seal=self._seal, broken_at=place, why=why)


def _erases(entry: RecordEntry) -> list[int]:
    return (
        [] if entry.person is not None else [place for place in _told(entry).get("erased", ()) if place < entry.place]
    )


def _told(entry: RecordEntry) -> dict[str, Any]:
    told = json.loads(entry.text or "{}")
    return told if isinstance(told, dict) else {}
