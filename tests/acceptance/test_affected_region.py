"""An incident event reaches the channels of its region, once, and its source hears what became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import aiomqtt
import pytest
from acceptance.harness import Receivers, event, publish
from integration.broker import Mosquitto


def _two_regions(world: Receivers) -> dict[str, dict]:
    channels = world.channels(4)
    for name, region in {"c0": "leer", "c1": "leer", "c2": "emden"}.items():
        channels[name]["regions"] = [region]
    return channels


async def _mosquitto_pub(need: Callable[[str], str], broker: Mosquitto, version: str, payload: dict) -> None:
    process = await asyncio.create_subprocess_exec(
        need("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(broker.port), "-u", broker.username, "-P", broker.password,
        "-V", version, "-q", "1", "-t", "control-room/exercise/leitstelle/incidents", "-m", json.dumps(payload),
    )  # fmt: skip
    assert await process.wait() == 0


@pytest.mark.parametrize("version", ["mqttv5", "mqttv311"])
async def test_only_the_affected_regions_channels_speak(version, world: Receivers, daemon_of, mosquitto, need):
    """What mosquitto_pub sends in either version reaches its region's channels and no others."""
    async with daemon_of(_two_regions(world)) as daemon:
        await _mosquitto_pub(need, mosquitto, version, event())
        await daemon.until(lambda: daemon.states()["accepted"] == 3)

    assert world.reached() == {"c0": 1, "c1": 1, "c3": 1}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_source_gets_one_receipt_for_each_message(protocol, world, daemon_of, mosquitto):
    """Fifty repeats add nothing, other content under the same id is a conflict, and every message gets its receipt."""
    async with (
        daemon_of(_two_regions(world), protocol=protocol) as daemon,
        mosquitto.client() as source,
    ):
        await source.subscribe("dispatcher/exercise/receipts/leitstelle", qos=1)
        first = event()
        await publish(mosquitto, [first] * 51 + [first | {"place": "Bahnhof"}])
        async with asyncio.timeout(20):
            receipts = [json.loads((await anext(aiter(source.messages))).payload) for _ in range(52)]
        await daemon.until(lambda: daemon.states()["accepted"] == 3)

        assert [r["state"] for r in receipts] == ["journaled"] + ["duplicate"] * 50 + ["conflict"]
        assert len({r["journal"] for r in receipts[:51]}) == 1
        assert daemon.rows("SELECT count(*) FROM incidents") == [(1,)]
    assert world.reached() == {"c0": 1, "c1": 1, "c3": 1}


async def test_a_request_for_a_response_is_answered_where_it_asks(world, daemon_of, mosquitto):
    """An MQTT 5 response topic gets the receipt with the correlation data of the event."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic, properties.CorrelationData = "my/answers", b"42"
    async with daemon_of(_two_regions(world)), mosquitto.client() as source:
        await source.subscribe("my/answers", qos=1)
        topic = "control-room/exercise/leitstelle/incidents"
        await source.publish(topic, json.dumps(event()), qos=1, properties=properties)
        async with asyncio.timeout(10):
            message = await anext(aiter(source.messages))

    assert json.loads(message.payload)["state"] == "journaled"
    assert message.properties.CorrelationData == b"42"


async def test_the_broker_shows_incident_deliveries_and_node(world, daemon_of, mosquitto):
    """A retained summary, each delivery's end and the node's birth and will are there for anyone to read."""
    seen: dict[str, list[dict]] = {}

    async def watch(reader: aiomqtt.Client) -> None:
        async for message in reader.messages:
            seen.setdefault(str(message.topic), []).append(json.loads(message.payload))

    def summarised() -> bool:
        accepted = [t for t, bodies in seen.items() if "/deliveries/" in t and bodies[-1]["state"] == "accepted"]
        return len(accepted) == 3 and "dispatcher/exercise/incidents/incident-1" in seen

    async with mosquitto.client() as reader:
        await reader.subscribe("dispatcher/exercise/#", qos=1)
        watching = asyncio.create_task(watch(reader))
        async with daemon_of(_two_regions(world)) as daemon:
            await publish(mosquitto, [event()])
            await daemon.until(summarised)
            await daemon.kill()
            await daemon.until(lambda: seen["dispatcher/exercise/nodes/node-1"][-1] == {"state": "offline"})
        watching.cancel()

    assert seen["dispatcher/exercise/nodes/node-1"][0] == {"state": "online"}
    assert seen["dispatcher/exercise/incidents/incident-1"][-1]["playbook"] == "amok"


async def test_events_wait_at_the_broker_while_the_daemon_is_away(world, daemon_of, mosquitto):
    """What is published while no daemon runs is taken at its next start."""
    daemon = daemon_of(_two_regions(world))
    async with daemon:
        pass
    await publish(mosquitto, [event("9")])
    async with daemon:
        await daemon.until(lambda: daemon.states()["accepted"] == 3)
