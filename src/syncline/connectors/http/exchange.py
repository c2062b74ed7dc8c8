"""One request and its answer, as the client and the ways to send see them.

What lives here: the values that pass between `HttpClient` and whatever moves the bytes, and the one internal error.
`ExchangeError` never leaves this folder: the client turns it into an error of `syncline.errors`, since only the client
knows whether the request was a write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple, Protocol

from syncline.connectors.http.gzip_body import BodyTooLargeError, decode
from syncline.connectors.http.limits import Limits
from syncline.connectors.http.secret import SecretBytes
from syncline.connectors.http.trusted_url import Origin

__all__ = ["Answer", "Exchange", "ExchangeError", "Headers", "Trouble", "WireRequest", "decoded"]


class Trouble(Enum):
    """What went wrong on the way."""

    UNREACHABLE = "could not be reached"
    CUT = "broke the connection off"
    TIMEOUT = "did not answer in time"
    TLS = "could not prove who it is"
    MALFORMED = "sent an answer that is not HTTP"
    TOO_LARGE = "sent an answer beyond the limits"
    BUSY = "could not be asked: every connection is in use"


class ExchangeError(Exception):
    """A request without a usable answer. `sent` says whether the whole request may have reached the service."""

    def __init__(self, trouble: Trouble, detail: str = "", *, sent: bool) -> None:
        super().__init__(f"{trouble.value}{f' ({detail})' if detail else ''}")
        self.trouble = trouble
        self.sent = sent


class Headers(Mapping[str, str]):
    """Headers of an answer; names are looked up without regard to case. Repeated ones are joined with a comma."""

    __slots__ = ("_values",)

    def __init__(self, lowered: dict[str, str]) -> None:
        self._values = lowered

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Headers: {', '.join(sorted(self._values))}>"


class WireRequest(NamedTuple):
    """A request that is ready to go: `head` holds every header line but Host and Content-Length."""

    method: str
    origin: Origin
    target: str
    head: SecretBytes
    body: bytes | None

    def __repr__(self) -> str:
        return f"<WireRequest {self.method} to {self.origin}>"  # target and body may hold a record's values


class Answer(NamedTuple):
    """An answer: names of headers in lower case, body decoded."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status} with {len(self.body)} bytes>"  # headers and body may repeat a record


def decoded(answer: Answer, limits: Limits) -> Answer:
    """The answer with its content encoding undone; raises `ExchangeError` where that cannot be done within limits."""
    encoding = answer.headers.get("content-encoding")
    if encoding is None:
        return answer
    try:
        return answer._replace(body=decode(answer.body, encoding, limits))
    except BodyTooLargeError:
        raise ExchangeError(Trouble.TOO_LARGE, "decoded body", sent=True) from None
    except ValueError as error:
        raise ExchangeError(Trouble.MALFORMED, str(error), sent=True) from None


class Exchange(Protocol):
    """Moves one request and its answer."""

    def send(self, request: WireRequest, timeout: float, before_sending: Callable[[], None]) -> Answer:
        """Return the answer within `timeout` seconds in all, or raise `ExchangeError`. Never sends twice.

        `before_sending` runs when a connection is ready, right before the first byte; what it raises calls the request
        off.
        """

    def close(self) -> None:
        """Let go of every connection; a request under way ends on its own, and a later one opens new ones."""
