"""One-time links out of pages: looking acts on nothing, for messengers look too; saying yes does what the page offered."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web

from dispatcher.console.api_events import Asked, wish_of
from dispatcher.console.auth import Role
from dispatcher.console.page import html
from dispatcher.console.problems import HttpProblem
from dispatcher.console.routing import Call, Routes, recognised
from dispatcher.console.schemas import Nothing, Preview, Raw
from dispatcher.console.views import texts_view
from dispatcher.journal import queries, standing
from dispatcher.links import Offered
from dispatcher.model.command import Confirm, Join, Release
from dispatcher.model.delivery import AlertId, DeliveryId, IncidentId
from dispatcher.model.errors import CommandError, Conflict
from dispatcher.model.playbook import PlaybookId
from dispatcher.plan.pages import Deed

routes = Routes()

_USED = "this link was used already"


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a person sees before saying yes: a title, texts, a note where nothing can be done any more."""

    title: str
    texts: list[Any] = field(default_factory=list)
    note: str = ""


@routes("GET /act/{token}", role=None, reads=Nothing)
async def look(call: Call[Nothing]) -> web.Response:
    """Show what a link from a page would do."""
    offered = await _offered(call)
    return _shown(call, offered, await _sight(call, offered))


@routes("POST /act/{token}", role=None, reads=Raw)
async def act(call: Call[Raw]) -> web.Response:
    """Do what a link offers, once, in the name of whom it is for, or of who is signed in."""
    offered = await _offered(call)
    person = offered.person or await _signed_in(call)
    form = {name: value for name, value in (await call.request.post()).items() if isinstance(value, str)}
    await _claim(call, offered, person)
    done = False
    try:
        await _done(call, offered, person, form)
        done = True
    except CommandError as error:
        return _shown(call, offered, _Sight("Das geht nicht", note=str(error)), status=409)
    finally:
        if not done:
            await call.context.journal.write(partial(standing.unuse_link, sha256=offered.sha256))
    return _shown(call, offered, _Sight("Erledigt", note=f"{offered.offer.deed.label}: {person}"))


async def _offered(call: Call[Any]) -> Offered:
    """What the link offers; raises `HttpProblem` 410 where it is none, was used, or is too old."""
    offered = call.context.links.read(call.path("token"), call.context.clock.now())
    if offered is None:
        raise HttpProblem(410, "this link is none of ours, or too old: open the console instead")
    if offered.person and offered.person not in call.context.deployment.roster.people:
        raise HttpProblem(410, f"{offered.person} does not stand under people any more")
    if await call.context.journal.read(partial(standing.link_used, sha256=offered.sha256)):
        raise HttpProblem(410, _USED)
    return offered


async def _claim(call: Call[Any], offered: Offered, person: str) -> None:
    """The link is used before its deed is done, so that two who click at once do it once; raises `HttpProblem` 410."""
    use = partial(standing.use_link, sha256=offered.sha256, person=person, at=call.context.clock.now())
    if not await call.context.journal.write(use):
        raise HttpProblem(410, _USED)


async def _signed_in(call: Call[Any]) -> str:
    """A link to a shared phone names nobody: whoever uses it has to be signed in."""
    who = await recognised(call.request, call.context)
    if not who.person or not who.role.may(Role.OPERATOR):
        raise HttpProblem(403, "this needs a person with role operator: sign in first")
    return who.person


async def _sight(call: Call[Any], offered: Offered) -> _Sight:
    offer, journal = offered.offer, call.context.journal
    if offer.deed is Deed.RELEASE:
        record = await journal.read(partial(queries.alert_record, alert=AlertId(offer.ref)))
        if record is None or record.state != "held":
            return _Sight("Freigabe", note="Hier wartet nichts mehr auf Freigabe.")
        return _Sight(f"Freigeben: {record.alert.code}", texts_view(record.alert, call.context.deployment))
    if offer.deed is Deed.JOIN:
        return _Sight(f"Lage {offer.ref} mit {offer.to} verbinden?")
    if offer.deed is Deed.CONFIRM:
        return _Sight(f"Von Hand veröffentlicht: {offer.ref.partition(':')[2]}?")
    return _Sight(f"Playbook auslösen: {offer.to or offer.ref}")


def _shown(call: Call[Any], offered: Offered, sight: _Sight, *, status: int = 200) -> web.Response:
    answer = html(
        "act.html", call.context, sight=sight, offered=offered, deed=offered.offer.deed.value,
        playbooks=call.context.deployment.playbooks, regions=call.context.deployment.regions,
    )  # fmt: skip
    answer.set_status(status)
    return answer


async def _done(call: Call[Any], offered: Offered, person: str, form: dict[str, str]) -> None:
    """Raises `CommandError` where it cannot be done any more."""
    offer, pipeline = offered.offer, call.context.pipeline
    match offer.deed:
        case Deed.RELEASE:
            await pipeline.command(Release(person=person, alert=AlertId(offer.ref), digest=offer.digest))
        case Deed.JOIN:
            own, into = IncidentId(offer.ref), IncidentId(offer.to)
            await pipeline.command(Join(person=person, incident=own, into=into, key=offered.sha256))
        case Deed.CONFIRM:
            await pipeline.command(Confirm(person=person, delivery=DeliveryId(offer.ref)))
        case Deed.TRIGGER:
            now = call.context.clock.now()
            regions = [form["region"]] if form.get("region") else []
            wanted = Preview(
                place=form.get("place", "")[:80] or offer.to, regions=regions, facts={}, incident=offer.ref
            )
            asked = Asked(person, PlaybookId(form.get("playbook", "")), offered.sha256, wanted)
            receipt = await pipeline.receive(wish_of(asked, call.context.deployment, now, sent=now).inbound)
            if receipt.state not in ("journaled", "duplicate"):
                raise Conflict(f"{receipt.state}: {receipt.error or 'nothing was said'}")
