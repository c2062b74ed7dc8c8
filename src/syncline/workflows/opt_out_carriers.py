"""Which workflow of an integration carries opt-outs: one at a time.

What lives here: what the storage tells about that, and about opt-outs that are in trouble. Two workflows that carry
opt-outs of the same people would decide about them by rules of their own, and each would take the other's writes for
somebody's word.
"""

from __future__ import annotations

from syncline.definition_json import definition_from_json
from syncline.definitions import IngressDefinition, OptOutDefinition, OptOutDirection
from syncline.state_machine import WorkflowState
from syncline.store import Storage
from syncline.workflows.snapshot import Snapshot

__all__ = ["carries_opt_outs", "consent_warnings"]


def carries_opt_outs(storage: Storage, workflow: str) -> bool:
    """Whether this workflow is started with a definition that lets opt-outs travel."""
    try:
        row = storage.workflow(workflow)
    except KeyError:
        return False
    if not row.state.started:
        return False
    runs = row.state is WorkflowState.RUNNING and row.snapshot is not None
    definition = definition_from_json(Snapshot.from_json(row.snapshot or "").definition if runs else row.definition)
    if isinstance(definition, IngressDefinition):
        return any(mapping.opt_outs for mapping in definition.mappings)
    return isinstance(definition, OptOutDefinition) and definition.direction is not OptOutDirection.DISABLED


def consent_warnings(storage: Storage, scope: str) -> tuple[str, ...]:
    """What a person must see about the opt-outs of an integration."""
    undelivered, held, _ = storage.consent_numbers(scope)
    at_risk = f"CONSENT AT RISK: {undelivered:,} opt-outs could not be delivered yet; they are tried without end"
    waiting = f"{held:,} opt-ins wait until the clocks of both systems agree"
    return (*((at_risk,) if undelivered else ()), *((waiting,) if held else ()))
