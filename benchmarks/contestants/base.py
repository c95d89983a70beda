"""The port of a contestant, and what all of them are told."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.publisher import Publisher

SOURCE = "benchmark"
PLACE = "Lingen (Ems)"
START_SECONDS = 60.0  # a contestant that is not ready by then has failed


@dataclass(frozen=True)
class Broker:
    """Where the broker of 127.0.0.1 listens, and who it lets in."""

    port: int
    username: str
    password: str


@dataclass(frozen=True)
class Field:
    """What a contestant is given: a broker and its publisher, the provider's port, how many channels, a place for files."""

    broker: Broker
    publisher: Publisher
    provider: int
    channels: int
    directory: Path
    authority: Path | None = None  # who signed the provider's certificate, where it speaks TLS

    @property
    def urls(self) -> list[str]:
        """A host for each channel, all of them this machine."""
        scheme = "https" if self.authority else "http"
        return [f"{scheme}://{host(number)}:{self.provider}/" for number in range(self.channels)]

    @property
    def environment(self) -> dict[str, str]:
        """Ours, and whom to trust: OpenSSL takes its default authorities from this variable (SSL_CTX_set_default_verify_paths)."""
        return {**os.environ, **({"SSL_CERT_FILE": str(self.authority)} if self.authority else {})}


@dataclass(frozen=True)
class Running:
    """A contestant that is ready: its process, and how it is told of incidents, back to back.

    ``trigger`` returns the monotonic second before the first byte of the first event left.
    """

    pid: int
    trigger: Callable[[Sequence[str]], float]


@dataclass(frozen=True)
class Contestant:
    """A name, a way to start it that ends it on the way out, and why it cannot be measured here (empty where it can).

    ``audit(directory, count)`` raises `Faulty` where it has not kept what it promises to keep about ``count`` deliveries.
    """

    name: str
    running: Callable[[Field], AbstractAsyncContextManager[Running]]
    missing: Callable[[], str] = lambda: ""
    audit: Callable[[Path, int], None] = lambda _directory, _count: None


def host(channel: int) -> str:
    """The address of a channel's provider, as wire.h has it."""
    return f"127.1.{channel // 250}.{channel % 250 + 1}"


def over_mqtt(field: Field, pid: int, topic: str) -> Running:
    """A contestant that takes incident events from this topic."""
    return Running(pid, lambda incidents: field.publisher.publish(topic, [event(one) for one in incidents]))


def event(incident: str) -> bytes:
    """An incident event as a control-room system publishes it."""
    said = {"v": 1, "id": str(uuid.uuid4()), "source": SOURCE, "incident": incident, "kind": "benchmark"}
    return json.dumps(said | {"status": "exercise", "sent": datetime.now(UTC).isoformat(), "place": PLACE}).encode()
