"""The public listener: the page on which people sign up for push messages, officers' own pages beside it, and cards.

Whatever comes in here is a stranger's: small, counted, checked, and of no weight for anything but what is their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field

from dispatcher.accounts.book import Accounts
from dispatcher.cards.studio import Studio
from dispatcher.channels._webpush import LONGEST_ENDPOINT, origin_of, subscription
from dispatcher.channels.base import ChannelSettings
from dispatcher.channels.web_push import Settings
from dispatcher.model.cap import Region
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.errors import JournalError
from dispatcher.public.brake import Brake
from dispatcher.public.images import PATH, Images
from dispatcher.public.own import OwnPages
from dispatcher.setup import Setup
from dispatcher.subscribers import JournalSubscribers
from dispatcher.web import PAGE_HEADERS

_HERE: Final = Path(__file__).parent / "static"
_LARGEST: Final = 16 * 1024
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_POLICY: Final = "Content-Security-Policy"  # a page on the home screen of a telephone needs a manifest
_templates = Environment(
    loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


class Keys(BaseModel):
    """A browser's keys, in URL-safe base64."""

    p256dh: Annotated[str, Field(max_length=100)]
    auth: Annotated[str, Field(max_length=40)]


class SignUp(BaseModel):
    """What a browser hands over; it wants to hear of ``regions``, none means all.

    ``replaces`` is the endpoint that it had before, whose regions it takes over.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    endpoint: Annotated[str, Field(max_length=LONGEST_ENDPOINT)]
    keys: Keys
    regions: Annotated[list[Annotated[str, Field(max_length=80)]], Field(max_length=1_000)] = []
    replaces: Annotated[str, Field(max_length=LONGEST_ENDPOINT)] = ""


class Leaving(BaseModel):
    """Who wants to hear no more: to know an endpoint is to have it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    endpoint: Annotated[str, Field(max_length=LONGEST_ENDPOINT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the public listener is handed. ``channels`` are the settings of now, which a reload replaces."""

    setup: Setup
    channels: Callable[[], Mapping[ChannelId, tuple[str, ChannelSettings]]]
    subscribers: JournalSubscribers
    accounts: Accounts
    brake: Brake = field(default_factory=Brake)
    cards: Studio | None = None

    def find(self, request: web.Request) -> tuple[ChannelProfile, Settings]:
        """The channel that the path names; raises 404 where nobody can sign up for it."""
        channel = ChannelId(request.match_info["channel"])
        profile = self.setup.deployment.channels.get(channel)
        _, settings = self.channels().get(channel, ("", None))
        if profile is None or not isinstance(settings, Settings) or settings.base_url:
            raise web.HTTPNotFound
        return profile, settings

    def regions(self, profile: ChannelProfile) -> list[Region]:
        """The regions that ``profile`` speaks for."""
        return [one for one in self.setup.deployment.regions if not profile.regions or one.id in profile.regions]


def make_public(desk: Desk) -> web.Application:
    """The application over ``desk``."""
    app, signs = web.Application(client_max_size=_LARGEST, middlewares=[_plain_errors]), _SignUps(desk)
    app.router.add_get("/push/{channel}/", signs.page)
    app.router.add_get("/push/{channel}/manifest.webmanifest", signs.manifest)
    app.router.add_post("/push/{channel}/", signs.begin)
    app.router.add_delete("/push/{channel}/", signs.end)
    if desk.cards is not None:
        app.router.add_get(PATH, Images(desk.cards, desk.brake).send)
    own = OwnPages(desk.accounts, desk.setup, desk.brake)
    app.router.add_get("/own/{token}", own.page)
    app.router.add_post("/own/{token}", own.decide)
    for path in sorted(_HERE.iterdir()):
        if path.suffix in _TYPES:
            app.router.add_get(f"/push/{path.name}", _sender(path.read_bytes(), _TYPES[path.suffix]))
    app.on_response_prepare.append(_harden)
    return app


class _SignUps:
    """People come and go."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def page(self, request: web.Request) -> web.Response:
        """The page of one channel."""
        profile, settings = self._desk.find(request)
        deployment = self._desk.setup.deployment
        try:
            key = settings.vapid().public
        except (OSError, KeyError, ValueError):
            raise web.HTTPServiceUnavailable(text="nobody can sign up at the moment") from None
        text = _templates.get_template("page.html").render(
            channel=profile, key=key, sender=deployment.sender, realm=deployment.realm,
            regions=self._desk.regions(profile),
        )  # fmt: skip
        return web.Response(text=text, content_type="text/html")

    async def manifest(self, request: web.Request) -> web.Response:
        """What an iPhone needs before it lets a page send messages: that it stands on the home screen."""
        profile, _ = self._desk.find(request)
        start = f"/push/{profile.id}/"
        icon = {"src": "/push/icon.svg", "sizes": "any", "type": "image/svg+xml"}
        said = {
            "name": profile.title,
            "start_url": start,
            "scope": start,
            "display": "standalone",
            "icons": [icon],
        }
        return web.json_response(said, content_type="application/manifest+json")

    async def begin(self, request: web.Request) -> web.Response:
        """201 for somebody who signs up, or signs up again."""
        profile, settings = self._desk.find(request)
        wanted = SignUp.model_validate_json(await self._body(request))
        if not origin_of(wanted.endpoint, settings.services):
            raise web.HTTPUnprocessableEntity(text="no push service that is known here")
        one = subscription(wanted.endpoint, wanted.keys.p256dh, wanted.keys.auth)
        known = {region.id for region in self._desk.regions(profile)}
        regions = [region for region in dict.fromkeys(wanted.regions) if region in known]
        if wanted.regions and not regions:
            raise web.HTTPUnprocessableEntity(text="no region that is known here")
        added = await self._desk.subscribers.add(
            profile.id, one, regions, settings.most, replaces=wanted.replaces
        )  # fmt: skip
        if not added:
            raise web.HTTPServiceUnavailable(text="no more people can sign up here")
        return web.Response(status=201)

    async def end(self, request: web.Request) -> web.Response:
        """204 for somebody who leaves, known or not."""
        profile, _ = self._desk.find(request)
        leaving = Leaving.model_validate_json(await self._body(request))
        await self._desk.subscribers.remove(profile.id, leaving.endpoint)
        return web.Response(status=204)

    async def _body(self, request: web.Request) -> bytes:
        """JSON and nothing else, which no foreign page can send; so many in a second and not one more."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        if not self._desk.brake.lets_through():
            raise web.HTTPTooManyRequests(headers={hdrs.RETRY_AFTER: "5"})
        return await request.read()


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is wrong with a request in a word, and never how it looks inside."""
    try:
        return await handler(request)
    except ValueError:
        return web.Response(status=422, text="this is no subscription")
    except JournalError:
        return web.Response(status=503, text="try again later", headers={hdrs.RETRY_AFTER: "5"})


def _sender(body: bytes, kind: str) -> Callable[[web.Request], Any]:
    async def send(_request: web.Request) -> web.Response:
        """Give one of the page's files."""
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return send


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    """No answer runs foreign code, lies in a cache, or stands in somebody's frame."""
    for name, value in PAGE_HEADERS.items():
        response.headers.setdefault(name, f"{value}; manifest-src 'self'" if name == _POLICY else value)
