"""PKeys and page positions: opaque `@...` tokens that only the deployment that made them can read.

One record has several PKeys: the one its own address carries and another one in the addresses of its collections,
as seen in published answers. Both are accepted. What never lives here: what a key points at.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from hashlib import blake2b

__all__ = ["PKeys"]

_TAG = 40
_LENGTH = 65
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLAIN = bytes.maketrans(b"-_", b"+/")
_STATES = 1000


class PKeys:
    """Makes and reads tokens with a secret of the deployment; a token of another deployment reads as None."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        #: Half-fed hashes by what they are for: feeding the secret again for each token would cost more than the rest.
        self._states: dict[tuple[bytes, str], blake2b] = {}

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

    def _tag(self, purpose: bytes, scope: str, number: int) -> bytes:
        state = self._states.get((purpose, scope))
        if state is None:
            if len(self._states) >= _STATES:
                self._states.clear()
            state = blake2b(scope.encode(), digest_size=_TAG, key=self._secret, person=purpose)
            self._states[purpose, scope] = state
        state = state.copy()
        state.update(number.to_bytes(8, "big"))
        return state.digest()

    def _seal(self, purpose: bytes, scope: str, number: int) -> str:
        tag = self._tag(purpose, scope, number)
        veiled = int.from_bytes(tag[:8], "big") ^ number
        sealed = b2a_base64(tag + veiled.to_bytes(8, "big"), newline=False)
        return "@" + sealed.translate(_URL_SAFE).decode()

    def _open(self, purpose: bytes, scope: str, token: str) -> int | None:
        if not token.startswith("@") or len(token) != _LENGTH or not token.isascii():
            return None
        try:
            raw = a2b_base64(token[1:].encode().translate(_PLAIN), strict_mode=True)
        except ValueError:
            return None
        number = int.from_bytes(raw[:8], "big") ^ int.from_bytes(raw[_TAG:], "big")
        return number if self._tag(purpose, scope, number) == raw[:_TAG] else None
