"""What can come back from a mail relay, or not, at each point of the conversation, and what it means for the letter."""

from __future__ import annotations

import asyncio

from contract.cases import ACCEPTED, DENIED, LOST, NO_ANSWER, NOT_TAKEN, REJECTED, Case
from contract.kit import Class, Kit
from contract.relay import Say

from dispatcher.model.delivery import Reason, Result

TOO_LONG: Class = (Result.PERMANENT, Reason.TOO_LONG)
NO_TLS: Class = (Result.PERMANENT, Reason.TLS)
CUT_OFF: Class = (Result.TEMPORARY, Reason.NETWORK)
SILENT: Class = (Result.TEMPORARY, Reason.TIMEOUT)


async def _close(_said: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _reset(_said: bytes, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _hang(_said: bytes, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _half(_said: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"250 2.0")
    await writer.drain()
    writer.close()


async def _drip(_said: bytes, writer: asyncio.StreamWriter) -> None:
    for byte in b"250 2.0.0 queued, and so on and on":
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def _endless(_said: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"250-and more\r\n" * 50)
        await writer.drain()
        await asyncio.sleep(0)  # over TLS, drain() alone would never let the loop notice that the other side has gone


def _echo(code: bytes) -> Say:
    """Refuse, and repeat everything that was sent, wherever a reason may be looked for."""

    async def say(said: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(code + b" " + b" ".join(said.split())[:2000] + b"\r\n")

    return say


def _case(name: str, expected: Class, point: str, answer: bytes | Say) -> Case:
    """``leaves`` where it is the answer to the end of the letter."""
    status = 250 if point == "QUIT" else int(answer[:3]) if isinstance(answer, bytes) and answer[:3].isdigit() else 0

    def behave(_kit: Kit) -> dict[str, bytes | Say]:
        return {point: answer}

    return Case(name, expected, behave, status=status, stays=point not in (".", "QUIT"))


def _world(name: str, expected: Class, world: str) -> Case:
    return Case(name, expected, lambda _kit: {}, world=world)


SMTP_CASES = [
    _case("good answer", ACCEPTED, ".", b"250 2.0.0 queued"),
    _case("250 without words", ACCEPTED, ".", b"250"),
    _case("250 on two lines", ACCEPTED, ".", b"250-2.0.0 queued\r\n250 as 4XyZ"),
    _case("end: 354 again", LOST, ".", b"354 more"),
    _case("end: 421", NOT_TAKEN, ".", b"421 4.3.2 shutting down"),
    _case("end: 451", NOT_TAKEN, ".", b"451 4.3.0 try again"),
    _case("end: 452", NOT_TAKEN, ".", b"452 4.3.1 disk full"),
    _case("end: 530", DENIED, ".", b"530 5.7.0 log in first"),
    _case("end: 550", REJECTED, ".", b"550 5.7.1 policy"),
    _case("end: 552", TOO_LONG, ".", b"552 5.3.4 too big"),
    _case("end: 554", REJECTED, ".", b"554 5.6.0 refused"),
    _case("end: 554, too big", TOO_LONG, ".", b"554 5.3.4 too big"),
    _case("end: 554 that repeats all", REJECTED, ".", _echo(b"554")),
    _case("end: no SMTP", LOST, ".", b"<!doctype html>"),
    _case("end: 600", LOST, ".", b"600 odd"),
    _case("end: closed", LOST, ".", _close),
    _case("end: reset", LOST, ".", _reset),
    _case("end: half an answer", LOST, ".", _half),
    _case("end: no answer", NO_ANSWER, ".", _hang),
    _case("end: dripping answer", NO_ANSWER, ".", _drip),
    _case("end: endless answer", LOST, ".", _endless),
    _case("greeting: 421", NOT_TAKEN, "", b"421 4.3.2 too busy"),
    _case("greeting: 554", REJECTED, "", b"554 no service for you"),
    _case("greeting: SSH", CUT_OFF, "", b"SSH-2.0-OpenSSH_9.6"),
    _case("greeting: closed", CUT_OFF, "", _close),
    _case("greeting: no answer", SILENT, "", _hang),
    _case("greeting: endless", CUT_OFF, "", _endless),
    _case("EHLO: 502", REJECTED, "EHLO", b"502 5.5.1 not known"),
    _case("EHLO: no STARTTLS", NO_TLS, "EHLO", b"250-relay\r\n250 AUTH PLAIN"),
    _case("EHLO: no AUTH", DENIED, "EHLO", b"250-relay\r\n250 STARTTLS"),
    _case("STARTTLS: 454", (Result.TEMPORARY, Reason.TLS), "STARTTLS", b"454 4.7.0 not now"),
    _case("STARTTLS: 501", NO_TLS, "STARTTLS", b"501 5.5.4 no"),
    _case("STARTTLS: closed", CUT_OFF, "STARTTLS", _close),
    _case("AUTH: 454", NOT_TAKEN, "AUTH", b"454 4.7.0 not now"),
    _case("AUTH: 535", DENIED, "AUTH", b"535 5.7.8 wrong password"),
    _case("AUTH: 535 that repeats all", DENIED, "AUTH", _echo(b"535")),
    _case("AUTH: 550", DENIED, "AUTH", b"550 no"),
    _case("AUTH: no answer", SILENT, "AUTH", _hang),
    _case("MAIL: 451", NOT_TAKEN, "MAIL", b"451 4.3.0 try again"),
    _case("MAIL: 530", DENIED, "MAIL", b"530 5.7.0 log in first"),
    _case("MAIL: 550", REJECTED, "MAIL", b"550 5.1.8 no such sender"),
    _case("MAIL: 552", TOO_LONG, "MAIL", b"552 5.3.4 too big"),
    _case("RCPT: 450", NOT_TAKEN, "RCPT", b"450 4.2.0 greylisted"),
    _case("RCPT: 421", NOT_TAKEN, "RCPT", b"421 4.7.0 too many"),
    _case("RCPT: 550", REJECTED, "RCPT", b"550 5.1.1 no such user"),
    _case("RCPT: 552", (Result.TEMPORARY, Reason.SERVER_ERROR), "RCPT", b"552 too many recipients"),
    _case("RCPT: closed", CUT_OFF, "RCPT", _close),
    _case("DATA: 451", NOT_TAKEN, "DATA", b"451 4.3.0 try again"),
    _case("DATA: 554", REJECTED, "DATA", b"554 5.5.1 no valid recipients"),
    _case("DATA: 250", CUT_OFF, "DATA", b"250 what"),
    _case("DATA: no answer", SILENT, "DATA", _hang),
    _case("QUIT: no answer", ACCEPTED, "QUIT", _hang),
    _world("untrusted certificate", NO_TLS, "tls"),
    _world("no such name", (Result.TEMPORARY, Reason.DNS), "dns"),
    _world("connection refused", CUT_OFF, "refused"),
]
