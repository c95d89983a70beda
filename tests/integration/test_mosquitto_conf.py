"""The broker configuration we ship keeps its word: this is the ground that the road begins on."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest
from integration.broker import Mosquitto
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TOPIC = "control-room/live/leitstelle/incidents"


def _returning(broker: Mosquitto) -> aiomqtt.Client:
    """A client whose session, and what is queued in it, waits for it for an hour."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    return broker.client(identifier="dispatcher-live-1", clean_start=False, properties=properties)


async def _publish(broker: Mosquitto, count: int, size: int = 1) -> None:
    """Publish at QoS 1, 0 to ``count`` - 1 at the head of ``size`` bytes; every message is acknowledged on return."""
    async with broker.client(max_concurrent_outgoing_calls=count, timeout=60) as client:
        numbers = (str(number).ljust(size) for number in range(count))
        await asyncio.gather(*(client.publish(TOPIC, number, qos=1) for number in numbers))


async def _leave_session(broker: Mosquitto) -> None:
    async with _returning(broker) as client:
        await client.subscribe(TOPIC, qos=1)


async def _collect(broker: Mosquitto, count: int) -> set[int]:
    """The first ``count`` different numbers that waited for us."""
    seen: set[int] = set()
    async with asyncio.timeout(60), _returning(broker) as client:
        async for message in client.messages:
            seen.add(int(message.payload))
            if len(seen) == count:
                break
    return seen


async def test_acknowledged_messages_survive_a_kill_of_the_broker(mosquitto: Mosquitto) -> None:
    """Fifty events that wait for a dispatcher that is away outlive kill -9 of the broker."""
    await _leave_session(mosquitto)
    await _publish(mosquitto, 50)
    await asyncio.sleep(0.1)  # the write follows the acknowledgement within milliseconds, never before it
    await mosquitto.kill()
    await mosquitto.start()
    assert await _collect(mosquitto, 50) == set(range(50))


async def test_more_than_a_thousand_messages_wait(mosquitto: Mosquitto) -> None:
    """A backlog of 1,500 events is kept whole for a dispatcher that is away."""
    await _leave_session(mosquitto)
    await _publish(mosquitto, 1_500)
    assert await _collect(mosquitto, 1_500) == set(range(1_500))


@pytest.mark.parametrize("credentials", [{"username": None, "password": None}, {"password": "guessed"}])
async def test_strangers_are_refused(mosquitto: Mosquitto, credentials: dict[str, str | None]) -> None:
    """Nobody enters without a name, nor with a wrong password."""
    with pytest.raises(aiomqtt.MqttError, match=r"Not authorized|Bad user name"):
        async with mosquitto.client(**credentials):
            pass
