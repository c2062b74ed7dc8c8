"""The pages of Dynamics 365 to Campaign: the table mappings; and to add, edit, preview, replay and delete one."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from starlette.responses import Response

from syncline import DefinitionError, TableMapping
from syncline.definition_changes import DefinitionChanges, Needs
from syncline.definitions import Comparison, Match
from syncline.mapping import compile_plan
from syncline.schemas import TableSchema

from .estate import Instance
from .mapping_form import Choice, lookup_choices, mapping_of, source_choices, target_choices
from .visit import NotThere, Visit

__all__ = [
    "add_mapping",
    "ask_delete",
    "ask_replay",
    "compare",
    "decide_held",
    "delete_mapping",
    "edit_mapping",
    "held",
    "new_mapping",
    "preview",
    "replay",
    "save_mapping",
    "table_mappings",
]

_PREVIEWED = 50


def _address(instance: Instance, table: str = "", page: str = "") -> str:
    return "/".join(filter(None, (f"/i/{instance.slug}/ingress", table, page)))


def _mapping(visit: Visit, instance: Instance) -> TableMapping:
    found = [one for one in instance.integration.ingress.definition.mappings if one.table == visit.part("table")]
    if not found:
        raise NotThere
    return found[0]


def _told(changes: DefinitionChanges) -> str:
    """What was saved, and what it needs before it shows."""
    found = list(changes)
    if not found:
        return "Nothing was changed."
    replayed = sorted({table for change in found for table in change.replay_tables})
    needs = "Stop and start the workflow to put it in effect"
    if any(change.needs is Needs.RESTART_AND_REPLAY for change in found) and replayed:
        needs += f", and replay {', '.join(replayed)} to bring what was written already in line"
    return f"Saved: {len(found)} change{'s' if len(found) > 1 else ''}. {needs}."


def table_mappings(visit: Visit, instance: Instance) -> Response:
    """Every table mapping."""
    ingress = instance.integration.ingress
    wanted = instance.integration.storage.wanted_replays(ingress.id)
    return visit.page(
        "mappings.html", instance=instance, view=ingress.view, mappings=ingress.definition.mappings, replays=wanted
    )


def _schemas(instance: Instance, mapping: TableMapping) -> tuple[TableSchema, TableSchema]:
    source = instance.dynamics_table(mapping.table)
    target = instance.campaign_resource(mapping.resource)
    if source is None or target is None:
        missing = mapping.table if source is None else mapping.resource
        raise DefinitionError(f"{missing} is not there any more", remedy="Delete the mapping, or bring it back.")
    return source, target


def _form(
    visit: Visit, instance: Instance, mapping: TableMapping, *, problem: DefinitionError | None = None
) -> Response:
    source, target = _schemas(instance, mapping)
    return visit.page(
        "mapping.html",
        status=200 if problem is None else 422,
        instance=instance,
        view=instance.integration.ingress.view,
        mapping=mapping,
        primary_key=source.primary_key,
        sources=source_choices(source),
        targets=target_choices(target, mapping.key),
        lookups=lookup_choices(source),
        tables=[Choice(one, one) for one in instance.integration.ingress.definition.tables],
        comparisons=list(Comparison),
        matches=Match,
        problem=problem,
    )


def edit_mapping(visit: Visit, instance: Instance) -> Response:
    """Edit Table Mapping."""
    return _form(visit, instance, _mapping(visit, instance))


def save_mapping(visit: Visit, instance: Instance) -> Response:
    """Store what was filled in, if it fits both systems."""
    ingress, saved = instance.integration.ingress, _mapping(visit, instance)
    source, target = _schemas(instance, saved)
    try:
        mapping = mapping_of(visit.form, saved, source, target)
        definition = ingress.definition
        changed = [mapping if one.table == saved.table else one for one in definition.mappings]
        definition = evolve(definition, mappings=changed)
        compile_plan(mapping, definition, source, target)
        changes = ingress.edit(definition, by=visit.who)
    except DefinitionError as problem:
        return _form(visit, instance, saved, problem=problem)
    visit.tell(_told(changes))
    page = "preview" if visit.form["action"] == "preview" else ""
    return visit.go(_address(instance, saved.table, page))


def preview(visit: Visit, instance: Instance) -> Response:
    """What the saved mapping would do with the first records, written nowhere."""
    mapping = _mapping(visit, instance)
    found = instance.integration.ingress.preview(table=mapping.table, limit=_PREVIEWED)
    return visit.page("preview.html", instance=instance, mapping=mapping, preview=found)


def ask_replay(visit: Visit, instance: Instance) -> Response:
    """How much a replay would send, before somebody asks for it."""
    mapping = _mapping(visit, instance)
    forecast = instance.integration.ingress.forecast(replay=[mapping.table]).table(mapping.table)
    return visit.page("replay.html", instance=instance, mapping=mapping, forecast=forecast)


def replay(visit: Visit, instance: Instance) -> Response:
    """Send all records of a table again from the next start."""
    table = _mapping(visit, instance).table
    instance.integration.ingress.replay(table, by=visit.who)
    visit.tell(f"Replay of {table} requested. It begins at the next start of the workflow.")
    return visit.go(_address(instance))


def held(visit: Visit, instance: Instance) -> Response:
    """Which deletions wait for somebody's word."""
    ingress, table = instance.integration.ingress, _mapping(visit, instance).table
    records = ingress.held_deletes(table)
    return visit.page(
        "held.html", instance=instance, table=table, records=records, total=ingress.backlog.held.get(table, 0)
    )


def decide_held(visit: Visit, instance: Instance) -> Response:
    """Let held deletions go, or keep their records."""
    ingress, table = instance.integration.ingress, visit.form["table"]
    if visit.form["action"] == "confirm":
        visit.tell(f"{ingress.confirm_deletes(table, by=visit.who):,} deletions of {table} may go.")
    else:
        visit.tell(f"{ingress.discard_deletes(table, by=visit.who):,} records of {table} stay in Campaign.")
    return visit.go(f"/i/{instance.slug}/")


def compare(visit: Visit, instance: Instance) -> Response:
    """Both sides of a table, record by record: what it costs, and, once asked for, what it found."""
    mapping, ingress = _mapping(visit, instance), instance.integration.ingress
    report = None
    if visit.form["action"]:
        report = ingress.reconcile(mapping.table, queue=visit.form["action"] == "queue", by=visit.who)
    forecast = ingress.forecast().table(mapping.table)
    return visit.page("compare.html", instance=instance, mapping=mapping, forecast=forecast, report=report)


def ask_delete(visit: Visit, instance: Instance) -> Response:
    """Whether it is meant."""
    return visit.page("delete_mapping.html", instance=instance, mapping=_mapping(visit, instance))


def delete_mapping(visit: Visit, instance: Instance) -> Response:
    """Take the mapping out of the definition. Nothing in Campaign is deleted."""
    ingress, table = instance.integration.ingress, _mapping(visit, instance).table
    definition = ingress.definition
    kept = [one for one in definition.mappings if one.table != table]
    ingress.edit(evolve(definition, mappings=kept), by=visit.who)
    visit.tell(f"The mapping of {table} is deleted. Records in Campaign stay.")
    return visit.go(_address(instance))


def new_mapping(visit: Visit, instance: Instance) -> Response:
    """Choose two tables; once they are chosen, see what Syncline suggests."""
    chosen = {name: visit.query.get(name, "") for name in ("table", "resource", "key")}
    shown: dict[str, Any] = {"suggestion": None, "keys": []}
    if chosen["table"] and chosen["resource"]:
        key = chosen["key"] or "externalId"
        shown["suggestion"] = instance.integration.suggest_mapping(chosen["table"], chosen["resource"], key=key)
        resource = instance.campaign_resource(chosen["resource"])
        shown["keys"] = [] if resource is None else sorted(one.name for one in resource.fields.values() if one.writable)
    definition = instance.integration.ingress.definition
    taken = {one.table for one in definition.mappings}
    filled = {one.resource for one in definition.mappings}
    return visit.page(
        "add_mapping.html",
        instance=instance,
        chosen=chosen,
        tables={name: label for name, label in instance.dynamics_tables().items() if name not in taken},
        resources={name: label for name, label in instance.campaign_resources().items() if name not in filled},
        **shown,
    )


def add_mapping(visit: Visit, instance: Instance) -> Response:
    """Add what was suggested and ticked."""
    ingress, form = instance.integration.ingress, visit.form
    key = form["key"] or "externalId"
    suggestion = instance.integration.suggest_mapping(form["table"], form["resource"], key=key)
    ticked = set(form.all("pair"))
    fields = [one for one in suggestion.mapping().fields if one.source in ticked]
    kept = [one for one in suggestion.replacements if one.field in {field.source for field in fields}]
    mapping = evolve(suggestion.mapping(), fields=fields, replacements=kept)
    definition = ingress.definition
    ingress.edit(evolve(definition, mappings=[*definition.mappings, mapping]), by=visit.who)
    visit.tell(f"{mapping.table} is mapped to {mapping.resource}. Stop and start the workflow to put it in effect.")
    return visit.go(_address(instance, mapping.table))
