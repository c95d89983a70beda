"""What people decide, carried out: speaking on, releasing, rejecting, confirming, resending. Always with a name."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from dispatcher.clock import Clock
from dispatcher.journal import queries, store
from dispatcher.journal.base import Journal
from dispatcher.journal.queries import AlertRecord
from dispatcher.journal.store import Stale, Step
from dispatcher.launch import Launch, Outgoing
from dispatcher.model.alert import Alert
from dispatcher.model.command import Confirm, Reject, Release, Resend, Speak
from dispatcher.model.delivery import AlertId, Delivery, DeliveryId, DeliveryState, IncidentId
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import Conflict, Invalid, NotFound
from dispatcher.model.incident import IncidentHistory
from dispatcher.model.playbook import Playbook
from dispatcher.permits import Fence
from dispatcher.plan.compose import alert_id, compose, follow_up
from dispatcher.plan.policy import OPERATOR
from dispatcher.setup import Setup
from dispatcher.telemetry import logger

log = logger("decisions")


@dataclass(frozen=True, slots=True)
class Decisions:
    """Carries out commands; the road calls it with the incident's lock held."""

    journal: Journal
    setup: Setup
    launch: Launch
    fence: Fence
    clock: Clock

    @property
    def deployment(self) -> Deployment:
        """The one that plans are made with now."""
        return self.setup.deployment

    async def incident_of(self, alert: AlertId) -> IncidentId:
        """The incident an alert belongs to; raises `NotFound`."""
        return (await self._record(alert)).alert.incident

    async def speak(self, command: Speak) -> AlertId:
        """Say an update or an end of an open incident; a repeated key finds what was said the first time."""
        history = await self._history(command.incident)
        playbook = self._playbook(history, command)
        wanted = alert_id(command.incident, _key(command), command.purpose)
        if wanted in history.alerts:
            return wanted
        if not history.open:
            raise Conflict(f"incident {command.incident} is not open")
        with self._fenced(command.incident, history.revision + 1, ends=command.purpose.ends) as undo:
            # What left before the fence stood is in the journal now: an end goes there as well.
            history = await self._history(command.incident)
            alert = self._composed(command, playbook, history)
            await self._write_spoken(alert, history, command.person, undo)
        log.info("spoken", purpose=alert.purpose, incident=alert.incident, person=command.person)
        return alert.id

    async def _history(self, incident: IncidentId) -> IncidentHistory:
        return await self.journal.read(partial(queries.history, incident=incident))

    def _composed(self, command: Speak, playbook: Playbook, history: IncidentHistory) -> Alert:
        history = replace(history, facts=_public(history, playbook, command.name))
        speech = follow_up(
            command.purpose, playbook, history, place=command.place, facts=command.facts, name=command.name
        )
        alert, _ = compose(
            speech, self.deployment, history, self.clock.now(), incident=command.incident, event_key=_key(command),
            requested_by=command.person,
        )  # fmt: skip
        if alert is None:
            raise Conflict("no channel is left to say it on")
        return alert

    def _playbook(self, history: IncidentHistory, command: Speak) -> Playbook:
        if history.revision == 0:
            raise NotFound(f"no incident {command.incident}")
        playbook = self.deployment.playbook(history.playbook) if history.playbook else None
        if playbook is None:
            raise Conflict(f"no playbook speaks for incident {command.incident}: trigger one first")
        if command.name and command.name not in playbook.updates:
            raise Invalid(f"playbook {playbook.id} has no update {command.name!r}", "name")
        missing = [name for name, spec in playbook.fact_specs(command.name).items()
                   if spec.required and name not in {**_public(history, playbook, command.name), **command.facts}]  # fmt: skip
        if missing:
            raise Invalid(f"the text needs {', '.join(missing)}", "facts")
        return playbook

    async def _write_spoken(self, alert: Alert, history: IncidentHistory, person: str, undo: ExitStack) -> None:
        """One transaction; an end that came to be does not ``undo`` its fence."""
        now = alert.created_at
        with self.launch.boarding([alert]) as boarding:

            def unit(connection: Connection) -> None:
                """What is written together."""
                changes: dict[str, Any] = (
                    {"open": False} if alert.purpose.ends else {} if alert.held else {"place": alert.place}
                )
                store.bump_incident(connection, alert.incident, history.revision, now, **changes)
                store.write_alert(connection, boarding.alerts[0], released_at=None if alert.held else now)
                store.write_release(connection, alert.id, person, "release", now)

            try:
                await self.journal.write(unit)
            except Stale:
                raise Conflict("the incident changed meanwhile: look again") from None
            undo.pop_all()
            boarding.go(now)

    def _fenced(self, incident: IncidentId, revision: int, *, ends: bool) -> ExitStack:
        """Stop texts before ``revision`` ahead of an end's commit; unless it comes to be, leaving lets them go on."""
        undo = ExitStack()
        if ends:
            undo.callback(self.fence.put_back, incident, self.fence.put_up(incident, revision))
        return undo

    async def decide_held(self, command: Release | Reject) -> AlertId:
        """Count a person's decision on a held alert; with enough of them it goes out at once."""
        record = await self._record(command.alert)
        if record.state != "held":
            raise Conflict(f"alert {command.alert} is {record.state}, not held")
        await self.launch.rows_written(command.alert)
        if isinstance(command, Reject):
            await self.journal.write(partial(self._reject, record.alert, command))
        else:
            await self._release(record, command)
        return command.alert

    def _reject(self, alert: Alert, command: Reject, connection: Connection) -> None:
        now = self.clock.now()
        store.write_release(connection, alert.id, command.person, "reject", now, reason=command.reason)
        store.reject_alert(connection, alert, now)

    async def _release(self, record: AlertRecord, command: Release) -> None:
        alert, now = record.alert, self.clock.now()
        if command.digest != record.digest:
            raise Conflict("the digest is not that of the held alert: read it again before you release it")
        enough = len({*record.released_by, command.person}) >= alert.people
        ends = alert.purpose.ends and enough

        def unit(connection: Connection) -> None:
            """What is written together."""
            store.write_release(connection, alert.id, command.person, "release", now, digest=command.digest)
            if enough:
                store.release_alert(connection, alert, now)
            if ends:
                store.close_incident(connection, alert.incident, now)

        with self._fenced(alert.incident, alert.revision, ends=ends) as undo:
            _still_apt(alert, await self._history(alert.incident), now)
            await self.journal.write(unit)
            undo.pop_all()
        if enough:
            self.launch.queue([Outgoing(d, alert) for d in await self._queued(alert.id)])

    async def _queued(self, alert: AlertId) -> list[Delivery]:
        state = DeliveryState.QUEUED
        return await self.journal.read(partial(queries.deliveries, alert=alert, state=state, limit=100_000))

    async def delivery(self, wanted: DeliveryId) -> Delivery:
        """One delivery; raises `NotFound`."""
        found = await self.journal.read(partial(queries.delivery, wanted=wanted))
        if found is None:
            raise NotFound(f"no delivery {wanted}")
        return found

    async def move(self, command: Confirm | Resend) -> str:
        """Confirm what a person posted by hand, or try again what failed or nobody knows of."""
        delivery, now = await self.delivery(command.delivery), self.clock.now()
        after = _confirmed(delivery, command) if isinstance(command, Confirm) else await self._requeued(delivery)
        step = Step(after, (after.state,), delivery.state, None, f"by {command.person}")
        if not await self.journal.write(partial(store.record_steps, steps=[step], at=now)):
            raise Conflict("the delivery changed meanwhile: look again")
        if after.state is DeliveryState.QUEUED:
            self.launch.queue([Outgoing(after, (await self._record(after.alert)).alert)])
        return after.id

    async def _requeued(self, delivery: Delivery) -> Delivery:
        """A failed delivery due now, with its alert's time counted anew; an ended incident takes no earlier text."""
        if delivery.state not in (DeliveryState.FAILED, DeliveryState.IN_DOUBT):
            raise Conflict(f"delivery {delivery.id} is {delivery.state}: only what failed or is in doubt is sent again")
        if delivery.channel not in self.deployment.channels:
            raise Conflict(f"channel {delivery.channel} is not configured any more")
        if self.fence.stops(delivery):
            raise Conflict(f"the incident of {delivery.id} has ended: its text may not leave any more")
        if await self.journal.read(partial(queries.is_overtaken, delivery=delivery)):
            raise Conflict(f"a later word went out on {delivery.channel}: say an update instead")
        alert, now = (await self._record(delivery.alert)).alert, self.clock.now()
        again = replace(delivery, released_at=now, due_at=now, deadline_at=alert.deadline(now))
        return again.move(DeliveryState.QUEUED)

    async def _record(self, alert: AlertId) -> AlertRecord:
        record = await self.journal.read(partial(queries.alert_record, alert=alert))
        if record is None:
            raise NotFound(f"no alert {alert}")
        return record


def _key(command: Speak) -> str:
    return f"{OPERATOR}{command.person}/{command.key}"


def _public(history: IncidentHistory, playbook: Playbook, name: str) -> dict[str, Any]:
    """Facts that a later text inherits: what a machine said in confidence goes out only where a person says it anew."""
    specs = playbook.fact_specs(name)
    return {fact: value for fact, value in history.facts.items() if fact in specs and specs[fact].public}


def _confirmed(delivery: Delivery, command: Confirm) -> Delivery:
    if delivery.state is not DeliveryState.BY_HAND:
        raise Conflict(f"delivery {delivery.id} is {delivery.state}: nothing to confirm")
    return delivery.move(DeliveryState.ACCEPTED, url=command.url, detail=f"posted by {command.person}")


def _still_apt(alert: Alert, history: IncidentHistory, now: datetime) -> None:
    """Raises `Conflict` where it is too late, or a prepared end would leave out whom the alert reached since."""
    if alert.expires_at is not None and alert.expires_at <= now:
        raise Conflict("its time is over: say it anew")
    if not history.open:
        raise Conflict(f"incident {alert.incident} has ended: nothing of it can be released any more")
    if not alert.purpose.ends and now - alert.created_at > alert.deliver_within:
        raise Conflict("the times in its text are over: say it anew")
    missed = history.carriers - {planned.channel for planned in alert.plan}
    if missed and alert.purpose.ends:
        raise Conflict(f"{', '.join(sorted(missed))} carried the alert meanwhile: say the {alert.purpose} anew instead")
