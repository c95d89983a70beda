"""A reload takes renewed secrets, and takes no channel away that works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from contract.kit import kit_of, post
from contract.provider import Provider, in_turn, provider, says

from dispatcher.channels.base import Channel
from dispatcher.channels.http import http_client
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.reload import Connector, Reloader
from dispatcher.settings import load
from dispatcher.setup import Setup

GOOD = says(200, kit_of("mastodon").good)


@dataclass
class Room:
    """A daemon's setup with one channel, before its provider."""

    reloader: Reloader
    secret: Path
    heard: Provider

    @property
    def channel(self) -> Channel:
        """The channel as it is connected now."""
        return self.reloader.setup.channels[ChannelId("page")]

    async def posts_as(self) -> str:
        """The token that a post carries."""
        outcome = await self.channel.send(post())
        assert isinstance(outcome, Outcome)
        assert outcome.result is Result.ACCEPTED
        [line] = [line for line in self.heard.requests[-1].decode().split("\r\n") if line.startswith("Authorization")]
        return line.removeprefix("Authorization: Bearer ")


@asynccontextmanager
async def room(folder: Path, token: str = "") -> AsyncIterator[Room]:
    """A room whose channel has ``token``, or a secret that is not there."""
    secret, main = folder / "token", folder / "dispatcher.yaml"
    if token:
        secret.write_text(token)
    async with AsyncExitStack() as stack:
        heard = await stack.enter_async_context(provider(in_turn(GOOD, GOOD)))
        page = f"{{kind: mastodon, base_url: {heard.url!r}, credential: {{token_file: token}}}}"
        main.write_text(f"realm: live\nsender: {{name: Stadt Leer}}\nchannels:\n  page: {page}\n")
        connector = Connector(stack, await stack.enter_async_context(http_client()))
        loaded = load(main)
        setup = Setup(loaded.deployment, await connector.connect(loaded.channels))
        yield Room(Reloader(main, loaded, setup, connector, lambda _loaded: None), secret, heard)


async def test_a_reload_takes_a_secret_that_was_renewed_in_its_file(tmp_path: Path) -> None:
    """After a reload posts carry what the file says now, though no other line has changed."""
    async with room(tmp_path, "old") as here:
        assert await here.posts_as() == "old"
        here.secret.write_text("new")
        await here.reloader.reload()
        assert await here.posts_as() == "new"


async def test_a_reload_takes_a_secret_that_was_missing(tmp_path: Path) -> None:
    """A channel without a secret speaks after the reload that finds one."""
    async with room(tmp_path) as here:
        outcome = await here.channel.send(post())
        assert isinstance(outcome, Outcome)
        assert outcome.reason is Reason.AUTH
        here.secret.write_text("first")
        await here.reloader.reload()
        assert await here.posts_as() == "first"


async def test_a_reload_takes_no_working_channel_away(tmp_path: Path) -> None:
    """A channel whose secret is the same, or cannot be read at that moment, stays as it is connected."""
    async with room(tmp_path, "old") as here:
        before = here.channel
        await here.reloader.reload()
        assert here.channel is before
        here.secret.unlink()
        await here.reloader.reload()
        assert here.channel is before
        assert await here.posts_as() == "old"
