"""No secret comes to light, whatever a provider does with it: not in logs, errors, journal, metrics, nor on any page."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from contract.checks import NoNames, scene_of
from contract.kit import kind_of, kit_of, names_of
from contract.provider import Provider
from integration.canaries import Meeting, meetings, traces
from integration.console_kit import DUTY, Room, control_room

from dispatcher.channels.base import Channel, kinds, load_kind
from dispatcher.channels.http import http_client
from dispatcher.journal import queries
from dispatcher.launch import Outgoing
from dispatcher.model.cap import Region, RegionId
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import Delivery, DeliveryState, IncidentId, Reason
from dispatcher.probing import ask
from dispatcher.telemetry import configure_logs

CALLING = [name for kind in kinds() for name in names_of(kind) if kit_of(name).calls]
WAVES = [RegionId(f"wave-{number}") for number in range(8)]
PAGES = ("/", "/metrics", "/api/v1/snapshot", "/api/v1/channels", "/api/v1/letters", "/api/v1/tasks", "/api/v1/alerts")
SIGNING = {"webhook", "web_push"}  # their secret never leaves
ELSEWHERE = {"email", "mqtt"}  # theirs is no part of what is kept of a conversation
AROUND = 80  # characters shown of what was found


def wave_of(number: int, meeting: Meeting) -> RegionId:
    """When a meeting takes place; those that may wait for nothing wait together, mail and orders apart from the crowd."""
    if meeting.kit.speaks == "bridge":
        return WAVES[1 + number % (len(WAVES) - 1)]
    apart = {"smtp": WAVES[-1], "mqtt": WAVES[-2]}
    return apart.get(meeting.kit.speaks) or WAVES[0 if meeting.case.total < 1 else number % len(WAVES)]


@asynccontextmanager
async def all_met(room: Room, secrets: Path) -> AsyncIterator[dict[str, list[Provider]]]:
    """Every kind before every provider, as channels of the room; what each kind's providers were sent, by its name."""
    setup, scenes, channels = room.context.setup, dict[str, list[Provider]](), dict[ChannelId, Channel]()
    profiles = {DUTY: setup.deployment.channels[DUTY]}
    async with AsyncExitStack() as stack:
        clients = {
            world: await stack.enter_async_context(http_client(total=total, resolver=resolver))
            for world, total, resolver in (("", 5, None), ("dns", 5, NoNames()), ("short", 2, None))
        }
        for number, meeting in enumerate(meetings(CALLING)):
            case = meeting.case
            scene = await stack.enter_async_context(scene_of(meeting.kit, case, meeting.step))
            settings = meeting.settings(
                f"http://{meeting.channel}.invalid" if case.world == "dns" else scene.url, secrets
            )
            http = clients["dns" if case.world == "dns" else "short" if case.total < 1 else ""]
            connecting = load_kind(kind_of(meeting.name)).connect(settings, http)
            channels[meeting.channel] = await stack.enter_async_context(connecting)
            profiles[meeting.channel] = meeting.profile(settings, wave_of(number, meeting))
            scenes.setdefault(meeting.name, []).append(scene)
        regions = tuple(Region(wave, wave) for wave in WAVES)
        setup.replace(replace(setup.deployment, channels=profiles, regions=regions), channels)
        yield scenes


async def spoken(room: Room, wave: RegionId) -> list[Delivery]:
    """An alert in that region, delivered once on each of its channels."""
    [alert] = (await room.trigger(regions=[wave]))["alerts"]
    [record] = await room.journal.read(partial(queries.alert_records, incident=IncidentId(alert["incident"])))
    await room.context.pipeline.launch.rows_written(record.alert.id)
    read = partial(queries.deliveries, alert=record.alert.id, limit=10_000)
    first = await room.journal.read(read)
    assert {one.state for one in first} == {DeliveryState.SENDING}
    await asyncio.gather(*(room.context.pipeline.deliver(Outgoing(one, record.alert)) for one in first))
    return await room.journal.read(read)


async def shown(room: Room, found: Iterable[Delivery]) -> list[str]:
    """What the console says of some of these deliveries, and what becomes of probing their channels."""
    pages = [await (await room.ask("GET", f"/api/v1/deliveries/{one.id}")).text() for one in [*found][::20]]
    probed = await asyncio.gather(*(ask(room.context.setup.channels[one.channel]) for one in found))
    return [*pages, *map(repr, probed)]


def journal_of(folder: Path) -> bytes:
    """All bytes on the disk, and every row whole: a long text may lie on two pages."""
    raw = b"".join(file.read_bytes() for file in sorted(folder.glob("journal.sqlite*")))
    connection = sqlite3.connect(f"file:{folder}/journal.sqlite?mode=ro", uri=True)
    try:
        return raw + "\n".join(connection.iterdump()).encode()
    finally:
        connection.close()


def found_in(where: str, content: bytes) -> list[str]:
    """Every trace of a secret in there, with what stands around it."""
    hits = ((trace, content.find(trace)) for trace in traces())
    return [f"{where}: {trace!r} in {content[max(0, at - AROUND) : at + AROUND]!r}" for trace, at in hits if at >= 0]


async def test_no_failure_brings_a_secret_to_light(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every kind before every provider that fails, or repeats what it was sent: 0 traces of any secret anywhere."""
    for name in ("secrets", "room"):
        (tmp_path / name).mkdir()
    told = list[str]()
    async with control_room(tmp_path / "room", working=False) as room, all_met(room, tmp_path / "secrets") as scenes:
        for number, wave in enumerate(WAVES):
            configure_logs(level="debug", json=number % 2 == 0)
            told += await shown(room, await spoken(room, wave))
        told += [await (await room.ask("GET", page)).text() for page in PAGES]
        attempts = await room.journal.read(
            lambda c: c.exec_driver_sql("SELECT delivery, reason, detail FROM attempts").all()
        )
        journal = journal_of(tmp_path / "room")

    assert found_in("log", "".join(capfd.readouterr()).encode()) == []
    assert found_in("page", "\n".join(told).encode()) == []
    assert found_in("journal", journal) == []
    assert len(attempts) == len(meetings(CALLING))
    assert [detail for _, reason, detail in attempts if reason == Reason.INTERNAL] == []  # no answer met a bug instead
    masked = [delivery.partition(":")[2] for delivery, _, detail in attempts if "***" in detail]
    assert len(masked) > len(CALLING)  # there was something to be found
    assert {name for name in ELSEWHERE if any(channel.startswith(name) for channel in masked)} == ELSEWHERE
    assert {name for name in scenes if not _told(scenes[name])} == SIGNING | ELSEWHERE


def _told(scenes: Iterable[Provider]) -> bool:
    """Whether providers were sent anything that could have been found."""
    requests = [request for scene in scenes for request in scene.requests]
    return any(trace in request for request in requests for trace in traces())
