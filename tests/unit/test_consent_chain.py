"""The decision record as a chain: whatever is done to it by hand is found, and an erasure breaks nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from syncline.consent import ChainCheck, ChainWalk, RecordEntry, Seal, content_of, erasure_text, link_of

Entries = list[RecordEntry]


def chain(texts: Sequence[tuple[str | None, str]]) -> Entries:
    """Entries about people, in this order; about nobody where the person is None."""
    entries: Entries = []
    link = b""
    for place, (person, text) in enumerate(texts, 1):
        salt = bytes([place])
        content = content_of(salt, text)
        link = link_of(link, place, content)
        entries.append(RecordEntry(place=place, text=text, salt=salt, content=content, link=link, person=person))
    return entries


def decisions(*people: str) -> list[tuple[str | None, str]]:
    return [(one, json.dumps({"person": one, "number": number})) for number, one in enumerate(people)]


def walked(entries: Entries, seal: Seal | None = None) -> ChainCheck:
    walk = ChainWalk()
    for entry in entries:
        walk.follow(entry)
        if walk.broken:
            break
    last = entries[-1] if entries else None
    return walk.end(seal or (Seal() if last is None else Seal(place=last.place, link=last.link)))


FIVE = chain(decisions("ann", "bob", "ann", "eve", "bob"))
SEAL = Seal(place=5, link=FIVE[-1].link)


def test_a_record_nobody_touched_is_whole() -> None:
    """Also an empty one."""
    assert walked([]).ok
    found = walked(FIVE, SEAL)
    assert (found.ok, found.entries, found.erased, found.seal) == (True, 5, 0, SEAL)
    assert f"5 entries, 0 erased, seal 5:{SEAL.link.hex()}" in str(found)


def _again(entry: RecordEntry, before: bytes, **changes: Any) -> RecordEntry:
    """The entry with another text and hashes that fit it."""
    changed = evolve(entry, **changes)
    content = content_of(changed.salt, changed.text or "")
    return evolve(changed, content=content, link=link_of(before, changed.place, content))


@pytest.mark.parametrize(
    ("tamper", "place", "why"),
    [
        (lambda e: [e[0], evolve(e[1], text=e[1].text.replace("bob", "bop")), *e[2:]], 2, "text was changed"),
        (lambda e: [*e[:2], evolve(e[2], person="eve"), *e[3:]], 3, "somebody else"),
        (lambda e: [*e[:1], *e[2:]], 3, "missing"),
        (lambda e: e[1:], 2, "missing"),
        (lambda e: e[:-1], 5, "ends before it"),
        (lambda e: e[:0], 1, "ends before it"),
        (lambda e: [*e[:1], evolve(e[2], place=2), evolve(e[1], place=3), *e[3:]], 2, "does not follow"),
        (lambda e: [e[0], evolve(e[1], text=None, salt=b"", person=None), *e[2:]], 2, "nothing says"),
        (lambda e: [e[0], _again(e[1], e[0].link, text='{"person": "bob"}'), *e[2:]], 3, "does not follow"),
        (lambda e: [*e[:4], _again(e[4], e[3].link, text='{"person": "bob"}')], 6, "should be"),
        (lambda e: [*e, evolve(e[4], place=6)], 6, "does not follow"),
    ],
    ids=["text", "person", "out", "first", "last", "all", "swapped", "blank", "made anew", "last anew", "added"],
)
def test_what_was_done_by_hand_is_found(tamper: Callable[[Entries], Entries], place: int, why: str) -> None:
    """S-18: the first entry that does not fit is named, with what is wrong."""
    found = walked(tamper(list(FIVE)), SEAL)
    assert (found.ok, found.broken_at) == (False, place)
    assert why in found.why
    assert f"tampered with at entry {place}" in str(found)


def test_an_erasure_is_no_break() -> None:
    """X11: text and salt go, and an entry that names the place follows; one that comes before does not count."""
    told = [*decisions("ann", "bob"), (None, erasure_text([2])), *decisions("eve")]
    erased = chain(told)
    erased[1] = evolve(erased[1], text=None, salt=b"", person=None)
    found = walked(erased)
    assert (found.ok, found.entries, found.erased) == (True, 4, 1)
    erased[3] = evolve(erased[3], text=None, salt=b"", person=None)
    assert walked(erased).broken_at == 4


@given(st.data())
def test_no_change_of_a_single_entry_goes_unseen(data: st.DataObject) -> None:
    """Whatever field of whatever entry is given another value."""
    entries = chain(decisions(*data.draw(st.lists(st.sampled_from(["ann", "bob"]), min_size=1, max_size=6))))
    seal = Seal(place=len(entries), link=entries[-1].link)
    index = data.draw(st.integers(0, len(entries) - 1))
    name: str = data.draw(st.sampled_from(["text", "salt", "content", "link", "person", "place"]))
    old = getattr(entries[index], name)
    values = {"text": st.text(), "person": st.text(), "place": st.integers(1, 9)}.get(name, st.binary())
    changes: dict[str, Any] = {name: data.draw(values.filter(lambda new: new != old))}
    entries[index] = evolve(entries[index], **changes)
    assert not walked(entries, seal).ok
