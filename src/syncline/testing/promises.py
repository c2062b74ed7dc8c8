"""Checks as promises: each kept, or known to be broken for a reason that somebody wrote down.

What lives here: how a kit's checks are run where an implementation is known to differ. No check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from attrs import frozen

from syncline.errors import SynclineError

__all__ = ["Promise", "promises"]

_Subject = TypeVar("_Subject")


@frozen
class Promise(Generic[_Subject]):
    """One check and, where the implementation is known to break it, the reason. Call it with a fresh subject."""

    check: Callable[[_Subject], None]
    #: Why the check is expected to fail; empty where it must pass.
    difference: str = ""

    def __str__(self) -> str:
        return self.check.__name__.removeprefix("check_")

    def __call__(self, subject: _Subject) -> None:
        """Run the check. With a known difference it has to fail: what works again leaves the list of differences."""
        if not self.difference:
            self.check(subject)
            return
        try:
            self.check(subject)
        except (AssertionError, NotImplementedError, SynclineError):
            return
        raise AssertionError(f"{self} passes now. Take its difference off the list: {self.difference}")


def promises(
    checks: Sequence[Callable[[_Subject], None]], differences: Mapping[str, str] | None = None
) -> tuple[Promise[_Subject], ...]:
    """The checks of a kit as promises. `differences` maps the name of a check to the reason why it cannot be kept.

    A check that is named there must fail with an AssertionError, a SynclineError, or NotImplementedError where the
    subject cannot arrange what the check asks for. Raises ValueError for a name that no check has and for a reason
    without a word: a difference that nobody can explain is a defect.
    """
    known = {check.__name__ for check in checks}
    reasons = dict(differences or {})
    if unknown := sorted(reasons.keys() - known):
        raise ValueError(f"no check is called {', '.join(unknown)}")
    if silent := sorted(name for name, reason in reasons.items() if not reason.strip()):
        raise ValueError(f"say why: {', '.join(silent)}")
    return tuple(Promise(check, reasons.get(check.__name__, "")) for check in checks)
