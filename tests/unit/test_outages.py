"""Providers that fall silent, slow down or hang: what is asked of them meanwhile, and how soon all is said afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from simulation.clockwork import LoopClock, VirtualLoop
from unit.house import DOUBT, TEMPORARY, Road, channel, deployment, playbook, road

from dispatcher.model.alert import Post
from dispatcher.model.channel import ChannelProfile, Rate
from dispatcher.model.delivery import Outcome, Result
from dispatcher.permits import Permits

LATENCY = 0.02  # seconds
TAKEN = Outcome(result=Result.ACCEPTED, provider_id="p")


def at_virtual_time(scene: Callable[[], Awaitable[None]]) -> None:
    """Run ``scene`` on a loop whose minutes take no time; a task that is lost fails it."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(scene())
        assert loop.lost == []
    finally:
        loop.close()


@dataclass
class Provider:
    """Answers after a while, as ``says`` has it; keeps when it was asked for what, and what it took."""

    says: Callable[[float, Post], Outcome] = lambda _at, _post: TAKEN
    latency: float = LATENCY
    asked: list[float] = field(default_factory=list)
    taken: list[tuple[float, Post]] = field(default_factory=list)

    async def __call__(self, post: Post) -> Outcome:
        """One request."""
        now = asyncio.get_running_loop().time
        self.asked.append(now())
        outcome = self.says(now(), post)
        await asyncio.sleep(self.latency)
        if outcome.result is Result.ACCEPTED:
            self.taken.append((now(), post))
        return outcome


def on_one_origin(number: int, **changes: Any) -> tuple[ChannelProfile, ...]:
    """So many channels of one provider."""
    return tuple(channel(f"page-{n}", origin="https://one.test", **changes) for n in range(number))


def a_night(path: Path, channels: Sequence[ChannelProfile], provider: Provider, **changes: Any) -> Any:
    """The road on virtual time, every channel leading to ``provider``."""
    loop = asyncio.get_running_loop()
    handlers = {profile.id.replace("-", "_"): provider for profile in channels}
    books = (playbook(**changes), playbook("rumour", severity="minor", deliver_within="2h"))
    where = deployment(*books, channels=tuple(channels))
    return road(path, where, clock=LoopClock(loop), permits=Permits(monotonic=loop.time), **handlers)


async def all_said(found: Road, seconds: float) -> None:
    """Wait until nothing is open, at most ``seconds`` of virtual time."""
    async with asyncio.timeout(seconds):
        while found.worker.open:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("answer", [TEMPORARY, DOUBT], ids=["refused", "unanswered"])
def test_an_outage_of_ten_minutes_is_asked_about_sparingly(tmp_path: Path, answer: Outcome) -> None:
    """A thousand deliveries open, ten minutes of silence: at most 200 requests; then all within 60 s, no faster than allowed."""
    heals, rate = 600.0, Rate(50, 1.0)
    provider = Provider(lambda at, _: answer if at < heals else TAKEN)

    async def scene() -> None:
        pages = on_one_origin(4, rate=rate, credential="one")
        async with a_night(tmp_path, pages, provider, deliver_within="2h", severity="severe") as found:
            for n in range(250):
                await found.receive(id=str(n), incident=f"i{n}")
            await asyncio.sleep(heals - asyncio.get_running_loop().time())
            assert len(provider.asked) <= 200
            await all_said(found, 60)

    at_virtual_time(scene)
    assert len(provider.taken) == 1000
    asked = [at for at in provider.asked if at >= heals]
    assert max(sum(at <= other < at + rate.seconds for other in asked) for at in asked) <= rate.posts


@pytest.mark.parametrize("shared", [True, False])
def test_after_a_short_outage_all_is_said_within_a_second(tmp_path: Path, shared: bool) -> None:
    """A hundred channels refuse for three seconds: all have the text one second after they are back."""
    heals = 3.0
    provider = Provider(lambda at, _: TEMPORARY if at < heals else TAKEN)
    channels = on_one_origin(100) if shared else tuple(channel(f"page-{n}") for n in range(100))

    async def scene() -> None:
        async with a_night(tmp_path, channels, provider) as found:
            await found.receive()
            await all_said(found, heals + 1)

    at_virtual_time(scene)
    assert len(provider.taken) == 100
    assert max(at for at, _ in provider.taken) <= heals + 1


def test_a_crowd_of_minor_texts_does_not_delay_an_extreme_one(tmp_path: Path) -> None:
    """Five thousand texts of low priority are queued at a slow provider: an extreme alert is there within a second."""
    provider = Provider(latency=0.5)
    came: list[float] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with a_night(tmp_path, on_one_origin(20), provider) as found:
            for n in range(250):
                await found.receive(id=f"r{n}", incident=f"r{n}", kind="rumour")
            assert found.worker.open > 4_000
            came.append(loop.time())
            await found.receive()
            await asyncio.sleep(2)
            assert found.worker.open > 1_000

    at_virtual_time(scene)
    extreme = [at for at, post in provider.taken if post.incident == "i1"]
    assert len(extreme) == 20
    assert max(extreme) - came[0] <= 1


def test_a_share_of_every_rate_is_kept_for_what_is_extreme(tmp_path: Path) -> None:
    """Texts of low priority use up no more than four fifths of a rate, so an extreme alert needs not wait for it."""
    provider = Provider()

    async def scene() -> None:
        async with a_night(tmp_path, on_one_origin(1, rate=Rate(10, 60.0)), provider) as found:
            for n in range(30):
                await found.receive(id=f"r{n}", incident=f"r{n}", kind="rumour")
            await asyncio.sleep(1)
            assert len(provider.taken) == 8
            await found.receive()
            await asyncio.sleep(1)

    at_virtual_time(scene)
    assert Counter(post.incident == "i1" for _, post in provider.taken) == {False: 8, True: 1}


def test_thirty_nine_that_hang_do_not_delay_the_fortieth(tmp_path: Path) -> None:
    """Whoever answers has the text as soon as alone, whatever the others do."""
    ways = tuple(channel(f"page-{n}") for n in range(40))
    healthy, hanging = Provider(), Provider(latency=3600.0)

    async def scene() -> None:
        async with a_night(tmp_path, ways, hanging) as found:
            found.replace_channel("page-0", replace(found.fakes[ways[0].id], handler=healthy))
            for n in range(5):
                await found.receive(id=str(n), incident=f"i{n}")
            await asyncio.sleep(1)

    at_virtual_time(scene)
    assert len(healthy.taken) == 5
    assert max(at for at, _ in healthy.taken) <= 1.2 * LATENCY


def test_one_broken_account_does_not_shut_its_provider_for_others(tmp_path: Path) -> None:
    """A page whose posts always fail, a dozen incidents at once: the other pages of the same provider have all texts at once."""
    broken, healthy = Provider(lambda _at, _post: TEMPORARY), Provider()
    pages = on_one_origin(4)

    async def scene() -> None:
        async with a_night(tmp_path, pages, healthy) as found:
            found.replace_channel("page-0", replace(found.fakes[pages[0].id], handler=broken))
            for n in range(12):
                await found.receive(id=str(n), incident=f"i{n}")
                await asyncio.sleep(1)

    at_virtual_time(scene)
    assert len(healthy.taken) == 36
    assert all(at % 1.0 < 0.1 for at, _ in healthy.taken)
