"""Cards leave the house: fetched from the public listener or put on the web, on Instagram and others, and never in a post's way."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from acceptance.harness import event, one_playbook
from aiohttp import ClientSession
from contract.kit import CANARY, TOKEN_VARIABLE, channel, kit_of, post
from contract.provider import Provider, in_turn, provider, says
from PIL import Image
from unit.house import until

from dispatcher.app import Service, build
from dispatcher.cards.face import Face, face_of_post, faces_of
from dispatcher.cards.settings import CardSettings, PushSettings
from dispatcher.cards.studio import Studio, drawing
from dispatcher.channels._cards import NoCard, Shape
from dispatcher.channels.departure import departing
from dispatcher.channels.http import Client, http_client
from dispatcher.intake.base import Inbound
from dispatcher.journal import queries
from dispatcher.journal.base import open_journal
from dispatcher.model.alert import Purpose
from dispatcher.model.delivery import Reason, Result
from dispatcher.model.errors import ConfigurationError, Fenced
from dispatcher.settings import load
from dispatcher.wall.app import Wall, running_wall

SHOWING = ("instagram", "threads", "facebook")
NAME = "0" * 40


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens the doubles and the place."""
    monkeypatch.setenv(TOKEN_VARIABLE, CANARY)
    monkeypatch.setenv("CARD_SECRET", "s3cr3t")


def unillustrated(url: str) -> dict[str, Any]:
    """Settings of an Instagram account that has no standing image."""
    return {name: value for name, value in kit_of("instagram").settings(url).items() if name != "image_url"}


def written(folder: Path, cards: dict[str, Any] | None, **more: Any) -> Path:
    """An exercise on the wall with three channels that show cards and one that does not."""
    one_playbook(folder)
    (folder / "secret").write_text("letmein-100000000000001")
    common = {"realm": "exercise", "languages": ["de"], "credential": {"token_file": "secret"}}
    graph = {**common, "kind": "facebook_page", "base_url": "wall://graph"}
    config = {
        "realm": "exercise", "release_override": "automatic", "sender": {"name": "Polizei Beispiel"},
        "journal": {"path": "journal.sqlite"}, "console": {"port": 0}, "public": {"port": 0},
        "regions": [{"id": "leer", "name": "Leer", "ags": "03457"}], **({"cards": cards} if cards else {}),
        "channels": {
            "instagram": {**common, "kind": "instagram", "user_id": "17841400000000001", "base_url": "wall://instagram"},
            "threads": {**common, "kind": "threads", "base_url": "wall://threads", "card": True},
            "facebook": {**graph, "page_id": "100000000000001", "card": True},
            "plain": {**graph, "page_id": "100000000000002"},
        }, **more,
    }  # fmt: skip
    (folder / "dispatcher.yaml").write_text(json.dumps(config))
    return folder / "dispatcher.yaml"


@asynccontextmanager
async def running(main: Path, wall: Wall) -> AsyncIterator[Service]:
    """The daemon, its channels on ``wall``."""
    async with build(load(main, wall=wall.url), path=main) as service:
        yield service


async def alarm(service: Service, number: str = "1") -> None:
    """An event comes."""
    raw = json.dumps(event(number, source="els")).encode()
    await service.pipeline.receive(Inbound(source="els", payload=raw, received_at=service.pipeline.clock.now()))


async def fetched(url: str) -> tuple[int, dict[str, str], bytes]:
    """What a provider gets that fetches an image."""
    async with ClientSession() as session, session.get(url) as answer:
        return answer.status, dict(answer.headers), await answer.read()


async def test_an_alert_is_on_instagram_with_its_card(tmp_path: Path) -> None:
    """From the event to the post: the image is the alert's card, fetched by its address, described by the words on it.

    After a restart the same address gives the same bytes, made again out of the journal.
    """
    main = written(tmp_path, {"serve": True})
    async with running_wall() as wall:
        async with running(main, wall) as service:
            await alarm(service)
            await until(lambda: len(wall.board) == 4)
            by_service = {str(shown.service): shown for shown in wall.board if shown.image}
            assert set(by_service) == set(SHOWING)
            assert sum(not shown.image for shown in wall.board) == 1
            jpegs = {}
            for name, size in (("instagram", (1080, 1350)), ("threads", (1080, 1350)), ("facebook", (1200, 675))):
                shown = by_service[name]
                assert shown.image.startswith(f"{service.public}/cards/")
                status, headers, jpegs[name] = await fetched(shown.image)
                assert (status, headers["Content-Type"]) == (200, "image/jpeg")
                assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert Image.open(io.BytesIO(jpegs[name])).size == size
                assert shown.alt.startswith("ÜBUNG – EXERCISE\nExtreme Gefahr\n")
                assert "Schulzentrum" in shown.alt
                assert len(shown.alt) <= 1_000
            path = by_service["instagram"].image.removeprefix(service.public)
        async with running(main, wall) as service:
            status, _, again = await fetched(f"{service.public}{path}")
            assert (status, again) == (200, jpegs["instagram"])


async def test_kinds_that_are_given_the_image_need_no_address(tmp_path: Path) -> None:
    """Without any place for cards an alert is on Mastodon with its card: the JPEG of its own words, and nothing is served."""
    common = {"realm": "exercise", "languages": ["de"], "credential": {"token_file": "secret"}}
    mastodon = {**common, "kind": "mastodon", "base_url": "wall://mastodon", "card": True}
    main = written(tmp_path, None, channels={"mastodon": mastodon})
    async with running_wall() as wall, running(main, wall) as service:
        assert not [warning for warning in service.loaded.warnings if "cards" in str(warning)]
        await alarm(service)
        await until(lambda: len(wall.board) == 1)
        [shown] = wall.board
        status, headers, jpeg = await fetched(f"{wall.url}{shown.image}")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert Image.open(io.BytesIO(jpeg)).size == (1200, 675)
        assert shown.alt.startswith("ÜBUNG – EXERCISE\nExtreme Gefahr\n")
        assert "Schulzentrum" in shown.alt
        [alert] = [record.alert for record in await service.journal.read(queries.alert_records)]
        [name] = {face.name(Shape.LANDSCAPE) for face in faces_of(alert) if face.text == shown.alt}
        assert (await fetched(f"{service.public}/cards/{alert.id}/{name}.jpg"))[0] == 404
        assert (await fetched(f"{wall.url}/_wall/images/999.jpg"))[0] == 404


async def test_only_cards_of_released_alerts_are_served(tmp_path: Path) -> None:
    """A held alert's card is not there, whoever knows its name; nor is any other name, or what staff are told."""
    main = written(tmp_path, {"serve": True}, release_override=None)
    text = (tmp_path / "playbooks" / "amok.yaml").read_text()
    (tmp_path / "playbooks" / "amok.yaml").write_text(text.replace('"automatic"', '"one_person"'))
    async with running_wall() as wall, running(main, wall) as service:
        await alarm(service)
        records = await service.journal.read(queries.alert_records)
        held = next(record for record in records if record.alert.held)
        for alert, names in (
            (held.alert, [face.name(Shape.PORTRAIT) for face in faces_of(held.alert)]),
            (held.alert, [NAME]),
        ):
            for name in names:
                assert (await fetched(f"{service.public}/cards/{alert.id}/{name}.jpg"))[0] == 404
        assert (await fetched(f"{service.public}/cards/a000/{NAME}.jpg"))[0] == 404
        assert (await fetched(f"{service.public}/cards/{held.alert.id}/../../secret"))[0] == 404


async def test_strangers_cannot_make_it_draw_all_day(tmp_path: Path) -> None:
    """Whoever asks for what is not at hand is slowed down with the others; what is at hand is given to everyone."""
    main = written(tmp_path, {"serve": True})
    async with running_wall() as wall, running(main, wall) as service:
        await alarm(service)
        await until(lambda: len(wall.board) == 4)
        [image] = [shown.image for shown in wall.board if shown.service == "instagram"]
        guesses = [fetched(f"{service.public}/cards/a000/{number:040x}.jpg") for number in range(150)]
        statuses = {status for status, _, _ in await asyncio.gather(*guesses)}
        assert statuses == {404, 429}
        assert (await fetched(image))[0] == 200


@asynccontextmanager
async def studio(
    folder: Path, settings: CardSettings | None = None, **more: Any
) -> AsyncIterator[tuple[Studio, Client]]:
    """A studio over an empty journal, and the way out of the house."""
    async with http_client() as http, open_journal(folder / "journal.sqlite", inline=True) as journal:
        http.cards = made = Studio(settings or CardSettings(serve=True), http, journal, **more)
        made.base = "https://warnung.leer.example"
        try:
            yield made, http
        finally:
            made.close()


def pushing(url: str, **more: Any) -> CardSettings:
    """Cards are put at ``url``."""
    return CardSettings(push=PushSettings(url=url, credential={"token_env": "CARD_SECRET"}, **more))


@pytest.mark.parametrize(
    ("more", "header", "public"),
    [
        ({}, "Bearer s3cr3t", None),
        ({"user": "anna"}, f"Basic {base64.b64encode(b'anna:s3cr3t').decode()}", None),
        ({"public_url": "https://www.leer.example/karten"}, "Bearer s3cr3t", "https://www.leer.example/karten"),
    ],
)
async def test_a_card_is_put_where_it_is_wanted(
    more: dict[str, str], header: str, public: str | None, tmp_path: Path
) -> None:
    """One PUT with the credential carries the JPEG; the card's address is where the public finds it."""
    async with provider(says(201)) as place, studio(tmp_path, pushing(f"{place.url}/karten", **more)) as (made, _):
        card = await made.of(post(), Shape.PORTRAIT)
        assert await made.of(post(), Shape.PORTRAIT) == card
        name = face_of_post(post()).name(Shape.PORTRAIT)
        assert card.url == f"{public or f'{place.url}/karten'}/{name}.jpg"
        assert len(place.requests) == 1
        assert place.head().startswith(f"PUT /karten/{name}.jpg HTTP/1.1\r\n")
        assert f"authorization: {header}".casefold() in place.head().casefold()
        assert "content-type: image/jpeg" in place.head().casefold()
        assert place.requests[0].partition(b"\r\n\r\n")[2] == made.kept(name)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(403, Reason.AUTH), (507, Reason.SERVER_ERROR), (409, Reason.REJECTED), (301, Reason.REJECTED)],
)
async def test_a_place_that_refuses_is_tried_again(answer: int, reason: Reason, tmp_path: Path) -> None:
    """Instagram's outcome says why there is no card; the next try puts it and posts."""
    before = [says(*said) for said in kit_of("instagram").before]
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(provider(in_turn(says(answer), says(201))))
        meta = await stack.enter_async_context(provider(in_turn(*before, says(200, {"id": "1"}))))
        _, http = await stack.enter_async_context(studio(tmp_path, pushing(place.url)))
        opened = await stack.enter_async_context(channel("instagram", unillustrated(meta.url), http))
        refused = await opened.send(post())
        assert (refused.result, refused.reason) == (Result.TEMPORARY, reason)
        assert "no card" in refused.detail
        assert meta.requests == []
        assert (await opened.send(post())).result is Result.ACCEPTED
        assert meta.body(0)["image_url"].startswith(place.url)


async def test_a_stop_keeps_a_card_at_home(tmp_path: Path) -> None:
    """Once nothing may leave any more no card is put anywhere, and putting one does not count as the post's departure."""

    def stop() -> None:
        """The fence stands."""
        raise Fenced("stopped")

    async with provider(says(201)) as place, studio(tmp_path, pushing(place.url)) as (made, _):
        with departing(stop), pytest.raises(Fenced):
            await made.of(post(), Shape.PORTRAIT)
        assert place.requests == []
        with departing(lambda: None) as departure:
            await made.of(post(), Shape.PORTRAIT)
        assert len(place.requests) == 1
        assert not departure.left


async def test_one_text_is_drawn_once(tmp_path: Path) -> None:
    """However many channels say the same at once, and say it again, each shape of it is drawn one time."""
    drawn = list[str]()

    def draw(face: Face, shape: Shape) -> tuple[bytes, str]:
        """Draw, and note it."""
        drawn.append(shape)
        return drawing(face, shape)

    async with studio(tmp_path, draw=draw) as (made, _):
        cards = await asyncio.gather(*(made.of(post(key=f"{n:032x}"), shape) for n in range(40) for shape in Shape))
        await made.of(post(), Shape.PORTRAIT)
    assert sorted(drawn) == sorted(Shape)
    assert len({card.url for card in cards}) == 2


async def test_a_slow_drawing_holds_nobody_up(tmp_path: Path) -> None:
    """Threads goes without the card that is not ready, Instagram says so and has it at the next try."""
    go = threading.Event()

    def draw(face: Face, shape: Shape) -> tuple[bytes, str]:
        """Wait to be let go."""
        go.wait(30)
        return b"jpeg", face.text

    async with studio(tmp_path, draw=draw) as (made, http):
        made.patience = 0.01
        with pytest.raises(NoCard, match="still being made") as refused:
            await made.of(post(), Shape.PORTRAIT)
        assert (refused.value.outcome.result, refused.value.outcome.reason) == (Result.TEMPORARY, Reason.TIMEOUT)
        assert await said(http, "threads", {"card": True}) == [("TEXT", None)]
        go.set()
        made.patience = 30
        assert (await made.of(post(), Shape.PORTRAIT)).url.startswith("https://warnung.leer.example/cards/alert-1/")


async def said(http: Client, kind: str, settings: dict[str, Any], *behaves: Any) -> list[tuple[str | None, str | None]]:
    """Media type and image of each container or post that ``kind`` asked for, until it was accepted."""
    kit = kit_of(kind)
    usual = [*(says(*answer) for answer in kit.before), says(200, kit.good)]
    async with (
        provider(in_turn(*(behaves or usual))) as heard,
        channel(kind, {**kit.settings(heard.url), **settings}, http) as opened,
    ):
        while (outcome := await opened.send(post())).result is Result.TEMPORARY:
            pass
    assert outcome.result is Result.ACCEPTED
    return [found for number in range(len(heard.requests)) if (found := _shown(heard, number))]


def _shown(heard: Provider, number: int) -> tuple[str | None, str | None] | None:
    body = heard.requests[number].partition(b"\r\n\r\n")[2].decode()
    fields = json.loads(body) if body.startswith("{") else dict(parse_qsl(body))
    if not fields.keys() & {"text", "caption", "message"}:
        return None
    return fields.get("media_type"), fields.get("image_url") or fields.get("url")


@pytest.mark.parametrize("kind", ["threads", "facebook_page", "instagram"])
async def test_a_broken_drawing_silences_nobody(kind: str, tmp_path: Path) -> None:
    """Whatever the drawing raises, the text leaves: without an image, or with the standing one."""

    def draw(face: Face, shape: Shape) -> tuple[bytes, str]:
        """Nobody expected this."""
        raise AttributeError("broken")

    async with studio(tmp_path, draw=draw) as (_, http):
        [(_, image)] = await said(http, kind, {"card": True})
        assert image == (kit_of(kind).settings("")["image_url"] if kind == "instagram" else None)
        async with channel("instagram", unillustrated("http://127.0.0.1:9"), http) as opened:
            outcome = await opened.send(post())
        assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.INTERNAL)
        assert outcome.detail == "no card: it cannot be drawn (AttributeError)"


async def test_a_card_that_a_provider_refuses_is_left_out(tmp_path: Path) -> None:
    """Where Meta cannot fetch or take the image, the text is posted without it, or with the standing image."""
    unfetched = says(400, {"error": {"code": 9004, "error_subcode": 2207052, "message": "cannot be fetched"}})
    made, ready, out = (
        says(200, {"id": "1"}),
        says(200, {"status": "FINISHED", "status_code": "FINISHED"}),
        says(200, {"id": "2"}),
    )
    async with studio(tmp_path) as (_, http):
        types = [kind for kind, _ in await said(http, "threads", {"card": True}, unfetched, made, ready, out)]
        assert types == ["IMAGE", "TEXT"]
        failed = says(200, {"status": "ERROR", "status_code": "ERROR", "error_message": "2207052"})
        types = [kind for kind, _ in await said(http, "threads", {"card": True}, made, failed, made, ready, out)]
        assert types == ["IMAGE", "TEXT"]
        images = [image for _, image in await said(http, "instagram", {}, unfetched, made, ready, out)]
        assert images[0].startswith("https://warnung.leer.example")
        assert images[1] == kit_of("instagram").settings("")["image_url"]
        missing = says(400, {"error": {"code": 324, "message": "Missing or invalid image file"}})
        images = [
            image is None
            for _, image in await said(http, "facebook_page", {"card": True}, missing, says(200, {"id": "1_2"}))
        ]
        assert images == [False, True]


async def test_what_staff_are_told_has_no_card(tmp_path: Path) -> None:
    """A page never lies where strangers can fetch it, and nothing is drawn before the listener is open."""
    async with studio(tmp_path) as (made, _):
        with pytest.raises(NoCard, match="not for the public"):
            await made.of(post(purpose=Purpose.PAGE), Shape.PORTRAIT)
        with pytest.raises(NoCard, match="not for the public"):
            await made.drawn(post(purpose=Purpose.PAGE), Shape.PORTRAIT)
        made.base = ""
        with pytest.raises(NoCard, match="not open yet"):
            await made.of(post(), Shape.PORTRAIT)
        assert (await made.drawn(post(), Shape.PORTRAIT)).alt


async def test_a_flood_of_texts_has_an_end(tmp_path: Path) -> None:
    """So many cards wait to be drawn and not one more; who comes too late hears so at once."""
    go = threading.Event()
    async with studio(tmp_path, draw=lambda face, _: (go.wait(30), (b"", face.text))[1]) as (made, _):
        made.patience = 0.01
        asked = (made.of(post(f"Lage {n}\n\nText {n}"), Shape.PORTRAIT) for n in range(40))
        found = await asyncio.gather(*asked, return_exceptions=True)
        go.set()
    reasons = [error.outcome.reason for error in found if isinstance(error, NoCard)]
    assert reasons.count(Reason.RATE_LIMITED) == 8
    assert reasons.count(Reason.TIMEOUT) == 32


@pytest.mark.parametrize(
    ("cards", "more", "told"),
    [
        ({"serve": True}, {"public": None}, "there is no public listener"),
        (None, {}, "nothing is posted without an image"),
    ],
)
async def test_a_card_that_nobody_could_fetch_is_told(cards: Any, more: Any, told: str, tmp_path: Path) -> None:
    """Cards without a listener, Instagram without any image: named at the start, and the other channels speak."""
    loaded = load(written(tmp_path, cards, **more), wall="http://127.0.0.1:9")
    assert any(told in str(problem) for problem in loaded.problems)
    assert set(loaded.channels) == {"threads", "facebook", "plain"}
    warned = [str(warning) for warning in loaded.warnings if "no cards are made" in str(warning)]
    assert len(warned) == 2


def test_cards_are_for_the_public(tmp_path: Path) -> None:
    """A channel for staff that asks for cards is left out and named; a place and the listener at once are refused."""
    staff = {"kind": "threads", "realm": "exercise", "base_url": "wall://threads", "card": True, "audience": "staff",
             "credential": {"token_file": "secret"}}  # fmt: skip
    loaded = load(written(tmp_path, {"serve": True}, channels={"inside": staff}))
    assert any("cards are public, and the audience is staff" in str(problem) for problem in loaded.problems)
    both = {"serve": True, "push": {"url": "https://a.example", "credential": {"token_file": "secret"}}}
    with pytest.raises(ConfigurationError, match="one of them"):
        load(written(tmp_path / "both", both))


def test_a_drill_puts_no_card_anywhere(tmp_path: Path) -> None:
    """Out of files whose cards are put on the web, a drill serves them on this machine."""
    push = {"push": {"url": "https://live.example/cards", "credential": {"token_file": "secret"}}}
    main, made = written(tmp_path, push), tmp_path / "made"
    made.mkdir()
    loaded = load(main, drill=made)
    assert loaded.cards == CardSettings(serve=True)
    assert loaded.public is not None
    assert (loaded.public.host, loaded.public.port, loaded.public.public_url) == ("127.0.0.1", 0, "")
    assert "instagram" in loaded.channels
