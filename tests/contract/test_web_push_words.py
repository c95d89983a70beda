"""Web Push in its own words: sealed for one browser, signed by us, and never sent where a stranger would have it go."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import trustme
from contract.browser import Browser, base64, signed, unbase64
from contract.kit import CODE, channel, post
from contract.kits.web_push import web_push
from contract.provider import Behave, Provider, provider, says
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dispatcher.channels._subscribers import Subscription
from dispatcher.channels._webpush import ROOM, Vapid, origin_of, seal, subscription
from dispatcher.channels.base import Channel
from dispatcher.channels.http import http_client
from dispatcher.channels.web_push import Settings, _message, traits
from dispatcher.model.alert import Purpose, Text
from dispatcher.model.cap import Severity
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import JournalBusy

HOST = "fcm.googleapis.com"
SERVICES = Settings.model_fields["services"].default
TAKEN = says(201, None, {"Location": "/m/1"})
CONTACT = "mailto:leitstelle@polizei.example"


def pem(key: Any) -> str:
    """A private key as its file holds it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


KEY = ec.generate_private_key(ec.SECP256R1())
VAPID = Vapid(KEY, CONTACT)


def test_the_example_of_the_standard_comes_out() -> None:
    """With the keys and the salt of RFC 8291, appendix A, the message is the one printed there, byte by byte."""
    to = subscription(
        "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
    )
    key = ec.derive_private_key(
        int.from_bytes(unbase64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"), ec.SECP256R1()
    )
    sealed = seal(b"When I grow up, I want to be a watermelon", to, key=key, salt=unbase64("DGv6ra1nlYgDCS1FRnbzlw"))
    assert base64(sealed) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@given(st.binary(max_size=ROOM))
def test_a_browser_opens_what_was_sealed_for_it(text: bytes) -> None:
    """Whatever is sealed opens for its browser, is no longer than every service takes, and is sealed anew each time."""
    browser = Browser()
    to = Subscription("https://x", browser.p256dh, browser.auth)
    first, second = seal(text, to), seal(text, to)
    assert browser.opened(first) == browser.opened(second) == text
    assert len(first) == len(text) + 103 <= 4_096
    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]


def test_who_sends_is_signed() -> None:
    """The token names the service's origin and our contact, ends within a day, and bears our key's signature."""
    head, claims, key = signed(VAPID.authorization("https://fcm.googleapis.com", 1_000_000))
    assert head == {"typ": "JWT", "alg": "ES256"}
    assert claims == {"aud": "https://fcm.googleapis.com", "exp": 1_043_200, "sub": CONTACT}
    assert unbase64(key)[0] == 4
    again = [VAPID.authorization("https://fcm.googleapis.com", at) for at in (1_000_001, 1_003_599, 1_003_600)]
    assert again[0] == again[1] != again[2]
    assert (
        signed(VAPID.authorization("https://web.push.apple.com", 1_000_001))[1]["aud"] == "https://web.push.apple.com"
    )


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_x", pem(rsa.generate_private_key(65_537, 2_048)), pem(ec.generate_private_key(ec.SECP384R1()))],
    ids=["empty", "no PEM", "RSA", "another curve"],
)
def test_a_key_that_is_none_is_refused(secret: str) -> None:
    """No PEM, no elliptic curve, another curve: refused in words that do not repeat it."""
    with pytest.raises(ValueError, match="the credential is no") as caught:
        Vapid.read(secret, CONTACT)
    assert secret == "" or secret not in str(caught.value)
    assert Vapid.read(pem(KEY), CONTACT).public == VAPID.public


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x", "https://127.0.0.1/x", "https://[::1]/x", "https://169.254.169.254/latest/",
        "https://fcm.googleapis.com:8443/x", "https://fcm.googleapis.com@evil.example/x", "https://evil.example/x",
        "https://fcm.googleapis.com.evil.example/x", "https://evilfcm.googleapis.com/x", "https://fcm.googleapis.com",
        "https://fcm.googleapis.com\\@evil.example/x", "https://evil.example\\fcm.googleapis.com/x", "https:///x",
        "https://evil.example#fcm.googleapis.com/x", "https://evil.example?fcm.googleapis.com/x", "//fcm.googleapis.com/x",
        "https://fcm.googleapis.com/x y", "https://fcm.googleapis.com/\r\nHost: evil", "https://notify.windows.com/x",
        "https://ｆcm.googleapis.com/x", "https://push.apple.com.evil.example/x", "file:///etc/passwd", "",
        f"https://fcm.googleapis.com/{'x' * 1_000}", " https://fcm.googleapis.com/x", "https://localhost/x",
    ],
)  # fmt: skip
def test_an_endpoint_leads_nowhere_else(endpoint: str) -> None:
    """What a stranger writes is no way to another host, port or protocol, and no way to read it differently."""
    assert origin_of(endpoint, SERVICES) == ""


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://fcm.googleapis.com/fcm/send/dQw4:APA91-b_H", "https://fcm.googleapis.com"),
        ("https://fcm.googleapis.com:443/x", "https://fcm.googleapis.com"),
        ("https://wns2-par02p.notify.windows.com/w/?token=BQ%3d", "https://wns2-par02p.notify.windows.com"),
        ("https://updates.push.services.mozilla.com/wpush/v2/gA", "https://updates.push.services.mozilla.com"),
        ("https://web.push.apple.com/QA", "https://web.push.apple.com"),
    ],
)
def test_the_services_of_all_browsers_are_known(endpoint: str, origin: str) -> None:
    """Chrome, Edge, Firefox and Safari, as they hand endpoints over."""
    assert origin_of(endpoint, SERVICES) == origin


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("", ""), ("A" * 87, base64(bytes(16))), (base64(b"\x04" + bytes(64)), base64(bytes(16))), ("ä", "ä"),
        (base64(Browser().p256dh), base64(bytes(15))), (base64(Browser().p256dh[:33]), base64(bytes(16))),
    ],
    ids=["empty", "no point", "off the curve", "no base64", "secret too short", "point too short"],
)  # fmt: skip
def test_keys_that_are_none_are_refused(p256dh: str, auth: str) -> None:
    """A point off the curve, too short, no base64: refused at the door and not on the day."""
    with pytest.raises(ValueError):  # noqa: PT011 - base64 and the curve have their own words
        subscription("https://fcm.googleapis.com/x", p256dh, auth)


class Here(aiohttp.abc.AbstractResolver):
    """Every name leads to one port of this machine."""

    def __init__(self, port: int) -> None:
        """``port`` is where all of them listen."""
        self.port = port

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list:
        """Here."""
        return [{"hostname": host, "host": "127.0.0.1", "port": self.port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Book:
    """Who has signed up, and who was forgotten."""

    people: dict[str, Browser] = field(default_factory=dict)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    broken: bool = False

    async def of(self, channel: ChannelId, regions: Collection[str]) -> Sequence[Subscription]:
        """All of them."""
        self.asked.append((channel, tuple(regions)))
        if self.broken:
            raise JournalBusy("database is locked")
        return [Subscription(endpoint, one.p256dh, one.auth) for endpoint, one in self.people.items()]

    async def drop(self, channel: ChannelId, endpoints: Sequence[str]) -> None:
        """Cross them out."""
        for endpoint in endpoints:
            del self.people[endpoint]


@dataclass
class Scene:
    """A channel before a push service that serves every name."""

    channel: Channel
    book: Book
    heard: Provider

    def paths(self) -> list[str]:
        """Which browsers were written to, sorted."""
        return sorted(request.split(b" ")[1].decode() for request in self.heard.requests)

    def said(self, number: int = -1) -> dict[str, Any]:
        """What the browser of one request reads."""
        head, _, sealed = self.heard.requests[number].partition(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        [browser] = [one for endpoint, one in self.book.people.items() if endpoint.endswith(path)]
        return json.loads(browser.opened(sealed))


@asynccontextmanager
async def scene(monkeypatch: pytest.MonkeyPatch, behave: Behave, *names: str, **more: Any) -> AsyncIterator[Scene]:
    """``names`` have signed up: paths at one service, or whole endpoints."""
    authority, server, client = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(HOST, "web.push.apple.com").configure_cert(server)
    authority.configure_trust(client)
    monkeypatch.setenv("VAPID_KEY", pem(KEY))
    book = Book({name if "://" in name else f"https://{HOST}/{name}": Browser() for name in names})
    async with provider(behave, server) as heard:
        resolver = Here(int(heard.url.rpartition(":")[2]))
        async with http_client(total=5, resolver=resolver, tls=client) as http:
            http.subscribers = book
            settings = {"contact": CONTACT, "credential": {"token_env": "VAPID_KEY"}, **more}
            async with channel("web_push", settings, http) as opened:
                yield Scene(opened, book, heard)


def by_path(**answers: Behave) -> Behave:
    """Answer by the last part of the path; whoever is not named is taken."""

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        await answers.get(request.split(b" ")[1].decode().rpartition("/")[2], TAKEN)(request, writer)

    return behave


async def test_everybody_gets_a_message_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each browser can open what was sent to it, and reads headline, text, and what a tap opens."""
    async with scene(monkeypatch, TAKEN, "a", "b", opens="https://leer.example/lage", valid_minutes=30) as on:
        outcome = await on.channel.send(post())
        assert (outcome.result, outcome.provider_id) == (Result.ACCEPTED, post().key)
        assert outcome.detail == "2 of 2 accepted"
        assert on.paths() == ["/a", "/b"]
        assert on.said(0) == on.said(1) == {
            "title": "Polizeieinsatz in Leer", "body": f"Bleiben Sie in Gebäuden. {CODE}", "tag": post().key,
            "url": "https://leer.example/lage", "lang": "de",
        }  # fmt: skip
        assert on.book.asked == [("channel-1", ("leer",))]
        head = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in on.heard.head().split("\r\n")}
        assert (head["ttl"], head["urgency"], head["topic"]) == ("1800", "high", post().key)
        assert (head["content-encoding"], head["host"]) == ("aes128gcm", HOST)
        _, claims, key = signed(head["authorization"])
        assert (claims["aud"], claims["sub"], key) == (f"https://{HOST}", CONTACT, VAPID.public)


@pytest.mark.parametrize(
    ("changes", "urgency"),
    [
        ({"severity": Severity.MODERATE}, "normal"), ({"severity": Severity.SEVERE}, "high"),
        ({"severity": Severity.MINOR, "purpose": Purpose.ALL_CLEAR}, "high"),
    ],
)  # fmt: skip
async def test_what_is_urgent_wakes_a_phone(
    changes: dict[str, Any], urgency: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Severe alerts and every end are urgent, the rest may wait for the screen."""
    async with scene(monkeypatch, TAKEN, "a") as on:
        await on.channel.send(post(**changes))
        assert f"Urgency: {urgency}" in on.heard.head()


@pytest.mark.parametrize("status", [404, 410])
async def test_who_has_left_is_forgotten(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription that is gone is dropped, the others hear, and all counts as said."""
    async with scene(monkeypatch, by_path(b=says(status)), "a", "b", "c") as on:
        outcome = await on.channel.send(post())
        assert (outcome.result, outcome.detail) == (Result.ACCEPTED, f"2 of 3 accepted, 1 of 3 refused: HTTP {status}")
        assert [*on.book.people] == [f"https://{HOST}/a", f"https://{HOST}/c"]


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_one_bad_subscription_costs_nobody_else_a_warning(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever subscribes under another key is refused alone, every time, and is not taken for our key's fault."""
    async with scene(monkeypatch, by_path(bad=says(status)), "bad", *(f"n{number}" for number in range(120))) as on:
        outcome = await on.channel.send(post())
        assert (outcome.result, len(on.paths())) == (Result.ACCEPTED, 121)
        assert "1 of 121 refused" in outcome.detail
        assert len(on.book.people) == 121


async def test_a_doubt_is_one_browsers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a lost answer only that browser is sent the message again, as is who had to wait; neither keeps the others waiting."""
    answers = iter([says(500), TAKEN])
    names = [f"n{number}" for number in range(120)]
    waits = iter([says(429, None, {"Retry-After": "7"}), TAKEN])

    async def lost(request: bytes, writer: asyncio.StreamWriter) -> None:
        await next(answers)(request, writer)

    async def slow(request: bytes, writer: asyncio.StreamWriter) -> None:
        await next(waits)(request, writer)

    async with scene(monkeypatch, by_path(lost=lost, slow=slow), "slow", "lost", *names) as on:
        first = await on.channel.send(post())
        assert (first.result, first.retry_after) == (Result.IN_DOUBT, timedelta(seconds=7))
        assert on.paths() == sorted(f"/{name}" for name in ("lost", "slow", *names))
        second = await on.channel.send(post())
        assert second.result is Result.ACCEPTED
        assert on.paths() == sorted(f"/{name}" for name in ("lost", "lost", "slow", "slow", *names))


async def test_nothing_is_sent_where_a_stranger_would_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint at no service that is named, however it came into the list, is never called."""
    strange = ("https://internal.leer.example/admin", "https://127.0.0.1/x", f"http://{HOST}/x")
    async with scene(monkeypatch, TAKEN, "a", *strange) as on:
        outcome = await on.channel.send(post())
        assert outcome.result is Result.ACCEPTED
        assert on.paths() == ["/a"]
        assert "3 of 4 refused: at no push service that is named" in outcome.detail


async def test_a_redirect_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that sends us elsewhere is not followed."""
    async with scene(monkeypatch, says(307, None, {"Location": "https://web.push.apple.com/x"}), "a") as on:
        assert (await on.channel.send(post())).reason is Reason.REJECTED
        assert on.paths() == ["/a"]


async def test_nobody_has_signed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody wants to hear of it, it is said, and the outcome says to whom."""
    async with scene(monkeypatch, TAKEN) as on:
        outcome = await on.channel.send(post())
        assert (outcome.result, outcome.detail) == (Result.ACCEPTED, "nobody has signed up for this")


async def test_a_list_that_cannot_be_read_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the journal is busy nobody is written to, and the message is tried again."""
    async with scene(monkeypatch, TAKEN, "a") as on:
        on.book.broken = True
        outcome = await on.channel.send(post())
        assert isinstance(outcome, Outcome)
        assert (outcome.result, outcome.reason, on.paths()) == (Result.TEMPORARY, Reason.INTERNAL, [])


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('🚨\n"\\\t'), max_size=3_000),
)
def test_the_longest_text_fits_every_service(headline: str, body: str) -> None:
    """What the limit lets through is at most 3,993 bytes with everything around it."""
    settings = Settings(**web_push("http://127.0.0.1:9", opens="https://leer.example/" + "x" * 479))
    limit = traits(settings).limit
    while not limit.fits(body):
        body = body[: len(body) * 9 // 10]
    for text in (body, "🚨" * (limit.size // 4), '"' * (limit.size // 2)):
        for title in (headline, "🚨" * 120):
            assert len(_message(settings, replace(post(), text=Text(title, text, ("de",))))) <= ROOM


@pytest.mark.parametrize(
    "wrong",
    [
        {"contact": "leitstelle"}, {"contact": "http://leer.example"}, {"services": ["*"]}, {"services": ["*.de:80"]},
        {"services": []}, {"opens": "http://leer.example"}, {"valid_minutes": 0}, {"most": 0},
    ],
)  # fmt: skip
def test_settings_that_open_a_door_are_refused(wrong: dict[str, Any]) -> None:
    """A service is a host's name; contact and link are what push services and browsers take."""
    with pytest.raises(ValidationError):
        Settings(**{**web_push("http://127.0.0.1:9"), **wrong})
