"""What the columns of Campaign's exported logs mean: two parts of the egress definition.

What lives here: which columns an export has and which of their values say that something was sent, bounced, opened or
clicked. How a file is written is in `syncline.file_format`, the rules are in `syncline.events`. No I/O.

The defaults are a contract of Syncline's own: Adobe documents the fields of the logs and their codes, but no file.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import Attribute, field, frozen

from syncline.errors import DefinitionError

__all__ = ["DeliveryLog", "TrackingLog"]


def _column(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > 128:
        raise DefinitionError("a column's name is needed here, as the first row has it", path=attribute.name)


def _optional_column(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value != "":
        _column(instance, attribute, value)


def _pattern(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value or "/" in value or not value.isprintable():
        raise DefinitionError("a pattern for names of files is needed here, such as tracking_log*", path=attribute.name)


def _words(_instance: object, attribute: Attribute[Any], value: tuple[object, ...]) -> None:
    for index, word in enumerate(value):
        if not isinstance(word, str) or not word.strip():
            raise DefinitionError("a code or a label is needed here", path=f"{attribute.name}[{index}]")


def _tuple(words: Iterable[str]) -> tuple[str, ...]:
    if isinstance(words, str):
        raise DefinitionError("a list of codes and labels is needed here")
    return tuple(words)


def _name(default: str) -> Any:
    return field(default=default, validator=_column)


def _optional(default: str) -> Any:
    return field(default=default, validator=_optional_column)


def _said(*words: str) -> Any:
    return field(default=words, converter=_tuple, validator=_words)


@frozen(kw_only=True)
class DeliveryLog:
    """Exports of the delivery logs (`broadLogRcp`): one row for each message, again whenever its status changes.

    Codes and labels may stand side by side: an export has either. Upper and lower case do not matter. A number that is
    not listed means nothing here; a word that is not listed is a mistake, and the row is set aside.
    """

    #: Which files are exports of this log.
    files: str = field(default="delivery_log*", validator=_pattern)
    #: "Delivery log ID": tells one message from another, for ever.
    log_id: str = _name("logId")
    #: The profile's `externalId`, which holds the Dynamics contact id. Rows without one are of nobody in Dynamics.
    contact: str = _name("externalId")
    campaign: str = _name("campaignId")
    delivery: str = _name("deliveryId")
    status: str = _name("status")
    #: Needed for bounces.
    failure_type: str = _name("failureType")
    #: Needed for bounces: an address on the denylist fails "hard", too, and is no bounce.
    failure_reason: str = _name("failureReason")
    #: When it was sent.
    sent_on: str = _name("eventDate")
    #: When its status changed last: the moment of a bounce.
    changed_on: str = _name("lastModified")
    #: Columns that an export need not have; empty where there is none.
    channel: str = _optional("channel")
    test: str = _optional("test")
    mirror_page_url: str = _optional("mirrorPageUrl")
    sent: tuple[str, ...] = _said("1", "Sent")
    failed: tuple[str, ...] = _said("2", "Failed")
    #: Further labels of the status, which say nothing yet or nothing for a timeline.
    other_statuses: tuple[str, ...] = _said(
        "Pending", "Ignored", "Canceled", "Not applicable", "Taken into account", "Received on mobile"
    )
    hard: tuple[str, ...] = _said("2", "Hard")
    other_failure_types: tuple[str, ...] = _said("Soft", "Ignored", "Undefined", "Not defined", "No failure")
    #: Reasons that are exclusions and no bounces, though the failure counts as hard.
    no_bounces: tuple[str, ...] = _said("8", "Address on denylist", "Quarantined address", "Address empty")
    email: tuple[str, ...] = _said("0", "Email")


@frozen(kw_only=True)
class TrackingLog:
    """Exports of the tracking logs (`trackingLogRcp`): one row for each open and click. Words as in `DeliveryLog`."""

    #: Which files are exports of this log.
    files: str = field(default="tracking_log*", validator=_pattern)
    #: The id of the tracking log: tells one open or click from another, for ever.
    log_id: str = _name("logId")
    #: The profile's `externalId`, which holds the Dynamics contact id.
    contact: str = _name("externalId")
    campaign: str = _name("campaignId")
    delivery: str = _name("deliveryId")
    #: The type of the URL.
    url_type: str = _name("urlType")
    #: What was clicked: `urlSource`.
    url: str = _name("urlSource")
    #: When.
    occurred_on: str = _name("logDate")
    #: Columns that an export need not have; empty where there is none.
    channel: str = _optional("channel")
    test: str = _optional("test")
    mirror_page_url: str = _optional("mirrorPageUrl")
    open: tuple[str, ...] = _said("2", "Open")
    click: tuple[str, ...] = _said("1", "10", "11", "Email click")
    #: Further labels: neither opens nor clicks in Adobe's own figures.
    other_types: tuple[str, ...] = _said("Opt-out", "Mirror page")
    email: tuple[str, ...] = _said("0", "Email")
