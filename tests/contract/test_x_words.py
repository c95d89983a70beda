"""X's own words: signatures, problems, limits, lists."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from contract.asking import ask
from contract.kit import CANARY, KEYS_VARIABLE, channel, kit_of, post
from contract.provider import in_turn, says

from dispatcher.channels._oauth import Keys, authorization
from dispatcher.channels.http import http_client
from dispatcher.model.delivery import Reason, Result

GOOD = says(201, kit_of("x").good)
ME = says(200, {"data": {"id": "7", "name": "a", "username": "a"}})


def _field(header: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', header)
    return found[1] if found else ""


def test_the_signature_is_the_published_one() -> None:
    """The worked example of X's documentation comes out to the letter."""
    keys = Keys(
        "xvz1evFS4wEEPTGEFPHBog", "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
        "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb", "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
    )  # fmt: skip
    status = "Hello%20Ladies%20%2B%20Gentlemen%2C%20a%20signed%20OAuth%20request%21"
    url = f"https://api.twitter.com/1.1/statuses/update.json?include_entities=true&status={status}"
    header = authorization(keys, "POST", url, "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg", 1_318_622_958)
    assert _field(header, "oauth_signature") == "hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D"


async def test_every_request_is_signed_anew() -> None:
    """Each request has its own nonce and a signature over its own address, and no secret in it."""
    heads = []
    for verb, behave in (("send", GOOD), ("find", in_turn(ME, says(200, {"meta": {}})))):
        _, heard = await ask("x", behave, verb)
        heads += [heard.head(number) for number in range(len(heard.requests))]
    assert (
        len({_field(head, "oauth_nonce") for head in heads}) == len({_field(h, "oauth_signature") for h in heads}) == 3
    )
    assert all(f'oauth_token="token-{CANARY}"' in head for head in heads)
    assert all("secret-" not in head for head in heads)


async def test_one_word_is_a_bearer_token_and_two_are_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lone token goes out as it is; any other number of words is refused without repeating them."""
    monkeypatch.setenv(KEYS_VARIABLE, f"alone-{CANARY}")
    _, heard = await ask("x", GOOD)
    assert f"Authorization: Bearer alone-{CANARY}" in heard.head()
    monkeypatch.setenv(KEYS_VARIABLE, f"two-{CANARY} words")
    async with http_client() as http:
        with pytest.raises(ValueError, match="four words") as raised:
            async with channel("x", kit_of("x").settings("http://127.0.0.1:9"), http):
                pass
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "said", "result", "reason"),
    [
        (
            403,
            {"detail": "You are not allowed to create a Tweet with Duplicate content."},
            Result.PERMANENT,
            Reason.DUPLICATE,
        ),
        (403, {"detail": "Your account is suspended"}, Result.PERMANENT, Reason.AUTH),
        (402, {"title": "CreditsDepleted"}, Result.PERMANENT, Reason.AUTH),
        (429, {"type": "https://api.twitter.com/2/problems/usage-capped"}, Result.PERMANENT, Reason.AUTH),
        (429, {"title": "Too Many Requests"}, Result.TEMPORARY, Reason.RATE_LIMITED),
        (503, {"title": "Service Unavailable"}, Result.IN_DOUBT, Reason.SERVER_ERROR),
        (200, {"errors": [{"title": "x"}]}, Result.IN_DOUBT, Reason.IN_DOUBT),
    ],
)
async def test_each_problem_has_its_class(status: int, said: Any, result: Result, reason: Reason) -> None:
    """Status, type and detail together say whether another try helps."""
    outcome, _ = await ask("x", says(status, said))
    assert (outcome.result, outcome.reason) == (result, reason)


def _in(minutes: int) -> str:
    return str(int((datetime.now(UTC) + timedelta(minutes=minutes)).timestamp()))


@pytest.mark.parametrize(
    ("headers", "minutes"),
    [
        ({"x-rate-limit-reset": 10}, 10),
        (
            {"x-rate-limit-reset": 10, "x-user-limit-24hour-remaining": "5", "x-user-limit-24hour-reset": 90},
            10,
        ),
        (
            {"x-rate-limit-reset": 10, "x-user-limit-24hour-remaining": "0", "x-user-limit-24hour-reset": 90},
            90,
        ),
        ({"x-rate-limit-reset": 10, "x-app-limit-24hour-remaining": "0", "x-app-limit-24hour-reset": "soon"}, 10),
        ({"x-rate-limit-reset": "soon", "Retry-After": "120"}, 2),
    ],
)
async def test_the_limit_that_is_used_up_is_waited_for(headers: dict[str, Any], minutes: int) -> None:
    """A day's limit counts where nothing is left of it, else that of the call."""
    said = {name: _in(value) if isinstance(value, int) else value for name, value in headers.items()}
    outcome, _ = await ask("x", says(429, {}, said))
    assert timedelta(minutes=minutes - 1) < outcome.retry_after <= timedelta(minutes=minutes)


async def test_an_account_without_posts_has_none() -> None:
    """No list at all is an absence where the answer counts posts, and a doubt that is asked again where it does not."""
    outcome, heard = await ask("x", in_turn(ME, says(200, {"meta": {"result_count": 0}})), "find")
    assert outcome.result is Result.ABSENT
    assert heard.head().startswith("GET /2/users/7/tweets?")
    outcome, _ = await ask("x", in_turn(ME, says(200, {"errors": []})), "find")
    assert outcome.result is Result.TEMPORARY


async def test_deleting_what_is_gone_is_done() -> None:
    """A post that is not there any more counts as deleted; one that X did not delete does not."""
    outcome, _ = await ask("x", says(404, {"title": "Not Found"}), "delete", target="1")
    assert outcome.result is Result.ACCEPTED
    outcome, _ = await ask("x", says(200, {"data": {"deleted": False}}), "delete", target="1")
    assert outcome.result is Result.TEMPORARY


async def test_only_the_text_is_sent() -> None:
    """X refuses fields that it does not know, so there are none."""
    _, heard = await ask("x", GOOD)
    assert heard.body() == {"text": post().text.body}
