"""``dispatcher drill``: the live files as an exercise. Same playbooks, regions and channels, all on the wall; no live secret."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from dispatcher.app import Service, build, raise_descriptor_limit
from dispatcher.cli.demo import free_port, wall_titles
from dispatcher.cli.operate import Daemon
from dispatcher.cli.run import run_loop
from dispatcher.console.auth import ConsoleSettings
from dispatcher.intake.embedded import embedded_broker
from dispatcher.intake.mqtt import MqttSettings
from dispatcher.journal import queries
from dispatcher.journal.base import JournalSettings
from dispatcher.model.delivery import DeliveryState
from dispatcher.settings import load
from dispatcher.telemetry import configure_logs
from dispatcher.wall.app import running_wall

out = Console()

_WAITING = {DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.IN_DOUBT}
_LONGEST = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """What is drilled at once: a playbook, where it is said to be; with ``once`` the drill ends when all is out."""

    playbook: str = ""
    place: str = "Übungsplatz"
    regions: tuple[str, ...] = ()
    once: bool = False


def drill(config: Path, exercise: Exercise, port: int | None) -> int:
    """Run the exercise until Ctrl-C, or once; 1 where something did not go out."""
    configure_logs(level="warning")
    raise_descriptor_limit()
    return run_loop(_drill(config, exercise, port))


async def _drill(config: Path, exercise: Exercise, port: int | None) -> int:
    async with drilling(config, port) as (service, wall, token):
        out.print(f"ÜBUNG – EXERCISE of {config}\nwall {wall}\nconsole {service.url}/login?ticket={_ticket(service)}\n")
        good = True
        if exercise.playbook:
            good = await _spoken(service, exercise, token)
        if exercise.once:
            return 0 if good else 1
        out.print("The drill stays up. Ctrl-C ends it.")
        await asyncio.Event().wait()
    return 0


@asynccontextmanager
async def drilling(config: Path, port: int | None = None) -> AsyncIterator[tuple[Service, str, str]]:
    """The exercise daemon of the live files, the address of its wall, and a supervisor's token."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dispatcher-drill-")))
        (folder / "secrets").mkdir()
        broker = await stack.enter_async_context(embedded_broker())
        titles = wall_titles(load(config, drill=folder / "secrets"))
        wall = await stack.enter_async_context(running_wall(port=free_port(8081, room=3), titles=titles))
        loaded = replace(
            load(config, wall=wall.url, drill=folder / "secrets"),
            broker=MqttSettings(url=broker.url, protocol=broker.protocol, node="drill"),
            journal=JournalSettings(path=folder / "journal.sqlite"),
            console=ConsoleSettings(port=free_port(8080) if port is None else port),
        )  # fmt: skip
        service = await stack.enter_async_context(build(loaded))
        token = secrets.token_urlsafe(32)
        service.tokens.add(token, role="supervisor", person="drill")
        yield service, wall.url, token


async def _spoken(service: Service, exercise: Exercise, token: str) -> bool:
    """Trigger the playbook, release what it holds, wait until it is out; whether all of it is."""
    ask = Daemon(service.url, token).answer
    regions = list(exercise.regions) or [region.id for region in service.loaded.deployment.regions]
    body = {"place": exercise.place, "regions": regions}
    [alert] = (await ask("POST", f"playbooks/{exercise.playbook}/trigger", body))["alerts"]
    if alert["state"] == "held":
        release = {"digest": alert["digest"], "break_glass": "system_failure"}
        await ask("POST", f"alerts/{alert['id']}/release", release)
    async with asyncio.timeout(_LONGEST):
        while True:
            found = await service.journal.read(partial(queries.deliveries, alert=alert["id"], limit=10_000))
            if len(found) == alert["channels"] and not any(d.state in _WAITING for d in found):
                break
            await asyncio.sleep(0.1)
    for delivery in sorted(found, key=lambda d: d.channel):
        out.print(f"{delivery.state:10} {delivery.channel}")
    return all(d.state in (DeliveryState.ACCEPTED, DeliveryState.VISIBLE, DeliveryState.BY_HAND) for d in found)


def _ticket(service: Service) -> str:
    return service.tickets.issue("drill", "supervisor")
