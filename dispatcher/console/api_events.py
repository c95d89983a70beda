"""Incident events by HTTP, and playbooks that a person lets speak: both take the same road as every event."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from aiohttp import web

from dispatcher.console.auth import Role
from dispatcher.console.problems import HttpProblem
from dispatcher.console.routing import Call, Routes
from dispatcher.console.schemas import Nothing, Preview, Raw, Trigger
from dispatcher.console.views import alerts_view, answer, playbook_view, receipt_view, texts_view
from dispatcher.intake.base import SIGNATURE_HEADERS, Inbound, Receipt
from dispatcher.intake.reader import read
from dispatcher.journal import queries
from dispatcher.model.alert import Alert
from dispatcher.model.cap import Area, Realm, Status
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import Conflict, Forbidden, Invalid, NotFound, Unreadable
from dispatcher.model.incident import IncidentEvent, parse_event
from dispatcher.model.playbook import Playbook, PlaybookId
from dispatcher.model.source import OPERATOR
from dispatcher.plan.event import Plan, plan_event

routes = Routes()

PREVIEW_AGE = timedelta(minutes=10)
_STATUS = {"journaled": 201, "duplicate": 200, "conflict": 409, "unreadable": 400, "refused": 422, "forbidden": 403}


@routes("POST /api/v1/events", role=Role.SOURCE, reads=Raw)
async def report(call: Call[Raw]) -> web.Response:
    """Take one incident event, JSON v1; answered when it is on disk."""
    source, person = (call.who.source, "") if call.who.source else (f"{OPERATOR}{call.who.person}", call.who.person)
    payload, now = await call.request.read(), call.context.clock.now()
    signature, key_id = (call.request.headers.get(name, "") for name in SIGNATURE_HEADERS)
    inbound = Inbound(
        source=source, person=person, payload=payload, received_at=now, signature=signature, key_id=key_id
    )
    receipt = await call.context.pipeline.receive(inbound)
    return answer(receipt_view(receipt), status=_status(call, receipt, inbound))


@routes("GET /api/v1/playbooks", role=Role.VIEWER, reads=Nothing)
async def playbooks(call: Call[Nothing]) -> web.Response:
    """List the playbooks, first to speak first."""
    return answer({"playbooks": [playbook_view(playbook) for playbook in call.context.deployment.playbooks]})


@routes("POST /api/v1/playbooks/{id}/preview", role=Role.OPERATOR, reads=Preview)
async def preview(call: Call[Preview]) -> web.Response:
    """Show what a playbook would say now, and on which channels; sends nothing."""
    as_of = call.context.clock.now()
    wish = _wish(call, as_of, sent=as_of)
    alert, notes = await _planned(call, wish, as_of)
    return answer({
        "as_of": as_of, "digest": alert.digest, "key": wish.event.id, "incident": alert.incident,
        "purpose": alert.purpose, "code": alert.code, "people": alert.people, "channels": len(alert.speaking),
        "texts": texts_view(alert, call.context.deployment), "notes": notes,
    })  # fmt: skip


@routes("POST /api/v1/playbooks/{id}/trigger", role=Role.OPERATOR, reads=Trigger)
async def trigger(call: Call[Trigger]) -> web.Response:
    """Let a playbook speak: in the name of whoever asks, once for each Idempotency-Key."""
    as_of = _as_of(call)
    wish = _wish(call, as_of, sent=call.data.as_of)
    source, event = wish.inbound.source, wish.event
    if not await call.context.journal.read(partial(queries.seen, source=source, event=event.id)):
        alert, _ = await _planned(call, wish, as_of)
        if call.data.digest not in (None, alert.digest):
            raise Conflict("it would not say any more what you have seen: look at the preview again")
    receipt = await call.context.pipeline.receive(wish.inbound)
    status = _status(call, receipt, wish.inbound)
    records = await call.context.journal.read(partial(queries.alert_records, incident=event.incident))
    body = {"receipt": receipt_view(receipt), "incident": event.incident, "alerts": alerts_view(records)}
    return answer(body, status=status)


def idempotency_key(call: Call[Any]) -> str:
    """What makes a repeat harmless: the client's Idempotency-Key, or a new one; raises `Invalid` beyond 200 characters."""
    key: str = call.request.headers.get("Idempotency-Key", "").strip() or str(uuid.uuid4())
    if len(key) > 200 or not key.isprintable():
        raise Invalid("at most 200 printable characters", "Idempotency-Key")
    return key


@dataclass(frozen=True, slots=True)
class Wish:
    """A person's wish as the event it becomes: the bytes, and what they mean."""

    inbound: Inbound
    event: IncidentEvent


def _wish(call: Call[Any], as_of: datetime, *, sent: datetime | None) -> Wish:
    asked = Asked(call.who.person, PlaybookId(call.path("id")), idempotency_key(call), call.data)
    return wish_of(asked, call.context.deployment, as_of, sent=sent)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants which playbook to speak, under which key, about what."""

    person: str
    playbook: PlaybookId
    key: str
    wanted: Preview


def wish_of(asked: Asked, deployment: Deployment, as_of: datetime, *, sent: datetime | None) -> Wish:
    """The event that a playbook is triggered by, the same for every repeat; raises `NotFound`, `Invalid`, `Unreadable`."""
    wanted, key = asked.wanted, asked.key
    playbook = deployment.playbook(asked.playbook)
    if playbook is None:
        raise NotFound(f"no playbook {asked.playbook}")
    if deployment.resolve(Area(regions=tuple(wanted.regions))) is None:
        known = ", ".join(f"{region.id} ({region.name})" for region in deployment.regions)
        raise Invalid(f"name regions out of: {known}", "regions")
    source = f"{OPERATOR}{asked.person}"
    fields = {
        "v": 1, "id": key, "incident": wanted.incident or _incident(playbook, source, key), "msg_type": "alert",
        "status": Status.ACTUAL if deployment.realm is Realm.LIVE else Status.EXERCISE,
        "kind": wanted.kind or playbook.match.kind[0], "place": wanted.place, "facts": wanted.facts,
        "playbooks": [playbook.id],
    }  # fmt: skip
    fields |= {"area": {"regions": wanted.regions}} if wanted.regions else {}
    fields |= {"severity": wanted.severity} if wanted.severity else {}
    fields |= {"assigned": wanted.assigned} if wanted.assigned else {}
    fields |= {"sent": sent.isoformat()} if sent else {}
    payload = json.dumps(fields, ensure_ascii=False).encode()
    event = parse_event(payload, source=source, received_at=as_of)
    inbound = Inbound(source=source, person=asked.person, payload=payload, received_at=as_of, as_of=sent)
    return Wish(inbound, event)


def _incident(playbook: Playbook, source: str, key: str) -> str:
    """A new incident's id; the same for the same key, so that a repeat is no second incident."""
    return f"{playbook.id}-{hashlib.sha256(f'{source}/{key}'.encode()).hexdigest()[:8]}"


def _as_of(call: Call[Trigger]) -> datetime:
    """The time to compare texts at: the preview's, as long as it is fresh; else now."""
    now, as_of = call.context.clock.now(), call.data.as_of
    if (as_of is None) != (call.data.digest is None):
        raise Invalid("a preview's digest and as_of go together", "as_of" if as_of is None else "digest")
    if as_of is not None and not timedelta(0) <= now - as_of <= PREVIEW_AGE:
        raise Conflict("this preview is too old: look at a new one")
    return as_of or now


async def _planned(call: Call[Any], wish: Wish, as_of: datetime) -> tuple[Alert, tuple[str, ...]]:
    """The alert that a wish would become at ``as_of``; raises `Conflict` where nothing would be said, `Forbidden`."""
    home = call.context.pipeline.decisions.means.home(wish.event.incident)
    history = await call.context.journal.read(partial(queries.history, incident=home))
    plan: Plan = plan_event(replace(wish.event, incident=home), call.context.deployment, history, as_of)
    if plan.state == "forbidden":
        raise Forbidden(plan.notes[-1])
    if plan.alert is None:
        raise Conflict("; ".join(("nothing would be said", *plan.notes)))
    verdicts = {str(verdict) for verdict in plan.verdicts}
    return plan.alert, tuple(note for note in plan.notes if note not in verdicts)


def _status(call: Call[Any], receipt: Receipt, inbound: Inbound) -> int:
    """The status of a receipt that says yes; raises `HttpProblem` for one that says no."""
    status = _STATUS[receipt.state] if receipt.id else 400
    if status < 300:
        return status
    detail = receipt.error or "this id was used before, for other content"
    raise HttpProblem(status, detail, receipt=receipt_view(receipt), **_culprit(call, inbound, status))


def _culprit(call: Call[Any], inbound: Inbound, status: int) -> dict[str, Any]:
    """The field that made an event unreadable, where it was one."""
    try:
        read(inbound, call.context.deployment.sources, inbound.received_at)
    except Unreadable as error:
        return {"field": error.field}
    return {"field": "status"} if status == 422 else {}
