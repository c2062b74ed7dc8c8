"""Made-up people as Dataverse contact rows: many scripts, messy on purpose, the same for the same seed.

Rows carry what a client could write, so `statecode`, `modifiedon` and the like are there too, and no formatted values.
What never lives here: a real person's data.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["people"]

Row = dict[str, Any]

# Per script: given names, family names, and a Latin stem for the address.
_SCRIPTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("en", ("Emma", "Oliver", "Ava", "Noah", "Isla"), ("Smith", "Jones", "Taylor", "Brown", "O'Brien", "D'Arcy")),
    ("fr", ("Zoé", "François", "Chloé", "Jérôme", "Anaïs"), ("Lefèvre", "Gauthier", "Noël", "L'Hôpital", "Côté")),
    ("de", ("Jürgen", "Käthe", "Günther", "Zoë", "Sören"), ("Müller", "Weiß", "Größe", "Schröder", "von der Heide")),
    ("es", ("José", "Íñigo", "Ángela", "Begoña", "María José"), ("Núñez", "Ibáñez", "García-Peña", "Ruíz", "Güell")),
    ("pl", ("Łukasz", "Żaneta", "Małgorzata", "Zdzisław"), ("Wiśniewski", "Dąbrowska", "Żółć", "Święcicki")),
    ("tr", ("Işık", "İpek", "Çağla", "Oğuz"), ("Yıldız", "Şahin", "Öztürk", "Güneş")),  # noqa: RUF001  (Turkish)
    ("vi", ("Nguyễn", "Trần", "Phạm"), ("Thị Hồng", "Văn Đức", "Ngọc Ánh")),
    ("ru", ("Алексей", "Наталья", "Фёдор", "Юлия"), ("Иванова", "Щербаков", "Объедков", "Соловьёв")),
    ("uk", ("Єва", "Ґалаґан", "Їжак", "Олексій"), ("Шевченко", "Кириленко", "Ющенко")),
    ("el", ("Ιωάννης", "Ελένη", "Οδυσσέας"), ("Παπαδόπουλος", "Οικονόμου", "Αγγελίδης")),
    ("ar", ("محمد", "فاطمة", "عبد الله"), ("الهاشمي", "بن علي", "الزهراء")),
    ("he", ("דוד", "שרה", "יוסף"), ("כהן", "לוי", "בן-דוד")),
    ("hi", ("आरव", "प्रिया", "श्रीनिवास"), ("शर्मा", "गुप्ता", "चौधरी")),
    ("th", ("สมชาย", "สุดารัตน์", "ปิยะ"), ("ใจดี", "ศรีสุข", "วงศ์สวัสดิ์")),
    ("zh", ("伟", "秀英", "小明"), ("王", "欧阳", "李")),
    ("ja", ("太郎", "さくら", "ユウキ"), ("佐藤", "髙橋", "𠮷田")),
    ("ko", ("민준", "서연", "지우"), ("김", "박", "최")),
)
_PLAIN = _SCRIPTS[:6]
_LONG_GIVEN = (
    "Maximiliana Wilhelmina Alexandrina",
    "Jean-Baptiste Emmanuel Zorg Philippe",
    "Wolfeschlegelsteinhausenbergerdorffwelche voralten",
    "พระบาทสมเด็จพระปรมินทรมหาภูมิพลอดุลยเดช",
)
_ODD_GIVEN = (
    "Anna 🌸",
    'Robert "Bob"',
    "Back\\slash",
    "Line\tTab",
    "<b>Bold</b>",
    "=1+1",
    "null",
    "👩‍👩‍👧‍👦",
    "İ",
    "ﬁne",
)
_STREETS = ("Main Street", "Rue de l'Église", "Königstraße", "ул. Ленина", "Calle Ñandú", "中山路", "شارع النيل")
_CITIES = (
    ("London", "SW1A 1AA", "United Kingdom"),
    ("Paris", "75001", "France"),
    ("München", "80331", "Germany"),
    ("Łódź", "90-001", "Poland"),
    ("São Paulo", "01000-000", "Brazil"),
    ("東京都", "100-0001", "Japan"),
    ("Αθήνα", "105 57", "Greece"),
)
_TITLES = ("Mr", "Mrs", "Ms", "Dr", "Prof. Dr.", None, None, None)
_JOBS = ("Engineer", "Teacher", "Owner", "R&D lead", "Chef de cuisine", None, None)
_DOMAINS = ("example.com", "example.org", "example.net", "mail.example.co.uk", "bücher.example")
_DONOT = ("donotemail", "donotbulkemail", "donotphone", "donotfax", "donotpostalmail", "donotsendmm")


def people(count: int, seed: int = 1, *, clean: bool = False) -> Iterator[Row]:
    """`count` contact rows, the same for the same seed whatever the count.

    With `clean` every row fits Campaign's default profile: first names of at most 30 characters, addresses in plain
    ASCII, no control characters, no address used twice.
    """
    draw = random.Random(f"people {seed}")  # noqa: S311  (repeatable on purpose)
    for number in range(count):
        yield _person(draw, number, clean)


def _person(draw: random.Random, number: int, clean: bool) -> Row:
    bits = draw.getrandbits(192)
    guid = _guid(bits & (1 << 128) - 1)
    dice = bits >> 128
    pick = _picker(dice)
    script, given, family = _SCRIPTS[pick(len(_SCRIPTS))] if pick(4) else _PLAIN[pick(len(_PLAIN))]
    first: str | None = given[pick(len(given))]
    last: str | None = family[pick(len(family))]
    oddity = pick(64)
    if oddity < 12:
        first, last = _odd(oddity, first, last, number, clean)
    city, postal_code, country = _CITIES[pick(len(_CITIES))]
    flags = dice >> 40
    row: Row = {
        "contactid": guid,
        "firstname": first,
        "lastname": last,
        "middlename": given[pick(len(given))] if flags & 7 == 0 else None,
        "salutation": _TITLES[pick(len(_TITLES))],
        "jobtitle": _JOBS[pick(len(_JOBS))],
        "emailaddress1": _email(script, number, pick, clean),
        "telephone1": f"+{pick(90) + 10} {pick(900) + 100} {number % 1_000_000:06d}" if flags & 8 else None,
        "mobilephone": f"0{pick(900) + 100}-{number % 10_000_000:07d}" if flags & 16 else None,
        "fax": None if flags & 0xE0 else f"(0){pick(90) + 10}/{number % 100_000}",
        "birthdate": _birthdate(pick),
        "gendercode": (1, 2, None)[pick(3)],
        "preferredcontactmethodcode": (1, 2, 3, 4, 5)[pick(5)],
        "address1_line1": f"{pick(300) + 1} {_STREETS[pick(len(_STREETS))]}" if flags & 0x100 else None,
        "address1_city": city if flags & 0x600 else None,
        "address1_postalcode": postal_code if flags & 0x600 else None,
        "address1_country": country if flags & 0x600 else None,
        "numberofchildren": pick(5) if flags & 0x800 else None,
        "creditlimit": pick(100_000) / 100 if flags & 0x3000 == 0 else None,
        "statecode": 0,
        "statuscode": 1,
    }
    if pick(20) == 0:
        row["statecode"], row["statuscode"] = 1, 2
    outs = dice >> 54
    for place, name in enumerate(_DONOT):
        row[name] = bool(outs >> place & outs >> 6 & outs >> 7 & 1)
    return row


def _picker(dice: int) -> Callable[[int], int]:
    """Small random numbers out of one big one: far cheaper than asking the generator for each."""
    state = dice | 1

    def pick(sides: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return (state >> 33) % sides

    return pick


def _guid(bits: int) -> str:
    """A version 4 GUID out of 128 random bits."""
    bits = bits & ~(0xF000 << 64) | 0x4000 << 64
    text = f"{bits & ~(0xC000 << 48) | 0x8000 << 48:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _odd(oddity: int, first: str | None, last: str | None, number: int, clean: bool) -> tuple[str | None, str | None]:
    """One person in five is a nuisance."""
    if oddity == 0:
        return first, None if not clean else last
    if oddity == 1:
        return None, last
    if oddity == 2:
        return f"  {first} ", f"{last}  "
    if oddity == 3:
        return unicodedata.normalize("NFD", first or ""), unicodedata.normalize("NFD", last or "")
    if oddity == 4:
        return unicodedata.normalize("NFC", first or ""), unicodedata.normalize("NFC", last or "")
    if oddity == 5:
        return first, f"{last}-{'Wolfeschlegelsteinhausenbergerdorff'[: 48 - len(last or '')]}"
    if oddity < 8 and not clean:
        return _LONG_GIVEN[number % len(_LONG_GIVEN)][:50], last
    odd = _ODD_GIVEN[number % len(_ODD_GIVEN)]
    return odd.replace("\t", " ") if clean else odd, last


def _email(script: str, number: int, pick: Callable[[int], int], clean: bool) -> str | None:
    if clean:
        return f"{script}.{number}@example.com"
    kind = pick(40)
    if kind == 0:
        return None
    if kind == 1:
        return f"shared.{number % 50}@example.com"
    if kind == 2:
        return f"{script.upper()}.Person+Tag.{number}@Example.COM"
    if kind == 3:
        return f"o'{script}.{number}@example.org"
    return f"{script}.{number}@{_DOMAINS[pick(len(_DOMAINS))]}"


def _birthdate(pick: Callable[[int], int]) -> str | None:
    kind = pick(50)
    if kind < 12:
        return None
    if kind == 12:
        return "1753-01-01"
    if kind == 13:
        return "2000-02-29"
    return f"{1900 + pick(121)}-{pick(12) + 1:02d}-{pick(28) + 1:02d}"
