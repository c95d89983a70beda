"""What shall be said becomes a frozen alert: which channels, which texts, who must release it.

Pure: values in, values out. Nothing here has happened yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from dispatcher.model.account import spared
from dispatcher.model.alert import Alert, Planned, Purpose
from dispatcher.model.cap import Realm, RegionId, Severity, Status
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.delivery import AlertId, DeliveryState, IncidentId
from dispatcher.model.deployment import Deployment
from dispatcher.model.incident import MAX_PLACE, IncidentHistory
from dispatcher.model.playbook import ChannelRule, Playbook, PlaybookId
from dispatcher.model.rights import reach, reaches_everybody
from dispatcher.plan.facts import holds_link
from dispatcher.plan.pages import Cause, Deed, Offer, Page, short_code
from dispatcher.plan.policy import people_needed
from dispatcher.plan.render import Occasion, render_texts, voice_of
from dispatcher.plan.standby import standbys

WIDEST = "it reaches every region of a national sender: two persons release it, whatever its playbook says"


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
    back: bool = False  # the incident had ended: whoever heard of it hears that it goes on
    gone: tuple[RegionId, ...] = ()  # regions that the area leaves behind
    dropped: frozenset[ChannelId] = frozenset()  # channels that it leaves behind with them
    at_once: bool = False  # they get their end now instead of this text; else that end waits and they hear on
    partial: bool = False  # an end for ``dropped`` only; the incident goes on
    alone: bool = False  # the playbook lets a machine say this end
    same_as: IncidentId | None = None
    words: Mapping[str, str] = field(default_factory=dict)  # a person's own text, by language
    unseen_place: bool = False  # a machine named the place, and nobody has read it since


def release_offer(alert: Alert) -> Offer:
    """The link that shows ``alert`` and lets it out."""
    return Offer(Deed.RELEASE, alert.id, alert.digest)


def held_page(alert: Alert, about: Sequence[str], *, step: int = 0) -> Page:
    """An alert waits for people; where it may be a second report of an incident, joining is offered as well."""
    lines = (*about, f"{alert.purpose} {alert.code}: {alert.people} to release", *([WIDEST] if alert.widest else []))
    if alert.same_as is None:
        return Page(Cause.WIDEST if alert.widest else Cause.HELD, lines, (release_offer(alert),), alert.regions, step)
    lines = (*lines, f"same as {alert.same_as}? join them, or release this one apart")
    offers = (Offer(Deed.JOIN, alert.incident, to=alert.same_as), release_offer(alert))
    return Page(Cause.SAME_AS, lines, offers, alert.regions, step)


def channels_of(playbook: Playbook, regions: tuple[RegionId, ...], deployment: Deployment) -> frozenset[ChannelId]:
    """Channels that ``playbook`` calls in ``regions``, those included that only stand by."""
    where = frozenset(regions)
    called = [c for c in deployment.channels.values() if _called(c, playbook.channels, where)]
    return frozenset(c.id for c in called) | standbys(playbook.channels, called, where, deployment).keys()


def shrunk(
    speech: Speech, area: Sequence[RegionId], deployment: Deployment, history: IncidentHistory, *, at_once: bool
) -> Speech:
    """``speech`` for an incident whose area is ``area`` from now on; channels that it leaves behind get an end.

    A person's word does so at once. A machine's only prepares that end: until it is released, nobody is left out.
    """
    gone = tuple(RegionId(region) for region in history.regions if region not in area)
    dropped = history.carriers - channels_of(speech.playbook, tuple(area), deployment) if gone else frozenset()
    regions = tuple(area) if at_once else speech.regions
    return replace(speech, gone=gone, dropped=dropped, at_once=at_once, regions=regions)


def follow_up(
    purpose: Purpose, playbook: Playbook, history: IncidentHistory, *, place: str = "",
    facts: Mapping[str, Any] | None = None, more: Sequence[RegionId] | None = (), name: str = "",
    words: Mapping[str, str] | None = None,
) -> Speech:  # fmt: skip
    """A later word on an open incident: what it does not say is inherited; ``more`` regions join those affected."""
    regions = tuple(dict.fromkeys([*(RegionId(r) for r in history.regions), *(more or ())]))
    return Speech(
        purpose=purpose, playbook=playbook, regions=regions, severity=history.severity or playbook.severity,
        place=place or history.place, facts={**history.facts, **(facts or {})}, name=name,
        words=words or {}, reason=f"{purpose} of an open incident", covers=history.covered,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Words:
    """What `compose` made: the alert, None where no channel is left; ``withheld`` says that something was left out."""

    alert: Alert | None
    notes: tuple[str, ...] = ()
    withheld: bool = False


def compose(
    speech: Speech, deployment: Deployment, history: IncidentHistory, now: datetime, *,
    incident: IncidentId, event_key: str, requested_by: str = "", expires: datetime | None = None,
) -> Words:  # fmt: skip
    """The frozen alert of ``speech`` with one plan entry a channel.

    A person's end needs no channel: it stops what has not left yet, even where nothing has left at all.
    """
    selected = select_channels(speech, deployment, history)
    silent = frozenset[str]() if speech.purpose.ends else history.assigned
    left_out = frozenset(c.id for c in selected if spared(c, silent))
    profiles = tuple(c for c in selected if c.id not in left_out)
    if not profiles and not (speech.purpose.ends and requested_by and not speech.hold and not speech.partial):
        return Words(None)
    behind = _behind(speech, profiles, deployment)
    spoken = (*profiles, *(deployment.channels[channel] for channel in behind))
    widest = _widest(speech, deployment, history)
    people = _people(speech, deployment, widest=widest)
    name = alert_id(incident, event_key, speech.purpose, partial=speech.partial)
    code = short_code(name)
    voices = {profile.id: voice_of(profile, speech.playbook) for profile in spoken}
    unread = _unread(speech, requested_by, widest=widest)
    occasion = _occasion(speech, deployment, now, code, unread=unread)
    rendered = render_texts(occasion, set(voices.values()))
    held = speech.hold or people > (1 if requested_by else 0)
    state = DeliveryState.HELD if held else DeliveryState.QUEUED
    keys = {voice: texts.key for voice, texts in rendered.texts.items()}
    carriers = history.carriers
    return Words(Alert(
        id=name, incident=incident, playbook=speech.playbook.id, purpose=speech.purpose, name=speech.name,
        status=_status(deployment), realm=deployment.realm, severity=speech.severity, created_at=now, code=code,
        place=speech.place, regions=speech.regions, texts={texts.key: texts for texts in rendered.texts.values()},
        plan=tuple(_planned(p, keys[voices[p.id]], state, carriers, behind.get(p.id, ())) for p in spoken),
        revision=history.revision + (2 if speech.partial else 1), people=people, deliver_within=_within(speech),
        expires_at=expires, reason=speech.reason, requested_by=requested_by, covers=speech.covers,
        degraded=rendered.degraded, partial=speech.partial, same_as=speech.same_as, words=speech.words,
        facts=speech.facts if held else {}, unseen_place=occasion.unseen_place,
        left_out=tuple(sorted(left_out)), widest=widest,
    ), (*rendered.notes, *([WIDEST] if widest else ())), rendered.withheld)  # fmt: skip


def compose_ending(
    speech: Speech, deployment: Deployment, history: IncidentHistory, now: datetime, *,
    incident: IncidentId, event_key: str, requested_by: str = "",
) -> Alert | None:  # fmt: skip
    """The end for channels that ``speech`` leaves behind; held where no person asks, None where there are none."""
    if not speech.dropped:
        return None
    end = replace(
        speech, purpose=Purpose.ALL_CLEAR, partial=True, name="", words={}, hold=not speech.at_once,
        regions=speech.gone, reason="the area leaves these channels behind",
    )  # fmt: skip
    return compose(
        end, deployment, history, now, incident=incident, event_key=event_key, requested_by=requested_by
    ).alert  # fmt: skip


def _people(speech: Speech, deployment: Deployment, *, widest: bool) -> int:
    if speech.alone:
        return 0
    override = deployment.release_override
    people = people_needed(speech.playbook, speech.severity, speech.purpose, override, widest=widest)
    return max(people, 1) if speech.hold else people


def _widest(speech: Speech, deployment: Deployment, history: IncidentHistory) -> bool:
    """Whether it is the first that anybody hears, an alert or what a later event made of it, and everybody would."""
    first = speech.purpose is Purpose.ALERT or (speech.purpose is Purpose.UPDATE and not history.reached)
    return first and reaches_everybody(reach(speech.playbook, speech.regions, deployment), deployment)


def _unread(speech: Speech, requested_by: str, *, widest: bool) -> bool:
    """Whether no person reads the text before it goes out; an exercise's override stands for a person who has."""
    people = people_needed(speech.playbook, speech.severity, speech.purpose, widest=widest)
    return not requested_by and not speech.hold and (people == 0 or speech.alone)


def alert_id(incident: IncidentId, event_key: str, purpose: Purpose, *, partial: bool = False) -> AlertId:
    """The id of what is said about ``incident`` because of one event or command; the same for a repeat."""
    part = "\0partial" if partial else ""
    return AlertId("a" + hashlib.sha256(f"{incident}\0{event_key}\0{purpose}{part}".encode()).hexdigest()[:19])


def _behind(
    speech: Speech, profiles: Sequence[ChannelProfile], deployment: Deployment
) -> Mapping[ChannelId, tuple[ChannelId, ...]]:
    """What stands by for ``profiles``; nobody does for an end, which belongs only where something was said."""
    if speech.purpose.ends:
        return {}
    return standbys(speech.playbook.channels, profiles, frozenset(speech.regions), deployment)


def _planned(
    profile: ChannelProfile, text: str, state: DeliveryState, carriers: frozenset[ChannelId],
    fallback_of: tuple[ChannelId, ...],
) -> Planned:  # fmt: skip
    opening = DeliveryState.STANDBY if fallback_of else state
    return Planned(profile.id, text, opening, follows=profile.id in carriers, fallback_of=fallback_of)


def _within(speech: Speech) -> timedelta:
    """Ends stay useful for a day; everything else as long as its playbook says."""
    return timedelta(hours=24) if speech.purpose.ends else speech.playbook.deliver_within


def _status(deployment: Deployment) -> Status:
    return Status.ACTUAL if deployment.realm is Realm.LIVE else Status.EXERCISE


def _occasion(speech: Speech, deployment: Deployment, now: datetime, code: str, *, unread: bool) -> Occasion:
    return Occasion(
        purpose=speech.purpose, playbook=speech.playbook, name=speech.name, place=_where(speech, deployment),
        region_names=deployment.region_names(speech.regions), facts=speech.facts,
        now=now.astimezone(deployment.timezone), sender=deployment.sender, realm=deployment.realm, code=code,
        public_only=unread, words=speech.words,
        unseen_place=speech.unseen_place or (unread and (not speech.playbook.public_place or holds_link(speech.place))),
    )  # fmt: skip


def _where(speech: Speech, deployment: Deployment) -> str:
    """The place with its region, where channels that serve several would leave readers asking which town is meant."""
    names = deployment.region_names(speech.regions)
    if not speech.place or len(deployment.regions) == 1 or any(name in speech.place for name in names):
        return speech.place
    where = f"{speech.place}, {', '.join(names)}"
    return where if len(where) <= MAX_PLACE else speech.place


def select_channels(speech: Speech, deployment: Deployment, history: IncidentHistory) -> tuple[ChannelProfile, ...]:
    """Who says it: an end exactly where something was or may have been carried, the rest also where it now is.

    What only stands by for them is not among them.
    """
    carriers = history.reached if speech.back else history.carriers
    if speech.partial:
        return tuple(c for c in deployment.every_channel() if c.id in speech.dropped)
    if speech.purpose.ends:
        return tuple(c for c in deployment.every_channel() if c.id in carriers)
    rule, where, left = (
        speech.playbook.channels,
        frozenset(speech.regions),
        speech.dropped if speech.at_once else frozenset[ChannelId](),
    )
    heard = carriers | history.called
    wanted = (c for c in deployment.channels.values() if c.id in heard or _called(c, rule, where))
    return tuple(c for c in wanted if c.id not in left)


def _called(profile: ChannelProfile, rule: ChannelRule, where: frozenset[RegionId]) -> bool:
    return rule.admits(profile) and (rule.regions == "all" or profile.serves(where))
