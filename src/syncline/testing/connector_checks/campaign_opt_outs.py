"""Checks of a Campaign connector: what a profile says of an opt-out, since when, and how it is told one.

What lives here: what Opt-In/Out, and opt-outs that travel with contacts, ask of a connector. Where `opt_out` names no
field nothing is asked.
"""

from __future__ import annotations

from datetime import timedelta

from syncline.consent import Sighting
from syncline.definitions import OptOutPair
from syncline.errors import DefinitionError
from syncline.records import Values
from syncline.testing.connector_checks.campaign_subject import ANN, BOB, CampaignSubject
from syncline.workflows.consent_round import PROFILE, campaign_sightings, stamp_fields

#: The far side of a check goes by the real time; a slow machine takes its time to ask.
_SLACK = timedelta(minutes=5)


def _seen(subject: CampaignSubject, values: Values) -> Sighting:
    """What the engine makes of a profile."""
    now = subject.clock.now() + timedelta(seconds=subject.connector.clock_offset or 0.0)
    pair = OptOutPair(dynamics="donotbulkemail", campaign=subject.opt_out)
    return campaign_sightings(subject.schema, (pair,), values, now)[subject.opt_out]


def _found(subject: CampaignSubject, key: str) -> Sighting:
    found = subject.find(key)
    assert found is not None, "a record that is there is not found"
    return _seen(subject, found.values)


def _write(subject: CampaignSubject, key: str, out: bool) -> None:
    subject.connector.update(subject.schema, subject.ref(key), {subject.opt_out: out})


def check_an_opt_out_is_described(subject: CampaignSubject) -> None:
    """The resource `profile` has the field, under Campaign's own name for it, and it can be written."""
    if not subject.opt_out:
        return
    assert subject.resource == PROFILE, "opt-outs travel to the resource `profile` only"
    assert subject.opt_out in subject.schema.fields, f"describe() leaves out {subject.opt_out}"
    assert subject.schema.fields[subject.opt_out].writable


def check_an_opt_out_is_told(subject: CampaignSubject) -> None:
    """True for who is opted out and false for who is not, by `find` and with the changes, and since when."""
    if not subject.opt_out:
        return
    for key, out in ((ANN, True), (BOB, False)):
        subject.put(key, {**subject.texts(), subject.opt_out: out})
        assert _found(subject, key).out is out
    try:
        page = subject.connector.changed_since(subject.schema, None, None)
    except DefinitionError:
        return
    told = {record[subject.key_field]: _seen(subject, record) for record in page.records}
    for key in (ANN, BOB):
        one, other = told[key], _found(subject, key)
        assert (one.out, one.changed_at, one.born) == (other.out, other.changed_at, other.born)


def check_an_opt_out_is_written(subject: CampaignSubject) -> None:
    """Out and in again; `same` knows it again; what else the profile says, and other profiles, stay."""
    if not subject.opt_out:
        return
    for key in (ANN, BOB):
        subject.put(key, {**subject.texts(), subject.opt_out: False})
    for out in (True, False):
        _write(subject, ANN, out)
        assert subject.opted_out(ANN) is out
        found = subject.find(ANN)
        assert found is not None
        assert _seen(subject, found.values).out is out
        differences = subject.connector.differences
        assert differences(subject.schema, found.values, {subject.opt_out: out}) == {}
        assert differences(subject.schema, found.values, {subject.opt_out: not out}) == {subject.opt_out: not out}
    assert subject.get(ANN) == subject.texts()
    assert subject.opted_out(BOB) is False


def check_an_opt_out_has_a_moment_of_its_own(subject: CampaignSubject) -> None:
    """Where `describe` has the field for it: when the opt-out changed, by the service's clock, and nothing else.

    Opt-ins of Campaign are judged by it, so it may not move when another field changes.
    """
    if not (subject.opt_out and stamp_fields(subject.schema, subject.opt_out)):
        return
    subject.clock.wrong = -3_600
    subject.put(ANN, {**subject.texts(), subject.opt_out: False})
    subject.put(ANN, {subject.opt_out: True})
    before = _found(subject, ANN)
    assert before.changed_at is not None, "a changed opt-out has no moment in ISO 8601"
    if subject.connector.clock_offset is not None:
        assert before.seen_at is not None
        assert abs(before.seen_at - before.changed_at) < _SLACK, "clock_offset is the service's clock minus ours"
    subject.put(ANN, subject.texts("Other"))
    after = _found(subject, ANN)
    assert (after.changed_at, after.born) == (before.changed_at, before.born)
