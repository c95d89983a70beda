"""Every verb that a kind declares, against the wall's double of its provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from contract.kit import (
    CANARY,
    CODE,
    KEYS_VARIABLE,
    SECRET_VARIABLE,
    TOKEN,
    TOKEN_VARIABLE,
    channel,
    kind_of,
    kit_of,
    names_of,
    post,
)  # fmt: skip
from contract.kits.email import email
from contract.kits.fcm import fcm
from contract.kits.mqtt import mqtt
from contract.kits.sms import VARIANTS, sms
from contract.kits.web_push import web_push
from contract.kits.whatsapp_cloud import cloud

from dispatcher.channels.base import Channel, Traits, Unsupported, kinds, load_kind
from dispatcher.channels.http import http_client
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.channel import Power
from dispatcher.model.delivery import Outcome, Result
from dispatcher.wall.app import Wall, running_wall
from dispatcher.wall.board import Shown
from dispatcher.wall.mail import mail_at
from dispatcher.wall.siren import broker_at

ROOM, GROUP = "!leer:matrix.example", "group.bGVlcg=="
PAGE, CHAT = "100000000000001", "120363000000000001@newsletter"
# The wall's Graph double reads the page out of the token.
PAGE_TOKEN = f"{CANARY}-{PAGE}"
AT_THE_WALL = {
    "whatsapp_channel": lambda url: {"via": "waha", "base_url": f"{url}/waha", "chat_id": CHAT, "credential": TOKEN},
    "bluesky": lambda url: {"base_url": f"{url}/bluesky", "identifier": "polizei.example", "credential": TOKEN},
    "facebook_page": lambda url: {"base_url": f"{url}/graph", "page_id": PAGE, "credential": TOKEN},
    "linkedin_page": lambda url: {"base_url": f"{url}/linkedin", "organization_id": "123456", "credential": TOKEN},
    "mastodon": lambda url: {"base_url": f"{url}/mastodon", "credential": TOKEN},
    "matrix": lambda url: {"base_url": f"{url}/matrix", "room_id": ROOM, "credential": TOKEN},
    "signal": lambda url: {
        "base_url": f"{url}/signal",
        "number": "+4917012345678",
        "group": GROUP,
        "credential": TOKEN,
    },
    "slack": lambda url: {"base_url": f"{url}/slack", "channel_id": "C0123456789", "credential": TOKEN},
    "teams": lambda url: {"base_url": f"{url}/teams/staff", "credential": TOKEN},
    "gotify/application": lambda url: {"base_url": f"{url}/gotify", "credential": TOKEN},
    "gotify/client": lambda url: {"base_url": f"{url}/gotify", "application": 5, "credential": TOKEN},
    "telegram": lambda url: {"base_url": f"{url}/telegram", "chat_id": "@polizei_leer", "credential": TOKEN},
    "instagram": lambda url: {
        "base_url": f"{url}/instagram",
        "user_id": "17841400000000001",
        "image_url": f"{url}/card.jpg",
        "credential": TOKEN,
    },
    "threads": lambda url: {"base_url": f"{url}/threads", "credential": TOKEN},
    "x": lambda url: {"base_url": f"{url}/x", "credential": {"token_env": KEYS_VARIABLE}},
    "webhook": lambda url: {"url": f"{url}/hooks/website", "secret_env": SECRET_VARIABLE},
    "ntfy": lambda url: {"url": f"{url}/ntfy/duty-team", "credential": TOKEN},
    "apprise": lambda url: {"url": f"{url}/apprise/staff", "credential": TOKEN},
    "email": lambda url: email(f"//{mail_at(url)}", tls="none"),
    "whatsapp_cloud": lambda url: cloud(f"{url}/whatsapp-cloud"),
    "fcm": lambda url: fcm(f"{url}/fcm", token_url=f"{url}/fcm/token"),
    "web_push": lambda url: web_push(f"{url}/push"),
    "mqtt": lambda url: mqtt(f"//{urlsplit(broker_at(url)).netloc}", "mqtt"),
    **{f"sms/{via}": lambda url, via=via: sms(via, f"{url}/{via}") for via in VARIANTS},
}
FIRST, SECOND = f"Zuerst gesagt. {CODE}", f"Richtigstellung: anders. {CODE}"


@dataclass
class Stage:
    """One channel before the wall."""

    kind: str
    channel: Channel
    traits: Traits
    wall: Wall

    def shown(self) -> list[Shown]:
        """What the public sees now."""
        return [shown for shown in self.wall.board if shown.deleted_ms is None]


@pytest_asyncio.fixture(params=[name for kind in kinds() for name in names_of(kind) if kit_of(name).calls])
async def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """Each kind in turn; a request that no double knows fails the test."""
    monkeypatch.setenv(TOKEN_VARIABLE, PAGE_TOKEN)
    async with AsyncExitStack() as stack:
        wall = await stack.enter_async_context(running_wall())
        http = await stack.enter_async_context(http_client())
        settings = AT_THE_WALL[request.param](wall.url)
        opened = await stack.enter_async_context(channel(request.param, settings, http))
        module = load_kind(kind_of(request.param))
        yield Stage(request.param, opened, module.traits(module.Settings(**settings)), wall)
        assert not wall.board.unexpected


def _text(text: str, **changes: Any) -> Post:
    return post(text, **changes)


async def test_what_is_sent_is_what_the_public_sees(stage: Stage) -> None:
    """A post stands on the wall with its whole text, and its acceptance names it where the provider gives names."""
    outcome = await stage.channel.send(_text(FIRST))
    assert outcome.result is Result.ACCEPTED
    assert [FIRST in shown.text for shown in stage.shown()] == [True]
    assert bool(outcome.provider_id) is kit_of(stage.kind).names


async def test_no_purpose_is_one_that_a_kind_has_no_word_for(stage: Stage) -> None:
    """Whatever an alert is for, it is said; and whatever a change is for, it is made where the kind changes posts."""
    for number, purpose in enumerate(Purpose):
        sent = await stage.channel.send(_text(f"{purpose}. {CODE}", purpose=purpose, key=f"{number:032x}"))
        assert sent.result is Result.ACCEPTED, purpose
    if Power.EDIT in stage.traits.powers:
        for purpose in Purpose:
            changed = _text(f"Nun {purpose}. {CODE}", purpose=purpose, key="e" * 32, target=sent.provider_id)
            assert (await stage.channel.edit(changed)).result is Result.ACCEPTED, purpose


async def test_the_longest_text_that_fits_is_taken(stage: Stage) -> None:
    """A text of exactly the declared limit is taken whole."""
    text = CODE.ljust(stage.traits.limit.size, "x")
    assert (await stage.channel.send(_text(text))).result is Result.ACCEPTED
    assert text in stage.shown()[0].text


async def test_a_repeat_with_the_same_key_is_shown_once(stage: Stage) -> None:
    """Two acceptances of one post name one post where the kind declares a key, and never hide one where it does not."""
    said_twice = _text(FIRST)
    outcomes = [await stage.channel.send(said_twice) for _ in range(2)]
    accepted = [outcome.provider_id for outcome in outcomes if outcome.result is Result.ACCEPTED]
    assert len(stage.shown()) == (len(set(accepted)) if kit_of(stage.kind).names else len(accepted))
    if Power.KEY in stage.traits.powers:
        assert len(accepted) == 2
        assert len(set(accepted)) == 1


async def test_editing_replaces_the_text(stage: Stage) -> None:
    """An edit changes the post it names and adds none."""
    sent = await stage.channel.send(_text(FIRST))
    outcome = await stage.channel.edit(_text(SECOND, key="e" * 32, target=sent.provider_id))
    if Power.EDIT not in stage.traits.powers:
        assert outcome == Unsupported("edit")
        return
    assert outcome.result is Result.ACCEPTED
    assert [SECOND in shown.text for shown in stage.shown()] == [True]


async def test_deleting_takes_the_post_back(stage: Stage) -> None:
    """A deleted post is gone from the public's eyes, and deleting it again does no harm where that can be asked."""
    sent = await stage.channel.send(_text(FIRST))
    outcome = await stage.channel.delete(_text(SECOND, key="d" * 32, target=sent.provider_id))
    if Power.DELETE not in stage.traits.powers:
        assert outcome == Unsupported("delete")
        return
    assert outcome.result is Result.ACCEPTED
    assert not stage.shown()


async def test_finding_tells_posted_from_not_posted(stage: Stage) -> None:
    """A look-up is absent before the post, and afterwards names it as the acceptance did."""
    before = await stage.channel.find(_text(FIRST))
    if Power.FIND not in stage.traits.powers:
        assert before == Unsupported("find")
        return
    assert before.result is Result.ABSENT
    await stage.channel.send(_text("Etwas anderes. A1B-23", key="a" * 32))
    assert (await stage.channel.find(_text(FIRST))).result is Result.ABSENT
    sent = await stage.channel.send(_text(FIRST))
    after = await stage.channel.find(_text(FIRST))
    assert after.result is Result.VISIBLE
    assert after.provider_id == sent.provider_id


async def test_probing_posts_nothing(stage: Stage) -> None:
    """A probe finds a good channel ready and leaves no trace on it."""
    outcome = await stage.channel.probe()
    expected = Outcome if Power.PROBE in stage.traits.powers else Unsupported
    assert isinstance(outcome, expected)
    assert not isinstance(outcome, Outcome) or outcome.result is Result.READY
    assert not stage.shown()


async def test_declared_powers_are_the_verbs_that_answer(stage: Stage) -> None:
    """No kind declares a power it lacks or hides a verb it has; asking what is gone or dead never raises."""
    target = _text(FIRST, target="1_1")
    verbs = {Power.EDIT: stage.channel.edit, Power.DELETE: stage.channel.delete, Power.FIND: stage.channel.find}
    answered = {power for power, verb in verbs.items() if isinstance(await verb(target), Outcome)}
    assert answered == stage.traits.powers & set(verbs)


async def test_by_hand_asks_a_person() -> None:
    """A WhatsApp channel without a gateway sends nothing and answers with a task that names the text."""
    link = "https://whatsapp.com/channel/0029Va"
    async with http_client() as http, channel("whatsapp_channel", {"invite_url": link}, http) as opened:
        outcome = await opened.send(post())
        assert outcome.result is Result.BY_HAND
        assert CODE in outcome.detail
        assert outcome.url == link
        assert await opened.find(post()) == Unsupported("find")
