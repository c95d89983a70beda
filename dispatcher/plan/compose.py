"""An event and what is known become a plan: what is said, by which playbook, on which channels, and whom to page.

Pure: values in, values out. ``receive`` writes the plan in one transaction; nothing here has happened yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from dispatcher.model.alert import Alert, Planned, Purpose
from dispatcher.model.cap import MsgType, Realm, RegionId, Severity, Status
from dispatcher.model.channel import ChannelProfile
from dispatcher.model.delivery import AlertId, DeliveryState, IncidentId
from dispatcher.model.deployment import Deployment
from dispatcher.model.incident import MAX_PLACE, IncidentEvent, IncidentHistory
from dispatcher.model.playbook import ChannelRule, Playbook, PlaybookId
from dispatcher.plan.match import Verdict, match, speaking
from dispatcher.plan.policy import people_needed, person_of
from dispatcher.plan.render import Occasion, render_page, render_texts, voice_of

_ALPHABET = "ACDEFHJKLMNPRTUVWXYZ"


class Cause(StrEnum):
    """Why staff are paged: a closed list, also the metrics' label."""

    UNREADABLE = "unreadable"
    RETAINED = "retained"
    REFUSED = "refused"
    CONFLICT = "conflict"
    NOTHING_MATCHED = "nothing_matched"
    NO_AREA = "no_area"
    NO_CHANNEL = "no_channel"
    UNKNOWN_INCIDENT = "unknown_incident"
    STALE = "stale"
    HELD = "held"
    WITHDRAWN = "withdrawn"
    DEGRADED = "degraded"
    FAILED = "failed"
    EXPIRED = "expired"
    BY_HAND = "by_hand"
    IN_DOUBT = "in_doubt"

    @property
    def headline(self) -> str:
        """What is wrong, in German and English."""
        return _HEADLINES[self]


_HEADLINES = {
    Cause.UNREADABLE: "Ereignis nicht lesbar / An incident event cannot be read",
    Cause.RETAINED: "Aufbewahrte Nachricht abgewiesen / A retained message was refused",
    Cause.REFUSED: "Ereignis abgewiesen / An incident event was refused",
    Cause.CONFLICT: "Gleiche Kennung, anderer Inhalt / Same id, other content",
    Cause.NOTHING_MATCHED: "Kein Playbook passt / No playbook matches an incident event",
    Cause.NO_AREA: "Wo ist es? Gebiet unbekannt / Where is it? No known area",
    Cause.NO_CHANNEL: "Kein Kanal zuständig / No channel serves this incident",
    Cause.UNKNOWN_INCIDENT: "Meldung zu unbekannter Lage / Word on an incident that is not open",
    Cause.STALE: "Ereignis zu alt, wartet auf Freigabe / An event is too old, it waits for release",
    Cause.HELD: "Freigabe nötig / An alert waits for release",
    Cause.WITHDRAWN: "Quelle meldet Ende, bevor etwas hinausging / The source says it is over before anything went out",
    Cause.FAILED: "Nicht veröffentlicht / Not published, it will not be tried again",
    Cause.EXPIRED: "Zeit abgelaufen, nicht veröffentlicht / Its time ran out before it was published",
    Cause.BY_HAND: "Von Hand posten und bestätigen / Post by hand and confirm",
    Cause.IN_DOUBT: "Unklar, ob veröffentlicht / Nobody knows whether it was published",
    Cause.DEGRADED: "Vorlage fehlerhaft, Minimaltext gesendet / A template failed, the minimal text goes out",
}


@dataclass(frozen=True, slots=True)
class Page:
    """Something that a person must hear of within seconds."""

    cause: Cause
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """What shall be said: the decision before its texts are rendered."""

    purpose: Purpose
    playbook: Playbook
    regions: tuple[RegionId, ...]
    severity: Severity
    place: str
    facts: Mapping[str, Any]
    name: str = ""
    reason: str = ""
    covers: tuple[PlaybookId, ...] = ()
    hold: bool = False  # a person has to look first, whatever the playbook allows


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one event leads to. ``open`` is the incident's state afterwards, None where it is not touched."""

    state: str = "journaled"
    open: bool | None = None
    speech: Speech | None = None
    alert: Alert | None = None
    pages: tuple[Page, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)


def plan_event(event: IncidentEvent, deployment: Deployment, history: IncidentHistory, now: datetime) -> Plan:
    """What ``event`` leads to, given what is known of its incident."""
    if not deployment.realm.takes(event.status):
        note = f"status {event.status} does not enter realm {deployment.realm}"
        return Plan(state="refused", notes=(note,), pages=(Page(Cause.REFUSED, (*_about(event), note)),))
    if event.msg_type is MsgType.CANCEL:
        plan = _cancel(event, deployment, history)
    elif event.msg_type is MsgType.UPDATE:
        plan = _update(event, deployment, history)
    else:
        plan = _alert(event, deployment, history, now)
    plan = replace(plan, notes=(*event.warnings, *(str(v) for v in plan.verdicts), *plan.notes))
    if plan.speech is None:
        return plan
    return _spoken(plan, plan.speech, event, deployment=deployment, history=history, now=now)


def _spoken(
    plan: Plan, speech: Speech, event: IncidentEvent, *,
    deployment: Deployment, history: IncidentHistory, now: datetime,
) -> Plan:  # fmt: skip
    """``plan`` with its alert, or with a page where no channel is left to say it on."""
    alert, notes = compose(
        speech, deployment, history, now,
        incident=event.incident, event_key=f"{event.source}/{event.id}", requested_by=person_of(event.source) or "",
        expires=None if speech.purpose.ends else event.expires,
    )  # fmt: skip
    if alert is None:
        cause = Cause.WITHDRAWN if event.msg_type is MsgType.CANCEL else Cause.NO_CHANNEL
        page = Page(cause, (*_about(event), speech.reason))
        return replace(plan, pages=(*plan.pages, page), notes=(*plan.notes, *notes))
    pages = plan.pages
    if alert.held and not any(page.cause is Cause.STALE for page in pages):
        pages = (*pages, Page(Cause.HELD, (*_about(event), f"{alert.purpose} {alert.code}: {alert.people} to release")))
    if alert.degraded:
        pages = (*pages, Page(Cause.DEGRADED, notes))
    return replace(plan, alert=alert, pages=pages, notes=(*plan.notes, *notes))


def _alert(event: IncidentEvent, deployment: Deployment, history: IncidentHistory, now: datetime) -> Plan:
    regions = deployment.resolve(event.area)
    if regions is None:
        return Plan(open=history.open, pages=(_area_page(event, deployment),), notes=("its area has to be asked for",))
    verdicts = match(event, deployment.playbooks, regions, deployment.regions)
    matched = speaking(verdicts, deployment.playbooks)
    if not matched:
        lines = (f"incident {event.incident}, kind {event.kind}", *(str(v) for v in verdicts))
        page = Page(Cause.NOTHING_MATCHED, lines)
        return Plan(open=history.open, pages=(page,), verdicts=verdicts)
    machine, first = person_of(event.source) is None, matched[0]
    over = event.expires is not None and event.expires <= now
    stale = machine and (over or now - event.sent > deployment.max_age)
    reopens = machine and history.ended
    again = history.open and history.playbook == first.id
    speech = Speech(
        purpose=Purpose.UPDATE if again else Purpose.ALERT, playbook=first, regions=regions,
        severity=_severity(event, first), place=event.place, facts=event.facts,
        reason=next(v.reason for v in verdicts if v.playbook == first.id),
        covers=tuple(p.id for p in matched[1:]), hold=stale or reopens,
    )  # fmt: skip
    pages = (Page(Cause.STALE, _about(event)),) if stale else ()
    notes = ("its incident was ended: a person has to reopen it",) if reopens else ()
    return Plan(open=True, speech=speech, pages=pages, verdicts=verdicts, notes=notes)


def _update(event: IncidentEvent, deployment: Deployment, history: IncidentHistory) -> Plan:
    playbook = _running(deployment, history)
    if playbook is None:
        page = Page(Cause.UNKNOWN_INCIDENT, _about(event))
        return Plan(pages=(page,), notes=("no open incident to update",))
    more = deployment.resolve(event.area) if event.area else ()
    speech = follow_up(Purpose.UPDATE, playbook, history, place=event.place, facts=event.facts, more=more)
    if person_of(event.source) is None and history.ended:
        speech = replace(speech, hold=True)
    pages = (_area_page(event, deployment),) if more is None else ()
    return Plan(open=True, speech=speech, pages=pages)


def _cancel(event: IncidentEvent, deployment: Deployment, history: IncidentHistory) -> Plan:
    """A machine's cancel sends nothing and stops nothing: it holds the prepared end and pages."""
    playbook = _running(deployment, history)
    if playbook is None:
        page = Page(Cause.UNKNOWN_INCIDENT, _about(event))
        return Plan(pages=(page,), notes=("no open incident to cancel",))
    purpose = Purpose.FALSE_ALARM if event.reason == "false_alarm" else Purpose.ALL_CLEAR
    speech = replace(follow_up(purpose, playbook, history, place=event.place, facts=event.facts), hold=True)
    return Plan(open=True, speech=speech, notes=(f"the source says it is over: the {purpose} waits for a person",))


def follow_up(
    purpose: Purpose, playbook: Playbook, history: IncidentHistory, *, place: str = "",
    facts: Mapping[str, Any] | None = None, more: Sequence[RegionId] | None = (), name: str = "",
) -> Speech:  # fmt: skip
    """A later word on an open incident: what it does not say is inherited; ``more`` regions join those affected."""
    regions = tuple(dict.fromkeys([*(RegionId(r) for r in history.regions), *(more or ())]))
    return Speech(
        purpose=purpose, playbook=playbook, regions=regions, severity=history.severity or playbook.severity,
        place=place or history.place, facts={**history.facts, **(facts or {})}, name=name,
        reason=f"{purpose} of an open incident", covers=history.covered,
    )  # fmt: skip


def _running(deployment: Deployment, history: IncidentHistory) -> Playbook | None:
    return deployment.playbook(history.playbook) if history.open and history.playbook else None


def _severity(event: IncidentEvent, playbook: Playbook) -> Severity:
    """What the event says, and what the playbook says where the event does not know."""
    return playbook.severity if event.severity in (None, Severity.UNKNOWN) else event.severity


def _about(event: IncidentEvent) -> tuple[str, ...]:
    return (f"incident {event.incident}, {event.msg_type} of kind {event.kind}, {event.place}", f"from {event.source}")


def _area_page(event: IncidentEvent, deployment: Deployment) -> Page:
    known = ", ".join(f"{region.id} ({region.name})" for region in deployment.regions)
    return Page(Cause.NO_AREA, (*_about(event), f"trigger the playbook by hand with one of: {known}"))


def compose(
    speech: Speech, deployment: Deployment, history: IncidentHistory, now: datetime, *,
    incident: IncidentId, event_key: str, requested_by: str = "", expires: datetime | None = None,
) -> tuple[Alert | None, tuple[str, ...]]:  # fmt: skip
    """The frozen alert of ``speech`` with one plan entry a channel, and notes; None where no channel is left.

    A person's end needs no channel: it stops what has not left yet, even where nothing has left at all.
    """
    profiles = select_channels(speech, deployment, history)
    if not profiles and not (speech.purpose.ends and requested_by and not speech.hold):
        return None, ()
    people = people_needed(speech.playbook, speech.severity, speech.purpose, deployment.release_override)
    people = max(people, 1) if speech.hold else people
    name = alert_id(incident, event_key, speech.purpose)
    code = short_code(name)
    voices = {profile.id: voice_of(profile, speech.playbook) for profile in profiles}
    unread = people == 0 and not requested_by
    rendered = render_texts(_occasion(speech, deployment, now, code, public_only=unread), set(voices.values()))
    held = speech.hold or people > (1 if requested_by else 0)
    state = DeliveryState.HELD if held else DeliveryState.QUEUED
    keys = {voice: texts.key for voice, texts in rendered.texts.items()}
    return Alert(
        id=name, incident=incident, playbook=speech.playbook.id, purpose=speech.purpose, name=speech.name,
        status=_status(deployment), realm=deployment.realm, severity=speech.severity, created_at=now, code=code,
        place=speech.place, regions=speech.regions, texts={texts.key: texts for texts in rendered.texts.values()},
        plan=tuple(_planned(p, keys[voices[p.id]], state, history) for p in profiles), revision=history.revision + 1,
        people=people, deliver_within=_within(speech), expires_at=expires, reason=speech.reason,
        requested_by=requested_by, covers=speech.covers, degraded=rendered.degraded,
    ), rendered.notes  # fmt: skip


def alert_id(incident: IncidentId, event_key: str, purpose: Purpose) -> AlertId:
    """The id of what is said about ``incident`` because of one event or command; the same for a repeat."""
    return AlertId("a" + hashlib.sha256(f"{incident}\0{event_key}\0{purpose}".encode()).hexdigest()[:19])


def _planned(profile: ChannelProfile, text: str, state: DeliveryState, history: IncidentHistory) -> Planned:
    return Planned(profile.id, text, state, follows=profile.id in history.carriers)


def _within(speech: Speech) -> timedelta:
    """Ends stay useful for a day; everything else as long as its playbook says."""
    return timedelta(hours=24) if speech.purpose.ends else speech.playbook.deliver_within


def _status(deployment: Deployment) -> Status:
    return Status.ACTUAL if deployment.realm is Realm.LIVE else Status.EXERCISE


def _occasion(speech: Speech, deployment: Deployment, now: datetime, code: str, *, public_only: bool) -> Occasion:
    return Occasion(
        purpose=speech.purpose, playbook=speech.playbook, name=speech.name, place=_where(speech, deployment),
        region_names=deployment.region_names(speech.regions), facts=speech.facts,
        now=now.astimezone(deployment.timezone), sender=deployment.sender, realm=deployment.realm, code=code,
        public_only=public_only,
    )  # fmt: skip


def _where(speech: Speech, deployment: Deployment) -> str:
    """The place with its region, where channels that serve several would leave readers asking which town is meant."""
    names = deployment.region_names(speech.regions)
    if not speech.place or len(deployment.regions) == 1 or any(name in speech.place for name in names):
        return speech.place
    where = f"{speech.place}, {', '.join(names)}"
    return where if len(where) <= MAX_PLACE else speech.place


def select_channels(speech: Speech, deployment: Deployment, history: IncidentHistory) -> tuple[ChannelProfile, ...]:
    """Who says it: an end exactly where something was or may have been carried, the rest also where it now is."""
    carriers = history.carriers
    if speech.purpose.ends:
        return tuple(c for c in deployment.channels.values() if c.id in carriers)
    rule, where = speech.playbook.channels, frozenset(speech.regions)
    return tuple(c for c in deployment.channels.values() if c.id in carriers or _called(c, rule, where))


def _called(profile: ChannelProfile, rule: ChannelRule, where: frozenset[RegionId]) -> bool:
    return rule.admits(profile) and (rule.regions == "all" or profile.serves(where))


def short_code(alert: AlertId) -> str:
    """Three letters and two digits, such as ``KQX-42``: short enough to read out, found again in our own posts."""
    number = int(hashlib.sha256(alert.encode()).hexdigest()[:12], 16)
    letters = "".join(_ALPHABET[number // len(_ALPHABET) ** place % len(_ALPHABET)] for place in range(3))
    return f"{letters}-{number // 8_000 % 90 + 10}"


def compose_page(page: Page, raw: bytes, deployment: Deployment, now: datetime, key: str) -> Alert | None:
    """The alert that calls staff about ``page`` with the raw text that caused it; None where no staff channel is."""
    staff = deployment.staff()
    if not staff:
        return None
    name = AlertId("p" + hashlib.sha256(f"{key}\0{page.cause}".encode()).hexdigest()[:19])
    code = short_code(name)
    voices = {profile.id: voice_of(profile, None) for profile in staff}
    texts = render_page(
        page.cause.headline, page.lines, raw.decode(errors="replace"), set(voices.values()),
        realm=deployment.realm, code=code,
    )  # fmt: skip
    keys = {voice: found.key for voice, found in texts.items()}
    return Alert(
        id=name, incident=IncidentId(name), playbook=PlaybookId("page"), purpose=Purpose.PAGE, name=page.cause,
        status=_status(deployment), realm=deployment.realm, severity=Severity.EXTREME, created_at=now, code=code,
        place="", regions=(), texts={found.key: found for found in texts.values()},
        plan=tuple(Planned(p.id, keys[voices[p.id]], DeliveryState.QUEUED) for p in staff), revision=1, people=0,
        deliver_within=timedelta(hours=1), reason=page.cause,
    )  # fmt: skip
