"""What the HTTP interface is handed: the road, the journal, and whom it may believe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import web

from dispatcher.accounts.book import Accounts
from dispatcher.clock import Clock
from dispatcher.console.auth import ConsoleSettings, Throttle, Tickets, Tokens
from dispatcher.journal.base import Journal
from dispatcher.links import SignedLinks
from dispatcher.model.channel import ChannelId
from dispatcher.model.deployment import Deployment
from dispatcher.model.errors import Problem
from dispatcher.model.readiness import Condition
from dispatcher.pipeline import Pipeline
from dispatcher.setup import Setup
from dispatcher.web import Hub


class Board(Protocol):
    """How ready the channels are."""

    def conditions(self) -> Sequence[Condition]:
        """Every configured channel, in the order of the files."""

    async def sing(self, names: Iterable[ChannelId] | None = None) -> Sequence[Condition]:
        """Post a test to the private targets of these channels, or of all that have one; raises `CommandError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything a request may need. ``ready`` names what must hold before this daemon is relied on."""

    pipeline: Pipeline
    journal: Journal
    setup: Setup
    hub: Hub
    tokens: Tokens
    clock: Clock
    settings: ConsoleSettings
    ready: Callable[[], Mapping[str, bool]]
    links: SignedLinks
    board: Board
    accounts: Accounts
    problems: Sequence[Problem] = ()
    reload: Callable[[], Awaitable[Sequence[Problem]]] | None = None
    tickets: Tickets = field(default_factory=Tickets)
    throttle: Throttle = field(default_factory=Throttle)

    @property
    def deployment(self) -> Deployment:
        """The one that is running now."""
        return self.setup.deployment


CONTEXT: Final = web.AppKey("context", Context)
