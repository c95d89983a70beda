"""Which kinds have a published description here, and how what they say is held to it: question and answer, each by itself."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jsonschema
from contract import described
from contract.described import Book
from contract.graph_tables import check_tables
from contract.kit import CODE, channel, kind_of, post
from contract.lexicon import check_call
from contract.painted import UPLOADING, Painted
from contract.postman import check_collection
from contract.test_verbs import AT_THE_WALL

from dispatcher.channels.http import Answer, Request, http_client
from dispatcher.wall.app import running_wall

_FOLDER = Path(__file__).parent / "published"
Held = tuple[bool, bool]  # whether question and answer were held to a description

# What stands before the described paths on the wall.
PREFIXES = {
    "gotify": "/gotify", "mastodon": "/mastodon", "matrix": "/matrix/_matrix/client/v3", "signal": "/signal",
    "slack": "/slack", "sms/twilio": "/twilio", "whatsapp_channel": "/waha", "whatsapp_cloud": "/whatsapp-cloud",
}  # fmt: skip
# What remains where a kind says more than its description here.
REST = {
    "facebook_page": "the tables do not say what a change answers",
    "fcm": "the exchange of a claim for a token is OAuth's, in prose",
    "instagram": "the tables do not say what a deletion answers, and have no debug_token",
    "teams": "the answer has no body",
    "threads": "the collection does not say what debug_token answers",
    "whatsapp_cloud": "debug_token is not described",
}


class Share(NamedTuple):
    """How much of what a kind and its double said was held to a description, and why not the rest."""

    name: str
    calls: int
    questions: int
    answers: int
    why: str


@functools.cache
def fcm_schema(name: str) -> dict[str, Any]:
    """One of Google's published schemas as JSON Schema: what it does not know is refused."""
    definitions = copy.deepcopy(json.loads((_FOLDER / "fcm" / "fcm.v1.json").read_text())["schemas"])
    for definition in definitions.values():
        definition.pop("id")
        definition["additionalProperties"] = False
    text = json.dumps({"$defs": definitions, "$ref": name}).replace('"type": "any"', '"title": "any"')
    for known in definitions:
        text = text.replace(f'"$ref": "{known}"', f'"$ref": "#/$defs/{known}"')
    return json.loads(text)


@functools.cache
def adaptive_cards() -> jsonschema.Draft6Validator:
    """The schema of what a Teams message shows."""
    return jsonschema.Draft6Validator(
        json.loads((_FOLDER / "adaptive-cards" / "adaptive-card-1.4.0.schema.json").read_text())
    )


def _fcm(request: Request, answer: Answer) -> Held:
    if not urlsplit(request.url).path.endswith("/messages:send"):
        return False, False
    jsonschema.validate(json.loads(request.body), fcm_schema("SendMessageRequest"))
    jsonschema.validate(answer.json(), fcm_schema("Message"))
    return True, True


def _teams(request: Request, answer: Answer) -> Held:
    for attachment in json.loads(request.body)["attachments"]:
        adaptive_cards().validate(attachment["content"])
    return True, False


def _open_api(folder: str, prefix: str, request: Request, answer: Answer) -> Held:
    known = bool(described.check(folder, prefix, request, answer))
    return known, known


DESCRIPTIONS: Mapping[str, Callable[[Request, Answer], Held]] = {
    "bluesky": check_call, "fcm": _fcm, "teams": _teams,
    "facebook_page": partial(check_tables, "facebook_page", "/graph"),
    "instagram": partial(check_tables, "instagram", "/instagram"), "threads": partial(check_collection, "/threads/v1.0"),
    **{kind: partial(_open_api, kind, prefix) for kind, prefix in PREFIXES.items()},
}  # fmt: skip


def described_as(name: str) -> str:
    """Under which name there is a description: that of a variant, else that of its kind."""
    return name if name in DESCRIPTIONS else kind_of(name)


async def all_verbs(name: str) -> list[tuple[Request, Answer]]:
    """What is said before the wall when a channel does everything it can, with a card where it is given one."""
    async with AsyncExitStack() as stack:
        wall = await stack.enter_async_context(running_wall())
        book = Book(await stack.enter_async_context(http_client()), cards=Painted())
        settings = {**AT_THE_WALL[name](wall.url), **({"card": True} if name in UPLOADING else {})}
        opened = await stack.enter_async_context(channel(name, settings, book))
        sent = await opened.send(post())
        await opened.find(post())
        await opened.edit(post(f"Anders. {CODE}", key="e" * 32, target=sent.provider_id))
        await opened.delete(post(key="d" * 32, target=sent.provider_id))
        await opened.probe()
    return book.said


def share_of(name: str, said: list[tuple[Request, Answer]], reason: str) -> Share:
    """How much of it is as described; raises where something is described and not so. ``reason`` stands for kinds without."""
    hold = DESCRIPTIONS.get(described_as(name), lambda *_: (False, False))
    held = [hold(*pair) for pair in said]
    questions, answers = (sum(sides) for sides in zip(*held, strict=True)) if held else (0, 0)
    return Share(name, len(said), questions, answers, reason or REST.get(name, ""))
