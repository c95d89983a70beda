"""Who was invited, what each has agreed to, and the channel that comes of it. What owners say holds at once.

In memory a pause or a revocation holds before it is on disk, and consent only after it is.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from dispatcher.accounts.groups import BadAnswer, Group, Way
from dispatcher.accounts.opening import WHY, Opened, Opener, seal_of
from dispatcher.channels.base import Channel
from dispatcher.clock import Clock
from dispatcher.journal import accounts as rows
from dispatcher.journal.base import Journal
from dispatcher.links import AccountLinks
from dispatcher.model.account import LONGEST_LINE, Account, Mode, Standing
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import Reason, Result
from dispatcher.model.errors import Conflict, Invalid, JournalError, NotFound
from dispatcher.model.incident import clean
from dispatcher.permits import Fence
from dispatcher.probing import ask
from dispatcher.setup import Setup
from dispatcher.telemetry import logger

log = logger("accounts")

_PSEUDONYM = 6  # bytes
_REFUSED = frozenset({Reason.AUTH, Reason.REJECTED})


@dataclass(frozen=True, slots=True)
class Invitation:
    """Whom to invite: a number, and the regions that they speak for, none for those of the group."""

    officer: str
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Consent:
    """What an owner agrees to: a way, an own line, and what the way asks for."""

    way: str
    line: str
    answers: Mapping[str, str]


class Accounts:
    """All groups' accounts. Use as an async context manager, which lets those speak whose owners have agreed."""

    def __init__(
        self, *, journal: Journal, setup: Setup, fence: Fence, opener: Opener, links: AccountLinks, clock: Clock
    ) -> None:  # fmt: skip
        """``setup`` and ``fence`` are told of every change."""
        self._journal, self._setup, self._fence, self._opener = journal, setup, fence, opener
        self.groups, self.links, self._clock = opener.groups, links, clock
        self._known: dict[ChannelId, Account] = {}
        self._opened: dict[ChannelId, Opened] = {}
        self._one_by_one = asyncio.Lock()  # memory and disk must agree on who speaks

    async def __aenter__(self) -> Self:
        """Take up what the journal knows, before anything leaves."""
        found = await self._journal.read(rows.accounts)
        self._know([one for one in found if one.group in self.groups])
        await self._adopt([one for one in self._known.values() if one.standing is not Standing.INVITED])
        if self._known:
            log.info("accounts", known=len(self._known), enrolled=len(self._opened))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go of every account."""
        for opened in self._opened.values():
            await opened.close()

    def group(self, name: str) -> Group:
        """The group of that name; raises `NotFound`."""
        if name not in self.groups:
            raise NotFound(f"no group of accounts {name}")
        return self.groups[name]

    def of(self, group: str) -> list[Account]:
        """Everybody who was invited into ``group``, by number; raises `NotFound`."""
        name = self.group(group).name
        return sorted((one for one in self._known.values() if one.group == name), key=lambda one: one.officer)

    def owner(self, token: str) -> Account | None:
        """Whose link it is; None where it is none, or not good any more."""
        channel, issue = self.links.read(token) or (ChannelId(""), 0)
        found = self._known.get(channel)
        return found if found is not None and found.issue == issue else None

    def link(self, account: Account) -> str:
        """The address at which its owner decides."""
        return self.links.link(account.channel, account.issue)

    async def invite(
        self, group: str, invitations: Sequence[Invitation], person: str, *, again: bool = False
    ) -> list[Account]:  # fmt: skip
        """Invite, by which nobody speaks; whoever is invited already stays what they are, with the same link.

        ``again`` makes new links, and the old ones worthless. Raises `NotFound`, `Invalid` and `JournalError`.
        """
        wanted = {one.officer: self._regions(self.group(group), one) for one in invitations}
        async with self._one_by_one:
            before = {one.officer: one for one in self.of(group)}
            made = [self._new(group, officer, regions) for officer, regions in wanted.items() if officer not in before]
            if len(before) + len(made) > self.groups[group].most:
                raise Invalid(f"group {group} has room for {self.groups[group].most} accounts", "officers")
            old = [before[officer] for officer in wanted if again and officer in before]
            renewed = [replace(one, issue=one.issue + 1, at=self._clock.now()) for one in old]
            await self._journal.write(partial(rows.invite, invited=made, renewed=renewed, person=person))
            self._know([*made, *renewed])
        now = {one.officer: one for one in self.of(group)}
        return [now[officer] for officer in wanted]

    async def consent(self, account: Account, said: Consent) -> Account:
        """Its owner agrees, and it speaks from the next alert on.

        Raises `Invalid` where something is not as it is asked for, or the account refuses what we were given; `Conflict`
        where its owner has said something else meanwhile; `JournalError`.
        """
        group = self.groups[account.group]
        way = group.ways.get(said.way)
        if way is None:
            raise Invalid("choose one of the ways", "way")
        _check(way, account, said)
        line, sealed = _line(way, said.line), _sealed(group, account, said)
        agreed = replace(account, standing=Standing.ACTIVE, way=way.name, line=line, sealed=sealed)
        return await self._admit(account, agreed, "consented", tried=True)

    async def resume(self, account: Account) -> Account:
        """Its owner lets it speak again; raises `Conflict` where it had not paused, and `JournalError`."""
        if account.standing is not Standing.PAUSED:
            raise Conflict("it has not paused")
        return await self._admit(account, replace(account, standing=Standing.ACTIVE), "resumed")

    async def pause(self, account: Account) -> Account:
        """Nothing starts to leave on it any more, not even what is queued; raises `Conflict` or `JournalError`."""
        if account.standing is not Standing.ACTIVE:
            raise Conflict("it does not speak now")
        return await self._withdraw(account.channel, "paused", standing=Standing.PAUSED)

    async def revoke(self, account: Account) -> Account:
        """The same for good: what its owner gave us is erased. Raises `JournalError`."""
        return await self._withdraw(account.channel, "revoked", standing=Standing.REVOKED, line="", sealed=b"")

    async def _admit(self, before: Account, account: Account, said: str, *, tried: bool = False) -> Account:
        account = replace(account, at=self._clock.now())
        opened = await self._opener.open(account)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(opened.close)
            if tried:
                await _try(opened.enrolled.channel)
            async with self._one_by_one:
                if self._known[account.channel] is not before:
                    raise Conflict("something else was said meanwhile: look again")
                await self._journal.write(partial(rows.change, account=account, said=said))
                undo.pop_all()
                self._know([account])
                await self._take(opened)
                self._fence.readmit(account.channel)
        log.info(said, account=account.channel)
        return account

    async def _withdraw(self, channel: ChannelId, said: str, **changes: object) -> Account:
        async with self._one_by_one:
            before = self._known[channel]
            account = replace(before, at=self._clock.now(), **changes)  # type: ignore[arg-type]
            self._fence.withdraw(channel)
            try:
                await self._journal.write(partial(rows.change, account=account, said=said, why=WHY[account.standing]))
            except JournalError:
                if before.standing is Standing.ACTIVE:
                    self._fence.readmit(channel)
                raise
            self._know([account])
            await self._adopt([account])
        log.info(said, account=channel)
        return account

    async def _adopt(self, accounts: Sequence[Account]) -> None:
        """Take them as they are now; one that does not speak is closed to everything that is under way as well."""
        opened = [await self._opener.open(one) for one in accounts]
        for one in accounts:
            if one.standing is not Standing.ACTIVE:
                self._fence.withdraw(one.channel)
        await self._take(*opened)

    async def _take(self, *opened: Opened) -> None:
        """Put these in the place of what was open before."""
        self._setup.enrol([one.enrolled for one in opened])
        for one in opened:
            channel = one.enrolled.profile.id
            if (old := self._opened.pop(channel, None)) is not None:
                await old.close()
            self._opened[channel] = one
            one.use()

    def _regions(self, group: Group, one: Invitation) -> tuple[str, ...]:
        if unknown := [region for region in one.regions if region not in group.known_regions]:
            raise Invalid(f"{one.officer}: no region {unknown[0]!r}", "regions")
        return tuple(dict.fromkeys(str(group.known_regions[region]) for region in one.regions))

    def _new(self, group: str, officer: str, regions: tuple[str, ...]) -> Account:
        channel = ChannelId(f"{group}-{secrets.token_hex(_PSEUDONYM)}")
        return Account(
            channel=channel, group=group, officer=officer, standing=Standing.INVITED, at=self._clock.now(),
            regions=regions,
        )  # fmt: skip

    def _know(self, accounts: Sequence[Account]) -> None:
        self._known.update({one.channel: one for one in accounts})


async def _try(channel: Channel) -> None:
    """Raises `Invalid` where the account itself says that nobody can speak on it like this."""
    outcome = await ask(channel)
    if outcome is not None and outcome.result is Result.PERMANENT and outcome.reason in _REFUSED:
        raise Invalid("the account does not accept what we were given")


def _check(way: Way, account: Account, said: Consent) -> None:
    try:
        way.settings(said.answers, account.channel)
    except BadAnswer as error:
        raise Invalid(str(error), error.name) from None


def _sealed(group: Group, account: Account, said: Consent) -> bytes:
    try:
        return seal_of(group).close(said.answers, account.channel)
    except (OSError, KeyError, ValueError):
        log.error("accounts_without_key", group=group.name)  # noqa: TRY400 - no trace: secrets
        raise Conflict("nothing can be kept safely at the moment: try again later") from None


def _line(way: Way, given: str) -> str:
    """An own line, tidy; raises `Invalid` where it is too long."""
    if way.mode is Mode.SHARE:
        return ""
    line = clean(given, LONGEST_LINE)
    if not line and given.strip():
        raise Invalid(f"your line may have {LONGEST_LINE} characters", "line")
    return line
