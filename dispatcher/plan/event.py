"""An event and what is known of its incident become a plan: what is said, and whom to page.

Pure: values in, values out. ``receive`` writes the plan in one transaction; nothing here has happened yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from dispatcher.model.account import silenced
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.cap import MsgType, RegionId, Severity
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import IncidentId
from dispatcher.model.deployment import Deployment
from dispatcher.model.incident import IncidentEvent, IncidentHistory
from dispatcher.model.playbook import Playbook
from dispatcher.model.rights import reach, refusal
from dispatcher.model.source import person_of
from dispatcher.plan.compose import (
    Speech,
    Words,
    channels_of,
    compose,
    compose_ending,
    follow_up,
    held_page,
    release_offer,
    shrunk,
)  # fmt: skip
from dispatcher.plan.match import Verdict, asked, match, speaking
from dispatcher.plan.pages import Cause, Deed, Offer, Page
from dispatcher.plan.policy import people_needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one event leads to. ``open`` is the incident's state afterwards, None where it is not touched."""

    state: str = "journaled"
    open: bool | None = None
    speech: Speech | None = None
    alert: Alert | None = None
    ending: Alert | None = None  # the end for channels that dropped out
    pages: tuple[Page, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
    silenced: tuple[ChannelId, ...] = ()  # accounts of officers who it says are at work on it
    outside: tuple[ChannelId, ...] = ()  # channels beyond the smaller area that a person names

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All that it says, in order."""
        return tuple(alert for alert in (self.alert, self.ending) if alert is not None)

    @property
    def left(self) -> tuple[ChannelId, ...]:
        """Channels on which nothing earlier leaves any more: the silenced, and those that a word which is out leaves behind.

        Some of them are told so; where nothing was said yet there is nobody to tell.
        """
        ending = () if self.ending is None or self.ending.held else self.ending.plan
        outside = () if self.alert is None or self.alert.held else self.outside
        return (*self.silenced, *dict.fromkeys([*(planned.channel for planned in ending), *outside]))


def plan_event(event: IncidentEvent, deployment: Deployment, history: IncidentHistory, now: datetime) -> Plan:
    """What ``event`` leads to, given what is known of its incident."""
    if not deployment.realm.takes(event.status):
        note = f"status {event.status} does not enter realm {deployment.realm}"
        return Plan(state="refused", notes=(note,), pages=(Page(Cause.REFUSED, (*_about(event), note)),))
    news = frozenset(event.assigned) - history.assigned
    history = replace(history, assigned=history.assigned | news)
    if event.msg_type is MsgType.CANCEL:
        plan = _cancel(event, deployment, history)
    elif event.msg_type is MsgType.UPDATE:
        plan = _update(event, deployment, history)
    else:
        plan = _alert(event, deployment, history, now)
    notes = (*event.warnings, *(str(v) for v in plan.verdicts), *plan.notes, *_left_out(history, deployment))
    plan = replace(plan, notes=notes, silenced=silenced(deployment.channels.values(), news))
    if plan.speech is None:
        return plan
    if refused := _beyond(plan.speech, event, deployment):
        return refused
    return _spoken(plan, plan.speech, event, deployment=deployment, history=history, now=now)


def _beyond(speech: Speech, event: IncidentEvent, deployment: Deployment) -> Plan | None:
    """A person asks for words where they may not speak: nothing is said, and those are called who may. Ends are anybody's."""
    heard, person = reach(speech.playbook, speech.regions, deployment), person_of(event.source)
    why = refusal(person, heard, deployment) if person and not speech.purpose.ends else ""
    if not why:
        return None
    page = Page(Cause.REFUSED, (*_about(event), why), (_trigger_offer(event),), speech.regions)
    return Plan(state="forbidden", notes=(why,), pages=(page,))


def _left_out(history: IncidentHistory, deployment: Deployment) -> Iterator[str]:
    """How many accounts stay silent because their officers are at work on it."""
    if number := len(silenced(deployment.channels.values(), history.assigned)):
        yield f"officers' own accounts left out, as they are assigned: {number}"


def _spoken(
    plan: Plan, speech: Speech, event: IncidentEvent, *,
    deployment: Deployment, history: IncidentHistory, now: datetime,
) -> Plan:  # fmt: skip
    """``plan`` with its alert, or with a page where no channel is left to say it on."""
    key, person = f"{event.source}/{event.id}", person_of(event.source) or ""
    expires = None if speech.purpose.ends else event.expires
    words = compose(
        speech, deployment, history, now, incident=event.incident, event_key=key, requested_by=person, expires=expires
    )  # fmt: skip
    notes = (*plan.notes, *words.notes)
    if words.alert is None:
        cause = Cause.WITHDRAWN if event.msg_type is MsgType.CANCEL else Cause.NO_CHANNEL
        page = Page(cause, (*_about(event), speech.reason), regions=speech.regions)
        return replace(plan, pages=(*plan.pages, page), notes=notes)
    ending = compose_ending(
        speech, deployment, history, now, incident=event.incident, event_key=key, requested_by=person
    )  # fmt: skip
    pages = (*_marked(plan.pages, words.alert), *_spoken_pages(event, words, history), *_ending_pages(event, ending))
    if any(page.cause is Cause.STALE for page in plan.pages):  # it says already that somebody has to release
        pages = tuple(page for page in pages if page.cause is not Cause.HELD)
    return replace(plan, alert=words.alert, ending=ending, pages=pages, notes=notes)


def _marked(pages: Sequence[Page], alert: Alert) -> tuple[Page, ...]:
    """Pages on an event, for those whom its regions concern; a held alert can be released from them."""
    offers = (release_offer(alert),) if alert.held else ()
    return tuple(replace(page, regions=alert.regions, offers=(*page.offers, *offers)) for page in pages)


def _spoken_pages(event: IncidentEvent, words: Words, history: IncidentHistory) -> Iterator[Page]:
    """What staff must hear about an alert: that it waits, that it is not what it should be, that nothing goes out."""
    alert = words.alert
    assert alert is not None
    if alert.held:
        yield held_page(alert, _about(event))
    if alert.degraded:
        yield Page(Cause.DEGRADED, words.notes, regions=alert.regions)
    if words.withheld:
        yield Page(Cause.WITHHELD, (*_about(event), *words.notes), regions=alert.regions)
    if history.stops and alert.severity.at_least(Severity.SEVERE):
        yield Page(Cause.STOPPED, (*_about(event), *history.stops), regions=alert.regions)


def _ending_pages(event: IncidentEvent, ending: Alert | None) -> tuple[Page, ...]:
    if ending is None or not ending.held:
        return ()
    lines = (*_about(event), f"{ending.purpose} {ending.code} on {', '.join(p.channel for p in ending.plan)}")
    return (Page(Cause.SHRUNK, lines, (release_offer(ending),), ending.regions),)


def _alert(event: IncidentEvent, deployment: Deployment, history: IncidentHistory, now: datetime) -> Plan:
    regions = deployment.resolve(event.area)
    if regions is None:
        return Plan(open=history.open, pages=(_area_page(event, deployment),), notes=("its area has to be asked for",))
    playbooks = asked(event, deployment)
    verdicts = match(event, playbooks, regions, deployment.regions)
    matched = speaking(verdicts, playbooks)
    if not matched:
        lines = (f"incident {event.incident}, kind {event.kind}", *(str(v) for v in verdicts))
        page = Page(Cause.NOTHING_MATCHED, lines, (_trigger_offer(event),), regions)
        return Plan(open=history.open, pages=(page,), verdicts=verdicts)
    machine, first = person_of(event.source) is None, matched[0]
    over = event.expires is not None and event.expires <= now
    stale = machine and (over or now - event.sent > deployment.max_age_of(event.source))
    reopens, late = machine and history.ended, machine and history.withdrawn
    again = history.open and history.playbook == first.id
    same = None if history.playbook or history.ended else _same_as(first, regions, deployment, history, now)
    speech = Speech(
        purpose=Purpose.UPDATE if again else Purpose.ALERT, playbook=first, regions=_grown(history, regions),
        severity=_worst(history, _severity(event, first)), place=event.place, facts=event.facts,
        reason=next(v.reason for v in verdicts if v.playbook == first.id),
        covers=tuple(p.id for p in matched[1:]), hold=stale or reopens or late or same is not None, back=history.ended,
        same_as=same,
    )  # fmt: skip
    pages = (Page(Cause.STALE, _about(event)),) if stale else ()
    notes = ["its incident was ended: a person has to reopen it"] * reopens
    notes += ["its source took it back before it came: a person has to look"] * late
    return Plan(open=True, speech=speech, pages=pages, verdicts=verdicts, notes=tuple(notes))


def _grown(history: IncidentHistory, regions: Sequence[RegionId]) -> tuple[RegionId, ...]:
    """Regions of an open incident and those that join them; one that has ended, or is new, has only the latter."""
    known = [RegionId(region) for region in history.regions] if history.open else []
    return tuple(dict.fromkeys([*known, *regions]))


def _same_as(
    playbook: Playbook, regions: tuple[RegionId, ...], deployment: Deployment, history: IncidentHistory, now: datetime
) -> IncidentId | None:
    """An open incident of the same playbook that was heard of lately and is spoken of on one of our channels."""
    since = alone_since(playbook, now)
    ours = channels_of(playbook, regions, deployment)
    for other in history.neighbours:
        if since is None or other.playbook != playbook.id or other.updated_at <= since:
            continue
        if ours & channels_of(playbook, tuple(RegionId(r) for r in other.regions), deployment):
            return other.id
    return None


def alone_since(playbook: Playbook, now: datetime) -> datetime | None:
    """Since when another incident of ``playbook`` may be the same one; None where it never asks."""
    return None if isinstance(playbook.same_within, str) else now - playbook.same_within


def _update(event: IncidentEvent, deployment: Deployment, history: IncidentHistory) -> Plan:
    playbook = _running(deployment, history)
    if playbook is None:
        page = Page(Cause.UNKNOWN_INCIDENT, _about(event))
        return Plan(pages=(page,), notes=("no open incident to update",))
    area = deployment.resolve(event.area) if event.area else ()
    speech = follow_up(Purpose.UPDATE, playbook, history, place=event.place, facts=event.facts, more=area)
    machine = person_of(event.source) is None
    if area:
        people = people_needed(playbook, speech.severity, Purpose.UPDATE, deployment.release_override)
        speech = shrunk(speech, area, deployment, history, at_once=not machine and people <= 1)
    if machine and history.ended:
        speech = replace(speech, hold=True)
    pages = (_area_page(event, deployment),) if area is None else ()
    return Plan(open=True, speech=speech, pages=pages, outside=_outside(speech, deployment))


def _outside(speech: Speech, deployment: Deployment) -> tuple[ChannelId, ...]:
    """Channels that hear no more of an incident whose area becomes smaller at once."""
    if not (speech.at_once and speech.gone):
        return ()
    inside = channels_of(speech.playbook, speech.regions, deployment)
    return tuple(profile.id for profile in deployment.every_channel() if profile.id not in inside)


def _cancel(event: IncidentEvent, deployment: Deployment, history: IncidentHistory) -> Plan:
    """A machine's cancel sends nothing and stops nothing: it holds the prepared end and pages."""
    playbook = _running(deployment, history)
    if playbook is None:
        page = Page(Cause.UNKNOWN_INCIDENT, _about(event))
        return Plan(pages=(page,), notes=("no open incident to cancel",))
    purpose = Purpose.FALSE_ALARM if event.reason == "false_alarm" else Purpose.ALL_CLEAR
    speech = follow_up(purpose, playbook, history, place=event.place, facts=event.facts)
    if purpose is Purpose.ALL_CLEAR and _ends_alone(speech):
        return Plan(open=False, speech=replace(speech, alone=True), notes=("its playbook lets the source end it",))
    notes = (f"the source says it is over: the {purpose} waits for a person",)
    return Plan(open=True, speech=replace(speech, hold=True), notes=notes)


def _ends_alone(speech: Speech) -> bool:
    """Whether a machine may end this: only below severe, and only where the playbook says so."""
    return speech.playbook.all_clear == "automatic" and speech.severity.rank > Severity.SEVERE.rank


def _running(deployment: Deployment, history: IncidentHistory) -> Playbook | None:
    return deployment.speaker(history.playbook) if history.open and history.playbook else None


def _severity(event: IncidentEvent, playbook: Playbook) -> Severity:
    """What the event says, and what the playbook says where the event does not know."""
    return playbook.severity if event.severity in (None, Severity.UNKNOWN) else event.severity


def _worst(history: IncidentHistory, reported: Severity) -> Severity:
    """An open incident never becomes milder because of a report: less severe means fewer people asked."""
    known = history.severity if history.open else None
    return min((s for s in (known, reported) if s is not None), key=lambda severity: severity.rank)


def _about(event: IncidentEvent) -> tuple[str, ...]:
    return (f"incident {event.incident}, {event.msg_type} of kind {event.kind}, {event.place}", f"from {event.source}")


def _trigger_offer(event: IncidentEvent) -> Offer:
    """A click away: one of our playbooks, chosen by a person, about this incident."""
    return Offer(Deed.TRIGGER, event.incident, to=event.place)


def _area_page(event: IncidentEvent, deployment: Deployment) -> Page:
    known = ", ".join(f"{region.id} ({region.name})" for region in deployment.regions)
    return Page(
        Cause.NO_AREA,
        offers=(_trigger_offer(event),),
        lines=(*_about(event), f"trigger the playbook by hand with one of: {known}"),
    )
