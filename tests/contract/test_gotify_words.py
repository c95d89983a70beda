"""Gotify's own words: two kinds of token, priorities, titles."""

from __future__ import annotations

from typing import Any

import pytest
from contract.asking import ask
from contract.kit import CANARY, kit_of, post
from contract.provider import says

from dispatcher.channels.base import load_kind
from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Severity
from dispatcher.model.channel import Power
from dispatcher.model.delivery import Reason, Result

GOOD = says(200, kit_of("gotify/client").good)


@pytest.mark.parametrize(("name", "names"), [("gotify/application", {}), ("gotify/client", {"appid": 5})])
async def test_only_a_client_names_the_application(name: str, names: dict[str, int]) -> None:
    """An application's token says whose it is; a client has to name one of its applications."""
    outcome, heard = await ask(name, GOOD)
    assert heard.head().startswith("POST /message ")
    assert f"X-Gotify-Key: {CANARY}" in heard.head()
    body = {"title": "Polizeieinsatz in Leer", "message": f"Bleiben Sie in Gebäuden. {post().code}", "priority": 10}
    assert heard.body() == {**body, **names}
    assert outcome.provider_id == "25"


def test_the_powers_are_those_of_the_token() -> None:
    """What an application's token cannot do is not promised, and nothing can be changed by any."""
    kind = load_kind("gotify")
    powers = [
        kind.traits(kind.Settings(**kit_of(f"gotify/{of}").settings("http://a"))).powers
        for of in ("application", "client")
    ]
    assert powers == [frozenset(), {Power.DELETE, Power.FIND, Power.PROBE}]


async def test_a_text_that_is_all_headline_is_no_empty_message() -> None:
    """The server refuses an empty message, so a lone headline stands in both places."""
    _, heard = await ask("gotify/application", GOOD, text="Polizeieinsatz in Leer")
    assert (heard.body()["title"], heard.body()["message"]) == ("Polizeieinsatz in Leer", "Polizeieinsatz in Leer")


@pytest.mark.parametrize(
    ("purpose", "severity", "priority"),
    [
        (Purpose.PAGE, Severity.MINOR, 10),
        (Purpose.ALERT, Severity.EXTREME, 10),
        (Purpose.ALERT, Severity.SEVERE, 8),
        (Purpose.UPDATE, Severity.MODERATE, 5),
        (Purpose.ALL_CLEAR, Severity.EXTREME, 8),
        (Purpose.FALSE_ALARM, Severity.MINOR, 8),
    ],
)
async def test_it_rings_by_severity(purpose: Purpose, severity: Severity, priority: int) -> None:
    """A page and an extreme alert come first; an end is heard as well."""
    _, heard = await ask("gotify/application", GOOD, purpose=purpose, severity=severity)
    assert heard.body()["priority"] == priority


@pytest.mark.parametrize(
    ("status", "result", "reason"),
    [
        (400, Result.PERMANENT, Reason.REJECTED),
        (401, Result.PERMANENT, Reason.AUTH),
        (403, Result.PERMANENT, Reason.AUTH),
        (500, Result.IN_DOUBT, Reason.SERVER_ERROR),
    ],
)
async def test_an_error_says_what_is_wrong(status: int, result: Result, reason: Reason) -> None:
    """The status decides, and the server's own words are told."""
    said = {
        "error": "Unauthorized",
        "errorCode": status,
        "errorDescription": "you need to provide a valid access token",
    }
    outcome, _ = await ask("gotify/application", says(status, said))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert outcome.detail == f"HTTP {status}: Unauthorized: you need to provide a valid access token"


async def test_deleting_what_is_gone_is_done() -> None:
    """A message that is not there any more counts as deleted, and a deletion is answered without a body."""
    for answer in (says(404, {"error": "Not Found"}), says(200)):
        outcome, heard = await ask("gotify/client", answer, "delete", target="25")
        assert outcome.result is Result.ACCEPTED
        assert heard.head().startswith("DELETE /message/25 ")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (says(200, {"messages": [], "paging": {}}), Result.READY),
        (says(200, {"messages": [{"id": 1, "message": "text"}], "paging": {}}), Result.READY),
        (says(404, {"error": "Not Found"}), Result.PERMANENT),
        (says(403, {"error": "Forbidden"}), Result.PERMANENT),
        (says(200, {}), Result.TEMPORARY),
    ],
)
async def test_a_client_that_reads_its_application_is_ready(answer: Any, result: Result) -> None:
    """A wrong token and an application that is another's are found before an alert needs them."""
    outcome, heard = await ask("gotify/client", answer, "probe")
    assert outcome.result is result
    assert heard.head().startswith("GET /application/5/message?limit=1 ")
