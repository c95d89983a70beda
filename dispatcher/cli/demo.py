"""``dispatcher demo``: everything together on one machine, telling a story from incident to correction."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from dispatcher.app import Service, build, raise_descriptor_limit
from dispatcher.cli.emit import Sending, publish
from dispatcher.cli.run import run_loop
from dispatcher.console.auth import ConsoleSettings
from dispatcher.intake.embedded import EmbeddedBroker, embedded_broker
from dispatcher.intake.mqtt import MqttSettings
from dispatcher.journal import queries
from dispatcher.journal.base import JournalSettings
from dispatcher.model.delivery import WENT_OUT, Delivery, DeliveryState, IncidentId
from dispatcher.settings import Loaded, load, shipped_demo
from dispatcher.telemetry import configure_logs
from dispatcher.wall.app import Wall, running_wall
from dispatcher.wall.faults import Fault, FaultKind

out = Console()

SOURCE = "leitstelle"
LONGEST = 60.0
_WORDS = {
    DeliveryState.ACCEPTED: "[green]✓ accepted[/]",
    DeliveryState.VISIBLE: "[green]✓ visible[/]",
    DeliveryState.SENDING: "[cyan]→ sending[/]",
    DeliveryState.QUEUED: "[yellow]… queued[/]",
    DeliveryState.IN_DOUBT: "[yellow]? in doubt[/]",
    DeliveryState.FAILED: "[red]✗ failed[/]",
    DeliveryState.RETRACTED: "[green]↶ corrected[/]",
}


@dataclass(slots=True)
class Chapter:
    """One message of the story, and when it was published."""

    title: str
    incident: IncidentId
    published_at: datetime
    alert: str = ""


@dataclass(slots=True)
class Stage:
    """What the story plays on."""

    service: Service
    wall: Wall
    broker: MqttSettings
    token: str
    pause: float
    chapters: list[Chapter] = field(default_factory=list)


def demo(*, once: bool, port: int | None) -> None:
    """Play the story; with ``once`` exit 0 when every delivery has ended well, 1 otherwise; else stay until Ctrl-C."""
    configure_logs(level="error")
    raise_descriptor_limit()
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(run_loop(_play(once=once, port=port)))


async def _play(*, once: bool, port: int | None) -> int:
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with _stage(once=once, port=port) as (stage, broker):
        _welcome(stage, broker)
        await _story(stage)
        good = await _summary(stage)
        if once:
            return 0 if good else 1
        out.print("\nThe demo stays up. [bold]Ctrl-C[/] ends it.")
        await asyncio.Event().wait()
    return 0


@asynccontextmanager
async def _stage(*, once: bool, port: int | None) -> AsyncIterator[tuple[Stage, EmbeddedBroker]]:
    """Broker, wall, journal and daemon, in a temporary folder."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dispatcher-demo-")))
        broker = await stack.enter_async_context(embedded_broker())
        titles = wall_titles(load(shipped_demo()))
        wall = await stack.enter_async_context(running_wall(port=free_port(8081, room=3), titles=titles))
        settings = MqttSettings(url=broker.url, protocol=broker.protocol, node="demo")
        loaded = replace(
            load(shipped_demo(), wall=wall.url), broker=settings, journal=JournalSettings(path=folder / "journal.sqlite"),
            console=ConsoleSettings(port=free_port(8080) if port is None else port),
        )  # fmt: skip
        service = await stack.enter_async_context(build(loaded))
        token = secrets.token_urlsafe(32)
        service.tokens.add(token, role="supervisor", person="demo")
        if service.intake is not None:
            await service.intake.until_connected()
        yield Stage(service, wall, settings, token, pause=0.5 if once else 10.0), broker


def wall_titles(loaded: Loaded) -> dict[str, str]:
    """The wall's accounts by the public names of their channels; what a person posts to has none."""
    accounts = {channel: settings.wall_account() for channel, (_, settings) in loaded.channels.items()}
    titles = {profile.id: profile.title for profile in loaded.deployment.every_channel()}
    return {account: titles[channel] for channel, account in accounts.items() if account}


def free_port(wanted: int, *, room: int = 1) -> int:
    """``wanted`` where it and as many after it as there is ``room`` for are free, else any."""
    for port in range(wanted, wanted + room):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return 0
    return wanted


def _welcome(stage: Stage, broker: EmbeddedBroker) -> None:
    url, ticket = stage.service.url, stage.service.tickets.issue("demo", "supervisor")
    out.print(Panel("EXERCISE · nothing leaves this machine", title="dispatcher demo", expand=False))
    for line in (
        f"console  {url}/login?ticket={ticket}   (works once)",
        f"wall     {stage.wall.url}/   (what the public would see)",
        f"broker   {broker.url}   ({broker.name}, MQTT {broker.protocol})",
        f"curl     curl -H 'Authorization: Bearer {stage.token}' {url}/api/v1/incidents",
    ):
        out.print(line, soft_wrap=True, highlight=False)
    if broker.warning:
        out.print(f"[bold yellow]{broker.warning}[/]")


def _event(incident: str, kind: str, place: str, regions: Sequence[str], **more: Any) -> bytes:
    event = {
        "v": 1, "id": f"{incident}-1", "source": SOURCE, "incident": incident, "msg_type": "alert",
        "status": "exercise", "kind": kind, "sent": datetime.now(UTC).isoformat(), "place": place,
        "area": {"regions": list(regions)}, "severity": "extreme", **more,
    }  # fmt: skip
    return json.dumps(event, ensure_ascii=False).encode()


async def _story(stage: Stage) -> None:
    """An amok drill in one inspection; a bomb threat over two, one channel failing; the first was false."""
    amok, bomb = IncidentId("amok-leer"), IncidentId("bombendrohung")
    await _emit(stage, "Amok alarm at a school in Leer", amok,
                _event(amok, "amok", "Schulzentrum in Leer", ["03457"]))  # fmt: skip
    await asyncio.sleep(stage.pause)
    page = next(s for c, (_, s) in stage.service.loaded.channels.items() if c == "facebook-osnabrueck")
    stage.wall.faults.set(page.model_dump()["page_id"], Fault(kind=FaultKind.STATUS, status=503, seconds=3))
    await _emit(stage, "Bomb threat over two inspections; one page answers 503 for 3 s", bomb,
                _event(bomb, "bomb_threat", "Hauptbahnhof Osnabrück und Bahnhof Lingen", ["03404", "03454"]))  # fmt: skip
    await asyncio.sleep(stage.pause)
    await _correct(stage, "The alarm in Leer was false: a person corrects it everywhere", amok)


async def _emit(stage: Stage, title: str, incident: IncidentId, event: bytes) -> None:
    out.rule(f"[bold]{title}")
    chapter = Chapter(title, incident, datetime.now(UTC))
    stage.chapters.append(chapter)
    receipt = await publish(stage.broker, stage.service.loaded.deployment.realm, event, 10, Sending(source=SOURCE))
    took = (datetime.now(UTC) - chapter.published_at) / timedelta(milliseconds=1)
    out.print(f"receipt: {receipt['state']} as number {receipt['journal']}, {took:.0f} ms after the publish")
    await _watch(stage, chapter)


async def _correct(stage: Stage, title: str, incident: IncidentId) -> None:
    out.rule(f"[bold]{title}")
    chapter = Chapter(title, incident, datetime.now(UTC))
    stage.chapters.append(chapter)
    headers = {"Authorization": f"Bearer {stage.token}"}
    url = f"{stage.service.url}/api/v1/incidents/{incident}/false-alarm"
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json={}) as response:
        response.raise_for_status()
    await _watch(stage, chapter)


async def _watch(stage: Stage, chapter: Chapter) -> None:
    """Show the deliveries of the chapter's alert live until all of its incident have ended, or wait for a person."""
    journal = stage.service.journal
    records = await journal.read(partial(queries.alert_records, incident=chapter.incident))
    chapter.alert = next(record.alert.id for record in records if record.alert.purpose.spoken)
    planned = sum(len(record.alert.plan) for record in records)
    with Live(console=out, refresh_per_second=10) as live:
        async with asyncio.timeout(LONGEST):
            while True:
                found = await journal.read(partial(queries.deliveries, incident=chapter.incident))
                live.update(_live_table(stage, [d for d in found if d.alert == chapter.alert]))
                if len(found) == planned and all(d.state.ended or d.state is DeliveryState.BY_HAND for d in found):
                    return
                await asyncio.sleep(0.1)


def _live_table(stage: Stage, found: Sequence[Delivery]) -> Table:
    profiles = stage.service.loaded.deployment.channels
    table = Table(box=None, pad_edge=False)
    for name in ("state", "channel", "public name", "attempts"):
        table.add_column(name, no_wrap=True)
    for d in sorted(found, key=lambda d: d.channel):
        state = _WORDS.get(d.state, str(d.state))
        table.add_row(state, d.channel, profiles[d.channel].title, str(d.attempts))
    called = {d.channel for d in found}
    rest = [channel for channel in profiles if channel not in called]
    table.caption = f"untouched: {', '.join(rest)}"
    return table


async def _summary(stage: Stage) -> bool:
    """One table of every delivery; whether all went out."""
    table = Table(title="from publish to the provider's answer")
    for name in ("incident", "channel", "state", "attempts", "ms"):
        table.add_column(name, justify="right" if name in ("attempts", "ms") else "left", no_wrap=True)
    good = True
    for chapter in stage.chapters:
        for d, answered_at in await _answers(stage, chapter):
            good = good and d.state in WENT_OUT
            took = (answered_at - chapter.published_at) / timedelta(milliseconds=1) if answered_at else float("nan")
            table.add_row(chapter.incident, d.channel, d.state, str(d.attempts), f"{took:.0f}")
        table.add_section()
    out.print(table)
    return good


async def _answers(stage: Stage, chapter: Chapter) -> list[tuple[Delivery, datetime | None]]:
    journal = stage.service.journal
    found = await journal.read(partial(queries.deliveries, incident=chapter.incident))
    mine = sorted((d for d in found if d.alert == chapter.alert), key=lambda d: d.channel)
    tries = [await journal.read(partial(queries.attempts, wanted=d.id)) for d in mine]
    return [(d, attempts[-1]["ended_at"] if attempts else None) for d, attempts in zip(mine, tries, strict=True)]
