"""The service ends what it started."""

from __future__ import annotations

import asyncio
import contextlib

from dispatcher.app import Service


async def test_a_task_that_misses_its_cancellation_is_cancelled_again() -> None:
    """Libraries lose a cancellation that comes at the wrong moment; the service ends all the same."""
    service = Service(*[None] * 7)  # none of them is asked
    missed = asyncio.Event()

    async def deaf_once() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        missed.set()
        await asyncio.Event().wait()

    service.spawn(deaf_once(), "deaf")
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await service.stop_tasks()
    assert missed.is_set()
    assert not service.broken.is_set()
