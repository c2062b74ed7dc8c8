"""Postbox, a made-up mailing list service with a small HTTP interface, as an author of a connector would imitate one.

    GET    /v1/account                       who the key belongs to
    GET    /v1/lists                         lists, with their fields and types
    GET    /v1/lists/{list}/members?id=key   one member; 404
    PUT    /v1/lists/{list}/members?id=key   a new member, with `If-None-Match: *`; 412 when there is one
    PATCH  /v1/lists/{list}/members?id=key   changes the fields given, null empties one; 404
    DELETE /v1/lists/{list}/members?id=key   204; 404

Every request carries `Authorization: Bearer <key>`. 422 names the field that does not fit.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

__all__ = ["Postbox"]

Member = dict[str, Any]

#: List to field to type and, for texts, the longest that fits.
LISTS: Final[dict[str, dict[str, tuple[str, int | None]]]] = {
    "members": {
        "external_id": ("text", 100),
        "email": ("text", 200),
        "given_name": ("text", 50),
        "family_name": ("text", 50),
        "born": ("date", 10),
        "credit": ("number", None),
    }
}


class Postbox:
    """The service: `app` answers, `members` is what it knows. `key` opens it; whom it `refuses` it takes never."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.members: dict[str, dict[str, Member]] = {name: {} for name in LISTS}
        self.refuses: set[str] = set()
        one = "/v1/lists/{list}/members"
        self.app = Starlette(
            routes=[
                Route("/v1/account", self.account),
                Route("/v1/lists", self.lists),
                Route(one, self.show, methods=["GET"]),
                Route(one, self.put, methods=["PUT"]),
                Route(one, self.patch, methods=["PATCH"]),
                Route(one, self.delete, methods=["DELETE"]),
            ]
        )

    async def account(self, request: Request) -> Response:
        self._admit(request)
        return JSONResponse({"account": "Contoso"})

    async def lists(self, request: Request) -> Response:
        self._admit(request)
        described = [
            {"name": name, "fields": [{"name": one, "type": kind, "max": most} for one, (kind, most) in fields.items()]}
            for name, fields in LISTS.items()
        ]
        return JSONResponse(described)

    async def show(self, request: Request) -> Response:
        members, key = self._place(request)
        if key not in members:
            raise HTTPException(404)
        return JSONResponse(members[key])

    async def put(self, request: Request) -> Response:
        members, key = self._place(request)
        given = await self._given(request, key)
        if key in members and request.headers.get("if-none-match") == "*":
            raise HTTPException(412)
        members[key] = {**dict.fromkeys(LISTS[request.path_params["list"]]), **given, "external_id": key}
        return JSONResponse(members[key], 201)

    async def patch(self, request: Request) -> Response:
        members, key = self._place(request)
        given = await self._given(request, key)
        if key not in members:
            raise HTTPException(404)
        members[key] |= given
        return JSONResponse(members[key])

    async def delete(self, request: Request) -> Response:
        members, key = self._place(request)
        if members.pop(key, None) is None:
            raise HTTPException(404)
        return Response(status_code=204)

    def _admit(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise HTTPException(401)

    def _place(self, request: Request) -> tuple[dict[str, Member], str]:
        self._admit(request)
        members = self.members.get(request.path_params["list"])
        if members is None:
            raise HTTPException(404)
        return members, request.query_params.get("id", "")

    async def _given(self, request: Request, key: str) -> Member:
        """The fields of the body, each of a kind that fits."""
        fields = LISTS[request.path_params["list"]]
        given: Member = await request.json()
        for name, value in given.items():
            kind, most = fields.get(name, ("", None))
            fits = isinstance(value, int | float) if kind == "number" else isinstance(value, str)
            too_long = most is not None and isinstance(value, str) and len(value) > most
            if not kind or too_long or not (fits or value is None) or key in self.refuses:
                raise HTTPException(422, detail=name)
        return given
