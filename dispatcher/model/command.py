"""What a person decides, as values. Each names the person; a machine is nobody and commands nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dispatcher.model.alert import Purpose
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import AlertId, DeliveryId, IncidentId


class BreakGlass(StrEnum):
    """Why one person acts where two are asked for: a short list, for the record and the supervisors."""

    DANGER_TO_LIFE = "danger_to_life"
    COLLEAGUE_UNREACHABLE = "colleague_unreachable"
    SYSTEM_FAILURE = "system_failure"


class Scope(StrEnum):
    """What a stop stops."""

    INCIDENT = "incident"
    CHANNEL = "channel"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Let a held alert out; ``digest`` is what the person has seen. With ``break_glass`` one person is enough."""

    person: str
    alert: AlertId
    digest: str
    break_glass: BreakGlass | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """End a held alert, by name."""

    person: str
    alert: AlertId
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """Compose a held alert anew, with the times of now; what was given for the old one is void."""

    person: str
    alert: AlertId


@dataclass(frozen=True, slots=True, kw_only=True)
class Speak:
    """Say an update or an end of an open incident, or (purpose alert) reopen one that has ended.

    ``key`` makes a repeat harmless, ``name`` is a named update, ``words`` a person's own text by language. ``regions``
    is the area from now on: channels outside it get an end; None leaves the area as it is.
    """

    person: str
    incident: IncidentId
    purpose: Purpose
    key: str
    name: str = ""
    place: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    regions: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retract:
    """Take an alert back: a correction first, then its posts are changed or deleted.

    Without ``words`` the correction is the playbook's false alarm and ends the incident; with them it is an update.
    """

    person: str
    alert: AlertId
    key: str
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Two incidents are one: ``incident`` becomes part of ``into``, which speaks for both from now on."""

    person: str
    incident: IncidentId
    into: IncidentId
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """Officers, by number, are at work on an incident: nothing more is said on their own accounts."""

    person: str
    incident: IncidentId
    officers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Nothing in ``scope`` starts to leave any more; ``ref`` is the incident or channel, empty for all."""

    person: str
    scope: Scope
    ref: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Lift a stop: two persons, or one with ``break_glass``."""

    person: str
    scope: Scope
    ref: str
    break_glass: BreakGlass | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """A person has posted by hand."""

    person: str
    delivery: DeliveryId
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Try a failed delivery again, by name."""

    person: str
    delivery: DeliveryId


@dataclass(frozen=True, slots=True, kw_only=True)
class Farewell:
    """Say a retired channel's last words, once."""

    person: str
    channel: ChannelId


Command = Release | Reject | Renew | Speak | Retract | Join | Assign | Stop | Resume | Confirm | Resend | Farewell
