"""What every storage must do, as checks that any test runner can call.

What lives here: the list of the checks. Each is a function that takes a `Subject` with an empty storage, and fails with
an AssertionError; its docstring is the promise. A host that brings its own storage runs them like this:

    @pytest.mark.parametrize("promise", promises(STORAGE_CHECKS), ids=str)
    def test_storage(promise):
        with my_storage() as storage:
            promise(Subject(storage=storage, advance=storage.set_time_offset))

`syncline.testing.promises` has `promises`, to which a storage that differs on purpose gives the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from syncline.testing.storage_checks import (
    comparing,
    consent,
    erasure,
    files,
    grants,
    holding,
    leasing,
    letters,
    parents,
    putting,
    reading,
    set_aside,
    settling,
    side_by_side,
    suspects,
    upkeep,
    workers,
    workflows,
)
from syncline.testing.storage_checks.subject import Subject

__all__ = ["STORAGE_CHECKS", "Check", "Subject"]

Check: TypeAlias = Callable[[Subject], None]

#: Every check, in the order of the contract.
STORAGE_CHECKS: Final[tuple[Check, ...]] = tuple(
    check
    for room in (
        workflows,
        grants,
        workers,
        suspects,
        putting,
        leasing,
        side_by_side,
        settling,
        holding,
        reading,
        letters,
        comparing,
        parents,
        consent,
        erasure,
        upkeep,
        files,
        set_aside,
    )
    for name, check in vars(room).items()
    if callable(check) and name.startswith("check_")
)
