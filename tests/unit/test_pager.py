"""What waits for people is paged again and again, up the escalation list, until somebody has decided."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from unit.house import CHANNELS, NOW, Road, always, channel, deployment, moment, playbook, road

from dispatcher.journal import queries, standing
from dispatcher.links import SignedLinks
from dispatcher.model.alert import Purpose
from dispatcher.model.cap import RegionId
from dispatcher.model.channel import Audience, ChannelId
from dispatcher.model.command import BreakGlass, Confirm, Reject, Release, Renew, Scope, Stop
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.people import Person, Roster
from dispatcher.pager import Pager
from dispatcher.plan.pages import Deed, Offer
from dispatcher.plan.reminders import by_hand_step, held_step

CHIEF, HEAD = channel("chief", audience=Audience.STAFF), channel("head", audience=Audience.STAFF)
ROSTER = Roster(
    people={
        "anna": Person(name="anna", channels=(ChannelId("duty-team"),)),
        "ben": Person(name="ben", channels=(ChannelId("chief"),)),
        "cleo": Person(name="cleo", channels=(ChannelId("head"),)),
    },
    duty=("anna",), escalation=("ben", "cleo"),
)  # fmt: skip
WHERE = deployment(playbook(release="two_persons"), channels=(*CHANNELS, CHIEF, HEAD), roster=ROSTER)


async def page(found: Road, pager: Pager, seen: list[int]) -> None:
    """Let the pager see what is new in the log, and page what is due."""
    facts = await found.journal.read(partial(queries.facts_after, seq=seen[-1], limit=10_000))
    if facts:
        seen.append(facts[-1].seq)
        await pager(facts)
    await pager.page()
    await found.quiet()


async def causes(found: Road) -> Counter[str]:
    """How often staff were called, by cause."""
    return Counter(await found.pages())


@pytest.mark.parametrize(
    ("seconds", "step"), [(0, 0), (29, 0), (30, 1), (59, 1), (60, 2), (119, 2), (120, 3), (3600, 61)]
)
def test_the_rhythm_of_a_held_alert(seconds: int, step: int) -> None:
    """At once, after 30 and 60 seconds, then each minute, without end."""
    assert held_step(timedelta(seconds=seconds)) == step


@pytest.mark.parametrize(("seconds", "step"), [(0, 0), (119, 0), (120, 1), (299, 1), (300, 2), (599, 2), (600, 3)])
def test_the_rhythm_of_a_post_by_hand(seconds: int, step: int) -> None:
    """A reminder after two minutes, escalation after five, then every five."""
    assert by_hand_step(timedelta(seconds=seconds)) == step


async def test_a_renewed_request_calls_at_once(tmp_path: Path) -> None:
    """Whoever has a request composed anew is named in the log, and staff are called about the new one at once."""
    async with road(tmp_path, WHERE) as found:
        pager, seen = Pager(found.pipeline, found.journal, found.clock), [0]
        await found.receive()
        await page(found, pager, seen)
        old, _ = await found.held()
        await found.pipeline.command(Renew(person="ben", alert=old))
        await page(found, pager, seen)
        new = (await found.alerts())[1].alert
        said = found.fakes[ChannelId("duty-team")].posts[-1].text.body
        assert (new.code in said, "asked by ben" in said) == (True, True)
        assert "alert.renew_by" in await found.kinds()


async def test_a_held_alert_calls_further_and_further_up(tmp_path: Path) -> None:
    """Duty is called at once, the next of the list after 30 s, the one after that after 60 s, until it is released."""
    async with road(tmp_path, WHERE) as found:
        pager, seen = Pager(found.pipeline, found.journal, found.clock), [0]
        await found.receive()
        for _ in range(3):
            await page(found, pager, seen)
            found.push(timedelta(seconds=30))
        assert [len(found.said(name)) for name in ("duty-team", "chief", "head")] == [3, 2, 1]
        for person in ("anna", "ben"):
            alert, digest = await found.held()
            await found.pipeline.command(Release(person=person, alert=alert, digest=digest))
        for _ in range(3):
            found.push(timedelta(minutes=1))
            await page(found, pager, seen)
        assert await causes(found) == {"held": 3}


async def test_a_rejected_request_is_quiet(tmp_path: Path) -> None:
    """Whoever rejects an alert by name is not called about it any more."""
    async with road(tmp_path, WHERE) as found:
        pager, seen = Pager(found.pipeline, found.journal, found.clock), [0]
        await found.receive()
        alert, _ = await found.held()
        await found.pipeline.command(Reject(person="anna", alert=alert))
        found.push(timedelta(minutes=5))
        await page(found, pager, seen)
        assert await causes(found) == {"held": 1}


async def test_many_requests_are_one_call(tmp_path: Path) -> None:
    """Where more than twenty alerts wait, a call tells their number instead of ringing for each."""
    async with road(tmp_path, WHERE) as found:
        pager, seen = Pager(found.pipeline, found.journal, found.clock), [0]
        for number in range(21):
            await found.receive(id=str(number), incident=f"i{number}")
        found.push(timedelta(seconds=30))
        await page(found, pager, seen)
        assert "21 alerts wait" in found.fakes[ChannelId("duty-team")].posts[-1].text.body
        assert await causes(found) == {"held": 22}


async def test_a_lapsed_release_is_told(tmp_path: Path) -> None:
    """When the second person does not come, staff hear that the first consent is void."""
    async with road(tmp_path, WHERE) as found:
        pager, seen = Pager(found.pipeline, found.journal, found.clock), [0]
        await found.receive()
        alert, digest = await found.held()
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        found.push(timedelta(minutes=10))
        for _ in range(2):
            await page(found, pager, seen)
        assert (await causes(found))["lapsed"] == 1
        assert "given by anna" in found.fakes[ChannelId("duty-team")].posts[-1].text.body


async def test_what_a_crash_left_untold_is_told_after_it(tmp_path: Path) -> None:
    """A delivery fails, and the daemon dies before staff were called: they are called after the next start, once."""
    refused = Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail="403")
    async with road(tmp_path, website=always(refused)) as found:
        await found.journal.write(standing.called_until)
        await found.receive()
        await found.quiet()
    for _ in range(2):
        async with road(tmp_path) as found:
            seen = [await found.journal.write(standing.called_until)]
            await page(found, Pager(found.pipeline, found.journal, found.clock), seen)
            assert await causes(found) == {"failed": 1}


async def test_a_post_by_hand_is_called_for_until_it_is_confirmed(tmp_path: Path) -> None:
    """Posting by hand is asked for at once, after two minutes, after five further up; a confirmation ends it."""
    async with road(
        tmp_path, deployment(channels=(*CHANNELS, CHIEF), roster=ROSTER), website=always(Outcome(result=Result.BY_HAND))
    ) as found:
        pager, seen = Pager(found.pipeline, found.journal, found.clock), [0]
        await found.receive()
        await found.quiet()
        for minutes in (0, 2, 3):
            found.push(timedelta(minutes=minutes))
            await page(found, pager, seen)
        assert [len(found.said(name)) for name in ("duty-team", "chief")] == [3, 1]
        (task,) = [d for d in await found.deliveries() if d.channel == "website"]
        await found.pipeline.command(Confirm(person="anna", delivery=task.id))
        found.push(timedelta(minutes=5))
        await page(found, pager, seen)
        assert await causes(found) == {"by_hand": 3}


async def test_everybody_hears_of_a_broken_glass_and_of_a_stop(tmp_path: Path) -> None:
    """One person acting alone is told to the whole list, with the reason; a stop is told with its own."""
    async with road(tmp_path, WHERE) as found:
        pager, seen = Pager(found.pipeline, found.journal, found.clock), [0]
        await found.receive()
        alert, digest = await found.held()
        await found.pipeline.command(
            Release(person="anna", alert=alert, digest=digest, break_glass=BreakGlass.DANGER_TO_LIFE)
        )
        await found.quiet()
        await found.pipeline.command(Stop(person="ben", scope=Scope.ALL, ref="", reason="account stolen"))
        await page(found, pager, seen)
        assert await causes(found) == {"held": 1, "break_glass": 1, "stopped": 1}
        assert "danger_to_life" in found.fakes[ChannelId("head")].posts[-1].text.body
        assert "account stolen" in found.fakes[ChannelId("duty-team")].posts[-1].text.body


def test_regions_decide_who_of_duty_is_called() -> None:
    """A duty person with regions hears of those; what concerns none of them reaches all of duty rather than nobody."""
    people = {
        name: Person(name=name, channels=(ChannelId(name),), regions=frozenset({RegionId(region)}))
        for name, region in (("anna", "leer"), ("ben", "emden"))
    }
    roster, staff = Roster(people=people, duty=("anna", "ben")), (ChannelId("anna"), ChannelId("ben"))
    assert roster.channels_for(0, (RegionId("leer"),), staff) == ("anna",)
    assert roster.channels_for(0, (), staff) == roster.channels_for(0, (RegionId("aurich"),), staff) == staff
    assert roster.channels_for(0, (), (*staff, ChannelId("shared")))[-1] == "shared"
    assert Roster().channels_for(3, (), staff) == staff


def test_a_link_says_what_we_signed_and_nothing_else() -> None:
    """A link is read as it was made, for two hours; with one character changed, or another key, it is none."""
    links = SignedLinks("key", "https://console.example")
    offer = Offer(Deed.RELEASE, "a1", "digest")
    address = links.link(offer, "anna", NOW)
    base, _, token = address.rpartition("/")
    read = links.read(token, moment(119))
    assert (base, read and (read.offer, read.person)) == ("https://console.example/act", (offer, "anna"))
    assert links.read(token, moment(121)) is None
    assert links.read(token[:-1] + ("A" if token[-1] != "A" else "B"), NOW) is None
    assert SignedLinks("other").read(token, NOW) is None


async def test_a_page_carries_the_link_of_whoever_reads_it(tmp_path: Path) -> None:
    """On a person's own phone the link is theirs; on a shared one it is nobody's, and whoever clicks has to sign in."""
    roster = Roster(people={"ben": Person(name="ben", channels=(ChannelId("chief"),))}, duty=("ben",))
    where = deployment(playbook(release="one_person"), channels=(*CHANNELS, CHIEF), roster=roster)
    async with road(tmp_path, where) as found:
        links = found.pipeline.links = SignedLinks("key", "https://console.example")
        await found.receive()
        await found.quiet()
        people = {}
        for name in ("duty-team", "chief"):
            (post,) = found.fakes[ChannelId(name)].posts
            token = next(w for w in post.text.body.split() if w.startswith("https://console.example/act/"))
            offered = links.read(token.rpartition("/")[2], found.clock.now())
            people[name] = offered and (offered.person, offered.offer.deed)
        assert people == {"duty-team": ("", Deed.RELEASE), "chief": ("ben", Deed.RELEASE)}
        assert [p for p, _ in found.said("chief")] == [Purpose.PAGE]
