"""How much of an answer is accepted.

What lives here: the numbers, and nothing that reads an answer.
"""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import gt

__all__ = ["Limits"]


@frozen(kw_only=True)
class Limits:
    """Bounds on one answer. An answer beyond any of them is refused while it is being read, not afterwards."""

    #: bytes of the body as they come over the wire
    wire_bytes: int = field(default=64 << 20, validator=gt(0))
    #: bytes of the body after gzip is undone
    decoded_bytes: int = field(default=128 << 20, validator=gt(0))
    #: decoded bytes per wire byte, looked at once the body is larger than `ratio_from`; a page of nulls has 50
    ratio: int = field(default=100, validator=gt(0))
    #: decoded bytes below which the ratio does not matter
    ratio_from: int = field(default=8 << 20, validator=gt(0))
    #: header lines
    headers: int = field(default=200, validator=gt(0))
    #: bytes of the status line and all header lines together
    head_bytes: int = field(default=64 << 10, validator=gt(0))
    #: nesting of a JSON answer
    json_depth: int = field(default=64, validator=gt(0))
    #: digits of one number in a JSON answer
    json_digits: int = field(default=1000, validator=gt(0))
