"""One round with one person: asking and telling both systems, on a writer thread.

What lives here: the calls that `syncline.consent` orders, made with the connectors, and what both systems' words mean
as sightings. Nothing is decided or stored here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import frozen

from syncline.clock import Clock
from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.consent import Call, Sighting, Writes, calls_of, still_as_seen
from syncline.definitions import OptOutPair
from syncline.errors import ConflictError, SkipRecordError
from syncline.records import Change, Value, Values
from syncline.schemas import TableSchema
from syncline.workflows.writers import Midway

__all__ = [
    "CONTACT",
    "MASTER",
    "NEEDED",
    "PROFILE",
    "Met",
    "Parties",
    "campaign_sightings",
    "dynamics_sightings",
    "person_of",
    "stamp_fields",
]

CONTACT: Final = "contact"
PROFILE: Final = "profile"
#: The contact that survived a merge.
MASTER: Final = "_masterid_value"
#: Columns of the contact that the rule itself rests on.
NEEDED: Final = ("modifiedon", "createdon")
_SECOND: Final = timedelta(seconds=1)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


@frozen(kw_only=True)
class Met:
    """What a round learnt about a person."""

    #: By Campaign field.
    dynamics: Mapping[str, Sighting]
    campaign: Mapping[str, Sighting]
    #: The surviving contact, when this one was merged into it.
    master: str | None
    #: Campaign's clock minus Dynamics', as measured.
    apart: timedelta | None
    #: What was written in this round.
    wrote: bool
    #: Rounds with this person so far, this one included.
    rounds: int
    #: The ledger had the profile when the first of them was planned.
    known: bool


@frozen(kw_only=True)
class Parties:
    """Both systems, and how to ask them about a person."""

    dynamics: DynamicsConnector
    campaign: CampaignConnector
    profile: TableSchema
    #: The profile's field that holds the contact's id.
    key_field: str
    pairs: tuple[OptOutPair, ...]
    #: Columns of the contact that exist and are needed.
    columns: tuple[str, ...]
    clock: Clock

    @classmethod
    def of(
        cls,
        *,
        pairs: Sequence[OptOutPair],
        key_field: str,
        contact: TableSchema,
        profile: TableSchema,
        dynamics: DynamicsConnector,
        campaign: CampaignConnector,
        clock: Clock,
    ) -> Parties:
        """With the columns that the rule rests on, as far as the contact has them."""
        masters = (schema.name for name, schema in contact.fields.items() if MASTER in (name, schema.name))
        return cls(
            dynamics=dynamics,
            campaign=campaign,
            profile=profile,
            key_field=key_field,
            pairs=tuple(pairs),
            columns=tuple(dict.fromkeys([*(pair.dynamics for pair in pairs), *NEEDED, *masters])),
            clock=clock,
        )

    def time_of(self, connector: DynamicsConnector | CampaignConnector) -> datetime:
        """Now by a system's own clock, as far as its answers have told it."""
        return self.clock.now() + timedelta(seconds=connector.clock_offset or 0.0)

    def round(
        self, person: str, writes: Writes | None, rounds: int, known: bool, still_ours: Callable[[], None]
    ) -> Midway:
        """Make every call of a round.

        A write whose condition fails is left out; one that is refused does not keep the other side from its own, and is
        raised once that was made. `still_ours` is called before each write.
        """
        visit = _Visit(parties=self, person=person, writes=writes or Writes(), still_ours=still_ours)
        for call in calls_of(writes):
            visit.make(call)
        visit.raise_refusal()
        return Midway(answer=visit.met(rounds, known), calls=visit.calls)

    @property
    def apart(self) -> timedelta | None:
        """Campaign's clock minus Dynamics', from the dates of their answers."""
        ours, theirs = self.dynamics.clock_offset, self.campaign.clock_offset
        return None if ours is None or theirs is None else timedelta(seconds=theirs - ours)


class _Visit:
    """The state of one round."""

    def __init__(self, *, parties: Parties, person: str, writes: Writes, still_ours: Callable[[], None]) -> None:
        self._parties = parties
        self._person = person
        self._writes = writes
        self._still_ours = still_ours
        self._calls = {
            Call.WRITE_DYNAMICS: self._write_dynamics,
            Call.COMPARE_CAMPAIGN: self._compare_campaign,
            Call.WRITE_CAMPAIGN: self._write_campaign,
            Call.READ_CAMPAIGN: self._read_campaign,
            Call.READ_DYNAMICS: self._read_dynamics,
        }
        self._refusal: SkipRecordError | None = None
        #: Whether what was decided still fits.
        self._fits = True
        self._wrote = False
        self._ours = ("", "")
        self._ref = ""
        self._profile: Values | None = None
        self._contact: Change | None = None
        self._seen_campaign: Mapping[str, Sighting] = {}
        self._seen_dynamics: Mapping[str, Sighting] = {}
        self.calls = 0

    def make(self, call: Call) -> None:
        self._calls[call]()

    def raise_refusal(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def met(self, rounds: int, known: bool) -> Met:
        contact = self._contact
        master = contact.values.get(MASTER) if contact is not None and contact.values is not None else None
        return Met(
            dynamics=self._seen_dynamics,
            campaign=self._seen_campaign,
            master=master.lower() if isinstance(master, str) and master else None,
            apart=self._parties.apart,
            wrote=self._wrote,
            rounds=rounds,
            known=known,
        )

    def _write_dynamics(self) -> None:
        writes = self._writes
        self._still_ours()
        try:
            after = self._parties.dynamics.update_over(CONTACT, self._person, writes.dynamics, etag=writes.over)
        except ConflictError:
            self._fits = False
        except SkipRecordError as refusal:
            self._refusal = refusal
        else:
            self._wrote, self._ours = True, (writes.over, after)

    def _find(self) -> None:
        parties = self._parties
        found = parties.campaign.find(parties.profile, parties.key_field, self._person)
        self.calls += 1
        self._profile, self._ref = (None, "") if found is None else (found.values, found.ref)
        now = parties.time_of(parties.campaign)
        self._seen_campaign = campaign_sightings(parties.profile, parties.pairs, self._profile, now)

    def _compare_campaign(self) -> None:
        if self._fits:
            self._find()
            self._fits = still_as_seen(self._writes, self._seen_campaign)

    def _write_campaign(self) -> None:
        if not self._fits:
            return
        self._still_ours()
        try:
            self._parties.campaign.update(self._parties.profile, self._ref, self._writes.campaign)
        except ConflictError:
            return  # the profile is gone: what is read next says so
        finally:
            self.calls += 1
        self._wrote = True

    def _read_campaign(self) -> None:
        self._find()

    def _read_dynamics(self) -> None:
        parties = self._parties
        self._contact = parties.dynamics.fetch(CONTACT, parties.columns, [self._person]).get(self._person)
        now = parties.time_of(parties.dynamics)
        self._seen_dynamics = dynamics_sightings(parties.pairs, self._contact, now, ours=self._ours)


def person_of(contact_id: str) -> str:
    """The id by which a person is known here, of one as people and files write it."""
    return contact_id.strip().strip("{}").lower()


def dynamics_sightings(
    pairs: tuple[OptOutPair, ...], contact: Change | None, now: datetime, *, ours: tuple[str, str] = ("", "")
) -> dict[str, Sighting]:
    """A contact's word on each channel, by Campaign field. `ours`: the versions before and after our own write."""
    if contact is None or contact.values is None:
        return {pair.campaign: Sighting(exists=False, seen_at=now) for pair in pairs}
    values, mark = contact.values, contact.etag or ""
    changed_at, precision = _moment(values.get("modifiedon"))
    born = values.get("createdon")
    return {
        pair.campaign: Sighting(
            out=found if isinstance(found := values.get(pair.dynamics), bool) else None,
            changed_at=changed_at,
            precision=precision,
            seen_at=now,
            mark=mark,
            replaced=ours[0] if mark and mark == ours[1] else "",
            born=born if isinstance(born, str) else "",
        )
        for pair in pairs
    }


def campaign_sightings(
    profile: TableSchema, pairs: tuple[OptOutPair, ...], values: Values | None, now: datetime
) -> dict[str, Sighting]:
    """A profile's word on each channel, by Campaign field."""
    # The clock is known to the second, from dates of answers: what is seen was seen a second earlier at the latest.
    seen_at = now - _SECOND
    if values is None:
        return {pair.campaign: Sighting(exists=False, seen_at=seen_at) for pair in pairs}
    born = values.get("created")
    found = {}
    for pair in pairs:
        times = [_moment(values.get(name)) for name in stamp_fields(profile, pair.campaign)]
        known = [(moment, precision) for moment, precision in times if moment is not None]
        changed_at, precision = max(known, default=(None, timedelta(0)), key=_by_moment)
        found[pair.campaign] = Sighting(
            out=_boolean(values.get(pair.campaign)),
            changed_at=changed_at,
            precision=precision,
            seen_at=seen_at,
            born=born if isinstance(born, str) else "",
        )
    return found


def _by_moment(known: tuple[datetime | None, timedelta]) -> datetime:
    return known[0] or datetime.min.replace(tzinfo=UTC)


def stamp_fields(profile: TableSchema, channel: str) -> tuple[str, ...]:
    """The fields of the profile that hold when the channel was changed; none for push notification.

    `blackList` has two names in what Campaign has been seen to answer.
    """
    names = (f"{channel}LastModified", *(("blackListAllLastModified",) if channel == "blackList" else ()))
    return tuple(name for name in names if name in profile.fields)


def _boolean(value: Value) -> bool | None:
    return value if isinstance(value, bool) else _BOOLEANS.get(str(value).lower())


def _moment(value: Value) -> tuple[datetime | None, timedelta]:
    """A moment and the span it leaves open; one without a zone is in UTC, as both systems mean it."""
    if not isinstance(value, str) or not value:
        return None, timedelta(0)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None, timedelta(0)
    precision = timedelta(milliseconds=1) if "." in value else _SECOND
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)), precision
