"""Checks of a pre-flight as they are made, one after the other.

What lives here: `CheckList`, on which every workflow's pre-flight notes what it found. What is looked at is for them.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from syncline.errors import RetryLaterError, SynclineError
from syncline.workflows.checks import Check, CheckReport, CheckResult

__all__ = ["CheckList"]


@define(kw_only=True)
class CheckList:
    """What was looked at so far."""

    checks: list[Check] = field(factory=list)

    def passed(self, name: str, detail: str = "") -> None:
        self.checks.append(Check(name=name, result=CheckResult.PASSED, detail=detail))

    def warned(self, name: str, detail: str, remedy: str) -> None:
        self.checks.append(Check(name=name, result=CheckResult.WARNING, detail=detail, remedy=remedy))

    def failed(self, name: str, detail: str, remedy: str) -> None:
        self.checks.append(Check(name=name, result=CheckResult.FAILED, detail=detail, remedy=remedy))

    def skipped(self, name: str, because: str) -> None:
        self.checks.append(Check(name=name, result=CheckResult.SKIPPED, detail=because))

    def access(self, name: str, ask: Callable[[], None]) -> bool:
        """Ask a service whether the credentials are good; False when it says why not. Raises RetryLaterError."""
        try:
            ask()
        except RetryLaterError:
            raise
        except SynclineError as error:
            self.failed(name, error.message, error.remedy)
            return False
        self.passed(name)
        return True

    def report(self) -> CheckReport:
        return CheckReport(checks=tuple(self.checks))
