"""The hub of live updates: everyone hears everything, and nobody waits for the slowest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from dispatcher.web import Hub, encode, sse_response


@asynccontextmanager
async def _served(hub: Hub, heartbeat: float = 15) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server that streams ``hub``; its snapshot says "all"."""

    async def stream(request: web.Request) -> web.StreamResponse:
        return await sse_response(request, hub, lambda: "all", heartbeat=heartbeat)

    app = web.Application()
    app.router.add_get("/", stream)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            yield session
    finally:
        hub.close()
        await runner.cleanup()


async def _next(response: aiohttp.ClientResponse) -> dict[str, str]:
    """The next event's fields."""
    block = (await asyncio.wait_for(response.content.readuntil(b"\n\n"), 2)).decode().strip()
    return dict(line.split(": ", 1) for line in block.splitlines())


async def _take(events: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await asyncio.wait_for(anext(events), 2) for _ in range(count)]


async def test_every_reader_hears_every_event_in_order() -> None:
    """Two readers get the same events in the order of publishing."""
    hub = Hub()
    with hub.subscribe() as one, hub.subscribe() as other:
        for number in range(3):
            hub.publish({"n": number}, id=str(number))
        heard = [await _take(reader.events(), 3) for reader in (one, other)]
    assert heard[0] == heard[1] == [encode({"n": n}, id=str(n)) for n in range(3)]
    assert len(hub) == 0


async def test_a_slow_reader_is_cut_off_and_the_others_are_not() -> None:
    """Who falls behind by more than the queue is closed at once; publishing waits for nobody."""
    hub = Hub(size=2)
    with hub.subscribe() as slow, hub.subscribe() as quick:
        quick_events = quick.events()
        for number in range(4):
            hub.publish(number, id=str(number))
            assert await _take(quick_events, 1) == [encode(number, id=str(number))]
        assert slow.closed
        assert not quick.closed
        assert [event async for event in slow.events()] == []


async def test_silence_is_broken_by_a_comment() -> None:
    """A quiet stream still shows that it is alive, in a form that clients ignore."""
    with Hub().subscribe() as reader:
        assert (await _take(reader.events(heartbeat=0.01), 1))[0].startswith(b":")


async def test_closing_ends_a_waiting_reader() -> None:
    """A reader that waits for news ends as soon as the hub closes."""
    hub = Hub()
    with hub.subscribe() as reader:
        asyncio.get_running_loop().call_soon(hub.close)
        async with asyncio.timeout(2):
            assert [event async for event in reader.events()] == []


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\n\ndata: forged", "\u2028 Ü 🚨"])
def test_no_text_can_break_out_of_its_event(text: str) -> None:
    """Line ends inside a text stay inside its one data line."""
    lines = encode({"text": text}, event="post", id="1").decode().split("\n")
    assert lines[:2] == ["id: 1", "event: post"]
    assert json.loads(lines[2].removeprefix("data: ")) == {"text": text}
    assert lines[3:] == ["", ""]


async def test_a_new_client_gets_a_snapshot_then_the_news() -> None:
    """Whoever comes without a known id starts from a snapshot, and nothing between the two is lost."""
    hub = Hub()
    hub.publish("before")
    async with _served(hub) as session, session.get("/") as response:
        opening = await _next(response)
        hub.publish("after", event="post")
        news = await _next(response)
    assert (opening["event"], json.loads(opening["data"])) == ("snapshot", "all")
    assert (news["event"], json.loads(news["data"])) == ("post", "after")
    assert response.headers["Content-Type"] == "text/event-stream"


async def test_a_returning_client_gets_what_it_missed() -> None:
    """With an id that is still remembered the stream goes on exactly behind it."""
    hub = Hub()
    for number in range(3):
        hub.publish(number, id=str(number))
    async with _served(hub) as session, session.get("/", headers={"Last-Event-ID": "0"}) as response:
        assert [(await _next(response))["id"] for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize("last_id", ["0", "of-another-run", ""])
async def test_too_long_away_means_a_snapshot(last_id: str) -> None:
    """An id that is forgotten, or was never ours, is answered with a snapshot that carries the newest id."""
    hub = Hub(history=2)
    for number in range(4):
        hub.publish(number, id=str(number))
    async with _served(hub) as session, session.get("/", headers={"Last-Event-ID": last_id}) as response:
        opening = await _next(response)
    assert (opening["event"], opening["id"]) == ("snapshot", "3")


async def test_ids_of_two_runs_never_meet() -> None:
    """A hub that started anew does not take an earlier run's numbers for its own."""
    first, second = Hub(), Hub()
    first.publish(1)
    second.publish(1)
    assert first.last_id != second.last_id
    assert second.since(first.last_id) is None


async def test_a_client_that_leaves_is_forgotten() -> None:
    """A closed connection leaves no reader behind."""
    hub = Hub()
    async with _served(hub, heartbeat=0.01) as session:
        async with session.get("/") as response:
            await _next(response)
            assert len(hub) == 1
        async with asyncio.timeout(2):
            while len(hub):
                await asyncio.sleep(0.01)


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    """A connected client that never reads ends with its queue, and the hub keeps nothing for it."""
    hub = Hub(size=4)
    async with _served(hub) as session, session.get("/") as response:
        await _next(response)
        async with asyncio.timeout(5):
            while len(hub):
                hub.publish("x" * 1_000_000)
                await asyncio.sleep(0.01)
    assert len(hub) == 0
