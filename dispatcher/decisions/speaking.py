"""People speak on: updates, ends, reopening, taking back, joining two incidents. Always with a name."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from dispatcher.decisions.means import Means
from dispatcher.journal import queries, standing, store, superseding
from dispatcher.journal.log import add_fact
from dispatcher.journal.store import Stale
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.cap import Area, RegionId
from dispatcher.model.channel import ChannelId
from dispatcher.model.command import Join, Retract, Speak
from dispatcher.model.delivery import AlertId
from dispatcher.model.errors import Conflict, Invalid, NotFound
from dispatcher.model.incident import IncidentHistory, clean
from dispatcher.model.playbook import Playbook
from dispatcher.model.source import OPERATOR
from dispatcher.plan.compose import Speech, alert_id, channels_of, compose, compose_ending, follow_up, shrunk
from dispatcher.plan.policy import people_needed
from dispatcher.plan.render import refuse_words
from dispatcher.plan.retract import retractions
from dispatcher.telemetry import logger

log = logger("decisions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one command of a person says: the alert, the end of channels that drop out, changes of earlier posts."""

    alert: Alert
    ending: Alert | None = None
    edits: tuple[Alert, ...] = ()
    unreachable: frozenset[ChannelId] = frozenset()  # channels that should hear an end and are gone for good

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All of them, in the order in which they leave."""
        return (self.alert, *([self.ending] if self.ending else []), *self.edits)


@dataclass(frozen=True, slots=True)
class Joining:
    """One incident becomes part of another, with what is known of it at that moment."""

    command: Join
    own: IncidentHistory
    at: datetime

    def unit(self, connection: Connection) -> None:
        """Write it down: what the incident still had to say stays unsaid."""
        own, into = self.own, self.command.into
        store.bump_incident(connection, own.id, own.revision, self.at)
        superseding.take_out(connection, own.id, own.revision + 1, self.at, detail=f"joined into {into}")
        standing.write_join(connection, own.id, into, self.command.person, self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A command, and what it comes to: its playbook, the area from now on, and whether it goes out without another person."""

    command: Speak
    playbook: Playbook
    area: tuple[RegionId, ...] | None
    alone: bool
    left: frozenset[ChannelId]  # channels that the area leaves behind
    about: AlertId | None = None
    joining: Joining | None = None

    @property
    def key(self) -> str:
        """What makes a repeat harmless."""
        return f"{OPERATOR}{self.command.person}/{self.command.key}"

    def heard(self, history: IncidentHistory) -> tuple[str, ...]:
        """The regions that its words are about: until a second person agrees, nobody is left behind."""
        return self.area if self.alone and self.area is not None else (*history.regions, *(self.area or ()))


@dataclass(frozen=True, slots=True)
class Speaking:
    """Carries out what people say about an incident."""

    means: Means

    async def speak(self, command: Speak) -> AlertId:
        """Say an update or an end, or reopen; a repeated key finds what was said the first time."""
        await self._demand_facts(command)
        return await self._say(command)

    async def retract(self, command: Retract) -> AlertId:
        """A correction first, then every post of the alert is changed; raises `Conflict` where it never went out."""
        record = await self.means.record(command.alert)
        alert = record.alert
        if record.state != "released" or alert.purpose not in (Purpose.ALERT, Purpose.UPDATE):
            raise Conflict(f"alert {alert.id} is {record.state} ({alert.purpose}): there is nothing to take back")
        speak = Speak(
            person=command.person, incident=alert.incident, key=f"retract/{command.key}", words=command.words,
            purpose=Purpose.UPDATE if command.words else Purpose.FALSE_ALARM,
        )  # fmt: skip
        return await self._say(speak, about=alert.id)

    async def join(self, command: Join) -> AlertId | None:
        """Make two incidents one and say so where that is news; None where nothing new was to be said."""
        own, into = await self.means.history(command.incident), await self.means.history(command.into)
        if command.incident != command.into and self.means.home(command.incident) == command.into:
            return None
        if own.revision == 0 or into.revision == 0:
            raise NotFound(f"no incident {command.incident if own.revision == 0 else command.into}")
        _joinable(own, into, self.means)
        speaker = self.means.deployment.speaker(into.playbook) if into.playbook else None
        self.means.permit(command.person, speaker, (*own.regions, *into.regions))
        with self.means.fenced(own.id, own.revision + 1, ends=True) as undo:
            # What left before the fence stood is in the journal now.
            joining = Joining(command, await self.means.history(own.id), self.means.clock.now())
            alert = await self._say_joined(joining, into)
            undo.pop_all()
        self.means.joined.update({own.id: into.id, **{a: into.id for a, b in self.means.joined.items() if b == own.id}})
        log.info("joined", incident=own.id, into=into.id, person=command.person)
        return alert

    async def _say_joined(self, joining: Joining, into: IncidentHistory) -> AlertId | None:
        """Join and say so in one transaction; only join where nobody would hear anything new."""
        own, command = joining.own, joining.command
        if set(own.regions) <= set(into.regions) and own.carriers <= into.carriers:
            await self._written(joining.unit)
            return None
        regions = tuple(dict.fromkeys([*into.regions, *own.regions]))
        return await self._say(Speak(
            person=command.person, incident=into.id, purpose=Purpose.UPDATE, key=f"join/{command.key}", regions=regions,
        ), joining=joining)  # fmt: skip

    async def _say(
        self, command: Speak, about: AlertId | None = None, joining: Joining | None = None
    ) -> AlertId:  # fmt: skip
        history = await self.means.history(command.incident)
        order = self._order(command, history, about, joining)
        wanted = alert_id(command.incident, order.key, command.purpose)
        if wanted in history.alerts:
            return await self._said_before(wanted, command)
        _speakable(command, history, about)
        if not command.purpose.ends:
            self.means.permit(command.person, order.playbook, order.heard(history))
        with self._fenced(order, history) as undo:
            # What left before the fence stood is in the journal now: an end goes there as well.
            history = await self.means.history(command.incident)
            history = history.with_lanes_of(joining.own) if joining else history
            said = await self._composed(order, history)
            await self._write(order, said, history)
            undo.pop_all()
        log.info("spoken", purpose=said.alert.purpose, incident=command.incident, person=command.person)
        return said.alert.id

    def _order(
        self, command: Speak, history: IncidentHistory, about: AlertId | None, joining: Joining | None
    ) -> Order:  # fmt: skip
        playbook, deployment, area = self._playbook(history, command), self.means.deployment, self._area(command)
        severity = history.severity or playbook.severity
        alone = people_needed(playbook, severity, command.purpose, deployment.release_override) <= 1
        left = frozenset[ChannelId]()
        if area is not None and alone:
            left = frozenset(self.means.setup.profiles) - channels_of(playbook, area, deployment)
        return Order(
            command=command, playbook=playbook, area=area, alone=alone, left=left, about=about, joining=joining
        )  # fmt: skip

    async def _demand_facts(self, command: Speak) -> None:
        """Raises `Invalid` where the playbook's text lacks a fact that it cannot do without; an end never waits for one."""
        if command.purpose.ends or command.words:
            return
        history = await self.means.history(command.incident)
        playbook = self._playbook(history, command)
        known = {**_public(history, playbook, command.name), **command.facts}
        specs = playbook.fact_specs(command.name)
        if missing := [name for name, spec in specs.items() if spec.required and name not in known]:
            raise Invalid(f"the text needs {', '.join(missing)}", "facts")

    async def _said_before(self, wanted: AlertId, command: Speak) -> AlertId:
        """A repeat is harmless; other words under the same key are a mistake that nobody must take for said."""
        alert = (await self.means.record(wanted)).alert
        words = {language: clean(text) for language, text in command.words.items()}
        if (dict(alert.words), alert.name) != (words, command.name) or command.place not in ("", alert.place):
            raise Conflict(f"this key was used for {alert.purpose} {alert.code} with other words: take a new one")
        return wanted

    def _fenced(self, order: Order, history: IncidentHistory) -> ExitStack:
        """The fence of an end, or of the channels that a new area leaves behind; kept where the word comes to be."""
        incident, ends = order.command.incident, order.command.purpose.ends
        return self.means.fenced(incident, history.revision + 1, ends=ends, left=order.left)

    async def _composed(self, order: Order, history: IncidentHistory) -> Said:
        speech, command = self._speech(order, history), order.command
        now, deployment = self.means.clock.now(), self.means.deployment
        alert = compose(
            speech, deployment, history, now, incident=command.incident, event_key=order.key,
            requested_by=command.person,
        ).alert  # fmt: skip
        if alert is None:
            raise Conflict("no channel is left to say it on")
        alert = replace(alert, about=order.about)
        ending = compose_ending(
            speech, deployment, history, now, incident=command.incident, event_key=order.key,
            requested_by=command.person,
        )  # fmt: skip
        known = {profile.id for profile in deployment.every_channel()}
        return Said(
            alert=alert, ending=ending, edits=() if alert.held else await corrections(self.means, alert),
            unreachable=history.carriers - known if alert.purpose.ends else frozenset(),
        )  # fmt: skip

    def _speech(self, order: Order, history: IncidentHistory) -> Speech:
        command, area = order.command, order.area
        history = replace(history, facts=_public(history, order.playbook, command.name))
        speech = follow_up(
            command.purpose, order.playbook, history, place=command.place, facts=command.facts, name=command.name,
            words={language: clean(text) for language, text in command.words.items()}, more=area or (),
        )  # fmt: skip
        if area is not None:  # until a second person agrees, nobody is left behind
            speech = shrunk(speech, area, self.means.deployment, history, at_once=order.alone)
            speech = replace(speech, regions=area)
        unread = order.playbook.release_for(speech.severity).people == 0 and not history.read
        unseen = unread and not order.playbook.public_place and not command.place
        reopens = command.purpose is Purpose.ALERT
        return replace(speech, unseen_place=unseen, back=reopens or (order.about is not None and not history.open))

    def _area(self, command: Speak) -> tuple[RegionId, ...] | None:
        if command.regions is None:
            return None
        found = self.means.deployment.resolve(Area(regions=command.regions))
        if found is None or command.purpose.ends:
            known = ", ".join(f"{region.id} ({region.name})" for region in self.means.deployment.regions)
            raise Invalid(f"name regions out of: {known}; an end goes wherever something was said", "regions")
        return found

    def _playbook(self, history: IncidentHistory, command: Speak) -> Playbook:
        if history.revision == 0:
            raise NotFound(f"no incident {command.incident}")
        playbook = self.means.deployment.speaker(history.playbook) if history.playbook else None
        if playbook is None:
            raise Conflict(f"no playbook speaks for incident {command.incident}: trigger one first")
        if command.name and command.name not in playbook.updates:
            raise Invalid(f"playbook {playbook.id} has no update {command.name!r}", "name")
        if command.words and (command.name or command.purpose is not Purpose.UPDATE):
            raise Invalid("own words are an update, and no named one", "words")
        if command.words:
            refuse_words(command.words, self.means.deployment.realm)
        return playbook

    async def _write(self, order: Order, said: Said, history: IncidentHistory) -> None:
        """One transaction for everything that one command leads to."""
        command, now = order.command, said.alert.created_at
        by = max(alert.revision for alert in said.alerts) - history.revision
        with self.means.launch.boarding(said.alerts) as boarding:

            def unit(connection: Connection) -> None:
                """What is written together."""
                if order.joining:
                    order.joining.unit(connection)
                store.bump_incident(connection, command.incident, history.revision, now, by=by, **_changes(said.alert))
                superseding.take_out(connection, command.incident, said.alert.revision, now, channels=order.left)
                if said.unreachable:
                    add_fact(connection, now, "alert.unreachable", said.alert.id, channels=sorted(said.unreachable))
                for alert in boarding.alerts:
                    store.write_alert(connection, alert, released_at=None if alert.held else now)
                    if alert.purpose.spoken:
                        store.write_release(connection, alert.id, command.person, "release", now)

            await self._written(unit)
            boarding.go(now)

    async def _written(self, unit: Any) -> None:
        try:
            await self.means.journal.write(unit)
        except Stale:
            raise Conflict("the incident changed meanwhile: look again") from None


async def corrections(means: Means, alert: Alert) -> tuple[Alert, ...]:
    """Changes of earlier posts that go with ``alert``: of all its incident's after a false alarm, of one it corrects.

    None where the alert reaches nobody: then nothing that it corrects stands unended.
    """
    if not alert.plan or (alert.purpose is not Purpose.FALSE_ALARM and alert.about is None):
        return ()
    only = None if alert.purpose is Purpose.FALSE_ALARM else alert.about
    posts = await means.journal.read(partial(queries.posts_of, incident=alert.incident, alert=only))
    return retractions(alert, posts, means.setup.profiles, means.clock.now())


def _joinable(own: IncidentHistory, into: IncidentHistory, means: Means) -> None:
    """Raises `Conflict` where these two cannot become one."""
    if not into.open or own.id == into.id:
        raise Conflict(f"incident {into.id} is not open, or the same")
    for incident in (own.id, into.id):
        if (home := means.home(incident)) != incident:
            raise Conflict(f"incident {incident} is part of {home} already: join that one")


def _changes(alert: Alert) -> dict[str, Any]:
    """What an alert makes of its incident: an end closes it, a word that is out moves it."""
    if alert.purpose.ends:
        return {"open": False}
    moved = {} if alert.held else {"place": alert.place, "regions": store.as_json(alert.regions)}
    return {**moved, "open": True}


def _speakable(command: Speak, history: IncidentHistory, about: AlertId | None) -> None:
    """Raises `Conflict` where this cannot be said of an incident that is open, or has ended."""
    if command.purpose is Purpose.ALERT and history.open:
        raise Conflict(f"incident {command.incident} is open: say an update")
    takes_back = about is not None and command.purpose is Purpose.FALSE_ALARM
    if command.purpose is not Purpose.ALERT and not history.open and not takes_back:
        raise Conflict(f"incident {command.incident} is not open: reopen it first")


def _public(history: IncidentHistory, playbook: Playbook, name: str) -> dict[str, Any]:
    """Facts that a later text inherits: what a machine said in confidence goes out only where a person says it anew."""
    specs = playbook.fact_specs(name)
    return {fact: value for fact, value in history.facts.items() if fact in specs and specs[fact].public}
