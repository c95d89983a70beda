"""``dispatcher emit``: publish an incident event as a control-room system would, and wait for the receipt."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import typer
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from rich.console import Console

from dispatcher.cli.rehearse import rehearse
from dispatcher.cli.sign import signed
from dispatcher.intake.base import SIGNATURE_PROPERTIES
from dispatcher.intake.mqtt import MqttSettings, client_for
from dispatcher.model.cap import Realm
from dispatcher.model.errors import DispatcherError, Unreadable
from dispatcher.model.incident import read_json
from dispatcher.settings import Loaded, load

console = Console()


class NoReceipt(DispatcherError):
    """The event was published, but nobody confirmed that it is on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """As whom a message is sent: the source's name, its topic where it has one of its own, and its signature."""

    source: str
    topic: str = ""
    signature: str = ""
    key_id: str = ""


def emit(
    file: Path, *, config: Path | None, broker: str, username: str | None, password_file: Path | None, timeout: float,
    source: str = "", dry_run: bool = False, key_file: Path | None = None, key_id: str = "",
) -> None:  # fmt: skip
    """Publish ``file`` and print the receipt; exits 1 where the event was not taken. ``dry_run`` only tells."""
    payload = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    name = source or _named(payload)
    loaded = load(config) if config is not None else None
    if dry_run:
        _tell(payload, name, loaded)
        return
    settings, realm = _broker(loaded, broker, username, password_file, payload)
    sending = Sending(
        source=name, topic=_own_topic(name, loaded), signature=signed(payload, key_file) if key_file else "",
        key_id=key_id or (key_file.stem if key_file else ""),
    )  # fmt: skip
    with console.status("waiting for the receipt ..."):
        receipt = asyncio.run(publish(settings, realm, payload, timeout, sending))
    console.print_json(data=receipt)
    if receipt["state"] not in ("journaled", "duplicate"):
        raise typer.Exit(1)


def _tell(payload: bytes, name: str, loaded: Loaded | None) -> None:
    """Print what would become of it; exits 1 where it is no event."""
    if loaded is None:
        raise typer.BadParameter("give --config, which says how it is read", param_hint="--dry-run")
    found = rehearse(payload, name, loaded)
    console.print_json(data=found, default=str)
    if found["state"] != "journaled":
        raise typer.Exit(1)


def _own_topic(name: str, loaded: Loaded | None) -> str:
    found = loaded.deployment.sources.get(name) if loaded else None
    topic = found.topic if found else ""
    if {*"#+"} & {*topic}:
        raise typer.BadParameter(
            f"{topic} is a filter, not a topic: publish with the source's own means", param_hint="--source"
        )
    return topic


def _broker(
    loaded: Loaded | None, broker: str, username: str | None, password_file: Path | None, payload: bytes
) -> tuple[MqttSettings, Realm]:
    """Broker and realm from the configuration, else from the options and the event's own status."""
    if loaded is not None:
        if loaded.broker is None:
            raise typer.BadParameter("this configuration names no broker", param_hint="--config")
        return loaded.broker, loaded.deployment.realm
    status = _peek(payload).get("status")
    return (
        MqttSettings(url=broker, username=username, password_file=password_file),
        Realm.LIVE if status == "actual" else Realm.EXERCISE,
    )


def _named(payload: bytes) -> str:
    """The source that an event says it is from, as one level of a topic."""
    return re.sub(r"[/#+\0]", "-", str(_peek(payload).get("source") or "emit"))


def _peek(payload: bytes) -> dict[str, Any]:
    try:
        return read_json(payload)
    except Unreadable:
        return {}  # the daemon shall say what is wrong, not this command


async def publish(
    settings: MqttSettings, realm: Realm, payload: bytes, seconds: float, sending: Sending | None = None
) -> dict[str, Any]:
    """Publish ``payload`` at QoS 1; the receipt with its digest. Raises `NoReceipt` after ``seconds``."""
    sending = sending or Sending(source=_named(payload))
    source, topic = sending.source, sending.topic or f"{settings.prefix_in}/{realm}/{sending.source}/incidents"
    properties = None
    if sending.signature and settings.protocol == "5":
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = list(zip(SIGNATURE_PROPERTIES, (sending.signature, sending.key_id), strict=True))
    digest = hashlib.sha256(payload).hexdigest()
    client = client_for(settings, f"dispatcher-emit-{digest[:12]}", manual_ack=False, keep_session=False)
    try:
        async with asyncio.timeout(seconds), client:
            await client.subscribe(f"{settings.prefix_out}/{realm}/receipts/{source}", qos=1)
            await client.publish(topic, payload, qos=1, properties=properties)
            async for message in client.messages:
                receipt: dict[str, Any] = json.loads(bytes(message.payload))
                if receipt["sha256"] == digest:
                    return receipt
    except TimeoutError:
        raise NoReceipt(f"no receipt within {seconds:g} s: is a daemon of realm {realm} connected?") from None
    except aiomqtt.MqttError as error:
        raise NoReceipt(f"broker {settings.url}: {error}") from None
    raise NoReceipt("the broker closed the connection")
