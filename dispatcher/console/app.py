"""The HTTP interface as one application: the table of routes, problems instead of stack traces, strict headers."""

from __future__ import annotations

from aiohttp import web

from dispatcher.console import (
    api_accounts,
    api_events,
    api_links,
    api_people,
    api_read,
    api_service,
    api_stops,
    api_tasks,
    page,
)
from dispatcher.console.context import CONTEXT, Context
from dispatcher.console.openapi import DESCRIPTION, describe
from dispatcher.console.problems import problems
from dispatcher.console.shared import SHARED, Shared
from dispatcher.console.stream import facts_to_hub
from dispatcher.console.views import encoded
from dispatcher.model.incident import MAX_BYTES
from dispatcher.web import PAGE_HEADERS

__all__ = ["Context", "facts_to_hub", "make_console"]


def make_console(context: Context) -> web.Application:
    """The application over ``context``. Whoever runs it closes ``context.hub`` first, which ends all streams."""
    app = web.Application(client_max_size=MAX_BYTES, middlewares=[problems])
    app[CONTEXT], app[SHARED] = context, Shared(context.journal)
    table = [
        *api_events.routes,
        *api_people.routes,
        *api_stops.routes,
        *api_links.routes,
        *api_tasks.routes,
        *api_read.routes,
        *api_service.routes,
        *api_accounts.routes,
        *page.routes,
    ]
    app[DESCRIPTION] = encoded(describe(table))
    for route in (*table, *page.static_files()):
        app.router.add_route(route.method, route.path, route.answer)
    app.on_response_prepare.append(_harden)
    return app


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    """No answer runs foreign code, lies in a cache, or stands in somebody's frame."""
    for name, value in PAGE_HEADERS.items():
        response.headers.setdefault(name, value)
