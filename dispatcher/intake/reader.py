"""From what came in to an event: who says so, is it signed, in which words; or why it is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from dispatcher.intake.base import Inbound
from dispatcher.intake.foreign import translate
from dispatcher.model.errors import BadSignature, Unreadable
from dispatcher.model.incident import IncidentEvent, canonical_digest, parse_event, read_json, visible
from dispatcher.model.source import OPERATOR, REQUIRED, Signature, Source, person_of

MAX_SOURCE = 100


def read(inbound: Inbound, sources: Mapping[str, Source | None], now: datetime) -> IncidentEvent:
    """The event in ``inbound``. ``sources`` maps those that are configured, None for one that is so in error.

    Raises `Unreadable`, and `BadSignature` where its source signs and this is not signed well.
    """
    if inbound.retained:
        raise Unreadable("a retained message never triggers anything")
    if not inbound.source:
        raise Unreadable("nobody: the topic's level for the source is empty", "source")
    if visible(inbound.source, MAX_SOURCE) != inbound.source:
        raise Unreadable(f"a name of at most {MAX_SOURCE} characters that can all be seen", "source")
    if (person_of(inbound.source) or "") != inbound.person or inbound.source == OPERATOR:
        raise Unreadable("a machine cannot speak as a person: this name belongs to operators", "source")
    source = sources.get(inbound.source, Source())
    if source is None:
        raise Unreadable(f"source {inbound.source} is misconfigured: `dispatcher check` says how", "source")
    if source.signature:
        from dispatcher.intake.signature import verify  # noqa: PLC0415 - slow, and few sign

        verify(inbound.payload, inbound.signature, inbound.key_id, source.signature)
    event = read_as(inbound.payload, source, inbound.source, now)
    if source.signature:
        _fresh(event, source.signature, now)
    return event


def read_as(payload: bytes, source: Source, name: str, now: datetime) -> IncidentEvent:
    """The event that ``payload`` is in the words of ``source``; raises `Unreadable`."""
    if not source.map:
        return parse_event(payload, source=name, received_at=now)
    data = read_json(payload)
    fields, notes = translate(data, source, payload)
    if missing := next((field for field in REQUIRED if field not in fields), ""):
        said = next((note for note in notes if note.startswith(f"{missing}:")), "nothing found")
        raise Unreadable(said.removeprefix(f"{missing}: "), missing)
    event = parse_event(json.dumps(fields, ensure_ascii=False).encode(), source=name, received_at=now)
    return replace(event, digest=canonical_digest(data), warnings=(*notes, *event.warnings))


def _fresh(event: IncidentEvent, signature: Signature, now: datetime) -> None:
    """A signature is worth what its time is worth: an old message, sent again by somebody else, is refused."""
    assumed = any(warning.startswith("sent:") for warning in event.warnings)
    if assumed or abs(now - event.sent) > signature.fresh_for:
        raise BadSignature("a signed event needs a `sent` of just now: is the source's clock right?", "sent")
