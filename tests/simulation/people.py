"""What sources report and people decide, one act at a time, each with chances of its own."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from simulation.broker import Broker, Message
from simulation.clockwork import LoopClock
from simulation.daemon import Life
from simulation.world import World
from unit.house import payload, speak

from dispatcher.model.alert import Purpose
from dispatcher.model.command import (
    BreakGlass,
    Command,
    Confirm,
    Join,
    Reject,
    Release,
    Renew,
    Resend,
    Resume,
    Retract,
    Scope,
    Stop,
)  # fmt: skip
from dispatcher.model.delivery import AlertId, DeliveryId, IncidentId
from dispatcher.model.errors import CommandError, JournalBusy

INCIDENTS = ("i1", "i2")
AREAS = (["leer"], ["emden"], ["leer", "emden"])
PEOPLE = ("anna", "ben", "cem")

Act = Callable[[random.Random, str], Awaitable[None]]


@dataclass(slots=True)
class People:
    """Sources and operators of one night. What the daemon refuses changes nothing; a dead one hears nothing."""

    world: World
    broker: Broker
    life: Callable[[], Life | None]
    _sent: list[Message] = field(default_factory=list)

    def acts(self) -> dict[str, tuple[Act, int]]:
        """Every act by name, with how often it happens beside the others."""
        return {
            "report": (self.report, 12), "repeat": (self.repeat, 3), "garble": (self.garble, 1),
            "trigger": (self.trigger, 2), "say": (self.say, 5), "end": (self.end, 5), "reopen": (self.reopen, 2),
            "release": (self.release, 8), "reject": (self.reject, 1), "renew": (self.renew, 1),
            "retract": (self.retract, 2), "join": (self.join, 1), "stop": (self.stop, 4), "resume": (self.resume, 3),
            "confirm": (self.confirm, 3), "resend": (self.resend, 2),
        }  # fmt: skip

    async def report(self, rng: random.Random, key: str) -> None:
        """The control-room system says something."""
        message = self._message(rng, key, "control-room")
        self._sent.append(message)
        self.broker.publish(message)

    async def repeat(self, rng: random.Random, key: str) -> None:
        """It says it again, or something else under the same id."""
        if not self._sent:
            return
        old = rng.choice(self._sent)
        again = old.payload if rng.random() < 0.7 else old.payload.replace(b"Deich", b"Hafen")
        self.broker.publish(Message(old.source, old.id, old.incident, again))

    async def garble(self, rng: random.Random, key: str) -> None:
        """It sends bytes that are no event."""
        self.broker.publish(Message("control-room", "", "", f'{{"v": 1, "id": "{key}", {rng.random()}'.encode()))

    async def trigger(self, rng: random.Random, key: str) -> None:
        """A person starts an alarm over HTTP."""
        life, message = self.life(), self._message(rng, key, f"operator:{rng.choice(PEOPLE)}")
        if life is not None and life.ready:
            self.world.note(f"trigger: {message.source}/{message.id}")
            await life.take(message, lambda: self._created(message))

    def _created(self, message: Message) -> None:
        """The answer 201 leaves."""
        message.acknowledged = True
        self.broker.messages.append(message)
        if not self.world.witness.took_in(message.source, message.id, message.sha256):
            self.world.wrong(f"acknowledged: {message.source}/{message.id} is not in the journal")

    def _message(self, rng: random.Random, key: str, source: str) -> Message:
        old = timedelta(minutes=20 if rng.random() < 0.05 else 0)
        sent = LoopClock(self.world.loop).now() - old
        incident = rng.choice(INCIDENTS)
        data = payload(
            id=key, incident=incident, msg_type=rng.choices(["alert", "update", "cancel"], [6, 3, 1])[0],
            kind="amok" if rng.random() < 0.95 else "flood", sent=sent.isoformat(),
            area={"regions": rng.choice(AREAS)} if rng.random() < 0.8 else None,
        )  # fmt: skip
        return Message(source, key, incident, data)

    async def say(self, rng: random.Random, key: str) -> None:
        """An update, perhaps for another area, perhaps in own words."""
        regions = tuple(rng.choice(AREAS)) if rng.random() < 0.4 else None
        words = {"de": "Bitte meiden Sie den Bereich."} if rng.random() < 0.4 else {}
        await self._speak(rng, key, Purpose.UPDATE, regions=regions, words=words)

    async def end(self, rng: random.Random, key: str) -> None:
        """All clear, or a false alarm."""
        await self._speak(rng, key, rng.choice([Purpose.ALL_CLEAR, Purpose.FALSE_ALARM]))

    async def reopen(self, rng: random.Random, key: str) -> None:
        """What had ended goes on."""
        await self._speak(rng, key, Purpose.ALERT)

    async def _speak(self, rng: random.Random, key: str, purpose: Purpose, **more: Any) -> None:
        incident = IncidentId(rng.choice(INCIDENTS))
        await self.command(speak(purpose, key, person=rng.choice(PEOPLE), incident=incident, **more))

    async def release(self, rng: random.Random, key: str) -> None:
        """Somebody lets out something that waits."""
        if held := self._one(rng, "SELECT id, digest FROM alerts WHERE state = 'held' ORDER BY created_at, id"):
            glass = BreakGlass.DANGER_TO_LIFE if rng.random() < 0.2 else None
            person = rng.choice(PEOPLE)
            await self.command(Release(person=person, alert=held["id"], digest=held["digest"], break_glass=glass))

    async def reject(self, rng: random.Random, key: str) -> None:
        """Somebody ends something that waits."""
        if held := self._one(rng, "SELECT id FROM alerts WHERE state = 'held' ORDER BY created_at, id"):
            await self.command(Reject(person=rng.choice(PEOPLE), alert=held["id"]))

    async def renew(self, rng: random.Random, key: str) -> None:
        """Somebody has it composed anew."""
        if held := self._one(rng, "SELECT id FROM alerts WHERE state = 'held' ORDER BY created_at, id"):
            await self.command(Renew(person=rng.choice(PEOPLE), alert=held["id"]))

    async def retract(self, rng: random.Random, key: str) -> None:
        """Somebody takes back what is out."""
        out = (
            "SELECT id FROM alerts WHERE state = 'released' AND purpose IN ('alert', 'update') ORDER BY created_at, id"
        )
        if found := self._one(rng, out):
            words = {"de": "Das war falsch."} if rng.random() < 0.5 else {}
            await self.command(Retract(person=rng.choice(PEOPLE), alert=AlertId(found["id"]), key=key, words=words))

    async def join(self, rng: random.Random, key: str) -> None:
        """Two are one."""
        own, into = rng.sample(INCIDENTS, 2)
        await self.command(
            Join(person=rng.choice(PEOPLE), incident=IncidentId(own), into=IncidentId(into), key=key)
        )  # fmt: skip

    async def stop(self, rng: random.Random, key: str) -> None:
        """Somebody pulls the cord."""
        refs = {
            Scope.ALL: "", Scope.INCIDENT: rng.choice(INCIDENTS),
            Scope.CHANNEL: rng.choice(["mastodon", "facebook-leer", "whatsapp-leer", "duty-team"]),
        }  # fmt: skip
        scope = rng.choice(list(refs))
        await self.command(Stop(person=rng.choice(PEOPLE), scope=scope, ref=refs[scope], reason="wrong place"))

    async def resume(self, rng: random.Random, key: str) -> None:
        """Somebody asks to lift a stop, alone or as one of two."""
        if stop := self._one(rng, "SELECT scope, ref FROM stops ORDER BY scope, ref"):
            glass = BreakGlass.SYSTEM_FAILURE if rng.random() < 0.5 else None
            person = rng.choice(PEOPLE)
            await self.command(Resume(person=person, scope=Scope(stop["scope"]), ref=stop["ref"], break_glass=glass))

    async def confirm(self, rng: random.Random, key: str) -> None:
        """Somebody has posted by hand."""
        if found := self._one(rng, "SELECT id FROM deliveries WHERE state = 'by_hand' ORDER BY id"):
            await self.command(Confirm(person=rng.choice(PEOPLE), delivery=DeliveryId(found["id"])))

    async def resend(self, rng: random.Random, key: str) -> None:
        """Somebody has it tried again."""
        if found := self._one(rng, "SELECT id FROM deliveries WHERE state IN ('failed', 'in_doubt') ORDER BY id"):
            await self.command(Resend(person=rng.choice(PEOPLE), delivery=DeliveryId(found["id"])))

    def _one(self, rng: random.Random, statement: str) -> Any:
        found = self.world.witness.rows(statement)
        return rng.choice(found) if found else None

    async def command(self, command: Command) -> bool:
        """Over HTTP: done, refused, or never answered because the daemon is dead. Whether it was done."""
        life = self.life()
        if life is None or not life.ready:
            return False
        self.world.note(f"command: {command}")
        try:
            await life.road.command(command)
        except (CommandError, JournalBusy) as error:
            self.world.note(f"refused: {error}")
            return False
        return True
