"""What the permits make of an origin's answers: slots, breaker, budget of retries, rates."""

from __future__ import annotations

import random

import pytest
from house import channel, delivery

from dispatcher.model.channel import ChannelId, ChannelProfile, Rate
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.permits import Grant, Permits
from dispatcher.permits.origin import IN_A_ROW, MOST_SLOTS, PROBE_FIRST, PROBE_MOST, RETRIES

PAGES = tuple(channel(f"page-{n}", origin="one") for n in range(4))
TAKEN = Outcome(result=Result.ACCEPTED)
SILENCE = Outcome(result=Result.IN_DOUBT, reason=Reason.TIMEOUT)


class Scene:
    """Permits on a clock that is pushed, for an origin that several channels share."""

    def __init__(self, **changes: object) -> None:
        self.time = 100.0
        self.permits = Permits(monotonic=lambda: self.time, rng=random.Random(7), shared=lambda _: True, **changes)
        self._number = 0

    def take(self, page: ChannelProfile = PAGES[0], rank: int = 3, attempts: int = 0, alert: str = "") -> Grant:
        """Ask for a delivery of an incident of its own."""
        self._number += 1
        asked = delivery(
            channel=page.id,
            incident=f"i{self._number}",
            rank=rank,
            attempts=attempts,
            alert=alert or f"a{self._number}",
        )
        self.latest = asked
        return self.permits.take(asked, page)

    def learn(self, *outcomes: Outcome, pages: tuple[ChannelProfile, ...] = PAGES) -> None:
        """Let attempts end, one page after another."""
        for number, outcome in enumerate(outcomes):
            page = pages[number % len(pages)]
            self.permits.learn(page.id, page, outcome)

    def down(self) -> bool:
        """Whether a retry is refused because the origin does not answer."""
        return self.take(attempts=1) is Grant.DOWN


def test_a_row_of_failures_opens_the_breaker_and_one_answer_closes_it() -> None:
    """After five failures in a row retries wait for a probe; the first answer lets everybody go and says so once."""
    scene = Scene()
    scene.learn(*[SILENCE] * (IN_A_ROW - 1), TAKEN, *[SILENCE] * (IN_A_ROW - 1))
    assert not scene.down()
    scene.learn(SILENCE)
    assert scene.down()
    assert scene.permits.healed() == set()
    scene.learn(TAKEN)
    assert not scene.down()
    assert (scene.permits.healed(), scene.permits.healed()) == ({"one"}, set())


def test_half_of_twenty_open_the_breaker_as_well() -> None:
    """An origin that answers every other time is given a rest too."""
    scene = Scene()
    scene.learn(*[TAKEN, SILENCE] * 9, TAKEN)
    assert not scene.down()
    scene.learn(SILENCE)
    assert scene.down()


def test_one_channel_alone_says_nothing_about_an_origin_that_others_share() -> None:
    """However often one account fails, its neighbours go on; an origin with a single channel rests all the same."""
    scene = Scene()
    scene.learn(*[SILENCE] * 30, pages=PAGES[:1])
    assert not scene.down()
    scene.permits.shared = lambda _: False
    scene.learn(SILENCE, pages=PAGES[:1])
    assert scene.down()


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(result=Result.PERMANENT, reason=Reason.REJECTED),
        Outcome(result=Result.PERMANENT, reason=Reason.AUTH),
        Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED),
        Outcome(result=Result.NEVER_LEFT, reason=Reason.CANCELLED),
        Outcome(result=Result.PERMANENT, reason=Reason.INTERNAL),
        Outcome(result=Result.BY_HAND),
    ],
    ids=lambda outcome: f"{outcome.result}-{outcome.reason}",
)
def test_a_refusal_is_an_answer(outcome: Outcome) -> None:
    """Whoever refuses is there, and what never left says nothing: neither opens a breaker."""
    scene = Scene()
    scene.learn(*[outcome] * 30)
    assert not scene.down()


def test_probes_become_rarer_and_never_stop() -> None:
    """A silent origin is tried every three quarters of a second, after half a minute ever more rarely, down to 15 s."""
    scene = Scene()
    scene.learn(*[SILENCE] * IN_A_ROW)
    began, probes = scene.time, []
    while scene.time < began + 600:
        scene.time += 0.05
        if scene.take(attempts=1) is Grant.YES:
            scene.permits.give_back(scene.latest)
            probes.append(scene.time - began)
            scene.permits.learn(PAGES[0].id, PAGES[0], SILENCE)
    assert 30 / PROBE_FIRST <= sum(at < 30 for at in probes) <= 1.25 * 30 / PROBE_FIRST
    assert 12 <= probes[-1] - probes[-2] <= PROBE_MOST
    assert len(probes) <= 100
    assert 0 < scene.permits.probe_in(PAGES[0]) <= PROBE_MOST


def test_a_new_alert_may_try_once_although_the_breaker_is_open() -> None:
    """The first attempt of an alert does not wait for a probe; the alert's other channels and its retries do."""
    scene = Scene()
    scene.learn(*[SILENCE] * IN_A_ROW)
    assert scene.take(alert="new") is Grant.YES
    assert scene.take(PAGES[1], alert="new") is Grant.DOWN
    assert scene.take(attempts=1, alert="other") is Grant.DOWN
    assert scene.take(alert="another") is Grant.YES


def test_a_channel_has_a_quarter_and_the_top_ranks_another() -> None:
    """No channel takes more than a quarter of a shared origin, and a quarter of everything is left for the top ranks."""
    scene = Scene(origin_slots=64)
    usual = [scene.take() for _ in range(13)]
    assert usual == [Grant.YES] * 12 + [Grant.CHANNEL]
    assert [scene.take(rank=2) for _ in range(5)] == [Grant.YES] * 4 + [Grant.CHANNEL]
    assert [scene.take(page) for page in PAGES[1:] for _ in range(11)] == [Grant.YES] * 32 + [Grant.ORIGIN]
    assert scene.take(PAGES[1], rank=2) is Grant.YES


def test_slots_grow_with_answers_and_fall_back_when_all_is_quiet() -> None:
    """Who answers is given more at once, up to a limit; when nothing is on its way the next burst begins as the first."""
    scene = Scene(origin_slots=4)
    first = delivery(channel=PAGES[0].id)
    scene.permits.take(first, PAGES[0])
    origin = scene.permits._origins["one"]
    scene.learn(*[TAKEN] * 10)
    assert origin.slots == 14
    scene.learn(*[TAKEN] * 1000)
    assert origin.slots == MOST_SLOTS
    scene.permits.give_back(first)
    assert origin.slots == 4


def test_retries_at_a_crowded_origin_have_a_budget() -> None:
    """Fifty retries in a row, then one for each that was answered or each five seconds; ends and first attempts go on."""
    scene = Scene(origin_slots=10_000, all_slots=10_000, crowded=frozenset({"one"}))
    scene.permits.shared = lambda _: False
    assert [scene.take(attempts=1) for _ in range(51)] == [Grant.YES] * int(RETRIES) + [Grant.BUDGET]
    assert (scene.take(), scene.take(attempts=1, rank=0)) == (Grant.YES, Grant.YES)
    scene.time += 10.0
    assert [scene.take(attempts=1) for _ in range(2)] == [Grant.YES, Grant.BUDGET]
    scene.learn(TAKEN)
    assert scene.take(attempts=1) is Grant.YES
    scene.permits.crowded = frozenset()
    assert scene.take(attempts=1) is Grant.YES


def test_a_rate_holds_in_every_span_of_its_length() -> None:
    """However it is asked, no more than the rate leaves in any span; a fifth of it only for the top ranks."""
    scene = Scene()
    limited = channel("limited", rate=Rate(5, 10.0))
    assert [scene.take(limited) for _ in range(5)] == [Grant.YES] * 4 + [Grant.RATE]
    scene.time += 1
    assert [scene.take(limited, rank=2) for _ in range(2)] == [Grant.YES, Grant.RATE]
    assert (scene.permits.rate_in(limited, 2), scene.permits.rate_in(limited, 3)) == (9.0, 9.0)
    scene.time += 9.0
    assert scene.take(limited, rank=2) is Grant.YES
    assert scene.permits.rate_in(ChannelProfile(id=ChannelId("free"), kind="x", title="", limit=limited.limit), 3) == 0
