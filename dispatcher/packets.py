"""MQTT 5 control packets as bytes, as far as an order, its broker and its confirmation need them (OASIS MQTT 5.0, 2 and 3).

Intake has aiomqtt for that, which connects on the thread pool that all share: a handful of brokers that do not answer
would keep every other channel's broker waiting. Whoever reads and writes these stays on the event loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import IntEnum

MOST = 65_535  # bytes of a text, and of a packet that we let in

_CLEAN_START, _PASSWORD, _USERNAME = 0x02, 0x40, 0x80
_KEEP_ALIVE = 60  # seconds; nobody here stays as long
_JUST_NEWS = 0x20 | 0x04  # of a subscription, at QoS 0: nothing retained, nothing of our own
_JSON = "application/json"


class Kind(IntEnum):
    """The kinds of packets that are read or written here."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    DISCONNECT = 14


_REASON_AT = {Kind.CONNACK: 1, Kind.SUBACK: -1, Kind.PUBACK: 2, Kind.DISCONNECT: 0}
_MAY_BE_SILENT = {Kind.PUBACK, Kind.DISCONNECT}  # without a reason code they say success


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it came: its kind's number, the four flags beside it, and everything after the length."""

    kind: int
    flags: int
    body: bytes

    @property
    def reason(self) -> int:
        """The reason code of an answer, 128 and more for a refusal; raises `ValueError` where it lacks one."""
        kind = Kind(self.kind)
        try:
            return self.body[_REASON_AT[kind]]
        except IndexError:
            if kind in _MAY_BE_SILENT:
                return 0
            raise ValueError(f"{kind.name} without a reason code") from None


@dataclass(frozen=True, slots=True)
class Message:
    """What a PUBLISH carries; ``identifier`` asks for a PUBACK with the same, 0 asks for none (QoS 0)."""

    topic: str
    payload: bytes
    identifier: int = 0
    retain: bool = False


async def read(reader: asyncio.StreamReader) -> Packet:
    """The next packet; raises `ValueError` where it is none or longer than `MOST`, `EOFError` where nothing comes."""
    [head] = await reader.readexactly(1)
    length = 0
    for place in range(4):
        [digit] = await reader.readexactly(1)
        length |= (digit & 0x7F) << 7 * place
        if digit < 0x80:
            break
    if digit >= 0x80 or length > MOST:
        raise ValueError(f"a packet of more than {MOST} bytes")
    return Packet(head >> 4, head & 0x0F, await reader.readexactly(length))


def write(kind: Kind, body: bytes = b"", flags: int = 0) -> bytes:
    """A whole packet."""
    return bytes([kind << 4 | flags]) + _number(len(body)) + body


def connect(username: str = "", password: str = "") -> bytes:
    """CONNECT without a past and without a future: a new session under a name of the broker's choice."""
    flags = _CLEAN_START | (_USERNAME if username else 0) | (_PASSWORD if password else 0)
    properties = b"\x27" + MOST.to_bytes(4)  # longer packets are dropped before they come here
    words = b"".join(map(_text, ["", *filter(None, (username, password))]))
    return write(Kind.CONNECT, _text("MQTT") + bytes([5, flags]) + _KEEP_ALIVE.to_bytes(2) + _sized(properties) + words)


def subscribe(topic_filter: str, identifier: int = 1) -> bytes:
    """SUBSCRIBE to what is said from now on, by others."""
    body = identifier.to_bytes(2) + _sized(b"") + _text(topic_filter) + bytes([_JUST_NEWS])
    return write(Kind.SUBSCRIBE, body, flags=0x02)


def publish(message: Message, *, seconds: int = 0) -> bytes:
    """PUBLISH of JSON; ``seconds`` is how long a broker may keep it for whoever is away, 0 for as long as it likes."""
    expiry = b"\x02" + seconds.to_bytes(4) if seconds else b""
    properties = b"\x01\x01" + expiry + b"\x03" + _text(_JSON)
    identifier = message.identifier.to_bytes(2) if message.identifier else b""
    body = _text(message.topic) + identifier + _sized(properties) + message.payload
    return write(Kind.PUBLISH, body, flags=(0x02 if identifier else 0) | message.retain)


def published(packet: Packet) -> Message:
    """What a PUBLISH carries; raises `ValueError` where its lengths cannot be."""
    topic, rest = _split(packet.body)
    identifier, rest = (int.from_bytes(rest[:2]), rest[2:]) if packet.flags & 0x06 else (0, rest)
    return Message(topic, _after_properties(rest), identifier, bool(packet.flags & 0x01))


def subscribed(packet: Packet) -> tuple[int, str]:
    """Identifier and first topic filter of a SUBSCRIBE; raises `ValueError` where its lengths cannot be."""
    return int.from_bytes(packet.body[:2]), _split(_after_properties(packet.body[2:]))[0]


def _number(value: int) -> bytes:
    """A length of one to four bytes, seven bits in each (1.5.5)."""
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _sized(properties: bytes) -> bytes:
    return _number(len(properties)) + properties


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > MOST:
        raise ValueError(f"a text of more than {MOST} bytes")
    return len(data).to_bytes(2) + data


def _split(data: bytes) -> tuple[str, bytes]:
    """A text and what follows it."""
    end = 2 + int.from_bytes(data[:2])
    if len(data) < end:
        raise ValueError("a text is longer than its packet")
    return data[2:end].decode(), data[end:]


def _after_properties(data: bytes) -> bytes:
    length = 0
    for place, digit in enumerate(data[:4]):
        length |= (digit & 0x7F) << 7 * place
        if digit < 0x80:
            rest = data[place + 1 :]
            if length <= len(rest):
                return rest[length:]
            break
    raise ValueError("properties are longer than their packet")
