"""One alert on one channel: its states, the one table of its transitions, its attempts and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType, Self

from dispatcher.model.channel import ChannelId
from dispatcher.model.errors import IllegalTransition

AlertId = NewType("AlertId", str)
DeliveryId = NewType("DeliveryId", str)
IncidentId = NewType("IncidentId", str)
Lane = tuple[IncidentId, ChannelId]

PAGE_RANK = 1  # staff are called before the public is told
TOP_RANK = 2  # ends, pages and what is extreme: a share of everything scarce is kept for them


class DeliveryState(StrEnum):
    """What a witness could swear to about a delivery."""

    HELD = "held"  # it waits for a person's release
    STANDBY = "standby"  # it is the prepared fallback of another channel
    QUEUED = "queued"  # it is ours to send, due at a known time
    SENDING = "sending"  # an attempt was journaled before its first byte left
    IN_DOUBT = "in_doubt"  # bytes may have arrived, nobody knows
    ACCEPTED = "accepted"  # the provider took it and gave an id
    VISIBLE = "visible"  # we read it back from the provider
    BY_HAND = "by_hand"  # a person was asked to post it and has not confirmed yet
    FAILED = "failed"  # it will not be tried again; the reason is from the closed list
    EXPIRED = "expired"  # its time was over before it went out
    CANCELLED = "cancelled"  # a person or a stop ended it before it went out
    SUPERSEDED = "superseded"  # a later text of its lane took its place
    RETRACTED = "retracted"  # it was out and was taken back

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in ENDED


_S = DeliveryState
ENDED = frozenset({_S.ACCEPTED, _S.VISIBLE, _S.FAILED, _S.EXPIRED, _S.CANCELLED, _S.SUPERSEDED, _S.RETRACTED})
OPENING = frozenset({_S.HELD, _S.STANDBY, _S.QUEUED, _S.SENDING, _S.BY_HAND, _S.CANCELLED})
CARRIED = frozenset({_S.ACCEPTED, _S.VISIBLE})
WENT_OUT = CARRIED | {_S.RETRACTED}
MAYBE_OUT = frozenset({_S.SENDING, _S.IN_DOUBT, _S.BY_HAND})
UNTRIED = frozenset({_S.HELD, _S.STANDBY, _S.QUEUED})
UNSAID = frozenset({_S.FAILED, _S.EXPIRED})  # what stands by for it is needed

TRANSITIONS: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    _S.HELD: frozenset({_S.QUEUED, _S.CANCELLED, _S.SUPERSEDED}),
    _S.STANDBY: frozenset({_S.QUEUED, _S.CANCELLED, _S.SUPERSEDED, _S.EXPIRED}),
    _S.QUEUED: frozenset({_S.SENDING, _S.CANCELLED, _S.SUPERSEDED, _S.EXPIRED, _S.FAILED}),
    _S.SENDING: frozenset({_S.ACCEPTED, _S.VISIBLE, _S.QUEUED, _S.BY_HAND, _S.IN_DOUBT, _S.FAILED,
                           _S.CANCELLED, _S.SUPERSEDED, _S.EXPIRED}),
    _S.IN_DOUBT: frozenset({_S.ACCEPTED, _S.VISIBLE, _S.QUEUED, _S.FAILED, _S.EXPIRED, _S.SUPERSEDED, _S.RETRACTED}),
    _S.ACCEPTED: frozenset({_S.VISIBLE, _S.FAILED, _S.RETRACTED}),
    _S.VISIBLE: frozenset({_S.RETRACTED}),
    _S.BY_HAND: frozenset({_S.ACCEPTED, _S.FAILED, _S.CANCELLED, _S.EXPIRED, _S.SUPERSEDED, _S.RETRACTED}),
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.EXPIRED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.SUPERSEDED: frozenset(),
    _S.RETRACTED: frozenset(),
}  # fmt: skip

ONLY_IF_NEVER_LEFT = frozenset({_S.CANCELLED, _S.SUPERSEDED, _S.EXPIRED})


def may_move(old: DeliveryState, new: DeliveryState, *, never_left: bool = False) -> bool:
    """Whether the table allows ``old`` to become ``new``; leaving ``sending`` unsent needs proof that nothing left."""
    if old is _S.SENDING and new in ONLY_IF_NEVER_LEFT and not never_left:
        return False
    return new in TRANSITIONS[old]


class Verb(StrEnum):
    """What a delivery does to its channel."""

    POST = "post"
    EDIT = "edit"
    DELETE = "delete"


class Reason(StrEnum):
    """Why an attempt did not succeed or a delivery ended: a closed list, also the metrics' label."""

    TIMEOUT = "timeout"
    NETWORK = "network"
    DNS = "dns"
    TLS = "tls"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    AUTH = "auth"
    REJECTED = "rejected"
    TOO_LONG = "too_long"
    DUPLICATE = "duplicate"
    IN_DOUBT = "in_doubt"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


class Result(StrEnum):
    """What one attempt came to."""

    ACCEPTED = "accepted"  # the provider took it and gave an id
    VISIBLE = "visible"  # it was read back
    BY_HAND = "by_hand"  # a person has to post it; the task is written
    TEMPORARY = "temporary"  # not posted; worth another try
    PERMANENT = "permanent"  # not posted; another try is useless
    IN_DOUBT = "in_doubt"  # may be posted, nobody knows
    NEVER_LEFT = "never_left"  # the fence caught it before its first byte
    ABSENT = "absent"  # a look-up found nothing: it was not posted
    READY = "ready"  # a probe found the channel able to post


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A channel's answer to one verb, in this house's words. ``retry_after`` is the provider's own demand.

    A probe also tells what its provider tells: ``valid_until``, when the credential ends, and ``left``, how many posts
    are left of a quota. READY with a ``reason`` means: it would take a post, but not for long or not for all.
    """

    result: Result
    reason: Reason | None = None
    detail: str = ""
    provider_id: str = ""
    url: str = ""
    retry_after: timedelta | None = None
    valid_until: datetime | None = None
    left: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One alert on one channel. Changed only by ``move``, which keeps to the table."""

    alert: AlertId
    channel: ChannelId
    incident: IncidentId
    state: DeliveryState
    text: str  # key of its TextSet in the alert
    rank: int  # 0 goes first: ends, then by severity
    revision: int  # the incident's revision of its alert: later revisions supersede earlier ones
    verb: Verb = Verb.POST
    target: str = ""  # the provider id that an edit or delete is about
    due_at: datetime | None = None
    deadline_at: datetime | None = None
    released_at: datetime | None = None
    attempts: int = 0
    doubtful: bool = False  # some attempt may have been posted without our knowing
    follows: bool = False  # its lane carried, or may have carried, an earlier text
    fallback_of: tuple[ChannelId, ...] = ()  # where a standby: the channels that it stands by for
    provider_id: str = ""
    url: str = ""
    reason: Reason | None = None
    detail: str = ""

    @property
    def id(self) -> DeliveryId:
        """Natural key: alert and channel."""
        return DeliveryId(f"{self.alert}:{self.channel}")

    @property
    def lane(self) -> Lane:
        """What is sent in order: one incident on one channel."""
        return (self.incident, self.channel)

    def move(self, state: DeliveryState, *, never_left: bool = False, **changes: Any) -> Self:
        """A copy in ``state`` with ``changes``; raises `IllegalTransition` where the table forbids it."""
        return self.follow((state,), never_left=never_left, **changes)

    def follow(self, path: Sequence[DeliveryState], *, never_left: bool = False, **changes: Any) -> Self:
        """A copy at the end of ``path`` with ``changes``; raises `IllegalTransition` where the table forbids a step of it."""
        state = self.state
        for then in path:
            if not may_move(state, then, never_left=never_left):
                raise IllegalTransition(f"{self.id}: {state} may not become {then}")
            state = then
        return replace(self, state=state, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one delivery, journaled before its first byte leaves and again when its outcome is known."""

    delivery: DeliveryId
    number: int
    started_at: datetime | None = None
    ended_at: datetime | None = None
    result: Result | None = None
    reason: Reason | None = None
    detail: str = ""
