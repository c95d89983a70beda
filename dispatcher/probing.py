"""Asking a connected channel whether it could post, and proving it with a post to a private target."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from dispatcher.channels.base import Channel, ChannelSettings, Unsupported, load_kind
from dispatcher.channels.http import Outbound
from dispatcher.model.alert import Post
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import logger, redact

log = logger("probing")

PROBE_SECONDS = 15.0
CANARY_SECONDS = 90.0
_PAUSES = (1.0, 5.0, 20.0)  # before each look at a canary: what was taken is not listed at once everywhere
_LONGEST_DETAIL = 300


async def ask(channel: Channel) -> Outcome | None:
    """What a probe comes to, in at most `PROBE_SECONDS`; None where the channel has no way to be asked.

    One that hangs or has a bug is an outcome as well: nothing but cancellation is raised.
    """
    return await _contained(channel.probe(), PROBE_SECONDS)


async def prove(kind: str, settings: ChannelSettings, http: Outbound, post: Post) -> Outcome:
    """Post to the target of ``settings`` and read it back; VISIBLE or ACCEPTED where that is proven. Raises nothing."""
    try:
        async with load_kind(kind).connect(settings, http) as channel:
            return await _contained(_sing(channel, post), CANARY_SECONDS) or Outcome(result=Result.PERMANENT)
    except (OSError, KeyError, ValueError):
        return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="its secret cannot be read")


async def _sing(channel: Channel, post: Post) -> Outcome | Unsupported:
    sent = await channel.send(post)
    if isinstance(sent, Unsupported) or sent.result not in (Result.ACCEPTED, Result.VISIBLE, Result.IN_DOUBT):
        return sent
    for pause in _PAUSES:
        await asyncio.sleep(pause)
        found = await channel.find(post)
        if isinstance(found, Unsupported):
            return replace(sent, detail=sent.detail or "accepted; this kind cannot be read back")
        if found.result is Result.VISIBLE:
            return replace(found, url=found.url or sent.url)
    detail = f"{sent.result}, but not found when it was read back"
    return Outcome(result=Result.ABSENT, reason=Reason.IN_DOUBT, detail=detail)


async def _contained(work: Coroutine[Any, Any, Outcome | Unsupported], seconds: float) -> Outcome | None:
    """``work`` as a task of its own, so that whatever becomes of it is seen from outside; None for `Unsupported`."""
    task = asyncio.create_task(asyncio.wait_for(work, seconds))
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
    if task.cancelled() or isinstance(error := task.exception(), TimeoutError):
        return Outcome(result=Result.TEMPORARY, reason=Reason.TIMEOUT, detail=f"no answer within {seconds:.0f} s")
    if error is not None:
        log.error("channel_bug", error=repr(error))
        return Outcome(result=Result.PERMANENT, reason=Reason.INTERNAL, detail=type(error).__name__)
    answer = task.result()
    if isinstance(answer, Unsupported):
        return None
    return replace(answer, detail=redact(answer.detail)[:_LONGEST_DETAIL])
