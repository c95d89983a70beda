"""What the broker lets us hear on one connection, and how often connections were lost."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiomqtt

from dispatcher.telemetry import logger

log = logger("mqtt")

REFUSED = 128  # and above: MQTT 5 section 3.9.3, MQTT 3.1.1 section 3.9.3
LOSSES, LOSS_SECONDS = 5, 60.0


@dataclass(slots=True)
class Subscription:
    """The topic filters that one connection listens to, and those that the broker keeps from us."""

    client: aiomqtt.Client
    held: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    async def listen(self, filters: Sequence[str]) -> None:
        """Subscribe to ``filters`` at QoS 1 and to nothing else; raises `aiomqtt.MqttError` where the broker is away."""
        answers = await self._answers(filters)
        before = self.refused
        self.refused = tuple(topic for topic, code in zip(filters, answers, strict=True) if code >= REFUSED)
        if self.refused != before:
            log.error("subscription_refused", topics=self.refused)
        if gone := [topic for topic in self.held if topic not in filters]:
            await self.client.unsubscribe(gone)
        self.held = tuple(filters)

    async def _answers(self, filters: Sequence[str]) -> list[int]:
        """The broker's code for each filter; by itself aiomqtt waits its full timeout for the answer of a lost connection."""
        asking = asyncio.ensure_future(self.client.subscribe([(topic, 1) for topic in filters]))
        lost = self.client._disconnected  # noqa: SLF001 - no public question for it
        either: set[asyncio.Future[Any]] = {asking, lost}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise aiomqtt.MqttError("the connection was lost while subscribing")
            return [code if isinstance(code, int) else code.value for code in asking.result()]
        finally:
            asking.cancel()


@dataclass(slots=True)
class Losses:
    """When connections were lost: a few are the network's, many are somebody else with our name."""

    monotonic: Callable[[], float] = time.monotonic
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=LOSSES))

    def note(self) -> None:
        """One more."""
        self._times.append(self.monotonic())

    @property
    def many(self) -> bool:
        """Whether the connection comes and goes."""
        return len(self._times) == LOSSES and self.monotonic() - self._times[0] < LOSS_SECONDS
