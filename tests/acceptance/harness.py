"""The daemon as a process, the world outside it: a broker, receivers on hosts of their own, and eyes on the journal."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self

import aiohttp
from integration.broker import Mosquitto
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from ruamel.yaml import YAML

from dispatcher.settings import shipped_playbooks

PASSWORD = {"DISPATCHER_MQTT_PASSWORD": Mosquitto.password}
SECRET = {"HOOK_SECRET": "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"}
READY_SECONDS = 60


def event(number: str = "1", **changes: Any) -> dict[str, Any]:
    """An incident event of an exercise that the shipped playbook ``amok`` matches."""
    return {
        "v": 1, "id": number, "source": "leitstelle", "incident": f"incident-{number}", "status": "exercise",
        "kind": "amok", "sent": datetime.now(UTC).isoformat(), "place": "Schulzentrum", "severity": "extreme",
        "area": {"regions": ["leer"]}, **changes,
    }  # fmt: skip


Answer = Callable[["Arrival"], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that reached a receiver."""

    channel: str
    key: str
    data: Mapping[str, Any]
    at: float


@dataclass(slots=True)
class Receivers:
    """Webhook receivers, each a host of its own on 127.x.y.z; ``answers`` replaces a channel's answer."""

    port: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _hooks: dict[int, Callable[[], None]] = field(default_factory=dict)

    def at(self, number: int, hook: Callable[[], None]) -> None:
        """Call ``hook`` when request ``number`` has come, before it is answered."""
        self._hooks[number] = hook

    def channels(self, count: int, **common: Any) -> dict[str, Any]:
        """Configuration of ``count`` channels c0, c1, ... that speak to these receivers."""
        return {
            f"c{n}": {
                "kind": "webhook", "realm": "exercise", "secret_env": "HOOK_SECRET", **common,
                "url": f"http://127.{1 + n // 60_000}.{n // 250 % 240}.{n % 250 + 1}:{self.port}/c{n}",
            }
            for n in range(count)
        }  # fmt: skip

    def reached(self, incident: str | None = None) -> Counter[str]:
        """How many requests each channel has had."""
        return Counter(a.channel for a in self.arrivals if incident in (None, a.data.get("incident")))

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until ``condition`` holds; it is asked again after every arrival."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self.changed.wait()

    def arrived(self, channel: str, key: str, body: bytes) -> Awaitable[int] | None:
        """Note a request; what is to be awaited for its status, None for an immediate 200."""
        arrival = Arrival(channel, key, json.loads(body)["data"], asyncio.get_running_loop().time())
        self.arrivals.append(arrival)
        self.changed.set()
        if hook := self._hooks.get(len(self.arrivals)):
            hook()
        answer = self.answers.get(channel)
        return answer(arrival) if answer else None


class _Receiver(asyncio.Protocol):
    """As much of HTTP/1.1 as a webhook needs, and quick, so that it is never the receiver that a test measures."""

    def __init__(self, state: Receivers) -> None:
        self._state, self._buffer = state, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, gap, body = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(headers.get("content-length", 0))
        if not gap or len(body) < length:
            return
        self._buffer = body[length:]
        answer = self._state.arrived(lines[0].split()[1].strip("/"), headers["webhook-id"], body[:length])
        if answer is None:
            self._answer(200)
        else:
            self._task = asyncio.ensure_future(self._answer_later(answer))

    def connection_lost(self, exc: Exception | None) -> None:
        if task := getattr(self, "_task", None):
            task.cancel()

    async def _answer_later(self, answer: Awaitable[int]) -> None:
        self._answer(await answer)

    def _answer(self, status: int) -> None:
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        self._transport.write(head.encode())  # type: ignore[attr-defined]


@asynccontextmanager
async def receivers() -> AsyncIterator[Receivers]:
    """Receivers that listen until the block ends."""
    state = Receivers()
    # On every address, for every 127.x.y.z is a host of its own here; no test asks for any other.
    server = await asyncio.get_running_loop().create_server(lambda: _Receiver(state), "0.0.0.0", 0, backlog=4096)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()


class Forked(Protocol):
    """What the harness needs of a process; `acceptance.forks` brings one that starts quickly."""

    returncode: int | None

    def send_signal(self, signal: int) -> None:
        """Send it a signal."""

    def kill(self) -> None:
        """Send it a kill."""

    async def wait(self) -> int:
        """Its exit code, negative where a signal ended it."""


class Daemon:
    """``dispatcher run`` on a configuration of its own; `kill`, `stop` and `start` are for the tests between."""

    def __init__(
        self,
        folder: Path,
        broker: Mosquitto,
        channels: Mapping[str, Any],
        port: int,
        *,
        protocol: str = "5",
        link: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """``link`` adds to the broker's settings, ``more`` to all."""
        self.folder, self.journal_path = folder, folder / "journal.sqlite"
        self.url = f"http://127.0.0.1:{port}"
        self.token, self.other = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        people = {"Tester": self.token, "Second": self.other}
        tokens = [_token_entry(person, token) for person, token in people.items()]
        YAML().dump({"tokens": tokens}, folder / "tokens.yaml")
        self.process: asyncio.subprocess.Process | Forked | None = None
        self.config = folder / "dispatcher.yaml"
        books = folder / "playbooks"
        if not books.is_dir():  # alike incidents in a row are many here, and none is the same
            books.mkdir()
            for book in shipped_playbooks().glob("*.yaml"):
                (books / book.name).write_text(book.read_text() + "\nsame_within: never\n")
        config = {
            "realm": "exercise", "release_override": "automatic", "sender": {"name": "Polizei Beispiel"},
            "broker": {
                "url": broker.url, "username": broker.username, "password_env": "DISPATCHER_MQTT_PASSWORD",
                "keepalive": 5, "protocol": protocol, **(link or {}),
            },
            "journal": {"path": str(self.journal_path)},
            "console": {"port": port, "tokens_file": str(folder / "tokens.yaml")},
            "regions": [{"id": "leer", "name": "Leer", "ags": "03457"}, {"id": "emden", "name": "Emden", "ags": "03402"}],
            "channels": dict(channels), **more,
        }  # fmt: skip
        YAML().dump({k: v for k, v in config.items() if v is not None}, self.config)

    async def start(self) -> None:
        """Start it; connected, recovered and taking events on return."""
        await self.spawn()
        await self.until_ready()

    async def spawn(self, *wrapper: str, program: Sequence[str] = ("-m", "dispatcher"), **environment: str) -> None:
        """Start its process, below ``wrapper``, without waiting for anything."""
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *wrapper, sys.executable, *program, "run", str(self.config),
                stdout=log, stderr=log, env={**os.environ, **PASSWORD, **SECRET, **environment},
            )  # fmt: skip

    async def until_ready(self) -> None:
        """Wait until it is connected, recovered and taking events."""
        assert self.process is not None
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                assert self.process.returncode is None, self.log()
                await asyncio.sleep(0.02)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def log(self) -> str:
        """Everything it has said."""
        return (self.folder / "daemon.log").read_text()

    async def end(self, how: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()

    def kill_now(self) -> None:
        """Send the kill without waiting for the end."""
        assert self.process is not None
        self.process.kill()

    async def kill(self) -> None:
        """End it with kill -9."""
        await self.end(signal.SIGKILL)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end(signal.SIGKILL)

    async def api(self, method: str, path: str, body: Any = None, *, token: str = "") -> tuple[int, Any]:
        """Call the HTTP interface; status and JSON."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.url}/api/v1/{path}", json=body) as response,
        ):
            return response.status, await response.json(content_type=None)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the journal's file as any other reader would."""
        connection = sqlite3.connect(f"file:{self.journal_path}?mode=ro", uri=True)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def states(self) -> Counter[str]:
        """Deliveries by state."""
        return Counter(dict(self.rows("SELECT state, count(*) FROM deliveries GROUP BY state")))

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until ``condition`` on the journal holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.05)


def one_playbook(folder: Path) -> None:
    """Make a daemon's folder with the smallest playbook for `event`, which makes it start in half the time."""
    said = {"headline": "{{ place }}", "long": "Polizeieinsatz in {{ place }}.", "short": "Polizei: {{ place }}"}
    texts = {purpose: {"de": said} for purpose in ("alert", "update", "all_clear", "false_alarm")}
    book = {
        "playbook": "amok", "title": "Amok", "match": {"kind": ["amok"]}, "severity": "extreme", "release": "automatic",
        "public_place": True, "same_within": "never", "languages": ["de"], "texts": texts,
    }  # fmt: skip
    (folder / "playbooks").mkdir(parents=True)
    (folder / "playbooks" / "amok.yaml").write_text(json.dumps(book))


def _token_entry(person: str, token: str) -> dict[str, str]:
    digest = hashlib.sha256(token.encode()).hexdigest()
    at = datetime.now(UTC).isoformat()
    return {"id": person.lower(), "sha256": digest, "role": "supervisor", "person": person, "created_at": at}


async def publish(
    broker: Mosquitto, payloads: Sequence[bytes | dict[str, Any]], *, retain: bool = False, prefix: str = "control-room"
) -> None:
    """Publish incident events as a control-room system would: QoS 1, confirmed by the broker."""
    async with broker.client() as client:
        for payload in payloads:
            data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            await client.publish(f"{prefix}/exercise/leitstelle/incidents", data, qos=1, retain=retain)


async def waiting_session(broker: Mosquitto, node: str, *, prefix: str) -> None:
    """Make the session of the daemon ``node`` before it ever connects, so that events wait for it at the broker."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    name = f"dispatcher-exercise-{node}"
    async with broker.client(identifier=name, clean_start=False, properties=properties) as client:
        await client.subscribe(f"{prefix}/exercise/+/incidents", qos=1)
