"""Cards, for whoever knows their names: providers that fetch images by their addresses, and readers of what they show."""

from __future__ import annotations

from aiohttp import hdrs, web

from dispatcher.cards.studio import Studio
from dispatcher.channels._cards import NoCard
from dispatcher.model.delivery import AlertId
from dispatcher.public.brake import Brake

PATH = r"/cards/{alert:[a-z][0-9a-z-]{0,39}}/{name:[0-9a-f]{40}}.jpg"
_FOR_EVER = "public, max-age=31536000, immutable"  # another image has another name


class Images:
    """What was made for alerts that were released, and nothing else."""

    def __init__(self, studio: Studio, brake: Brake) -> None:
        """What has to be made anew has to pass the ``brake``."""
        self._studio, self._brake = studio, brake

    async def send(self, request: web.Request) -> web.Response:
        """200 with the JPEG, or 404; raises `JournalError` where nobody can say."""
        alert, name = AlertId(request.match_info["alert"]), request.match_info["name"]
        jpeg = self._studio.kept(name)
        if jpeg is None:
            if not self._brake.lets_through():
                raise web.HTTPTooManyRequests(headers={hdrs.RETRY_AFTER: "5"})
            jpeg = await self._made(alert, name)
        return web.Response(body=jpeg, content_type="image/jpeg", headers={hdrs.CACHE_CONTROL: _FOR_EVER})

    async def _made(self, alert: AlertId, name: str) -> bytes:
        try:
            jpeg = await self._studio.jpeg(alert, name)
        except NoCard:
            raise web.HTTPServiceUnavailable(headers={hdrs.RETRY_AFTER: "5"}) from None
        if jpeg is None:
            raise web.HTTPNotFound
        return jpeg
