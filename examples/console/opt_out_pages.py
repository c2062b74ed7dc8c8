"""The pages of Opt-In/Out: direction and pairs, and why somebody is opted out."""

from __future__ import annotations

from attrs import evolve
from starlette.responses import Response

from syncline import DefinitionError, OptOutDefinition, OptOutDirection
from syncline.definition_checks import OPT_OUT_FIELDS
from syncline.definitions import OptOutPair
from syncline.schemas import FieldType

from .estate import Instance
from .mapping_form import Choice
from .visit import Visit

__all__ = ["opt_outs", "save_opt_outs", "why"]

_DIRECTIONS = {
    OptOutDirection.DISABLED: "Disabled",
    OptOutDirection.DYNAMICS_TO_CAMPAIGN: "Dynamics 365 to Campaign",
    OptOutDirection.CAMPAIGN_TO_DYNAMICS: "Campaign to Dynamics 365",
    OptOutDirection.BIDIRECTIONAL: "Bidirectional",
}


def _page(
    visit: Visit, instance: Instance, definition: OptOutDefinition, problem: DefinitionError | None = None
) -> Response:
    workflow, contact = instance.integration.opt_out, instance.dynamics_table("contact")
    fields = {} if contact is None else contact.fields
    booleans = sorted(name for name, one in fields.items() if one.type is FieldType.BOOLEAN and one.readable)
    suggested = () if definition.pairs else instance.integration.suggest_mapping("contact", "profile").opt_outs
    return visit.page(
        "opt_out.html",
        status=200 if problem is None else 422,
        instance=instance,
        view=workflow.view,
        consent=workflow.consent,
        definition=definition,
        pairs=definition.pairs or suggested,
        suggested=bool(suggested),
        directions=_DIRECTIONS,
        booleans=[Choice(name, name) for name in booleans],
        channels=[Choice(name, name) for name in OPT_OUT_FIELDS],
        problem=problem,
    )


def opt_outs(visit: Visit, instance: Instance) -> Response:
    """Which way opt-outs travel, and which fields belong together."""
    return _page(visit, instance, instance.integration.opt_out.definition)


def save_opt_outs(visit: Visit, instance: Instance) -> Response:
    """Store what was chosen."""
    workflow, form = instance.integration.opt_out, visit.form
    definition = workflow.definition
    try:
        pairs = [
            OptOutPair(dynamics=form[f"dynamics-{number}"], campaign=form[f"campaign-{number}"])
            for number in form.numbers("dynamics")
            if form[f"dynamics-{number}"] and form[f"campaign-{number}"]
        ]
        margin = int(form["margin"]) if form["margin"].isdecimal() else definition.skew_margin_seconds
        direction = OptOutDirection(form["direction"])
        changed = evolve(definition, direction=direction, pairs=pairs, skew_margin_seconds=margin)
        changes = workflow.edit(changed, by=visit.who)
    except DefinitionError as problem:
        return _page(visit, instance, definition, problem)
    visit.tell("Saved. Stop and start the workflow to put it in effect." if changes else "Nothing was changed.")
    return visit.go(f"/i/{instance.slug}/opt_out")


def why(visit: Visit, instance: Instance) -> Response:
    """Why somebody is opted out."""
    contact = visit.query.get("contact", "").strip()
    found = instance.integration.opt_out.why(contact) if contact else None
    return visit.page("why.html", instance=instance, contact=contact, why=found)
