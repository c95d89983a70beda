"""The board of readiness, over hours of virtual time, with the wall's doubles as providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from simulation.clockwork import LoopClock
from unit.house import CHANNELS, Road, channel, deployment, playbook, road
from unit.virtually import WALL, AtTheWall, virtually

from dispatcher.channels.base import ChannelSettings, load_kind
from dispatcher.journal import queries
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import Conflict, NotFound
from dispatcher.model.readiness import Condition, Readiness
from dispatcher.permits import Permits
from dispatcher.plan.pages import Cause
from dispatcher.plan.readiness import canary_post, judge, remedy
from dispatcher.readiness import Board, Canaries
from dispatcher.testing import FakeChannel, FakeClock
from dispatcher.wall.faults import Fault, FaultKind

PAGE, PRIVATE = "100000000000001", "100000000000002"
FACEBOOK = ChannelId("facebook-leer")
REVOKED = Fault(kind=FaultKind.STATUS, status=400, body={"error": {"code": 190, "message": "session is invalid"}})
BROKEN = Fault(kind=FaultKind.STATUS, status=503)
MINUTE, HOUR = 60.0, 3_600.0
READY = Outcome(result=Result.READY)
DOWN = Outcome(result=Result.TEMPORARY, reason=Reason.SERVER_ERROR, detail="HTTP 503")


@dataclass
class Probed(FakeChannel):
    """Takes posts like its parent; a probe answers what ``answers`` says at that moment, and is counted."""

    answers: Callable[[], Coroutine[Any, Any, Outcome]] = field(kw_only=True)
    probes: int = 0

    async def probe(self) -> Outcome:
        """Counted, then answered."""
        self.probes += 1
        return await self.answers()


def says(outcome: Outcome) -> Callable[[], Coroutine[Any, Any, Outcome]]:
    """A probe that always comes to ``outcome``."""

    async def answer() -> Outcome:
        return outcome

    return answer


async def hang() -> Outcome:
    """A probe that never ends."""
    await asyncio.Event().wait()
    return READY


async def burst() -> Outcome:
    """A probe with a mistake in it."""
    raise ZeroDivisionError


class Calendar(LoopClock):
    """Goes with the loop; ``days`` are added."""

    days = 0.0

    def now(self) -> datetime:
        """Aware, in UTC."""
        return super().now() + timedelta(days=self.days)


@dataclass
class Room:
    """A control room whose page on the wall is probed; the other channels are fakes."""

    road: Road
    http: AtTheWall
    board: Board

    def of(self, name: str = FACEBOOK) -> Condition:
        """What the board says of a channel."""
        return next(one for one in self.board.conditions() if one.channel == name)

    def replace(self, name: str, answers: Callable[[], Coroutine[Any, Any, Outcome]]) -> Probed:
        """Another channel in that one's place, as a reload would put it there."""
        probed = Probed(answers=answers)
        self.road.replace_channel(name, probed)
        return probed

    async def told(self, cause: Cause = Cause.CHANNEL_DOWN) -> list[str]:
        """What staff were paged for that reason, in order."""
        alerts = [record.alert for record in await self.road.journal.read(partial(queries.alert_records, limit=100))]
        pages = sorted((alert for alert in alerts if alert.name == cause), key=lambda alert: alert.created_at)
        return [text.first.body for alert in pages for text in alert.texts.values()]

    async def days(self, days: float) -> None:
        """Let so many days pass at once, then ten minutes."""
        self.road.clock.days += days  # type: ignore[attr-defined]
        await asyncio.sleep(10 * MINUTE)


@asynccontextmanager
async def room(
    folder: Path, *, profiles: tuple[ChannelProfile, ...] = CHANNELS, canaries: Canaries | None = None,
    working: bool = False,
) -> AsyncIterator[Room]:  # fmt: skip
    """The control room with its board at work, on this loop's time; alerts and pages leave where it is ``working``."""
    loop, http = asyncio.get_running_loop(), AtTheWall()
    permits = Permits(monotonic=loop.time)
    clock: Any = Calendar(loop)
    async with AsyncExitStack() as stack:
        where = deployment(playbook(), channels=profiles)
        found = await stack.enter_async_context(road(folder, where, clock=clock, permits=permits, working=working))
        page = await stack.enter_async_context(page_at(PAGE, http))
        found.pipeline.setup.channels[FACEBOOK] = page
        board = Board(found.pipeline, http, lambda: canaries or {})  # type: ignore[arg-type]
        task = asyncio.create_task(board.run())
        yield Room(found, http, board)
        assert not task.done(), task.exception()
        task.cancel()
        await asyncio.wait({task})


def settings_of(page: str) -> ChannelSettings:
    """A page of the wall's, whose token says which one it is."""
    token = {"token_env": f"TOKEN_{page}"}
    return load_kind("facebook_page").Settings(page_id=page, base_url=f"{WALL}/graph", credential=token)


def page_at(page: str, http: AtTheWall) -> Any:
    """The same, connected."""
    return load_kind("facebook_page").connect(settings_of(page), http)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for page in (PAGE, PRIVATE):
        monkeypatch.setenv(f"TOKEN_{page}", f"token-{page}")


def test_a_revoked_token_is_red_and_paged_within_six_minutes(tmp_path: Path) -> None:
    """Whenever a token dies, within six minutes the board is red, says why, and staff are paged, once."""

    async def story() -> None:
        async with room(tmp_path) as found:
            for _ in range(3):
                await asyncio.sleep(31 * MINUTE + 7)
                assert found.of().state is Readiness.READY
                before = len(await found.told())
                found.http.wall.faults.set(PAGE, REVOKED)
                await asyncio.sleep(6 * MINUTE)
                red = found.of()
                assert (red.state, red.reason) == (Readiness.DOWN, Reason.AUTH)
                pages = await found.told()
                assert len(pages) == before + 1
                assert "facebook-leer: auth: error 190/0: session is invalid" in pages[-1]
                await asyncio.sleep(HOUR)
                assert len(await found.told()) == before + 1
                found.http.wall.faults.clear(PAGE)

    virtually(story)


def test_a_probe_never_posts(tmp_path: Path) -> None:
    """An hour of probing asks every two to three minutes, changes nothing, and nobody sees anything of it."""

    async def story() -> None:
        async with room(tmp_path) as found:
            await asyncio.sleep(HOUR)
            assert len(found.http.wall.board) == 0
            assert {request.method for request in found.http.requests} == {"GET"}
            assert 20 <= found.http.wall.board.requests[PAGE] <= 27
            assert await found.road.pages() == []
            assert all(not fake.posts for fake in found.road.fakes.values())

    virtually(story)


def test_a_hanging_probe_delays_nothing(tmp_path: Path) -> None:
    """While one probe hangs, an alert leaves at once on every channel, that one included, and the others go on being asked."""

    async def story() -> None:
        async with room(tmp_path, working=True) as found:
            hanging, good = found.replace("website", hang), found.replace("facebook-emden", says(READY))
            loop = asyncio.get_running_loop()
            while not hanging.probes:
                await asyncio.sleep(0.5)
            began = loop.time()
            await found.road.receive(sent=found.road.clock.now().isoformat())
            await found.road.quiet()
            assert loop.time() - began < 2
            assert len(hanging.posts) == 1
            await asyncio.sleep(10 * MINUTE)
            assert good.probes >= 3
            assert (found.of("website").state, found.of("website").reason) == (Readiness.DOWN, Reason.TIMEOUT)

    virtually(story)


def test_many_hanging_probes_hold_up_no_other_origin(tmp_path: Path) -> None:
    """Where a provider of many channels hangs, a few of its probes wait side by side and the others' come in time."""
    many = tuple(channel(f"page-{n}", origin="https://hangs.test") for n in range(100))

    async def story() -> None:
        async with room(tmp_path, profiles=(*CHANNELS, *many)) as found:
            hanging = [found.replace(profile.id, hang) for profile in many]
            good = found.replace("website", says(READY))
            await asyncio.sleep(20 * MINUTE)
            assert good.probes >= 6
            assert sum(one.probes for one in hanging) <= 4 * (20 * MINUTE / 15 + 1)

    virtually(story)


def test_a_probe_with_a_mistake_hurts_itself_only(tmp_path: Path) -> None:
    """A probe that raises makes its own channel red; the board goes on."""

    async def story() -> None:
        async with room(tmp_path) as found:
            found.replace("website", burst)
            await asyncio.sleep(10 * MINUTE)
            assert (found.of("website").state, found.of("website").reason) == (Readiness.DOWN, Reason.INTERNAL)
            assert found.of().state is Readiness.READY

    virtually(story)


def test_one_bad_answer_wakes_nobody(tmp_path: Path) -> None:
    """An outage is told when a second probe confirms it, a minute after the first; each outage is told once."""

    async def story() -> None:
        async with room(tmp_path) as found:
            answers = [DOWN, READY, DOWN, DOWN]
            now = [READY]

            async def answer() -> Outcome:
                now[0] = answers.pop(0) if answers else now[0]
                return now[0]

            website = found.replace("website", answer)
            await asyncio.sleep(2 * MINUTE)
            assert website.probes == 2
            assert await found.told() == []
            await asyncio.sleep(10 * MINUTE)
            [page] = await found.told()
            assert "website: server_error: HTTP 503" in page
            await asyncio.sleep(2 * HOUR)
            assert len(await found.told()) == 1

    virtually(story)


def test_a_provider_that_fails_is_one_page(tmp_path: Path) -> None:
    """Channels that go down together are told together, and a page stays one that can be read."""
    many = tuple(channel(f"page-{n:02}", origin="https://fails.test") for n in range(30))

    async def story() -> None:
        async with room(tmp_path, profiles=(*CHANNELS, *many)) as found:
            for profile in many:
                found.replace(profile.id, says(Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="no")))
            await asyncio.sleep(5 * MINUTE)
            pages = await found.told()
            assert len(pages) <= 2
            assert all(len(page) <= 2_000 for page in pages)

    virtually(story)


def test_a_new_outage_repeats_no_old_one(tmp_path: Path) -> None:
    """The page about a channel that goes down names that one, and not those that were told before and still last."""

    async def story() -> None:
        async with room(tmp_path) as found:
            found.http.wall.faults.set(PAGE, REVOKED)
            await asyncio.sleep(HOUR)
            found.replace("website", says(DOWN))
            await asyncio.sleep(5 * MINUTE)
            first, second = await found.told()
            assert ("facebook-leer" in first, "website" in first) == (True, False)
            assert ("facebook-leer" in second, "website" in second) == (False, True)

    virtually(story)


def test_a_restart_tells_nothing_twice(tmp_path: Path) -> None:
    """After a restart the board knows what it knew, since when, and what staff were told."""

    async def story() -> None:
        async with room(tmp_path) as found:
            found.http.wall.faults.set(PAGE, REVOKED)
            await asyncio.sleep(5 * MINUTE)
            since, pages = found.of().since, await found.told()
            assert len(pages) == 1
        async with room(tmp_path) as again:
            again.http.wall.faults.set(PAGE, REVOKED)
            await asyncio.sleep(1)
            assert (again.of().state, again.of().since) == (Readiness.DOWN, since)
            await asyncio.sleep(HOUR)
            assert await again.told() == pages

    virtually(story)


def test_each_change_is_a_fact(tmp_path: Path) -> None:
    """The log, and so every page and stream, hears of a change of state, and of nothing while it lasts."""

    async def story() -> None:
        async with room(tmp_path) as found:
            await asyncio.sleep(HOUR)
            found.http.wall.faults.set(PAGE, REVOKED)
            await asyncio.sleep(HOUR)
            facts = await found.road.journal.read(partial(queries.facts_after, seq=0, limit=100))
            ours = [fact.kind for fact in facts if fact.ref == FACEBOOK and fact.kind.startswith("channel.")]
            assert ours == ["channel.ready", "channel.down"]

    virtually(story)


def test_an_end_is_announced_each_day_for_two_weeks(tmp_path: Path) -> None:
    """A credential that people say ends is told daily from 14 days ahead on; when it has ended the channel is red."""
    end = FakeClock().now() + timedelta(days=20)
    profiles = tuple(channel("facebook-leer", "leer", valid_until=end) if c.id == FACEBOOK else c for c in CHANNELS)

    async def story() -> None:
        async with room(tmp_path, profiles=profiles) as found:
            await found.days(5)
            assert (found.of().state, await found.told(Cause.EXPIRING)) == (Readiness.READY, [])
            for day in range(3):
                await found.days(1)
                assert (found.of().state, found.of().reason) == (Readiness.DEGRADED, Reason.EXPIRED)
                assert len(await found.told(Cause.EXPIRING)) == day + 1
            await found.days(11)
            assert "facebook-leer: good until 2026-12-10 09:40 UTC, 13 days" in (await found.told(Cause.EXPIRING))[0]
            assert await found.told() == []
            await found.days(1)
            assert (found.of().state, found.of().reason) == (Readiness.DOWN, Reason.AUTH)
            assert len(await found.told()) == 1

    virtually(story)


def test_probes_wait_for_alerts(tmp_path: Path) -> None:
    """While anything is on its way to an origin, or the provider told us to hold back, nothing is probed there."""

    async def story() -> None:
        async with room(tmp_path, working=True) as found:
            probed = found.replace("website", says(READY))
            profile = found.road.pipeline.setup.profiles[ChannelId("website")]
            found.road.permits.hold(profile, 10 * MINUTE)
            await asyncio.sleep(10 * MINUTE - 10)
            assert probed.probes == 0
            await asyncio.sleep(5 * MINUTE)
            assert probed.probes > 0
            stuck = asyncio.Event()

            async def slow(_: object) -> Outcome:
                await stuck.wait()
                return Outcome(result=Result.ACCEPTED, provider_id="1")

            probed.handler = slow
            await found.road.receive(sent=found.road.clock.now().isoformat())
            before = probed.probes
            await asyncio.sleep(10)
            assert probed.probes == before
            stuck.set()

    virtually(story)


def test_a_probe_is_as_patient_as_the_provider_asks(tmp_path: Path) -> None:
    """A provider that names a wait is not asked before it is over, and alerts are not held back by it."""
    busy = Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, retry_after=timedelta(minutes=10))

    async def story() -> None:
        async with room(tmp_path, working=True) as found:
            probed = found.replace("website", says(busy))
            await asyncio.sleep(8 * MINUTE)
            assert probed.probes == 1
            assert (found.of("website").state, await found.told()) == (Readiness.DEGRADED, [])
            await found.road.receive(sent=found.road.clock.now().isoformat())
            await found.road.quiet()
            assert len(probed.posts) == 1

    virtually(story)


def test_a_channel_that_was_connected_anew_is_asked_soon(tmp_path: Path) -> None:
    """Half a minute after a reload that brings a new token, the board shows what it is worth."""

    async def story() -> None:
        async with room(tmp_path) as found:
            found.replace("website", says(DOWN))
            await asyncio.sleep(30 * MINUTE)
            assert found.of("website").state is Readiness.DOWN
            found.replace("website", says(READY))
            await asyncio.sleep(35)
            assert found.of("website").state is Readiness.READY

    virtually(story)


def test_a_canary_proves_a_channel_each_week(tmp_path: Path) -> None:
    """A marked text stands at the private target and nowhere else, is read back, and the day stands on the board."""

    async def story() -> None:
        async with room(tmp_path, canaries={FACEBOOK: ("facebook_page", settings_of(PRIVATE))}) as found:
            assert found.of().proven_at is None
            await asyncio.sleep(2 * MINUTE)
            for weeks in (1, 2, 3):
                assert (len(found.http.wall.board), found.of().proven) == (weeks, True)
                await found.days(6.9)
                assert len(found.http.wall.board) == weeks
                await found.days(0.1)
            posts = [*found.http.wall.board]
            assert [post.account for post in posts] == [PRIVATE] * 4
            assert all(post.text.startswith("TEST – keine Warnung") for post in posts)
            facts = await found.road.journal.read(partial(queries.facts_after, seq=0, limit=100))
            assert [fact.ref for fact in facts if fact.kind == "channel.proven"] == [FACEBOOK] * 4

    virtually(story)


def test_a_canary_that_is_not_read_back_is_told(tmp_path: Path) -> None:
    """One that fails is paged and tried again a day later; the last day it was proven stays."""

    async def story() -> None:
        async with room(tmp_path, canaries={FACEBOOK: ("facebook_page", settings_of(PRIVATE))}) as found:
            await asyncio.sleep(2 * MINUTE)
            proven = found.of().proven_at
            found.http.wall.faults.set(PRIVATE, BROKEN)
            await found.days(7)
            [page] = await found.told()
            assert "facebook-leer: the weekly test post failed" in page
            assert (found.of().proven_at, found.of().proven) == (proven, False)
            found.http.wall.faults.clear(PRIVATE)
            await found.days(1)
            assert found.of().proven

    virtually(story)


def test_a_stop_stops_canaries(tmp_path: Path) -> None:
    """Where a person has stopped a channel, no test is posted either, and who asks for one is told so."""

    async def story() -> None:
        async with room(tmp_path, canaries={FACEBOOK: ("facebook_page", settings_of(PRIVATE))}) as found:
            found.road.fence.stop("channel", FACEBOOK)
            await asyncio.sleep(HOUR)
            assert len(found.http.wall.board) == 0
            with pytest.raises(Conflict, match="is stopped"):
                await found.board.sing()
            with pytest.raises(NotFound, match="no canary"):
                await found.board.sing([ChannelId("website")])

    virtually(story)


NOW = FakeClock().now()
WEBSITE = channel("website")
SOON, PAST = NOW + timedelta(days=13), NOW - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (None, Readiness.UNKNOWN, None),
        (READY, Readiness.READY, None),
        (Outcome(result=Result.READY, reason=Reason.AUTH, detail="quality RED"), Readiness.DEGRADED, Reason.AUTH),
        (Outcome(result=Result.READY, valid_until=SOON), Readiness.DEGRADED, Reason.EXPIRED),
        (Outcome(result=Result.READY, valid_until=PAST), Readiness.DOWN, Reason.AUTH),
        (Outcome(result=Result.READY, valid_until=NOW + timedelta(days=15)), Readiness.READY, None),
        (Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED), Readiness.DEGRADED, Reason.RATE_LIMITED),
        (Outcome(result=Result.PERMANENT, reason=Reason.RATE_LIMITED), Readiness.DOWN, Reason.RATE_LIMITED),
        (Outcome(result=Result.IN_DOUBT, reason=Reason.IN_DOUBT), Readiness.DOWN, Reason.IN_DOUBT),
        (DOWN, Readiness.DOWN, Reason.SERVER_ERROR),
    ],
)
def test_what_a_probe_says_of_a_channel(outcome: Outcome | None, state: Readiness, reason: Reason | None) -> None:
    """Ready, degraded, down or unknown, with the reason; whatever is not well has a remedy."""
    found = judge(Condition(channel=WEBSITE.id), outcome, WEBSITE, NOW)
    assert (found.state, found.reason, found.since) == (state, reason, NOW)
    assert bool(remedy(found)) == (state in (Readiness.DEGRADED, Readiness.DOWN))


def test_a_canary_is_marked_and_never_the_same() -> None:
    """It says in two languages that it is none, fits an SMS, and differs from the last, for some providers refuse repeats."""
    first, second = (canary_post(WEBSITE.id, deployment().realm, NOW + timedelta(days=d)) for d in (0, 7))
    assert "keine Warnung / no warning" in first.text.body
    assert first.code in first.text.body
    assert len(first.text.body) <= 160
    assert {first.text.body, first.key, first.code} & {second.text.body, second.key, second.code} == set()
