"""A mail server: shows each letter as a mailbox would, and misbehaves as it is told. An account is the password.

It speaks as much SMTP as one relay needs (RFC 5321, AUTH PLAIN), listens on this machine only and so without TLS.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import socket
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import urlsplit

from dispatcher.wall.board import Board, Service
from dispatcher.wall.faults import Fault, FaultKind, Faults
from dispatcher.wall.listening import listening_on

_FOREVER = 3600.0


def mail_at(wall: str) -> str:
    """Host and port of the mail server of the wall whose address is ``wall``: one port higher."""
    address = urlsplit(wall)
    return f"{address.hostname}:{(address.port or 80) + 1}"


def mail_server(board: Board, faults: Faults, listening: socket.socket) -> AbstractAsyncContextManager[None]:
    """A server on ``listening`` over ``board`` and ``faults``."""
    return listening_on(listening, lambda reader, writer: _Session(board, faults, reader, writer).run())


@dataclass(slots=True)
class _Session:
    """One connection."""

    board: Board
    faults: Faults
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    account: str = ""
    sender: str = ""
    recipients: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Answer commands until the client leaves."""
        self._say("220 wall ESMTP")
        while line := await self.reader.readline():
            verb, _, rest = line.decode("ascii", errors="replace").strip().partition(" ")
            if verb.upper() == "QUIT":
                self._say("221 bye")
                return
            if verb.upper() == "DATA" and self.recipients:
                await self._letter()
            else:
                self._say(self._answer(verb.upper(), rest))

    def _answer(self, verb: str, rest: str) -> str:
        if verb == "EHLO":
            return "250-wall\r\n250 AUTH PLAIN"
        if verb == "AUTH":
            return self._log_in(rest)
        if verb == "MAIL" and rest.upper().startswith("FROM:"):
            self.sender, self.recipients = rest[5:].strip("<> "), []
            return "250 2.1.0 sender ok"
        if verb == "RCPT" and self.sender:
            self.recipients.append(rest[3:].strip("<> "))
            return "250 2.1.5 recipient ok"
        if verb in ("NOOP", "RSET"):
            return "250 2.0.0 ok"
        return "503 5.5.1 not now" if verb in ("DATA", "RCPT") else "502 5.5.1 not known"

    def _log_in(self, rest: str) -> str:
        try:
            self.account = base64.b64decode(rest.partition(" ")[2], validate=True).decode().split("\0")[2]
        except (binascii.Error, UnicodeDecodeError, IndexError):
            return "501 5.5.2 no credentials"
        return "235 2.7.0 welcome" if self.account else "535 5.7.8 wrong password"

    async def _letter(self) -> None:
        """Take what ends with a dot, unless a fault comes between."""
        self._say("354 go ahead")
        content = await self.reader.readuntil(b"\r\n.\r\n")
        account, letter = self.account or self.sender, message_from_bytes(content[:-3], policy=policy.default)
        self.board.requests[account] += 1
        fault = self.faults.next(account)
        if fault is not None:
            await asyncio.sleep(_FOREVER if fault.kind is FaultKind.HANG else fault.delay)
        if fault is None or fault.kind not in (FaultKind.STATUS, FaultKind.HTML, FaultKind.RESET_BEFORE):
            self._show(account, letter)
        await self._receipt(fault)

    async def _receipt(self, fault: Fault | None) -> None:
        """What a mail server in that state answers: a receipt, a refusal, half of it, or nothing."""
        kind = fault.kind if fault else FaultKind.SLOW
        if kind in (FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER):
            self.writer.transport.abort()
        elif kind is FaultKind.STATUS and fault:
            self._say(f"{'4' if fault.status in (429, 503) else '5'}51 {fault.status} switched on at the wall")
        elif kind is FaultKind.HTML:
            self._say("<!doctype html><title>Anmeldung</title>")
        elif kind in (FaultKind.HALF, FaultKind.DRIP):
            self.writer.write(b"25")
            await asyncio.sleep(_FOREVER if kind is FaultKind.DRIP else 0)
            self.writer.transport.abort()
        else:
            self._say("250 2.0.0 taken" + " " * (100_000 if kind is FaultKind.OVERSIZED else 0))

    def _show(self, account: str, letter: EmailMessage) -> None:
        """As a mailbox does that files by Message-ID: a letter that came before is not shown twice."""
        key = str(letter["Message-ID"] or "")
        if known := self.board.by_key(account, key):
            self.board.repeat(known)
            return
        body = letter.get_body(("plain",))
        text = body.get_content().replace("\r\n", "\n").strip() if body else ""
        self.board.add(Service.EMAIL, account, key, f"{letter['Subject']}\n{text}", key=key)

    def _say(self, answer: str) -> None:
        self.writer.write(answer.encode() + b"\r\n")
