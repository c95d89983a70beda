"""What Meta's providers share: an error that says what went wrong in ``error.code``, and a wait named in minutes.

The HTTP status only counts where no code came. Source: developers.facebook.com, "Error handling", "Rate limiting";
Instagram Platform, "Error codes".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from dispatcher.channels._api import undocumented
from dispatcher.channels.http import Answer, bounded, refusal
from dispatcher.model.delivery import Outcome, Reason, Result

Class = tuple[Result, Reason]

_REJECTED: Class = (Result.PERMANENT, Reason.REJECTED)
_DENIED: Class = (Result.PERMANENT, Reason.AUTH)
_SLOW_DOWN: Class = (Result.TEMPORARY, Reason.RATE_LIMITED)
_BUSY: Class = (Result.TEMPORARY, Reason.SERVER_ERROR)
_DUPLICATE = 506  # the text equals the Page's latest post
_LIMITS = frozenset({4, 17, 32, 341, 613, 80001, 80002})
_PERMISSIONS = frozenset({3, 10, 102, 190, 368, *range(200, 300)})
_SERVICE = frozenset({1, 2})
SUBCODES: Mapping[int, Class] = {
    2207042: _SLOW_DOWN,  # the account's posts of a day are used up
    2207050: _DENIED,  # the account is restricted
    2207051: _DENIED,  # blocked as spam
    2207010: (Result.PERMANENT, Reason.TOO_LONG),
    2207004: _REJECTED, 2207005: _REJECTED, 2207009: _REJECTED, 2207023: _REJECTED, 2207052: _REJECTED,  # the image
    # A service error, an image that came too slowly, a container that is not ready, not known yet, or over.
    **dict.fromkeys((2207001, 2207003, 2207006, 2207008, 2207020, 2207027, 2207032), _BUSY),
}  # fmt: skip


def graph_refusal(answer: Answer) -> Outcome | None:
    """What an answer with an error, or with a status outside 2xx, means for a post; None for a success."""
    error = error_of(answer)
    if isinstance(error.get("code"), int):
        return _by_code(answer, error, error["code"])
    outcome = refusal(answer)
    # A 503 of an edge server does not say that the post was not taken.
    return replace(outcome, result=Result.IN_DOUBT) if outcome and answer.status >= 500 else outcome


def error_of(answer: Answer) -> dict[str, Any]:
    """The answer's error, empty where it has none."""
    error = answer.json_object().get("error")
    return error if isinstance(error, dict) else {}


def graph_done(answer: Answer) -> Outcome:
    """ACCEPTED where a change or a deletion was confirmed."""
    done = answer.json_object().get("success") is True
    return graph_refusal(answer) or (Outcome(result=Result.ACCEPTED) if done else undocumented(answer))


def _by_code(answer: Answer, error: dict[str, Any], code: int) -> Outcome:
    subcode = error.get("error_subcode", 0)
    known = SUBCODES.get(subcode) if isinstance(subcode, int) else None
    result, reason = known or _class_of(code, transient=error.get("is_transient") is True, status=answer.status)
    trace = error.get("fbtrace_id", "unknown")
    detail = f"error {code}/{subcode}: {error.get('message', '')} (trace {trace})"
    wait = regain(answer) if reason is Reason.RATE_LIMITED else None
    return Outcome(result=result, reason=reason, detail=detail, retry_after=wait or answer.retry_after)


def _class_of(code: int, *, transient: bool, status: int) -> Class:
    if code == _DUPLICATE:
        return Result.PERMANENT, Reason.DUPLICATE
    if code in _LIMITS:
        return _SLOW_DOWN
    if code in _PERMISSIONS:
        return _DENIED
    if status >= 500:
        return Result.IN_DOUBT, Reason.SERVER_ERROR
    return _BUSY if transient or code in _SERVICE else _REJECTED


def regain(answer: Answer) -> timedelta | None:
    """The longest ``estimated_time_to_regain_access`` (minutes) that the usage header names, or None."""
    usage = Answer(answer.status, {}, answer.headers.get("x-business-use-case-usage", "").encode()).json_object()
    minutes = max(_minutes(usage), default=0)
    return bounded(timedelta(minutes=min(minutes, 10_000))) if minutes > 0 else None


def _minutes(usage: dict[str, Any]) -> Iterator[int]:
    for limits in usage.values():
        for limit in limits if isinstance(limits, list) else ():
            wait = limit.get("estimated_time_to_regain_access") if isinstance(limit, dict) else None
            if isinstance(wait, int):
                yield wait
