"""The log of facts, live: in order, once, from where a reader left off; and many who look cost as much as one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from integration.console_kit import Room, control_room
from sqlalchemy import Connection

from dispatcher.console.app import facts_to_hub
from dispatcher.console.routing import COOKIE
from dispatcher.console.shared import Shared
from dispatcher.console.stream import MISSED
from dispatcher.journal import queries, store


@asynccontextmanager
async def stream(room: Room, last: str = "") -> AsyncIterator[ClientResponse]:
    """An open stream of facts, from the one after ``last`` on."""
    headers = {"Authorization": "Bearer viewer-token", **({"Last-Event-ID": last} if last else {})}
    async with room.client.get("/api/v1/stream", headers=headers) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        yield response


async def next_event(response: ClientResponse) -> dict[str, Any]:
    """The next event with its fields; data as JSON."""
    fields: dict[str, Any] = {}
    async with asyncio.timeout(5):
        while line := (await response.content.readline()).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
    return fields | {"data": json.loads(fields["data"])}


async def last_seq(room: Room) -> int:
    """The number of the latest fact, once everything has come to rest."""
    await room.deliveries((await room.trigger("fire"))["incident"])
    return int((await room.get("snapshot"))["seq"])


async def test_the_stream_tells_each_fact_in_order(tmp_path: Path) -> None:
    """A new reader is told to look at everything, then hears each fact once, in the journal's order and numbers."""
    async with control_room(tmp_path) as room:
        async with stream(room) as response:
            first = await next_event(response)
            assert (first["event"], first["data"]) == ("snapshot", {"seq": 0})
            await room.trigger("fire")
            facts = [await next_event(response) for _ in range(4)]
        assert [fact["id"] for fact in facts] == ["1", "2", "3", "4"]
        assert facts[0]["data"]["kind"] == "event.journaled"
        assert {"seq", "at", "kind", "ref", "body"} == set(facts[0]["data"])


async def test_a_reader_who_was_away_misses_nothing(tmp_path: Path) -> None:
    """With Last-Event-ID the stream goes on after that fact, even after a restart, without a gap or a repeat."""
    async with control_room(tmp_path) as room:
        seq = await last_seq(room)
    async with control_room(tmp_path) as room, stream(room, last="2") as response:
        await room.trigger("fire")
        facts = [await next_event(response) for _ in range(seq)]
        assert [int(fact["id"]) for fact in facts] == list(range(3, seq + 3))


async def test_a_reader_who_is_up_to_date_hears_only_what_is_new(tmp_path: Path) -> None:
    """With the latest Last-Event-ID the next fact comes first."""
    async with control_room(tmp_path) as room:
        seq = await last_seq(room)
        async with stream(room, last=str(seq)) as response:
            await room.trigger("fire")
            assert (await next_event(response))["id"] == str(seq + 1)


async def test_a_fact_is_told_once(tmp_path: Path) -> None:
    """A fact that was read from the journal and is published in the same moment is not told again."""
    async with control_room(tmp_path) as room:
        await last_seq(room)
        async with stream(room, last="0") as response:
            first = await next_event(response)
            known = await room.journal.read(lambda connection: queries.facts_after(connection, 0))
            told = [first, *[await next_event(response) for _ in known[1:]]]
            await facts_to_hub(room.context.hub)(known)
            await room.trigger("fire")
            assert int((await next_event(response))["id"]) == int(told[-1]["id"]) + 1


@pytest.mark.parametrize("last", ["0", "no number"])
async def test_a_reader_who_was_away_too_long_looks_anew(tmp_path: Path, last: str) -> None:
    """Who missed more facts than are worth telling, or names none, is told to look at everything."""
    async with control_room(tmp_path) as room:
        now = room.context.clock.now()
        rows = [("incident.changed", "i1", {}) for _ in range(MISSED + 1)]
        await room.journal.write(lambda connection: store.add_facts(connection, now, rows))
        async with stream(room, last=last) as response:
            first = await next_event(response)
        assert (first["event"], first["data"]) == ("snapshot", {"seq": MISSED + 1})


async def test_many_who_look_cost_as_much_as_one(tmp_path: Path) -> None:
    """However many ask at once, the journal is looked at once for each of its states."""
    async with control_room(tmp_path) as room:
        shared, looks = Shared(room.journal), list[int]()

        def look(connection: Connection) -> dict[str, int]:
            looks.append(queries.last_seq(connection))
            return {"seq": looks[-1]}

        assert len({await text for text in asyncio.as_completed([shared.text("x", look) for _ in range(20)])}) == 1
        assert looks == [0]
        await last_seq(room)
        assert await shared.text("x", look) != '{"seq": 0}'
        assert len(looks) == 2


async def test_a_stream_ends_with_its_session(tmp_path: Path) -> None:
    """After the log-out an open stream tells nothing more than what lies in its first second."""
    async with control_room(tmp_path) as room:
        begun = await room.ask("POST", "/api/v1/session", as_=None, json={"token": "viewer-token"})
        ours = {"Cookie": f"{COOKIE}={begun.cookies[COOKIE].value}", "Sec-Fetch-Site": "same-origin"}
        async with room.client.get("/api/v1/stream", headers=ours) as response:
            await next_event(response)
            assert (await room.ask("DELETE", "/api/v1/session", as_=None, headers=ours)).status == 204
            async with asyncio.timeout(10):
                while not response.content.at_eof():
                    await room.trigger("fire")
                    await response.content.readany()
