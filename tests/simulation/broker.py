"""A simulated broker: keeps a message until it is acknowledged; repeats, reorders across incidents, goes away."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from simulation.world import World

Take = Callable[["Message", Callable[[], None]], None]

LATENCY = 0.2
TWICE = 0.15


@dataclass(slots=True)
class Message:
    """One message of QoS 1."""

    source: str
    id: str
    incident: str
    payload: bytes
    acknowledged: bool = False

    @property
    def sha256(self) -> str:
        """Digest of the payload."""
        return hashlib.sha256(self.payload).hexdigest()


@dataclass(slots=True)
class Broker:
    """One session. What is acknowledged is forgotten here: nobody will bring it again."""

    world: World
    messages: list[Message] = field(default_factory=list)
    _take: Take | None = None
    _connection: int = 0
    _next: dict[str, float] = field(default_factory=dict)

    @property
    def unacknowledged(self) -> list[Message]:
        """What is still to be delivered."""
        return [message for message in self.messages if not message.acknowledged]

    @property
    def connected(self) -> bool:
        """Whether a daemon listens."""
        return self._take is not None

    def publish(self, message: Message) -> None:
        """A source sends."""
        self.messages.append(message)
        if self._take is not None:
            self._deliver(message)

    def connect(self, take: Take) -> None:
        """A daemon listens; it is sent whatever is not acknowledged."""
        self._connection += 1
        self._take = take
        for message in self.unacknowledged:
            self._deliver(message)

    def disconnect(self) -> None:
        """The connection is gone; an acknowledgement that comes after it is not heard."""
        self._connection += 1
        self._take = None

    def _deliver(self, message: Message) -> None:
        """In order within an incident, in any order between them, and sometimes twice."""
        copies = 2 if self.world.chance(TWICE) else 1
        if copies == 2:
            self.world.fault("duplicate", message.id)
        for _ in range(copies):
            now = self.world.loop.time()
            at = max(now + self.world.rng.uniform(0, LATENCY), self._next.get(message.incident, 0.0) + 1e-4)
            self._next[message.incident] = at
            self.world.loop.call_at(at, self._hand_over, message, self._connection)

    def _hand_over(self, message: Message, connection: int) -> None:
        if connection == self._connection and self._take is not None:
            self._take(message, lambda: self._acknowledge(message, connection))

    def _acknowledge(self, message: Message, connection: int) -> None:
        self.world.point("acknowledgement")
        if connection != self._connection:
            return
        message.acknowledged = True
        self.world.note(f"acknowledged: {message.source}/{message.id}")
        if not self.world.witness.took_in(message.source, message.id, message.sha256):
            self.world.wrong(f"acknowledged: {message.source}/{message.id} is not in the journal")
