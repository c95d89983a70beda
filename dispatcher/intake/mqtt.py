"""Intake over MQTT, and status out over the same connection. The only file that knows aiomqtt for intake.

aiomqtt is asyncio-mqtt under its living name. By itself it acknowledges a message as soon as it is in memory; here paho's
manual acknowledgement is switched on before connecting, and a PUBACK leaves only after the journal's commit, in the order
of arrival. Broker's PUBACKs promise nothing end to end: the receipt does.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import to_json
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from dispatcher.clock import Clock
from dispatcher.intake.base import SIGNATURE_PROPERTIES, Inbound, Receipt
from dispatcher.intake.subscription import Losses, Subscription
from dispatcher.intake.topics import Topics
from dispatcher.intake.window import Window
from dispatcher.model.cap import Realm
from dispatcher.model.errors import JournalError
from dispatcher.model.playbook import Misplaced, Strict
from dispatcher.model.source import Source
from dispatcher.telemetry import BROKER, keep_secret, logger

log = logger("mqtt")

SESSION_SECONDS = 7 * 24 * 3600
AT_ONCE = 64  # events that are read and written side by side: a flood leaves the loop to what is on its way out
RECEIVE_MAXIMUM = 500
SHORT_LIFE = 5.0
MOST_WAIT = 5.0  # seconds between two tries to connect, or to subscribe to what was refused
BUSY_PAUSE = 0.5
OUT_LIMIT = 10_000
OUT_BATCH = 100
_ADDRESS = re.compile(r"^mqtts?://[^/\s]+$")


def _address(url: str) -> str:
    with suppress(ValueError):  # brackets without a partner, a port beyond 65535
        parts = urlsplit(url)
        if _ADDRESS.match(url) and parts.hostname and parts.port != 0:
            return url
    raise Misplaced((), "no host and port of a broker", "write it like mqtt://broker.example:1883")


class MqttSettings(Strict):
    """The broker that carries incident events in, receipts and status out."""

    url: Annotated[str, AfterValidator(_address)] = Field(
        description="mqtt://host[:1883] or mqtts://host[:8883]", json_schema_extra={"pattern": _ADDRESS.pattern}
    )
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    node: str = Field(default="node-1", pattern=r"^[A-Za-z0-9-]{1,32}$")
    keepalive: int = Field(
        default=7, ge=2, le=300, description="seconds; a silent broker is noticed after twice as many"
    )
    page_after: float = Field(default=15, ge=0, le=3600, description="seconds of trouble until staff are paged")
    prefix_in: str = Field(default="control-room", pattern=r"^[^#+\s]+$")
    prefix_out: str = Field(default="dispatcher", pattern=r"^[^#+\s]+$")
    ca_file: Path | None = Field(default=None, description="who signed the broker's certificate; else the system's")
    cert_file: Path | None = Field(default=None, description="our certificate, where the broker asks for one")
    key_file: Path | None = None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password_file and self.password_env:
            raise ValueError("give password_file or password_env, not both")
        if (self.ca_file or self.cert_file or self.key_file) and not self.url.startswith("mqtts:"):
            raise ValueError("certificates are for mqtts:// only")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together")
        return self

    @property
    def host(self) -> str:
        """The broker's host name."""
        return urlsplit(self.url).hostname or "localhost"

    @property
    def port(self) -> int:
        """The broker's port: as given, else the protocol's own."""
        parts = urlsplit(self.url)
        return parts.port or (8883 if parts.scheme == "mqtts" else 1883)

    def password(self) -> str | None:
        """The password, read where it is kept; raises `OSError` or `KeyError` where it is not."""
        if self.password_file:
            value = self.password_file.read_text().strip()
        elif self.password_env:
            value = os.environ[self.password_env]
        else:
            return None
        keep_secret(value)
        return value


def client_for(
    settings: MqttSettings, identifier: str, *,
    will: aiomqtt.Will | None = None, keep_session: bool = True, manual_ack: bool = True,
) -> aiomqtt.Client:  # fmt: skip
    """A client that keeps its session over restarts and acknowledges nothing by itself, unless told otherwise."""
    options: dict[str, Any] = {"clean_session": not keep_session}
    if settings.protocol == "5":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_SECONDS if keep_session else 0
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        options = {"clean_start": not keep_session, "properties": properties}
    client = aiomqtt.Client(
        settings.host, settings.port, identifier=identifier, username=settings.username, password=settings.password(),
        protocol=aiomqtt.ProtocolVersion.V5 if settings.protocol == "5" else aiomqtt.ProtocolVersion.V311,
        keepalive=settings.keepalive, timeout=10, will=will,
        tls_context=_tls(settings) if settings.url.startswith("mqtts:") else None, **options,
    )  # fmt: skip
    client.pending_calls_threshold = 2 * OUT_BATCH  # below it, a batch of ours is no cause for a warning
    client._client.manual_ack_set(manual_ack)  # noqa: SLF001 - aiomqtt has no public switch; held by a test on a real broker
    return client


def _tls(settings: MqttSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context


@dataclass(frozen=True, slots=True)
class _Out:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties | None = None


class MqttIntake:
    """Keeps one connection to the broker: events in, receipts and status out."""

    def __init__(
        self, settings: MqttSettings, realm: Realm, receive: Callable[[Inbound], Awaitable[Receipt]], clock: Clock, *,
        sources: Mapping[str, Source | None] | None = None, alive: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """``receive`` is the road; it acknowledges each `Inbound` itself once it is on disk. ``alive`` hears heartbeats."""
        self._settings, self._realm, self._receive, self._clock = settings, realm, receive, clock
        self._topics, self._alive = Topics(f"{settings.prefix_in}/{realm}", sources or {}), alive
        self._tasks: set[asyncio.Task[None]] = set()
        self._out: deque[_Out] = deque(maxlen=OUT_LIMIT)
        self._receipts: deque[_Out] = deque()
        self._wake, self._subscribe = asyncio.Event(), asyncio.Event()
        self._taking = True
        self._connected = asyncio.Event()
        self._subscription: Subscription | None = None
        self._losses = Losses()
        self._places = asyncio.Semaphore(AT_ONCE)

    @property
    def connected(self) -> bool:
        """Whether the connection stands and every subscription is made."""
        return self._connected.is_set() and self._subscription is not None and not self._subscription.refused

    @property
    def trouble(self) -> str:
        """Why events may not reach us, in words; empty where they do."""
        where = f"{self._settings.host}:{self._settings.port}"
        if self._losses.many:
            return f"the connection to {where} comes and goes: is another client named like us?"
        if not self._connected.is_set() or self._subscription is None:
            return f"no connection to {where}"
        refused = ", ".join(self._subscription.refused)
        return f"{where} refuses the subscription to {refused}" if refused else ""

    async def until_connected(self) -> None:
        """Wait for it."""
        await self._connected.wait()

    def topic_out(self, *levels: str) -> str:
        """A topic of ours."""
        return "/".join((self._settings.prefix_out, self._realm, *levels))

    def publish(self, topic: str, data: dict[str, Any], *, qos: int = 0, retain: bool = False) -> None:
        """Hand a status message out; while the broker is away the oldest give way beyond 10,000."""
        self._send(_Out(topic, to_json(data), qos, retain))

    def use(self, sources: Mapping[str, Source | None]) -> None:
        """Listen to these sources from now on; a new topic is subscribed to at once."""
        self._topics = Topics(self._topics.root, sources)
        self._subscribe.set()

    async def run(self) -> None:
        """Stay connected until cancelled; between connections wait with growing, random pauses."""
        while True:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((aiomqtt.MqttError, OSError, KeyError, ValueError)),  # the latter: no password
                wait=wait_random_exponential(multiplier=0.5, max=MOST_WAIT), before_sleep=_log_retry,
            ):  # fmt: skip
                with attempt:
                    await self._one_connection()

    async def close(self) -> None:
        """Stop acknowledging; what is being journaled may finish."""
        self._taking = False
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)

    async def _one_connection(self) -> None:
        """Live as long as one connection; raises `MqttError` where it was never good for anything."""
        node = self.topic_out("nodes", self._settings.node)
        will = aiomqtt.Will(node, json.dumps({"state": "offline"}), qos=1, retain=True)
        client = client_for(self._settings, f"dispatcher-{self._realm}-{self._settings.node}", will=will)
        window, started, subscription = Window(client), time.monotonic(), Subscription(client)
        try:
            async with client:
                await subscription.listen(self._topics.filters)
                self._subscription = subscription
                self._online(node)
                try:
                    await self._until_lost(client, window, subscription)
                finally:
                    await self._say_goodbye(client, node)
        except aiomqtt.MqttError:
            if time.monotonic() - started < SHORT_LIFE:
                raise
            log.warning("broker_lost")
        finally:
            window.open = False
            if self._connected.is_set():
                self._losses.note()
            self._connected.clear()
            BROKER.set(0)

    def _online(self, node: str) -> None:
        self._connected.set()
        BROKER.set(1)
        self._out.appendleft(_Out(node, json.dumps({"state": "online"}).encode(), 1, retain=True))
        self._wake.set()
        log.info("broker_connected", host=self._settings.host, port=self._settings.port, topics=self._topics.filters)

    async def _say_goodbye(self, client: aiomqtt.Client, node: str) -> None:
        if client._disconnected.done():  # noqa: SLF001 - no public question for it
            return
        try:
            await client.publish(node, json.dumps({"state": "offline"}), qos=1, retain=True, timeout=1)
        except aiomqtt.MqttError:
            log.debug("goodbye_unheard")

    async def _until_lost(self, client: aiomqtt.Client, window: Window, subscription: Subscription) -> None:
        """Where one part of it ends, all do: nobody goes on listening while nobody answers. Raises what it ended of."""
        work = (self._read(client, window), self._publish_all(client), self._follow(subscription))
        parts = [asyncio.create_task(one) for one in work]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            ended = await asyncio.gather(*parts, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _read(self, client: aiomqtt.Client, window: Window) -> None:
        async for message in client.messages:
            if self._taking:
                self._take(message, window)

    async def _follow(self, subscription: Subscription) -> None:
        """A reload brings topics and takes them away, and what was refused may be allowed later.

        Where the broker is away, the next connection listens to them.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MOST_WAIT if subscription.refused else None):
                    await self._subscribe.wait()
            self._subscribe.clear()
            try:
                await subscription.listen(self._topics.filters)
            except aiomqtt.MqttError as error:
                log.warning("subscription_waits", error=str(error))

    def _take(self, message: aiomqtt.Message, window: Window) -> None:
        source, heartbeat = self._topics.heard(str(message.topic))
        ack = window.arrived(message)
        if heartbeat:
            self._alive(source)
            ack()
            return
        payload = message.payload if isinstance(message.payload, bytes) else str(message.payload).encode()
        signature, key_id = (_property(message, name) for name in SIGNATURE_PROPERTIES)
        inbound = Inbound(
            source=source, payload=payload, received_at=self._clock.now(), retained=bool(message.retain),
            signature=signature, key_id=key_id, ack=ack, reply=lambda receipt: self._reply(message, receipt),
        )  # fmt: skip
        task = asyncio.create_task(self._until_journaled(inbound))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_journaled(self, inbound: Inbound) -> None:
        """A broker never sends again on a living connection, so what could not be written is tried again here."""
        for attempt in itertools.count(1):
            try:
                async with self._places:
                    await self._receive(inbound)
            except JournalError as error:
                if attempt == 1:  # a disk that is full shall not be filled with this line
                    log.warning("intake_waits", error=str(error))
                await asyncio.sleep(BUSY_PAUSE)
            else:
                return

    def _reply(self, message: aiomqtt.Message, receipt: Receipt) -> None:
        """The receipt goes to the source's receipt topic and, in MQTT 5, to where the message asked for it."""
        self._receipts.append(_Out(self.topic_out("receipts", receipt.source), receipt.to_json(), 1, retain=False))
        self._wake.set()
        topic = getattr(message.properties, "ResponseTopic", "")
        if not self._answerable(topic):
            return
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if correlation := getattr(message.properties, "CorrelationData", None):
            properties.CorrelationData = correlation
        self._receipts.append(_Out(topic, receipt.to_json(), 1, retain=False, properties=properties))

    def _answerable(self, topic: str) -> bool:
        """Whether a source may ask us to publish there: never on our own topics, nor where a broker would cut us off."""
        ours = (f"{self._settings.prefix_in}/", f"{self._settings.prefix_out}/", "$", "/")
        return 0 < len(topic) <= 200 and topic.count("/") < 20 and not topic.startswith(ours) and not {*"#+"} & {*topic}

    def _send(self, out: _Out) -> None:
        self._out.append(out)
        self._wake.set()

    async def _publish_all(self, client: aiomqtt.Client) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._receipts or self._out:
                await self._publish_receipts(client)
                batch = [self._out.popleft() for _ in range(min(OUT_BATCH, len(self._out)))]
                confirmed, loose = [out for out in batch if out.qos], [out for out in batch if not out.qos]
                for out in loose[:-1]:
                    self._hand_over(client, out)
                await asyncio.gather(*(self._publish(client, out) for out in (*confirmed, *loose[-1:])))

    async def _publish_receipts(self, client: aiomqtt.Client) -> None:
        """Receipts leave the queue only when the broker has them; the next connection brings the rest."""
        batch = list(itertools.islice(self._receipts, OUT_BATCH))
        if all(await asyncio.gather(*(self._publish(client, out) for out in batch))):
            for _ in batch:
                self._receipts.popleft()
        else:
            await asyncio.sleep(BUSY_PAUSE)

    def _hand_over(self, client: aiomqtt.Client, out: _Out) -> None:
        """Nobody waits for each of a thousand to leave, which takes longer than to send it: only for the last."""
        try:
            client._client.publish(out.topic, out.payload, out.qos, out.retain)  # noqa: SLF001 - the public way waits
        except ValueError as error:
            log.warning("publish_refused", topic=out.topic, error=str(error))

    async def _publish(self, client: aiomqtt.Client, out: _Out) -> bool:
        """Whether the broker took it, or never will."""
        properties = out.properties if self._settings.protocol == "5" else None
        try:
            await client.publish(out.topic, out.payload, qos=out.qos, retain=out.retain, properties=properties)
        except aiomqtt.MqttError as error:
            log.warning("publish_failed", topic=out.topic, error=str(error))
            return False
        except ValueError as error:
            log.warning("publish_refused", topic=out.topic, error=str(error))
        return True


def _property(message: aiomqtt.Message, name: str) -> str:
    """A user property of an MQTT 5 message; empty where there is none."""
    properties: list[tuple[str, str]] = getattr(message.properties, "UserProperty", [])
    return dict(properties).get(name, "")


def _log_retry(state: Any) -> None:
    log.warning("broker_away", attempt=state.attempt_number, error=str(state.outcome.exception()))
