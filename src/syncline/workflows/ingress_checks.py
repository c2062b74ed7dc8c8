"""The pre-flight of ingress: what must hold before the first record is read.

What lives here: the checks in their order, and the snapshot that comes out when all of them pass. Asks both services,
writes nothing.
"""

from __future__ import annotations

from typing import cast

from attrs import define, evolve, field

from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.definition_json import definition_from_json, definition_to_json
from syncline.definitions import IngressDefinition
from syncline.errors import (
    DefinitionError,
    RetryLaterError,
    SchemaChangedError,
    SetupError,
    StopWorkflowError,
    SynclineError,
)
from syncline.mapping import LinkRule, compile_plan
from syncline.schema_changes import SchemaSide, compare_schemas
from syncline.schemas import FieldType, TableSchema
from syncline.table_mapping import TableMapping
from syncline.workflows.checks import CheckReport
from syncline.workflows.guardrails import guardrail_checks
from syncline.workflows.preflight import KEY_REMEDIES, Preflight
from syncline.workflows.schema_watch import lost_by
from syncline.workflows.snapshot import Snapshot

__all__ = ["preflight"]


@define(kw_only=True)
class _Preflight(Preflight):
    definition: IngressDefinition
    sources: dict[str, TableSchema] = field(factory=dict)
    targets: dict[str, TableSchema] = field(factory=dict)
    marks: dict[str, str | None] = field(factory=dict)
    counts: dict[str, int] = field(factory=dict)
    #: Resources that Campaign does not have.
    missing: set[str] = field(factory=set)

    def table(self, mapping: TableMapping) -> None:
        source = self.source(mapping)
        target = self.target(mapping)
        if source is not None and target is not None:
            self.fields(mapping, source, target)
        else:
            self.skipped(f"{mapping.table}: fields and types", "a table could not be looked at")

    def source(self, mapping: TableMapping) -> TableSchema | None:
        name = f"{mapping.table}: exists in Dynamics 365"
        try:
            mark = self._mark(mapping.table)
            schema = self.dynamics.describe(mapping.table, language=self.definition.label_language)
        except RetryLaterError:
            raise
        except SynclineError as error:
            self.failed(name, error.message, error.remedy)
            return None
        if schema is None:
            self.failed(name, "no such table", "Use the table's logical name, such as contact.")
            return None
        self.passed(name)
        tracking = f"{mapping.table}: change tracking"
        if schema.change_tracking is False:
            self.failed(tracking, "is off", "Turn on change tracking in the table's properties in Power Apps.")
            return None
        self.passed(tracking)
        self.sources[mapping.table] = schema
        self.marks[mapping.table] = mark
        return schema

    def _mark(self, table: str) -> str | None:
        """Before the schema is read, so that a change meanwhile shows as one."""
        try:
            return self.dynamics.schema_mark(table)
        except SchemaChangedError:
            return None  # there is no such table, which the next question says

    def target(self, mapping: TableMapping) -> TableSchema | None:
        name = f"{mapping.resource}: exists in Campaign"
        try:
            schema = self.campaign.describe(mapping.resource)
            if schema is None:
                self.missing.add(mapping.resource)
                self.failed(name, "no such resource", "Create and publish it in Campaign, or correct its name.")
                return None
            self.passed(name)
            key = self.campaign.check_key(schema, mapping.key)
        except RetryLaterError:
            raise
        except SynclineError as error:
            self.failed(name, error.message, error.remedy)
            return None
        self.targets[mapping.resource] = schema
        key_name = f"{mapping.resource}: key {mapping.key}"
        if key.problem is not None:
            detail = f"{key.problem.value}{'; ' + key.detail if key.detail else ''}"
            self.failed(key_name, detail, KEY_REMEDIES[key.problem])
            return None
        self.passed(key_name)
        return schema

    def fields(self, mapping: TableMapping, source: TableSchema, target: TableSchema) -> None:
        name = f"{mapping.table}: fields and types"
        try:
            plan = compile_plan(mapping, self.definition, source, target)
        except DefinitionError as error:
            self.failed(name, error.message, error.remedy or "Correct the mapping.")
            return
        self.passed(name, f"{len(mapping.fields)} fields, {len(plan.columns)} columns read")
        for rule in plan.links:
            self.link(mapping, rule, target)
        for pair in mapping.opt_outs:
            self.pair(pair, source, target, to_dynamics=False)

    def link(self, mapping: TableMapping, rule: LinkRule, target: TableSchema) -> None:
        name = f"{mapping.table}: link {rule.link.source} to {rule.link.table}"
        links = [one for one in target.fields.values() if one.type is FieldType.LOOKUP]
        joined = [
            one for one in links if rule.resource in one.targets or (rule.by_pkey and one.name == rule.link.target)
        ]
        strict = [one.name for one in joined if one.required]
        if rule.by_pkey and not self.campaign.capabilities.nested_links:
            self.failed(name, "this connector cannot write links by PKey", "Leave out `by` and name a plain column.")
        elif strict:
            self.warned(
                name,
                f"{mapping.resource}.{strict[0]} is a link of cardinality 1: without its {rule.resource} Campaign "
                "hides a record, also from whoever wants to change it",
                "Make it a link of cardinality 0 or 1 in Campaign.",
            )
        elif not joined and all(one.targets for one in links):
            self.warned(
                name,
                f"{mapping.resource} has no link to {rule.resource}: ids are written, and nothing is joined by them",
                f"Add a link to {rule.resource} in Campaign, joined on {rule.link.target}, and publish.",
            )
        else:
            self.passed(name)

    def lost(self, previous: Snapshot) -> frozenset[tuple[str, str]]:
        """What Campaign held for the mappings of the last start, and holds no more; see `SchemaChangedError.lost`."""
        definition = cast(IngressDefinition, definition_from_json(previous.definition))
        found: set[tuple[str, str]] = set()
        for mapping in definition.mappings:
            if mapping.resource not in self.missing | self.targets.keys():
                continue  # nobody could look
            source, target = previous.sources[mapping.table], previous.targets[mapping.resource]
            used = compile_plan(mapping, definition, source, target).target_fields
            now = self.targets.get(mapping.resource)
            found |= lost_by(compare_schemas(SchemaSide.CAMPAIGN, target, now, used))
        return frozenset(found)

    def guardrails(self) -> None:
        try:
            for table in self.sources:
                count = self.dynamics.count(table)
                if count is not None:
                    self.counts[table] = count
        except (StopWorkflowError, SetupError) as error:
            self.warned("guardrails: first load", f"the records cannot be counted: {error.message}", error.remedy)
        self.checks.extend(guardrail_checks(self.definition, self.counts))


def preflight(
    definition: IngressDefinition,
    dynamics: DynamicsConnector,
    campaign: CampaignConnector,
    previous: Snapshot | None,
    *,
    elsewhere: bool = False,
) -> tuple[CheckReport, Snapshot | None]:
    """Make every check; the snapshot is None when one of them failed. Raises RetryLaterError.

    `elsewhere`: Opt-In/Out is started and carries opt-outs.
    """
    flight = _Preflight(definition=definition, dynamics=dynamics, campaign=campaign)
    reachable = flight.access("Dynamics 365: credentials", dynamics.check_access)
    reachable = flight.access("Campaign: credentials", campaign.check_access) and reachable
    if not reachable:
        flight.skipped("tables and fields", "not both services can be asked")
        return flight.report(), None
    flight.same_environments(previous)
    flight.clocks()
    if not definition.mappings:
        flight.failed("mappings: at least one", "nothing is mapped", "Add a table mapping.")
    if any(mapping.opt_outs for mapping in definition.mappings):
        flight.carried_once(
            elsewhere,
            "Opt-In/Out is started and carries opt-outs",
            "Stop Opt-In/Out, or take opt_outs out of the mapping of contacts.",
        )
    for mapping in definition.mappings:
        flight.table(mapping)
    report = flight.report()
    if not report.ok:
        return report if previous is None else evolve(report, lost=flight.lost(previous)), None
    flight.guardrails()
    snapshot = Snapshot(
        definition=definition_to_json(definition),
        source_identity=dynamics.identity,
        target_identity=campaign.identity,
        sources=flight.sources,
        targets=flight.targets,
        marks=flight.marks,
        counts=flight.counts,
    )
    return flight.report(), snapshot
