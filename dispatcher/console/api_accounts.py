"""Officers' own accounts: whom to invite, and what each has said since. Only owners agree, pause and revoke."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dispatcher.accounts.book import Invitation
from dispatcher.console.auth import Role
from dispatcher.console.routing import Call, Routes
from dispatcher.console.schemas import Invitations, Nothing
from dispatcher.console.views import answer
from dispatcher.model.account import Account

routes = Routes()


@routes("GET /api/v1/accounts/{id}", role=Role.SUPERVISOR, reads=Nothing)
async def accounts(call: Call[Nothing]) -> web.Response:
    """List who was invited into a group, and what each has said."""
    return answer({"accounts": [_view(one) for one in call.context.accounts.of(call.path("id"))]})


@routes("POST /api/v1/accounts/{id}/invite", role=Role.SUPERVISOR, reads=Invitations)
async def invite(call: Call[Invitations]) -> web.Response:
    """Invite officers: a link for each, at which they decide. Nobody speaks by that."""
    wanted = [Invitation(one.officer, tuple(one.regions)) for one in call.data.officers]
    book = call.context.accounts
    invited = await book.invite(call.path("id"), wanted, call.who.person, again=call.data.again)
    return answer({"accounts": [_view(one) | {"link": book.link(one)} for one in invited]})


def _view(account: Account) -> dict[str, Any]:
    """An account without anything that its owner gave us."""
    names = ("channel", "group", "officer", "standing", "at", "regions", "way")
    return {name: getattr(account, name) for name in names}
