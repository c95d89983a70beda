"""Names become addresses by a road of their own: a dead name server stops nobody, and nobody waits for another's name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from contract.nameserver import ANSWERS, FAILS, KNOWS_NOTHING, SILENT, NameServer, name_server
from contract.provider import provider, says
from structlog.testing import capture_logs

from dispatcher.channels import _names
from dispatcher.channels._names import FRESH_SECONDS, KEEP_SECONDS, UNKNOWN_SECONDS, Names
from dispatcher.channels.http import ChannelError, HttpClient, Request, http_client
from dispatcher.model.delivery import Reason


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    """A name server that answers, so far."""
    async with name_server() as state:
        yield state


@pytest.fixture
async def clock() -> list[float]:
    """The monotonic time."""
    return [1_000.0]


@pytest.fixture
async def names(server: NameServer, clock: list[float]) -> AsyncIterator[Names]:
    """Names that ask that server."""
    made = Names(server.resolver(), lambda: clock[0])
    yield made
    await made.close()


async def _address(names: Names, host: str = "hook.test", port: int = 80) -> tuple[str, int]:
    (found,) = await names.resolve(host, port)
    return found["host"], found["port"]


@pytest.mark.parametrize("client", HttpClient)
async def test_a_request_finds_its_way_by_name(client: HttpClient, server: NameServer) -> None:
    """The name server is asked and the provider that it points to gets the request."""
    async with provider(says(200)) as heard, http_client(client, resolver=server.resolver()) as http:
        url = heard.url.replace("127.0.0.1", "hook.test")
        assert (await http.request(Request("POST", url))).status == 200
        assert "Host: hook.test" in heard.head()
    assert server.asked == {"hook.test": 1}


@pytest.mark.parametrize("client", HttpClient)
@pytest.mark.parametrize("mood", [SILENT, FAILS, KNOWS_NOTHING])
async def test_the_last_good_address_outlives_its_name_server(
    client: HttpClient, mood: int, server: NameServer
) -> None:
    """Silent, failing or denying that the name exists: a name asked for before is not waited for like a new one."""
    async with provider(says(200)) as heard, http_client(client, resolver=server.resolver()) as http:
        await http.names.resolve("hook.test")
        server.mood = mood
        with capture_logs() as logs:
            async with asyncio.timeout(UNKNOWN_SECONDS):
                assert (await http.request(Request("POST", heard.url.replace("127.0.0.1", "hook.test")))).status == 200
    assert server.asked["hook.test"] > 1
    assert [(line["event"], line["last_good"]) for line in logs] == [("name_not_resolved", True)]


async def test_an_address_that_changes_is_followed(names: Names, server: NameServer) -> None:
    """What the name server says now goes before what it said, and is what counts when it is gone."""
    assert await _address(names) == ("127.0.0.1", 80)
    server.address = "127.0.0.2"
    assert await _address(names) == ("127.0.0.2", 80)
    server.mood = FAILS
    assert await _address(names, "hook.test.", 443) == ("127.0.0.2", 443)


async def test_what_is_a_day_old_is_not_believed(names: Names, server: NameServer, clock: list[float]) -> None:
    """After a day without an answer nobody knows whose address that is by now."""
    await _address(names)
    server.mood = FAILS
    clock[0] += KEEP_SECONDS - 1
    await _address(names)
    clock[0] += 2
    with pytest.raises(OSError, match="name not resolved"):
        await _address(names)


@pytest.mark.parametrize("client", HttpClient)
async def test_nobody_waits_for_anothers_name(client: HttpClient, server: NameServer) -> None:
    """While twenty names are waited for in vain, twenty others are found at once; those that fail never left."""
    dead, alive = ([f"{kind}{n}.test" for n in range(20)] for kind in ("dead", "alive"))
    server.deaf_to = frozenset(dead)
    async with provider(says(200)) as heard, http_client(client, resolver=server.resolver()) as http:

        async def post(host: str) -> int:
            return (await http.request(Request("POST", heard.url.replace("127.0.0.1", host)))).status

        waiting = [asyncio.create_task(post(host)) for host in dead]
        assert await asyncio.gather(*map(post, alive)) == [200] * 20
        early = [task for task in waiting if task.done()]
        errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert early == []
    assert all(isinstance(error, ChannelError) for error in errors)
    assert {(error.reason, error.left) for error in errors} == {(Reason.DNS, False)}


async def test_a_name_server_that_never_answers_is_given_up(names: Names, server: NameServer) -> None:
    """A name that was never known fails in time for another try within the request's deadline, and may be found then."""
    server.mood = SILENT
    async with asyncio.timeout(_names.UNKNOWN_SECONDS + 1):
        with pytest.raises(OSError, match="name not resolved"):
            await _address(names)
    server.mood = ANSWERS
    assert await _address(names) == ("127.0.0.1", 80)


async def test_channels_are_known_before_they_are_needed(names: Names, server: NameServer) -> None:
    """Every host of the channels is asked for beforehand, whatever becomes of the others, so that its address is at hand."""
    server.deaf_to = frozenset({"dead.test"})
    keeping = asyncio.create_task(names.keep(lambda: ["dead.test", "hook.test", "other.test"]))
    async with asyncio.timeout(10):
        while not (server.asked["hook.test"] and server.asked["other.test"]):
            await asyncio.sleep(0.01)
        while len(names._good) < 2:
            await asyncio.sleep(0.01)
    keeping.cancel()
    server.mood = SILENT
    assert [await _address(names, host) for host in ("hook.test", "other.test")] == [("127.0.0.1", 80)] * 2


async def test_all_who_ask_at_once_ask_once(names: Names, server: NameServer, clock: list[float]) -> None:
    """A name is asked for once however many want it, and again after half a minute; an address is asked for never."""
    found = await asyncio.gather(*(names.recent("hook.test", 80) for _ in range(50)))
    assert {one["host"] for (one,) in found} == {"127.0.0.1"}
    assert server.asked == {"hook.test": 1}
    server.address = "127.0.0.2"
    clock[0] += FRESH_SECONDS
    assert [one["host"] for one in await names.recent("hook.test", 80)] == ["127.0.0.2"]
    assert [one["host"] for one in await names.recent("::1", 80)] == ["::1"]
    assert server.asked == {"hook.test": 2}


async def test_a_failure_is_not_remembered(names: Names, server: NameServer) -> None:
    """A name that was not found is asked for again by the next who wants it."""
    server.mood = KNOWS_NOTHING
    with pytest.raises(OSError, match="name not resolved"):
        await names.recent("hook.test", 80)
    server.mood = ANSWERS
    assert [one["host"] for one in await names.recent("hook.test", 80)] == ["127.0.0.1"]


async def test_who_gives_up_does_not_give_up_for_others(names: Names, server: NameServer) -> None:
    """The first who asked for a name may leave; those who wait for the same answer get it."""
    first = asyncio.create_task(names.recent("hook.test", 80))
    await asyncio.sleep(0)
    second = asyncio.create_task(names.recent("hook.test", 80))
    await asyncio.sleep(0)
    first.cancel()
    assert [one["host"] for one in await second] == ["127.0.0.1"]
    assert server.asked == {"hook.test": 1}
