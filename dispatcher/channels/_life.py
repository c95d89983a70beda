"""How long a token is good, where its provider tells it: asked once an hour, and never what decides whether a channel is ready.

Sources: developers.facebook.com, Graph API reference, "Debug-Token", and Threads API, "Debug"; learn.microsoft.com/en-us/linkedin,
"Token introspection".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from dispatcher.channels._api import bearer, in_url
from dispatcher.channels.base import Credential
from dispatcher.channels.http import ChannelError, Http, Request
from dispatcher.model.delivery import Outcome, Result
from dispatcher.telemetry import keep_secret, logger

log = logger("life")

_EVERY = 3_600.0  # seconds: it changes rarely, and some of these requests count against the app's limits
_LATEST = 10**11  # Unix seconds


class App(Credential):
    """The provider's app that a token was made for, with its secret: who may ask about a token has to be it."""

    id: str = Field(
        pattern=r"^[\w-]{1,64}$", description="the app's id, client id at LinkedIn; quoted where it is a number"
    )

    def secret(self) -> str:
        """Its secret, kept out of every log; raises as `reveal` does."""
        value = self.reveal()
        keep_secret(value)
        return value


@dataclass(slots=True)
class Life:
    """A token's end. ``ask`` makes the request and may raise as `Credential.reveal` does; ``told`` finds Unix seconds in the answer."""

    http: Http
    ask: Callable[[], Request]
    told: Callable[[dict[str, Any]], Any]
    monotonic: Callable[[], float] = time.monotonic
    _until: datetime | None = field(default=None, init=False)
    _again: float = field(default=float("-inf"), init=False)

    async def of(self, probed: Outcome) -> Outcome:
        """``probed`` with the end as far as it is known; only a token that works is asked about."""
        if probed.result is not Result.READY:
            return probed
        if self.monotonic() >= self._again:
            self._again = self.monotonic() + _EVERY
            await self._look()
        return replace(probed, valid_until=self._until)

    async def _look(self) -> None:
        """What cannot be found out leaves what was known before."""
        try:
            answer = await self.http.request(self.ask())
        except (ChannelError, OSError, KeyError, ValueError) as error:
            log.warning("life_unknown", error=type(error).__name__)
            return
        seconds = self.told(answer.json_object())
        if type(seconds) is int and 0 < seconds < _LATEST:  # 0 where a token has no end
            self._until = datetime.fromtimestamp(seconds, UTC)


def graph_life(http: Http, base: str, token: str, app: App | None) -> Life:
    """The end of Meta's ``token``, asked at ``base`` by the app, or by the token itself, which Meta grants to some."""

    def ask() -> Request:
        """``GET /debug_token``."""
        asking = f"{app.id}|{app.secret()}" if app else token
        return Request("GET", f"{base}/debug_token?input_token={in_url(token)}", bearer(asking))

    return Life(http, ask, debugged)


def debugged(said: dict[str, Any]) -> Any:
    """``data.expires_at`` of Meta's answers about a token."""
    data = said.get("data")
    return data.get("expires_at") if isinstance(data, dict) else None


def linkedin_life(http: Http, base: str, token: str, app: App) -> Life:
    """The end of LinkedIn's ``token``, asked at ``base``."""

    def ask() -> Request:
        """``POST /oauth/v2/introspectToken``."""
        form = {"client_id": app.id, "client_secret": app.secret(), "token": token}
        return Request.form("POST", f"{base}/oauth/v2/introspectToken", form)

    return Life(http, ask, lambda said: said.get("expires_at"))
