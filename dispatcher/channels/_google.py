"""Who we are to Google: a service account's key signs a claim, which is exchanged for a token that is good for an hour.

Sources: RFC 7523, RFC 7515; developers.google.com/identity/protocols/oauth2/service-account.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dispatcher.channels._api import settle, undocumented
from dispatcher.channels.http import Answer, Http, Request, refusal
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import forget_secret, keep_secret

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR = 3_600  # seconds; Google allows no longer
_EARLY = 300.0  # seconds before its end that a token is given up


@dataclass(frozen=True, slots=True)
class Account:
    """A service account: its address, and the key that signs for it."""

    email: str
    key_id: str
    key: RSAPrivateKey = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Self:
        """The account of a key file as Google gives it out; raises `ValueError`, which repeats nothing of it."""
        try:
            data = json.loads(text)
            key = load_pem_private_key(data["private_key"].encode(), password=None)
            email, key_id = str(data["client_email"]), str(data.get("private_key_id", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError("the credential is no key file of a Google service account") from None
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("the service account's key is no RSA key")  # noqa: TRY004 - wrong text, not wrong type
        return cls(email, key_id, key)

    def assertion(self, scope: str, audience: str, now: int) -> str:
        """A claim to ``scope``, signed with RS256; ``now`` is in Unix seconds."""
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        claims = {"iss": self.email, "scope": scope, "aud": audience, "iat": now, "exp": now + _HOUR}
        signed = f"{_encoded(header)}.{_encoded(claims)}"
        return f"{signed}.{_base64(self.key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


class Login(ABC):
    """A way to a token."""

    @property
    def known(self) -> str:
        """A token that should still be good, empty where none is kept."""
        return ""

    @abstractmethod
    async def renew(self, refused: str) -> str | Outcome:
        """A token other than the ``refused`` one, or why there is none."""


class Renewed(Login):
    """A token that another program keeps fresh; it is read each time."""

    def __init__(self, read: Callable[[], str]) -> None:
        """``read`` raises `OSError`, `KeyError` or `ValueError` where there is none."""
        self._read = read

    async def renew(self, refused: str) -> str | Outcome:  # noqa: ARG002 - there is no other one
        """What stands there now."""
        try:
            return self._read()
        except (OSError, KeyError, ValueError):
            return Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="the token cannot be read")


class Signed(Login):
    """Tokens that a service account asks for, one at a time, each kept until shortly before its end."""

    def __init__(self, http: Http, account: Account, scope: str, url: str) -> None:
        """``url`` is where claims are exchanged for tokens."""
        self._http, self._account, self._scope, self._url = http, account, scope, url
        self._token, self._until = "", 0.0
        self._one_at_a_time = asyncio.Lock()

    @property
    def known(self) -> str:
        """The one that was granted last, until shortly before its end."""
        return self._token if time.monotonic() < self._until else ""

    async def renew(self, refused: str) -> str | Outcome:
        """Ask for a new one, unless somebody else has just done so."""
        async with self._one_at_a_time:
            if self.known in ("", refused):
                outcome = await self._exchange()
                return outcome if outcome.result is not Result.READY else self._token
            return self._token

    async def _exchange(self) -> Outcome:
        assertion = self._account.assertion(self._scope, self._url, int(time.time()))
        request = Request.form("POST", self._url, {"grant_type": _GRANT, "assertion": assertion})
        return await settle(self._http, request, partial(_granted, self._keep), repeatable=True)

    def _keep(self, token: str, seconds: float) -> None:
        forget_secret(self._token)
        self._token, self._until = token, time.monotonic() + min(seconds, _HOUR) - _EARLY
        keep_secret(token)


def _granted(keep: Callable[[str, float], None], answer: Answer) -> Outcome:
    """READY once a token is kept. Only the error's name is told: its description may repeat what was sent."""
    said = answer.json_object()
    if refused := refusal(answer, detail=f"no token: {str(said.get('error', ''))[:40]}"):
        return replace(refused, reason=Reason.AUTH) if answer.status == 400 else refused
    token, seconds = said.get("access_token"), said.get("expires_in")
    if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
        return undocumented(answer)
    keep(token, seconds)
    return Outcome(result=Result.READY)


def _encoded(data: dict[str, Any]) -> str:
    return _base64(json.dumps(data, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    """URL-safe and without padding, as RFC 7515 has it."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
