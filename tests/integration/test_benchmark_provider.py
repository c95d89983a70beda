"""The benchmark's provider: it writes down what it got fails as it is told to, and what it saw decides whether a run counts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from benchmarks.contestants import Contestant, Field, Running
from benchmarks.course import Case, course
from benchmarks.measures import in_flight
from benchmarks.programme import Measure, carry_out
from benchmarks.recorder import Recorder, encrypted, recorder


@pytest_asyncio.fixture
async def provider(need: Any, tmp_path: Path) -> AsyncIterator[Recorder]:
    """A running provider that answers at once."""
    need("cc", "gcc", "clang")
    async with recorder(tmp_path) as running:
        running.reset(0)
        yield running


async def ask(
    provider: Recorder, host: str, incident: str, times: int = 1, tls: ssl.SSLContext | None = None
) -> list[bytes]:
    """Post about an incident to a host, over one connection; the heads of the answers."""
    reader, writer = await asyncio.open_connection(host, provider.port, ssl=tls)
    body = f'{{"incident":"{incident}","text":"{"x" * 9000}"}}'
    heads = []
    try:
        for _ in range(times):
            writer.write(f"POST / HTTP/1.1\r\nHost: {host}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2 if b" 200 " in head else 0)
            heads.append(head)
    finally:
        writer.close()
        await writer.wait_closed()
    return heads


async def test_every_request_is_written_down(provider: Recorder) -> None:
    """Each request is kept with its channel, its incident and its answer: repeats on one connection, too."""
    await ask(provider, "127.1.0.1", "bench-000000000001", 2)
    await ask(provider, "127.1.2.8", "bench-00000000000b")

    assert await provider.reached(3, 5)
    assert [(one.channel, one.incident, one.status) for one in (await provider.ledger()).arrivals] == [
        (0, "bench-000000000001", 200)
    ] * 2 + [(507, "bench-00000000000b", 200)]


async def test_over_tls_it_writes_down_the_same(tmp_path: Path) -> None:
    """Over TLS 1.3, with a certificate for each channel's address, requests are kept alike, and handshakes are counted."""
    async with encrypted(tmp_path, 3) as provider:
        provider.reset(0)
        tls = ssl.create_default_context(cafile=provider.authority)
        await ask(provider, "127.1.0.1", "bench-000000000001", 2, tls)
        await ask(provider, "127.1.0.3", "bench-00000000000b", 1, tls)

        assert await provider.reached(3, 5)
        assert not await provider.reached(4, 0.05)
        assert await provider.handshakes() == 2
        assert [(one.channel, one.incident, one.status) for one in (await provider.ledger()).arrivals] == [
            (0, "bench-000000000001", 200)
        ] * 2 + [(2, "bench-00000000000b", 200)]
        provider.reset(0)
        assert (await provider.ledger()).arrivals == []


async def test_what_was_not_asked_is_not_reached(provider: Recorder) -> None:
    """A request that never comes is said to be missing when the time is over, and a later wait starts afresh."""
    await ask(provider, "127.1.0.1", "bench-000000000001")

    assert not await provider.reached(2, 0.05)
    assert len((await provider.ledger()).arrivals) == 1
    assert await provider.reached(1, 5)


async def test_it_fails_as_it_is_told(provider: Recorder) -> None:
    """A limit refuses the first request of each channel, a refusal all of them, and a reset forgets both."""
    provider.limit(2)
    first, second = await ask(provider, "127.1.0.1", "bench-000000000001", 2)
    provider.refuse(3600)
    (third,) = await ask(provider, "127.1.0.2", "bench-000000000001")
    statuses = [one.status for one in (await provider.ledger()).arrivals]
    provider.reset(0)
    (fourth,) = await ask(provider, "127.1.0.3", "bench-000000000001")

    assert b"429" in first
    assert b"Retry-After: 2\r\n" in first
    assert [b" 200 " in second, b" 503 " in third, b" 200 " in fourth] == [True, True, True]
    assert statuses == [429, 200, 503]


async def test_a_channel_that_hangs_is_never_answered(provider: Recorder) -> None:
    """Its request is written down without an answer, and others are answered."""
    provider.hang(0)
    hanging = asyncio.create_task(ask(provider, "127.1.0.1", "bench-000000000001"))
    async with asyncio.timeout(5):
        while not (ledger := await provider.ledger()).arrivals:
            await asyncio.sleep(0)
    await ask(provider, "127.1.0.2", "bench-000000000001")

    assert [one.status for one in ledger.arrivals] == [0]
    assert await provider.reached(1, 5)
    assert not hanging.done()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging


@contextlib.asynccontextmanager
async def eager(field: Field) -> AsyncIterator[Running]:
    """A contestant that asks the last channel twice."""

    def trigger(incidents: Sequence[str]) -> float:
        start = time.monotonic()
        for url in [*field.urls, field.urls[-1]]:
            urllib.request.urlopen(url, incidents[0].encode()).close()
        return start

    yield Running(os.getpid(), trigger)


async def test_a_contestant_that_doubles_a_request_has_no_figure(need: Any) -> None:
    """What was measured in a run that doubled a request is thrown away, and the run is named."""
    need("mosquitto")
    need("cc", "gcc", "clang")
    contestant = Contestant("eager", eager)
    async with course() as place:
        (result,) = await carry_out(place, Measure("in-flight", in_flight, (contestant,), [Case(3)], 1), (contestant,))

    assert result.failures == ["Faulty: of 3 requests 0 were lost and 1 doubled"]
    assert result.samples == {}
