"""Teams' own words: cards, retired connectors, an address that is a secret."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from contract.asking import ask
from contract.descriptions import adaptive_cards
from contract.kit import CANARY, TOKEN_VARIABLE, channel, kit_of, post
from contract.provider import provider, says
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dispatcher.channels.base import load_kind
from dispatcher.channels.http import http_client
from dispatcher.model.delivery import Reason, Result
from dispatcher.wall.app import running_wall

GOOD = says(202, None, kit_of("teams").headers)
MODULE = load_kind("teams")


def _card(message: dict[str, Any]) -> dict[str, Any]:
    [attachment] = message["attachments"]
    assert (message["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    return attachment["content"]


@given(st.lists(st.sampled_from(["*Übung*", "# 1", "[a](b)", "", "https://a.de/_x_?b=1.", "Polizeieinsatz in Leer"])))
@settings(max_examples=30)
async def test_what_leaves_is_a_card_by_the_schema(lines: list[str]) -> None:
    """Every text is a proper card whose lines are those of the text, and no sign of them is mark-up."""
    _, heard = await ask("teams", GOOD, text="\n".join(lines))
    card = _card(heard.body())
    adaptive_cards().validate(card)
    runs = [block["inlines"][0] for block in card["body"]]
    assert {block["type"] for block in card["body"]} <= {"RichTextBlock"}  # in which Markdown is not supported
    assert [run["text"] for run in runs] == [line for line in lines if line]
    assert all((run.get("weight") == "Bolder") is (run["text"] == "Polizeieinsatz in Leer") for run in runs)


def test_the_schema_can_refuse() -> None:
    """A card with a misspelt field is found out."""
    good = {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "RichTextBlock", "inlines": []}]}
    adaptive_cards().validate(good)
    for wrong in ({"body": [{"type": "RichTextBlock", "inline": []}]}, {"actions": [{"type": "Action.OpenUrl"}]}):
        with pytest.raises(jsonschema.ValidationError):
            adaptive_cards().validate({**good, **wrong})


async def test_addresses_get_buttons() -> None:
    """Each address of a text has one button, without what ends its sentence."""
    _, heard = await ask("teams", GOOD, text="Mehr: https://a.de/x. Auch (https://b.de), und https://a.de/x")
    buttons = _card(heard.body())["actions"]
    assert [button["url"] for button in buttons] == ["https://a.de/x", "https://b.de"]


async def test_the_longest_text_of_many_lines_is_taken() -> None:
    """A text of the declared limit in 200 lines is within what Teams takes; one without bounds is refused as too long."""
    size = MODULE.traits(MODULE.Settings(**kit_of("teams").settings("http://a"))).limit.size
    lines = "\n".join(["x" * (size // 200 - 1)] * 200)
    async with (
        running_wall() as wall,
        http_client() as http,
        channel("teams", kit_of("teams").settings(f"{wall.url}/teams/staff"), http) as opened,
    ):
        assert (await opened.send(post(lines))).result is Result.ACCEPTED
        assert wall.board.of("staff")[0].text == lines
        assert (await opened.send(post("x" * 30_000))).reason is Reason.TOO_LONG


@pytest.mark.parametrize(
    "url",
    [
        "https://leer.webhook.office.com/webhookb2/1", "https://LEER.webhook.office.com", "https://webhook.office.com/x",
        "https://outlook.office.com/webhook/1", "https://outlook.office365.com/webhook/1",
    ],
)  # fmt: skip
def test_a_retired_connector_is_refused(url: str) -> None:
    """An address of the old connectors is refused when it is read, and the refusal says what to do."""
    with pytest.raises(ValidationError, match="connectors are retired: add a workflow"):
        MODULE.Settings(base_url=url, credential={"token_env": TOKEN_VARIABLE})
    MODULE.Settings(base_url="https://prod-1.westeurope.logic.azure.com:443", credential={"token_env": TOKEN_VARIABLE})


REST = f"workflows/1/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={CANARY}"


@pytest.mark.parametrize("secret", [REST, f"/{REST}", "{base}/" + REST])
async def test_the_address_is_called_as_it_was_given(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is the whole address or its rest, and every part of it leaves as it is written."""
    async with provider(GOOD) as heard, http_client() as http:
        monkeypatch.setenv(TOKEN_VARIABLE, secret.replace("{base}", heard.url))
        async with channel("teams", kit_of("teams").settings(heard.url), http) as opened:
            outcome = await opened.send(post())
    assert heard.head().startswith(f"POST /{REST} ")
    assert outcome.provider_id == kit_of("teams").headers["x-ms-workflow-run-id"]


async def test_an_address_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that leads elsewhere than the settings say is not called, and not repeated in the error."""
    monkeypatch.setenv(TOKEN_VARIABLE, f"https://elsewhere.example/{CANARY}")
    async with http_client() as http:
        with pytest.raises(ValueError, match="does not begin with base_url") as raised:
            async with channel("teams", kit_of("teams").settings("http://127.0.0.1:9"), http):
                pass
    assert CANARY not in str(raised.value)


async def test_the_signature_alone_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that echoes only the signature does not make us tell it."""
    monkeypatch.setenv(TOKEN_VARIABLE, "workflows/1?sv=1.0&sig=s%2F0nly0here0")
    error = {"error": {"code": "SignatureInvalid", "message": "no such signature s/0nly0here0"}}
    outcome, _ = await ask("teams", says(401, error))
    assert (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.AUTH)
    assert "SignatureInvalid" in outcome.detail
    assert "0nly0here0" not in outcome.detail
