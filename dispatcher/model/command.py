"""What a person decides, as values. Each names the person; a machine is nobody and commands nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dispatcher.model.alert import Purpose
from dispatcher.model.delivery import AlertId, DeliveryId, IncidentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Let a held alert out; ``digest`` is what the person has seen."""

    person: str
    alert: AlertId
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """End a held alert, by name."""

    person: str
    alert: AlertId
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speak:
    """Say an update or an end of an open incident; ``key`` makes a repeat harmless, ``name`` is a named update."""

    person: str
    incident: IncidentId
    purpose: Purpose
    key: str
    name: str = ""
    place: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


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


Command = Release | Reject | Speak | Confirm | Resend
