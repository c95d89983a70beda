"""What is said: an alert, frozen with its texts, its channels and the digest that a release is bound to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from dispatcher.model.cap import MsgType, Realm, RegionId, Severity, Status
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import AlertId, Delivery, DeliveryState, IncidentId, Verb
from dispatcher.model.playbook import PlaybookId


class Purpose(StrEnum):
    """Why an alert is said: the four texts every playbook has, the change of an earlier post, a call to staff, a farewell."""

    ALERT = "alert"
    UPDATE = "update"
    ALL_CLEAR = "all_clear"
    FALSE_ALARM = "false_alarm"
    RETRACTION = "retraction"
    PAGE = "page"
    FAREWELL = "farewell"

    @property
    def spoken(self) -> bool:
        """Whether a playbook has a text of its own for it."""
        return self not in (Purpose.RETRACTION, Purpose.PAGE, Purpose.FAREWELL)

    @property
    def ends(self) -> bool:
        """Whether this is an end: nothing earlier of its incident may leave after it."""
        return self in (Purpose.ALL_CLEAR, Purpose.FALSE_ALARM)

    @property
    def msg_type(self) -> MsgType:
        """The CAP ``msgType`` this purpose is published as."""
        if self.ends or self is Purpose.RETRACTION:
            return MsgType.CANCEL
        return MsgType.UPDATE if self is Purpose.UPDATE else MsgType.ALERT


@dataclass(frozen=True, slots=True)
class Text:
    """One finished text: ``body`` is the whole post, headline included; ``headline`` serves media with a title line."""

    headline: str
    body: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextSet:
    """What one group of channels says: first on a channel, following up there, or repeating after a doubt."""

    first: Text
    follow_up: Text
    repetition: Text

    @property
    def key(self) -> str:
        """Content digest (16 hex digits): equal texts share one key."""
        parts = (self.first.body, self.follow_up.body, self.repetition.body)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Planned:
    """A channel of an alert's plan: which text it says, in which state its delivery begins, and what it does there.

    One that begins in standby is a fallback of other channels of the plan, and speaks only where one of them fails.
    """

    channel: ChannelId
    text: str
    state: DeliveryState
    follows: bool = False
    verb: Verb = Verb.POST
    target: str = ""
    fallback_of: tuple[ChannelId, ...] = ()

    def started(self) -> Planned:
        """The same, beginning as sending; `dataclasses.replace` takes many times as long, and an alert has thousands."""
        sending = DeliveryState.SENDING
        return Planned(self.channel, self.text, sending, self.follows, self.verb, self.target, self.fallback_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What is said about an incident, once, with everything a crash must not lose.

    ``revision`` is the incident's revision it was planned at; ``people`` is how many named persons must release it;
    ``plan`` is the compact row from which all deliveries can be rebuilt.
    """

    id: AlertId
    incident: IncidentId
    playbook: PlaybookId
    purpose: Purpose
    status: Status
    realm: Realm
    severity: Severity
    created_at: datetime
    code: str  # short public mark, also the way to find our own post again
    place: str
    regions: tuple[RegionId, ...]
    texts: Mapping[str, TextSet]
    plan: tuple[Planned, ...]
    revision: int
    people: int
    deliver_within: timedelta
    expires_at: datetime | None = None
    name: str = ""  # the named update, where it is one
    reason: str = ""  # why this playbook speaks, in words
    requested_by: str = ""
    covers: tuple[PlaybookId, ...] = ()
    degraded: bool = False  # a template failed and the built-in minimal text goes out
    partial: bool = False  # an end for channels that dropped out; its incident goes on
    about: AlertId | None = None  # the earlier alert whose posts a retraction changes
    same_as: IncidentId | None = None  # the open incident that this one may be a second report of
    words: Mapping[str, str] = field(default_factory=dict)  # a person's own words, by language
    facts: Mapping[str, Any] = field(default_factory=dict)  # of a held one, to say it anew
    unseen_place: bool = False  # a machine named the place and nobody has read it: no channel is told
    left_out: tuple[ChannelId, ...] = ()  # accounts of officers who are assigned to the incident
    widest: bool = False  # the first word to everybody whom a national sender reaches, so two persons release it

    @property
    def rank(self) -> int:
        """Priority of its deliveries: 0 ends, 1 pages, 2 extreme alerts and changes of earlier posts, to 6 by severity."""
        if self.purpose.ends:
            return 0
        if self.purpose is Purpose.RETRACTION:
            return 2
        return 1 if self.purpose is Purpose.PAGE else 2 + self.severity.rank

    @property
    def held(self) -> bool:
        """Whether it was planned to wait for a person."""
        return any(planned.state is DeliveryState.HELD for planned in self.plan)

    @property
    def speaking(self) -> tuple[Planned, ...]:
        """Its plan without those who only stand by."""
        return tuple(planned for planned in self.plan if not planned.fallback_of)

    @property
    def digest(self) -> str:
        """SHA-256 over what a release is bound to: texts, languages, channels, area, realm, deadline."""
        bound = {
            "texts": {key: [t.first.body, t.follow_up.body, t.repetition.body] for key, t in self.texts.items()},
            "languages": sorted({language for t in self.texts.values() for language in t.first.languages}),
            "channels": sorted((p.channel, p.text, p.verb, *p.fallback_of) for p in self.plan),
            "regions": sorted(self.regions),
            "realm": self.realm,
            "within": self.deliver_within.total_seconds(),
            "expires": self.expires_at.isoformat() if self.expires_at else None,
        }
        return hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()

    def deadline(self, released_at: datetime) -> datetime:
        """When sending becomes useless: the event's own expiry or ``deliver_within`` after release, whichever is first."""
        end = released_at + self.deliver_within
        return min(end, self.expires_at) if self.expires_at else end

    def deliveries(self, plan: Iterable[Planned], released_at: datetime | None) -> list[Delivery]:
        """The deliveries that ``plan``, a part of this alert's, stands for, each in its opening state."""
        rank, deadline = self.rank, self.deadline(released_at) if released_at else None
        return [
            Delivery(
                alert=self.id, channel=planned.channel, incident=self.incident, state=planned.state, text=planned.text,
                rank=rank, revision=self.revision, follows=planned.follows, verb=planned.verb, target=planned.target,
                fallback_of=planned.fallback_of, released_at=released_at, due_at=released_at, deadline_at=deadline,
                attempts=1 if planned.state is DeliveryState.SENDING else 0,
            )
            for planned in plan
        ]  # fmt: skip

    def to_json(self) -> str:
        """This alert as JSON text, for the journal."""
        return _ADAPTER.dump_json(self).decode()

    @staticmethod
    def from_json(text: str) -> Alert:
        """The alert that `to_json` wrote."""
        return _ADAPTER.validate_json(text)


_ADAPTER: TypeAdapter[Alert] = TypeAdapter(Alert)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a channel is handed for one attempt. ``key`` is the same for every attempt of one delivery and verb."""

    key: str
    code: str
    text: Text
    incident: IncidentId
    alert: AlertId
    channel: ChannelId
    purpose: Purpose
    severity: Severity
    realm: Realm
    created_at: datetime
    place: str = ""
    regions: tuple[RegionId, ...] = ()
    target: str = ""  # provider id, for edit and delete
    data: Mapping[str, Any] = field(default_factory=dict)


def post_for(alert: Alert, delivery: Delivery, *, repeat: bool) -> Post:
    """The post of ``delivery``'s next attempt; ``repeat`` asks for the text that says it is a repetition."""
    texts = alert.texts[delivery.text]
    text = texts.repetition if repeat else texts.follow_up if delivery.follows else texts.first
    key = str(delivery.id) if delivery.verb is Verb.POST else f"{delivery.id}:{delivery.verb}"
    return Post(
        key=hashlib.sha256(key.encode()).hexdigest()[:32], code=alert.code, text=text, incident=alert.incident,
        alert=alert.id, channel=delivery.channel, purpose=alert.purpose, severity=alert.severity, realm=alert.realm,
        created_at=alert.created_at, place="" if alert.unseen_place else alert.place, regions=alert.regions, target=delivery.target,
    )  # fmt: skip
