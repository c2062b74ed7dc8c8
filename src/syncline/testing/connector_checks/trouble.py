"""What can go wrong between a connector and its service, and how a far side like the sandbox's is told to do it.

What lives here: the kinds of trouble a subject arranges, and what a write says of each. No check.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from syncline.errors import (
    AmbiguousWriteError,
    ProtocolError,
    RetryLaterError,
    SynclineError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["FAULTS", "WAIT", "WRITES_SAY", "Trouble"]

#: Seconds of silence that a service asks for in the checks: so many that a slow machine is still inside them.
WAIT: Final = 600


class Trouble(StrEnum):
    """What every request about data meets while it lasts. Signing in goes on as usual."""

    WAIT_SECONDS = "429 with the wait in seconds"
    WAIT_DATE = "429 with a date to wait for"
    WAIT_UNTOLD = "429 that names no time"
    AWAY = "503 and nothing else"
    CUT = "the connection ends before the service has looked at the request"
    NO_ANSWER = "the service does what is asked, and the connection ends before the answer"
    NONSENSE = "a page to log in on, with status 200"
    ELSEWHERE = "a redirect to another address"


#: Arguments of `add_fault` for each trouble, for a far side that is served by `syncline.sandbox`.
FAULTS: Final[Mapping[Trouble, Mapping[str, Any]]] = {
    Trouble.WAIT_SECONDS: {"action": "throttle", "retry_after": WAIT},
    Trouble.WAIT_DATE: {"action": "throttle", "retry_after": WAIT, "form": "date"},
    Trouble.WAIT_UNTOLD: {"action": "throttle", "form": "absent"},
    Trouble.AWAY: {"action": "fail", "status": 503},
    Trouble.CUT: {"action": "cut"},
    Trouble.NO_ANSWER: {"action": "applied"},
    Trouble.NONSENSE: {"action": "login_page"},
    Trouble.ELSEWHERE: {"action": "redirect"},
}

#: With which errors a write to Dynamics that met the trouble ends.
WRITES_SAY: Final[Mapping[Trouble, tuple[type[SynclineError], ...]]] = {
    Trouble.WAIT_SECONDS: (ThrottledError,),
    Trouble.WAIT_DATE: (ThrottledError,),
    Trouble.WAIT_UNTOLD: (ThrottledError,),
    Trouble.AWAY: (UnavailableError, AmbiguousWriteError),
    Trouble.CUT: (AmbiguousWriteError,),
    Trouble.NO_ANSWER: (AmbiguousWriteError,),
    Trouble.NONSENSE: (RetryLaterError, ProtocolError),
    Trouble.ELSEWHERE: (RetryLaterError, ProtocolError),
}
