"""A broker for evaluation: Mosquitto where it is installed, else amqtt, which pip alone can bring. Loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dispatcher.model.errors import DispatcherError

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
_PORTS = range(20_000, 32_000)
_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
"""


class NoBroker(DispatcherError):
    """Neither Mosquitto nor amqtt is there to be embedded."""


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A broker that runs as long as its context."""

    name: str
    url: str
    protocol: Literal["5", "3.1.1"]
    warning: str = ""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on, below those that outgoing connections take, lest one is faster."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port on 127.0.0.1")


def find_mosquitto() -> str | None:
    """Mosquitto's path, also where only root's PATH has it."""
    return shutil.which("mosquitto", path=_PATH)


@contextlib.asynccontextmanager
async def embedded_broker(*, amqtt: bool = False) -> AsyncIterator[EmbeddedBroker]:
    """Run a broker on a free loopback port; ``amqtt`` insists on the one that pip brings. Raises `NoBroker`."""
    port = free_port()
    mosquitto = None if amqtt else find_mosquitto()
    if mosquitto:
        async with _mosquitto(mosquitto, port) as broker:
            yield broker
    else:
        async with _amqtt(port) as broker:
            yield broker


@contextlib.asynccontextmanager
async def _mosquitto(path: str, port: int) -> AsyncIterator[EmbeddedBroker]:
    with tempfile.TemporaryDirectory(prefix="dispatcher-broker-") as folder:
        process = await asyncio.create_subprocess_exec(
            path, "-c", str(_write_config(Path(folder), port)),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await _until_listening(port)
            yield EmbeddedBroker("Mosquitto", f"mqtt://127.0.0.1:{port}", "5")
        finally:
            process.terminate()
            await process.wait()


def _write_config(folder: Path, port: int) -> Path:
    # Started by root, Mosquitto would become its own user, who cannot write into this folder.
    text = _CONFIG.format(port=port, folder=folder) + ("user root\n" if os.geteuid() == 0 else "")
    config = folder / "mosquitto.conf"
    config.write_text(text)
    return config


@contextlib.asynccontextmanager
async def _amqtt(port: int) -> AsyncIterator[EmbeddedBroker]:
    try:
        from amqtt.broker import Broker  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise NoBroker("no broker: install Mosquitto, or this package with the extra 'embedded'") from None
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })  # fmt: skip
    await broker.start()
    try:
        yield EmbeddedBroker(
            "amqtt", f"mqtt://127.0.0.1:{port}", "3.1.1",
            warning="amqtt is for evaluation only: MQTT 3.1.1, and what it holds is lost when it is killed.",
        )  # fmt: skip
    finally:
        await broker.shutdown()


async def _until_listening(port: int) -> None:
    """Until something accepts connections on ``port``; raises `NoBroker` after five seconds."""
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return
    raise NoBroker(f"Mosquitto did not open port {port} within 5 seconds")
