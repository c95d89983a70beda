"""Many incidents at once and few slots: what has to queue is sent as surely as what may start."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from house import road

from dispatcher.journal import steps
from dispatcher.model.channel import ChannelId
from dispatcher.permits import Permits


class Opening(list[str]):
    """Frees slots at the first acknowledgement, which is when the plans of a burst have just been committed."""

    def __init__(self, permits: Permits) -> None:
        super().__init__()
        self._permits = permits

    def append(self, name: str) -> None:
        """An event was acknowledged."""
        self._permits.origin_slots = 64
        self._permits._origins.clear()
        super().append(name)


async def test_a_burst_over_few_slots_leaves_nothing_behind(tmp_path: Path) -> None:
    """Sixty incidents queue for want of slots, which come free while their rows are being written: all are accepted."""
    permits = Permits(origin_slots=0)
    async with road(tmp_path, permits=permits, inline=False) as found:
        found.acknowledged = Opening(permits)
        busy = found.journal.write(lambda _: time.sleep(0.3))  # so that the plans behind it share a commit
        await asyncio.gather(*(found.receive(id=str(n), incident=f"i{n}") for n in range(60)))
        await busy
        await found.quiet()
        states = [await found.states(incident=f"i{n}") for n in range(60)]

    assert all(set(state.values()) == {"accepted"} for state in states)
    assert [len(fake.posts) for fake in found.fakes.values() if fake.posts] == [60, 60, 60]


async def test_what_has_no_row_yet_is_neither_started_nor_forgotten(tmp_path: Path) -> None:
    """A delivery whose row is still to be written is told apart from one that is not queued any more."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        sent = (await found.deliveries())[0]
        later = replace(sent, channel=ChannelId("elsewhere"))
        claims = await found.journal.write(partial(steps.start_attempts, starting=[sent, later], at=found.clock.now()))

    assert (claims.started, claims.unwritten) == (frozenset(), {later.id})
