"""``dispatcher doctor``: asks every channel of the files, without posting and without a daemon, whether it could post."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dispatcher.channels.base import Channel
from dispatcher.channels.http import http_client
from dispatcher.cli.run import run_loop
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.readiness import Condition, Readiness
from dispatcher.plan.readiness import judge, remedy
from dispatcher.probing import ask
from dispatcher.reload import Connector
from dispatcher.settings import Loaded, load
from dispatcher.telemetry import configure_logs

_AT_ONCE = 16
_COLOURS = {Readiness.READY: "green", Readiness.DEGRADED: "yellow", Readiness.DOWN: "red", Readiness.UNKNOWN: "dim"}


def doctor(config: Path) -> int:
    """Print one line for each channel; 1 where one is down, degraded or left out of the files as broken, else 0.

    What cannot be asked without posting is unknown, and nothing to fail for. Raises `ConfigurationError` where nothing
    could be loaded at all.
    """
    configure_logs(level="critical")
    loaded = load(config)
    for problem in loaded.problems:
        typer.echo(f"error: {problem}")
    found = run_loop(_survey(loaded))
    Console().print(board(found))
    poor = [condition.channel for condition in found if condition.poor]
    typer.echo(f"channels {len(found)}, not ready {len(poor)}{': ' if poor else ''}{', '.join(poor)}")
    return 1 if poor or loaded.problems else 0


async def _survey(loaded: Loaded) -> Sequence[Condition]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(http_client(loaded.http_client))
        channels = await Connector(stack, http).connect(loaded.channels)
        return await survey(channels, loaded.deployment.channels)


async def survey(
    channels: Mapping[ChannelId, Channel], profiles: Mapping[ChannelId, ChannelProfile]
) -> Sequence[Condition]:
    """Every channel asked once, some at a time."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(name: ChannelId) -> Condition:
        """What its probe says."""
        async with room:
            outcome = await ask(channels[name])
        return judge(Condition(channel=name), outcome, profiles[name], datetime.now(UTC))

    return await asyncio.gather(*(one(name) for name in profiles))


def board(conditions: Sequence[Condition]) -> Table:
    """A row for each channel: its state, why, until when its credential is good, and what to do."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for title in ("channel", "state", "why", "valid until", "left", "remedy"):
        table.add_column(title, overflow="fold")
    for one in conditions:
        why = ": ".join(filter(None, (one.reason, one.detail)))
        until = f"{one.valid_until:%Y-%m-%d}" if one.valid_until else ""
        left = "" if one.left is None else str(one.left)
        state = f"[{_COLOURS[one.state]}]{one.state}[/]"
        table.add_row(one.channel, state, escape(why), until, left, remedy(one))
    return table
