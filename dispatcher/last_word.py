"""Calls staff when the journal is lost: once, on all their channels, and written down nowhere, for nowhere is left."""

from __future__ import annotations

import asyncio
from datetime import datetime

from dispatcher.channels.base import Channel
from dispatcher.model.alert import Post, post_for
from dispatcher.plan.pages import Page, compose_page
from dispatcher.setup import Setup
from dispatcher.telemetry import PAGES, logger

log = logger("pager")

SECONDS = 5.0


async def last_word(setup: Setup, page: Page, now: datetime) -> None:
    """Say ``page`` on every staff channel at once; ends after five seconds, whatever the channels do."""
    PAGES.labels(page.cause).inc()
    log.critical("last_word", cause=page.cause, lines=page.lines)
    alert = compose_page(page, b"", setup.deployment, now, key=f"last word/{now.isoformat()}")
    posts = [post_for(alert, one, repeat=False) for one in alert.deliveries(alert.plan, now)] if alert else []
    said = [asyncio.create_task(_say(setup.channels[post.channel], post)) for post in posts]
    if said:
        await asyncio.wait(said, timeout=SECONDS)


async def _say(channel: Channel, post: Post) -> None:
    """One try; what became of it is in the log alone."""
    (answer,) = await asyncio.gather(channel.send(post), return_exceptions=True)
    log.warning("last_word_said", channel=post.channel, answer=repr(answer))
