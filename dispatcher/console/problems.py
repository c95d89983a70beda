"""Every error as problem+json (RFC 9457): what went wrong, in words, and never how it looks inside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from pydantic import ValidationError

from dispatcher.model.errors import CommandError, Conflict, Forbidden, Invalid, JournalBusy, NotFound, Unreadable
from dispatcher.telemetry import logger

log = logger("console")

_STATUS: dict[type[CommandError], int] = {Forbidden: 403, NotFound: 404, Conflict: 409}


class HttpProblem(Exception):
    """An answer that is no success; ``members`` stand beside those that every problem has."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        """``detail`` is for people."""
        self.status, self.detail, self.headers, self.members = status, detail, headers, members
        super().__init__(detail)

    def response(self) -> web.Response:
        """This problem as an answer."""
        title = HTTPStatus(self.status).phrase
        body = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, **self.members}
        return web.Response(
            status=self.status, text=json.dumps(body, ensure_ascii=False), headers=self.headers,
            content_type="application/problem+json",
        )  # fmt: skip


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever a handler raises with a problem."""
    [answer] = await asyncio.gather(handler(request), return_exceptions=True)
    if not isinstance(answer, BaseException):
        return answer
    if not isinstance(answer, Exception) or (isinstance(answer, web.HTTPException) and answer.status < 400):
        raise answer
    return _problem(answer, request).response()


def _problem(error: Exception, request: web.Request) -> HttpProblem:
    match error:
        case HttpProblem():
            return error
        case ValidationError():
            return _invalid(error)
        case Invalid():
            return HttpProblem(422, str(error), field=error.field)
        case Unreadable():
            return HttpProblem(400, str(error), field=error.field)
        case NotFound() | Conflict() | Forbidden():
            return HttpProblem(_STATUS[type(error)], str(error))
        case JournalBusy():
            return HttpProblem(503, "nothing could be written: try again", headers={hdrs.RETRY_AFTER: "1"})
        case web.HTTPException():
            return _http(error)
    log.error("request_failed", method=request.method, path=request.path, exc_info=error)
    return HttpProblem(500, "something went wrong inside; it is logged")


def _http(error: web.HTTPException) -> HttpProblem:
    """An error of the server's own: no such page, no such method, too much."""
    allow = error.headers.get(hdrs.ALLOW)
    return HttpProblem(error.status, error.reason, headers={"Allow": allow} if allow else None)


def _invalid(error: ValidationError) -> HttpProblem:
    """What was sent is not what is asked for: every field with what is wrong about it."""
    errors = [{"field": ".".join(str(part) for part in found["loc"]), "message": found["msg"]}
              for found in error.errors(include_url=False, include_input=False, include_context=False)]  # fmt: skip
    first = errors[0]
    return HttpProblem(422, f"{first['field']}: {first['message']}", field=first["field"], errors=errors)
