"""The libraries that are broken on purpose can still be built."""

from __future__ import annotations

import pytest
from tests.mutants import MUTANTS, ROOT, SOURCE, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_still_has_its_place(mutant: Mutant) -> None:
    """Each mistake fits the code as it is now and changes it, and its tests exist."""
    sound = (SOURCE / mutant.path).read_text(encoding="utf-8")
    assert mutant.break_in(sound) != sound
    assert all((ROOT / path).exists() for path in mutant.tests)


def test_a_mistake_without_a_place_is_told() -> None:
    """When the code moves on, the mistake has to move with it."""
    with pytest.raises(ValueError, match="its place is 0 times"):
        MUTANTS[0].break_in("")


def test_each_mistake_has_a_name_of_its_own() -> None:
    """A name chooses one."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
