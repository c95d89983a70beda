"""What a provider says is kept in a form that every journal can hold."""

from __future__ import annotations

from contract.provider import provider, says

from dispatcher.channels._api import Api
from dispatcher.channels.http import Answer, http_client
from dispatcher.model.delivery import Outcome, Result


def echoed(answer: Answer) -> Outcome:
    """The provider's words, taken over as they are."""
    return Outcome(result=Result.ACCEPTED, **answer.json_object())


async def test_half_a_character_is_not_kept() -> None:
    """Half a surrogate pair, which JSON can carry and no file can, is replaced in all that is kept of an answer."""
    words = {"detail": "a\ud800b", "provider_id": "\udfff7", "url": "https://a/\ud83d"}
    async with provider(says(200, words)) as heard, http_client() as http:
        outcome = await Api(http, heard.url, {}).create("/posts", {}, echoed)
    assert (outcome.detail, outcome.provider_id, outcome.url) == ("a?b", "?7", "https://a/?")
