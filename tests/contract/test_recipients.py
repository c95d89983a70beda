"""One post to many people: whom it is sent to, whom never again, and what the delivery is told."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from contract.kit import TOKEN
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.channels._recipients import ListSettings, Recipients, Said, Spread, discreet
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import Fenced

TAKEN = Outcome(result=Result.ACCEPTED, provider_id="id")
NO_SUCH = Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail="no such number")
NO_CREDIT = Outcome(result=Result.PERMANENT, reason=Reason.AUTH, detail="no credit left")
SLOW = Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, retry_after=timedelta(seconds=7))
LOST = Outcome(result=Result.IN_DOUBT, reason=Reason.NETWORK)
PEOPLE = [f"p{number}" for number in range(10)]


class Provider:
    """Answers each request by what it holds of the people named there; ``whole`` answers about all of them."""

    def __init__(self, fates: dict[str, Outcome] | None = None, whole: dict[str, Outcome] | None = None) -> None:
        """People in neither are accepted."""
        self.fates, self.whole, self.asked = fates or {}, whole or {}, list[list[str]]()

    async def __call__(self, chunk: Sequence[str]) -> Said:
        """One request."""
        self.asked.append(list(chunk))
        await asyncio.sleep(0)
        for who in chunk:
            if who in self.whole:
                return Said({}, self.whole[who])
        return Said({who: self.fates.get(who, TAKEN) for who in chunk}, LOST)

    @property
    def sent(self) -> list[str]:
        """Everyone asked for, as often as asked for."""
        return sorted(who for chunk in self.asked for who in chunk)


def _spread(chunk: int = 3, *, divides: bool = False) -> Spread:
    return Spread(chunk, 2, divides=divides)


async def test_everyone_is_sent_to_once_in_chunks() -> None:
    """A list goes out in chunks of the size asked for, and everyone accepted makes the delivery accepted."""
    provider = Provider()
    outcome = await _spread().send("k", PEOPLE, provider)
    assert [len(chunk) for chunk in provider.asked] == [3, 3, 3, 1]
    assert provider.sent == PEOPLE
    assert (outcome.result, outcome.provider_id, outcome.detail) == (Result.ACCEPTED, "id", "10 of 10 accepted")


async def test_a_lost_chunk_is_in_doubt_alone() -> None:
    """The delivery is in doubt where one chunk is; the next try goes to that chunk and to whom nobody was sent yet."""
    spread, provider = _spread(), Provider(whole={"p4": LOST})
    outcome = await spread.send("k", PEOPLE, provider)
    assert (outcome.result, outcome.reason) == (Result.IN_DOUBT, Reason.NETWORK)
    assert "3 of 10 in doubt" in outcome.detail
    taken = {who for chunk in provider.asked if "p4" not in chunk for who in chunk}
    again = Provider()
    assert (await spread.send("k", PEOPLE, again)).result is Result.ACCEPTED
    assert again.sent == sorted(set(PEOPLE) - taken)


@pytest.mark.parametrize(
    ("fates", "result", "reason"),
    [
        ({"p0": NO_SUCH}, Result.ACCEPTED, None),
        (dict.fromkeys(PEOPLE, NO_SUCH), Result.PERMANENT, Reason.REJECTED),
        (dict.fromkeys(PEOPLE, NO_CREDIT), Result.PERMANENT, Reason.AUTH),
        ({"p9": NO_CREDIT}, Result.IN_DOUBT, Reason.AUTH),
        ({"p9": SLOW}, Result.IN_DOUBT, Reason.RATE_LIMITED),
        (dict.fromkeys(PEOPLE, SLOW), Result.TEMPORARY, Reason.RATE_LIMITED),
        ({"p0": LOST, "p9": NO_SUCH}, Result.IN_DOUBT, Reason.NETWORK),
    ],
)
async def test_the_worst_fate_decides_within_the_truth(
    fates: dict[str, Outcome], result: Result, reason: Reason | None
) -> None:
    """Who was refused by name is counted; whatever else is missing keeps the delivery open, and nobody is forgotten."""
    outcome = await Spread(100, 1).send("k", PEOPLE, Provider(fates))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert outcome.retry_after == (timedelta(seconds=7) if SLOW in fates.values() else None)


async def test_a_refusal_for_all_stops_the_rest() -> None:
    """A provider that wants no more is not asked for every chunk, and who was not asked for may be tried again."""
    provider = Provider(whole=dict.fromkeys(PEOPLE, SLOW))
    outcome = await Spread(1, 1).send("k", PEOPLE, provider)
    assert len(provider.asked) == 1
    assert (outcome.result, outcome.detail) == (Result.TEMPORARY, "1 of 10 to be tried again, 9 of 10 unsent")


async def test_one_wrong_number_does_not_cost_the_others() -> None:
    """A chunk that is refused as a whole is divided until the wrong one stands alone; nobody else is sent it twice."""
    provider = Provider(whole={"p5": NO_SUCH})
    spread = _spread(10, divides=True)
    outcome = await spread.send("k", PEOPLE, provider)
    assert (outcome.result, outcome.detail) == (Result.ACCEPTED, "9 of 10 accepted, 1 of 10 refused: no such number")
    good = [who for chunk in provider.asked if "p5" not in chunk for who in chunk]
    assert sorted(good) == sorted(set(PEOPLE) - {"p5"})
    again = Provider()
    assert (await spread.send("k", PEOPLE, again)).result is Result.ACCEPTED
    assert again.asked == []


async def test_dividing_ends() -> None:
    """A text that nobody takes is refused after a bounded number of requests, for good."""
    people = [f"n{number}" for number in range(1000)]
    provider = Provider(whole=dict.fromkeys(people, NO_SUCH))
    outcome = await Spread(100, 4, divides=True).send("k", people, provider)
    assert outcome.result is Result.PERMANENT
    assert len(provider.asked) < 50


async def test_a_stop_within_the_list_is_no_lie() -> None:
    """A stop before anyone says that nothing left; a stop in the middle leaves a doubt, for some have read it."""

    async def stopped(_chunk: Sequence[str]) -> Said:
        raise Fenced("an end came first")

    with pytest.raises(Fenced):
        await _spread().send("k", PEOPLE, stopped)
    first = iter([Provider(), stopped, stopped])

    async def in_the_middle(chunk: Sequence[str]) -> Said:
        return await next(first)(chunk)

    outcome = await Spread(3, 1).send("k", PEOPLE, in_the_middle)
    assert (outcome.result, outcome.reason) == (Result.IN_DOUBT, Reason.CANCELLED)
    assert outcome.detail == "3 of 10 accepted, 7 of 10 unsent"


async def test_what_is_known_outlives_a_timeout() -> None:
    """An attempt that is cut off still knows whom it has reached, and they are not sent it again."""
    spread, hangs = Spread(5, 1), asyncio.Event()
    answered = asyncio.Event()

    async def speak(chunk: Sequence[str]) -> Said:
        if "p0" not in chunk:
            answered.set()
            await hangs.wait()
        return Said({}, TAKEN)

    task = asyncio.create_task(spread.send("k", PEOPLE, speak))
    await answered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = Provider()
    assert (await spread.send("k", PEOPLE, again)).result is Result.ACCEPTED
    assert again.sent == PEOPLE[5:]


async def test_posts_are_kept_apart_and_old_ones_forgotten() -> None:
    """What one post reached says nothing about another, and memory holds the newest posts only."""
    spread = _spread()
    for number in range(70):
        provider = Provider()
        await spread.send(f"k{number}", PEOPLE, provider)
        assert provider.sent == PEOPLE
    newest, oldest = Provider(), Provider()
    await spread.send("k69", PEOPLE, newest)
    await spread.send("k0", PEOPLE, oldest)
    assert (newest.sent, oldest.sent) == ([], PEOPLE)


async def test_who_was_refused_may_be_tried_again_by_a_person() -> None:
    """Where nobody was accepted, sending again asks for everyone again."""
    spread = _spread(10)
    await spread.send("k", PEOPLE, Provider(dict.fromkeys(PEOPLE, NO_SUCH)))
    again = Provider()
    assert (await spread.send("k", PEOPLE, again)).result is Result.ACCEPTED


FATES = st.sampled_from([TAKEN, NO_SUCH, NO_CREDIT, SLOW, LOST])


@given(st.lists(st.lists(FATES, min_size=10, max_size=10), min_size=1, max_size=4), st.integers(1, 10), st.booleans())
def test_nobody_accepted_hears_it_twice(nights: list[list[Outcome]], chunk: int, divides: bool) -> None:
    """Whatever providers answer, over several attempts: one acceptance for each person, and no outcome that denies it."""
    spread, taken = Spread(chunk, 3, divides=divides), set[str]()

    async def night(fates: list[Outcome]) -> None:
        provider = Provider(dict(zip(PEOPLE, fates, strict=True)))
        outcome = await spread.send("k", PEOPLE, provider)
        assert taken.isdisjoint(provider.sent)
        taken.update(who for who in provider.sent if provider.fates[who] is TAKEN)
        if taken:
            assert outcome.result in (Result.ACCEPTED, Result.IN_DOUBT)
        else:
            assert outcome.result is not Result.ACCEPTED

    for fates in nights:
        asyncio.run(night(fates))


def _listed(file: Path) -> Recipients:
    return Recipients(ListSettings(recipients_file=file, credential=TOKEN), re.compile(r"\+\d+"))


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """Remarks and repetitions are left out, a change counts for the next post, and a broken change counts for none."""
    file = tmp_path / "numbers.txt"
    file.write_text("# duty\n+491 # night\n\n+492\n+491\n")
    recipients = _listed(file)
    assert recipients.current() == ("+491", "+492")
    for text, expected in (("+493\n", ("+493",)), ("+493\nanna\n", ("+493",)), ("+494", ("+494",))):
        before = file.stat().st_mtime_ns
        file.write_text(text)
        os.utime(file, ns=(before + 10**9, before + 10**9))
        assert recipients.current() == expected
    file.unlink()
    assert recipients.current() == ("+494",)


@pytest.mark.parametrize(("text", "said"), [("+491\nanna@leer.example\n", "line 2"), ("# nobody\n", "lists 0")])
def test_a_list_that_is_none_is_refused_and_names_nobody(tmp_path: Path, text: str, said: str) -> None:
    """A file without recipients, or with something else in it, fails at the start with its line and not with its words."""
    file = tmp_path / "numbers.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as raised:
        _listed(file)
    assert "anna" not in str(raised.value)


@pytest.mark.parametrize("given_", [{}, {"recipients": ["a"], "recipients_file": "b"}])
def test_a_list_stands_in_one_place(given_: dict[str, object]) -> None:
    """No list, or two of them, is an error in the settings."""
    with pytest.raises(ValueError, match="one of them"):
        ListSettings(credential=TOKEN, **given_)


def test_people_stay_out_of_details() -> None:
    """Numbers and addresses that a provider repeats are left out of what is journaled; codes stay."""
    said = "5.1.1 <anna@leer.example>: no such user; +49 170 1234567 is wrong (21211), to=4917012345678"
    assert discreet(said) == "5.1.1 <…>: no such user; … is wrong (21211), to=…"
