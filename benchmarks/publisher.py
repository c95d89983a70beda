"""The control-room system of a benchmark: MQTT 3.1.1 on a bare socket, so that no library's time is measured."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence

SECONDS = 10.0  # in which the broker has taken what is written to it


class Publisher:
    """Publishes with QoS 1; what the broker acknowledges is read and not looked at, for the provider's ledger decides."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._number = 0

    def publish(self, topic: str, payloads: Sequence[bytes]) -> float:
        """Publish these back to back; returns the monotonic second before the first byte left."""
        data = b"".join(self._packet(topic.encode(), payload) for payload in payloads)
        self._drain()
        start = time.monotonic()
        self._connection.sendall(data)
        return start

    def _packet(self, topic: bytes, payload: bytes) -> bytes:
        self._number = self._number % 65_535 + 1
        body = _text(topic) + self._number.to_bytes(2) + payload
        return b"\x32" + _length(len(body)) + body

    def _drain(self) -> None:
        self._connection.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while self._connection.recv(65_536):
                pass
        self._connection.settimeout(SECONDS)


@contextlib.contextmanager
def publisher(port: int, username: str, password: str) -> Iterator[Publisher]:
    """A publisher that the broker of 127.0.0.1 has let in."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # MQTT 3.1.1, section 3.1: user name, password, clean session, no keep-alive.
        body = _text(b"MQTT") + b"\x04\xc2\x00\x00" + b"".join(
            _text(part.encode()) for part in ("publisher", username, password)
        )  # fmt: skip
        connection.sendall(b"\x10" + _length(len(body)) + body)
        if connection.recv(4) != b"\x20\x02\x00\x00":
            raise ConnectionError("the broker refused the publisher")
        yield Publisher(connection)


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2) + value


def _length(value: int) -> bytes:
    """A remaining length: seven bits a byte, the least first (section 2.2.3)."""
    encoded = bytearray()
    while True:
        value, digit = divmod(value, 128)
        encoded.append(digit | (128 if value else 0))
        if not value:
            return bytes(encoded)
