"""The one outbound HTTP port: request in, `Answer` or `ChannelError` out.

Our own client stands behind it, or aiohttp's. Deadline on every request, caps on every answer, no redirects, no proxies
from the environment, no cookies, no decompression. The departure is noted right before the request head is written, so a
failure before it provably never left.
"""

from __future__ import annotations

import asyncio
import functools
import json
import secrets
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
from aiohttp import hdrs
from pydantic_core import to_json
from yarl import URL

from dispatcher.channels._cards import Cards, NoCards
from dispatcher.channels._lean import Connections, Place
from dispatcher.channels._names import FRESH_SECONDS, Names, NoSuchName, connected
from dispatcher.channels._subscribers import Nobody, Subscribers
from dispatcher.channels._wire import MAX_ANSWER, AnswerReader, AnswerTooLong, request_bytes
from dispatcher.channels.departure import departing, leave
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import DispatcherError

TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
_LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: ``body`` is final, so that what is signed is what leaves."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @staticmethod
    def json(method: str, url: str, data: Any, headers: Mapping[str, str] | None = None) -> Request:
        """A request with a JSON body."""
        body = to_json(data)
        return Request(method, url, {"Content-Type": "application/json", **(headers or {})}, body)

    @staticmethod
    def form(method: str, url: str, data: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Request:
        """A request with the fields of a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request(method, url, {**kind, **(headers or {})}, urlencode(data).encode())

    @staticmethod
    def jpeg(method: str, url: str, data: bytes, headers: Mapping[str, str] | None = None) -> Request:
        """A request whose body is an image."""
        return Request(method, url, {**(headers or {}), "Content-Type": "image/jpeg"}, data)

    @staticmethod
    def multipart(
        method: str, url: str, data: Mapping[str, str | bytes], headers: Mapping[str, str] | None = None
    ) -> Request:
        """A request with the parts of a form (RFC 7578): text, and bytes as a JPEG. Names of parts are our own words."""
        boundary = secrets.token_hex(16)
        parts = [f"--{boundary}\r\n".encode() + _part(name, value) for name, value in data.items()]
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return Request(method, url, {**kind, **(headers or {})}, b"".join(parts) + f"--{boundary}--\r\n".encode())


def _part(name: str, value: str | bytes) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    if isinstance(value, str):
        return f"{head}\r\n\r\n{value}\r\n".encode(errors="replace")
    return f'{head}; filename="card.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'.encode() + value + b"\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object, empty where it is none."""
        data = self.json()
        return data if isinstance(data, dict) else {}

    @property
    def retry_after(self) -> timedelta | None:
        """``Retry-After`` in seconds or as a date, at most a day; None where it is missing or garbage."""
        return read_retry_after(self.headers.get("retry-after", ""), datetime.now(UTC))


class ChannelError(DispatcherError):
    """No complete answer came. ``left`` says whether any byte of the request may have arrived."""

    def __init__(self, reason: Reason, detail: str, *, left: bool, useless: bool = False) -> None:
        """``useless`` marks what another try cannot mend."""
        self.reason, self.detail, self.left, self.useless = reason, detail, left, useless
        super().__init__(f"{reason}: {detail}")

    @property
    def outcome(self) -> Outcome:
        """This error as the outcome of a verb that may not be repeated blindly."""
        result = Result.IN_DOUBT if self.left else Result.PERMANENT if self.useless else Result.TEMPORARY
        return Outcome(result=result, reason=self.reason, detail=self.detail)


class Http(Protocol):
    """The port that kinds are given."""

    async def request(self, request: Request) -> Answer:
        """Send ``request`` once; raises `ChannelError`, or `Fenced` before anything left."""


class Outbound(Http, Protocol):
    """The same, a way for kinds that speak another protocol, who has signed up with this house, and cards."""

    subscribers: Subscribers
    cards: Cards

    async def dial(self, host: str, port: int) -> socket.socket:
        """A TCP connection for what is not HTTP; raises `OSError`, and `socket.gaierror` where the name has no address."""


class HttpClient(StrEnum):
    """Who stands behind the port: the same promises, at different speeds."""

    LEAN = "lean"
    AIOHTTP = "aiohttp"


def read_retry_after(value: str, now: datetime) -> timedelta | None:
    """RFC 9110 ``Retry-After``: seconds or a date in any form; the past counts as now, more than a day as a day."""
    value = value.strip()
    try:
        if value.isdigit():
            return bounded(timedelta(seconds=min(int(value), _LONGEST_WAIT.total_seconds())))
        moment = parsedate_to_datetime(value)  # without a zone where it is asctime's form, which means UTC
        return bounded((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now)
    except (ValueError, TypeError, OverflowError):
        return None


def bounded(wait: timedelta) -> timedelta:
    """``wait`` within reason, whatever a provider demands: not negative, at most a day."""
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


def refusal(answer: Answer, *, detail: str = "") -> Outcome | None:
    """What a status outside 2xx means for a post, None for 2xx. Kinds look at their provider's own codes first.

    500, 502 and 504 may come after the post was taken, so they leave a doubt; 503 says that it was not taken.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    detail = f"HTTP {status}" + (f": {detail}" if detail else "")
    result, reason = _by_status(status)
    return Outcome(result=result, reason=reason, detail=detail, retry_after=answer.retry_after)


def _by_status(status: int) -> tuple[Result, Reason]:
    if status in (401, 403, 407):
        return Result.PERMANENT, Reason.AUTH
    if status in (408, 425):
        return Result.TEMPORARY, Reason.TIMEOUT
    if status == 429:
        return Result.TEMPORARY, Reason.RATE_LIMITED
    if status == 413:
        return Result.PERMANENT, Reason.TOO_LONG
    if status == 503:
        return Result.TEMPORARY, Reason.SERVER_ERROR
    if status >= 500:
        return Result.IN_DOUBT, Reason.SERVER_ERROR
    return Result.PERMANENT, Reason.REJECTED


class _Request(aiohttp.ClientRequest):
    """aiohttp's request, noting its departure right before the head is written."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Leave first: what the fence stops has written nothing."""
        leave()
        return await super().send(conn)


class Client(ABC):
    """`Outbound`, over whatever its `_exchange` knows; use `http_client` to make one."""

    def __init__(self, names: Names) -> None:
        """``names`` are asked by all that connects here."""
        self.names = names
        self.subscribers: Subscribers = Nobody()
        self.cards: Cards = NoCards()

    async def request(self, request: Request) -> Answer:
        """Send once, read at most 1 MiB within the deadline."""
        with departing() as departure:
            try:
                return await self._exchange(request)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise _translated(error, left=departure.left) from None

    async def dial(self, host: str, port: int) -> socket.socket:
        """Connect to the first of the name's addresses that answers (RFC 8305); without a deadline of its own."""
        try:
            found = await self.names.resolve(host, port)
        except OSError as error:
            raise socket.gaierror(socket.EAI_AGAIN, "name not resolved") from error
        return await connected(found)

    @abstractmethod
    async def _exchange(self, request: Request) -> Answer:
        """Send once, noting the departure; any of the errors that `request` knows to name."""


def _url(url: str) -> URL:
    """Percent-encodings leave as written; only a name outside ASCII still needs encoding."""
    return URL(url, encoded=url.isascii())


@functools.lru_cache(maxsize=4096)  # as many channels ask for the same again and again
def _parts(text: str) -> tuple[Place, str, str]:
    """Where a URL leads, the host that is asked for there, and what of it; raises `ValueError`."""
    url = _url(text)
    if url.scheme not in ("http", "https") or not url.raw_host or not url.port or url.raw_user is not None:
        raise ValueError("not a URL that can be called")
    return Place(url.scheme, url.raw_host, url.port), str(url.host_port_subcomponent), url.raw_path_qs


class _LeanClient(Client):
    """Over our own connections."""

    def __init__(self, names: Names, connections: Connections) -> None:
        super().__init__(names)
        self._connections = connections

    async def _exchange(self, request: Request) -> Answer:
        place, host, target = _parts(request.url)
        sent = request_bytes(request.method, host, target, request.headers, request.body)
        answer = AnswerReader(request.method)
        await self._connections.exchange(place, sent, answer)
        return Answer(answer.status, answer.headers, answer.body)


class _AiohttpClient(Client):
    """Over one aiohttp session."""

    def __init__(self, names: Names, session: aiohttp.ClientSession) -> None:
        super().__init__(names)
        self._session = session

    async def _exchange(self, request: Request) -> Answer:
        _check(request)
        headers = {hdrs.ACCEPT_ENCODING: "identity", **request.headers}
        async with self._session.request(
            request.method, _url(request.url), data=request.body or None, headers=headers, allow_redirects=False
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER:
                    response.close()
                    raise AnswerTooLong
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, bytes(body))


def _check(request: Request) -> None:
    """Refuse what aiohttp would only refuse after the departure was noted: a secret with a line end inside."""
    if any(mark in value for value in request.headers.values() for mark in "\r\n\0"):
        raise ValueError("a header's value with a line end")


def _translated(error: Exception, *, left: bool) -> ChannelError:
    """Our word for a library's exception; details carry no URL, for URLs may hold secrets."""
    if isinstance(error, AnswerTooLong):
        return ChannelError(Reason.SERVER_ERROR, f"answer over {MAX_ANSWER} bytes", left=left)
    if isinstance(error, aiohttp.ClientConnectorDNSError | NoSuchName):
        return ChannelError(Reason.DNS, "name not resolved", left=left)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return ChannelError(Reason.TLS, "certificate not trusted", left=left, useless=True)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return ChannelError(Reason.TLS, "TLS failed", left=left)
    if isinstance(error, TimeoutError):
        return ChannelError(Reason.TIMEOUT, "no answer in time" if left else "no connection in time", left=left)
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | ValueError):
        return ChannelError(Reason.INTERNAL, "not a URL that can be called", left=left, useless=True)
    return ChannelError(Reason.NETWORK, type(error).__name__, left=left)


@asynccontextmanager
async def http_client(
    client: HttpClient = HttpClient.LEAN,
    *,
    resolver: aiohttp.abc.AbstractResolver | None = None,
    tls: ssl.SSLContext | None = None,
    total: float = TOTAL_SECONDS,
) -> AsyncIterator[Client]:
    """The daemon's outbound client; ``total`` is the deadline of one request in seconds.

    ``resolver`` asks for names; what it fails to tell is taken from memory.
    """
    names = Names(resolver)
    make = _lean_client if client is HttpClient.LEAN else _aiohttp_client
    async with make(names, tls or _trust(), total, min(CONNECT_SECONDS, total)) as made:
        try:
            yield made
        finally:
            await names.close()
            await asyncio.sleep(0)


@functools.cache
def _trust() -> ssl.SSLContext:
    """This machine's authorities, read once."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


@asynccontextmanager
async def _lean_client(names: Names, tls: ssl.SSLContext, total: float, connect: float) -> AsyncIterator[Client]:
    connections = Connections(names, tls, total=total, connect=connect)
    try:
        yield _LeanClient(names, connections)
    finally:
        connections.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def _aiohttp_client(names: Names, tls: ssl.SSLContext, total: float, connect: float) -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(
        limit=0, ttl_dns_cache=int(FRESH_SECONDS), keepalive_timeout=15, resolver=names, ssl=tls
    )
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=total, sock_connect=connect),
        cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, request_class=_Request, raise_for_status=False,
    ) as session:  # fmt: skip
        yield _AiohttpClient(names, session)
