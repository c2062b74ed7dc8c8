"""Checks of a Dynamics connector: what a contact says of an opt-out, when, in which version, and how it is told one.

What lives here: what Opt-In/Out asks of a connector. Where `opt_out` names no column nothing is asked.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from syncline.consent import Sighting
from syncline.errors import (
    ConflictError,
    RecordRefusedError,
)
from syncline.opt_out_pair import OptOutPair
from syncline.records import Change, ReadRequest, ReadStage
from syncline.schemas import FieldType
from syncline.testing.connector_checks.dynamics_subject import DynamicsSubject, row_id
from syncline.testing.connector_checks.trouble import WAIT, WRITES_SAY, Trouble
from syncline.workflows.consent_round import MASTER, NEEDED, dynamics_sightings

_CHANNEL = "blackListEmail"
#: The far side of a check goes by the real time; a slow machine takes its time to ask.
_SLACK = timedelta(minutes=5)


def _asked(subject: DynamicsSubject) -> tuple[str, ...]:
    """The columns that Opt-In/Out reads of a contact."""
    return (subject.opt_out, *NEEDED)


def _seen(subject: DynamicsSubject, change: Change) -> Sighting:
    """What the engine makes of a row."""
    now = subject.clock.now() + timedelta(seconds=subject.connector.clock_offset or 0.0)
    pair = OptOutPair(dynamics=subject.opt_out, campaign=_CHANNEL)
    return dynamics_sightings((pair,), change, now)[_CHANNEL]


def _fetched(subject: DynamicsSubject, record: str) -> Change:
    found = subject.connector.fetch(subject.table, _asked(subject), [record])
    assert record in found, "fetch() does not find a contact that is there"
    return found[record]


def _told(subject: DynamicsSubject, stage: ReadStage, link: str | None = None) -> tuple[dict[str, Change], str | None]:
    """By id the last word of each row in one stage, and the delta link."""
    told: dict[str, Change] = {}
    while True:
        request = ReadRequest(table=subject.table, columns=_asked(subject), stage=stage, link=link)
        page = subject.connector.read(request)
        told |= {change.key.id: change for change in page.changes}
        if page.next_link is None:
            return told, page.delta_link
        link = page.next_link


def _write(subject: DynamicsSubject, record: str, out: bool, etag: str | None) -> str:
    return subject.connector.update_over(subject.table, record, {subject.opt_out: out}, etag=etag or "")


def check_an_opt_out_is_described(subject: DynamicsSubject) -> None:
    """A boolean that can be written, and the moments of creation and of the last change: else nothing starts."""
    if not subject.opt_out:
        return
    schema = subject.connector.describe(subject.table)
    assert schema is not None, f"describe() does not know {subject.table}"
    for name in _asked(subject):
        assert name in schema.fields, f"describe() leaves out {subject.table}.{name}"
        assert schema.fields[name].name == name, f"{subject.table}.{name} is read under another name"
    assert schema.fields[subject.opt_out].type is FieldType.BOOLEAN
    assert schema.fields[subject.opt_out].writable or not subject.updates_over
    assert schema.change_tracking is not False


def check_an_opt_out_is_told(subject: DynamicsSubject) -> None:
    """True and false as booleans, with moments by the service's clock, whether they are read, tracked or fetched."""
    if not subject.opt_out:
        return
    subject.load({row_id(0): {**subject.texts(), subject.opt_out: True}, row_id(1): {subject.opt_out: False}})
    loaded, link = _told(subject, ReadStage.LOAD)
    overlap, _ = _told(subject, ReadStage.OVERLAP)
    subject.load({row_id(0): {subject.opt_out: False}, row_id(1): {subject.opt_out: True}})
    tracked, _ = _told(subject, ReadStage.DELTA, link)
    fetched = {record: _fetched(subject, record) for record in (row_id(0), row_id(1))}
    for told, first in ((loaded, True), (overlap, True), (tracked, False), (fetched, False)):
        seen = {record: _seen(subject, change) for record, change in told.items()}
        assert {record: one.out for record, one in seen.items()} == {row_id(0): first, row_id(1): not first}
        for one in seen.values():
            assert one.changed_at is not None, "modifiedon is to be a moment in ISO 8601"
            assert one.born, "createdon is to be a text: it tells a contact from one that had the same id"


def check_the_moment_of_a_change_is_the_services(subject: DynamicsSubject) -> None:
    """`modifiedon` and our clock with `clock_offset` go together, also where our clock is wrong; `createdon` stays."""
    if not subject.opt_out:
        return
    subject.clock.wrong = -3_600
    subject.load({row_id(0): {subject.opt_out: False}})
    before = _seen(subject, _fetched(subject, row_id(0)))
    subject.load({row_id(0): {subject.opt_out: True}})
    after = _seen(subject, _fetched(subject, row_id(0)))
    assert before.changed_at is not None
    assert after.changed_at is not None
    assert before.changed_at <= after.changed_at
    assert before.born == after.born, "createdon changed with the row"
    if subject.connector.clock_offset is not None:
        assert after.seen_at is not None
        assert abs(after.seen_at - after.changed_at) < _SLACK, "clock_offset is the service's clock minus ours"


def check_a_version_is_the_same_wherever_it_is_told(subject: DynamicsSubject) -> None:
    """One state of a row has one version in a load, in changes and in a fetch: by it our own writes are known again."""
    if not subject.opt_out:
        return
    subject.load({row_id(0): {subject.opt_out: False}})
    loaded, link = _told(subject, ReadStage.LOAD)
    assert loaded[row_id(0)].etag == _fetched(subject, row_id(0)).etag
    subject.load({row_id(0): {subject.opt_out: True}})
    tracked, _ = _told(subject, ReadStage.DELTA, link)
    assert tracked[row_id(0)].etag == _fetched(subject, row_id(0)).etag
    assert tracked[row_id(0)].etag != loaded[row_id(0)].etag


def check_an_opt_out_is_written(subject: DynamicsSubject) -> None:
    """Out and in again, over the version that was seen; what else the contact says, and other contacts, stay."""
    if not (subject.opt_out and subject.updates_over):
        return
    subject.load({record: {**subject.texts(), subject.opt_out: False} for record in (row_id(0), row_id(1))})
    for out in (True, False):
        _write(subject, row_id(0), out, _fetched(subject, row_id(0)).etag)
        assert subject.opted_out(row_id(0)) is out
        assert _seen(subject, _fetched(subject, row_id(0))).out is out
    assert subject.get(row_id(0)) == subject.texts()
    assert subject.opted_out(row_id(1)) is False


def check_our_own_change_is_known_again(subject: DynamicsSubject) -> None:
    """It comes back with the changes in the version that `update_over` answered; or the answer was empty."""
    if not (subject.opt_out and subject.updates_over):
        return
    subject.load({row_id(0): {subject.opt_out: False}})
    loaded, link = _told(subject, ReadStage.LOAD)
    after = _write(subject, row_id(0), True, loaded[row_id(0)].etag)
    tracked, _ = _told(subject, ReadStage.DELTA, link)
    assert _seen(subject, tracked[row_id(0)]).out is True
    assert after in ("", tracked[row_id(0)].etag), "update_over() answered a version that the row never had"
    _write(subject, row_id(0), False, after or tracked[row_id(0)].etag)


def check_of_two_writers_one_is_told_no(subject: DynamicsSubject) -> None:
    """O4: over one version one of many writes succeeds, and the others end in a ConflictError."""
    if not (subject.opt_out and subject.updates_over):
        return
    subject.load({row_id(0): {subject.opt_out: False}})
    etag = _fetched(subject, row_id(0)).etag

    def write(number: int) -> type[ConflictError] | None:
        try:
            _write(subject, row_id(0), bool(number % 2), etag)
        except ConflictError:
            return ConflictError
        return None

    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(write, range(4)))
    assert told.count(None) == 1, f"{told.count(None)} of four writes over one version succeeded"


def check_a_refused_opt_out_is_said(subject: DynamicsSubject) -> None:
    """RecordRefusedError for the contact that the service never lets be changed; the others go on."""
    if not (subject.opt_out and subject.updates_over):
        return
    subject.load({record: {subject.opt_out: False} for record in (row_id(0), row_id(1))})
    etags = {record: _fetched(subject, record).etag for record in (row_id(0), row_id(1))}
    subject.refuse(row_id(0))
    subject.refused(RecordRefusedError, lambda: _write(subject, row_id(0), True, etags[row_id(0)]))
    _write(subject, row_id(1), True, etags[row_id(1)])
    assert (subject.opted_out(row_id(0)), subject.opted_out(row_id(1))) == (False, True)


def check_trouble_with_an_opt_out_is_told(subject: DynamicsSubject) -> None:
    """Every trouble: the write is not taken for done, and over the version that is there then it can be made."""
    if not (subject.opt_out and subject.updates_over):
        return
    subject.load({row_id(0): {subject.opt_out: False}})
    for number, trouble in enumerate(Trouble):
        out = number % 2 == 0
        etag = _fetched(subject, row_id(0)).etag
        with subject.meeting(trouble):
            subject.refused(WRITES_SAY[trouble], lambda: _write(subject, row_id(0), out, etag))  # noqa: B023 - called at once
        assert subject.opted_out(row_id(0)) is (out if trouble is Trouble.NO_ANSWER else not out), trouble
        subject.clock.jump(2 * WAIT)
        _write(subject, row_id(0), out, _fetched(subject, row_id(0)).etag)
        assert subject.opted_out(row_id(0)) is out


def check_a_merged_contact_names_its_survivor(subject: DynamicsSubject) -> None:
    """The lookup `masterid`, if the table has one, is described and read under `_masterid_value`, in lower case."""
    if not subject.opt_out:
        return
    schema = subject.connector.describe(subject.table)
    assert schema is not None
    if not any(MASTER in (name, field.name) for name, field in schema.fields.items()):
        return
    subject.load({record: {subject.opt_out: False} for record in (row_id(0), row_id(1))})
    subject.merge(row_id(0), row_id(1))
    found = subject.connector.fetch(subject.table, (MASTER,), [row_id(0), row_id(1)])
    masters = {record: (change.values or {}).get(MASTER) for record, change in found.items()}
    assert masters == {row_id(0): None, row_id(1): row_id(0)}
