"""Faults to plant in a daemon before it runs, so that tests can show that they would see them."""

from __future__ import annotations

import os
import threading
from functools import partial

from sqlalchemy import Connection, Engine, event

from dispatcher.channels import webhook
from dispatcher.intake import mqtt


def never_flush() -> None:
    """A journal with ``synchronous=OFF``."""

    @event.listens_for(Engine, "engine_connect")
    def _off(connection: Connection) -> None:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("PRAGMA synchronous=OFF").close()


def acknowledge_at_once() -> None:
    """An MQTT client that acknowledges what it has in memory, as aiomqtt does by itself."""
    mqtt.client_for = partial(mqtt.client_for, manual_ack=False)  # type: ignore[assignment]


def hold_the_loop(seconds: float | None = None, **environment: str) -> None:
    """A webhook channel that signs for ``seconds``, or for ever, on the loop's own thread; ``environment`` is added."""
    os.environ.update(environment)
    sign = webhook.signature

    def hold(key: bytes, identifier: str, timestamp: int, body: bytes) -> str:
        threading.Event().wait(seconds)
        return sign(key, identifier, timestamp, body)

    webhook.signature = hold
