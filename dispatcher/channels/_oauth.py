"""OAuth 1.0a: requests signed with HMAC-SHA1, as RFC 5849 has it for requests whose body is no form."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, urlsplit

from dispatcher.channels.http import Answer, Http, Request


@dataclass(frozen=True, slots=True)
class Keys:
    """The application's pair and the account's pair, each with its secret."""

    consumer: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    token: str = field(repr=False)
    token_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signing:
    """The way out, with every request signed for one account."""

    http: Http
    keys: Keys

    async def request(self, request: Request) -> Answer:
        """Sign ``request`` and send it once."""
        nonce, now = secrets.token_hex(16), int(time.time())
        signed = {"Authorization": authorization(self.keys, request.method, request.url, nonce, now)}
        return await self.http.request(replace(request, headers={**request.headers, **signed}))


def authorization(keys: Keys, method: str, url: str, nonce: str, now: int) -> str:
    """The ``Authorization`` header for a request without a form; ``now`` is in Unix seconds."""
    oauth = {
        "oauth_consumer_key": keys.consumer, "oauth_nonce": nonce, "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(now), "oauth_token": keys.token, "oauth_version": "1.0",
    }  # fmt: skip
    key = f"{_encoded(keys.consumer_secret)}&{_encoded(keys.token_secret)}"
    digest = hmac.new(key.encode(), _base(method, url, oauth).encode(), hashlib.sha1).digest()
    fields = {**oauth, "oauth_signature": base64.b64encode(digest).decode()}
    return "OAuth " + ", ".join(f'{name}="{_encoded(value)}"' for name, value in fields.items())


def _base(method: str, url: str, oauth: dict[str, str]) -> str:
    """The signature base string: method, address without its query, and all parameters in order."""
    parts = urlsplit(url)
    given = [*oauth.items(), *parse_qsl(parts.query, keep_blank_values=True)]
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in given)
    address = f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"
    return "&".join(map(_encoded, (method, address, "&".join(f"{name}={value}" for name, value in pairs))))


def _encoded(text: str) -> str:
    return quote(text, safe="~")
