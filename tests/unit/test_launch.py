"""From a plan on disk to deliveries on their way: rows are complete before anybody counts on them."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from house import NOW, Road, alert, channel, deployment, road

from dispatcher.journal import queries, store
from dispatcher.launch import BATCH
from dispatcher.model.alert import Alert


async def gone(found: Road, planned: Alert) -> Alert:
    """``planned`` on its way, with the first write of its rows refused."""
    with found.launch.boarding([planned]) as boarding:
        (boarded,) = boarding.alerts
        await found.journal.write(partial(store.write_alert, alert=boarded, released_at=NOW))
        found.journal.refusals = 1
        boarding.go(NOW)
    return boarded


async def test_rows_are_finished_only_when_all_are_there(tmp_path: Path) -> None:
    """While one batch of rows is missing, a restart would rebuild them all; then they are all there, once."""
    names = [f"many-{number}" for number in range(BATCH + 50)]
    async with road(tmp_path, deployment(channels=tuple(map(channel, names))), working=False) as found:
        sent = await gone(found, alert(*names))
        await asyncio.sleep(0.05)
        assert len(await found.deliveries()) == 50
        assert [record.alert.id for record in await found.journal.read(queries.unwritten_alerts)] == [sent.id]
        await found.launch.rows_written(sent.id)
        assert len(await found.deliveries(limit=1_000)) == len(names)
        assert await found.journal.read(queries.unwritten_alerts) == []
