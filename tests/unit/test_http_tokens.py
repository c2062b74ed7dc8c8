"""Bearer tokens: fetched once for everybody, renewed in time."""

from __future__ import annotations

import math
import threading

import pytest
from tests.http_room import HeldClock

from syncline.connectors.http import OAuthTokenSource, Secret
from syncline.errors import CredentialsError, ProtocolError, UnavailableError


class Issuer:
    """Hands out numbered tokens of a given life, or fails as told."""

    def __init__(self, life: float = 100.0) -> None:
        self.life = life
        self.count = 0
        self.failure: Exception | None = None

    def __call__(self) -> tuple[str, float]:
        self.count += 1
        if self.failure is not None:
            raise self.failure
        return f"token-{self.count}", self.life


def test_a_token_is_used_until_four_fifths_of_its_life() -> None:
    """One fetch serves every call until 80 % of the life, then a new token comes."""
    clock, issuer = HeldClock(), Issuer()
    source = OAuthTokenSource(issuer, clock)
    assert source.get().reveal() == "token-1"
    clock.sleep(79)
    assert source.get().reveal() == "token-1"
    clock.sleep(2)
    assert source.get().reveal() == "token-2"
    assert issuer.count == 2


def test_a_refused_token_is_replaced_once_for_everybody() -> None:
    """Those who come with the token that was already replaced get the new one without a fetch."""
    issuer = Issuer()
    source = OAuthTokenSource(issuer, HeldClock())
    old = source.get()
    assert source.refresh(old).reveal() == "token-2"
    assert source.refresh(old).reveal() == "token-2"
    assert source.refresh(Secret("token-2")).reveal() == "token-3"


def test_many_workers_cause_one_fetch() -> None:
    """Eight threads that meet a missing token at once make one request for it."""
    release, arrived = threading.Event(), threading.Event()
    count = 0

    def fetch() -> tuple[str, float]:
        nonlocal count
        count += 1
        arrived.set()
        release.wait(10)
        return "token", 100.0

    source = OAuthTokenSource(fetch, HeldClock())
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(source.get().reveal())) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert arrived.wait(10)
    release.set()
    for thread in threads:
        thread.join()
    assert found == ["token"] * 8
    assert count == 1


def test_a_renewal_under_way_holds_nobody_up() -> None:
    """While one thread renews early, the others go on with the token that still lives."""
    clock = HeldClock()
    inside, release = threading.Event(), threading.Event()
    count = 0

    def fetch() -> tuple[str, float]:
        nonlocal count
        count += 1
        if count == 2:
            inside.set()
            release.wait(10)
        return f"token-{count}", 100.0

    source = OAuthTokenSource(fetch, clock)
    source.get()
    clock.sleep(90)
    renewing = threading.Thread(target=source.get)
    renewing.start()
    assert inside.wait(10)
    assert source.get().reveal() == "token-1"
    release.set()
    renewing.join()
    assert source.get().reveal() == "token-2"


def test_a_passing_failure_to_renew_does_no_harm_while_the_token_lives() -> None:
    """An unreachable identity service is asked again after a pause; once the token is dead its failure shows."""
    clock, issuer = HeldClock(), Issuer()
    source = OAuthTokenSource(issuer, clock)
    source.get()
    issuer.failure = UnavailableError("down")
    clock.sleep(85)
    assert source.get().reveal() == "token-1"
    assert source.get().reveal() == "token-1"
    assert issuer.count == 2
    clock.sleep(20)
    with pytest.raises(UnavailableError):
        source.get()


def test_a_refused_renewal_is_told_at_once() -> None:
    """A secret that was revoked shows when the token is due, not when it is dead."""
    clock, issuer = HeldClock(), Issuer()
    source = OAuthTokenSource(issuer, clock)
    source.get()
    issuer.failure = CredentialsError("revoked")
    clock.sleep(85)
    with pytest.raises(CredentialsError):
        source.get()


@pytest.mark.parametrize("life", [0, -1, math.nan, math.inf])
def test_a_life_that_is_none_is_refused(life: float) -> None:
    """A token without a usable life would be fetched for every request."""
    with pytest.raises(ProtocolError):
        OAuthTokenSource(Issuer(life), HeldClock()).get()


@pytest.mark.parametrize("token", ["", "two words", "line\r\nbreak", "schlüssel"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    """What could not stand in a header never gets there, and the message does not repeat it."""
    with pytest.raises(ProtocolError) as caught:
        OAuthTokenSource(lambda: (token, 60.0), HeldClock()).get()
    assert not token or token not in str(caught.value)


def test_no_token_is_kept_for_more_than_a_day() -> None:
    """A life of years is cut to a day."""
    clock, issuer = HeldClock(), Issuer(1e9)
    source = OAuthTokenSource(issuer, clock)
    source.get()
    clock.sleep(86_400)
    source.get()
    assert issuer.count == 2
