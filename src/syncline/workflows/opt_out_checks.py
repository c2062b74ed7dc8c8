"""The pre-flight of Opt-In/Out: what must hold before the first opt-out is read.

What lives here: the checks in their order, and the snapshot that comes out when all of them pass. Asks both services,
writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from attrs import define, field

from syncline.clock import Clock
from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.definition_json import definition_to_json
from syncline.definitions import OptOutDefinition, OptOutDirection, OptOutPair, OptOutRule
from syncline.errors import RetryLaterError, SynclineError
from syncline.schemas import FieldSchema, FieldType, TableSchema
from syncline.workflows.checks import CheckReport
from syncline.workflows.consent_round import CONTACT, PROFILE, stamp_fields
from syncline.workflows.preflight import KEY_REMEDIES, Preflight
from syncline.workflows.snapshot import Snapshot

__all__ = ["preflight"]

#: Columns of the contact that the rule itself rests on.
_NEEDED = ("modifiedon", "createdon")


@define(kw_only=True)
class _Preflight(Preflight):
    definition: OptOutDefinition
    clock: Clock
    files: bool
    contact: TableSchema | None = field(default=None)
    profile: TableSchema | None = field(default=None)

    def tables(self) -> None:
        self.contact = self._table(self.dynamics.describe, CONTACT, "Dynamics 365")
        self.profile = self._table(self.campaign.describe, PROFILE, "Campaign")
        if self.contact is None or self.profile is None:
            self.skipped("opt-outs: fields and types", "a table could not be looked at")
            return
        if self.contact.change_tracking is False:
            remedy = "Turn on change tracking in the table's properties in Power Apps."
            self.failed(f"{CONTACT}: change tracking", "is off", remedy)
        for name in _NEEDED:
            if name not in self.contact.fields:
                self.failed(f"{CONTACT}.{name}", "is missing", "Opt-outs cannot be dated without it.")
        self._key(self.profile)
        for pair in self.definition.pairs:
            self._pair(pair, self.contact, self.profile)

    def _table(self, describe: Callable[[str], TableSchema | None], table: str, where: str) -> TableSchema | None:
        name = f"{table}: exists in {where}"
        try:
            schema = describe(table)
        except RetryLaterError:
            raise
        except SynclineError as error:
            self.failed(name, error.message, error.remedy)
            return None
        if schema is None:
            self.failed(name, "no such table", f"Let the credentials of {where} see it.")
            return None
        self.passed(name)
        return schema

    def _key(self, profile: TableSchema) -> None:
        name = f"{PROFILE}: key {self.definition.key}"
        try:
            found = self.campaign.check_key(profile, self.definition.key)
        except RetryLaterError:
            raise
        except SynclineError as error:
            self.failed(name, error.message, error.remedy)
            return
        if found.problem is not None:
            self.failed(name, found.problem.value, KEY_REMEDIES[found.problem])
            return
        self.passed(name)

    def _pair(self, pair: OptOutPair, contact: TableSchema, profile: TableSchema) -> None:
        name = f"opt-outs: {pair}"
        ours, theirs = contact.fields.get(pair.dynamics), profile.fields.get(pair.campaign)
        if ours is None:
            self.failed(name, f"contact has no column {pair.dynamics}", "Use the column's logical name.")
        elif ours.type is not FieldType.BOOLEAN:
            self.failed(name, f"contact.{pair.dynamics} is no boolean but {ours.type.value}", "Choose a Yes/No column.")
        elif theirs is None:
            self.failed(name, f"profile has no field {pair.campaign}", "Publish the extended profile API in Campaign.")
        elif theirs.type is not FieldType.BOOLEAN:
            self.failed(name, f"profile.{pair.campaign} is no boolean but {theirs.type.value}", "Ask Adobe's support.")
        elif self.definition.direction.writes_dynamics and not ours.writable:
            self.failed(name, f"contact.{pair.dynamics} cannot be written", "Choose a column that can be updated.")
        elif _reads_the_other_way(ours):
            remedy = "True must mean opted out. Choose a column that says so, such as donotbulkemail."
            self.failed(name, f"contact.{pair.dynamics} seems to say the opposite: true is {_label(ours)!r}", remedy)
        else:
            self._passed_pair(name, pair, profile)

    def _passed_pair(self, name: str, pair: OptOutPair, profile: TableSchema) -> None:
        if self.definition.direction.writes_dynamics and not stamp_fields(profile, pair.campaign):
            what = "Campaign has no time for this channel: its opt-outs pass, its opt-ins do not"
            self.warned(name, what, "Opt people in again in Dynamics, or let exported files bring the time.")
            return
        self.passed(name)

    def source(self) -> None:
        """Where Campaign's opt-outs come from."""
        name = "Campaign: changed profiles"
        if not self.definition.direction.writes_dynamics or self.profile is None:
            return
        if not self.definition.poll_campaign:
            if self.files:
                self.passed(name, "from exported files")
            else:
                remedy = "Give the integration opt_out_files, or switch poll_campaign on."
                self.failed(name, "neither asked for nor exported", remedy)
            return
        try:
            self.campaign.changed_since(self.profile, self.clock.now() + timedelta(days=1), None)
        except RetryLaterError:
            raise
        except SynclineError as error:
            remedy = "Define a filter 'at least' on lastModified of the profile in Campaign and publish, or switch "
            self.failed(name, error.message, remedy + "poll_campaign off and use exported files.")
            return
        self.passed(name, "through a filter on lastModified")

    def rule(self) -> None:
        if (
            self.definition.rule is OptOutRule.BASE3_HYB
            and self.definition.direction is not OptOutDirection.BIDIRECTIONAL
        ):
            self.warned("opt-outs: rule", "base3_hyb is for both directions at once", "Leave the rule at its default.")

    def apart(self) -> None:
        """The margin against what the clocks are measured to be apart."""
        ours, theirs, margin = (
            self.dynamics.clock_offset,
            self.campaign.clock_offset,
            self.definition.skew_margin_seconds,
        )
        if ours is not None and theirs is not None and abs(theirs - ours) > margin:
            self.warned(
                "clocks: within the margin",
                f"both systems' clocks are {abs(theirs - ours):.0f} seconds apart, the margin is {margin}",
                "Opt-ins that only times can prove are held until the clocks agree. Raise skew_margin_seconds.",
            )


def _label(column: FieldSchema) -> str:
    return column.options.get("1") or column.options.get("true") or column.options.get("True") or ""


def _reads_the_other_way(column: FieldSchema) -> bool:
    """A column whose label for true is the word for being reachable, as in `donotemail`: Allow / Do Not Allow."""
    return _label(column).strip().lower() in ("allow", "allowed", "opted in", "opt in", "opt-in", "subscribed")


def preflight(
    definition: OptOutDefinition,
    dynamics: DynamicsConnector,
    campaign: CampaignConnector,
    previous: Snapshot | None,
    clock: Clock,
    *,
    files: bool,
) -> tuple[CheckReport, Snapshot | None]:
    """Make every check; the snapshot is None when one of them failed. Raises RetryLaterError."""
    flight = _Preflight(definition=definition, dynamics=dynamics, campaign=campaign, clock=clock, files=files)
    if definition.direction is OptOutDirection.DISABLED:
        flight.failed("opt-outs: direction", "is disabled", "Edit the definition: choose a direction and add pairs.")
        return flight.report(), None
    reachable = flight.access("Dynamics 365: credentials", dynamics.check_access)
    reachable = flight.access("Campaign: credentials", campaign.check_access) and reachable
    if not reachable:
        flight.skipped("tables and fields", "not both services can be asked")
        return flight.report(), None
    flight.same_environments(previous)
    flight.clocks()
    flight.apart()
    flight.tables()
    flight.source()
    flight.rule()
    report = flight.report()
    if not report.ok or flight.contact is None or flight.profile is None:
        return report, None
    snapshot = Snapshot(
        definition=definition_to_json(definition),
        source_identity=dynamics.identity,
        target_identity=campaign.identity,
        sources={CONTACT: flight.contact},
        targets={PROFILE: flight.profile},
    )
    return report, snapshot
