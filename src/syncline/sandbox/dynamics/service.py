"""The Web API: from a request to the handler of the resource it names.

Lives here: routing, and the small functions that are nobody's room (WhoAmI, RetrieveTotalRecordCount, the service
document). Never here: HTTP transport, authentication, limits (see `app`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from . import batch, bulk, metadata, reading, tracking, writing
from .answers import Answer, DataverseError, json_answer
from .environment import Environment
from .projection import unknown_property
from .requests import Request, Segment, api_root, parse_path
from .rows import Row
from .tables import Table

__all__ = ["Service"]

Function = Callable[[Request, Sequence[Segment]], Answer]
_NAMESPACE = "Microsoft.Dynamics.CRM."


class Service:
    """Answers requests of the data API, one at a time."""

    def __init__(self, environment: Environment, counts: Counter[str]) -> None:
        self._environment = environment
        self._counts = counts
        self._functions: dict[str, Function] = {
            "WhoAmI": self._who_am_i,
            "RetrieveTotalRecordCount": self._total_record_count,
            "RetrieveMetadataChanges": self._metadata_changes,
            "EntityDefinitions": self._definitions(metadata.entity_definitions),
            "RelationshipDefinitions": self._definitions(metadata.relationship_definitions),
            "GlobalOptionSetDefinitions": self._definitions(metadata.global_option_sets),
            "$batch": self._batch,
            "BulkDelete": self._bulk_delete,
        }

    def __repr__(self) -> str:
        return f"Service({self._environment!r})"

    def answer(self, request: Request) -> Answer:
        """The answer to an authenticated request; refusals are answers too."""
        try:
            return self._route(request)
        except DataverseError as refusal:
            return refusal.answer(detailed=request.preferences.annotations.everything)

    def _route(self, request: Request) -> Answer:
        path = parse_path(request.path)
        if path is None:
            raise DataverseError(404, "", f"No HTTP resource was found that matches the request URI '{request.path}'.")
        if not path:
            return self._service_document(request)
        first = path[0]
        function = self._functions.get(first.name)
        if function is not None:
            return function(request, path)
        table = self._environment.schema.by_set(first.name)
        if table is None:
            raise DataverseError(404, "0x8006088a", f"Resource not found for the segment '{first.name}'.")
        return self._rows(request, table, path)

    def _count(self, kind: str) -> None:
        self._counts[kind] += 1

    # -- rows -----------------------------------------------------------------------------------------------------

    def _rows(self, request: Request, table: Table, path: Sequence[Segment]) -> Answer:
        if path[0].arguments is None:
            return self._set(request, table, path[1:])
        return self._row(request, table, path)

    def _set(self, request: Request, table: Table, rest: Sequence[Segment]) -> Answer:
        environment = self._environment
        if not rest:
            if request.method == "POST":
                self._count("create")
                return writing.create(environment, request, table)
            _require(request, "GET")
            if tracking.is_tracked(request):
                self._count("read_changes")
                return tracking.read_changes(environment, request, table)
            self._count("read")
            return reading.read_collection(environment, request, table)
        name = rest[0].name
        if name == "$count":
            _require(request, "GET")
            self._count("count")
            count = tracking.count_changes if "$deltatoken" in request.query else reading.count_rows
            return count(environment, request, table)
        if name.startswith(_NAMESPACE):
            _require(request, "POST")
            return self._message(request, table, name.removeprefix(_NAMESPACE))
        raise DataverseError(404, "0x8006088a", f"Resource not found for the segment '{name}'.")

    def _message(self, request: Request, table: Table, name: str) -> Answer:
        message = bulk.MESSAGES.get(name)
        if message is None:
            raise DataverseError(404, "0x8006088a", f"Resource not found for the segment '{_NAMESPACE}{name}'.")
        self._count(name)
        return message(self._environment, request, table)

    def _row(self, request: Request, table: Table, path: Sequence[Segment]) -> Answer:
        environment = self._environment
        target = writing.target_of_keys(environment, table, path[0])
        if len(path) > 1:
            self._count("link")
            if request.method == "GET":
                return self._property(request, table, target.existing(), path[1:])
            return writing.write_link(environment, request, table, target, path[1:])
        if request.method == "GET":
            self._count("read_row")
            reading.check_read(environment, table)
            return reading.read_row(environment, request, table, target.existing())
        if request.method == "PATCH":
            self._count("update")
            return writing.update(environment, request, table, target)
        if request.method == "DELETE":
            self._count("delete")
            return writing.delete(environment, request, table, target)
        raise _wrong_method(request)

    def _property(self, request: Request, table: Table, row: Row, rest: Sequence[Segment]) -> Answer:
        """GET of one property, or of what a navigation property leads to."""
        reading.check_read(self._environment, table)
        name = rest[0].name
        column = table.by_wire_name(name)
        root = f"{request.origin}{api_root(request.path)}/$metadata#"
        if column is not None and column.on_wire:
            shown = reading.one_property(self._environment, table, row, name)
            if shown is None:
                return Answer(status=204)
            return json_answer({"@odata.context": f"{root}{table.entity_set}({row.id})/{name}", "value": shown})
        if not name.isidentifier():
            raise unknown_property(table, name)
        related = reading.navigate(self._environment, table, row, name, request)
        if related is None:
            return Answer(status=204)
        return json_answer({"@odata.context": f"{root}{related[0]}", **related[1]})

    # -- functions and actions ------------------------------------------------------------------------------------

    def _definitions(self, handler: Callable[[Environment, Request, Sequence[Segment]], Answer]) -> Function:
        def answer(request: Request, path: Sequence[Segment]) -> Answer:
            self._count("metadata")
            return handler(self._environment, request, path)

        return answer

    def _metadata_changes(self, request: Request, path: Sequence[Segment]) -> Answer:
        _require(request, "GET")
        self._count("metadata")
        return metadata.retrieve_metadata_changes(self._environment, request, path[0])

    def _batch(self, request: Request, _path: Sequence[Segment]) -> Answer:
        _require(request, "POST")
        self._count("batch")
        return batch.run_batch(self._environment, request, self.answer, self._counts)

    def _bulk_delete(self, request: Request, _path: Sequence[Segment]) -> Answer:
        _require(request, "POST")
        self._count("BulkDelete")
        return bulk.bulk_delete(self._environment, request)

    def _who_am_i(self, request: Request, _path: Sequence[Segment]) -> Answer:
        _require(request, "GET")
        self._count("WhoAmI")
        environment = self._environment
        root = f"{request.origin}{api_root(request.path)}/$metadata#"
        body = {
            "@odata.context": f"{root}{_NAMESPACE}WhoAmIResponse",
            "BusinessUnitId": environment.business_unit_id,
            "UserId": environment.application_user_id,
            "OrganizationId": environment.organization_id,
        }
        return json_answer(body, headers=(("x-ms-dop-hint", str(environment.settings.dop_hint)),))

    def _total_record_count(self, request: Request, path: Sequence[Segment]) -> Answer:
        _require(request, "GET")
        self._count("count")
        names = metadata.function_arguments(request, path[0]).get("EntityNames")
        if not isinstance(names, list) or not names:
            raise DataverseError(400, "0x80040203", "EntityNames is required.")
        counts = {}
        for name in names:
            table = self._environment.schema.find(str(name))
            if table is None:
                raise DataverseError(400, "0x80040203", f"The entity with a name = '{name}' was not found.")
            counts[table.name] = self._environment.rows.count(table)
        root = f"{request.origin}{api_root(request.path)}/$metadata#"
        collection = {"Count": len(counts), "IsReadOnly": False, "Keys": list(counts), "Values": list(counts.values())}
        return json_answer(
            {
                "@odata.context": f"{root}{_NAMESPACE}RetrieveTotalRecordCountResponse",
                "EntityRecordCountCollection": collection,
            }
        )

    def _service_document(self, request: Request) -> Answer:
        _require(request, "GET")
        self._count("metadata")
        entries = [
            {"name": table.entity_set, "kind": "EntitySet", "url": table.entity_set}
            for table in self._environment.schema
        ]
        return json_answer({"@odata.context": f"{request.origin}{api_root(request.path)}/$metadata", "value": entries})


def _require(request: Request, method: str) -> None:
    if request.method != method:
        raise _wrong_method(request)


def _wrong_method(request: Request) -> DataverseError:
    uri = f"{request.origin}{request.path}"
    return DataverseError(404, "", f"No HTTP resource was found that matches the request URI '{uri}'.")
