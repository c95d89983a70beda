"""The broker fails in every way it can: no acknowledged event is lost, staff are told, the daemon finds back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import pytest
from acceptance.forks import ForkedDaemon
from acceptance.harness import Receivers, event, one_playbook, publish
from acceptance.relay import relay_to
from integration.broker import Mosquitto
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from dispatcher.intake.embedded import free_port
from dispatcher.plan.pages import Cause
from dispatcher.wall.app import Wall, running_wall

KEEPALIVE = 2
NOTICED = 2 * KEEPALIVE + 2  # seconds; a silent broker is asked after one interval and given up after another
BACK = 5.0 + 3  # seconds; the longest pause between two tries, and what a busy machine takes


@dataclass
class Line:
    """A daemon, its duty team, and the broker whose line is disturbed."""

    world: Receivers
    wall: Wall
    broker: Mosquitto
    folder: Path

    def daemon(self, port: int = 0, *, protocol: str = "5", **more: Any) -> ForkedDaemon:
        """A daemon that is not started yet, on the broker or on what stands before it at ``port``."""
        one_playbook(self.folder)
        link = {"url": f"mqtt://127.0.0.1:{port or self.broker.port}", "keepalive": KEEPALIVE, "page_after": 1}
        duty = {"kind": "ntfy", "realm": "exercise", "audience": "staff", "url": f"{self.wall.url}/ntfy/duty"}
        channels = self.world.channels(2) | {"duty": duty}
        return ForkedDaemon(self.folder, self.broker, channels, free_port(), protocol=protocol, link=link, **more)

    async def all_said(self, daemon: ForkedDaemon, count: int) -> None:
        """Wait until so many events are in the journal, each once, and each reached both channels once."""
        await daemon.until(lambda: daemon.rows("SELECT count(*), count(DISTINCT id) FROM events") == [(count, count)])
        await self.world.until(lambda: len(self.world.arrivals) >= 2 * count)
        reached = [(arrival.data["incident"], arrival.channel) for arrival in self.world.arrivals]
        assert len(reached) == len(set(reached)) == 2 * count

    async def paged(self, words: str, cause: Cause = Cause.BROKER, seconds: float = 30) -> None:
        """Wait until the duty team has been called for that reason, in these words."""
        async with asyncio.timeout(seconds):
            while not any(cause.headline in post["text"] and words in post["text"] for post in self.wall.board.posts()):
                await asyncio.sleep(0.02)


@pytest.fixture
async def line(world, mosquitto, tmp_path) -> AsyncIterator[Line]:
    """A line to this test's broker."""
    async with running_wall() as wall:
        yield Line(world, wall, mosquitto, tmp_path)


async def until_connected(daemon: ForkedDaemon, seconds: float, *, wanted: bool = True) -> float:
    """Wait until readiness says that of the broker; how long it took, in seconds."""
    began = time.monotonic()
    async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{daemon.url}/readyz") as response:
                if (await response.json())["ready"]["broker"] is wanted:
                    return time.monotonic() - began
            await asyncio.sleep(0.02)


def cpu_seconds(daemon: ForkedDaemon) -> float:
    """Processor time of the daemon so far."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_a_broker_that_is_killed_is_found_again(line) -> None:
    """Killed and away until staff are paged: 5 s after it is back the daemon is there, and all events are said once."""
    async with line.daemon() as daemon:
        await publish(line.broker, [event(f"before-{n}") for n in range(5)])
        await line.broker.kill()
        await until_connected(daemon, 2, wanted=False)
        await line.paged("no connection")
        await line.broker.start()
        took = await until_connected(daemon, BACK)
        await publish(line.broker, [event(f"after-{n}") for n in range(5)])
        await line.all_said(daemon, 10)
    print(f"\nconnected {took:.1f} s after it was back")


async def test_a_broker_that_is_frozen_is_noticed(line) -> None:
    """A broker that stops with its connections open is given up after twice the keepalive, paged, and found again."""
    async with line.daemon() as daemon:
        await publish(line.broker, [event("before")])
        await line.all_said(daemon, 1)
        line.broker.freeze()
        noticed = await until_connected(daemon, NOTICED, wanted=False)
        await line.paged("no connection")
        line.broker.thaw()
        took = await until_connected(daemon, 10 + BACK)
        await publish(line.broker, [event(f"after-{n}") for n in range(5)])
        await line.all_said(daemon, 6)
    print(f"\nnoticed after {noticed:.1f} s, connected {took:.1f} s after it went on")


@pytest.mark.parametrize("ways", [
    pytest.param(("out", "in"), id="both", marks=pytest.mark.long), pytest.param(("out",), id="out"),
    pytest.param(("in",), id="in", marks=pytest.mark.long),
])  # fmt: skip
async def test_a_partition_is_noticed_and_survived(ways, line) -> None:
    """Packets of both or one direction vanish: noticed like silence, paged, no busy loop; then all is said once."""
    async with relay_to(line.broker.port) as relay, line.daemon(relay.port) as daemon:
        await publish(line.broker, [event("before")])
        await line.all_said(daemon, 1)
        relay.cut(ways)
        began, worked = time.monotonic(), cpu_seconds(daemon)
        await publish(line.broker, [event(f"meanwhile-{n}") for n in range(5)])
        noticed = await until_connected(daemon, NOTICED, wanted=False)
        await line.paged("no connection")
        share = (cpu_seconds(daemon) - worked) / (time.monotonic() - began)
        relay.mend()
        took = await until_connected(daemon, 10 + BACK)
        await publish(line.broker, [event("after")])
        await line.all_said(daemon, 7)
    assert share <= 0.25
    print(f"\nnoticed after {noticed:.1f} s, {share:.0%} of a processor, connected {took:.1f} s after it was mended")


async def test_a_line_that_comes_and_goes_loses_nothing(line) -> None:
    """Torn six times while events come in: each is said once, and staff hear that the connection comes and goes."""
    async with relay_to(line.broker.port) as relay, line.daemon(relay.port) as daemon:
        for number in range(6):
            await publish(line.broker, [event(f"{number}-{n}") for n in range(3)])
            before = relay.connections
            relay.tear()
            await line.world.until(lambda n=before: relay.connections > n)
            await until_connected(daemon, BACK)
        await line.paged("comes and goes")
        await line.all_said(daemon, 18)


class Grudging:
    """A broker of MQTT 3.1.1 that lets everyone in and nobody listen, until it is told to."""

    def __init__(self, *, resets: bool) -> None:
        """It ``resets`` the connection at SUBSCRIBE, or answers that it refuses (section 3.9.3)."""
        self.resets, self.connections, self.generous = resets, 0, False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        while head := await reader.read(2):
            body = await reader.readexactly(head[1]) if head[1] < 128 else await reader.read(4096)
            kind = head[0] >> 4
            if kind == 1:
                self.connections += 1
                writer.write(bytes([0x20, 2, 0, 0]))
            elif kind == 8 and self.resets and not self.generous:
                break
            elif kind == 8:
                code = 1 if self.generous else 0x80
                writer.write(bytes([0x90, 4, body[0], body[1], code, code]))
            elif kind == 12:
                writer.write(bytes([0xD0, 0]))
        writer.transport.abort()


@pytest.mark.parametrize("resets", [True, False], ids=["reset", "refused"])
async def test_a_subscription_that_is_refused_is_asked_for_again(resets, line) -> None:
    """Staff are paged, the broker is not stormed, and once it allows us to listen we do, by ourselves."""
    broker = Grudging(resets=resets)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    daemon = line.daemon(server.sockets[0].getsockname()[1], protocol="3.1.1")
    await daemon.spawn()
    try:
        await line.paged("refuses the subscription" if not resets else "no connection", seconds=30)
        asked = broker.connections
        broker.generous = True
        took = await until_connected(daemon, BACK)
    finally:
        await daemon.kill()
        server.close()
    assert asked <= 10
    print(f"\n{asked} connections until it was paged; listening {took:.1f} s after it was allowed")


async def test_somebody_with_our_name_is_told_of_and_survived(line) -> None:
    """Another client takes our session again and again: staff hear of it, and when it is gone all events are said once."""
    published, keeping = 0, Properties(PacketTypes.CONNECT)
    keeping.SessionExpiryInterval = 3600
    async with line.daemon() as daemon:
        async with asyncio.timeout(60):
            while not any("comes and goes" in post["text"] for post in line.wall.board.posts()):
                await until_connected(daemon, BACK)
                thief = line.broker.client(
                    identifier="dispatcher-exercise-node-1", clean_start=False, properties=keeping
                )
                thief._client.manual_ack_set(on=True)
                try:
                    async with thief:
                        await until_connected(daemon, BACK, wanted=False)
                        published += 1
                        await publish(line.broker, [event(str(published))])
                except aiomqtt.MqttError:
                    continue
        await until_connected(daemon, BACK)
        await publish(line.broker, [event("after")])
        await line.all_said(daemon, published + 1)


async def test_what_a_broker_drops_is_missed(line, need, tmp_path) -> None:
    """A queue that overflows while the daemon is away is a gap in the source's sequence, and staff hear which."""
    directory = tmp_path / "forgetful"
    extra = "\nmax_queued_messages 5\n"
    async with Mosquitto(need("mosquitto"), need("mosquitto_passwd"), directory, free_port(), extra) as broker:
        line.broker = broker
        daemon = line.daemon(sources={"leitstelle": {"sequence": True}})
        async with daemon:
            await publish(broker, [event("1", sequence=1)])
            await line.all_said(daemon, 1)
            await daemon.until(lambda: daemon.rows("SELECT latest FROM sequences") == [(1,)])
            assert await daemon.end(signal.SIGTERM) == 0
            await publish(broker, [event(str(number), sequence=number) for number in range(2, 61)])
            await daemon.start()
            await publish(broker, [event("61", sequence=61)])
            await line.paged("leitstelle:", Cause.GAP)
            (kept,) = daemon.rows("SELECT count(*) FROM events")[0]
            await line.all_said(daemon, kept)
    assert 2 < kept < 61
