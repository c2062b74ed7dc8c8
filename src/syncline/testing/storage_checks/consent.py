"""Checks of consent: decisions are kept, standings replaced, troubles told, and a person is forgotten whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from attrs import evolve

from syncline.backlog import Lane
from syncline.consent import (
    ChainCheck,
    ChainWalk,
    ConsentNote,
    ConsentTrouble,
    Decision,
    Reason,
    Seal,
    Side,
    Sighting,
    Standing,
)
from syncline.definitions import OptOutPair, OptOutRule
from syncline.errors import LeaseLostError
from syncline.testing.storage_checks.subject import ACTION, NOON, WORKFLOW, Subject, entry, key, settlements
from syncline.upkeep import Retention

_ANN: Final = "11111111-1111-4111-8111-111111111111"
_BOB: Final = "22222222-2222-4222-8222-222222222222"
_EMAIL, _FAX = "blackListEmail", "blackListFax"
_PHONE, _MAIL = "blackListPhone", "blackListPostalMail"
_OPT_OUT: Final = "acme/opt_out"


def _decision(person: str = _ANN, *, out: bool | None = True) -> Decision:
    seen = Sighting(out=True, changed_at=NOON, precision=timedelta(seconds=1), seen_at=NOON, mark='W/"1"', born="b")
    return Decision(
        at=NOON,
        person=person,
        pair=OptOutPair(dynamics="donotbulkemail", campaign=_EMAIL),
        dynamics=seen,
        campaign=Sighting(exists=False),
        rule=OptOutRule.BASE3_HYB,
        reason=Reason.OUT_WINS,
        out=out,
        writes=(Side.CAMPAIGN,),
        margin=timedelta(seconds=5),
        apart=timedelta(seconds=-0.25),
        workflow=_OPT_OUT,
        generation=3,
    )


_STANDING: Final = Standing(
    out=True,
    dynamics_out=True,
    dynamics_mark='W/"1"',
    campaign_at=NOON,
    owed=frozenset(Side),
    owed_at=NOON,
    lent=True,
    lent_at=NOON,
    recorded="x",
)


def check_decisions_are_kept_in_their_order(subject: Subject) -> None:
    """Every decision comes back as it was, under an id that grows, of one person or of all, page by page."""
    grant, storage = subject.grant(), subject.storage
    storage.note_consent(grant, ConsentNote(decisions=[_decision(), _decision(_BOB, out=None)]))
    storage.note_consent(grant, ConsentNote(decisions=[_decision(out=False)]))
    every = storage.decisions("acme")
    assert [evolve(one, id=0) for one in every] == [_decision(), _decision(_BOB, out=None), _decision(out=False)]
    assert len({one.id for one in every}) == 3
    assert [one.id for one in every] == sorted(one.id for one in every)
    assert list(storage.decisions("acme", person=_ANN)) == [every[0], every[2]]
    assert list(storage.decisions("acme", after=every[0].id, limit=1)) == [every[1]]
    assert list(storage.decisions("acme2")) == []


def check_standings_are_replaced(subject: Subject) -> None:
    """What is remembered is by person and channel, shared by the workflows of a scope and by no other scope."""
    grant, storage = subject.grant(), subject.storage
    storage.note_consent(grant, ConsentNote(standings={(_ANN, _EMAIL): _STANDING, (_BOB, _FAX): Standing()}))
    storage.note_consent(grant, ConsentNote(standings={(_ANN, _FAX): Standing(out=False)}))
    assert storage.standings("acme", [_ANN]) == {(_ANN, _EMAIL): _STANDING, (_ANN, _FAX): Standing(out=False)}
    storage.note_consent(subject.grant(_OPT_OUT), ConsentNote(standings={(_ANN, _EMAIL): Standing(carried_to=_BOB)}))
    assert storage.standings("acme", [_ANN, _BOB])[_ANN, _EMAIL] == Standing(carried_to=_BOB)
    assert storage.standings("acme2", [_ANN]) == {}


def check_a_lost_grant_notes_nothing(subject: Subject) -> None:
    """Who was followed by another can write nothing into the decision record."""
    lost = subject.grant()
    subject.takeover()
    try:
        subject.storage.note_consent(lost, ConsentNote(decisions=[_decision()]))
    except LeaseLostError:
        assert list(subject.storage.decisions("acme")) == []
    else:
        raise AssertionError("a lost grant noted a decision")


def check_troubles_are_told_until_they_end(subject: Subject) -> None:
    """A trouble keeps its beginning while it is told again, and the numbers follow."""
    grant, storage = subject.grant(), subject.storage
    first = ConsentTrouble(person=_ANN, since=NOON, attempts=1, message="refused")
    held = ConsentTrouble(person=_BOB, since=NOON + timedelta(seconds=1), attempts=1, held=True, message="clocks")
    storage.note_consent(grant, ConsentNote(troubles=[held, first]))
    again = evolve(first, since=NOON + timedelta(hours=1), attempts=7, message="unavailable")
    storage.note_consent(grant, ConsentNote(troubles=[again]))
    assert list(storage.consent_troubles("acme")) == [evolve(again, since=NOON), held]
    assert storage.consent_numbers("acme") == (1, 1, 0)
    storage.note_consent(grant, ConsentNote(done=[_ANN]))
    assert list(storage.consent_troubles("acme")) == [held]
    assert storage.consent_numbers("acme") == (0, 1, 0)


def check_who_waits_is_found_when_the_ledger_has_them(subject: Subject) -> None:
    """A person waits until another workflow wrote the profile, or until patience ends; missed in spite of it: later."""
    grant, storage = subject.grant(), subject.storage
    waiting = Standing(out=True, waiting=True)
    storage.note_consent(grant, ConsentNote(standings={(_ANN, _EMAIL): waiting, (_ANN, _FAX): waiting}))
    storage.note_consent(grant, ConsentNote(standings={(_BOB, _EMAIL): waiting}))
    assert storage.consent_numbers("acme") == (0, 0, 2)
    day = timedelta(days=1)
    assert list(storage.arrived("acme", WORKFLOW, "contact", patience=day, limit=9)) == []
    storage.settle(grant, settlements(subject.put_and_lease(grant, entry(_ANN))))
    assert list(storage.arrived("acme", WORKFLOW, "contact", patience=day, limit=9)) == [_ANN]
    assert list(storage.arrived("acme", "acme/nobody", "contact", patience=day, limit=9)) == []
    missed = evolve(waiting, missed=True)
    storage.note_consent(grant, ConsentNote(standings={(_ANN, _EMAIL): missed, (_ANN, _FAX): missed}))
    assert list(storage.arrived("acme", WORKFLOW, "contact", patience=day, limit=9)) == []
    subject.wait(3600)
    assert list(storage.arrived("acme", WORKFLOW, "contact", patience=day, limit=9)) == [_ANN]
    subject.wait(2 * day.total_seconds())
    assert sorted(storage.arrived("acme", WORKFLOW, "contact", patience=day, limit=9)) == [_ANN, _BOB]
    storage.note_consent(subject.grant(), ConsentNote(standings={(_BOB, _EMAIL): Standing(out=True)}))
    assert storage.consent_numbers("acme") == (0, 0, 1)


def _record(subject: Subject) -> ChainCheck:
    walk = ChainWalk()
    while page := subject.storage.record_entries("acme", after=walk.place, limit=2):
        for one in page:
            walk.follow(one)
    return walk.end(subject.storage.record_seal("acme"))


def check_the_decision_record_is_a_chain(subject: Subject) -> None:
    """Each decision carries a hash of itself and of all before it; those of another integration are another record."""
    grant, storage = subject.grant(), subject.storage
    assert storage.record_seal("acme") == Seal()
    assert _record(subject).ok
    storage.note_consent(grant, ConsentNote(decisions=[_decision(), _decision(_BOB), _decision(out=False)]))
    storage.note_consent(grant, ConsentNote(decisions=[_decision(_BOB, out=None)]))
    entries = storage.record_entries("acme")
    assert [one.place for one in entries] == [1, 2, 3, 4]
    assert [one.seal for one in storage.decisions("acme")] == [one.link.hex() for one in entries]
    assert len({one.link for one in entries} | {one.content for one in entries} | {one.salt for one in entries}) == 12
    assert storage.record_seal("acme") == Seal(place=4, link=entries[-1].link)
    assert (_record(subject).ok, _record(subject).entries) == (True, 4)
    assert storage.record_seal("other") == Seal()
    assert list(storage.record_entries("acme", after=4)) == []


def check_what_is_erased_leaves_the_record_whole(subject: Subject) -> None:
    """`forget` and `purge` empty entries; places and hashes stay, and an entry of its own names what went."""
    grant, storage = subject.grant(), subject.storage
    old = evolve(_decision(), at=subject.storage.now())
    storage.note_consent(grant, ConsentNote(decisions=[_decision(_BOB), old, evolve(old, out=False), _decision(_BOB)]))
    storage.forget("acme", _BOB, ACTION)
    assert [one.person for one in storage.decisions("acme")] == [_ANN, _ANN]
    found = _record(subject)
    assert (found.ok, found.entries, found.erased) == (True, 5, 2)
    assert [one.place for one in storage.record_entries("acme") if one.text is None] == [1, 4]
    assert not any(_BOB in (one.text or "") for one in storage.record_entries("acme"))
    subject.wait(86_400)
    day = Retention(decisions=timedelta(hours=1))
    assert storage.purge(WORKFLOW, day, 100).decisions == 1
    assert storage.purge(WORKFLOW, day, 100).decisions == 0
    (kept,) = storage.decisions("acme")
    assert kept.out is False, "the one that holds stays, however old"
    found = _record(subject)
    assert (found.ok, found.entries, found.erased) == (True, 6, 3)


def check_a_record_is_pulled_forward(subject: Subject) -> None:
    """What waits in a first load leaves first, and is read anew; a workflow that does not exist is no matter."""
    grant, storage = subject.grant(), subject.storage
    storage.put(grant, [entry(name, lane=Lane.BULK) for name in (_BOB, _ANN)])
    assert storage.pull_forward(WORKFLOW, [key(_ANN)]) == 1
    assert storage.pull_forward("acme/nobody", [key(_ANN)]) == 0
    first, second = subject.lease(grant)
    assert (first.key.id, first.lane, first.refresh) == (_ANN, Lane.CONSENT, True)
    assert second.key.id == _BOB
    subject.exact()


def check_consent_is_forgotten_with_its_person(subject: Subject) -> None:
    """Decisions, standings and troubles go, others stay, and the opt-outs outlive them as a suppression."""
    grant, storage = subject.grant(), subject.storage
    storage.note_consent(
        grant,
        ConsentNote(
            decisions=[_decision(), _decision(), _decision(_BOB)],
            standings={
                (_ANN, _EMAIL): _STANDING,
                (_ANN, _FAX): Standing(out=False),
                # Read or handed over, and not decided on yet: opt-outs as well.
                (_ANN, _PHONE): Standing(owed=frozenset({Side.DYNAMICS})),
                (_ANN, _MAIL): Standing(inherited=True),
                (_BOB, _EMAIL): _STANDING,
            },
            troubles=[ConsentTrouble(person=_ANN, since=NOON, attempts=1, message="refused")],
        ),
    )
    erased = storage.forget("acme", _ANN, ACTION)
    out = frozenset({_EMAIL, _PHONE, _MAIL})
    assert (erased.decisions, erased.opted_out) == (2, out)
    assert storage.suppressed("acme", [_ANN, _BOB]) == {_ANN: out}
    assert [one.person for one in storage.decisions("acme")] == [_BOB]
    assert storage.standings("acme", [_ANN, _BOB]) == {(_BOB, _EMAIL): _STANDING}
    assert storage.consent_numbers("acme") == (0, 0, 0)
