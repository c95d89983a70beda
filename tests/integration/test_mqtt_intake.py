"""Manual acknowledgement on a real broker: nothing is acknowledged before the road says so, everything in its order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiomqtt
import pytest
from integration.broker import Mosquitto
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from dispatcher.clock import SystemClock
from dispatcher.intake.base import Inbound, Receipt
from dispatcher.intake.mqtt import MqttIntake, MqttSettings
from dispatcher.model.cap import Realm
from dispatcher.model.errors import JournalBusy

TOPIC = "control-room/exercise/leitstelle/incidents"
HOSTILE = (
    "dispatcher/exercise/receipts/victim", "dispatcher/exercise/nodes/node-1", TOPIC, "control-room/live/x/incidents",
    "/".join("a" * 40), "/".join("a" * 250), "a" * 201, "$SYS/x", "$share/group/x", "/x",
)  # fmt: skip


@asynccontextmanager
async def intake_of(
    broker: Mosquitto, receive: Callable[[Inbound], object], monkeypatch: pytest.MonkeyPatch, protocol: str = "5"
) -> AsyncIterator[MqttIntake]:
    """A connected intake that hands everything to ``receive`` and is cut off, not closed, at the end."""
    monkeypatch.setenv("BROKER_PASSWORD", broker.password)
    settings = MqttSettings(
        url=broker.url, username=broker.username, password_env="BROKER_PASSWORD", protocol=protocol, keepalive=5
    )
    intake = MqttIntake(settings, Realm.EXERCISE, receive, SystemClock())
    running = asyncio.create_task(intake.run())
    async with asyncio.timeout(10):
        await intake.until_connected()
    try:
        yield intake
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def send(broker: Mosquitto, *payloads: str) -> None:
    """Publish texts at QoS 1."""
    async with broker.client() as client:
        for payload in payloads:
            await client.publish(TOPIC, payload, qos=1)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def up_to(client: aiomqtt.Client, topic: str) -> AsyncIterator[aiomqtt.Message]:
    """What ``client`` hears, up to the first message on ``topic``."""
    async with asyncio.timeout(10):
        async for message in client.messages:
            yield message
            if message.topic.matches(topic):
                return


def receipt(inbound: Inbound) -> Receipt:
    """Any receipt."""
    return Receipt(inbound.source, "", inbound.sha256, "journaled", 1)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_what_was_not_acknowledged_comes_again(protocol, mosquitto, monkeypatch):
    """Of ten messages of which four were acknowledged, a new connection gets exactly the other six."""
    first: list[bytes] = []
    second: list[bytes] = []

    async def four(inbound: Inbound) -> Receipt:
        first.append(inbound.payload)
        if len(first) <= 4:
            inbound.ack()
        return receipt(inbound)

    async def all_of_them(inbound: Inbound) -> Receipt:
        second.append(inbound.payload)
        inbound.ack()
        return receipt(inbound)

    async with intake_of(mosquitto, four, monkeypatch, protocol):
        await send(mosquitto, *map(str, range(10)))
        await until(lambda: len(first) == 10)
    async with intake_of(mosquitto, all_of_them, monkeypatch, protocol):
        await until(lambda: len(second) >= 6)
        await asyncio.sleep(0.1)

    assert second == [str(n).encode() for n in range(4, 10)]


async def test_acknowledgements_leave_in_the_order_of_arrival(mosquitto, monkeypatch):
    """A later message that is done first is not acknowledged before the earlier one."""
    inbounds: list[Inbound] = []
    again: list[bytes] = []

    async def keep(inbound: Inbound) -> Receipt:
        inbounds.append(inbound)
        return receipt(inbound)

    async def count(inbound: Inbound) -> Receipt:
        again.append(inbound.payload)
        return receipt(inbound)

    async with intake_of(mosquitto, keep, monkeypatch):
        await send(mosquitto, "a", "b", "c")
        await until(lambda: len(inbounds) == 3)
        inbounds[1].ack()
        inbounds[2].ack()
        await asyncio.sleep(0.1)
    async with intake_of(mosquitto, count, monkeypatch):
        await until(lambda: len(again) == 3)

    assert again == [b"a", b"b", b"c"]


async def test_a_busy_journal_keeps_the_message(mosquitto, monkeypatch):
    """Where nothing can be written nothing is acknowledged, and the same message is tried again on its connection."""
    tries: list[bytes] = []

    async def busy_twice(inbound: Inbound) -> Receipt:
        tries.append(inbound.payload)
        if len(tries) <= 2:
            raise JournalBusy("disk full")
        inbound.ack()
        return receipt(inbound)

    async with intake_of(mosquitto, busy_twice, monkeypatch):
        await send(mosquitto, "x")
        await until(lambda: len(tries) == 3)

    assert tries == [b"x"] * 3


async def test_a_stale_connection_acknowledges_nothing(mosquitto, monkeypatch):
    """An acknowledgement that comes after its connection was lost must not hit a message of the next one."""
    old: list[Inbound] = []
    new: list[Inbound] = []

    async def receive(inbound: Inbound) -> Receipt:
        (old if len(old) < 1 else new).append(inbound)
        return receipt(inbound)

    async with intake_of(mosquitto, receive, monkeypatch) as intake:
        await send(mosquitto, "1")
        await until(lambda: len(old) == 1)
        await mosquitto.stop()
        await until(lambda: not intake.connected)
        await mosquitto.start()
        await until(lambda: len(new) == 1)
        old[0].ack()
        await asyncio.sleep(0.1)
    again: list[bytes] = []

    async def count(inbound: Inbound) -> Receipt:
        again.append(inbound.payload)
        return receipt(inbound)

    async with intake_of(mosquitto, count, monkeypatch):
        await until(lambda: len(again) == 1)

    assert again == [b"1"]


async def test_an_intake_that_cannot_answer_does_not_go_on_listening(mosquitto, monkeypatch):
    """A mistake in what publishes ends the whole intake, which ends the process: it never listens without answering."""
    monkeypatch.setenv("BROKER_PASSWORD", mosquitto.password)
    settings = MqttSettings(url=mosquitto.url, username=mosquitto.username, password_env="BROKER_PASSWORD")
    intake = MqttIntake(settings, Realm.EXERCISE, receipt, SystemClock())
    running = asyncio.create_task(intake.run())
    async with asyncio.timeout(10):
        await intake.until_connected()
        intake.publish("odd", {}, qos="no such level")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await running


async def test_only_the_last_level_but_one_names_the_source(mosquitto, monkeypatch):
    """The transport says who sent it: the topic's level, whatever the payload claims; retained is told apart."""
    seen: list[Inbound] = []

    async def receive(inbound: Inbound) -> Receipt:
        seen.append(inbound)
        inbound.ack()
        return receipt(inbound)

    async with mosquitto.client() as client:
        await client.publish(
            "control-room/exercise/feuerwehr/incidents", json.dumps({"source": "x"}), qos=1, retain=True
        )
    async with intake_of(mosquitto, receive, monkeypatch):
        await until(lambda: len(seen) == 1)
        await send(mosquitto, "live")
        await until(lambda: len(seen) == 2)

    assert [(one.source, one.retained) for one in seen] == [("feuerwehr", True), ("leitstelle", False)]


async def test_a_source_cannot_make_us_speak_anywhere(mosquitto, monkeypatch):
    """A response topic gets its answer with its correlation; one that is ours, or would cost us the broker, gets none."""
    taken: list[Inbound] = []

    async def answer(inbound: Inbound) -> Receipt:
        taken.append(inbound)
        inbound.ack()
        inbound.reply(receipt(inbound))
        return receipt(inbound)

    async with intake_of(mosquitto, answer, monkeypatch) as intake, mosquitto.client() as source:
        lost = asyncio.create_task(until(lambda: not intake.connected))
        for topic in ("#", "dispatcher/#", "control-room/#"):
            await source.subscribe(topic, qos=1)
        for number, topic in enumerate((*HOSTILE, "answers/leitstelle")):
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic, properties.CorrelationData = topic, b"c"
            await source.publish(TOPIC, str(number), qos=1, properties=properties)
        heard = [message async for message in up_to(source, "answers/leitstelle")]
        assert not lost.done()
        lost.cancel()

    assert len(taken) == len(HOSTILE) + 1
    assert heard[-1].properties.CorrelationData == b"c"
    answers = {str(message.topic) for message in heard if b"sha256" in message.payload}
    assert answers == {"dispatcher/exercise/receipts/leitstelle", "answers/leitstelle"}
