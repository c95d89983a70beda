"""``dispatcher emit``: publish an incident event as a control-room system would, and wait for the receipt."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import aiomqtt
import typer
from rich.console import Console

from dispatcher.intake.mqtt import MqttSettings, client_for
from dispatcher.model.cap import Realm
from dispatcher.model.errors import DispatcherError, Unreadable
from dispatcher.model.incident import read_json
from dispatcher.settings import load

console = Console()


class NoReceipt(DispatcherError):
    """The event was published, but nobody confirmed that it is on disk."""


def emit(
    file: Path, *, config: Path | None, broker: str, username: str | None, password_file: Path | None, timeout: float
) -> None:
    """Publish ``file`` and print the receipt; exits 1 where the event was not taken."""
    payload = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    settings, realm = _broker(config, broker, username, password_file, payload)
    with console.status("waiting for the receipt ..."):
        receipt = asyncio.run(publish(settings, realm, payload, timeout))
    console.print_json(data=receipt)
    if receipt["state"] not in ("journaled", "duplicate"):
        raise typer.Exit(1)


def _broker(
    config: Path | None, broker: str, username: str | None, password_file: Path | None, payload: bytes
) -> tuple[MqttSettings, Realm]:
    """Broker and realm from the configuration, else from the options and the event's own status."""
    if config is not None:
        loaded = load(config)
        if loaded.broker is None:
            raise typer.BadParameter("this configuration names no broker", param_hint="--config")
        return loaded.broker, loaded.deployment.realm
    status = _peek(payload).get("status")
    return (
        MqttSettings(url=broker, username=username, password_file=password_file),
        Realm.LIVE if status == "actual" else Realm.EXERCISE,
    )


def _peek(payload: bytes) -> dict[str, Any]:
    try:
        return read_json(payload)
    except Unreadable:
        return {}  # the daemon shall say what is wrong, not this command


async def publish(settings: MqttSettings, realm: Realm, payload: bytes, seconds: float) -> dict[str, Any]:
    """Publish ``payload`` at QoS 1; the receipt with its digest. Raises `NoReceipt` after ``seconds``."""
    source = re.sub(r"[/#+\0]", "-", str(_peek(payload).get("source") or "emit"))
    digest = hashlib.sha256(payload).hexdigest()
    client = client_for(settings, f"dispatcher-emit-{digest[:12]}", manual_ack=False, keep_session=False)
    try:
        async with asyncio.timeout(seconds), client:
            await client.subscribe(f"{settings.prefix_out}/{realm}/receipts/{source}", qos=1)
            await client.publish(f"{settings.prefix_in}/{realm}/{source}/incidents", payload, qos=1)
            async for message in client.messages:
                receipt: dict[str, Any] = json.loads(bytes(message.payload))
                if receipt["sha256"] == digest:
                    return receipt
    except TimeoutError:
        raise NoReceipt(f"no receipt within {seconds:g} s: is a daemon of realm {realm} connected?") from None
    except aiomqtt.MqttError as error:
        raise NoReceipt(f"broker {settings.url}: {error}") from None
    raise NoReceipt("the broker closed the connection")
