"""PKeys and page positions: opaque `@...` tokens that only the deployment that made them can read.

One record has several PKeys: the one its own address carries and another one in the addresses of its collections,
as seen in published answers. Both are accepted. What never lives here: what a key points at.
"""

from __future__ import annotations

import base64
from hashlib import blake2b

__all__ = ["PKeys"]

_ID = 8
_TAG = 40


class PKeys:
    """Makes and reads tokens with a secret of the deployment; a token of another deployment reads as None."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, resource: str, number: int, *, inside: str = "") -> str:
        """The token for record `number`; `inside` names the collection whose addresses it appears in."""
        return self._seal(b"pkey", f"{resource}/{inside}", number)

    def read(self, resource: str, token: str, *, collections: tuple[str, ...] = ()) -> int | None:
        """The record's number, or None for a token this deployment never made for this resource."""
        for inside in ("", *collections):
            number = self._open(b"pkey", f"{resource}/{inside}", token)
            if number is not None:
                return number
        return None

    def position(self, query: str, number: int) -> str:
        """The `_lineStart` for a query: only good for that same query."""
        return self._seal(b"line", query, number)

    def read_position(self, query: str, token: str) -> int | None:
        return self._open(b"line", query, token)

    def _seal(self, purpose: bytes, scope: str, number: int) -> str:
        plain = number.to_bytes(_ID, "big")
        tag = blake2b(plain + scope.encode(), digest_size=_TAG, key=self._secret, person=purpose).digest()
        veiled = bytes(a ^ b for a, b in zip(plain, tag, strict=False))
        return "@" + base64.urlsafe_b64encode(tag + veiled).decode()

    def _open(self, purpose: bytes, scope: str, token: str) -> int | None:
        if not token.startswith("@") or len(token) != 65:
            return None
        try:
            raw = base64.b64decode(token[1:], altchars=b"-_", validate=True)
        except ValueError:
            return None
        tag, veiled = raw[:_TAG], raw[_TAG:]
        plain = bytes(a ^ b for a, b in zip(veiled, tag, strict=False))
        again = blake2b(plain + scope.encode(), digest_size=_TAG, key=self._secret, person=purpose).digest()
        return int.from_bytes(plain, "big") if again == tag else None
