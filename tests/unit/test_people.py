"""Made-up people are repeatable, messy where asked, and harmless where not."""

from __future__ import annotations

import re
import unicodedata
from itertools import islice
from uuid import UUID

from syncline.sandbox import people

MANY = 4000


def test_same_seed_same_people() -> None:
    """The same seed gives the same people, and a smaller count is the beginning of a larger one."""
    assert list(people(50, seed=7)) == list(islice(people(MANY, seed=7), 50))


def test_other_seed_other_people() -> None:
    """Two seeds share no id."""
    first = {row["contactid"] for row in people(MANY, seed=1)}
    second = {row["contactid"] for row in people(MANY, seed=2)}
    assert len(first) == len(second) == MANY
    assert not first & second


def test_ids_are_guids() -> None:
    """Every id is a lower-case GUID of version 4."""
    for row in people(200):
        parsed = UUID(row["contactid"])
        assert str(parsed) == row["contactid"]
        assert parsed.version == 4


def test_many_scripts() -> None:
    """Latin with accents, Cyrillic, Greek, Arabic, Hebrew, Devanagari, Thai and the three of East Asia all occur."""
    letters = {character for row in people(MANY) for character in (row["firstname"] or "") + (row["lastname"] or "")}
    scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in letters if letter.isalpha()}
    expected = {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "THAI", "CJK", "HIRAGANA", "HANGUL"}
    assert expected <= scripts


def test_the_nuisances_occur() -> None:
    """Null names, long first names, spaces at the ends, quotes, backslashes, emoji, and decomposed letters occur."""
    firsts = [row["firstname"] for row in people(MANY)]
    names = [first for first in firsts if first is not None]
    assert len(names) < len(firsts)
    assert max(map(len, names)) in range(31, 51)
    assert any(name != name.strip() for name in names)
    for nuisance in ('"', "\\", "🌸", "\t"):
        assert any(nuisance in name for name in names), nuisance
    assert any(not unicodedata.is_normalized("NFC", name) for name in names)
    assert any("'" in (row["lastname"] or "") for row in people(MANY))


def test_values_that_matter_to_a_mapping_occur() -> None:
    """Inactive people, every gender and none, old and missing birthdays, opt-outs, and addresses used twice occur."""
    rows = list(people(MANY))
    assert {row["statecode"] for row in rows} == {0, 1}
    assert {row["gendercode"] for row in rows} == {1, 2, None}
    birthdays = {row["birthdate"] for row in rows}
    assert {None, "1753-01-01", "2000-02-29"} <= birthdays
    assert {row["donotbulkemail"] for row in rows} == {True, False}
    addresses = [row["emailaddress1"] for row in rows if row["emailaddress1"]]
    assert len(set(addresses)) < len(addresses) < len(rows)


def test_lengths_fit_dataverse() -> None:
    """No first or last name is longer than the 50 characters a contact holds."""
    for row in people(MANY):
        assert len(row["firstname"] or "") <= 50
        assert len(row["lastname"] or "") <= 50


def test_clean_people_fit_campaign() -> None:
    """With `clean` every first name has at most 30 characters, and every address is plain, valid and used once."""
    rows = list(people(MANY, clean=True))
    addresses = [row["emailaddress1"] for row in rows]
    assert len(set(addresses)) == MANY
    for row in rows:
        assert len(row["firstname"] or "") <= 30
        assert re.fullmatch(r"[a-z.0-9]+@example\.com", row["emailaddress1"])
        assert not any(unicodedata.category(character) == "Cc" for character in row["firstname"] or "")
