"""What the checks of both sides work on: a far side, a connector in front of it, and trouble between them.

What lives here: what an author supplies for either side, and short words for what checks say often. No check.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from syncline.connectors.base import Connector
from syncline.errors import LeaseLostError, SynclineError
from syncline.retries import retries_off
from syncline.testing.clocks import JumpingClock
from syncline.testing.connector_checks.trouble import Trouble

__all__ = ["PRIVATE", "ConnectorSubject", "lost", "ours"]

_Error = TypeVar("_Error", bound=SynclineError)

#: Two texts that the checks write as values of records. No error may repeat them.
PRIVATE: Final = ("Zsófia O'Neill", "Quist & Söhne")


def ours() -> None:
    """This process may write."""


def lost() -> None:
    """Another process took over: this one may not write any more."""
    raise LeaseLostError("Another process took over.")


class ConnectorSubject(ABC):
    """A far side as good as new, with a connector in front of it that nobody has used yet. One for every check.

    A method that the far side has no way for stays as it is and raises NotImplementedError; the checks that need it are
    then known differences, each with its reason (see `syncline.testing.promises`).
    """

    def __init__(self) -> None:
        #: The time that the connector goes by. Give it to the connector: the checks let it pass.
        self.clock = JumpingClock()

    @property
    @abstractmethod
    def connector(self) -> Connector:
        """The connector under test; the same one each time."""

    @abstractmethod
    def another(self) -> Connector:
        """A new connector to the same environment, as another process would make it."""

    @abstractmethod
    def ask(self) -> object:
        """The simplest question about data: one request, or a few. Its answer is the same each time."""

    @property
    @abstractmethod
    def secrets(self) -> Collection[str]:
        """What nobody may ever read: passwords, keys and tokens that the connector was given."""

    @abstractmethod
    def requests(self) -> int:
        """How many requests have reached the far side, whatever became of them."""

    @abstractmethod
    def begin(self, trouble: Trouble) -> None:
        """From now on every request about data meets this."""

    @abstractmethod
    def calm(self) -> None:
        """The trouble is over."""

    def stranger(self) -> Connector:
        """A connector with credentials that the service does not know."""
        raise NotImplementedError

    def expire_access(self) -> None:
        """The service forgets every token that it gave."""
        raise NotImplementedError

    # -- for the checks -----------------------------------------------------------------------------------------------

    @contextmanager
    def meeting(self, trouble: Trouble) -> Iterator[None]:
        """While this lasts there is trouble, and nothing is tried twice in one go."""
        with retries_off():
            self.begin(trouble)
            try:
                yield
            finally:
                self.calm()

    def refused(self, kind: type[_Error] | tuple[type[_Error], ...], act: Callable[[], object]) -> _Error:
        """The error of this kind that `act` ends in, which tells no value and no secret."""
        try:
            act()
        except kind as error:
            self.tells_nothing(error)
            return error
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise AssertionError(f"it ended well, and not in {' or '.join(one.__name__ for one in kinds)}")

    def tells_nothing(self, told: object) -> None:
        """Neither it, nor the errors behind it that a log would show, repeat a value or a secret."""
        while told is not None:
            for word in (*PRIVATE, *self.secrets):
                for text in (str(told), repr(told), getattr(told, "remedy", "")):
                    assert word not in text, f"a {type(told).__name__} tells a value or a secret"
            shown = getattr(told, "__cause__", None)
            if shown is None and not getattr(told, "__suppress_context__", True):
                shown = getattr(told, "__context__", None)
            told = shown
