"""What a kind asks and what the wall answers, held to the description that its provider publishes."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import replace

import jsonschema
import pytest
from contract.described import Book, check
from contract.kit import CODE, channel, kind_of, post
from contract.test_verbs import AT_THE_WALL

from dispatcher.channels.http import Answer, Request, http_client
from dispatcher.wall.app import running_wall

# Before a kind's described paths stands the prefix; the calls are those of which a description is at hand.
DESCRIBED = {
    "matrix": ("/matrix/_matrix/client/v3", {
        "PUT /rooms/{roomId}/send/{eventType}/{txnId}", "PUT /rooms/{roomId}/redact/{eventId}/{txnId}",
        "GET /account/whoami",
    }),
    "signal": ("/signal", {
        "POST /v2/send", "DELETE /v1/remote-delete/{number}", "GET /v1/groups/{number}/{groupid}",
    }),
    "gotify/client": ("/gotify", {"POST /message", "DELETE /message/{id}", "GET /application/{id}/message"}),
    "slack": ("/slack", {"POST /chat.postMessage", "POST /chat.update", "POST /chat.delete"}),
}  # fmt: skip


async def _all_verbs(name: str) -> list[tuple[Request, Answer]]:
    """What is said when a channel does everything it can."""
    async with AsyncExitStack() as stack:
        wall = await stack.enter_async_context(running_wall())
        book = Book(await stack.enter_async_context(http_client()))
        opened = await stack.enter_async_context(channel(name, AT_THE_WALL[name](wall.url), book))
        sent = await opened.send(post())
        await opened.find(post())
        await opened.edit(post(f"Anders. {CODE}", key="e" * 32, target=sent.provider_id))
        await opened.delete(post(key="d" * 32, target=sent.provider_id))
        await opened.probe()
    return book.said


@pytest.mark.parametrize("name", DESCRIBED)
async def test_what_is_asked_and_answered_is_as_described(name: str) -> None:
    """Every call that the provider describes is made as it says, and the wall answers it as it says."""
    prefix, calls = DESCRIBED[name]
    said = await _all_verbs(name)
    assert {check(kind_of(name), prefix, *pair) for pair in said} - {""} == calls


@pytest.mark.parametrize("name", DESCRIBED)
async def test_a_description_can_refuse(name: str) -> None:
    """A call with a field, a place or an answer that the description does not know is found out."""
    prefix, calls = DESCRIBED[name]
    request, answer = (await _all_verbs(name))[0]
    wrong = [
        (request, replace(answer, status=418)),
        (request, replace(answer, body=b'{"event_id": 7, "timestamp": 7, "id": "7", "ok": "7"}')),
        (replace(request, url=f"{request.url}?colour=red"), answer),
    ]
    for pair in wrong:
        with pytest.raises((jsonschema.ValidationError, AssertionError, KeyError)):
            check(kind_of(name), prefix, *pair)
    assert check(kind_of(name), prefix, request, answer) in calls
    assert not check(kind_of(name), prefix, replace(request, method="BREW"), answer)
    assert json.loads(request.body)
