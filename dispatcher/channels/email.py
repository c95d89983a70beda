"""E-mail to a list, handed to one of one's own relays over SMTP: the first that takes it, of two tried in order.

Encrypted by STARTTLS or not sent at all. Every attempt of a post carries the same Message-ID, by which many mailboxes
drop the copy, so a doubt is settled by sending again. A letter cannot be changed or taken back; a correction is
another letter.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dispatcher.channels._recipients import ListSettings, Recipients, Said, Spread
from dispatcher.channels._smtp import Letter, Relay, Tls, greet, hand_over, keep_login
from dispatcher.channels.base import Channel, Traits
from dispatcher.channels.http import Outbound
from dispatcher.model.alert import Post
from dispatcher.model.cap import Severity
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Result

_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}"
_BATCH = 100  # RFC 5321, 4.5.3.1.8: every relay takes that many recipients at once
_AT_ONCE = 4  # connections
_LONGEST_TEXT = 20_000
_URGENT = frozenset({Severity.EXTREME, Severity.SEVERE})

Mailbox = Annotated[str, Field(pattern=f"^{_ADDRESS}$")]
HostPort = Annotated[str, Field(pattern=r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$")]


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Settings(ListSettings):
    """Relays of one's own and whom they bring the letter to. Bounces go to ``bounces`` or, without it, to ``sender``."""

    relays: Annotated[tuple[HostPort, ...], BeforeValidator(_several)] = Field(
        min_length=1, max_length=2, description="host or host:port, tried in order",
        examples=[["mail1.example.org", "mail2.example.org:587"]],
    )  # fmt: skip
    tls: Tls = Field(default=Tls.STARTTLS, description="none only to a relay on this machine")
    ca_file: Path | None = Field(default=None, description="certificates of an authority of one's own")
    username: str = Field(default="", max_length=200, description="with the credential as its password")
    sender: Mailbox = Field(description="address that the letter is from")
    sender_name: str = Field(default="", max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")
    bounces: Mailbox | None = Field(default=None, description="where bounces go: a mailbox that somebody reads")
    recipients: tuple[Mailbox, ...] = Field(default=(), max_length=50_000)
    ready_seconds: float = Field(default=4, gt=0, le=60, description="for a relay to be ready for the letter")
    answer_seconds: float = Field(default=8, gt=0, le=600, description="for its answer to the end of the letter")

    @property
    def base(self) -> str:
        """The first relay."""
        return f"smtp://{self.relays[0]}"

    @property
    def places(self) -> list[tuple[str, int]]:
        """Host and port of every relay."""
        found = [re.fullmatch(r"\[?(.*?)\]?(?::(\d+))?", relay) for relay in self.relays]
        return [(match[1], int(match[2] or self.tls.port)) for match in found if match]

    @model_validator(mode="after")
    def _nothing_in_the_open(self) -> Self:
        if self.tls is Tls.NONE and not all(_here(host) for host, _ in self.places):
            raise ValueError("tls: none is only for a relay on this machine")
        if bool(self.username) != (self.credential is not None):
            raise ValueError("username and credential belong together")
        if any(port > 65_535 for _, port in self.places):
            raise ValueError("a relay's port is at most 65535")
        return self


def traits(settings: Settings) -> Traits:  # noqa: ARG001 - the port
    """Room for every language, and the Message-ID as a key that makes repeats safe."""
    return Traits(TextLimit(Unit.CHARACTERS, _LONGEST_TEXT), frozenset({Power.PROBE, Power.KEY}))


def drill(channel: str, secret: str) -> dict[str, object]:
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it, and no real address is read."""
    return {
        "relays": "wall-mail", "tls": "none", "ca_file": None, "username": channel, "credential": {"token_file": secret},
        "recipients_file": None, "recipients": ["exercise@wall.invalid"],
    }  # fmt: skip


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The list as a channel; raises `OSError`, `KeyError` or `ValueError` where secret, list or authority cannot be read."""
    password, recipients = settings.token(), Recipients(settings, re.compile(_ADDRESS))
    keep_login(settings.username, password)
    context = ssl.create_default_context(cafile=settings.ca_file)
    relays = [
        Relay(
            host,
            port,
            settings.tls,
            context,
            settings.username,
            password,
            settings.ready_seconds,
            settings.answer_seconds,
            http.dial,
        )
        for host, port in settings.places
    ]
    yield _Email(settings, relays, recipients)


class _Email(Channel):
    def __init__(self, settings: Settings, relays: Sequence[Relay], recipients: Recipients) -> None:
        self._settings, self._relays, self._recipients = settings, relays, recipients
        self._spread = Spread(_BATCH, _AT_ONCE)

    async def send(self, post: Post) -> Outcome:
        """One letter in an envelope for each hundred recipients, none of whom sees the others."""
        letter = write(self._settings, post)

        async def speak(recipients: Sequence[str]) -> Said:
            """The same letter to one part of the list."""
            return await self._entrust(letter, recipients)

        return await self._spread.send(post.key, self._recipients.current(), speak)

    async def probe(self) -> Outcome:
        """Connect, encrypt, log in, leave again: READY where one relay lets us in, with what is wrong with the other."""
        outcomes = [await greet(relay) for relay in self._relays]
        wrong = [outcome for outcome in outcomes if outcome.result is not Result.READY]
        if len(wrong) < len(outcomes):
            return Outcome(result=Result.READY, detail="; ".join(outcome.detail for outcome in wrong))
        return next((outcome for outcome in wrong if outcome.result is Result.TEMPORARY), wrong[0])

    async def _entrust(self, letter: Letter, recipients: Sequence[str]) -> Said:
        """The first relay that may have taken it ends the search: a doubt is never handed to the next one."""
        tried: list[Said] = []
        for relay in self._relays:
            said = await hand_over(relay, letter, recipients)
            if said.rest.result in (Result.ACCEPTED, Result.IN_DOUBT):
                return said
            tried.append(said)
        return next((said for said in tried if _hopeful(said)), tried[0])


def write(settings: Settings, post: Post) -> Letter:
    """The letter: same id, same date and same words in every attempt."""
    domain = settings.sender.partition("@")[2]
    letter = EmailMessage(policy=SMTP)
    letter.set_content(post.text.body, cte="quoted-printable")  # no relay needs to know 8BITMIME for that
    letter["From"] = Address(settings.sender_name, addr_spec=settings.sender)
    letter["To"] = "undisclosed-recipients:;"
    letter["Subject"] = " ".join(post.text.headline.split())
    letter["Date"] = format_datetime(post.created_at)
    letter["Message-ID"] = f"<{post.key}@{domain}>"
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice answers it
    letter["Content-Language"] = ", ".join(post.text.languages)
    if post.severity in _URGENT and not post.purpose.ends:
        letter["Importance"] = "high"
    return Letter(settings.bounces or settings.sender, letter["Message-ID"], letter.as_bytes())


def _hopeful(said: Said) -> bool:
    """Whether another try may help anyone."""
    return any(fate.result is Result.TEMPORARY for fate in (said.rest, *said.named.values()))


def _here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
