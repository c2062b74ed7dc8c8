"""The pre-flight report: what was looked at before a start, what was found, and what to do about it.

What lives here: frozen values and how they read. The checks themselves belong to each workflow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

from attrs import frozen

from syncline.views.table import Cell, Column, Table

__all__ = ["Check", "CheckReport", "CheckResult"]


class CheckResult(StrEnum):
    """What a check found."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    #: Not possible, because an earlier check failed.
    SKIPPED = "skipped"


@frozen(kw_only=True)
class Check:
    """One thing that was looked at."""

    #: Stable name, such as `contact: change tracking`.
    name: str
    result: CheckResult
    #: What was found.
    detail: str = ""
    #: What a person should do; empty when nothing is needed.
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{_MARKS[self.result]} {self.name}"
        line += f": {self.detail}" if self.detail else ""
        return f"{line}\n    {self.remedy}" if self.remedy else line


_MARKS = {CheckResult.PASSED: "✓", CheckResult.WARNING: "!", CheckResult.FAILED: "✗", CheckResult.SKIPPED: "-"}


@frozen(kw_only=True, repr=False)
class CheckReport:
    """Every check of one pre-flight, in the order they were made. True when a start may follow."""

    checks: tuple[Check, ...]
    #: Resource and field of what Campaign had at the last start, for the mapping of then, and has no more.
    lost: frozenset[tuple[str, str]] = frozenset()

    @property
    def ok(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.result is CheckResult.FAILED)

    @property
    def warnings(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.result is CheckResult.WARNING)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        counts = Counter(check.result.value for check in self.checks)
        told = ", ".join(f"{number} {result}" for result, number in counts.items())
        return f"<CheckReport {'ready' if self.ok else 'not ready'} to start: {told or 'nothing was checked'}>"

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def as_data(self) -> list[dict[str, str]]:
        """Only what JSON knows."""
        return [
            {"name": one.name, "result": one.result.value, "detail": one.detail, "remedy": one.remedy}
            for one in self.checks
        ]

    def to_html(self) -> str:
        """The checks as a table, escaped; needs no script."""
        table = Table(
            caption="Ready to start" if self.ok else "Not ready to start",
            columns=(Column(title="Check"), Column(title="Result"), Column(title="Found"), Column(title="What to do")),
            rows=tuple(
                (Cell(one.name), Cell(f"{_MARKS[one.result]} {one.result.value}"), Cell(one.detail), Cell(one.remedy))
                for one in self.checks
            ),
            empty="nothing was checked",
        )
        return table.to_html()

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        return "\n".join(str(check) for check in self.checks)
