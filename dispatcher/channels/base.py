"""The port: five verbs, each answering an `Outcome` or `Unsupported`, and what every kind's file must hold.

A kind is one module ``dispatcher/channels/<kind>.py`` with

- ``Settings``: a pydantic model derived from `ChannelSettings`,
- ``traits(settings)``: `Traits`, its text limit and its powers, as data,
- ``drill(channel, secret)``: the fields that point at the wall, for exercises out of the live files,
- ``connect(settings, http)``: an async context manager that yields a `Channel`.

A verb never raises on what a provider does: every answer, error and silence becomes an `Outcome`. Only cancellation,
`Fenced` and bugs pass through.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Protocol, Self, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

import dispatcher.channels
from dispatcher.channels.http import Outbound
from dispatcher.model.alert import Post
from dispatcher.model.channel import InDoubt, Power, TextLimit
from dispatcher.model.delivery import Outcome, Reason, Result, Verb
from dispatcher.model.playbook import Strict
from dispatcher.telemetry import keep_secret

_NO_KIND = frozenset({"base", "http", "departure"})

Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"), AfterValidator(lambda url: url.rstrip("/"))]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The answer of a channel that has no such verb."""

    verb: str


@dataclass(frozen=True, slots=True)
class Traits:
    """What a kind declares of itself for given settings; ``in_doubt`` holds where nothing is said in the files."""

    limit: TextLimit
    powers: frozenset[Power] = field(default_factory=frozenset)
    in_doubt: InDoubt = InDoubt.RESEND


class Channel:
    """One way out. A kind overrides what its provider can do; the rest answers `Unsupported`."""

    async def send(self, post: Post) -> Outcome | Unsupported:  # noqa: ARG002 - the port
        """Post the text; the answer's ``provider_id`` is what edit, delete and find need later."""
        return Unsupported(Verb.POST)

    async def edit(self, post: Post) -> Outcome | Unsupported:  # noqa: ARG002 - the port
        """Replace the text of ``post.target``."""
        return Unsupported(Verb.EDIT)

    async def delete(self, post: Post) -> Outcome | Unsupported:  # noqa: ARG002 - the port
        """Take ``post.target`` back; what is already gone counts as done."""
        return Unsupported(Verb.DELETE)

    async def find(self, post: Post) -> Outcome | Unsupported:  # noqa: ARG002 - the port
        """Look for our own post by its code: VISIBLE with its id, ABSENT, or why the look-up failed."""
        return Unsupported("find")

    async def probe(self) -> Outcome | Unsupported:
        """Check without posting whether a post would be taken: READY, or why not."""
        return Unsupported("probe")


class Unready(Channel):
    """Stands in for a channel that could not be connected: every post fails and says why."""

    def __init__(self, why: str) -> None:
        """``why`` is told to people, so it names no secret."""
        self._outcome = Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail=why)

    async def send(self, post: Post) -> Outcome:  # noqa: ARG002 - the port
        """Nothing is sent."""
        return self._outcome

    async def probe(self) -> Outcome:
        """Not ready."""
        return self._outcome


class Credential(Strict):
    """A secret by reference, never inline: a file (also systemd or container secrets) or an environment variable."""

    name: str = ""
    token_file: Path | None = None
    token_env: str | None = None
    valid_until: date | None = Field(default=None, description="its last day, where the provider does not tell it")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.token_file is None) == (self.token_env is None):
            raise ValueError("give token_file or token_env, one of them")
        return self

    @property
    def label(self) -> str:
        """Its name for limits and logs: given, or the whole reference, for many secrets are files named alike; never the value."""
        return self.name or str(self.token_file or self.token_env)

    def reveal(self) -> str:
        """The secret itself; raises `OSError`, `KeyError` or `ValueError` where there is none to read."""
        value = (self.token_file.read_text() if self.token_file else os.environ[str(self.token_env)]).strip()
        if not value:
            raise ValueError("the secret is empty")
        return value


class ChannelSettings(Strict):
    """What a kind needs to speak. Kinds add their own fields; ``base`` says which of them requests go to.

    ``address`` names the fields that say where a post appears: a canary has to say them anew. ``uploads_card``: a card is
    given to the provider as bytes, so that it needs no address.
    """

    address: ClassVar[tuple[str, ...]] = ("credential",)
    uploads_card: ClassVar[bool] = False

    credential: Credential | None = None

    @property
    def needs_card(self) -> bool:
        """Whether nothing can be posted without a card."""
        return False

    @property
    def base(self) -> str:
        """The URL that this channel's requests go to, without a slash at its end; empty where nothing is called."""
        return ""

    @property
    def origin(self) -> str:
        """Scheme, host and port of `base`: what connections and breakers belong to."""
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""

    def token(self) -> str:
        """The credential's value, kept out of every log from now on; an empty text where there is none.

        Raises `OSError` or `KeyError` where it cannot be read.
        """
        value = self.credential.reveal() if self.credential else ""
        keep_secret(value)
        return value

    def wall_account(self) -> str:
        """What its double on the wall calls this channel: what `address` names, or the secret where it names that.

        Empty where nothing is called; raises as `token` does.
        """
        named = (str(getattr(self, name)) for name in self.address if name != "credential")
        return next(filter(None, named), "") or self.token()


class Kind(Protocol):
    """A kind's module, as the loader sees it."""

    Settings: type[ChannelSettings]

    def traits(self, settings: ChannelSettings) -> Traits:
        """Limit and powers for these settings."""

    def drill(self, channel: str, secret: str) -> dict[str, object]:
        """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""

    def connect(self, settings: ChannelSettings, http: Outbound) -> AbstractAsyncContextManager[Channel]:
        """A channel for the length of the context."""


def kinds() -> list[str]:
    """Names of all kinds, found by scanning this folder."""
    names = (module.name for module in pkgutil.iter_modules(dispatcher.channels.__path__))
    return sorted(name for name in names if name not in _NO_KIND and not name.startswith("_"))


@cache
def load_kind(name: str) -> Kind:
    """The module of kind ``name``; raises `LookupError` that lists the known ones."""
    if name not in kinds():
        raise LookupError(f"unknown kind {name!r}; known: {', '.join(kinds())}")
    return cast("Kind", importlib.import_module(f"dispatcher.channels.{name}"))
