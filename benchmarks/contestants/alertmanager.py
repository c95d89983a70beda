"""Prometheus Alertmanager: one receiver with a webhook for each channel, each incident a group of its own, no waiting.

It knows no MQTT. A bridge would only add its own time, so alerts are posted to its API directly: it is spared the broker.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Sequence

from benchmarks.contestants.base import PLACE, START_SECONDS, Field, Running
from benchmarks.machine import answers, needed, process, program
from dispatcher.intake.embedded import free_port

_NAMES = ("prometheus-alertmanager", "alertmanager")


def missing() -> str:
    """Why it cannot be measured here."""
    return "" if program(*_NAMES) else "Alertmanager is not installed (prometheus-alertmanager)"


@contextlib.asynccontextmanager
async def running(field: Field) -> AsyncIterator[Running]:
    """The server with a store of its own and without a cluster, once it is ready."""
    port, config = free_port(), field.directory / "alertmanager.yml"
    config.write_text(json.dumps(_settings(field.urls)))
    options = {
        "config.file": config,
        "storage.path": field.directory / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "cluster.listen-address": "",
    }
    command = (needed(*_NAMES), *(f"--{name}={value}" for name, value in options.items()))
    path = field.directory / "log"
    with path.open("wb") as log:
        async with process(*command, stdout=log, stderr=log) as started:
            await answers(started, path, port, "/-/ready", START_SECONDS)
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                yield Running(started.pid, lambda incidents: _post(connection, incidents))


def _settings(urls: Sequence[str]) -> dict[str, object]:
    route = {"receiver": "all", "group_by": ["incident"], "group_wait": "0s", "group_interval": "5m"}
    hooks = [{"url": url, "send_resolved": False} for url in urls]
    return {"route": {**route, "repeat_interval": "4h"}, "receivers": [{"name": "all", "webhook_configs": hooks}]}


def _post(connection: socket.socket, incidents: Sequence[str]) -> float:
    """Post all of them in one request, over a connection that is open already."""
    text = {"summary": f"Polizeieinsatz in {PLACE}. " * 8}
    body = json.dumps(
        [{"labels": {"alertname": "benchmark", "incident": one}, "annotations": text} for one in incidents]
    )
    head = (
        "POST /api/v2/alerts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    start = time.monotonic()
    connection.sendall((head + body).encode())
    if b" 200 " not in (answer := connection.recv(65_536)):
        raise ConnectionError(f"Alertmanager refused an alert: {answer[:200]!r}")
    return start
