"""How long a token is good: asked of the provider by the app or the token itself, now and then, and never in the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from contract.kit import CANARY, channel, kit_of
from contract.provider import Behave, Provider, in_turn, provider, says

from dispatcher.channels._life import Life
from dispatcher.channels.base import kinds, load_kind
from dispatcher.channels.http import Answer, Request, http_client
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.telemetry import redact

SECRET = "app-secret-that-nobody-may-read"
END = datetime(2026, 12, 1, 12, tzinfo=UTC)
TOLD = says(200, {"data": {"is_valid": True, "expires_at": int(END.timestamp())}})
QUOTA = {"data": [{"quota_usage": 1, "config": {"quota_total": 50}}]}
APP = {"app": {"id": "7", "token_env": "APP_SECRET"}}


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_SECRET", SECRET)


async def probe(kind: str, behave: Behave, **more: Any) -> tuple[Outcome, Provider]:
    """One probe of ``kind`` with more settings than its contract has."""
    async with provider(behave) as heard, http_client(total=5) as http:
        if "login_url" in more:
            more["login_url"] = heard.url
        async with channel(kind, {**kit_of(kind).settings(heard.url), **more}, http) as opened:
            outcome = await opened.probe()
    assert isinstance(outcome, Outcome)
    return outcome, heard


@pytest.mark.parametrize(
    ("kind", "ready", "path"),
    [
        ("facebook_page", {"id": "100000000000001"}, "/v26.0/debug_token"),
        ("instagram", QUOTA, "/v26.0/debug_token"),
        ("whatsapp_cloud", {"id": "106540352242922"}, "/v26.0/debug_token"),
    ],
)
async def test_meta_tells_an_app_when_its_token_ends(kind: str, ready: Any, path: str) -> None:
    """The app asks about the token, and the probe tells its end; without an app the token asks about itself."""
    outcome, heard = await probe(kind, in_turn(says(200, ready), TOLD), **APP)
    assert (outcome.result, outcome.valid_until) == (Result.READY, END)
    assert heard.head().startswith(f"GET {path}?input_token={CANARY}")
    assert f"Authorization: Bearer 7|{SECRET}" in heard.head()
    assert SECRET not in redact(heard.head())
    outcome, heard = await probe(kind, in_turn(says(200, ready), TOLD))
    assert outcome.valid_until == END
    assert f"Authorization: Bearer {CANARY}" in heard.head()


async def test_threads_tells_a_token_about_itself() -> None:
    """The token is both what asks and what is asked about; what is left of the day's posts is told as well."""
    outcome, heard = await probe("threads", in_turn(says(200, QUOTA), TOLD))
    assert (outcome.result, outcome.valid_until, outcome.left) == (Result.READY, END, 49)
    assert heard.head().startswith(f"GET /v1.0/debug_token?input_token={CANARY}&access_token={CANARY} ")


async def test_linkedin_tells_an_app_when_its_token_ends() -> None:
    """With the app's secret its introspection is asked; without one nothing is."""
    said = says(200, {"active": True, "status": "active", "expires_at": int(END.timestamp())})
    outcome, heard = await probe("linkedin_page", in_turn(says(200, {"elements": []}), said), **APP, login_url="")
    assert (outcome.result, outcome.valid_until) == (Result.READY, END)
    head, _, body = heard.requests[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /oauth/v2/introspectToken ")
    assert parse_qs(body.decode()) == {"client_id": ["7"], "client_secret": [SECRET], "token": [CANARY]}
    outcome, heard = await probe("linkedin_page", in_turn(says(200, {"elements": []})))
    assert (outcome.result, outcome.valid_until, len(heard.requests)) == (Result.READY, None, 1)


@pytest.mark.parametrize(
    "said",
    [
        says(400, {"error": {"code": 100, "message": "not a developer of the app"}}), says(200, {"data": []}),
        says(200, {"data": {"expires_at": 0}}), says(200, {"data": {"expires_at": True}}), says(200, []),
        says(200, {"data": {"expires_at": 10**30}}), says(200, {"data": {"expires_at": "soon"}}), says(503),
    ],
)  # fmt: skip
async def test_what_is_not_told_is_not_known(said: Behave) -> None:
    """A provider that refuses, knows no end or talks nonsense leaves a ready channel ready, and its end unknown."""
    outcome, _ = await probe("facebook_page", in_turn(says(200, {"id": "100000000000001"}), said), **APP)
    assert (outcome.result, outcome.reason, outcome.valid_until) == (Result.READY, None, None)


async def test_an_app_whose_secret_is_missing_hurts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The channel speaks and is ready; only the end of its token stays unknown."""
    monkeypatch.delenv("APP_SECRET")
    outcome, heard = await probe("facebook_page", says(200, {"id": "100000000000001"}), **APP)
    assert (outcome.result, outcome.valid_until, len(heard.requests)) == (Result.READY, None, 1)


async def test_a_token_that_is_refused_is_not_asked_about() -> None:
    """The refusal is the answer."""
    outcome, heard = await probe("facebook_page", says(401, {"error": {"code": 190}}), **APP)
    assert (outcome.reason, len(heard.requests)) == (Reason.AUTH, 1)


async def test_the_end_is_asked_once_an_hour() -> None:
    """Between two questions the last answer holds, also where the next one fails."""
    asked, now = list[Request](), [0.0]
    answers = [Answer(200, {}, b'{"end": 1796126400}'), Answer(500, {}, b"")]

    class Counting:
        """A way out that answers in turn."""

        async def request(self, request: Request) -> Answer:
            """The next answer."""
            asked.append(request)
            return answers.pop(0)

    def end(said: Mapping[str, Any]) -> Any:
        return said.get("end")

    life = Life(Counting(), lambda: Request("GET", "https://a.example"), end, lambda: now[0])
    for moment, requests in ((0, 1), (3_599, 1), (3_600, 2), (4_000, 2)):
        now[0] = moment
        ready = await life.of(Outcome(result=Result.READY))
        assert (ready.valid_until, len(asked)) == (END, requests)


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_says_where_its_posts_appear(kind: str) -> None:
    """The settings that a canary has to say anew are settings of the kind."""
    settings = load_kind(kind).Settings
    assert set(settings.address) <= set(settings.model_fields)
    assert settings.address or kind == "by_hand"
