"""Sirens, displays and whatever else acts on an order over MQTT: one JSON text, confirmed by who carried it out.

A broker's PUBACK only says that the broker has the order. It counts as said when a unit answers on the acknowledgement
topic; without that answer nobody knows, and an order to something that howls is not repeated by a machine: the default is
``in_doubt: hold``. An order is never retained, for it would be given again at every reconnect of its receiver, and a broker
keeps it for ``valid_seconds`` at most. Every attempt of an order has the same id: who has carried it out answers again and
does nothing more. The broker has to speak MQTT 5; the units behind it may speak 3.1.1.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from dispatcher.channels._api import presentable
from dispatcher.channels._broker import FAILURES, Broker, Visit, failed, visit
from dispatcher.channels._recipients import verdict
from dispatcher.channels.base import Channel, ChannelSettings, Traits
from dispatcher.channels.departure import departing
from dispatcher.channels.http import Outbound
from dispatcher.model.alert import Post
from dispatcher.model.channel import InDoubt, Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.packets import Message
from dispatcher.packets import connect as hello

_ORDER = 1  # the packet's identifier: one connection brings one order
_STATES = {"done": Result.ACCEPTED, "refused": Result.PERMANENT}

UnitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Settings(ChannelSettings):
    """A broker, the topic that orders go to, and the one where units answer; the credential is the user's password."""

    address = ("topic",)

    url: str = Field(
        pattern=r"^mqtts?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$",
        description="mqtt://host[:1883] or mqtts://host[:8883]",
        examples=["mqtts://broker.example"],
    )
    topic: str = Field(pattern=r"^[^#+$\s\x00][^#+\s\x00]{0,199}$", description="where orders are published")
    ack_topic: str = Field(
        pattern=r"^[^$\s\x00][^\s\x00]{0,199}$", description="where units answer; a filter may be given"
    )
    units: tuple[UnitName, ...] = Field(default=(), max_length=200, description="who has to answer; else any one")
    username: str = Field(default="", max_length=200)
    ca_file: Path | None = Field(default=None, description="who signed the broker's certificate; else the system's")
    cert_file: Path | None = Field(default=None, description="our certificate, where the broker asks for one")
    key_file: Path | None = None
    max_characters: int = Field(default=1_000, ge=20, le=10_000, description="longest text")
    ready_seconds: float = Field(default=4, gt=0, le=10, description="for the broker to let us in")
    answer_seconds: float = Field(default=10, gt=0, le=14, description="for units to answer; an attempt has 15 in all")
    valid_seconds: int = Field(default=60, ge=5, le=3_600, description="later, a unit that was away gets no order")

    @property
    def base(self) -> str:
        """The broker."""
        return self.url

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if (self.ca_file or self.cert_file or self.key_file) and not self.url.startswith("mqtts:"):
            raise ValueError("certificates are for mqtts:// only")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together")
        if bool(self.username) != (self.credential is not None):
            raise ValueError("username and credential belong together")
        return self


def traits(settings: Settings) -> Traits:
    """As long as the units can show; the order's id makes repeats harmless, and a doubt still waits for a person."""
    limit = TextLimit(Unit.CHARACTERS, settings.max_characters)
    return Traits(limit, frozenset({Power.PROBE, Power.KEY}), in_doubt=InDoubt.HOLD)


def drill(channel: str, secret: str) -> dict[str, object]:
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it, and no real unit is called."""
    return {
        "url": "wall-mqtt", "topic": channel, "ack_topic": f"{channel}/acks", "units": [], "username": channel,
        "credential": {"token_file": secret}, "ca_file": None, "cert_file": None, "key_file": None,
    }  # fmt: skip


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:
    """The units as a channel; raises `OSError`, `KeyError` or `ValueError` where secret or certificates cannot be read."""
    address = urlsplit(settings.url)
    port = address.port or (8883 if address.scheme == "mqtts" else 1883)
    tls = _tls(settings) if address.scheme == "mqtts" else None
    greeting = hello(settings.username, settings.token())
    yield _Units(settings, Broker(str(address.hostname), port, tls, greeting, http.dial))


def _tls(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context


class _Units(Channel):
    def __init__(self, settings: Settings, broker: Broker) -> None:
        self._settings, self._broker = settings, broker

    async def send(self, post: Post) -> Outcome:
        """Publish the order and wait until every unit has answered, or one where none are named."""
        fates: dict[str, Outcome] = {}
        unheard = Outcome(result=Result.IN_DOUBT)
        with departing() as departure:
            try:
                await self._give(post, fates)
            except FAILURES as error:
                unheard = failed(error, left=departure.left)
        return self._verdict(fates, unheard)

    async def probe(self) -> Outcome:
        """Come in, listen, leave: whether orders may be published only an order would tell."""
        try:
            async with asyncio.timeout(self._settings.ready_seconds), visit(self._broker, self._settings.ack_topic):
                return Outcome(result=Result.READY)
        except FAILURES as error:
            return presentable(failed(error, left=False))

    async def _give(self, post: Post, fates: dict[str, Outcome]) -> None:
        order = Message(self._settings.topic, _order(post, self._settings.valid_seconds), _ORDER)
        async with (
            asyncio.timeout(self._settings.ready_seconds) as limit,
            visit(self._broker, self._settings.ack_topic) as broker,
        ):
            broker.say(order, self._settings.valid_seconds)
            limit.reschedule(asyncio.get_running_loop().time() + self._settings.answer_seconds)
            await self._hear(broker, post.key, fates)

    async def _hear(self, broker: Visit, key: str, fates: dict[str, Outcome]) -> None:
        while not fates or self._silent(fates):
            if answer := _answer((await broker.hear()).payload, key):
                fates[str(answer.get("unit", ""))] = _fate(answer, key)

    def _silent(self, fates: Mapping[str, Outcome]) -> Collection[str]:
        return [unit for unit in self._settings.units if unit not in fates]

    def _verdict(self, fates: Mapping[str, Outcome], unheard: Outcome) -> Outcome:
        """One outcome of all units' answers; whoever has not answered is named."""
        silent = self._silent(fates)
        if silent and unheard.result is Result.IN_DOUBT:
            unheard = replace(unheard, detail=f"{unheard.detail}: {', '.join(silent)}")
        everyone = [fates.get(unit, unheard) for unit in self._settings.units] or [*fates.values()] or [unheard]
        return presentable(verdict(everyone, closed=bool(fates) and not silent))


def _order(post: Post, valid_seconds: int) -> bytes:
    """The text and what a unit needs to act on it, once and in time; described in docs/channels/mqtt.md."""
    now = datetime.now(UTC)
    return json.dumps({
        "v": 1, "id": post.key, "realm": post.realm, "type": post.purpose, "severity": post.severity, "code": post.code,
        "headline": post.text.headline, "text": post.text.body, "languages": post.text.languages, "place": post.place,
        "regions": post.regions, "channel": post.channel, "incident": post.incident,
        "issued_at": now.isoformat(timespec="seconds"),
        "expires_at": (now + timedelta(seconds=valid_seconds)).isoformat(timespec="seconds"),
    }, ensure_ascii=False).encode()  # fmt: skip


def _answer(payload: bytes, key: str) -> dict[str, Any]:
    """A unit's answer to the order ``key``, empty where it is none: other orders are answered on the same topic."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    ours = isinstance(said, dict) and said.get("id") == key and said.get("state") in tuple(_STATES)
    return said if ours else {}


def _fate(answer: Mapping[str, Any], key: str) -> Outcome:
    unit, result = str(answer.get("unit", "")), _STATES[answer["state"]]
    if result is Result.ACCEPTED:
        return Outcome(result=result, provider_id=key)
    detail = " ".join(filter(None, (unit, "refused:", str(answer.get("detail", "no reason given")))))
    return Outcome(result=result, reason=Reason.REJECTED, detail=detail)
