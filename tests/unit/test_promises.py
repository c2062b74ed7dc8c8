"""What a kit expects of an implementation that is known to differ."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from syncline.errors import UnavailableError
from syncline.testing.promises import promises


def check_passes(_: object) -> None:
    """Nothing is wrong."""


def check_fails(_: object) -> None:
    """Something is wrong."""
    raise AssertionError


def check_cannot_be_arranged(_: object) -> None:
    """The subject has no way to do what the check asks."""
    raise NotImplementedError


def check_ends_in_an_error(_: object) -> None:
    """The implementation raises."""
    raise UnavailableError("away")


def check_is_broken_itself(_: object) -> None:
    """Neither a promise that is broken nor one that is kept."""
    raise KeyError("typo")


def test_without_a_difference_a_promise_is_its_check() -> None:
    """What passes passes, what fails fails, and the promise is named as the check without the prefix."""
    kept, broken = promises([check_passes, check_fails])
    kept(None)
    with pytest.raises(AssertionError):
        broken(None)
    assert [str(kept), str(broken)] == ["passes", "fails"]


@pytest.mark.parametrize("check", [check_fails, check_cannot_be_arranged, check_ends_in_an_error])
def test_a_known_difference_must_fail(check: Callable[[object], None]) -> None:
    """A check that is known to fail may, in each of the ways a check fails."""
    (differs,) = promises([check], {check.__name__: "the service has no such thing"})
    differs(None)
    assert differs.difference == "the service has no such thing"


def test_a_difference_that_is_gone_is_reported() -> None:
    """A check that passes although a difference is listed fails, with the reason that is no longer true."""
    (differs,) = promises([check_passes], {"check_passes": "it once could not"})
    with pytest.raises(AssertionError, match="it once could not"):
        differs(None)


def test_a_mistake_in_a_check_is_no_difference() -> None:
    """Only what a broken promise looks like is expected; anything else gets through."""
    (differs,) = promises([check_is_broken_itself], {"check_is_broken_itself": "the service has no such thing"})
    with pytest.raises(KeyError):
        differs(None)


@pytest.mark.parametrize("differences", [{"check_nothing": "gone"}, {"check_passes": " "}])
def test_differences_name_a_check_and_a_reason(differences: dict[str, str]) -> None:
    """A stale name and an empty reason are refused before anything runs."""
    with pytest.raises(ValueError, match=r"check_nothing|check_passes"):
        promises([check_passes], differences)
