"""People let held alerts out, reject them, or have them composed anew. Named persons are counted; a machine is nobody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from dispatcher.decisions.means import Means
from dispatcher.decisions.speaking import corrections
from dispatcher.journal import queries, standing, store
from dispatcher.journal.log import add_fact
from dispatcher.journal.queries import AlertRecord
from dispatcher.journal.store import Stale
from dispatcher.launch import Outgoing
from dispatcher.model.alert import Alert
from dispatcher.model.command import Reject, Release, Renew
from dispatcher.model.delivery import AlertId, Delivery, DeliveryState
from dispatcher.model.errors import Conflict, Forbidden
from dispatcher.model.incident import IncidentHistory
from dispatcher.plan.compose import Speech, channels_of, compose
from dispatcher.telemetry import logger

log = logger("decisions")


@dataclass(frozen=True, slots=True)
class Releasing:
    """Carries out what people decide about held alerts."""

    means: Means

    async def decide(self, command: Release | Reject) -> AlertId:
        """Count a person's decision; with enough of them the alert goes out at once, at the incident's newest revision."""
        record = await self._held(command.alert)
        if isinstance(command, Reject):
            await self.means.journal.write(partial(self._reject, record.alert, command))
        else:
            await self._release(record, command)
        return command.alert

    async def renew(self, command: Renew) -> AlertId:
        """The same words with the times of now; the old alert is superseded, and what was given for it is void."""
        old = (await self._held(command.alert)).alert
        history, now = await self.means.history(old.incident), self.means.clock.now()
        playbook = self.means.deployment.speaker(old.playbook)
        if playbook is None or not history.open:
            raise Conflict(f"incident {old.incident} has ended, or its playbook is gone: say it anew")
        speech = Speech(
            purpose=old.purpose, playbook=playbook, regions=old.regions, severity=old.severity, place=old.place,
            facts={**history.facts, **old.facts}, name=old.name, reason=old.reason, covers=old.covers, hold=True, partial=old.partial,
            dropped=frozenset(p.channel for p in old.plan) if old.partial else frozenset(), same_as=old.same_as,
            words=old.words,
        )  # fmt: skip
        alert = compose(
            speech, self.means.deployment, history, now, incident=old.incident,
            event_key=f"renew/{old.id}/{now.isoformat()}", requested_by=old.requested_by,
        ).alert  # fmt: skip
        if alert is None:
            raise Conflict("no channel is left to say it on")
        alert = replace(alert, revision=history.revision + 1, about=old.about)
        with self.means.launch.boarding([alert]) as boarding:

            def unit(connection: Connection) -> None:
                """What is written together."""
                store.bump_incident(connection, alert.incident, history.revision, now)
                store.end_held(connection, old, now, state="superseded", detail=f"renewed as {alert.code}")
                store.write_alert(connection, boarding.alerts[0], released_at=None)
                add_fact(connection, now, "alert.renew_by", alert.id, person=command.person, renews=old.id)

            await self.means.journal.write(unit)
            boarding.go(now)
        return alert.id

    async def _held(self, wanted: AlertId) -> AlertRecord:
        record = await self.means.record(wanted)
        if record.state != "held":
            raise Conflict(f"alert {wanted} is {record.state}, not held")
        await self.means.launch.rows_written(wanted)
        return record

    def _reject(self, alert: Alert, command: Reject, connection: Connection) -> None:
        now = self.means.clock.now()
        store.write_release(connection, alert.id, command.person, "reject", now, reason=command.reason)
        store.end_held(connection, alert, now, state="rejected", detail="rejected")

    async def _release(self, record: AlertRecord, command: Release) -> None:
        means, now = self.means, self.means.clock.now()
        if command.digest != record.digest:
            raise Conflict("the digest is not that of the held alert: read it again before you release it")
        self._permit(record.alert, command)
        given = await means.journal.read(partial(standing.given, alert=record.alert.id, now=now))
        enough = command.break_glass is not None or len(given | {command.person}) >= record.alert.people
        history = await means.history(record.alert.incident)
        _still_apt(record.alert, history, now)
        if not enough:
            await means.journal.write(partial(_count, alert=record.alert, command=command, now=now))
            return
        whole = record.alert.purpose.ends and not record.alert.partial
        left = [planned.channel for planned in record.alert.plan] if record.alert.partial else ()
        with means.fenced(record.alert.incident, history.revision + 1, ends=whole, left=left) as undo:
            history = await means.history(record.alert.incident)
            self._reaches_all(record.alert, history)
            alert = replace(record.alert, revision=history.revision + 1)
            queued = await self._let_out(alert, history, command, now)
            undo.pop_all()
        means.launch.queue([Outgoing(delivery, alert) for delivery in queued])

    async def _let_out(
        self, alert: Alert, history: IncidentHistory, command: Release, now: datetime
    ) -> list[Delivery]:  # fmt: skip
        """One transaction for the release, and for the changes of earlier posts where it is a correction; what it let out.

        Read in there: after the commit nothing may fail any more that stands between a release and its first byte.
        """
        edits = await corrections(self.means, alert)
        with self.means.launch.boarding(edits) as boarding:

            def unit(connection: Connection) -> list[Delivery]:
                """What is written together."""
                _count(connection, alert, command, now)
                last = max(one.revision for one in (alert, *edits))
                store.bump_incident(connection, alert.incident, history.revision, now, by=last - history.revision)
                store.release_alert(connection, alert, now)
                _move_incident(connection, alert, history, now)
                for edit in boarding.alerts:
                    store.write_alert(connection, edit, released_at=now)
                return queries.deliveries(connection, alert=alert.id, state=DeliveryState.QUEUED, limit=100_000)

            try:
                queued = await self.means.journal.write(unit)
            except Stale:
                raise Conflict("the incident changed meanwhile: look again") from None
            boarding.go(now)
        return queued

    def _permit(self, alert: Alert, command: Release) -> None:
        """Raises `Forbidden` where it is beyond the person's regions, and neither an end nor an emergency."""
        if alert.purpose.ends or command.break_glass is not None:
            return
        try:
            self.means.permit(command.person, self.means.deployment.speaker(alert.playbook), alert.regions)
        except Forbidden as error:
            raise Forbidden(f"{error}, or give break_glass with its reason") from None

    def _reaches_all(self, alert: Alert, history: IncidentHistory) -> None:
        """Raises `Conflict` where a prepared end would leave out whom the incident reached since."""
        if not alert.purpose.ends:
            return
        missed = history.carriers - {planned.channel for planned in alert.plan}
        playbook = self.means.deployment.speaker(alert.playbook)
        if alert.partial and playbook is not None:
            area = tuple(r for r in self.means.deployment.resolve_ids(history.regions) if r not in alert.regions)
            missed -= channels_of(playbook, area, self.means.deployment)
        if missed:
            raise Conflict(
                f"{', '.join(sorted(missed))} carried the alert meanwhile: say the {alert.purpose} anew instead"
            )


def _count(connection: Connection, alert: Alert, command: Release, now: datetime) -> None:
    decision = "release" if command.break_glass is None else "break_glass"
    store.write_release(
        connection, alert.id, command.person, decision, now, digest=command.digest, reason=command.break_glass or ""
    )


def _move_incident(connection: Connection, alert: Alert, history: IncidentHistory, now: datetime) -> None:
    """An end closes its incident, the end of some channels takes their regions from it, any other word moves it."""
    if alert.partial:
        left = [region for region in history.regions if region not in alert.regions]
        store.narrow_incident(connection, alert.incident, left)
    elif alert.purpose.ends:
        store.close_incident(connection, alert.incident, now)
    else:
        store.move_incident(connection, alert.incident, alert.place, alert.regions)


def _still_apt(alert: Alert, history: IncidentHistory, now: datetime) -> None:
    """Raises `Conflict` where it is too late; the request stays, and can be renewed."""
    if alert.expires_at is not None and alert.expires_at <= now:
        raise Conflict("its time is over: renew it, then release what it says now")
    if not history.open:
        raise Conflict(f"incident {alert.incident} has ended: nothing of it can be released any more")
    if not alert.purpose.ends and now - alert.created_at > alert.deliver_within:
        raise Conflict("the times in its text are over: renew it, then release what it says now")
