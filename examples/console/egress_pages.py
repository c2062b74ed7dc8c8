"""The page of Campaign to Dynamics 365: which kinds of events travel, and where they go."""

from __future__ import annotations

from attrs import evolve
from starlette.responses import Response

from syncline.definitions import EventKind

from .estate import Instance
from .visit import Visit

__all__ = ["save_switches", "switches"]

_TOLD = {
    EventKind.SEND: "The email was sent.",
    EventKind.OPEN: "It was opened.",
    EventKind.CLICK: "A link in it was clicked.",
    EventKind.BOUNCE: "It came back for good (hard bounce).",
}


def switches(visit: Visit, instance: Instance) -> Response:
    """The event switches."""
    egress = instance.integration.egress
    return visit.page("egress.html", instance=instance, view=egress.view, definition=egress.definition, told=_TOLD)


def save_switches(visit: Visit, instance: Instance) -> Response:
    """Switch kinds of events on and off."""
    egress = instance.integration.egress
    kinds = frozenset(kind for kind in EventKind if kind.value in visit.form.all("kind"))
    changes = egress.edit(evolve(egress.definition, kinds=kinds), by=visit.who)
    visit.tell("Saved. Stop and start the workflow to put it in effect." if changes else "Nothing was changed.")
    return visit.go(f"/i/{instance.slug}/egress")
