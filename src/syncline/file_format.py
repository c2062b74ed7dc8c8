"""How exported files are written down: what stands between columns, around texts, and in which encoding.

What lives here: `FileFormat`, a part of definitions. What the columns mean is for the definition that has them. No I/O.
"""

from __future__ import annotations

import codecs
from typing import Any

from attrs import Attribute, field, frozen

from syncline.errors import DefinitionError

__all__ = ["FileFormat"]

#: Every byte that a reader looks for must mean the same in the encoding.
_STRUCTURE = "\r\n\t !#$%&'*+,-./:;<=>?^_`|~\"0"


def _one_character(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0" or value.isalnum():
        raise DefinitionError("one character is needed here: no letter, digit or line end", path=attribute.name)


def _quote(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value != "":
        _one_character(instance, attribute, value)


def _encoding(_instance: object, attribute: Attribute[Any], value: object) -> None:
    try:
        if not isinstance(value, str):
            raise LookupError
        codecs.lookup(value)
        readable = _STRUCTURE.encode(value) == _STRUCTURE.encode("ascii")
    except (LookupError, ValueError):
        raise DefinitionError(
            "this encoding is not known", path=attribute.name, remedy="Use a name such as utf-8 or cp1252."
        ) from None
    if not readable:
        raise DefinitionError(
            "files in this encoding cannot be read line by line",
            path=attribute.name,
            remedy="Export as UTF-8, or as a national encoding that contains ASCII.",
        )


@frozen(kw_only=True)
class FileFormat:
    """How the rows of an exported file are written. The first row names the columns.

    Lines end with a line feed, with or without a carriage return. A byte order mark is passed over. Whether a file is
    compressed with gzip is seen from its first bytes.
    """

    #: What stands between two columns: one ASCII character, such as `,` or `;` or a tab.
    delimiter: str = field(default=",", validator=_one_character)
    #: What stands around a text that holds the delimiter or a line end; within it, it is doubled. Empty: nothing does.
    quote: str = field(default='"', validator=_quote)
    #: The name of a text encoding that contains ASCII.
    encoding: str = field(default="utf-8", validator=_encoding)

    def __attrs_post_init__(self) -> None:
        if self.delimiter == self.quote:
            raise DefinitionError("the delimiter and the quote must differ", path="quote")
