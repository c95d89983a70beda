"""What one would write in an afternoon, and the bound of what the same libraries can do: see plain_script.py."""

from __future__ import annotations

import contextlib
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.contestants.base import START_SECONDS, Field, Running, over_mqtt
from benchmarks.machine import process, says

_TOPIC = "plain/incidents"


@contextlib.asynccontextmanager
async def running(field: Field) -> AsyncIterator[Running]:
    """The script, once it is subscribed."""
    settings = {"port": field.broker.port, "username": field.broker.username, "password": field.broker.password}
    (field.directory / "plain.json").write_text(json.dumps(settings | {"topic": _TOPIC, "urls": field.urls}))
    script = str(Path(__file__).with_name("plain_script.py"))
    async with process(
        sys.executable, script, str(field.directory / "plain.json"), stdout=PIPE, env=field.environment
    ) as started:
        assert started.stdout
        await says(started.stdout, b"ready", START_SECONDS)
        yield over_mqtt(field, started.pid, _TOPIC)
