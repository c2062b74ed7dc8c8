"""The numbers a host may turn, with the defaults of the design.

What lives here: `EngineSettings`, and what a workflow is given beside its services. What a user configures about tables
and fields is a definition, not a setting.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypedDict

from attrs import Attribute, field, frozen

from syncline.clock import Clock
from syncline.instrumentation import Instrumentation
from syncline.upkeep import Retention

__all__ = ["EngineSettings", "WorkflowOptions"]


def _positive(_: object, attribute: Attribute[Any], value: float | timedelta) -> None:
    zero: Any = timedelta(0) if isinstance(value, timedelta) else 0
    if not value > zero:
        raise ValueError(f"{attribute.name} must be positive, not {value}")


def _not_negative(_: object, attribute: Attribute[Any], value: timedelta) -> None:
    if value < timedelta(0):
        raise ValueError(f"{attribute.name} cannot be {value}")


@frozen(kw_only=True)
class EngineSettings:
    """How a workflow's cycles work. All of them have a reason to be what they are; change them with one too."""

    #: Processes that may work on a workflow at a time, in any number of hosts: one reads, all write. The same number
    #: everywhere. What carries opt-outs has one, whatever this says.
    workers: int = field(default=1, validator=_positive)
    #: Most writes at once, of each worker. How many there really are follows from what the target bears.
    writers: int = field(default=64, validator=_positive)
    #: Rows claimed at a time.
    lease_batch: int = field(default=250, validator=_positive)
    #: Settled writes are stored at the latest after this many, or after `settle_after`.
    settle_batch: int = field(default=200, validator=_positive)
    settle_after: timedelta = field(default=timedelta(milliseconds=50), validator=_positive)
    #: How long a grant lasts without a heartbeat, and how often the heartbeat comes.
    lease: timedelta = field(default=timedelta(seconds=60), validator=_positive)
    heartbeat: timedelta = field(default=timedelta(seconds=10), validator=_positive)
    #: How long a stop waits for what is in flight before it forbids further requests.
    drain_deadline: timedelta = field(default=timedelta(seconds=30), validator=_positive)
    #: How soon a stop or a takeover is noticed.
    attention: timedelta = field(default=timedelta(milliseconds=250), validator=_positive)
    #: First loads pause while more than this is queued.
    high_water: int = field(default=50_000, validator=_positive)
    #: How long a caught-up table is left alone within one long cycle.
    poll_interval: timedelta = field(default=timedelta(seconds=10), validator=_positive)
    #: How far before its own start a full read looks for changes made meanwhile.
    overlap_margin: timedelta = field(default=timedelta(minutes=5), validator=_positive)
    #: A record that failed this often while others succeeded is set aside.
    max_attempts: int = field(default=8, validator=_positive)
    #: A record that was being sent alone in this many crashes is set aside. It is sent alone when it was being sent in
    #: five crashes before, together with fewer and fewer others.
    crash_limit: int = field(default=3, validator=_positive)
    #: A workflow whose owner vanished this often without any progress becomes FAILED.
    crash_loop_limit: int = field(default=10, validator=_positive)
    #: How long services may be unreachable during a start before it fails.
    start_timeout: timedelta = field(default=timedelta(minutes=10), validator=_positive)
    #: How long a record waits for one that it points to before it is set aside; it comes back when that one comes.
    parent_wait: timedelta = field(default=timedelta(hours=24), validator=_positive)
    #: How long a record's deletion waits for the deletions of those that point to it.
    children_first: timedelta = field(default=timedelta(minutes=5), validator=_positive)
    #: Delay before a failed record's next attempt: doubles from the first to the second number.
    retry_first: timedelta = field(default=timedelta(seconds=2), validator=_positive)
    retry_most: timedelta = field(default=timedelta(minutes=15), validator=_positive)
    #: How often both sides' schemas are looked at again while everything is well.
    schema_interval: timedelta = field(default=timedelta(minutes=10), validator=_positive)
    #: Campaign is compared with the source irrespective of the ledger, everything once in so long; zero never does.
    sweep_period: timedelta = field(default=timedelta(days=7), validator=_not_negative)
    #: Rows of an exported file that are read and stored at a time.
    file_page: int = field(default=5_000, validator=_positive)
    #: How long people whom Dynamics does not know are left alone before they are looked up again.
    unknown_poll: timedelta = field(default=timedelta(minutes=10), validator=_positive)
    #: Events of each kind that are remembered as written, so that a repeated export need not be sent to find that out.
    remembered_events: int = field(default=1_000_000, validator=_positive)
    #: Between two looks at whether anything changed, in `run()`.
    idle_wait: timedelta = field(default=timedelta(seconds=5), validator=_positive)
    #: How long is kept what is not needed any more.
    retention: Retention = field(factory=Retention)


class WorkflowOptions(TypedDict, total=False):
    """What any workflow may be given beside what it joins."""

    #: Tells the integrations in one storage apart; `default` unless given.
    integration: str
    clock: Clock | None
    settings: EngineSettings | None
    tell: Instrumentation | None
