"""Officers' own accounts: whom to invite, what each has said since, who is at work. Only owners agree, pause and revoke."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from dispatcher.accounts.book import Invitation
from dispatcher.console.auth import Role
from dispatcher.console.routing import Call, Routes
from dispatcher.console.schemas import Assigned, Invitations, Nothing
from dispatcher.console.views import answer
from dispatcher.journal.accounts import assigned
from dispatcher.model.account import Account, silenced
from dispatcher.model.command import Assign
from dispatcher.model.delivery import IncidentId

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


@routes("POST /api/v1/incidents/{id}/assign", role=Role.OPERATOR, reads=Assigned)
async def assign(call: Call[Assigned]) -> web.Response:
    """Name officers who are at work on an incident: nothing more is said of it on their own accounts."""
    context, officers = call.context, tuple(call.data.officers)
    command = Assign(person=call.who.person, incident=IncidentId(call.path("id")), officers=officers)
    incident = IncidentId(await context.pipeline.command(command))
    known = await context.journal.read(partial(assigned, incident=incident))
    left_out = sorted(silenced(context.deployment.channels.values(), known))
    return answer({"incident": incident, "assigned": len(known), "left_out": left_out})


def _view(account: Account) -> dict[str, Any]:
    """An account without anything that its owner gave us."""
    names = ("channel", "group", "officer", "standing", "at", "regions", "way")
    return {name: getattr(account, name) for name in names}
