"""Handing one letter to one relay, over aiosmtplib, and what each of the relay's answers means.

RFC 5321: a relay has taken a letter when it answers 250 to the dot that ends it, and before that dot it has taken
nothing. So the fence is asked and the departure noted right before the dot; what fails earlier never left, and only
silence after it is a doubt.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

import aiosmtplib

from dispatcher.channels._api import presentable
from dispatcher.channels._recipients import Said, discreet
from dispatcher.channels.departure import leave
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import keep_secret

_AUTH_CODES = frozenset({530, 534, 535, 538})
_LINE_WITH_A_DOT = re.compile(rb"(?m)^\.")
_REASONS: dict[type[Exception], Reason] = {
    ssl.SSLError: Reason.TLS, socket.gaierror: Reason.DNS, TimeoutError: Reason.TIMEOUT,
}  # fmt: skip
_TOO_LONG = ("5.2.3", "5.3.4")


class Tls(StrEnum):
    """How a connection is encrypted: upgraded by STARTTLS (587), from its first byte (465), or not at all (25)."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"

    @property
    def port(self) -> int:
        """Where such relays listen by custom."""
        return {Tls.STARTTLS: 587, Tls.IMPLICIT: 465, Tls.NONE: 25}[self]


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay and who we are there.

    ``ready`` bounds the way to a login and each answer after it, ``dot`` the answer to the letter's end, in seconds;
    ``dial`` connects, for the library would look names up in the thread pool that all share.
    """

    host: str
    port: int
    tls: Tls
    context: ssl.SSLContext
    username: str
    password: str
    ready: float
    dot: float
    dial: Callable[[str, int], Awaitable[socket.socket]]


@dataclass(frozen=True, slots=True)
class Letter:
    """The envelope's sender, the letter's own id, and all of it as bytes with lines that end in CRLF."""

    sender: str
    id: str
    content: bytes


def keep_login(username: str, password: str) -> None:
    """Keep out of every log what AUTH PLAIN and AUTH LOGIN write: a relay that repeats the line repeats the password."""
    for said in (f"\0{username}\0{password}", password):
        keep_secret(b64encode(said.encode()).decode())


class _Unmet(Exception):
    """The relay lacks, or refuses, what is insisted on."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.detail)


_FAILURES = (aiosmtplib.SMTPException, OSError, _Unmet)


async def hand_over(relay: Relay, letter: Letter, recipients: Sequence[str]) -> Said:
    """Give ``letter`` to ``relay`` for all ``recipients`` at once; raises `Fenced` before anything was taken."""
    refused: dict[str, Outcome] = {}
    try:
        async with _session(relay) as client:
            await _log_in(client, relay)
            await client.mail(letter.sender)
            for recipient in recipients:
                await _address(client, recipient, refused)
            if len(refused) == len(recipients):
                return _said(relay, refused, Outcome(result=Result.PERMANENT, reason=Reason.REJECTED))
            await _write(client, letter.content)
            return _said(relay, refused, await _end(client, relay, letter.id))
    except _FAILURES as error:
        return _said(relay, refused, _failed(error))


async def greet(relay: Relay) -> Outcome:
    """READY where the relay lets us in, or why not; nothing is sent."""
    try:
        async with _session(relay) as client:
            await _log_in(client, relay)
            await client.noop()
    except _FAILURES as error:
        return _told(relay, _failed(error))
    return Outcome(result=Result.READY)


@asynccontextmanager
async def _session(relay: Relay) -> AsyncIterator[aiosmtplib.SMTP]:
    """A client that is not connected yet, and that is cut off at the end without waiting for anyone."""
    client = aiosmtplib.SMTP(
        hostname=relay.host, timeout=relay.ready, use_tls=relay.tls is Tls.IMPLICIT, start_tls=False,
        tls_context=relay.context, local_hostname=socket.gethostname(),
    )  # fmt: skip
    try:
        yield client
        if client.protocol is not None and client.is_connected:
            client.protocol.write(b"QUIT\r\n")
    finally:
        client.close()


async def _log_in(client: aiosmtplib.SMTP, relay: Relay) -> None:
    """Connect, encrypt, authenticate: what is insisted on is never skipped because the relay does not offer it."""
    async with asyncio.timeout(relay.ready):
        await client.connect(sock=await relay.dial(relay.host, relay.port))
        await client.ehlo()
        if relay.tls is Tls.STARTTLS:
            await _encrypt(client)
    if relay.username:
        await _authenticate(client, relay)


async def _authenticate(client: aiosmtplib.SMTP, relay: Relay) -> None:
    """By one method: servers let whoever is refused wait, and another method would say the same after that wait."""
    methods = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
    offered = [method for name, method in methods.items() if name in client.server_auth_methods]
    if not offered:
        raise _Unmet(_lacking(Reason.AUTH, "offers no way to log in"))
    await offered[0](relay.username, relay.password)


async def _encrypt(client: aiosmtplib.SMTP) -> None:
    if not client.supports_extension("starttls"):
        raise _Unmet(_lacking(Reason.TLS, "offers no STARTTLS"))
    try:
        await client.starttls()
    except aiosmtplib.SMTPResponseException as error:
        raise _Unmet(replace(_refusal(error.code, error.message), reason=Reason.TLS)) from None
    await client.ehlo()


async def _address(client: aiosmtplib.SMTP, recipient: str, refused: dict[str, Outcome]) -> None:
    try:
        await client.rcpt(recipient)
    except aiosmtplib.SMTPRecipientRefused as error:
        # RFC 5321, 4.5.3.1.10: old relays say 552 where they mean too many recipients for one letter.
        refused[recipient] = _refusal(452 if error.code == 552 else error.code, error.message)
        if not client.is_connected:
            raise


async def _write(client: aiosmtplib.SMTP, content: bytes) -> None:
    """Everything but the dot that ends it."""
    code, text = await client.execute_command(b"DATA")
    if code != 354:
        raise aiosmtplib.SMTPDataError(code, text)
    assert client.protocol is not None
    client.protocol.write(_LINE_WITH_A_DOT.sub(b"..", content))


async def _end(client: aiosmtplib.SMTP, relay: Relay, identifier: str) -> Outcome:
    """The dot, and what the relay says to it."""
    if not client.is_connected:
        raise aiosmtplib.SMTPServerDisconnected("lost before the end")
    leave()
    try:
        code, text = await client.execute_command(b".", timeout=relay.dot)
    except aiosmtplib.SMTPTimeoutError:
        return Outcome(result=Result.IN_DOUBT, reason=Reason.TIMEOUT, detail="no answer to the end of the letter")
    except (aiosmtplib.SMTPException, OSError):
        return Outcome(result=Result.IN_DOUBT, reason=Reason.NETWORK, detail="lost at the end of the letter")
    if 200 <= code < 300:
        return Outcome(result=Result.ACCEPTED, provider_id=identifier)
    if 400 <= code < 600:
        return _refusal(code, text)
    return Outcome(result=Result.IN_DOUBT, reason=Reason.NETWORK, detail="no answer of SMTP to the end of the letter")


def _refusal(code: int, text: str) -> Outcome:
    """What a code of 4xx or 5xx means for the letter; whatever else it is, it is no answer of SMTP."""
    detail = f"{code} {discreet(' '.join(text.split()))}"
    if 400 <= code < 500:
        return Outcome(result=Result.TEMPORARY, reason=Reason.SERVER_ERROR, detail=detail)
    if not 500 <= code < 600:
        return Outcome(result=Result.TEMPORARY, reason=Reason.NETWORK, detail="no answer of SMTP")
    long = code == 552 or text.startswith(_TOO_LONG)
    reason = Reason.AUTH if code in _AUTH_CODES else Reason.TOO_LONG if long else Reason.REJECTED
    return Outcome(result=Result.PERMANENT, reason=reason, detail=detail)


def _failed(error: Exception) -> Outcome:
    """What kept the letter from being taken; nothing of it had left."""
    cause = error.__cause__ or error
    if isinstance(error, _Unmet):
        return error.outcome
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):  # without the text: it may repeat what was sent
        outcome = _refusal(error.code, "login refused")
        return replace(outcome, reason=Reason.AUTH) if outcome.result is Result.PERMANENT else outcome
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refusal(error.code, error.message)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _lacking(Reason.TLS, "certificate not trusted")
    kinds = (reason for kind, reason in _REASONS.items() if isinstance(error, kind) or isinstance(cause, kind))
    return Outcome(result=Result.TEMPORARY, reason=next(kinds, Reason.NETWORK), detail=type(error).__name__)


def _lacking(reason: Reason, what: str) -> Outcome:
    return Outcome(result=Result.PERMANENT, reason=reason, detail=what)


def _said(relay: Relay, refused: dict[str, Outcome], rest: Outcome) -> Said:
    return Said({recipient: _told(relay, outcome) for recipient, outcome in refused.items()}, _told(relay, rest))


def _told(relay: Relay, outcome: Outcome) -> Outcome:
    """With the relay's name, for there is more than one."""
    detail = f"{relay.host}: {outcome.detail}" if outcome.detail else ""
    return presentable(replace(outcome, detail=detail))
