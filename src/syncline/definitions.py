"""What a user configures: the definitions of the three workflows, as frozen values that refuse nonsense.

What lives here: the three definitions, their parts and their defaults; what concerns one table is written down in
`syncline.table_mapping` and can be imported from here too. JSON is in `syncline.definition_json`, the difference of two
definitions in `syncline.definition_changes`. No I/O, no record values.

Every mistake raises DefinitionError when the value is built; its `path` is relative to that value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from attrs import Attribute, field, frozen

from syncline.definition_checks import (
    PROFILE,
    Scalar,
    a_count,
    a_flag,
    a_name,
    a_part,
    a_percentage,
    all_of,
    as_dict,
    as_tuple,
    check_name,
    member_of,
    opt_out_field,
    refuse_twice,
)
from syncline.errors import DefinitionError
from syncline.file_format import FileFormat
from syncline.linked_tables import LinkedTables
from syncline.log_exports import DeliveryLog, TrackingLog
from syncline.opt_out_pair import OptOutPair
from syncline.records import EventKind
from syncline.table_mapping import (
    Comparison,
    FieldMapping,
    FieldReplacement,
    Filter,
    Link,
    LinkBy,
    Match,
    TableMapping,
)

__all__ = [
    "ActivityTable",
    "Comparison",
    "Definition",
    "DeliveryLog",
    "EgressDefinition",
    "EventKind",
    "FieldMapping",
    "FieldReplacement",
    "FileFormat",
    "Filter",
    "Guardrails",
    "IngressDefinition",
    "Link",
    "LinkBy",
    "Match",
    "OptOutDefinition",
    "OptOutDirection",
    "OptOutPair",
    "OptOutRule",
    "Scalar",
    "TableMapping",
    "TrackingLog",
    "opt_out_field",
]


@frozen(kw_only=True)
class Guardrails:
    """Numbers that `check()` warns about or an action is refused at. The defaults are the original product's."""

    #: Records in all first loads together.
    first_load_records: int = field(default=15_000_000, validator=a_count)
    #: Mappings other than contact to profile.
    custom_tables: int = field(default=20, validator=a_count)
    #: Columns of one custom table.
    columns: int = field(default=50, validator=a_count)
    #: Links from one table to the next: table1 -> table2 -> table3 has two.
    depth: int = field(default=2, validator=a_count)
    #: Linked columns of one resource.
    linked_columns: int = field(default=5, validator=a_count)
    #: A replay is refused when the backlog or the table has as many records or more.
    replay_records: int = field(default=2_000_000, validator=a_count)
    #: More records of a table than this that left the filters, or that a full read does not find, within a day are
    #: deleted only after a confirmation.
    filtered_out_deletes: int = field(default=1_000, validator=a_count)
    #: The same as a share of what Syncline wrote of the table, in percent; whichever is less counts.
    filtered_out_percent: int = field(default=10, validator=a_percentage)
    #: So few are never held, whatever share of a small table they are.
    filtered_out_floor: int = field(default=10, validator=a_count)


def _contact_to_profile() -> tuple[TableMapping, ...]:
    names = {
        "firstname": "firstName",
        "middlename": "middleName",
        "lastname": "lastName",
        "salutation": "salutation",
        "emailaddress1": "email",
        "telephone1": "phone",
        "mobilephone": "mobilePhone",
        "fax": "fax",
        "birthdate": "birthDate",
    }
    fields = tuple(FieldMapping(source=source, target=target) for source, target in names.items())
    return (TableMapping(table="contact", resource=PROFILE, fields=fields),)


def _time_zone(_instance: object, attribute: Attribute[Any], value: object) -> None:
    from zoneinfo import ZoneInfo  # only definitions with another time zone than UTC need the database

    if value == "UTC":
        return
    try:
        if not isinstance(value, str):
            raise ValueError
        ZoneInfo(value)
    except (LookupError, ValueError, OSError):  # ZoneInfo raises OSError for a folder of zones such as "America"
        raise DefinitionError(
            "this time zone is not known", path=attribute.name, remedy="Use a name such as Europe/Paris."
        ) from None


def _lengths(_instance: object, attribute: Attribute[Any], value: Mapping[Any, Any]) -> None:
    for name, length in value.items():
        check_name(name, attribute.name)
        path = f"{attribute.name}.{name}"
        if "." not in name:
            raise DefinitionError("the name must be resource.field, such as profile.firstName", path=path)
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise DefinitionError("a whole number of 1 or more is needed here", path=path)


@frozen(kw_only=True)
class IngressDefinition:
    """Microsoft Dynamics 365 to Campaign: which table fills which resource, and how values are written."""

    mappings: tuple[TableMapping, ...] = field(
        factory=_contact_to_profile, converter=as_tuple, validator=all_of(TableMapping)
    )
    #: The time zone whose calendar tells the date of a moment, such as `Europe/Paris`.
    time_zone: str = field(default="UTC", validator=_time_zone)
    #: The language of picklist labels, as a Dynamics language code: 1033 is English.
    label_language: int = field(default=1033, validator=a_count)
    #: `resource.field` to the longest text it takes; overrides what Campaign says and what Adobe publishes.
    max_lengths: Mapping[str, int] = field(factory=dict, converter=as_dict, validator=_lengths, hash=False)
    guardrails: Guardrails = field(factory=Guardrails)

    def __attrs_post_init__(self) -> None:
        tables = [(f"mappings[{index}].table", one.table) for index, one in enumerate(self.mappings)]
        refuse_twice(tables, "{name} is mapped already")
        resources = [(f"mappings[{index}].resource", one.resource) for index, one in enumerate(self.mappings)]
        refuse_twice(resources, "{name} is filled already")
        if not isinstance(self.guardrails, Guardrails):
            raise DefinitionError("Guardrails are needed here", path="guardrails")
        self._check_links()

    def _check_links(self) -> None:
        most = self.guardrails.linked_columns
        for index, one in enumerate(self.mappings):
            for place, link in enumerate(one.links):
                if link.table not in self.tables:
                    raise DefinitionError(
                        f"{link.table} is not mapped, so nothing can be linked to it",
                        path=f"mappings[{index}].links[{place}].table",
                        remedy=f"Map {link.table} too, or map {link.source} as a plain field.",
                    )
            if len(one.links) > most:
                raise DefinitionError(
                    f"{one.table} has {len(one.links)} links, at most {most} are allowed",
                    path=f"mappings[{index}].links",
                    remedy="Link fewer columns, or raise the guardrail linked_columns.",
                )
        deepest = self.linked_tables.deepest
        if len(deepest) - 1 > self.guardrails.depth:
            raise DefinitionError(
                f"links go {len(deepest) - 1} tables deep, from {' to '.join(deepest)}; at most "
                f"{self.guardrails.depth} are allowed",
                path="mappings",
                remedy="Link fewer tables one behind the other, or raise the guardrail depth.",
            )

    @property
    def linked_tables(self) -> LinkedTables:
        """Which table goes before which. Raises DefinitionError when tables wait for each other in a circle."""
        return LinkedTables.of(self.mappings)

    @property
    def tables(self) -> tuple[str, ...]:
        """The mapped Dynamics tables, in the order of the mappings."""
        return tuple(one.table for one in self.mappings)

    def mapping(self, table: str) -> TableMapping:
        """The mapping of a Dynamics table. Raises DefinitionError when the table is not mapped."""
        for one in self.mappings:
            if one.table == table:
                return one
        mapped = ", ".join(self.tables) or "no table"
        raise DefinitionError(f"{table} is not mapped", path="mappings", remedy=f"Mapped: {mapped}.")


def _column(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None:
        check_name(value, attribute.name)


@frozen(kw_only=True)
class ActivityTable:
    """The custom activity that one kind of event is written to: a Dynamics table and its columns.

    Adobe documents no names; these defaults follow the one table seen in public, `adobe_emailsend`.
    """

    table: str = field(validator=a_name)
    #: The moment it was sent, opened, clicked or bounced.
    occurred_on: str = field(validator=a_name)
    subject: str = field(default="subject", validator=a_name)
    regarding: str = field(default="regardingobjectid", validator=a_name)
    campaign_name: str = field(default="adobe_campaignname", validator=a_name)
    delivery_name: str = field(default="adobe_deliveryname", validator=a_name)
    #: None where the table has no such column.
    mirror_page_url: str | None = field(default="adobe_mirrorpageurl", validator=_column)
    #: For clicks; None where the table has no such column.
    tracking_url: str | None = field(default=None, validator=_column)


_ACTIVITIES: Mapping[EventKind, ActivityTable] = {
    EventKind.SEND: ActivityTable(table="adobe_emailsend", occurred_on="adobe_senton"),
    EventKind.OPEN: ActivityTable(table="adobe_emailopen", occurred_on="adobe_openedon"),
    EventKind.CLICK: ActivityTable(
        table="adobe_emailclick", occurred_on="adobe_clickedon", tracking_url="adobe_trackingurl"
    ),
    EventKind.BOUNCE: ActivityTable(table="adobe_emailbounce", occurred_on="adobe_bouncedon"),
}


def _date_format(_instance: object, attribute: Attribute[Any], value: object) -> None:
    day = datetime(2026, 3, 4, 5, 6)  # noqa: DTZ001 - only its form matters
    try:
        if value != "" and datetime.strptime(day.strftime(str(value)), str(value)).date() != day.date():  # noqa: DTZ007
            raise ValueError
    except ValueError:
        raise DefinitionError(
            "this is no form of a whole date", path=attribute.name, remedy="Use one such as %d/%m/%Y %H:%M:%S."
        ) from None


def _instance(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.isprintable():
        raise DefinitionError("a short printable text is needed here", path=attribute.name)


def _days(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and (type(value) is not int or value < 1):
        raise DefinitionError("a whole number of 1 or more is needed here, or nothing", path=attribute.name)


def _activities(given: Mapping[EventKind, ActivityTable]) -> dict[EventKind, ActivityTable]:
    return {**_ACTIVITIES, **given}


def _kinds(given: Collection[EventKind]) -> frozenset[EventKind]:
    return frozenset(given)


@frozen(kw_only=True)
class EgressDefinition:
    """Campaign to Microsoft Dynamics 365: which kinds of events go, to which activity tables, and what exports say."""

    #: The kinds that are switched on.
    kinds: frozenset[EventKind] = field(default=frozenset(EventKind), converter=_kinds, validator=all_of(EventKind))
    #: Kinds that are left out keep their default table.
    activities: Mapping[EventKind, ActivityTable] = field(factory=dict, converter=_activities, hash=False)

    #: How exported files are written.
    file_format: FileFormat = field(factory=FileFormat, validator=a_part(FileFormat))
    delivery_log: DeliveryLog = field(factory=DeliveryLog, validator=a_part(DeliveryLog))
    tracking_log: TrackingLog = field(factory=TrackingLog, validator=a_part(TrackingLog))
    #: The form of dates in the logs, in the words of Python's `strptime`; empty: ISO 8601, with a blank or a T.
    date_format: str = field(default="", validator=_date_format)
    #: Of dates that name none.
    time_zone: str = field(default="UTC", validator=_time_zone)
    #: Part of each event's id. Only where several Campaign instances write to one environment do they need names of
    #: their own; it must never change.
    instance: str = field(default="", validator=_instance)
    #: Events of people whom Dynamics does not know are discarded after so many days; None keeps them.
    keep_unknown_days: int | None = field(default=None, validator=_days)

    def __attrs_post_init__(self) -> None:
        for kind, table in self.activities.items():
            if not isinstance(kind, EventKind):
                raise DefinitionError(f"one of {', '.join(EventKind)} is needed here", path=f"activities.{kind}")
            if not isinstance(table, ActivityTable):
                raise DefinitionError("an ActivityTable is needed here", path=f"activities.{kind}")


class OptOutDirection(StrEnum):
    """Which way opt-outs travel."""

    DISABLED = "disabled"
    DYNAMICS_TO_CAMPAIGN = "dynamics_to_campaign"
    CAMPAIGN_TO_DYNAMICS = "campaign_to_dynamics"
    BIDIRECTIONAL = "bidirectional"

    @property
    def writes_campaign(self) -> bool:
        """Whether opt-outs travel to Campaign."""
        return self in (OptOutDirection.DYNAMICS_TO_CAMPAIGN, OptOutDirection.BIDIRECTIONAL)

    @property
    def writes_dynamics(self) -> bool:
        """Whether opt-outs travel to Dynamics."""
        return self in (OptOutDirection.CAMPAIGN_TO_DYNAMICS, OptOutDirection.BIDIRECTIONAL)


class OptOutRule(StrEnum):
    """Who wins when both sides may be the source and do not agree. `syncline.consent` says it word for word."""

    #: As the original documents it: Campaign's value when it is newer by more than the margin, else opted out.
    DOCUMENTED = "documented"
    #: Stricter evidence, and fairer: an opt-in that is known to have followed the opt-out counts on either side.
    BASE3_HYB = "base3_hyb"


@frozen(kw_only=True)
class OptOutDefinition:
    """Opt-In/Out: which way opt-outs travel and which fields belong together."""

    direction: OptOutDirection = field(default=OptOutDirection.DISABLED, validator=member_of(OptOutDirection))
    pairs: tuple[OptOutPair, ...] = field(default=(), converter=as_tuple, validator=all_of(OptOutPair))
    #: Changes closer together than this many seconds count as simultaneous, and then opted out wins.
    skew_margin_seconds: int = field(default=5, validator=a_count)
    #: For both directions at once; with one direction the source is given.
    rule: OptOutRule = field(default=OptOutRule.DOCUMENTED, validator=member_of(OptOutRule))
    #: Ask Campaign for changed profiles through a filter on `lastModified` made there. Off: its opt-outs come from
    #: exported files only.
    poll_campaign: bool = field(default=True, validator=a_flag)
    #: Campaign field of the profile that holds the contact's id.
    key: str = field(default="externalId", validator=a_name)

    def __attrs_post_init__(self) -> None:
        refuse_twice(
            ((f"pairs[{index}].campaign", one.campaign) for index, one in enumerate(self.pairs)),
            "{name} has a pair already",
        )
        if self.direction.writes_dynamics:
            refuse_twice(
                ((f"pairs[{index}].dynamics", one.dynamics) for index, one in enumerate(self.pairs)),
                "two Campaign fields cannot fill the Dynamics field {name}",
            )
        if self.direction is not OptOutDirection.DISABLED and not self.pairs:
            raise DefinitionError("an enabled direction needs at least one pair", path="pairs")


#: The configuration of one workflow.
Definition: TypeAlias = IngressDefinition | EgressDefinition | OptOutDefinition
