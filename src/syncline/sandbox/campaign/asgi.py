"""The Campaign server: addresses to engine calls, answers to bytes. A plain ASGI application with a hand-made router.

Every request that reaches the engine counts as one engine call, split by verb and by what it asked for; metadata
and tokens are counted apart. What never lives here: rules about records.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote, unquote_plus

from ..bodies import read_body
from .commands import Commands
from .engine import Engine, Found
from .fields import SCALARS, Filter, Resource
from .gateway import OOPS, Answer, Gateway
from .keys import PKeys
from .listings import Listings, Query
from .metadata import Metadata
from .records import Body, Database
from .refusals import EngineError, unknown_document, unsupported
from .settings import Settings
from .standard import standard_resources
from .views import Views, encode

__all__ = ["CampaignSandbox"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ORGANIZATION = "contoso"
_JSON = (b"content-type", b"application/json;charset=utf-8")
_ENDPOINTS = {
    "profileAndServices": ("profile",),
    "profileAndServicesExt": ("profile", "ext"),
    "customResources": ("custom",),
}


_GONE_IN_V8 = frozenset({"orgUnitBase"})


class CampaignSandbox:
    """Adobe Campaign Standard's REST API over one SQLite database, for the organisation `contoso`.

    `database` is a path or `:memory:`; `seed` decides the credentials and the deployment's secret, and so the PKeys.
    `clock` gives the server's time (timezone-aware, UTC), the computer's if omitted.
    """

    organization = ORGANIZATION

    def __init__(
        self, *, database: str = ":memory:", seed: int = 1, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.settings = Settings()
        clock = clock or _utc_now
        self.gateway = Gateway(seed=seed, clock=clock, settings=self.settings)
        self.client_id, self.client_secret = self.gateway.client_id, self.gateway.client_secret
        secret = blake2b(f"deployment {seed}".encode(), digest_size=32).digest()
        self._database = Database(database)
        self.engine = Engine(self._database, PKeys(secret), clock, self.settings)
        for resource in standard_resources().values():
            self.engine.define(resource)
        self.calls: Counter[str] = Counter()
        self._listings = Listings(self.engine)
        self._views = Views(self.engine)
        self._metadata = Metadata(self.engine)
        self._commands = Commands(self)

    def __repr__(self) -> str:
        return f"<CampaignSandbox {ORGANIZATION} with {self.engine.tables['profile'].count} profiles>"

    def control(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a control command; LookupError or ValueError says what is wrong with it."""
        return self._commands.run(command, arguments)

    def close(self) -> None:
        self._database.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        if body is None:
            return
        status, headers, content = self.answer(scope, body)
        length = str(len(content)).encode()
        head = [_JSON, (b"content-length", length), *headers] if content else [(b"content-length", b"0"), *headers]
        if status == 204:
            head = headers
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": content})

    def answer(self, scope: Scope, body: bytes) -> Answer:
        """The answer to one request whose body has arrived."""
        path: str = scope["path"]
        if path.startswith("/ims/"):
            return self._ims(scope["method"], path, body)
        headers = dict(scope["headers"])
        refused = self.gateway.refuse(headers)
        if refused is not None:
            return refused
        if not path.startswith(f"/{ORGANIZATION}/campaign/"):
            return OOPS
        request = _Request(scope, headers, body)
        try:
            status, answer = self._route(request)
        except EngineError as refusal:
            if self.settings.v8:
                return refusal.v8_status, [], encode(refusal.v8).encode()
            return refusal.status, [], encode(refusal.text).encode()
        text = answer if isinstance(answer, str) else "" if answer is None else encode(answer)
        return status, [], text.encode()

    def _ims(self, method: str, path: str, body: bytes) -> Answer:
        if path != "/ims/token/v3":
            return 404, [], b'{"error":"not_found"}'
        if method != "POST":
            return 405, [(b"allow", b"POST")], b'{"error":"method_not_allowed"}'
        self.calls["token"] += 1
        return self.gateway.token(body)

    # -- routes -------------------------------------------------------------------------------------------------

    def _route(self, request: _Request) -> tuple[int, Any]:
        segments = request.segments
        endpoint = segments[0] if segments else ""
        if endpoint not in _ENDPOINTS:
            raise unsupported(request.path)
        if len(segments) == 1:
            return self._exposed(request, endpoint)
        if segments[1] == "resourceType":
            return self._resource_type(request, endpoint, segments[2:])
        resource = self._exposed_resource(endpoint, segments[1])
        if segments[2:] == ["metadata"]:
            return self._resource_type(request, endpoint, [resource.name])
        return self._in_resource(request, endpoint, resource, segments[2:])

    def _exposed(self, request: _Request, endpoint: str) -> tuple[int, Any]:
        self.calls["metadata"] += 1
        if endpoint != "profileAndServicesExt" or request.method != "GET":
            raise unsupported(request.path)
        return 200, self._metadata.exposed(request.home)

    def _resource_type(self, request: _Request, endpoint: str, rest: list[str]) -> tuple[int, Any]:
        self.calls["metadata"] += 1
        if request.method != "GET" or not rest:
            raise unsupported(request.path)
        named = self._metadata.from_pkey(rest[0]) if rest[0].startswith("@") else None
        resource = self._exposed_resource(endpoint, named.name if named else rest[0])
        if rest[1:] == ["filters"]:
            return 200, self._metadata.filters(resource, endpoint, request.home)
        return 200, self._metadata.resource(resource, endpoint, request.home)

    def _exposed_resource(self, endpoint: str, name: str) -> Resource:
        resource = self.engine.resources.get(name)
        if self.settings.v8 and name in _GONE_IN_V8:
            raise unsupported(f"{endpoint}/{name}")
        if resource is None or resource.exposure not in _ENDPOINTS[endpoint]:
            raise unknown_document(name[:1].upper() + name[1:], name)
        return resource

    def _in_resource(self, request: _Request, endpoint: str, resource: Resource, rest: list[str]) -> tuple[int, Any]:
        root = f"{request.home}{endpoint}/{resource.name}/"
        extended = endpoint != "profileAndServices"
        if request.method == "POST" and not rest:
            return self._create(request, resource, root, extended)
        filters, rest = self._filters(resource, rest, extended)
        if request.method == "GET" and (not rest or filters or rest[0] == "_count" or _projects(resource, rest)):
            return self._list(request, resource, root, extended, filters, rest)
        if not rest:
            raise unsupported(request.path)
        return self._record(request, resource, root, extended, rest)

    def _filters(self, resource: Resource, rest: list[str], extended: bool) -> tuple[tuple[Filter, ...], list[str]]:
        taken: list[Filter] = []
        for segment in rest:
            found = self._metadata.filter_named(resource, segment, extended=extended)
            if found is None:
                break
            taken.append(found)
        return tuple(taken), rest[len(taken) :]

    def _create(self, request: _Request, resource: Resource, root: str, extended: bool) -> tuple[int, Any]:
        self.calls["POST"] += 1
        if resource.read_only:
            raise unsupported(request.path)
        number, body = self.engine.create(resource, request.payload(), extended=extended)
        return 201, self._views.entity(resource, number, body, root, extended=extended)

    def _list(
        self,
        request: _Request,
        resource: Resource,
        root: str,
        extended: bool,
        filters: tuple[Filter, ...],
        rest: list[str],
    ) -> tuple[int, Any]:
        self.calls["GET"] += 1
        self.calls["GET by filter" if filters else "GET list"] += 1
        query = Query(
            resource=resource,
            address=request.address,
            root=root,
            filters=filters,
            parameters=request.parameters,
            query_string=request.query_string,
        )
        if rest == ["_count"]:
            return 200, {"count": self._listings.count(query)}
        if not rest:
            return 200, self._listings.page(query, self._shower(resource, root, extended))
        if not _projects(resource, rest):
            raise unsupported(request.path)
        return 200, self._listings.page(query, _projector(resource, rest[0]))

    def _shower(self, resource: Resource, root: str, extended: bool) -> Callable[[int, Body], str]:
        return lambda number, body: self._views.entity(resource, number, body, root, extended=extended)

    def _record(
        self, request: _Request, resource: Resource, root: str, extended: bool, rest: list[str]
    ) -> tuple[int, Any]:
        method = request.method
        if len(rest) > 1:
            return self._inside(request, resource, root, extended, rest)
        self.calls[method] += 1
        if method == "GET":
            self.calls["GET record"] += 1
            number, body = self.engine.identify(resource, rest[0])
            entity = self._views.entity(resource, number, body, root, extended=extended)
            return 200, entity if self.settings.single_get == "bare" else f'{{"content":[{entity}]}}'
        if resource.read_only or method not in ("PATCH", "DELETE"):
            raise unsupported(request.path)
        found = self.engine.identify(resource, rest[0])
        if method == "PATCH":
            return self._change(request, resource, root, extended, found)
        self.engine.delete(resource, found)
        return self.settings.delete_status, None

    def _change(
        self, request: _Request, resource: Resource, root: str, extended: bool, found: Found
    ) -> tuple[int, Any]:
        payload = request.payload()
        if self.settings.v8:
            if not payload:
                return 204, None
            if isinstance(payload.get("location"), dict):
                name = next(iter(payload["location"]), "location")
                text = f"'{name}' property is not valid for the '{resource.name}' resource."
                raise EngineError(500, text, v8=text)
        self.engine.change(resource, found, payload, extended=extended)
        pkey = self._views.pkey(resource, found[0])
        return 200, {"PKey": pkey, "href": root + pkey}

    def _inside(
        self, request: _Request, resource: Resource, root: str, extended: bool, rest: list[str]
    ) -> tuple[int, Any]:
        """A collection of one record, or one record in it by its own address there."""
        field = resource.fields.get(rest[1])
        if field is None or field.kind != "collection" or (field.extended and not extended):
            raise unsupported(request.path)
        number, body = self.engine.identify(resource, rest[0])
        if field.target not in self.engine.resources:
            return 200, {"content": [], "serverSidePagination": True}
        target = self.engine.resources[field.target]
        inner = f"{root}{rest[0]}/{field.name}/"
        if len(rest) > 2:
            return self._record(request, target, inner, extended, rest[2:])
        if request.method != "GET":
            raise unsupported(request.path)
        self.calls["GET"] += 1
        self.calls["GET list"] += 1
        link = target.fields[field.link]
        column = self.engine.tables[target.name].column(link.column or link.hidden)
        value = body.get(resource.key) if link.column else number
        query = Query(
            resource=target,
            address=request.address,
            root=inner,
            parameters=request.parameters,
            query_string=request.query_string,
            where=(f"{column} = ?",),
            values=(value,),
        )
        return 200, self._listings.page(query, self._shower(target, inner, extended))


class _Request:
    """One request to the engine, taken apart."""

    def __init__(self, scope: Scope, headers: dict[bytes, bytes], body: bytes) -> None:
        self.method: str = scope["method"]
        raw: bytes = scope["raw_path"]
        self.path = raw.decode("ascii", "replace").removeprefix(f"/{ORGANIZATION}/campaign/")
        parts = [part for part in self.path.split("/") if part]
        self.segments = [unquote(part) for part in parts] if "%" in self.path else parts
        if self.segments and self.segments[-1].endswith(".json"):
            self.segments[-1] = self.segments[-1].removesuffix(".json")
        host = headers.get(b"host", b"localhost").decode("latin-1")
        self.origin = f"{scope['scheme']}://{host}"
        self.home = f"{self.origin}/{ORGANIZATION}/campaign/"
        self.query_string: str = scope["query_string"].decode("latin-1")
        self._body = body

    @property
    def address(self) -> str:
        return self.home + self.path

    @property
    def parameters(self) -> dict[str, str]:
        pairs = (part.partition("=") for part in self.query_string.split("&") if part)
        return {_decoded(name): _decoded(value) for name, _, value in pairs}

    def payload(self) -> dict[str, Any]:
        if not self._body:
            return {}
        try:
            payload = json.loads(self._body)
        except (ValueError, RecursionError):
            raise EngineError(500, "RST-360000 The JSON document in the body of the request is not valid.") from None
        if not isinstance(payload, dict):
            raise EngineError(500, "RST-360000 The body of the request is not a JSON object.")
        return payload


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _decoded(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _projects(resource: Resource, rest: list[str]) -> bool:
    field = resource.fields.get(rest[0]) if len(rest) == 1 else None
    return field is not None and field.kind in SCALARS and not field.computed


def _projector(resource: Resource, name: str) -> Callable[[int, Body], str]:
    empty = resource.fields[name].empty
    return lambda _number, body: encode(body.get(name, empty))
