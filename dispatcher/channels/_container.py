"""Posting in two steps, as Instagram and Threads want it: a container that nobody sees, then its publication.

A container is no post: whatever goes wrong while one is made or awaited leaves no doubt. One whose publication got no
clear answer is kept and asked for its state before anything else is published, for a container is published once at most.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from dispatcher.channels._api import Api, Listed, accepted, find_in, segment, undocumented
from dispatcher.channels._cards import Card, Cards, NoCard, NoCards, Shape, card_or_none
from dispatcher.channels._graph import SUBCODES, graph_done, graph_refusal
from dispatcher.channels._life import Life
from dispatcher.channels.base import Channel, Unsupported
from dispatcher.channels.http import Answer
from dispatcher.model.alert import Post
from dispatcher.model.delivery import Outcome, Reason, Result

_T = TypeVar("_T")
_MOST_KEPT = 100
_SUBCODE = re.compile(r"2207\d{3}")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider names things. ``posts`` is where they are made and listed.

    ``carded(post, card)`` are the fields of a container that shows a card, ``bare(post)`` those of one without; ``bare`` is
    None where there is none without.
    """

    posts: str
    publish: str
    quota: str
    state: str
    why: str
    text: str
    carded: Callable[[Post, Card], dict[str, str]]
    bare: Callable[[Post], dict[str, str]] | None
    can_delete: bool = True


class ContainerChannel(Channel):
    """An account that is posted to through containers."""

    def __init__(self, api: Api, dialect: Dialect, life: Life | None = None, cards: Cards | None = None) -> None:
        """``api`` carries the credential, ``life`` tells its end where that can be asked; None wants no cards."""
        self._api, self._dialect, self._life, self._cards = api, dialect, life, cards
        self._made: dict[str, str] = {}  # containers by their posts' keys, until it is known what became of them
        self._shown: dict[str, bool] = {}  # keys of posts that had a card, and whether the next try has it as well

    async def send(self, post: Post) -> Outcome:
        """Make a container, or take the one made before; publish it once it is ready."""
        container = self._made.get(post.key)
        if container is None:
            made = await self._make(post)
            if made.result is not Result.READY:
                return self._without_card(post, made)
            container = _kept(self._made, post.key, made.provider_id)
        state = await self._state(container)
        if state.result is Result.READY:
            return self._settled(post, await self._api.create(self._dialect.publish, {"creation_id": container}, _out))
        if state.result is Result.VISIBLE:
            return await self._known(post)
        return self._without_card(post, self._settled(post, state))

    async def delete(self, post: Post) -> Outcome | Unsupported:
        """``DELETE`` of the post, where the provider allows it."""
        if not self._dialect.can_delete:
            return await super().delete(post)
        return await self._api.repeat("DELETE", f"/{segment(post.target)}", graph_done)

    async def find(self, post: Post) -> Outcome:
        """The account's newest posts, searched for our code."""
        path = f"{self._dialect.posts}?fields=id,{self._dialect.text},timestamp,permalink&limit=25"
        return await self._api.repeat("GET", path, partial(_found, code=post.code, text=self._dialect.text))

    async def probe(self) -> Outcome:
        """What is left of the day's posts; only a token that may publish is told."""
        ready = await self._api.repeat("GET", f"{self._dialect.quota}?fields=quota_usage,config", _ready)
        return await self._life.of(ready) if self._life else ready

    async def _make(self, post: Post) -> Outcome:
        try:
            fields = await self._fields(post)
        except NoCard as error:
            return error.outcome
        return await self._api.repeat("POST", self._dialect.posts, _made, fields)

    async def _fields(self, post: Post) -> dict[str, str]:
        """With the card where one is wanted and there; raises `NoCard` where nothing can be posted without."""
        cards, bare = self._cards, self._dialect.bare
        if bare is None:
            return self._dialect.carded(post, await (cards or NoCards()).of(post, Shape.PORTRAIT))
        wanted = cards is not None and self._shown.get(post.key, True)
        card = await card_or_none(cards, post, Shape.PORTRAIT) if cards and wanted else None
        if card is None:
            return bare(post)
        _kept(self._shown, post.key, value=True)
        return self._dialect.carded(post, card)

    async def _state(self, container: str) -> Outcome:
        path = f"/{segment(container)}?fields={self._dialect.state},{self._dialect.why}"
        return await self._api.repeat("GET", path, partial(_state, dialect=self._dialect))

    async def _known(self, post: Post) -> Outcome:
        """The container was published by an earlier attempt: which post it became."""
        found = await self.find(post)
        if found.result is Result.ABSENT:
            detail = "published by an earlier attempt, but not listed yet"
            return Outcome(result=Result.TEMPORARY, reason=Reason.SERVER_ERROR, detail=detail)
        return self._settled(post, found) if found.result is Result.VISIBLE else found

    def _without_card(self, post: Post, outcome: Outcome) -> Outcome:
        """``outcome``; where it is a refusal that may be about the card, the next try goes without."""
        refused = (outcome.result, outcome.reason) == (Result.PERMANENT, Reason.REJECTED)
        if not refused or not self._shown.get(post.key):
            return outcome
        self._shown[post.key] = False
        return replace(outcome, result=Result.TEMPORARY, detail=f"{outcome.detail}; the next try goes without the card")

    def _settled(self, post: Post, outcome: Outcome) -> Outcome:
        """``outcome``; its container is forgotten unless another try will need it. ABSENT asks for a new one."""
        if outcome.result not in (Result.TEMPORARY, Result.IN_DOUBT):
            self._made.pop(post.key, None)
        return replace(outcome, result=Result.TEMPORARY) if outcome.result is Result.ABSENT else outcome


def _kept(memory: dict[str, _T], key: str, value: _T) -> _T:
    """``value``, kept under ``key``; the oldest make room."""
    while len(memory) >= _MOST_KEPT and key not in memory:
        del memory[next(iter(memory))]
    memory[key] = value
    return value


def _made(answer: Answer) -> Outcome:
    if refused := graph_refusal(answer):
        return refused
    made = accepted(answer, answer.json_object().get("id"))
    return replace(made, result=Result.READY) if made.result is Result.ACCEPTED else made


def _out(answer: Answer) -> Outcome:
    """A service error at the last step may have come after the publication."""
    outcome = graph_refusal(answer) or accepted(answer, answer.json_object().get("id"))
    return replace(outcome, result=Result.IN_DOUBT) if outcome.reason is Reason.SERVER_ERROR else outcome


def _state(answer: Answer, dialect: Dialect) -> Outcome:
    """READY to be published, VISIBLE already, ABSENT where a new container is needed, or why not."""
    if refused := graph_refusal(answer):
        unknown = refused.reason is Reason.REJECTED
        return replace(refused, result=Result.ABSENT, reason=Reason.SERVER_ERROR) if unknown else refused
    said = answer.json_object()
    state, why = str(said.get(dialect.state)), str(said.get(dialect.why) or "UNKNOWN")
    if state in ("FINISHED", "PUBLISHED"):
        return Outcome(result=Result.READY if state == "FINISHED" else Result.VISIBLE)
    if state == "IN_PROGRESS":
        detail = "the container is still being made"
        return Outcome(result=Result.TEMPORARY, reason=Reason.SERVER_ERROR, detail=detail)
    if state == "EXPIRED":
        return Outcome(result=Result.ABSENT, reason=Reason.SERVER_ERROR, detail="the container is over")
    return _broken(why) if state == "ERROR" else undocumented(answer)


def _broken(why: str) -> Outcome:
    """A container that came to nothing: a new one may help, or the image and the text are refused."""
    code = _SUBCODE.search(why)
    result, reason = SUBCODES.get(int(code[0]) if code else 0, (Result.PERMANENT, Reason.REJECTED))
    if why == "UNKNOWN" or result is Result.TEMPORARY:
        result, reason = Result.ABSENT, Reason.SERVER_ERROR
    return Outcome(result=result, reason=reason, detail=f"the container failed: {why}")


def _found(answer: Answer, code: str, text: str) -> Outcome:
    def read(post: dict[str, Any]) -> Listed:
        """One post of the list."""
        return Listed(str(post.get("id", "")), str(post.get(text, "")), str(post.get("permalink", "")))

    return graph_refusal(answer) or find_in(answer, answer.json_object().get("data"), code, read)


def _ready(answer: Answer) -> Outcome:
    if refused := graph_refusal(answer):
        return refused
    rows = answer.json_object().get("data")
    row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    config, used = row.get("config"), row.get("quota_usage")
    total = config.get("quota_total") if isinstance(config, dict) else None
    if not isinstance(used, int) or not isinstance(total, int):
        return undocumented(answer)
    if used >= total:
        detail = f"the day's {total} posts are used up"
        return Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, detail=detail)
    return Outcome(result=Result.READY, detail=f"{used} of the day's {total} posts are used", left=total - used)
