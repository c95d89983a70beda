"""How things look as JSON: the house's words as plain values, with everything a person needs beside them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from aiohttp import web

from dispatcher.intake.base import Receipt
from dispatcher.journal.queries import AlertRecord, Fact
from dispatcher.model.alert import Alert, Purpose, Text
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.delivery import Delivery
from dispatcher.model.deployment import Deployment
from dispatcher.model.incident import IncidentHistory
from dispatcher.model.playbook import FactSpec, Playbook
from dispatcher.model.readiness import Condition
from dispatcher.plan.compose import follow_up, select_channels
from dispatcher.plan.readiness import remedy

_RAW_CHARACTERS = 4_000
_LINK = re.compile(r"/act/[\w.~-]+")


def encoded(data: Any) -> str:
    """``data`` as JSON text; times in ISO 8601, spans in seconds."""
    return json.dumps(data, ensure_ascii=False, default=_plain)


answer = partial(web.json_response, dumps=encoded)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def receipt_view(receipt: Receipt) -> dict[str, Any]:
    """A receipt, as every source gets it."""
    return asdict(receipt)


def fact_view(fact: Fact) -> dict[str, Any]:
    """One line of the log, as the stream carries it."""
    return {"seq": fact.seq, "at": fact.at.isoformat(), "kind": fact.kind, "ref": fact.ref, "body": fact.body}


def alert_view(record: AlertRecord) -> dict[str, Any]:
    """An alert and what became of it, without its texts."""
    alert = record.alert
    names = (
        "id", "incident", "playbook", "purpose", "name", "status", "realm", "severity", "created_at", "code", "place",
        "regions", "revision", "people", "expires_at", "reason", "requested_by", "covers", "degraded",
        "partial", "about", "same_as", "left_out", "widest",
    )  # fmt: skip
    return {
        **{name: getattr(alert, name) for name in names}, "state": record.state, "released_at": record.released_at,
        "released_by": record.released_by, "digest": record.digest, "channels": len(alert.speaking),
        "deliver_within": alert.deliver_within.total_seconds(),
    }  # fmt: skip


def unsigned(body: str) -> str:
    """``body`` without the one-time links of a page: whoever has one acts as the person it was made for."""
    return _LINK.sub("/act/…", body)


def alert_in_full(record: AlertRecord, deployment: Deployment) -> dict[str, Any]:
    """An alert with its texts and its plan: what a person has to see before releasing it."""
    plan = [asdict(planned) for planned in record.alert.plan]
    return alert_view(record) | {"texts": texts_view(record.alert, deployment), "plan": plan}


def texts_view(alert: Alert, deployment: Deployment) -> list[dict[str, Any]]:
    """Each distinct text once, with the channels that say it and how much room it takes on each."""
    spoken = defaultdict[Text, list[dict[str, Any]]](list)
    for planned in alert.plan:
        texts = alert.texts[planned.text]
        text = texts.follow_up if planned.follows else texts.first
        use = _use(deployment.channel(planned.channel), planned.channel, text)
        spoken[text].append(use | {"fallback_of": planned.fallback_of})
    return [asdict(text) | {"body": unsigned(text.body), "channels": channels} for text, channels in spoken.items()]


def _use(profile: ChannelProfile | None, channel: ChannelId, text: Text) -> dict[str, Any]:
    if profile is None:
        return _named(None, channel)
    limit = profile.limit
    return _named(profile, channel) | {"length": limit.measure(text.body), "limit": limit.size, "unit": limit.unit}


def _named(profile: ChannelProfile | None, channel: ChannelId) -> dict[str, Any]:
    """A channel as people know it; one that is not configured any more by its id."""
    return {"channel": channel, "title": profile.title if profile else channel, "kind": profile.kind if profile else ""}


def delivery_view(delivery: Delivery, changed_at: datetime, deployment: Deployment) -> dict[str, Any]:
    """A delivery with its channel's public name."""
    named = _named(deployment.channel(delivery.channel), delivery.channel)
    return {"id": delivery.id, **named, **asdict(delivery), "changed_at": changed_at}


def channel_view(
    profile: ChannelProfile, counts: dict[str, int] | None, latest: dict[str, Any] | None
) -> dict[str, Any]:
    """A channel's profile with what it has done so far."""
    return asdict(profile) | {"deliveries": counts or {}, "latest": latest}


def condition_view(condition: Condition, profile: ChannelProfile) -> dict[str, Any]:
    """A line of the board of readiness, with what a person can do about it."""
    names = ("state", "reason", "detail", "since", "checked_at", "valid_until", "left", "proven_at", "proven", "canary")
    said = {name: getattr(condition, name) for name in names}
    return _named(profile, profile.id) | {"audience": profile.audience} | said | {"remedy": remedy(condition)}


def playbook_view(playbook: Playbook) -> dict[str, Any]:
    """A playbook as one chooses it."""
    return {
        "id": playbook.id, "title": playbook.title, "priority": playbook.priority, "kinds": playbook.match.kind,
        "severity": playbook.severity, "languages": playbook.languages, "facts": _facts_view(playbook.facts),
        "updates": updates_view(playbook),
    }  # fmt: skip


def updates_view(playbook: Playbook) -> list[dict[str, Any]]:
    """The named updates of a playbook with the facts that they ask for."""
    return [{"name": name, "title": update.title, "facts": _facts_view(update.facts)}
            for name, update in playbook.updates.items()]  # fmt: skip


def _facts_view(specs: Any) -> list[dict[str, Any]]:
    def one(name: str, spec: FactSpec) -> dict[str, Any]:
        """A fact as the page asks a person for it."""
        return {"name": name, **spec.model_dump()}

    return [one(name, spec) for name, spec in specs.items()]


def reach(history: IncidentHistory, playbook: Playbook, deployment: Deployment) -> dict[str, int]:
    """On how many channels an update and an end would be said now."""
    spoken = {purpose: follow_up(purpose, playbook, history) for purpose in (Purpose.UPDATE, Purpose.ALL_CLEAR)}
    counts = {purpose: len(select_channels(speech, deployment, history)) for purpose, speech in spoken.items()}
    return {"update": counts[Purpose.UPDATE], "end": counts[Purpose.ALL_CLEAR]}


def letter_view(letter: dict[str, Any]) -> dict[str, Any]:
    """A dead letter; what cannot be printed is written out, so that nothing hides in it."""
    text = letter["payload"][:_RAW_CHARACTERS].decode(errors="backslashreplace")
    visible = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
    return letter | {"payload": visible, "bytes": len(letter["payload"])}


def alerts_view(records: Sequence[AlertRecord]) -> list[dict[str, Any]]:
    """Alerts in a row, without their texts."""
    return [alert_view(record) for record in records]
