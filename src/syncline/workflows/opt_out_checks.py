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
from syncline.definitions import OptOutDefinition, OptOutDirection, OptOutRule
from syncline.errors import RetryLaterError, SynclineError
from syncline.schemas import TableSchema
from syncline.workflows.checks import CheckReport
from syncline.workflows.consent_round import CONTACT, NEEDED, PROFILE
from syncline.workflows.preflight import KEY_REMEDIES, Preflight
from syncline.workflows.snapshot import Snapshot

__all__ = ["preflight"]


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
        for name in NEEDED:
            if name not in self.contact.fields:
                self.failed(f"{CONTACT}.{name}", "is missing", "Opt-outs cannot be dated without it.")
        self._key(self.profile)
        for pair in self.definition.pairs:
            self.pair(pair, self.contact, self.profile, to_dynamics=self.definition.direction.writes_dynamics)

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

    def conditional(self) -> None:
        """Whether what is written to Dynamics can be made to depend on what was read there."""
        kind = type(self.dynamics)
        if self.definition.direction.writes_dynamics and kind.update_over is DynamicsConnector.update_over:
            self.failed(
                "Dynamics 365: conditional writes",
                f"{kind.__name__} cannot make them",
                "Implement update_over() in it, or choose the direction from Dynamics to Campaign.",
            )

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


def preflight(
    definition: OptOutDefinition,
    dynamics: DynamicsConnector,
    campaign: CampaignConnector,
    previous: Snapshot | None,
    clock: Clock,
    *,
    files: bool,
    elsewhere: bool,
) -> tuple[CheckReport, Snapshot | None]:
    """Make every check; the snapshot is None when one of them failed. Raises RetryLaterError.

    `elsewhere`: ingress is started and carries opt-outs.
    """
    flight = _Preflight(definition=definition, dynamics=dynamics, campaign=campaign, clock=clock, files=files)
    if definition.direction is OptOutDirection.DISABLED:
        flight.failed("opt-outs: direction", "is disabled", "Edit the definition: choose a direction and add pairs.")
        return flight.report(), None
    reachable = flight.access("Dynamics 365: credentials", dynamics.check_access)
    reachable = flight.access("Campaign: credentials", campaign.check_access) and reachable
    if not reachable:
        flight.skipped("tables and fields", "not both services can be asked")
        return flight.report(), None
    flight.carried_once(
        elsewhere,
        "ingress is started and carries opt-outs with the mapping of contacts",
        "Take opt_outs out of that mapping, stop ingress and start it again; or leave Opt-In/Out stopped.",
    )
    flight.same_environments(previous)
    flight.clocks()
    flight.apart()
    flight.tables()
    flight.source()
    flight.conditional()
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
