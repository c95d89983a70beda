"""What a probe says about a channel, whom that concerns, what to do about it, and what a canary sings. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from dispatcher.model.alert import Post, Purpose, Text
from dispatcher.model.cap import Realm, Severity
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.delivery import AlertId, IncidentId, Outcome, Reason, Result
from dispatcher.model.readiness import Condition, Readiness, ends_soon
from dispatcher.plan.pages import Cause, Page, short_code
from dispatcher.plan.phrases import EXERCISE

IN_A_ROW = (
    2  # probes that find a channel down before staff are called; a credential that is refused is believed at once
)
AGAIN_AFTER = timedelta(minutes=30)  # a channel that comes and goes is told of at most so often
MOST_NAMED = 20
WEEKLY, DAILY = timedelta(days=7), timedelta(days=1)  # between canaries; a failed one is sent again sooner
NOT_ASKED = "cannot be asked without posting"

_REMEDIES: Mapping[Reason, str] = {
    Reason.AUTH: "renew the credential or its rights: docs/channels has a page for its kind",
    Reason.EXPIRED: "renew the credential before it ends",
    Reason.RATE_LIMITED: "wait, and post less through this credential",
    Reason.TLS: "look at the certificate and at this machine's clock",
    Reason.DNS: "look at the address and at this machine's name servers",
    Reason.NETWORK: "look at the address and at this machine's way to it",
    Reason.TIMEOUT: "look at this machine's way to it, or wait for the provider",
    Reason.SERVER_ERROR: "wait for the provider, or look after the server if it is yours",
    Reason.INTERNAL: "a mistake in this program: its log tells more",
}


def judge(before: Condition, outcome: Outcome | None, profile: ChannelProfile, now: datetime) -> Condition:
    """The condition after a probe came to ``outcome``, which is None where the channel has no way to be asked."""
    until = (outcome.valid_until if outcome else None) or profile.valid_until
    state, reason, detail = _verdict(outcome, until, now)
    refused = before.reason is Reason.AUTH, reason is Reason.AUTH
    same = before.state is state and refused[0] is refused[1]
    return replace(
        before, state=state, reason=reason, detail=detail, since=(before.since if same else None) or now,
        checked_at=now, valid_until=until, left=outcome.left if outcome else None,
        failures=before.failures + 1 if state is Readiness.DOWN else 0,
    )  # fmt: skip


def _verdict(outcome: Outcome | None, until: datetime | None, now: datetime) -> tuple[Readiness, Reason | None, str]:
    if until is not None and until <= now:
        return Readiness.DOWN, Reason.AUTH, f"the credential ended on {until:%Y-%m-%d}"
    if outcome is not None and outcome.result is not Result.READY:
        waits = outcome.result is Result.TEMPORARY and outcome.reason is Reason.RATE_LIMITED
        return Readiness.DEGRADED if waits else Readiness.DOWN, outcome.reason, outcome.detail
    if outcome is not None and outcome.reason is not None:
        return Readiness.DEGRADED, outcome.reason, outcome.detail
    if until is not None and ends_soon(until, now):
        return Readiness.DEGRADED, Reason.EXPIRED, f"the credential ends on {until:%Y-%m-%d}"
    return (Readiness.READY, None, outcome.detail) if outcome else (Readiness.UNKNOWN, None, NOT_ASKED)


def remedy(condition: Condition) -> str:
    """What a person does about it; an empty text where there is nothing to do."""
    if not condition.poor:
        return ""
    return _REMEDIES.get(condition.reason or Reason.INTERNAL, "look at the channel's settings")


def calls(condition: Condition, now: datetime) -> bool:
    """Whether staff have to hear now that a channel is down: once for each outage, and not at its first breath."""
    if condition.state is not Readiness.DOWN or condition.told:
        return False
    sure = condition.reason is Reason.AUTH or condition.failures >= IN_A_ROW
    return sure and (condition.told_at is None or now - condition.told_at >= AGAIN_AFTER)


def announces(condition: Condition, now: datetime) -> bool:
    """Whether today's word about a credential that ends soon is still due; one that has ended is an outage."""
    soon = condition.state is not Readiness.DOWN and ends_soon(condition.valid_until, now)
    return soon and condition.announced != now.date()


def outage(down: Sequence[Condition]) -> tuple[Page, str]:
    """The page about channels that are down, and its key: the same outage calls once, whoever asks for it again."""
    lines = [_line(c, f"{c.reason}: {c.detail}, since {c.since:%H:%M} UTC; {remedy(c)}") for c in down]
    return Page(Cause.CHANNEL_DOWN, _listed(lines)), _key("down", (f"{c.channel} {c.since}" for c in down))


def endings(soon: Sequence[Condition], now: datetime) -> tuple[Page, str]:
    """The page of a day about credentials that end soon, and its key."""
    lines = [_line(c, _ending(c, now)) for c in sorted(soon, key=lambda c: (c.valid_until or now, c.channel))]
    return Page(Cause.EXPIRING, _listed(lines)), _key(f"ending {now.date()}", (c.channel for c in soon))


def unproven(condition: Condition) -> tuple[Page, str]:
    """The page about a canary that was not read back, and its key."""
    lines = (_line(condition, f"the weekly test post failed: {condition.canary}"),)
    return Page(Cause.CHANNEL_DOWN, lines), _key("canary", (f"{condition.channel} {condition.tried_at}",))


def _ending(condition: Condition, now: datetime) -> str:
    until = condition.valid_until or now
    return f"good until {until:%Y-%m-%d %H:%M} UTC, {(until - now).days} days"


def _line(condition: Condition, words: str) -> str:
    return f"{condition.channel}: {words}"


def _listed(lines: Sequence[str]) -> tuple[str, ...]:
    more = [f"and {len(lines) - MOST_NAMED} more"] if len(lines) > MOST_NAMED else []
    return (*lines[:MOST_NAMED], *more)


def _key(about: str, names: Iterable[str]) -> str:
    return f"readiness/{about}/{hashlib.sha256(chr(0).join(sorted(names)).encode()).hexdigest()[:16]}"


def sings(condition: Condition, now: datetime) -> bool:
    """Whether a canary is due: a week after one that was read back, a day after one that was not."""
    if condition.tried_at is None:
        return True
    return now - condition.tried_at >= (WEEKLY if condition.proven else DAILY)


def canary_post(channel: ChannelId, realm: Realm, now: datetime) -> Post:
    """What a canary posts to ``channel``'s private target: never the same twice, and no warning to anybody."""
    name = AlertId("c" + hashlib.sha256(f"{channel} {now.isoformat()}".encode()).hexdigest()[:19])
    code, headline = short_code(name), "TEST – keine Warnung / no warning"
    mark = f"{EXERCISE}\n" if realm is Realm.EXERCISE else ""
    body = f"{mark}{headline}\n\nKanalprobe / channel test, {now:%Y-%m-%d %H:%M} UTC. {code}"
    return Post(
        key=hashlib.sha256(name.encode()).hexdigest()[:32], code=code, text=Text(headline, body, ("de", "en")),
        incident=IncidentId(name), alert=name, channel=channel, purpose=Purpose.ALERT, severity=Severity.MINOR,
        realm=realm, created_at=now, place="TEST",
    )  # fmt: skip
