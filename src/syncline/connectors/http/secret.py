"""A string that must never be shown.

What lives here: `Secret`, and `SecretBytes` for what is on its way to the wire. Never a place to keep secrets at rest:
nothing here writes anywhere.
"""

from __future__ import annotations

import hmac
from typing import NoReturn, Self

from syncline.errors import DefinitionError

__all__ = ["Secret", "SecretBytes", "check_secret"]


class Secret:
    """A password, token or key. Printing, formatting, pickling or dumping it as JSON never shows the value.

    `reveal()` is the only way to the value, so that a reader can find every place where one leaves the process.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"A secret is a str, not {type(value).__name__}.")
        self.__value = value

    def reveal(self) -> str:
        """The value itself. Do not log, store or put it in an exception."""
        return self.__value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A Secret cannot be pickled or copied out of the process.")


class SecretBytes(bytes):
    """Bytes that hold a secret, such as header lines or a form: error reporters print the locals of every frame."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} secret bytes>"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("Secret bytes cannot be pickled or copied out of the process.")


def check_secret(secret: Secret, path: str) -> None:
    """Raise DefinitionError for what nobody issues as a secret: nothing, or what was copied along with it."""
    value = secret.reveal()
    if not value:
        raise DefinitionError("The secret is empty.", path=path)
    if value != value.strip() or not value.isprintable():
        raise DefinitionError(
            "The secret begins or ends with a blank, or holds a line break or a control character.",
            path=path,
            remedy="Copy it again, without what stands around it.",
        )
