"""What can come back from a broker and a unit behind it, or not, at each point of a visit, and what it means for the order."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from contract.cases import ACCEPTED, DENIED, LOST, NO_ANSWER, NOT_TAKEN, REJECTED, SLOW_DOWN, Case
from contract.kit import CANARY, Class
from contract.sirens import ACK, GOOD, TOPIC, answer, suback, unit

from dispatcher.model.delivery import Reason, Result
from dispatcher.packets import MOST, Kind, Message, publish, write

TOO_LONG: Class = (Result.PERMANENT, Reason.TOO_LONG)
CUT_OFF: Class = (Result.TEMPORARY, Reason.NETWORK)
SILENT: Class = (Result.TEMPORARY, Reason.TIMEOUT)


async def _close(_key: str, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _reset(_key: str, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _hang(_key: str, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _half(key: str, writer: asyncio.StreamWriter) -> None:
    writer.write(unit(key)[:9])
    await writer.drain()
    writer.close()


async def _drip(key: str, writer: asyncio.StreamWriter) -> None:
    for byte in unit(key):
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def _endless(_key: str, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(_said(b"nothing to the point") * 50)
        await writer.drain()
        await asyncio.sleep(0)  # over TLS, drain() alone would never let the loop notice that the other side has gone


def _said(payload: bytes, identifier: int = 0) -> bytes:
    return publish(Message(TOPIC, payload, identifier))


def _refusing(key: str) -> bytes:
    return unit(key, state="refused", detail=f"battery {CANARY}")


def _case(name: str, expected: Class, point: int, said: Any) -> Case:
    """``leaves`` where it is said to an order; an acceptance is told by status 200."""
    accepting = 200 if expected == ACCEPTED else 0
    return Case(name, expected, lambda _kit: {point: said}, status=accepting, stays=point not in (Kind.PUBLISH, ACK))


def _world(name: str, expected: Class, world: str) -> Case:
    return Case(name, expected, lambda _kit: {}, world=world)


_CONNECT, _SUBSCRIBE, _PUBLISH = Kind.CONNECT, Kind.SUBSCRIBE, Kind.PUBLISH


def _came(code: int) -> bytes:
    return answer(Kind.CONNACK, code)


def _took(code: int) -> bytes:
    return answer(Kind.PUBACK, code)


def _left(code: int) -> bytes:
    return answer(Kind.DISCONNECT, code)


MQTT_CASES = [
    _case("good answer", ACCEPTED, ACK, GOOD[ACK]),
    _case("PUBACK with a code", ACCEPTED, _PUBLISH, _took(0)),
    _case("no PUBACK, but the answer", ACCEPTED, _PUBLISH, b""),
    _case("answer after others", ACCEPTED, ACK, lambda key: unit("f" * 32) + _said(b"\xff") + unit(key)),
    _case("answer at QoS 1", ACCEPTED, ACK, lambda key: _said(json.dumps({"id": key, "state": "done"}).encode(), 9)),
    _case("ack: refused", REJECTED, ACK, lambda key: unit(key, state="refused", detail="battery low")),
    _case("ack: refused, and a secret", REJECTED, ACK, _refusing),
    _case("ack: refused with odd words", REJECTED, ACK, lambda key: unit(key, state="refused", detail=[{}], unit=7)),
    _case("ack: another state", NO_ANSWER, ACK, lambda key: unit(key, state="received")),
    _case("ack: state is no text", NO_ANSWER, ACK, lambda key: unit(key, state=["done"])),
    _case("ack: another order", NO_ANSWER, ACK, unit("f" * 32)),
    _case("ack: no JSON", NO_ANSWER, ACK, _said(b"done")),
    _case("ack: a list", NO_ANSWER, ACK, _said(b"[1]")),
    _case("ack: bottomless JSON", NO_ANSWER, ACK, _said(b"[" * 60_000)),
    _case("ack: empty", NO_ANSWER, ACK, _said(b"")),
    _case("ack: none", NO_ANSWER, ACK, b""),
    _case("ack: dripping", NO_ANSWER, ACK, _drip),
    _case("ack: endless nonsense", NO_ANSWER, ACK, _endless),
    _case("ack: half", LOST, ACK, _half),
    _case("ack: over the limit", LOST, ACK, _said(bytes(MOST))),
    _case("ack: closed", LOST, ACK, _close),
    _case("ack: reset", LOST, ACK, _reset),
    _case("ack: impossible lengths", LOST, ACK, write(Kind.PUBLISH, b"\xff\xff")),
    _case("ack: impossible properties", LOST, ACK, write(Kind.PUBLISH, b"\0\1a\x7f")),
    _case("ack: topic no UTF-8", LOST, ACK, write(Kind.PUBLISH, b"\0\1\xff\0x")),
    _case("order: nobody listens", CUT_OFF, _PUBLISH, _took(0x10)),
    _case("order: not allowed", DENIED, _PUBLISH, _took(0x87)),
    _case("order: quota", SLOW_DOWN, _PUBLISH, _took(0x97)),
    _case("order: bad topic", REJECTED, _PUBLISH, _took(0x90)),
    _case("order: not willing", REJECTED, _PUBLISH, _took(0x83)),
    _case("order: too large", TOO_LONG, _PUBLISH, _left(0x95)),
    _case("order: broker shuts down", LOST, _PUBLISH, _left(0x8B)),
    _case("order: broker says goodbye", LOST, _PUBLISH, write(Kind.DISCONNECT)),
    _case("order: closed", LOST, _PUBLISH, _close),
    _case("order: reset", LOST, _PUBLISH, _reset),
    _case("order: no answer", NO_ANSWER, _PUBLISH, _hang),
    _case("connect: no MQTT 5", REJECTED, _CONNECT, write(Kind.CONNACK, b"\0\1")),
    _case("connect: MQTT 5 not wanted", REJECTED, _CONNECT, _came(0x84)),
    _case("connect: wrong password", DENIED, _CONNECT, _came(0x86)),
    _case("connect: not allowed", DENIED, _CONNECT, _came(0x87)),
    _case("connect: banned", DENIED, _CONNECT, _came(0x8A)),
    _case("connect: not available", NOT_TAKEN, _CONNECT, _came(0x88)),
    _case("connect: busy", NOT_TAKEN, _CONNECT, _came(0x89)),
    _case("connect: too often", SLOW_DOWN, _CONNECT, _came(0x9F)),
    _case("connect: elsewhere", REJECTED, _CONNECT, _came(0x9D)),
    _case("connect: without a code", CUT_OFF, _CONNECT, write(Kind.CONNACK)),
    _case("connect: HTTP", SILENT, _CONNECT, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    _case("connect: impossible length", CUT_OFF, _CONNECT, b"\x20\xff\xff\xff\xff\x01"),
    _case("connect: closed", CUT_OFF, _CONNECT, _close),
    _case("connect: no answer", SILENT, _CONNECT, _hang),
    _case("listen: not allowed", DENIED, _SUBSCRIBE, suback(0x87)),
    _case("listen: no wildcards", REJECTED, _SUBSCRIBE, suback(0xA2)),
    _case("listen: reset", CUT_OFF, _SUBSCRIBE, _reset),
    _case("listen: no answer", SILENT, _SUBSCRIBE, _hang),
    _world("untrusted certificate", (Result.PERMANENT, Reason.TLS), "tls"),
    _world("no such name", (Result.TEMPORARY, Reason.DNS), "dns"),
    _world("connection refused", CUT_OFF, "refused"),
]
