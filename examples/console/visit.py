"""One visit to a page: who comes, what they sent, and how they are answered.

What lives here: reading a request once and safely, rendering a template, and the wrapping that every page shares: the
log-in, the secret of forms, and errors as pages. What a page shows is for the other modules.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from attrs import frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from syncline import SynclineError
from syncline.views.figures import count, moment, per_second, span

from .estate import Estate, Instance
from .session import COOKIE, Session, Sessions

__all__ = ["Form", "NotThere", "Visit", "endpoint", "rendered"]

#: Larger forms than any page of ours sends.
_LARGEST_FORM = 1 << 20
_MOST_FIELDS = 5_000

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters.update(count=count, moment=moment, per_second=per_second, span=span)


class NotThere(Exception):  # noqa: N818 - an address that leads nowhere is no error of anybody's
    """The address names an instance, a workflow or a table that does not exist."""


class Form(Mapping[str, str]):
    """What was filled in. A field that is not there is an empty text; one that is there twice has several values."""

    def __init__(self, body: bytes = b"") -> None:
        self._fields: dict[str, list[str]] = {}
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        for name, value in pairs:
            self._fields.setdefault(name, []).append(value.strip())

    def __getitem__(self, name: str) -> str:
        return self._fields.get(name, [""])[-1]

    def __iter__(self) -> Any:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def numbers(self, prefix: str) -> list[str]:
        """Of fields called `prefix-number`: the numbers, in their order."""
        found = (re.fullmatch(rf"{prefix}-(\d{{1,6}})", name) for name in self)
        return sorted((match.group(1) for match in found if match), key=int)

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return self._fields.get(name, [])


@frozen(kw_only=True)
class Visit:
    """A request by somebody who has logged in."""

    request: Request
    session: Session
    estate: Estate
    form: Form

    @property
    def who(self) -> str:
        """The name that goes into the workflows' history."""
        return "console"

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    def part(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Say this on the next page."""
        self.session.tell(text, bad=bad)

    def page(self, template: str, status: int = 200, **shown: Any) -> Response:
        """A whole page."""
        return rendered(
            template,
            status=status,
            session=self.session,
            estate=self.estate,
            path=self.request.url.path,
            notices=self.session.take_notices(),
            **shown,
        )

    def fragment(self, template: str, **shown: Any) -> Response:
        """A part of a page, for live updates."""
        return rendered(template, session=self.session, **shown)

    def go(self, address: str) -> Response:
        """To another page, after something was done."""
        return RedirectResponse(address, status_code=303)


def rendered(template: str, status: int = 200, **shown: Any) -> Response:
    """A template as an answer."""
    return HTMLResponse(templates.get_template(template).render(now=datetime.now(UTC), **shown), status_code=status)


def endpoint(
    handler: Callable[[Visit], Response] | Callable[[Visit, Instance], Response], *, of_instance: bool = True
) -> Callable[[Request], Any]:
    """A page for those who have logged in. The handler runs in a thread, since Syncline's methods block."""

    async def answer(request: Request) -> Response:
        sessions: Sessions = request.app.state.sessions
        session = sessions.find(request.cookies.get(COOKIE, ""))
        if session is None:
            return RedirectResponse("/login", status_code=303)
        form = Form()
        if request.method == "POST":
            form = Form(await _body(request))
            if not hmac.compare_digest(form["form_secret"].encode(), session.form_secret.encode()):
                return rendered("refused.html", status=403)
        visit = Visit(request=request, session=session, estate=request.app.state.estate, form=form)
        return await run_in_threadpool(_handled, handler, visit, of_instance)

    return answer


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_FORM:
            return b""
    return bytes(body)


def _handled(handler: Callable[..., Response], visit: Visit, of_instance: bool) -> Response:
    arguments: list[Any] = [visit]
    if of_instance:
        instance = visit.estate.instance(visit.part("slug"))
        if instance is None:
            return visit.page("missing.html", status=404)
        arguments.append(instance)
    try:
        return handler(*arguments)
    except NotThere:
        return visit.page("missing.html", status=404)
    except SynclineError as error:
        return visit.page("trouble.html", status=409, error=error, instance=arguments[-1] if of_instance else None)
