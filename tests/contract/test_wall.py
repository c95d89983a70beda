"""The wall itself: its faults, its ledger, its page. Drills and acceptance tests believe what it says."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from dispatcher.wall.app import Wall, running_wall

SESSION = aiohttp.ClientSession


@pytest_asyncio.fixture
async def wall() -> AsyncIterator[Wall]:
    """A running wall with one named account."""
    async with running_wall(titles={"duty-team": "Dienstgruppe"}) as running:
        yield running


@pytest_asyncio.fixture
async def session(wall: Wall) -> AsyncIterator[SESSION]:
    """A client of the wall that waits a second at most."""
    async with SESSION(wall.url, timeout=aiohttp.ClientTimeout(total=1)) as client:
        yield client


async def _publish(session: SESSION, text: str = "text", **more: str) -> int:
    data = {"topic": "duty-team", "title": "Titel", "message": text, **more}
    async with session.post("/ntfy/", json=data) as response:
        await response.read()
        return response.status


async def _switch_on(session: SESSION, **fault: object) -> int:
    async with session.post("/_wall/faults/duty-team", json=fault) as response:
        return response.status


async def _get(session: SESSION, path: str) -> object:
    async with session.get(path) as response:
        assert response.status == 200
        return await response.json()


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("hang", False), ("reset_before", False), ("reset_after", True), ("half", True), ("drip", True),
    ],
)  # fmt: skip
async def test_faults_without_an_answer(wall: Wall, session: SESSION, kind: str, taken: bool) -> None:
    """Whoever posts gets no complete answer, and the wall knows whether the public sees the post all the same."""
    assert await _switch_on(session, kind=kind) == 200
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        await _publish(session)
    assert [post.account for post in wall.board] == ["duty-team"] * taken


@pytest.mark.parametrize(
    ("kind", "status", "taken"), [("status", 418, False), ("html", 200, False), ("slow", 200, True)]
)
async def test_faults_with_an_answer(wall: Wall, session: SESSION, kind: str, status: int, taken: bool) -> None:
    """A refusal is seen by nobody; a slow acceptance is a post."""
    await _switch_on(session, kind=kind, status=418, delay=0.01)
    assert await _publish(session) == status
    assert len(wall.board) == taken


async def test_a_fault_carries_its_headers(session: SESSION) -> None:
    """A status fault says how long to wait when it is told to."""
    await _switch_on(session, kind="status", status=429, headers={"Retry-After": "7"})
    async with session.post("/ntfy/", json={"topic": "duty-team"}) as response:
        assert response.headers["Retry-After"] == "7"


async def test_an_oversized_answer_is_larger_than_anyone_reads(session: SESSION) -> None:
    """The oversized fault sends two mebibytes."""
    await _switch_on(session, kind="oversized")
    async with session.post("/ntfy/", json={"topic": "duty-team"}) as response:
        assert len(await response.read()) == 2 * 1024 * 1024


async def test_a_fault_ends_by_count_by_time_and_by_hand(wall: Wall, session: SESSION) -> None:
    """A fault meets as many requests, lasts as long, or stays until it is switched off, as it was told."""
    await _switch_on(session, kind="status", count=2)
    assert [await _publish(session) for _ in range(3)] == [503, 503, 200]
    await _switch_on(session, kind="status", seconds=0.05)
    assert await _publish(session) == 503
    await asyncio.sleep(0.06)
    assert await _publish(session) == 200
    await _switch_on(session, kind="status")
    assert await _publish(session) == 503
    async with session.delete("/_wall/faults/duty-team") as response:
        assert response.status == 204
    assert await _publish(session) == 200
    assert await _get(session, "/_wall/requests") == {"duty-team": 7}


async def test_a_misspelt_fault_is_refused(session: SESSION) -> None:
    """A fault that the wall does not know is an error, not a quiet nothing."""
    assert await _switch_on(session, kind="explode") == 422
    assert await _switch_on(session, kind="status", time=3) == 422


async def test_posts_tell_order_time_and_requests(session: SESSION) -> None:
    """The ledger names account, text, arrival and how often the account was asked."""
    await _publish(session, "eins")
    await _publish(session, "zwei")
    first, second = await _get(session, "/_wall/posts")
    assert (first["text"], second["text"]) == ("Titel\neins", "Titel\nzwei")
    assert (first["order"], second["order"]) == (1, 2)
    assert first["received_ms"] <= second["received_ms"]
    assert first["title"] == "Dienstgruppe"
    assert second["requests"] == 2


async def test_an_unknown_path_is_remembered(session: SESSION) -> None:
    """A request that no double answers is a 404 that a test can find."""
    async with session.put("/graph/v26.0/nowhere") as response:
        assert response.status == 404
    assert await _get(session, "/_wall/unexpected") == [{"method": "PUT", "path": "/graph/v26.0/nowhere"}]


async def test_the_same_text_twice_in_a_row_is_refused_by_the_page_double(session: SESSION) -> None:
    """Like the real page, the double answers an immediate repetition with error 506."""
    headers = {"Authorization": "Bearer token"}
    statuses = []
    for text in ("eins", "eins", "zwei", "eins"):
        async with session.post(
            "/graph/v26.0/100000000000001/feed", json={"message": text}, headers=headers
        ) as response:
            statuses.append((response.status, (await response.json()).get("error", {}).get("code")))
    assert statuses == [(200, None), (400, 506), (200, None), (200, None)]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/waha/api/sendText", 401), ("/graph/v26.0/1/feed", 400), ("/mastodon/api/v1/statuses", 401), ("/hooks/a", 401)],
)
async def test_doubles_want_a_credential(wall: Wall, session: SESSION, path: str, status: int) -> None:
    """A request without token, key or signature shows nothing."""
    async with session.post(path, json={}) as response:
        assert response.status == status
    assert len(wall.board) == 0


async def test_the_page_allows_no_foreign_code(session: SESSION) -> None:
    """The page comes with a policy that allows only its own files, and needs nothing else."""
    async with session.get("/") as response:
        page, policy = await response.text(), response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script>|\sstyle=|\son\w+=|//[a-z]", page)
    for path in re.findall(r'(?:href|src)="(/[^"]+)"', page):
        async with session.get(path) as response:
            assert response.status == 200


async def test_the_page_gets_each_post_live(wall: Wall, session: SESSION) -> None:
    """A reader gets a snapshot first and then each change as it happens."""
    async with session.get("/_wall/stream") as response:
        assert b"event: snapshot" in await response.content.readuntil(b"\n\n")
        await _publish(session, "live", sequence_id="s1")
        assert b"Titel\\nlive" in await response.content.readuntil(b"\n\n")
        await _publish(session, "anders", sequence_id="s1")
        changed = json.loads((await response.content.readuntil(b"\n\n")).split(b"data: ")[1])
        assert changed["edited_ms"] is not None
    assert len(wall.board) == 1


async def test_the_wall_runs_as_a_program() -> None:
    """Started as a module it prints its address, serves, and ends on SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispatcher.wall", "--port", "0", "--title", "duty-team=Dienst",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
    async with SESSION(url) as session:
        assert await _get(session, "/_wall/posts") == []
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 0
