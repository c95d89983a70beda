"""MQTT packets as bytes: what is written is what the standard says, what is read may be anything."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.packets import (
    MOST,
    Kind,
    Message,
    Packet,
    connect,
    publish,
    published,
    read,
    subscribe,
    subscribed,
    write,
)

TOPICS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def reading(data: bytes) -> Packet:
    """What is read of ``data``, after which the other side has gone."""

    async def one() -> Packet:
        """The first packet."""
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read(reader)

    return asyncio.run(one())


def test_packets_are_those_of_the_standard() -> None:
    """CONNECT, SUBSCRIBE, PUBLISH and DISCONNECT stand byte for byte as sections 3.1, 3.8, 3.3 and 3.14 have them."""
    size = b"\x27\x00\x00\xff\xff"  # Maximum Packet Size
    assert connect() == b"\x10\x12\0\x04MQTT\x05\x02\0\x3c\x05" + size + b"\0\0"
    assert connect("u", "pw") == b"\x10\x19\0\x04MQTT\x05\xc2\0\x3c\x05" + size + b"\0\0\0\x01u\0\x02pw"
    assert subscribe("a/#") == b"\x82\x09\0\x01\0\0\x03a/#\x24"
    kind = b"\x01\x01\x02\0\0\0\x3c\x03\0\x10application/json"  # UTF-8, a minute, JSON
    assert publish(Message("t", b"{}", 1), seconds=60) == b"\x32\x22\0\x01t\0\x01\x1a" + kind + b"{}"
    assert write(Kind.DISCONNECT) == b"\xe0\0"


@pytest.mark.parametrize("length", [0, 127, 128, 16_383, 16_384, MOST])
def test_every_length_is_read_as_it_was_written(length: int) -> None:
    """Lengths of one to three bytes come back, up to the limit."""
    assert reading(write(Kind.PUBLISH, bytes(length), 5)) == Packet(Kind.PUBLISH, 5, bytes(length))


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x02a", b"\x30\x80"])
def test_what_ends_too_soon_is_said(data: bytes) -> None:
    """Half a packet is none."""
    with pytest.raises(EOFError):
        reading(data)


@pytest.mark.parametrize("data", [write(Kind.PUBLISH, bytes(MOST + 1)), b"\x30\xff\xff\xff\xff"])
def test_what_is_too_long_is_not_waited_for(data: bytes) -> None:
    """A length over the limit, or one that has no end, is refused before its body comes."""
    with pytest.raises(ValueError, match="more than 65535"):
        reading(data[:5])


@given(TOPICS, st.binary(max_size=300), st.integers(0, 65_535), st.integers(0, 2**32 - 1))
def test_a_message_comes_back(topic: str, payload: bytes, identifier: int, seconds: int) -> None:
    """Whatever is published is what is heard."""
    message = Message(topic, payload, identifier)
    assert published(reading(publish(message, seconds=seconds))) == message


@given(st.binary(max_size=60), st.integers(0, 15))
def test_nonsense_is_a_value_error(body: bytes, flags: int) -> None:
    """Whatever stands in a packet, reading it gives a message or says that it is none."""
    for read_as in (published, subscribed):
        try:
            read_as(Packet(Kind.PUBLISH, flags, body))
        except ValueError:
            continue


def test_a_subscription_comes_back() -> None:
    """Identifier and filter, as they were asked for."""
    assert subscribed(reading(subscribe("sirens/+/acks", 7))) == (7, "sirens/+/acks")


def test_silence_is_success_only_where_the_standard_says_so() -> None:
    """PUBACK and DISCONNECT may leave their code out; CONNACK and SUBACK may not."""
    assert Packet(Kind.PUBACK, 0, b"\0\1").reason == Packet(Kind.DISCONNECT, 0, b"").reason == 0
    assert Packet(Kind.PUBACK, 0, b"\0\1\x87").reason == 0x87
    for kind in (Kind.CONNACK, Kind.SUBACK):
        with pytest.raises(ValueError, match="without a reason code"):
            assert Packet(kind, 0, b"").reason


def test_a_text_that_no_packet_can_carry_is_refused() -> None:
    """A user name or password of more than 65,535 bytes is found when it is written."""
    with pytest.raises(ValueError, match="a text of more than"):
        connect("u", "x" * 65_536)
