"""The words that SMS providers are described in, and what their answers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from dispatcher.channels._api import text_of
from dispatcher.channels._recipients import discreet
from dispatcher.channels.http import Answer, Request, refusal
from dispatcher.model.delivery import Outcome, Reason, Result

Fates = Mapping[str, Outcome]
Table = Mapping[str, tuple[Result, Reason, str]]


@dataclass(frozen=True, slots=True)
class Login:
    """Where a provider is and who we are there."""

    base: str
    token: str
    account: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One text and what the provider has to know about it; ``minutes`` is how long it is worth delivering."""

    sender: str
    text: str
    key: str
    minutes: int


@dataclass(frozen=True, slots=True)
class Page:
    """Ids by number of what a provider took, and the path of the next page where there is one."""

    taken: Mapping[str, str]
    next: str = ""


class Provider(ABC):
    """What differs between providers. Numbers are E.164 with a plus sign."""

    base: ClassVar[str] = ""  # where all of its customers call
    chunk: ClassVar[int] = 100  # numbers in one request
    probes: ClassVar[bool] = True  # whether it tells the credit
    finds: ClassVar[bool] = False  # whether it tells what it took
    balance: str = ""  # the path that tells the credit

    def __init__(self, login: Login) -> None:
        """``login`` is used for every request."""
        self.login = login

    @abstractmethod
    def request(self, message: Message, numbers: Sequence[str]) -> Request:
        """The request that sends ``message`` to ``numbers``."""

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """Who we are."""

    @abstractmethod
    def fates(self, answer: Answer, message: Message, numbers: Sequence[str]) -> Fates:
        """What an answer in 2xx means for each number that it speaks of."""

    def refused(self, answer: Answer) -> Outcome | None:
        """What an answer outside 2xx means for all of them."""
        return refusal(answer)

    def credit(self, answer: Answer) -> str:
        """The credit as the provider tells it; empty where it does not."""
        return text_of(answer.json_object().get("balance"))

    def searches(self, message: Message, numbers: Sequence[str], since: datetime) -> Iterator[str]:  # noqa: ARG002 - the port
        """Paths that list what was taken, where the provider can be asked."""
        return iter(())

    def listed(self, answer: Answer, code: str) -> Page | None:  # noqa: ARG002 - the port
        """What such a list says was taken; None where it is no list."""
        return None

    def post(self, path: str, data: Any) -> Request:
        """A request with a JSON body."""
        return Request.json("POST", self.login.base + path, data, self.headers())


def by_number(
    answer: Answer, rows: Any, field: str, judge: Callable[[Answer, dict[str, Any]], Outcome]
) -> dict[str, Outcome]:
    """Each row's fate by the number it names, which providers write without the plus sign."""
    return {f"+{digits(text_of(row.get(field)))}": judge(answer, row) for row in rows_of(rows)}


def named(table: Table, code: str) -> Outcome:
    """What ``table`` says about ``code``; a code that it does not know is a refusal."""
    result, reason, words = table.get(code, (Result.PERMANENT, Reason.REJECTED, "refused"))
    return Outcome(result=result, reason=reason, detail=f"{words} ({discreet(code)})" if code else words)


def rows_of(data: Any) -> Iterable[dict[str, Any]]:
    """The objects of a JSON list, none where it is no list."""
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def digits(number: str) -> str:
    """A number without its plus sign."""
    return number.removeprefix("+")
