"""The console as an ASGI application: which address shows which page."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from . import egress_pages, mapping_pages, opt_out_pages, workflow_pages
from .estate import Estate
from .session import COOKIE, SecurityHeaders, Sessions
from .visit import Form, Visit, endpoint, rendered

__all__ = ["console"]


def console(estate: Estate, token: str) -> Starlette:
    """The application. Answers only to requests for this computer, so that no other name can be made to lead here."""
    app = Starlette(
        routes=[
            Route("/login", log_in, methods=["GET", "POST"]),
            Route("/logout", endpoint(log_out, of_instance=False), methods=["POST"]),
            Route("/", endpoint(workflow_pages.home, of_instance=False)),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
            *_instance_routes(),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
        ],
    )
    app.state.estate = estate
    app.state.sessions = Sessions(token)
    return app


def _instance_routes() -> list[Route]:
    pages, mappings = workflow_pages, mapping_pages
    shown = {
        "/": pages.workflows,
        "/live": pages.workflow_list,
        "/settings": pages.settings,
        "/history": pages.history,
        "/ingress": mappings.table_mappings,
        "/egress": egress_pages.switches,
        "/opt_out": opt_out_pages.opt_outs,
        "/why": opt_out_pages.why,
        "/ingress/add": mappings.new_mapping,
        "/{kind}/backlog": pages.backlog,
        "/{kind}/backlog/live": pages.backlog_figures,
        "/{kind}/dead-letters": pages.dead_letters,
        "/ingress/{table}": mappings.edit_mapping,
        "/ingress/{table}/preview": mappings.preview,
        "/ingress/{table}/replay": mappings.ask_replay,
        "/ingress/{table}/delete": mappings.ask_delete,
        "/ingress/{table}/held": mappings.held,
        "/ingress/{table}/compare": mappings.compare,
    }
    done = {
        "/settings": pages.run_checks,
        "/egress": egress_pages.save_switches,
        "/opt_out": opt_out_pages.save_opt_outs,
        "/ingress/add": mappings.add_mapping,
        "/ingress/held": mappings.decide_held,
        "/{kind}/act": pages.act,
        "/{kind}/dead-letters": pages.change_dead_letters,
        "/ingress/{table}": mappings.save_mapping,
        "/ingress/{table}/replay": mappings.replay,
        "/ingress/{table}/delete": mappings.delete_mapping,
        "/ingress/{table}/compare": mappings.compare,
    }
    return [
        *(Route(f"/i/{{slug}}{path}", endpoint(page), methods=["POST"]) for path, page in done.items()),
        *(Route(f"/i/{{slug}}{path}", endpoint(page), methods=["GET"]) for path, page in shown.items()),
    ]


async def log_in(request: Request) -> Response:
    """Ask for the token, and let in whoever knows it."""
    if request.method == "GET":
        return rendered("login.html", wrong=False)
    session = request.app.state.sessions.log_in(Form(await request.body())["token"])
    if session is None:
        return rendered("login.html", status=403, wrong=True)
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(COOKIE, session.id, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


def log_out(visit: Visit) -> Response:
    """End the session."""
    visit.request.app.state.sessions.log_out(visit.session)
    answer = visit.go("/login")
    answer.delete_cookie(COOKIE)
    return answer
