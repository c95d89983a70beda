"""Connecting channels, at the start and when the files are read again: a broken set never takes the place of a good one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from dispatcher.channels.base import Channel, ChannelSettings, Unready, load_kind
from dispatcher.channels.http import Outbound
from dispatcher.journal.base import Journal
from dispatcher.journal.keeping import last_good
from dispatcher.model.channel import ChannelId
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.settings import Loaded, load
from dispatcher.settings.sources import absolute
from dispatcher.setup import Setup
from dispatcher.telemetry import logger

log = logger("reload")

_FIXED = ("realm", "broker", "journal", "console", "public", "cards", "heartbeat", "http_client", "accounts")


@dataclass(slots=True)
class Connector:
    """Connects channels for as long as the daemon lives; a reload connects what is new or has changed, its secret included."""

    stack: AsyncExitStack
    http: Outbound
    _secrets: dict[ChannelId, bytes | None] = field(default_factory=dict)  # SHA-256 of what each was connected with

    async def connect(self, settings: Mapping[ChannelId, tuple[str, ChannelSettings]]) -> dict[ChannelId, Channel]:
        """Every channel; one whose secret cannot be read answers so instead of stopping the daemon."""
        return {channel: await self._one(channel, *one) for channel, one in settings.items()}

    async def _one(self, channel: ChannelId, kind: str, settings: ChannelSettings) -> Channel:
        self._secrets[channel] = _digest(settings)
        try:
            return await self.stack.enter_async_context(load_kind(kind).connect(settings, self.http))
        except (OSError, KeyError, ValueError) as error:
            log.error("channel_left_out", channel=channel, error=type(error).__name__)  # noqa: TRY400 - no trace: secrets
            return Unready("its secret cannot be read")

    def renewed(self, channel: ChannelId, settings: ChannelSettings) -> bool:
        """Whether the secret is another one by now; one that cannot be read any more takes no working channel away."""
        digest = _digest(settings)
        return digest is not None and digest != self._secrets.get(channel)


@dataclass(slots=True)
class Reloader:
    """Reads the files again and lets the running daemon go on with what they say now."""

    path: Path
    loaded: Loaded
    setup: Setup
    connector: Connector
    changed: Callable[[Loaded], None]
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def reload(self) -> tuple[Problem, ...]:
        """What is wrong: nothing where the whole set runs now. Raises `ConfigurationError` where the old one stays.

        Files are read on a thread: rendering all texts takes longer than the event loop may stand still.
        """
        async with self._one_at_a_time:
            return await self._replace(await asyncio.to_thread(load, self.path))

    async def _replace(self, new: Loaded) -> tuple[Problem, ...]:
        old = self.loaded
        if fixed := [name for name in _FIXED if _of(new, name) != _of(old, name)]:
            message = f"{', '.join(fixed)} cannot change while the daemon runs"
            raise ConfigurationError([Problem(str(self.path), None, fixed[0], message, "restart it")])
        fresh = {
            channel: one
            for channel, one in new.channels.items()
            if old.channels.get(channel) != one or self.connector.renewed(channel, one[1])
        }
        connected = await self.connector.connect(fresh)
        known = {channel: self.setup.channels[channel] for channel in new.channels if channel not in fresh}
        self.setup.replace(new.deployment, {**known, **connected})
        self.loaded = new
        self.changed(new)
        log.info("reloaded", channels=len(new.channels), connected=len(fresh), problems=len(new.problems))
        return problems_of(new)


async def set_up(loaded: Loaded, path: Path | None, journal: Journal, connector: Connector) -> Setup:
    """What the daemon starts with. Where a part was left out, the last good set's stays known for what it began."""
    channels = await connector.connect(loaded.channels)
    kept = await journal.read(partial(last_good, main=absolute(path))) if path and loaded.problems else None
    if path is None or kept is None:
        return Setup(loaded.deployment, channels)
    try:
        before = load(path, kept=kept)
    except ConfigurationError as error:  # kept by another version of this program
        log.warning("last_good_unreadable", error=str(error))
        return Setup(loaded.deployment, channels)
    gone = {channel: one for channel, one in before.channels.items() if channel not in loaded.channels}
    profiles = {profile.id: profile for profile in before.deployment.every_channel() if profile.id in gone}
    began = replace(before.deployment, channels=profiles, past_channels={})
    setup = Setup(began, await connector.connect(gone))
    setup.replace(loaded.deployment, channels)
    return setup


def _digest(settings: ChannelSettings) -> bytes | None:
    """To tell one secret from another without keeping it; None where there is none to read."""
    try:
        return hashlib.sha256(settings.token().encode()).digest()
    except (OSError, KeyError, ValueError):
        return None


def _of(loaded: Loaded, name: str) -> object:
    return loaded.deployment.realm if name == "realm" else getattr(loaded, name)


def problems_of(loaded: Loaded) -> tuple[Problem, ...]:
    """Everything that keeps a part of this configuration from working."""
    return (*loaded.broken, *loaded.problems, *loaded.secrets)


def lines(problems: Sequence[Problem]) -> tuple[str, ...]:
    """Problems as a page tells them, the first of many."""
    return tuple(str(problem) for problem in problems[:20])
