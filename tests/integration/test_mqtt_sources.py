"""Sources with topics, heartbeats, signatures and certificates of their own, on a real broker."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from integration.broker import Mosquitto
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from dispatcher.clock import SystemClock
from dispatcher.intake.base import SIGNATURE_PROPERTIES, Inbound, Receipt
from dispatcher.intake.mqtt import MqttIntake, MqttSettings
from dispatcher.model.cap import Realm
from dispatcher.model.source import Source

Need = Callable[..., str]


class Ear:
    """Keeps what the intake hands on, and acknowledges it."""

    def __init__(self) -> None:
        self.heard: list[Inbound] = []
        self.alive: list[str] = []

    async def receive(self, inbound: Inbound) -> Receipt:
        """Note it, acknowledge it, answer."""
        self.heard.append(inbound)
        inbound.ack()
        receipt = Receipt(inbound.source, "", inbound.sha256, "journaled", 1)
        inbound.reply(receipt)
        return receipt


@asynccontextmanager
async def listening(settings: MqttSettings, sources: Mapping[str, Source]) -> AsyncIterator[Ear]:
    """An intake that is connected, with an ear at its end."""
    ear = Ear()
    intake = MqttIntake(
        settings, Realm.EXERCISE, ear.receive, SystemClock(), sources=sources, alive=ear.alive.append
    )  # fmt: skip
    running = asyncio.create_task(intake.run())
    try:
        async with asyncio.timeout(10):
            await intake.until_connected()
        yield ear
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def settings_for(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> MqttSettings:
    """The daemon's way to ``broker``."""
    monkeypatch.setenv("BROKER_PASSWORD", broker.password)
    return MqttSettings(url=broker.url, username=broker.username, password_env="BROKER_PASSWORD", keepalive=5)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_source_is_heard_on_its_own_topic(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes on a source's topic is that source's; on the standard topic its name is nobody's; a heartbeat is no event."""
    sources = {"els": Source(topic="einsatzleit/+/meldung", heartbeat_topic="einsatzleit/puls")}
    async with listening(settings_for(mosquitto, monkeypatch), sources) as ear:
        async with mosquitto.client() as client:
            await client.publish("einsatzleit/leer/meldung", b"one", qos=1)
            await client.publish("control-room/exercise/els/incidents", b"two", qos=1)
            await client.publish("einsatzleit/puls", b"", qos=1)
            await client.publish("control-room/exercise/other/heartbeat", b"", qos=1)
        await until(lambda: len(ear.heard) == 2 and len(ear.alive) == 2)
        assert sorted((inbound.source, inbound.payload) for inbound in ear.heard) == [("", b"two"), ("els", b"one")]
        assert ear.alive == ["els", "other"]


async def test_a_signature_travels_outside(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signature and key id come as MQTT 5 user properties and reach the reader as they were sent."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = list(zip(SIGNATURE_PROPERTIES, ("c2ln", "k1"), strict=True))
    async with listening(settings_for(mosquitto, monkeypatch), {}) as ear:
        async with mosquitto.client() as client:
            await client.publish("control-room/exercise/els/incidents", b"x", qos=1, properties=properties)
        await until(lambda: len(ear.heard) == 1)
        assert (ear.heard[0].signature, ear.heard[0].key_id) == ("c2ln", "k1")


async def test_a_broker_that_asks_for_certificates_gets_ours(
    need: Need, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS the broker's certificate is checked and ours is shown; without ours we are not let in."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, subject in (("server", "127.0.0.1"), ("daemon", "dispatcher.example")):
        issued = authority.issue_cert(subject)
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    extra = f"\ncafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\nrequire_certificate true\n"
    directory = tmp_path / "mosquitto"
    async with Mosquitto(need("mosquitto"), need("mosquitto_passwd"), directory, free_port, extra) as broker:
        settings = settings_for(broker, monkeypatch).model_copy(update={
            "url": f"mqtts://127.0.0.1:{free_port}", "ca_file": tmp_path / "ca.pem",
            "cert_file": tmp_path / "daemon.pem", "key_file": tmp_path / "daemon.key",
        })  # fmt: skip
        async with listening(settings, {}) as ear:
            context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
            context.load_cert_chain(tmp_path / "daemon.pem", tmp_path / "daemon.key")
            async with broker.client(tls_context=context) as client:
                await client.publish("control-room/exercise/els/incidents", b"x", qos=1)
            await until(lambda: len(ear.heard) == 1)
        bare = settings.model_copy(update={"cert_file": None, "key_file": None})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), listening(bare, {}):
                pass


async def test_a_reload_takes_topics_away(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reload a new source's topic is heard, and one that is gone is not listened to any more."""
    ear = Ear()
    old, new = {"els": Source(topic="old/topic")}, {"els": Source(topic="new/topic")}
    intake = MqttIntake(
        settings_for(mosquitto, monkeypatch), Realm.EXERCISE, ear.receive, SystemClock(), sources=old, alive=ear.alive.append
    )  # fmt: skip
    running = asyncio.create_task(intake.run())
    async with asyncio.timeout(10):
        await intake.until_connected()
    intake.use(new)
    async with mosquitto.client() as client:
        while not ear.heard:
            await client.publish("new/topic", b"new", qos=1)
            await asyncio.sleep(0.01)
        before = len(ear.heard)
        await client.publish("old/topic", b"old", qos=1)
        await client.publish("new/topic", b"last", qos=1)
        await until(lambda: ear.heard[-1].payload == b"last")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert {inbound.payload for inbound in ear.heard[before:]} <= {b"new", b"last"}


async def test_a_refused_subscription_is_no_connection(free_port: int) -> None:
    """A broker that lets us in and not listen counts as trouble, with the topics that it keeps from us."""

    async def grudging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """MQTT 3.1.1: CONNACK, and a SUBACK that allows the first filter and refuses the second (section 3.9.3)."""
        while head := await reader.read(2):
            body = await reader.read(4096)
            if head[0] >> 4 == 1:
                writer.write(bytes([0x20, 2, 0, 0]))
            elif head[0] >> 4 == 8:
                writer.write(bytes([0x90, 4, body[0], body[1], 1, 0x80]))
        writer.close()

    server = await asyncio.start_server(grudging, "127.0.0.1", free_port)
    settings, ear = MqttSettings(url=f"mqtt://127.0.0.1:{free_port}", protocol="3.1.1"), Ear()
    intake = MqttIntake(settings, Realm.EXERCISE, ear.receive, SystemClock())
    assert intake.trouble == f"no connection to 127.0.0.1:{free_port}"
    running = asyncio.create_task(intake.run())
    try:
        async with asyncio.timeout(10):
            await intake.until_connected()
        assert intake.connected is False
        assert intake.trouble.endswith("refuses the subscription to control-room/exercise/+/heartbeat")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()


async def test_a_stolen_session_is_noticed(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another client takes our name again and again, that is trouble in words, though each connection looks well."""
    ear = Ear()
    intake = MqttIntake(settings_for(mosquitto, monkeypatch), Realm.EXERCISE, ear.receive, SystemClock())
    running = asyncio.create_task(intake.run())
    try:
        async with asyncio.timeout(60):
            while "comes and goes" not in intake.trouble:
                await intake.until_connected()
                async with mosquitto.client(identifier="dispatcher-exercise-node-1"):
                    await asyncio.sleep(0.05)
            await intake.until_connected()
        assert "comes and goes" in intake.trouble
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
