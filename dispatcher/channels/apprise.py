"""A bridge to more than a hundred services, over Apprise, in a process of its own for each channel.

Apprise says of a message that it went or that it failed: no id, no wait, and one word for a refusal, a limit and a lost answer.
So nothing is changed, taken back or looked for; a failure after the first byte is a doubt, and the text goes out once
more as a repetition that says so. What fails before that byte has never left. Services are named in a list: those that
speak HTTP, which alone can be watched leaving, and that run no program and open no file.
Source: github.com/caronc/apprise, version 2.2.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from dispatcher.channels._apart import Apart, Gone, Talk, Unusable
from dispatcher.channels._api import presentable
from dispatcher.channels.base import Channel, ChannelSettings, Credential, Traits
from dispatcher.channels.departure import departing, leave
from dispatcher.channels.http import Outbound
from dispatcher.model.alert import Post
from dispatcher.model.channel import Power, TextLimit, Unit
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import keep_secret

# Left out of what Apprise 2.2 knows: what speaks no HTTP (mail, MQTT, IRC, XMPP, syslog, desktops, lights), what reads keys from
# files (fcm, vapid), what speaks over sockets as well (nostr), and Apprise's own server, behind which are many targets.
_NAMES = """
    46elks atalk azure bark barks betterstack bluesky brevo bsky bulksms bulkvs burstsms chanify clickatell clicksend cliq cm
    d7sms dapnet dingtalk discord dot eight00com elks emby embys enigma2 enigma2s evolution evolutions exotel feishu
    firehydrant flock flowtriq flowtriqs fluxer fluxers form forms freemobile gchat github goalert goalerts gorush gorushs
    gotify gotifys groundmail groupme gupshup hassio hassios httpsms humhub humhubs ifttt ilert incidentio infobip jira join
    json jsons kakao kakaotalk kaleyra kavenegar klr kodi kodis kook kudosity kumulos lametric lametrics lark lauther lfg line
    mailersend mailgun mastodon mastodons matrix matrixs misskey misskeys mmost mmosts mobilemessage mobilemsg msg91 msgbird
    ncloud nclouds nctalk nctalks nexmo notica noticas notifiarr notifico notificos notifyre ntfy ntfys o365 octopush onebot
    onebots onesignal opsgenie pagerduty pagertree parsep parseps pbul pinglet pinglets pingram pjet pjets plivo postmark pover
    prowl psafer psafers push pushdeer pushdeers pushed pushme pushplus pushward pushy qq reddit resend revolt ringc rocket
    rockets ryver schan sendgrid sendpulse serwersms ses session sessions seven sfr signal signalgrid signals signl4 simplepush
    sinch slack smsc smseagle smseagles smsmanager smsmgr smstunnel smtp2go sns sogs sparkpost spike splunk spugpush spush
    squadcast stackfield strmlabs synology synologys telesign telnyx tgram threema toot toots trigv trigvs tweet twilio twist
    twitter viber victorops voipms vonage webex wechat wecom wecombot whapi whatsapp workflow workflows wpush wxpusher wxteams
    x xbmc xbmcs xmatters xml xmls youlmk zalo zcliq zohocliq zoom zulip
"""
SERVICES = frozenset(_NAMES.split())
_WHOLE = re.compile(r"\w{1,16}://")
_PLAIN = {"http": "json", "https": "jsons"}  # a receiver of one's own, which takes what Apprise's json:// posts
_FAILURES = (TimeoutError, OSError, Gone, Unusable)


class Settings(ChannelSettings):
    """How the Apprise URL begins stands here; the whole URL, or the rest of it, is the secret. It names one target."""

    url: str = Field(
        pattern=r"^[a-z0-9]{1,16}://[^\s?#@]{0,200}$", description="beginning of the Apprise URL", examples=["pover://"]
    )
    credential: Credential
    max_characters: int = Field(default=1_000, ge=20, le=10_000, description="longest text")
    ready_seconds: float = Field(default=5, gt=0, le=10, description="for a connection to the service")
    answer_seconds: float = Field(default=9, gt=0, le=14, description="for its answer; an attempt has 15 in all")

    @property
    def base(self) -> str:
        """How the URL begins."""
        return self.url.rstrip("/") if self._host else ""

    @property
    def origin(self) -> str:
        """The service at its host or, where the URL's beginning names none, as whoever speaks there: each a pool of its own."""
        return f"{self._scheme}://{self._host or self.credential.label}"

    @property
    def _scheme(self) -> str:
        return self.url.partition("://")[0]

    @property
    def _host(self) -> str:
        return self.url.partition("://")[2].partition("/")[0]

    def wall_account(self) -> str:
        """The last part of the beginning."""
        return self.url.rstrip("/").rpartition("/")[2]

    @field_validator("url")
    @classmethod
    def _served(cls, url: str) -> str:
        scheme = url.partition("://")[0]
        if scheme not in SERVICES and scheme not in _PLAIN:
            raise ValueError(f"{scheme}:// is not served; docs/channels/apprise.md says which are")
        return url

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if find_spec("apprise") is None:
            raise ValueError("Apprise is not installed: pip install dispatcher[apprise]")
        return self


def traits(settings: Settings) -> Traits:
    """As long as it was set, for the process that knows better is not started to ask; no power but to be probed."""
    return Traits(TextLimit(Unit.CHARACTERS, settings.max_characters), frozenset({Power.PROBE}))


def drill(channel: str, secret: str) -> dict[str, object]:
    """The fields that differ in an exercise on the wall; ``secret`` is a file made for it."""
    return {"url": f"wall://apprise/{channel}", "credential": {"token_file": secret}}


@asynccontextmanager
async def connect(settings: Settings, http: Outbound) -> AsyncIterator[Channel]:  # noqa: ARG001 - the port
    """The target as a channel, whose process ends with it.

    Raises `OSError` or `KeyError` where the secret cannot be read and `ValueError` where it is no such URL.
    """
    process = Apart({"url": _address(settings)})
    try:
        yield _Bridge(settings, process)
    finally:
        await process.close()


def _address(settings: Settings) -> str:
    """The whole Apprise URL, kept out of logs; an error does not repeat it."""
    secret, begin = settings.token(), settings.url
    if _WHOLE.match(secret) and not secret.startswith(begin):
        raise ValueError("the URL that is the secret does not begin with url")
    rest = secret.removeprefix(begin)
    keep_secret(rest)
    scheme, _, beginning = begin.partition("://")
    slash = "" if begin.endswith("/") or rest.startswith(("/", "?")) else "/"
    return f"{_PLAIN.get(scheme, scheme)}://{beginning}{slash}{rest}"


class _Bridge(Channel):
    def __init__(self, settings: Settings, process: Apart) -> None:
        self._settings, self._process = settings, process

    async def send(self, post: Post) -> Outcome:
        """One text; the fence is asked when the process is about to write the first byte of it."""
        with departing() as departure:
            try:
                return presentable(await self._say(post))
            except _FAILURES as error:
                return _failed(error, left=departure.left)

    async def probe(self) -> Outcome:
        """The process is there, and Apprise understands the URL. Of the service that says nothing: only a text would."""
        try:
            async with asyncio.timeout(self._settings.ready_seconds), self._process.turn() as talk:
                longest = talk.greeting["longest"]
        except _FAILURES as error:
            return _failed(error, left=False)
        if longest < self._settings.max_characters:
            return _too_long(f"the service takes {longest} characters: set max_characters: {longest}")
        return Outcome(result=Result.READY, detail="the URL is understood; Apprise cannot ask the service itself")

    async def _say(self, post: Post) -> Outcome:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._settings.ready_seconds) as limit, self._process.turn() as talk:
            text = _text(post, talk)
            if len(text["body"]) > talk.greeting["longest"]:
                return _too_long(f"the service takes {talk.greeting['longest']} characters")
            talk.tell(text)
            answer = await talk.hear()
            left = "leaving" in answer
            if left:
                leave()
                talk.tell({"go": True})
                limit.reschedule(loop.time() + self._settings.answer_seconds)
                answer = await talk.hear()
        return _outcome(answer, left=left)


def _text(post: Post, talk: Talk) -> dict[str, Any]:
    """The headline as title where the service has room for one, and is not said twice."""
    headline, body = post.text.headline, post.text.body
    titled = 0 < len(headline) <= talk.greeting["title"]
    rest = body.removeprefix(headline).lstrip() or body
    kind = "info" if post.purpose.ends else "warning"
    return {"title": headline if titled else "", "body": rest if titled else body, "type": kind}


def _outcome(answer: dict[str, Any], *, left: bool) -> Outcome:
    """Sent is sent, without an id; a failure says nothing of what became of the text."""
    if answer.get("sent") is True:
        unseen = "Apprise says sent, and nothing was seen leaving"
        return (
            Outcome(result=Result.ACCEPTED)
            if left
            else Outcome(result=Result.IN_DOUBT, reason=Reason.IN_DOUBT, detail=unseen)
        )
    code = answer.get("code")
    detail = f"Apprise says failed{f', HTTP {code}' if isinstance(code, int) else ''}"
    if left:
        return Outcome(result=Result.IN_DOUBT, reason=Reason.IN_DOUBT, detail=detail)
    return Outcome(result=Result.TEMPORARY, reason=Reason.NETWORK, detail=f"{detail} before anything left")


def _failed(error: Exception, *, left: bool) -> Outcome:
    """What a process that hangs, dies or refuses makes of an attempt."""
    if isinstance(error, Unusable):
        return Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail=str(error))
    late = isinstance(error, TimeoutError)
    what = "no answer in time" if late else "the process of its own has ended"
    reason = Reason.TIMEOUT if late else Reason.IN_DOUBT if left else Reason.NETWORK
    return Outcome(result=Result.IN_DOUBT if left else Result.TEMPORARY, reason=reason, detail=what)


def _too_long(detail: str) -> Outcome:
    return Outcome(result=Result.PERMANENT, reason=Reason.TOO_LONG, detail=detail)
