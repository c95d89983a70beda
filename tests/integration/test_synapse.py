"""A room of a real Matrix homeserver: what stands in it after all we do, what is refused, and whether our double is like it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from contract.described import Book
from contract.kit import CODE, channel, post
from integration.synapse import Account, Synapse, room_path

from dispatcher.channels.base import Channel, load_kind
from dispatcher.channels.http import Answer, http_client
from dispatcher.intake.embedded import free_port
from dispatcher.model.delivery import Reason, Result
from dispatcher.wall.app import running_wall

VERSIONS = ["11", "12"]  # the last whose rooms are named after a server, and what Synapse makes when it is not asked
_numbers = count()


@pytest.fixture(scope="module")
def synapse(need: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    """One server for all of them: it takes seconds to start."""
    with Synapse(need("synapse_homeserver"), tmp_path_factory.mktemp("synapse"), free_port()) as server:
        yield server


@dataclass
class Member:
    """A channel of ours into a room, the account behind it, and what it heard."""

    channel: Channel
    account: Account
    room: str
    book: Book


def _account(synapse: Synapse) -> Account:
    account = synapse.register(f"polizei-{next(_numbers)}")
    synapse.lift_limit(account)
    return account


@asynccontextmanager
async def _opened(synapse: Synapse, folder: Path, room: str, account: Account) -> AsyncIterator[Member]:
    token = folder / account.user_id
    token.write_text(account.token)
    settings = {"base_url": synapse.url, "room_id": room, "credential": {"token_file": str(token)}}
    async with http_client() as http:
        book = Book(http)
        async with channel("matrix", settings, book) as opened:
            yield Member(opened, account, room, book)


@pytest.fixture(params=VERSIONS)
async def member(synapse: Synapse, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Member]:
    """An account without limits in a room of its own, of either version."""
    account = _account(synapse)
    async with _opened(synapse, tmp_path, synapse.room(request.param, account), account) as opened:
        yield opened


async def test_a_post_stands_there_once(synapse: Synapse, member: Member) -> None:
    """However often and however close together it is sent, there is one event, and it is found by the alert's code."""
    assert (await member.channel.probe()).result is Result.READY
    assert (await member.channel.find(post())).result is Result.ABSENT
    sent = [await member.channel.send(post()), *await asyncio.gather(*(member.channel.send(post()) for _ in range(5)))]
    [event] = synapse.events(member.room)
    assert {(outcome.result, outcome.provider_id) for outcome in sent} == {(Result.ACCEPTED, event["event_id"])}
    assert event["content"] == {"msgtype": "m.text", "body": post().text.body, "m.mentions": {}}
    found = await member.channel.find(post())
    assert (found.result, found.provider_id) == (Result.VISIBLE, event["event_id"])


@pytest.mark.parametrize("member", VERSIONS[-1:], indirect=True)
async def test_a_doubt_is_settled_after_a_power_cut(synapse: Synapse, member: Member) -> None:
    """A server that was killed after it answered still knows the transaction: the repeat names the first event."""
    sent = await member.channel.send(post())
    synapse.kill()
    assert (await member.channel.send(post())).result in (Result.TEMPORARY, Result.IN_DOUBT)
    synapse.start()
    assert (await member.channel.send(post())).provider_id == sent.provider_id
    assert len(synapse.events(member.room)) == 1


async def test_a_change_and_a_deletion_reach_the_post(synapse: Synapse, member: Member) -> None:
    """A correction replaces the text in place, also where it is repeated; a deletion empties the post, once or twice."""
    sent = await member.channel.send(post())
    correction = post(f"Richtigstellung. {CODE}", key="e" * 32, target=sent.provider_id)
    changes = [await member.channel.edit(correction) for _ in range(2)]
    assert [outcome.result for outcome in changes] == [Result.ACCEPTED] * 2
    original, _change = synapse.events(member.room)
    replaced = original["unsigned"]["m.relations"]["m.replace"]
    assert replaced["content"]["m.new_content"]["body"] == correction.text.body
    assert (await member.channel.find(post())).provider_id == original["event_id"]
    for key in ("d" * 32, "d" * 32, "c" * 32):
        assert (await member.channel.delete(post(key=key, target=sent.provider_id))).result is Result.ACCEPTED
    assert synapse.events(member.room)[0]["content"] == {}
    assert (await member.channel.find(post())).result is Result.ABSENT


async def test_the_longest_text_can_be_changed(member: Member) -> None:
    """The longest text that is let through fits into an event together with its own change; twice that is too long."""
    limit = load_kind("matrix").traits(None).limit.size
    sent = await member.channel.send(post('"' * limit))
    for size, result, reason in [(limit, Result.ACCEPTED, None), (limit * 2, Result.PERMANENT, Reason.TOO_LONG)]:
        outcome = await member.channel.edit(post('"' * size, key=f"{size:032x}", target=sent.provider_id))
        assert (outcome.result, outcome.reason) == (result, reason)


async def test_an_encrypted_room_takes_plain_posts(synapse: Synapse, member: Member) -> None:
    """The server does not refuse what clients will warn of: that a room is not encrypted is for people to see to."""
    synapse.ask("PUT", f"{room_path(member.room)}/state/m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    assert (await member.channel.send(post())).result is Result.ACCEPTED


async def test_a_limit_is_a_wait_and_no_refusal(synapse: Synapse, tmp_path: Path) -> None:
    """After ten events over all its rooms an account waits some five seconds, as told; a repeat need not wait.

    An administrator can lift the limit.
    """
    account = synapse.register("eilig")
    rooms = [synapse.room(version, account) for version in VERSIONS]
    async with (
        _opened(synapse, tmp_path, rooms[0], account) as one,
        _opened(synapse, tmp_path, rooms[1], account) as two,
    ):
        assert (await one.channel.send(post())).result is Result.ACCEPTED
        keys = [
            f"{number:032x}" for number in range(60)
        ]  # one more is let through for every five seconds that this takes
        outcomes = []
        while not outcomes or outcomes[-1].result is Result.ACCEPTED:
            outcomes.append(await two.channel.send(post(key=keys[len(outcomes)])))
        assert len(outcomes) >= 10 - 2  # it has joined twice and posted once before, and the last was not let through
        assert (outcomes[-1].result, outcomes[-1].reason) == (Result.TEMPORARY, Reason.RATE_LIMITED)
        assert timedelta(0) < outcomes[-1].retry_after <= timedelta(seconds=6)
        assert (await one.channel.send(post())).result is Result.ACCEPTED
        assert len(synapse.events(rooms[0])) == 1
        synapse.lift_limit(account)
        assert (await two.channel.send(post(key=keys[len(outcomes) - 1]))).result is Result.ACCEPTED


def _log_out(synapse: Synapse, member: Member) -> None:
    synapse.ask("POST", "/_matrix/client/v3/logout", {}, member.account)


def _kick(synapse: Synapse, member: Member) -> None:
    synapse.ask("POST", f"{room_path(member.room)}/kick", {"user_id": member.account.user_id})


def _mute(synapse: Synapse, member: Member) -> None:
    path = f"{room_path(member.room)}/state/m.room.power_levels"
    synapse.ask("PUT", path, {**synapse.ask("GET", path), "events_default": 50})


def _suspend(synapse: Synapse, member: Member) -> None:
    synapse.ask("PUT", f"/_synapse/admin/v1/suspend/{quote(member.account.user_id)}", {"suspend": True})


@pytest.mark.parametrize(
    ("spoil", "code", "probed"),
    [
        (_log_out, "M_UNKNOWN_TOKEN", Result.PERMANENT),
        (_kick, "M_FORBIDDEN", Result.PERMANENT),
        (_mute, "M_FORBIDDEN", Result.PERMANENT),
        (_suspend, "M_USER_SUSPENDED", Result.READY),
    ],
)
async def test_who_may_not_post_is_told(
    synapse: Synapse, member: Member, spoil: Callable[[Synapse, Member], None], code: str, probed: Result
) -> None:
    """A post that is not allowed fails for good with the server's word; the probe knows before, but not of a suspension."""
    spoil(synapse, member)
    outcome = await member.channel.send(post())
    assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.AUTH)
    assert f": {code}: " in outcome.detail
    assert (await member.channel.probe()).result is probed


async def test_a_room_that_is_not_there_is_told(synapse: Synapse, tmp_path: Path) -> None:
    """A wrong room is refused for good, by the probe as well."""
    async with _opened(synapse, tmp_path, "!nirgends:leer.example", _account(synapse)) as opened:
        for outcome in (await opened.channel.send(post()), await opened.channel.probe()):
            assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.AUTH)


@pytest.mark.parametrize("version", VERSIONS)
async def test_who_made_the_room_is_ready(synapse: Synapse, tmp_path: Path, version: str) -> None:
    """An account that made the room itself may post where others may not, and the probe knows, whatever the levels say."""
    account = _account(synapse)
    async with _opened(synapse, tmp_path, synapse.room(version, maker=account, needed=50), account) as opened:
        assert (await opened.channel.probe()).result is Result.READY
        assert (await opened.channel.send(post())).result is Result.ACCEPTED


async def _all_verbs(opened: Channel, book: Book) -> list[Answer]:
    """What is answered when everything is done once, and what is refused besides."""
    sent = await opened.send(post())
    await opened.send(post())
    await opened.find(post())
    await opened.edit(post(key="e" * 32, target=sent.provider_id))
    await opened.edit(post(key="f" * 32, target="$nirgends"))
    await opened.edit(post("x" * 70_000, key="a" * 32, target=sent.provider_id))
    await opened.delete(post(key="d" * 32, target=sent.provider_id))
    await opened.delete(post(key="c" * 32, target="$nirgends"))
    await opened.probe()
    return [answer for _, answer in book.said]


def _places(value: Any, at: str = "") -> set[str]:
    """Where in an answer there is something; a table by users or types is a value."""
    if isinstance(value, list):
        return set().union(*(_places(entry, f"{at}[]") for entry in value))
    if not isinstance(value, dict) or at in ("/users", "/events"):
        return {at}
    return {at}.union(*(_places(entry, f"{at}/{key}") for key, entry in value.items()))


async def test_our_double_answers_like_it(synapse: Synapse, member: Member, tmp_path: Path) -> None:
    """Call for call, the wall has the server's status and its error code, and no field that the server has not."""
    real = await _all_verbs(member.channel, member.book)
    async with running_wall() as wall, http_client() as http:
        token = tmp_path / "token"
        token.write_text("wall")
        settings = {"base_url": f"{wall.url}/matrix", "room_id": member.room, "credential": {"token_file": str(token)}}
        async with channel("matrix", settings, book := Book(http)) as opened:
            double = await _all_verbs(opened, book)
    assert [answer.status for answer in double] == [answer.status for answer in real]
    for ours, theirs in zip(double, real, strict=True):
        assert ours.json_object().get("errcode") == theirs.json_object().get("errcode")
        assert _places(ours.json_object()) <= _places(theirs.json_object())
