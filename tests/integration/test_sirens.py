"""Orders to a siren over a real Mosquitto: given once, never retained, said only when the siren has answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import trustme
from contract.kit import post
from integration.broker import Mosquitto
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from dispatcher.channels.base import Channel
from dispatcher.channels.http import http_client
from dispatcher.channels.mqtt import Settings, connect
from dispatcher.model.delivery import Reason, Result

Need = Callable[..., str]
ORDERS, ACKS = "sirens/leer/orders", "sirens/leer/acks"


@asynccontextmanager
async def ordering(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, password: str = Mosquitto.password, **more: Any
) -> AsyncIterator[Channel]:
    """A channel to the siren behind ``broker``."""
    monkeypatch.setenv("SIREN_PASSWORD", password)
    usual = {
        "url": broker.url, "topic": ORDERS, "ack_topic": "sirens/+/acks", "username": broker.username,
        "credential": {"token_env": "SIREN_PASSWORD"},
    }  # fmt: skip
    async with http_client() as http, connect(Settings(**{**usual, **more}), http) as channel:
        yield channel


class Siren:
    """One that howls once for each order, and answers each of them, ``state`` in its answer."""

    def __init__(self, client: aiomqtt.Client, state: str) -> None:
        self._client, self._state = client, state
        self.orders: list[aiomqtt.Message] = []
        self.howled: set[str] = set()

    async def run(self) -> None:
        """Carry out what comes."""
        async for message in self._client.messages:
            self.orders.append(message)
            order = json.loads(message.payload)
            self.howled.add(order["id"])
            if self._state:
                answer = {"id": order["id"], "unit": "siren-1", "state": self._state}
                await self._client.publish(ACKS, json.dumps(answer), qos=1)


@asynccontextmanager
async def siren(broker: Mosquitto, state: str = "done", **options: Any) -> AsyncIterator[Siren]:
    """A siren that listens as long as it is connected."""
    client = broker.client(**options)
    one = Siren(client, state)
    async with client:
        await client.subscribe(ORDERS, qos=1)
        working = asyncio.create_task(one.run())
        yield one
    async with asyncio.timeout(10):
        await asyncio.gather(working, return_exceptions=True)


@pytest.mark.parametrize("protocol", [aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311])
async def test_an_order_is_said_when_the_siren_has_answered(
    protocol: aiomqtt.ProtocolVersion, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The siren gets the order at QoS 1, whichever MQTT it speaks, and its answer makes the order accepted."""
    async with siren(mosquitto, protocol=protocol) as one, ordering(mosquitto, monkeypatch) as channel:
        outcome = await channel.send(post())
        assert (outcome.result, outcome.provider_id) == (Result.ACCEPTED, post().key)
        [order] = one.orders
        assert (order.qos, order.retain) == (1, False)
        assert json.loads(order.payload)["text"] == post().text.body


async def test_an_order_is_gone_when_it_is_over(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is retained: a siren that connects after an order hears nothing of it."""
    async with ordering(mosquitto, monkeypatch) as channel:
        async with siren(mosquitto):
            assert (await channel.send(post())).result is Result.ACCEPTED
        async with siren(mosquitto) as late:
            assert (await channel.send(post(key="f" * 32))).result is Result.ACCEPTED
            assert late.howled == {"f" * 32}


async def test_a_broker_keeps_an_order_for_its_time_only(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """A siren that was away gets the order with the seconds that are left of it, so later there is none to get."""
    session = {"identifier": "siren-1", "clean_start": False}
    async with mosquitto.client(**session, properties=_kept()) as client:
        await client.subscribe(ORDERS, qos=1)
    async with ordering(mosquitto, monkeypatch, valid_seconds=30, answer_seconds=0.2) as channel:
        doubt = await channel.send(post())
        assert (doubt.result, doubt.reason) == (Result.IN_DOUBT, Reason.TIMEOUT)
    async with mosquitto.client(**session, properties=_kept()) as client, asyncio.timeout(10):
        order = await anext(aiter(client.messages))
        assert 0 < order.properties.MessageExpiryInterval <= 30


def _kept() -> Any:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 60
    return properties


async def test_a_repeat_makes_no_siren_howl_twice(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt has the same id: a siren that keeps to it answers the second and howls once."""
    async with siren(mosquitto) as one, ordering(mosquitto, monkeypatch) as channel:
        assert {(await channel.send(post())).provider_id for _ in range(2)} == {post().key}
        assert (len(one.orders), one.howled) == (2, {post().key})


@pytest.mark.parametrize(
    ("state", "result", "reason"),
    [("refused", Result.PERMANENT, Reason.REJECTED), ("", Result.IN_DOUBT, Reason.TIMEOUT)],
    ids=["refused", "silent"],
)
async def test_what_the_siren_does_not_confirm_is_not_said(
    state: str, result: Result, reason: Reason, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is final, and silence a doubt, although the broker has taken the order."""
    async with siren(mosquitto, state), ordering(mosquitto, monkeypatch, answer_seconds=0.3) as channel:
        outcome = await channel.send(post())
        assert (outcome.result, outcome.reason) == (result, reason)


async def test_a_topic_without_a_siren_is_found_out(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens the broker says so, nobody has howled, and the order may be given again."""
    async with ordering(mosquitto, monkeypatch) as channel:
        outcome = await channel.send(post())
        assert (outcome.result, outcome.reason) == (Result.TEMPORARY, Reason.NETWORK)
        assert "nobody listens" in outcome.detail


async def test_a_wrong_password_is_told(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe finds the channel ready, or that it is not let in; an order is not tried then."""
    async with ordering(mosquitto, monkeypatch) as channel:
        assert (await channel.probe()).result is Result.READY
    async with ordering(mosquitto, monkeypatch, password="wrong") as channel:
        for outcome in (await channel.probe(), await channel.send(post())):
            assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.AUTH)


async def test_what_the_rules_forbid_is_a_refusal(
    need: Need, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who may listen but not publish there is told, and not left in doubt."""
    (tmp_path / "acl").write_text(f"user {Mosquitto.username}\ntopic read sirens/#\n")
    (tmp_path / "acl").chmod(0o600)
    extra = f"\nacl_file {tmp_path}/acl\n"
    directory = tmp_path / "mosquitto"
    async with (
        Mosquitto(need("mosquitto"), need("mosquitto_passwd"), directory, free_port, extra) as broker,
        siren(broker),
        ordering(broker, monkeypatch) as channel,
    ):
        outcome = await channel.send(post())
        assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.AUTH)


async def test_certificates_go_both_ways(
    need: Need, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS the broker's certificate is checked and ours is shown; without ours we are not let in."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, subject in (("server", "127.0.0.1"), ("daemon", "dispatcher.example")):
        issued = authority.issue_cert(subject)
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    extra = f"\ncafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\nrequire_certificate true\n"
    directory = tmp_path / "mosquitto"
    tls = {"url": f"mqtts://127.0.0.1:{free_port}", "ca_file": tmp_path / "ca.pem"}
    ours = {"cert_file": tmp_path / "daemon.pem", "key_file": tmp_path / "daemon.key"}
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(
            Mosquitto(need("mosquitto"), need("mosquitto_passwd"), directory, free_port, extra)
        )
        known = await stack.enter_async_context(ordering(broker, monkeypatch, **tls, **ours))
        bare = await stack.enter_async_context(ordering(broker, monkeypatch, **tls))
        stranger = await stack.enter_async_context(ordering(broker, monkeypatch, **{**tls, "ca_file": None}))
        assert (await known.probe()).result is Result.READY
        assert (await bare.probe()).result is Result.TEMPORARY
        outcome = await stranger.probe()
        assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.TLS)
