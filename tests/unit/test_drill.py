"""A drill out of the live files: everything is on the wall, no live secret is read, every text is marked at both ends."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.speaking import SMALL

from dispatcher.channels._cards import NoCards
from dispatcher.channels.base import kinds, load_kind
from dispatcher.channels.http import Answer, Http, Request, http_client
from dispatcher.model.alert import Alert, Purpose, post_for
from dispatcher.model.cap import Realm, Severity
from dispatcher.model.delivery import IncidentId, Outcome, Result
from dispatcher.model.incident import IncidentHistory, LaneHistory
from dispatcher.plan.compose import Speech, compose
from dispatcher.plan.phrases import EXERCISE
from dispatcher.reload import Connector
from dispatcher.settings import Loaded, load
from dispatcher.wall.app import running_wall
from dispatcher.wall.mail import mail_at
from dispatcher.wall.siren import broker_at

LIVE = "live-secret"

_OPENED: list[str] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and LIVE in str(arguments[0]):
        _OPENED.append(str(arguments[0]))


sys.addaudithook(_note)

SECRET = st.sampled_from([{"credential": {"token_file": f"{LIVE}-1"}}, {"credential": {"token_env": "LIVE_SECRET"}}])
HOST = st.sampled_from(["https://live.example", "https://other.example/base"])
ENTRY = st.one_of(
    st.builds(lambda s, h: {"kind": "facebook_page", "page_id": "1", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "linkedin_page", "organization_id": "1", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "bluesky", "identifier": "stadt.example", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "telegram", "chat_id": "@stadt_leer", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "matrix", "room_id": "!leer:live.example", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "signal", "number": "+4917012345678", "group": "group.bGVlcg==", "base_url": h, **s},
              SECRET, HOST),
    st.builds(lambda s, h: {"kind": "slack", "channel_id": "C0123456789", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "teams", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h, a: {"kind": "gotify", "base_url": h, **a, **s}, SECRET, HOST,
              st.sampled_from([{}, {"application": 5}])),
    st.builds(lambda s, h: {"kind": "threads", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "instagram", "user_id": "1", "image_url": f"{h}/card.jpg", "base_url": h, **s},
              SECRET, HOST),
    st.builds(lambda s, h: {"kind": "x", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "mastodon", "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "ntfy", "url": f"{h}/topic", **s}, SECRET, HOST),
    st.builds(lambda h: {"kind": "webhook", "url": f"{h}/hook", "secret_file": f"{LIVE}-2"}, HOST),
    st.builds(lambda s, h: {"kind": "whatsapp_channel", "via": "waha", "chat_id": "12036300000000001@newsletter",
                            "base_url": h, **s}, SECRET, HOST),
    st.builds(lambda s: {"kind": "sms", "via": "twilio", "account": "AC12345678", "sender": "LEITSTELLE",
                         "recipients_file": f"{LIVE}-4", **s}, SECRET),
    st.builds(lambda s: {"kind": "email", "relays": ["mail.live.example"], "ca_file": f"{LIVE}-5", "username": "live",
                         "sender": "a@live.example", "recipients_file": f"{LIVE}-6", **s}, SECRET),
    st.builds(lambda s, h: {"kind": "whatsapp_cloud", "phone_number_id": "100000001", "template": "warnung", "base_url": h,
                            "recipients_file": f"{LIVE}-10", **s}, SECRET, HOST),
    st.builds(lambda s, h: {"kind": "fcm", "project": "leer-warnt", "topic": "live", "base_url": h, "token_url": f"{h}/token",
                            **s}, SECRET, HOST),
    st.builds(lambda s: {"kind": "web_push", "contact": "mailto:live@live.example", **s}, SECRET),
    st.builds(lambda s: {"kind": "mqtt", "url": "mqtts://sirens.live.example", "topic": "live/orders", "ack_topic": "live/#",
                         "username": "live", "ca_file": f"{LIVE}-7", "cert_file": f"{LIVE}-8", "key_file": f"{LIVE}-9",
                         "units": ["siren-1"], **s}, SECRET),
    st.just({"kind": "whatsapp_channel"}),
    st.builds(lambda size: {"kind": "by_hand", "limit": size}, st.integers(600, 5_000)),
)  # fmt: skip
BROKER = st.sampled_from([None, {"url": "mqtts://broker.live.example", "username": "x", "password_file": f"{LIVE}-3"}])


CONFIGURATION = {
    "entries": st.lists(ENTRY, min_size=1, max_size=6),
    "broker": BROKER,
    "purpose": st.sampled_from([purpose for purpose in Purpose if purpose.spoken]),
}


class Noted:
    """The way out, with a book of every address that was asked for."""

    def __init__(self, http: Http) -> None:
        self.http, self.asked, self.cards = http, list[str](), NoCards()

    async def request(self, request: Request) -> Answer:
        """Note it, and send it."""
        self.asked.append(request.url)
        return await self.http.request(request)

    async def dial(self, host: str, port: int) -> socket.socket:
        """Connect."""
        return await self.http.dial(host, port)


@dataclass
class Drill:
    """A wall that stands for the world, and the way to it."""

    runner: asyncio.Runner
    wall: str
    http: Noted

    def hold(self, entries: list[dict[str, Any]], broker: Any, purpose: Purpose) -> None:
        """Load one configuration as a drill, say something on all its channels, and see where it went."""
        _OPENED.clear()
        self.http.asked.clear()
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            (folder / "secrets").mkdir()
            (folder / "playbooks").mkdir()
            (folder / "playbooks" / "fire.yaml").write_text(SMALL)
            config = {
                "realm": "live", "sender": {"name": "Stadt Leer"}, "playbooks": "playbooks",
                "channels": {f"c{number}": entry for number, entry in enumerate(entries)}, **({"broker": broker} if broker else {}),
            }  # fmt: skip
            (folder / "dispatcher.yaml").write_text(json.dumps(config))
            loaded = load(folder / "dispatcher.yaml", wall=self.wall, drill=folder / "secrets")
            secrets = {setting.token() for _, setting in loaded.channels.values()}
            outcomes = self.runner.run(_spoken(loaded, self.http, _words(loaded, purpose)))

        bases = {setting.base for _, setting in loaded.channels.values()}
        roads = ("", f"smtp://{mail_at(self.wall)}", broker_at(self.wall))
        assert all(base in roads or base.startswith(f"{self.wall}/") for base in bases)
        assert (_OPENED, loaded.broker, loaded.deployment.realm) == ([], None, Realm.EXERCISE)
        assert all(secret == "" or secret.startswith("whsec_") for secret in secrets)
        assert all(address.startswith(f"{self.wall}/") for address in self.http.asked)
        elsewhere = sum(kind in ("email", "mqtt") for kind, _ in loaded.channels.values())
        assert len(self.http.asked) + elsewhere >= sum(outcome.result is not Result.BY_HAND for outcome in outcomes)


def _words(loaded: Loaded, purpose: Purpose) -> Alert:
    speech = Speech(
        purpose=purpose, playbook=loaded.deployment.playbooks[0], regions=(loaded.deployment.regions[0].id,),
        severity=Severity.EXTREME, place="Bahnhof", facts={}, back=True,
    )  # fmt: skip
    now, lanes = (
        datetime(2026, 11, 20, tzinfo=UTC),
        {c: LaneHistory(carried=True, ended=False) for c in loaded.channels},
    )
    history = IncidentHistory(id=IncidentId("i"), revision=1, lanes=lanes)
    alert = compose(speech, loaded.deployment, history, now, incident=IncidentId("i"), event_key="k").alert
    assert alert is not None
    for texts in alert.texts.values():
        for text in (texts.first, texts.follow_up, texts.repetition):
            marks = (EXERCISE, "ÜBUNG", "DRILL")
            assert text.body.startswith(marks)
            assert text.body.endswith(marks)
    return alert


async def _spoken(loaded: Loaded, http: Noted, alert: Alert) -> list[Outcome]:
    """Every channel of the plan says its text, as the daemon's would."""
    async with AsyncExitStack() as stack:
        channels = await Connector(stack, http).connect(loaded.channels)
        posts = [post_for(alert, one, repeat=False) for one in alert.deliveries(alert.plan, alert.created_at)]
        outcomes = await asyncio.gather(*(channels[post.channel].send(post) for post in posts))
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    return list(outcomes)


@pytest.fixture(scope="module")
def drill() -> Iterator[Drill]:
    """One wall for all runs."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        wall = runner.run(stack.enter_async_context(running_wall()))
        http = runner.run(stack.enter_async_context(http_client()))
        yield Drill(runner, wall.url, Noted(http))
        runner.run(stack.aclose())


@settings(max_examples=40)
@given(**CONFIGURATION)
def test_a_drill_can_reach_nobody(drill: Drill, entries: list[dict[str, Any]], broker: Any, purpose: Purpose) -> None:
    """Whatever the live files name, the drill calls only the wall, opens no live secret, and marks every text twice."""
    drill.hold(entries, broker, purpose)


@pytest.mark.long
@settings(max_examples=10_000)
@given(**CONFIGURATION)
def test_ten_thousand_drills_reach_nobody(
    drill: Drill, entries: list[dict[str, Any]], broker: Any, purpose: Purpose
) -> None:
    """The same, ten thousand times."""
    drill.hold(entries, broker, purpose)


@pytest.mark.parametrize("kind", sorted(set(kinds()) - {"by_hand"}))
def test_every_kind_that_calls_knows_its_wall(kind: str) -> None:
    """A kind that calls a provider says which of its fields point at the wall, its mail server or its broker."""
    fields = load_kind(kind).drill("c1", "/made/up")
    assert any(str(value).startswith(("wall://", "wall-mail", "wall-mqtt")) for value in fields.values())
    assert "/made/up" in json.dumps(fields)
