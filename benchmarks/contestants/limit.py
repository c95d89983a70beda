"""The limit of the machine with this broker and this provider: limit.c, which only moves bytes."""

from __future__ import annotations

import contextlib
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator

from benchmarks.contestants.base import START_SECONDS, Field, Running, over_mqtt
from benchmarks.machine import compiled, process, says

_TOPIC = "limit/incidents"


@contextlib.asynccontextmanager
async def running(field: Field) -> AsyncIterator[Running]:
    """The program, once it is subscribed."""
    broker, made = field.broker, compiled("limit", field.directory)
    where = (str(broker.port), broker.username, broker.password, _TOPIC, str(field.provider), str(field.channels))
    async with process(made, *where, stdout=PIPE) as started:
        assert started.stdout
        await says(started.stdout, b"ready", START_SECONDS)
        yield over_mqtt(field, started.pid, _TOPIC)
