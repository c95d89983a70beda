"""People sign up for push messages, change their mind and leave; strangers who want something else get nothing."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from contract.browser import Browser, base64, unbase64
from contract.kit import post
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from integration.paper import QUIET
from playwright.async_api import async_playwright

from dispatcher.app import Service, build
from dispatcher.channels.web_push import Settings
from dispatcher.journal.subscribers import Subscriber, subscribed
from dispatcher.model.channel import ChannelId
from dispatcher.public.brake import Brake
from dispatcher.settings import load
from dispatcher.subscribers import JournalSubscribers
from dispatcher.testing import FakeClock

MAIN = """\
realm: live
sender: {name: Stadt Leer}
journal: {path: here.sqlite}
console: {port: 0}
public: {port: 0}
regions: [{id: leer, name: Leer}, {id: emden, name: Emden}, {id: aurich, name: Aurich}]
channels:
  website: {kind: by_hand}
  duty-team: {kind: by_hand, audience: staff}
  browsers:
    kind: web_push
    title: Warnungen <Leer>
    regions: [leer, emden]
    most: 3
    contact: mailto:leitstelle@leer.example
    credential: {token_file: vapid.pem}
"""
HOST = "https://fcm.googleapis.com"


@dataclass
class Desk:
    """A daemon with its public listener, and a stranger."""

    service: Service
    stranger: ClientSession

    async def ask(self, method: str, path: str = "/push/browsers/", body: Any = None, **more: Any) -> int:
        """The status of an answer."""
        async with self.stranger.request(method, f"{self.service.public}{path}", json=body, **more) as answer:
            await answer.read()
            return answer.status

    async def read(self, path: str = "/push/browsers/") -> tuple[str, dict[str, str]]:
        """A page, and its headers."""
        async with self.stranger.get(f"{self.service.public}{path}") as answer:
            assert answer.status == 200
            return await answer.text(), dict(answer.headers)

    async def people(self) -> dict[str, Subscriber]:
        """Who has signed up, by the last part of the endpoint."""
        found = await self.service.journal.read(lambda c: subscribed(c, "browsers", []))
        return {one.endpoint.rpartition("/")[2]: one for one in found}


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A configuration with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "vapid.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path = tmp_path / "dispatcher.yaml"
    path.write_text(MAIN)
    return path


@asynccontextmanager
async def opened(main: Path) -> AsyncIterator[Desk]:
    """The daemon at work."""
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(build(load(main), path=main))
        yield Desk(service, await stack.enter_async_context(ClientSession()))


@pytest.fixture
async def desk(main: Path) -> AsyncIterator[Desk]:
    """The same, for a test."""
    async with opened(main) as found:
        yield found


def browser(name: str = "a", browser: Browser | None = None, **more: Any) -> dict[str, Any]:
    """What a browser hands over."""
    one = browser or Browser()
    keys = {"p256dh": base64(one.p256dh), "auth": base64(one.auth)}
    return {"endpoint": f"{HOST}/{name}", "keys": keys, **more}


async def test_who_signs_up_is_on_the_list(desk: Desk, main: Path) -> None:
    """A browser that signs up is kept with its keys and regions, again with new ones, and gone when it leaves."""
    one = Browser()
    assert await desk.ask("POST", body=browser("a", one, regions=["leer"])) == 201
    assert (await desk.people())["a"] == Subscriber(f"{HOST}/a", one.p256dh, one.auth, ("leer",))
    assert await desk.ask("POST", body=browser("a", one, regions=["leer", "emden", "leer", "atlantis"])) == 201
    assert (await desk.people())["a"].regions == ("leer", "emden")
    assert await desk.ask("POST", body=browser("b")) == 201
    assert await desk.ask("DELETE", body={"endpoint": f"{HOST}/a"}) == 204
    assert await desk.ask("DELETE", body={"endpoint": f"{HOST}/a"}) == 204
    assert [*await desk.people()] == ["b"]


async def test_the_channel_writes_to_who_signed_up(desk: Desk, main: Path) -> None:
    """What the page wrote is what the channel reads: for the regions of a post, with keys that open it."""
    one = Browser()
    await desk.ask("POST", body=browser("a", one, regions=["emden"]))
    book = JournalSubscribers(desk.service.journal, FakeClock())
    assert await book.of(ChannelId("browsers"), post().regions) == []
    [found] = await book.of(ChannelId("browsers"), ["emden"])
    assert (found.endpoint, found.p256dh, found.auth) == (f"{HOST}/a", one.p256dh, one.auth)


async def test_a_browser_that_gets_another_address_keeps_its_regions(desk: Desk) -> None:
    """The new address takes the place of the old one; where the old one is not known it is one more."""
    await desk.ask("POST", body=browser("old", regions=["emden"]))
    assert await desk.ask("POST", body=browser("new", replaces=f"{HOST}/old")) == 201
    assert {name: one.regions for name, one in (await desk.people()).items()} == {"new": ("emden",)}
    assert await desk.ask("POST", body=browser("other", replaces=f"{HOST}/unknown")) == 201
    assert len(await desk.people()) == 2


async def test_the_page_says_what_it_is(desk: Desk, main: Path) -> None:
    """The page names the sender and the channel's regions, holds our public key, and runs nothing but its own code."""
    text, headers = await desk.read()
    assert "Warnungen &lt;Leer&gt;" in text
    assert re.findall(r'name="region" value="(\w+)"', text) == ["leer", "emden"]
    [key] = re.findall(r'data-key="([\w-]+)"', text)
    _, settings = desk.service.loaded.channels[ChannelId("browsers")]
    assert isinstance(settings, Settings)
    assert (key, len(unbase64(key))) == (settings.vapid().public, 65)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "manifest-src 'self'" in headers["Content-Security-Policy"]
    for path in re.findall(r'(?:href|src)="(/push/[^"]+)"', text):
        await desk.read(path)
    worker, headers = await desk.read("/push/worker.js")
    assert headers["Content-Type"].startswith("text/javascript")
    assert "showNotification" in worker
    manifest, _ = await desk.read("/push/browsers/manifest.webmanifest")
    assert '"start_url": "/push/browsers/"' in manifest


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "https://127.0.0.1/x"}, {"endpoint": "http://fcm.googleapis.com/x"}, {"endpoint": ""},
        {"endpoint": f"{HOST}/{'x' * 1_000}"}, {"endpoint": 1}, {"keys": {"p256dh": "A" * 87, "auth": "A" * 22}},
        {"keys": {"p256dh": "ä", "auth": ""}}, {"keys": {}}, {"regions": ["atlantis"]}, {"regions": "leer"},
        {"regions": ["leer"] * 1_001}, {"more": 1},
    ],
)  # fmt: skip
async def test_what_is_no_subscription_is_refused(wrong: dict[str, Any], desk: Desk) -> None:
    """Another host, keys that are none, regions that are not ours, too much of anything: refused, nothing is written."""
    assert await desk.ask("POST", body={**browser(), **wrong}) == 422
    assert await desk.people() == {}


async def test_strangers_get_nothing_else(desk: Desk, main: Path) -> None:
    """No JSON, far too much, a channel that is none or takes nobody, the console's paths: each is refused for what it is."""
    url = f"{desk.service.public}/push/browsers/"
    async with desk.stranger.post(url, data=b"{}", headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 415
    assert await desk.ask("POST", body={**browser(), "endpoint": "x" * 20_000}) == 413
    for path in ("/push/website/", "/push/nothing/", "/", "/api/v1/incidents", "/metrics", "/push/../app.py"):
        assert await desk.ask("GET", path) == 404
    main.write_text(MAIN.replace("    most: 3", "    most: 3\n    state: retired"))
    await desk.service.reload()
    assert await desk.ask("GET") == 404
    assert await desk.ask("POST", body=browser()) == 404


async def test_a_list_that_is_full_takes_nobody_more(desk: Desk) -> None:
    """The fourth of three is told so; whoever is on the list may still change it and leave."""
    for name in ("a", "b", "c"):
        assert await desk.ask("POST", body=browser(name)) == 201
    assert await desk.ask("POST", body=browser("d")) == 503
    assert await desk.ask("POST", body=browser("a", regions=["leer"])) == 201
    assert await desk.ask("DELETE", body={"endpoint": f"{HOST}/b"}) == 204
    assert await desk.ask("POST", body=browser("d")) == 201


async def test_a_crowd_waits(desk: Desk) -> None:
    """Whoever comes when too many do is told to come again; the pages stay."""
    crowd = (desk.ask("DELETE", body={"endpoint": f"{HOST}/a"}) for _ in range(400))
    assert {204, 429} == set(await asyncio.gather(*crowd))
    await desk.read()


def test_the_brake_lets_so_many_through() -> None:
    """So many at once, then one for each share of a second, and never more saved up than at the beginning."""
    now = [0.0]
    brake = Brake(at_once=3, each_second=2, monotonic=lambda: now[0])
    assert [brake.lets_through() for _ in range(4)] == [True, True, True, False]
    now[0] += 0.5
    assert [brake.lets_through() for _ in range(2)] == [True, False]
    now[0] += 1_000
    assert [brake.lets_through() for _ in range(4)] == [True, True, True, False]


async def test_it_is_off_unless_it_is_wanted(main: Path) -> None:
    """Without `public` nothing listens."""
    main.write_text(MAIN.replace("public: {port: 0}\n", ""))
    async with opened(main) as desk:
        assert desk.service.public == ""


async def test_a_browser_shows_what_it_is_sent(main: Path, need: Callable[..., str]) -> None:
    """In a real browser the page runs without a complaint, and its worker shows a message once, whoever sends it twice."""
    said, later = (
        json.dumps({"title": title, "body": "Fenster zu.", "tag": tag, "url": "", "lang": "de"})
        for title, tag in (("Brand", "t1"), ("Rauch", "t2"))
    )
    async with opened(main) as desk, async_playwright() as driver:
        origin = desk.service.public.replace("127.0.0.1", "localhost")
        chromium = await driver.chromium.launch(executable_path=need("chromium", "chromium-browser"), args=QUIET)
        context = await chromium.new_context()
        await context.grant_permissions(["notifications"], origin=origin)
        page, complaints = await context.new_page(), list[str]()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto(f"{origin}/push/browsers/")
        await page.evaluate("navigator.serviceWorker.register('/push/worker.js', {scope: location.pathname})")
        await page.wait_for_function("navigator.serviceWorker.ready.then(() => true)")
        workers, known = await context.new_cdp_session(page), asyncio.Queue[str]()
        workers.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda event: [known.put_nowait(one["registrationId"]) for one in event["registrations"]],
        )
        await workers.send("ServiceWorker.enable")
        here = {"origin": origin, "registrationId": await known.get()}
        for data in (said, said, later):
            await workers.send("ServiceWorker.deliverPushMessage", {**here, "data": data})
        shown = "navigator.serviceWorker.ready.then((r) => r.getNotifications()).then((all) => all.map((n) => [n.title, n.body]))"
        async with asyncio.timeout(30):  # one that is replaced is gone for a moment
            while len(found := await page.evaluate(shown)) < 2:
                await asyncio.sleep(0.05)
        assert sorted(found) == [["Brand", "Fenster zu."], ["Rauch", "Fenster zu."]]
        assert complaints == []
        await chromium.close()
