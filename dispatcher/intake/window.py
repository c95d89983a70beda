"""What arrived on one connection, and its acknowledgements, which leave in the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import aiomqtt


@dataclass(slots=True)
class _Arrival:
    mid: int
    qos: int
    done: bool = False


@dataclass(slots=True)
class Window:
    """What arrived on one connection and is not acknowledged yet. A stale connection acknowledges nothing."""

    client: aiomqtt.Client
    open: bool = True
    arrivals: deque[_Arrival] = field(default_factory=deque)

    def arrived(self, message: aiomqtt.Message) -> Callable[[], None]:
        """Note a message; calling the answer lets it and all before it that are done be acknowledged, in order."""
        arrival = _Arrival(message.mid, message.qos)
        self.arrivals.append(arrival)

        def ack() -> None:
            """Done; acknowledge every message up to the first that is not."""
            arrival.done = True
            while self.open and self.arrivals and self.arrivals[0].done:
                first = self.arrivals.popleft()
                self.client._client.ack(first.mid, first.qos)  # noqa: SLF001 - see mqtt.client_for

        return ack
