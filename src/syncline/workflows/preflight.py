"""What every pre-flight looks at that asks both services.

What lives here: `Preflight`, which the checks of ingress and of Opt-In/Out are made on. Writes nothing.
"""

from __future__ import annotations

from typing import Final

from attrs import define

from syncline.connectors.base import CampaignConnector, DynamicsConnector, KeyProblem
from syncline.definitions import OptOutPair
from syncline.errors import EnvironmentChangedError
from syncline.schemas import FieldSchema, FieldType, TableSchema
from syncline.workflows.check_list import CheckList
from syncline.workflows.consent_round import stamp_fields
from syncline.workflows.environments import moved
from syncline.workflows.snapshot import Snapshot

__all__ = ["KEY_REMEDIES", "Preflight"]

#: Clocks further apart than this make "modified since" questions unsafe, in seconds.
_CLOCKS_APART = 120.0

KEY_REMEDIES: Final = {
    KeyProblem.NO_FIELD: "Add the field to the resource in Campaign and publish, or choose another key.",
    KeyProblem.NO_FILTER: "Define a filter on this field in Campaign (its name and parameter are settings of the "
    "connector's CampaignKey) and publish.",
    KeyProblem.NO_IDENTIFICATION_KEY: "Define an identification key on this field in Campaign and publish.",
}


@define(kw_only=True)
class Preflight(CheckList):
    """The checks of one pre-flight that asks both services."""

    dynamics: DynamicsConnector
    campaign: CampaignConnector

    # -- opt-outs --------------------------------------------------------------------------------------------------

    def pair(self, pair: OptOutPair, contact: TableSchema, profile: TableSchema, *, to_dynamics: bool) -> None:
        """Both fields are there, are booleans, and true says opted out."""
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
        elif to_dynamics and not ours.writable:
            self.failed(name, f"contact.{pair.dynamics} cannot be written", "Choose a column that can be updated.")
        elif _reads_the_other_way(ours):
            remedy = "True must mean opted out. Choose a column that says so, such as donotbulkemail."
            self.failed(name, f"contact.{pair.dynamics} seems to say the opposite: true is {_label(ours)!r}", remedy)
        elif to_dynamics and not stamp_fields(profile, pair.campaign):
            what = "Campaign has no time for this channel: its opt-outs pass, its opt-ins do not"
            self.warned(name, what, "Opt people in again in Dynamics, or let exported files bring the time.")
        else:
            self.passed(name)

    def carried_once(self, elsewhere: bool, by: str, remedy: str) -> None:
        """No other workflow of the integration decides about the same people's opt-outs."""
        name = "opt-outs: carried by one workflow"
        if elsewhere:
            self.failed(name, by, remedy)
        else:
            self.passed(name)

    # -- looking ---------------------------------------------------------------------------------------------------

    def same_environments(self, previous: Snapshot | None) -> None:
        name = "environments: the same as before"
        if previous is None:
            self.passed(name, "first start")
            return
        found = moved(previous, self.dynamics, self.campaign)
        if found:
            told = "; ".join(map(str, found.values()))
            self.failed(name, f"this storage was filled elsewhere: {told}", EnvironmentChangedError.usual_remedy)
            return
        self.passed(name)

    def clocks(self) -> None:
        for label, offset in (("Dynamics 365", self.dynamics.clock_offset), ("Campaign", self.campaign.clock_offset)):
            if offset is not None and abs(offset) > _CLOCKS_APART:
                self.warned(
                    "clocks: close enough",
                    f"{label} is {offset:+.0f} seconds off this computer's clock",
                    "Set this computer's clock by a time server.",
                )


def _label(column: FieldSchema) -> str:
    return column.options.get("1") or column.options.get("true") or column.options.get("True") or ""


def _reads_the_other_way(column: FieldSchema) -> bool:
    """A column whose label for true is the word for being reachable, as in `donotemail`: Allow / Do Not Allow."""
    return _label(column).strip().lower() in ("allow", "allowed", "opted in", "opt in", "opt-in", "subscribed")
