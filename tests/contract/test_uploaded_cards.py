"""Kinds that are given a card's bytes: whatever goes wrong with the card, the text leaves, once, and without a doubt of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from contract.cases import CASES, UNPROVED, Case
from contract.kit import CANARY, CODE, kit_of, post
from contract.painted import UPLOADING, Painted, opened, painting, posting, steps_of, uploading
from contract.provider import Provider, provider, says
from contract.test_verbs import AT_THE_WALL

from dispatcher.channels._cards import NoCards
from dispatcher.channels.base import Traits, load_kind
from dispatcher.channels.departure import departing
from dispatcher.model.channel import Power
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import Fenced
from dispatcher.wall.app import Wall, running_wall
from dispatcher.wall.board import Shown

STEPS = [(name, step) for name in UPLOADING for step in range(len(steps_of(name)))]
HERE = [case for case in CASES if not case.world]
FAILURES = [case for case in HERE if not 200 <= case.status < 300 or case.expected == UNPROVED]
UNHURRIED = {
    "mastodon": (206, {"id": "117000000000000001"}),
    "linkedin_page": (200, {"id": "urn:li:image:C4D1", "status": "PROCESSING"}),
}
ANOTHER = f"Richtigstellung: anders. {CODE}"


def asked(heard: Provider) -> list[str]:
    """What was asked for, in order."""
    return [heard.head(number).partition(" HTTP/")[0] for number in range(len(heard.requests))]


def shows_no_card(heard: Provider) -> bool:
    """Whether the last request says the text and nothing of an image."""
    body = heard.requests[-1].partition(b"\r\n\r\n")[2]
    return CODE.encode() in body and not any(word in body for word in (b"image", b"media", b"photo", b"bafkrei"))


@pytest.mark.parametrize(("name", "step"), STEPS)
@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case.name)
async def test_an_upload_that_fails_costs_the_card_alone(
    name: str, step: int, case: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a provider makes of an upload, the text is posted without its card, once, and says why it is bare."""
    if case.expected == UNPROVED and steps_of(name)[step][1] is None:
        return  # nothing is expected in that answer: the next one tells
    good = posting(name)
    async with uploading(name, case.behave(kit_of(name)), good, steps=step, total=case.total) as (channel, heard):
        outcome = await channel.send(post())
    assert isinstance(outcome, Outcome)
    assert outcome.result is Result.ACCEPTED
    assert outcome.detail.startswith("no card: ")
    assert len(heard.requests) == len(kit_of(name).before) + step + 2
    assert shows_no_card(heard)
    told = repr(outcome) + "".join(capfd.readouterr())
    assert CANARY not in told
    assert heard.url not in told


@pytest.mark.parametrize("name", UPLOADING)
@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
async def test_every_answer_to_a_post_with_a_card_lands_in_its_class(name: str, case: Case) -> None:
    """A card changes nothing about what an answer means; only where nothing was posted the text goes once more, bare."""
    kit = kit_of(name)
    with departing() as departure:
        async with uploading(name, case.behave(kit), total=case.total) as (channel, heard):
            outcome = await channel.send(post())
    assert isinstance(outcome, Outcome)
    assert (outcome.result, outcome.reason) == kit.deviations.get(case.name, case.expected)
    again = outcome.result is Result.PERMANENT or (outcome.result, outcome.reason) == (
        Result.TEMPORARY,
        Reason.SERVER_ERROR,
    )
    login = name == "bluesky" and outcome.reason is Reason.AUTH  # tried once more
    assert len(heard.requests) == len(kit.before) + len(steps_of(name)) + 1 + again + login
    assert departure.left
    assert CANARY not in repr(outcome)


@pytest.mark.parametrize("name", UPLOADING)
async def test_a_post_that_is_refused_with_its_card_goes_without(name: str) -> None:
    """An image that the provider takes back into doubt only when it is posted does not silence the text."""
    refused = says(400, {"error": "no such media", "message": "no such media", "description": "no such media"})
    async with uploading(name, refused, posting(name)) as (channel, heard):
        outcome = await channel.send(post())
    assert isinstance(outcome, Outcome)
    assert outcome.result is Result.ACCEPTED
    assert outcome.detail.startswith("no card: HTTP 400")
    assert shows_no_card(heard)


@pytest.mark.parametrize(("name", "step"), STEPS)
async def test_a_stop_during_an_upload_leaves_nothing_behind(name: str, step: int) -> None:
    """What is stopped while its card is uploaded asks for nothing more, and has not left: no doubt is to be settled."""
    wanted = len(kit_of(name).before) + step

    def check() -> None:
        if len(heard.requests) == wanted:
            raise Fenced

    async with uploading(name, posting(name)) as (channel, heard):
        with departing(check) as departure, pytest.raises(Fenced):
            await channel.send(post())
    assert len(heard.requests) == wanted
    assert not departure.left


@pytest.mark.parametrize("name", [name for name in UPLOADING if steps_of(name)])
async def test_a_slow_upload_holds_no_text_up(name: str) -> None:
    """Where an upload takes longer than a text waits for its card, the text leaves without."""
    hangs = next(case for case in CASES if case.name == "no answer").behave(kit_of(name))
    async with uploading(name, hangs, posting(name), steps=0, cards=Painted(patience=0.1)) as (channel, heard):
        with departing() as departure:
            outcome = await channel.send(post())
    assert isinstance(outcome, Outcome)
    assert (outcome.result, outcome.detail) == (Result.ACCEPTED, "no card: its upload took too long")
    assert shows_no_card(heard)
    assert departure.left


@pytest.mark.parametrize("name", UPLOADING)
async def test_where_no_card_can_be_made_nothing_is_uploaded(name: str) -> None:
    """A post without a card is the post of a channel that wants none."""
    async with uploading(name, posting(name), steps=0, cards=NoCards()) as (channel, heard):
        outcome = await channel.send(post())
    assert isinstance(outcome, Outcome)
    assert (outcome.result, outcome.detail) == (Result.ACCEPTED, "no card: none are made here")
    assert shows_no_card(heard)


@pytest.mark.parametrize("name", UNHURRIED)
async def test_an_image_that_is_being_processed_is_waited_for(name: str) -> None:
    """While a provider still works on an image it is asked again, and then the image goes with the text."""
    kit, [*steps, last] = kit_of(name), steps_of(name)
    working = says(*UNHURRIED[name])
    async with uploading(name, working, working, says(*last), posting(name), steps=len(steps)) as (channel, heard):
        outcome = await channel.send(post())
    assert isinstance(outcome, Outcome)
    assert (outcome.result, outcome.detail) == (Result.ACCEPTED, "")
    assert len(heard.requests) == len(kit.before) + len(steps) + 4
    assert len(set(asked(heard)[-4:-1])) == 1


class Gallery:
    """One channel before the wall."""

    def __init__(self, name: str, wall: Wall) -> None:
        """``name`` is its kind."""
        self.name, self.wall = name, wall
        module = load_kind(name)
        self.settings = {**AT_THE_WALL[name](wall.url), "card": True}
        self.traits: Traits = module.traits(module.Settings(**self.settings))

    async def say(self, verb: str, text: str, cards: Any = None, **more: Any) -> Outcome:
        """One verb, by a channel of its own."""
        async with opened(self.name, self.settings, cards) as channel:
            outcome = await getattr(channel, verb)(post(text, **more))
            assert isinstance(outcome, Outcome)
            return outcome

    @property
    def shown(self) -> Shown:
        """What the public sees."""
        [shown] = [shown for shown in self.wall.board if shown.deleted_ms is None]
        return shown

    @property
    def bytes(self) -> bytes:
        """The image that it sees."""
        return next(one.jpeg for one in self.wall.board.uploads.values() if one.image == self.shown.image)


@pytest_asyncio.fixture(params=UPLOADING)
async def gallery(request: pytest.FixtureRequest) -> AsyncIterator[Gallery]:
    """Each kind in turn; a request that no double knows fails the test."""
    async with running_wall() as wall:
        yield Gallery(request.param, wall)
        assert not wall.board.unexpected


async def test_the_public_sees_the_card_and_its_words(gallery: Gallery) -> None:
    """The very bytes that were drawn hang on the wall, with the text and with the words for those who cannot see them."""
    sent = await gallery.say("send", f"Lage\n\n{CODE}")
    assert (sent.result, sent.detail) == (Result.ACCEPTED, "")
    assert gallery.shown.text == f"Lage\n\n{CODE}"
    assert gallery.bytes == painting(post(f"Lage\n\n{CODE}"))
    words = (
        "" if gallery.name == "telegram" else "In Worten: Polizeieinsatz in Leer"
    )  # its text is the only place for them
    assert gallery.shown.alt == words


async def test_a_changed_post_never_shows_the_card_of_what_was_wrong(gallery: Gallery) -> None:
    """An edit brings the card of the new text or takes the old one away; where neither can be, the post is not changed."""
    sent = await gallery.say("send", f"Lage\n\n{CODE}")
    if Power.EDIT not in gallery.traits.powers:
        return
    edited = await gallery.say("edit", ANOTHER, target=sent.provider_id, key="e" * 32)
    assert edited.result is Result.ACCEPTED
    assert (gallery.shown.text, gallery.bytes) == (ANOTHER, painting(post(ANOTHER)))
    bare = await gallery.say("edit", f"Noch anders. {CODE}", NoCards(), target=sent.provider_id, key="f" * 32)
    if bare.result is Result.ACCEPTED:
        assert (gallery.shown.text, gallery.shown.image) == (f"Noch anders. {CODE}", "")
    else:
        assert (gallery.shown.text, gallery.bytes) == (ANOTHER, painting(post(ANOTHER)))


async def test_a_post_with_a_card_is_taken_back_and_found_like_any(gallery: Gallery) -> None:
    """What later verbs need names a post with a card as well."""
    sent = await gallery.say("send", f"Lage\n\n{CODE}")
    if Power.FIND in gallery.traits.powers:
        assert (await gallery.say("find", "")).provider_id == sent.provider_id
    assert (await gallery.say("delete", "", target=sent.provider_id)).result is Result.ACCEPTED
    assert all(shown.deleted_ms for shown in gallery.wall.board)


@pytest.mark.parametrize(
    "url",
    [
        "https://linkedin.com.evil.example/up", "http://www.linkedin.com/up", "https://evil.example/linkedin.com/",
        "https://a@www.linkedin.com/up", "https://www.linkedin.com:8443/up", "https://www.linkedin.com\\@evil.example/",
        "https://evil.example\\.linkedin.com/", "https://www.linkedin.com", "file:///etc/passwd", "/up", "here", "other",
    ],
)  # fmt: skip
async def test_linkedin_gets_images_and_tokens_nobody_else(url: str) -> None:
    """Where the address for an upload is not LinkedIn's, nothing is sent there and the text goes without its card."""
    async with provider(says(201)) as other:
        told = {"here": "{here}0/up", "other": f"{other.url}/up"}.get(url, url)

        async def begun(request: bytes, writer: asyncio.StreamWriter) -> None:
            value = {"uploadUrl": told.replace("{here}", heard.url), "image": "urn:li:image:C4D1"}
            await says(200, {"value": value})(request, writer)

        async with uploading("linkedin_page", begun, posting("linkedin_page"), steps=0) as (channel, heard):
            outcome = await channel.send(post())
    assert isinstance(outcome, Outcome)
    assert outcome.result is Result.ACCEPTED
    assert outcome.detail == "no card: it was to be uploaded to a place that is not LinkedIn's"
    assert asked(heard) == ["POST /rest/images?action=initializeUpload", "POST /rest/posts"]
    assert other.requests == []


async def test_telegram_shows_no_card_above_a_text_that_no_caption_holds() -> None:
    """A text of more than a caption's 1,024 characters is one message, not a cut caption or two posts; on its edit as well."""
    for length, method in ((1_024, "sendPhoto"), (1_025, "sendMessage")):
        async with uploading("telegram", posting("telegram")) as (channel, heard):
            await channel.send(post(CODE.ljust(length, "x")))
        assert [line.rpartition("/")[2] for line in asked(heard)] == [method]
    async with uploading("telegram", posting("telegram")) as (channel, heard):
        outcome = await channel.edit(post(CODE.ljust(1_025, "x"), target="-1001/7/photo"))
    assert isinstance(outcome, Outcome)
    assert (outcome.result, outcome.reason, heard.requests) == (Result.PERMANENT, Reason.TOO_LONG, [])


def test_a_linkedin_post_with_a_card_is_not_changed_in_place() -> None:
    """LinkedIn changes the words of a post and never its image, so that such a post counts as one that cannot be changed."""
    module = load_kind("linkedin_page")
    given = kit_of("linkedin_page").settings("https://a.example")
    powers = [module.traits(module.Settings(**given, card=card)).powers for card in (False, True)]
    assert powers[0] - powers[1] == {Power.EDIT}
