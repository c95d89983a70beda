"""From an account as the journal keeps it to a channel that speaks, or that says why it does not."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from dispatcher.accounts.groups import TOKEN, Group
from dispatcher.accounts.seal import Seal
from dispatcher.accounts.voice import Personal, Silent
from dispatcher.channels.base import Channel, ChannelSettings, Unready, load_kind
from dispatcher.channels.http import Outbound
from dispatcher.model.account import Account, Mode, Standing
from dispatcher.setup import Enrolled
from dispatcher.telemetry import forget_secret, keep_secret, logger

log = logger("accounts")

WHY = {
    Standing.INVITED: "its owner has not agreed to anything", Standing.PAUSED: "its owner has paused",
    Standing.REVOKED: "its owner has revoked their consent",
}  # fmt: skip


@dataclass(slots=True)
class Opened:
    """An account as a channel, for as long as it is not closed."""

    enrolled: Enrolled
    secret: str
    stack: AsyncExitStack

    def use(self) -> None:
        """No log line names its secret from now on, whatever was forgotten meanwhile."""
        keep_secret(self.secret)

    async def close(self) -> None:
        """Let go of it, and of its secret."""
        forget_secret(self.secret)
        await self.stack.aclose()


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens accounts of ``groups``."""

    groups: Mapping[str, Group]
    http: Outbound

    async def open(self, account: Account) -> Opened:
        """One account; whatever is wrong with it is said by its channel, and nothing is raised."""
        group, speaks, stack = self.groups[account.group], account.standing is Standing.ACTIVE, AsyncExitStack()
        try:
            settings = _settings(group, account)
            channel = await self._connected(account, settings, stack) if speaks else Silent(WHY[account.standing])
        except (OSError, KeyError, ValueError) as error:
            why = str(error) if isinstance(error, ValueError) else "the key of its group cannot be read"
            log.error("account_left_out", account=account.channel, error=why)  # noqa: TRY400 - no trace: secrets
            settings, channel = None, Unready(why)
        own = settings is not None and TOKEN in group.ways[account.way].asks
        secret = settings.token() if settings and speaks and own else ""
        return Opened(Enrolled(group.profile(account, settings), channel, speaks), secret, stack)

    async def _connected(self, account: Account, settings: ChannelSettings | None, stack: AsyncExitStack) -> Channel:
        group = self.groups[account.group]
        if settings is None:
            raise ValueError("its way is not configured any more")
        way = group.ways[account.way]
        kind = load_kind(way.kind)
        channel = await stack.enter_async_context(kind.connect(settings, self.http))
        line = group.share_line if way.mode is Mode.SHARE else account.line
        return Personal(channel, line, kind.traits(settings).limit)


def seal_of(group: Group) -> Seal:
    """What encrypts a group's secrets; raises `OSError`, `KeyError` or `ValueError` where there is no key to read."""
    return Seal(group.key.reveal())


def _settings(group: Group, account: Account) -> ChannelSettings | None:
    """What its owner gave us, ready to use; None where that is nothing, or is not asked for any more."""
    way = group.ways.get(account.way)
    if not account.sealed or way is None:
        return None
    return way.settings(seal_of(group).open(account.sealed, account.channel), account.channel)
