"""A name server on 127.0.0.1 that answers, refuses, lies low or changes its mind (RFC 1035, as much of it as that takes)."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import AsyncResolver

ANSWERS, FAILS, KNOWS_NOTHING, SILENT = 0, 2, 3, -1  # response codes, and none
_A = b"\x00\x01\x00\x01"


@dataclass
class NameServer:
    """What it says: every name under ``.test`` has ``address``. ``asked`` counts questions for IPv4 addresses by name."""

    port: int = 0
    address: str = "127.0.0.1"
    mood: int = ANSWERS
    deaf_to: frozenset[str] = frozenset()
    asked: Counter[str] = field(default_factory=Counter)

    def resolver(self) -> AsyncResolver:
        """c-ares as the daemon uses it, asking here."""
        return AsyncResolver(nameservers=["127.0.0.1"], udp_port=self.port, tcp_port=self.port, timeout=1.0, tries=2)

    def reply(self, query: bytes) -> bytes | None:
        """The answer to one question, where there is any."""
        end = query.index(b"\0", 12) + 5
        question, name = query[12:end], _name(query[12:end])
        wanted = question.endswith(_A)
        self.asked[name] += wanted
        if self.mood == SILENT or name in self.deaf_to:
            return None
        records = int(wanted and self.mood == ANSWERS)
        head = query[:2] + (0x8180 | self.mood).to_bytes(2) + b"\0\1" + records.to_bytes(2) + bytes(4)
        record = b"\xc0\x0c" + _A + bytes(4) + b"\0\4" + socket.inet_aton(self.address)  # good for 0 seconds
        return head + question + record * records


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, state: NameServer) -> None:
        self._state = state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if reply := self._state.reply(data):
            self._transport.sendto(reply, addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """A name server until the block ends."""
    state = NameServer()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Protocol(state), ("127.0.0.1", 0))
    state.port = transport.get_extra_info("sockname")[1]
    try:
        yield state
    finally:
        transport.close()


def _name(question: bytes) -> str:
    labels, at = [], 0
    while size := question[at]:
        labels.append(question[at + 1 : at + 1 + size].decode())
        at += 1 + size
    return ".".join(labels)
