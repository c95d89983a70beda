"""A siren behind an MQTT broker of its own: shows each order, confirms it, and misbehaves as it is told.

An account is the topic that the order comes on. It speaks as much MQTT 5 as one visitor needs, on this machine only and so
without TLS, and lets everybody in.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dispatcher.packets import MOST, Kind, Message, Packet, publish, published, read, subscribed, write
from dispatcher.wall.board import Board, Service
from dispatcher.wall.faults import Fault, FaultKind, Faults
from dispatcher.wall.listening import listening_on

_FOREVER = 3600.0
_PORTS_HIGHER = 2
_REFUSALS = {401: 0x87, 403: 0x87, 413: 0x95, 429: 0x97, 503: 0x97}
_NOT_TAKEN = frozenset({FaultKind.STATUS, FaultKind.HTML, FaultKind.RESET_BEFORE})


def broker_at(wall: str) -> str:
    """The broker of the wall whose address is ``wall``: two ports higher."""
    address = urlsplit(wall)
    return f"mqtt://{address.hostname}:{(address.port or 80) + _PORTS_HIGHER}"


def siren(board: Board, faults: Faults, listening: socket.socket) -> AbstractAsyncContextManager[None]:
    """A broker on ``listening``, and one siren, over ``board`` and ``faults``."""
    return listening_on(listening, lambda reader, writer: _Visit(board, faults, reader, writer).run())


@dataclass(slots=True)
class _Visit:
    """One connection; ``ear`` is the topic that it listens on."""

    board: Board
    faults: Faults
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ear: str = ""

    async def run(self) -> None:
        """Answer packets until the visitor leaves."""
        while (packet := await read(self.reader)).kind != Kind.DISCONNECT:
            if packet.kind == Kind.CONNECT:
                self.writer.write(write(Kind.CONNACK, bytes(3)))
            elif packet.kind == Kind.SUBSCRIBE:
                identifier, self.ear = subscribed(packet)
                self.writer.write(write(Kind.SUBACK, identifier.to_bytes(2) + bytes(2)))
            elif packet.kind == Kind.PUBLISH:
                await self._order(packet)

    async def _order(self, packet: Packet) -> None:
        """Take the order, unless a fault comes between, and say so."""
        message = published(packet)
        self.board.requests[message.topic] += 1
        fault = self.faults.next(message.topic)
        if fault is not None:
            await asyncio.sleep(_FOREVER if fault.kind is FaultKind.HANG else fault.delay)
        if fault is None or fault.kind not in _NOT_TAKEN:
            self._show(message.topic, json.loads(message.payload))
        await self._receipt(message, fault)

    async def _receipt(self, message: Message, fault: Fault | None) -> None:
        kind = fault.kind if fault else FaultKind.SLOW
        if kind in (FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER):
            self.writer.transport.abort()
            return
        code = _REFUSALS.get(fault.status, 0x83) if fault and kind is FaultKind.STATUS else 0
        self.writer.write(write(Kind.PUBACK, message.identifier.to_bytes(2) + bytes([code])))
        if not code:
            await self._confirm(json.loads(message.payload), kind)

    async def _confirm(self, order: dict[str, Any], kind: FaultKind) -> None:
        """What a siren in that state answers on the acknowledgement topic: that it is done, half of it, or nonsense."""
        said = json.dumps({"id": order.get("id"), "unit": "wall", "state": "done"}).encode()
        if kind is FaultKind.HTML:
            said = b"<!doctype html><title>Anmeldung</title>"
        whole = publish(Message(self.ear, said.ljust(MOST + 1) if kind is FaultKind.OVERSIZED else said))
        if kind not in (FaultKind.HALF, FaultKind.DRIP):
            self.writer.write(whole)
            return
        self.writer.write(whole[: len(whole) // 2])
        await asyncio.sleep(_FOREVER if kind is FaultKind.DRIP else 0)
        self.writer.transport.abort()

    def _show(self, account: str, order: dict[str, Any]) -> None:
        """An order that was carried out before is not carried out again."""
        key = str(order.get("id", ""))
        if known := self.board.by_key(account, key):
            self.board.repeat(known)
            return
        self.board.add(Service.MQTT, account, key, str(order.get("text", "")), key=key)
