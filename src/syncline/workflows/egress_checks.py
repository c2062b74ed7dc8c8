"""The pre-flight of egress: what must hold before the first event is read.

What lives here: the checks in their order, and the snapshot that comes out when all of them pass. Asks Dynamics 365 and
the folders of exports, writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from attrs import define, field

from syncline.connectors.base import DynamicsConnector
from syncline.connectors.file_source import FileSource
from syncline.definition_json import definition_to_json
from syncline.definitions import ActivityTable, EgressDefinition
from syncline.errors import SynclineError
from syncline.events import missing_columns
from syncline.records import EventKind
from syncline.schemas import FieldType, TableSchema
from syncline.workflows.check_list import CheckList
from syncline.workflows.checks import CheckReport
from syncline.workflows.snapshot import Snapshot

__all__ = ["preflight"]


def preflight(
    definition: EgressDefinition,
    dynamics: DynamicsConnector,
    sources: Sequence[FileSource],
    previous: Snapshot | None,
) -> tuple[CheckReport, Snapshot | None]:
    """The report, and the snapshot when nothing failed. Raises RetryLaterError when Dynamics cannot be asked now."""
    checks = _Preflight(definition=definition, dynamics=dynamics)
    checks.same_environment(previous)
    if checks.access("Dynamics 365: access", dynamics.check_access):
        for kind in sorted(definition.kinds):
            checks.activity(kind, definition.activities[kind])
    for source in sources:
        checks.exports(source)
    report = checks.report()
    if not report.ok:
        return report, None
    snapshot = Snapshot(
        definition=definition_to_json(definition),
        source_identity="",
        target_identity=dynamics.identity,
        sources={},
        targets=checks.schemas,
    )
    return report, snapshot


@define(kw_only=True)
class _Preflight(CheckList):
    definition: EgressDefinition
    dynamics: DynamicsConnector
    schemas: dict[str, TableSchema] = field(factory=dict)

    def same_environment(self, previous: Snapshot | None) -> None:
        name, now = "environment: the same as before", self.dynamics.identity
        if previous is None or previous.target_identity == now:
            self.passed(name, "first start" if previous is None else "")
            return
        self.failed(
            name,
            f"this storage was filled for Dynamics 365 at {previous.target_identity}, and now it is {now}",
            "Use a storage, or an integration name, of its own for each environment.",
        )

    # -- Dynamics 365 ----------------------------------------------------------------------------------------------

    def activity(self, kind: EventKind, activity: ActivityTable) -> None:
        """One kind of event: its table, its columns, and that it can be regarding a contact."""
        name = f"{kind}: table {activity.table}"
        schema = self.dynamics.describe(activity.table)
        if schema is None:
            there = ", ".join(sorted(self.dynamics.activities())) or "none that the service names"
            self.failed(
                name,
                "Dynamics 365 has no such table",
                "Install the app that brings Campaign's activities, make a custom activity, or name yours in "
                f"activities.{kind}.table. Activities there are: {there}. Or switch {kind} off.",
            )
            return
        self.passed(name, schema.label)
        self.schemas[activity.table] = schema
        self._columns(kind, activity, schema)
        self._regarding(kind, activity)
        if self.dynamics.creates_in_bulk(activity.table) is False:
            self.warned(
                f"{kind}: bulk",
                f"{activity.table} does not take CreateMultiple, or the application user may not see whether it does",
                "Nothing has to be done: events go in batches of single creates, which is slower.",
            )

    def _columns(self, kind: EventKind, activity: ActivityTable, schema: TableSchema) -> None:
        wanted = {
            "subject": activity.subject,
            "campaign_name": activity.campaign_name,
            "delivery_name": activity.delivery_name,
            "occurred_on": activity.occurred_on,
            "mirror_page_url": activity.mirror_page_url,
            "tracking_url": activity.tracking_url if kind is EventKind.CLICK else None,
        }
        problems = []
        for setting, column in wanted.items():
            found = schema.fields.get(column) if column is not None else None
            if column is None:
                continue
            if found is None:
                problems.append(f"{column} ({setting}) is missing")
            elif not found.writable:
                problems.append(f"{column} ({setting}) cannot be written")
            elif setting == "occurred_on" and found.type is not FieldType.DATETIME:
                problems.append(f"{column} ({setting}) is {found.type.value} and no date with a time")
            elif setting != "occurred_on" and found.type is not FieldType.STRING:
                problems.append(f"{column} ({setting}) is {found.type.value} and no text")
        name = f"{kind}: columns"
        if problems:
            own = ", ".join(column for column in schema.fields if "_" in column) or "none"
            self.failed(
                name,
                "; ".join(problems),
                f"Add them to {activity.table}, or name those it has in activities.{kind}. Its own columns: {own}.",
            )
        else:
            self.passed(name)

    def _regarding(self, kind: EventKind, activity: ActivityTable) -> None:
        targets = self.dynamics.links(activity.table).get(activity.regarding, ())
        if "contact" in targets:
            self.passed(f"{kind}: regarding a contact")
            return
        self.failed(
            f"{kind}: regarding a contact",
            f"{activity.table}.{activity.regarding} cannot point to a contact",
            "Turn on 'Activities' for the table contact, or name the lookup in "
            f"activities.{kind}.regarding. It can point to: {', '.join(sorted(targets)) or 'nothing'}.",
        )

    # -- exports ---------------------------------------------------------------------------------------------------

    def exports(self, source: FileSource) -> None:
        """That the folder can be read, and that the newest file of each log has the columns it needs."""
        name = f"exports: {source.name}"
        try:
            source.check_access()
            files = source.files()
            self.passed(name, f"{len(files)} files")
            for log in (self.definition.delivery_log, self.definition.tracking_log):
                found = [file for file in files if fnmatchcase(file.name, log.files)]
                if not found:
                    self.warned(
                        f"{name}: {log.files}",
                        "no file matches",
                        "Nothing has to be done if none was exported yet; else compare the names with the definition.",
                    )
                    continue
                header = source.read(found[-1], None, self.definition.file_format, 1).mark.header
                missing = missing_columns(header, log, self.definition.kinds) if header else []
                if missing:
                    told = f"{found[-1].name} has no column {', '.join(missing)}"
                    self.failed(f"{name}: {log.files}", told, "Export the column, or name it in the definition.")
                else:
                    self.passed(f"{name}: {log.files}")
        except SynclineError as error:
            self.failed(name, error.message, error.remedy or "Check the folder and the file format.")
