"""What two people do at once, or to incidents that were joined, reloaded or restarted meanwhile: nothing gets lost between them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from unit.house import (
    CHANNELS,
    DOUBT,
    PERMANENT,
    Road,
    always,
    channel,
    deployment,
    event,
    in_turn,
    payload,
    playbook,
    road,
    speak,
    until,
)

from dispatcher.documents import read_yaml
from dispatcher.journal import queries, standing
from dispatcher.journal.standing import StopRow
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.channel import Audience, ChannelId, Power, TextLimit, Unit
from dispatcher.model.command import BreakGlass, Join, Release, Renew, Resend, Resume, Retract, Scope, Speak, Stop
from dispatcher.model.delivery import IncidentId, Outcome, Result, Verb
from dispatcher.model.errors import CommandError, Conflict
from dispatcher.model.source import Source
from dispatcher.pager import Pager
from dispatcher.settings.people import PeopleFile, load_people
from dispatcher.watch import Watch

STOP = Stop(person="anna", scope=Scope.ALL, ref="", reason="false text")
BY_HAND = Outcome(result=Result.BY_HAND)


def join(incident: str = "i2", into: str = "i1", key: str = "k") -> Join:
    """Anna finds that the two are one."""
    return Join(person="anna", incident=IncidentId(incident), into=IncidentId(into), key=key)


async def two_incidents(found: Road) -> None:
    """Two reports, each an incident of its own, both said."""
    await found.receive()
    await found.receive(id="2", incident="i2")
    await found.quiet()


async def end(found: Road, purpose: Purpose = Purpose.ALL_CLEAR, **changes: object) -> None:
    """Anna ends the first incident."""
    await found.pipeline.command(speak(purpose, key="end", **changes))
    await found.quiet()


async def test_an_incident_is_not_joined_with_itself(tmp_path: Path) -> None:
    """Joining an incident with itself is refused, and later events of it are taken in as before."""
    async with road(tmp_path) as found:
        await found.receive()
        async with asyncio.timeout(5):
            with pytest.raises(Conflict):
                await found.pipeline.command(join("i1", "i1"))
            assert (await found.receive(id="2", msg_type="update")).state == "journaled"


async def test_a_joined_incident_is_not_joined_again(tmp_path: Path) -> None:
    """What is part of one incident is not made part of another; the answer names the one that it belongs to."""
    async with road(tmp_path) as found:
        await two_incidents(found)
        await found.receive(id="3", incident="i3")
        await found.pipeline.command(join())
        for wrong in (join("i2", "i3", "k2"), join("i3", "i2", "k3")):
            with pytest.raises(Conflict, match=r"i2 is part of i1|i2 is not open"):
                await found.pipeline.command(wrong)


async def test_an_end_from_before_a_join_ends_its_own_incident_only(tmp_path: Path) -> None:
    """Where one incident left a channel behind and was then joined into one that goes on there, its end is said there."""
    async with road(tmp_path) as found:
        for name in ("i1", "i2"):
            await found.receive(id=name, incident=name, area={"regions": ["leer", "emden"]})
        await found.receive(id="3", incident="i2", msg_type="update", area={"regions": ["emden"]})
        (left,) = [record for record in await found.alerts("i2") if record.state == "held"]
        await found.pipeline.command(Release(person="anna", alert=left.alert.id, digest=left.digest))
        await found.quiet()
        await found.pipeline.command(join())
        await end(found)
        purposes = [purpose for purpose, incident in found.said("facebook-leer") if incident == "i1"]
        assert purposes == [Purpose.ALERT, Purpose.ALL_CLEAR]


async def test_a_stop_and_a_resume_at_once_agree(tmp_path: Path) -> None:
    """Whichever of a stop and a resume is last, what stands on disk is what holds: no stop is only written."""
    async with road(tmp_path, inline=False) as found:
        for _ in range(20):
            await found.pipeline.command(STOP)
            lift = Resume(person="anna", scope=Scope.ALL, ref="", break_glass=BreakGlass.SYSTEM_FAILURE)
            await asyncio.gather(*(found.pipeline.command(one) for one in (lift, replace(STOP, person="ben"))))
            assert bool(await found.journal.read(standing.stops)) is bool(found.fence._stops)


async def test_a_joined_text_stays_behind_the_end_after_a_restart(tmp_path: Path) -> None:
    """What an incident still had to say when it was joined does not leave after a restart, nor by hand."""
    gate = asyncio.Event()

    async def hang(_: Post) -> Outcome:
        await gate.wait()
        return Outcome(result=Result.ACCEPTED)

    async with road(tmp_path, website=hang, facebook_leer=always(PERMANENT)) as found:
        await found.receive()
        await found.receive(id="2", incident="i2")
        await until(lambda: len(found.said("website")) == 2)
        await found.pipeline.command(join())
        found.fakes[ChannelId("website")].handler = None
        await found.pipeline.command(speak(Purpose.ALL_CLEAR))
    async with road(tmp_path) as found:
        await found.push_until_quiet()
        assert ("alert", "i2") not in found.said("website")
        [failed] = [d for d in await found.deliveries(incident="i2") if d.channel == "facebook-leer"]
        with pytest.raises(Conflict, match="ended"):
            await found.pipeline.command(Resend(person="anna", delivery=failed.id))


async def test_joining_says_what_is_new_or_does_nothing(tmp_path: Path) -> None:
    """A join reaches the second report's region in the same transaction, even where the text would like more facts."""
    facts = {"gate": {"type": "text", "sample": "Nord", "required": True}}
    book = playbook(facts=facts, same_within="15m", release="one_person")
    async with road(tmp_path, deployment(book)) as found:
        await found.receive("operator:anna", facts={"gate": "Nord"})
        await found.receive(id="2", incident="i2", area={"regions": ["emden"]})
        await found.pipeline.command(join())
        await found.quiet()
        assert found.said("facebook-emden") == [(Purpose.UPDATE, "i1")]
        alert, _ = await found.held()
        await found.pipeline.command(Retract(person="anna", alert=alert, key="r"))
        await found.quiet()
        assert found.said("facebook-emden")[-1] == (Purpose.FALSE_ALARM, "i1")


async def test_commands_follow_a_joined_incident_home(tmp_path: Path) -> None:
    """Stopping, speaking and reopening under the old name concern the incident that speaks for both."""
    async with road(tmp_path) as found:
        await two_incidents(found)
        await found.pipeline.command(join())
        await found.quiet()
        await found.pipeline.command(speak(Purpose.UPDATE, incident=IncidentId("i2"), key="u"))
        await found.quiet()
        assert found.said("website")[-1] == (Purpose.UPDATE, "i1")
        await found.pipeline.command(replace(STOP, scope=Scope.INCIDENT, ref="i2"))
        before = len(found.said("website"))
        await found.receive(id="3", incident="i2", msg_type="update")
        assert len(found.said("website")) == before
        assert [row.ref for row in await found.journal.read(standing.stops)] == ["i1"]


async def test_a_stopped_incident_is_not_joined(tmp_path: Path) -> None:
    """Its stop would be lost with it, so the join is refused, with what to do first; then both are one."""
    async with road(tmp_path) as found:
        await two_incidents(found)
        await found.pipeline.command(replace(STOP, scope=Scope.INCIDENT, ref="i2"))
        with pytest.raises(Conflict, match="i2 is stopped: resume it"):
            await found.pipeline.command(join())
        await found.pipeline.command(
            Resume(person="anna", scope=Scope.INCIDENT, ref="i2", break_glass=BreakGlass.SYSTEM_FAILURE)
        )
        await found.pipeline.command(join())
        await found.receive(id="3", incident="i2", msg_type="update")
        await found.quiet()
        assert found.said("website")[-1] == (Purpose.UPDATE, "i1")


async def test_a_stop_that_comes_too_late_for_its_incident_says_so(tmp_path: Path) -> None:
    """A stop that is written just after its incident was joined into another does not pretend to hold anything."""
    async with road(tmp_path) as found:
        await two_incidents(found)
        await found.pipeline.command(join())
        late = StopRow(Scope.INCIDENT, "i2", "anna", "wrong place", found.clock.now())
        with pytest.raises(Conflict, match="part of i1: stop that one"):
            await found.journal.write(partial(standing.write_stop, stop=late))


async def test_an_end_whose_number_another_incident_took_ends_nothing(tmp_path: Path) -> None:
    """Two events with one id at once: the one that is written second is a conflict, and its incident goes on everywhere."""
    by_itself = deployment(playbook(severity="moderate", all_clear="automatic"))
    async with road(tmp_path, by_itself) as found:
        await found.receive()
        await found.quiet()
        found.journal.opened.clear()
        first = asyncio.create_task(found.receive(id="9", incident="i2"))
        await until(lambda: found.journal.waiting == 1)
        second = asyncio.create_task(found.receive(id="9", msg_type="cancel"))
        await until(lambda: found.journal.waiting == 2)
        assert found.pipeline.decisions.means.fence._revisions
        found.journal.open()
        assert [(await first).state, (await second).state] == ["journaled", "conflict"]
        assert not found.pipeline.decisions.means.fence._revisions


async def test_what_was_taken_out_is_still_ended(tmp_path: Path) -> None:
    """A channel and a playbook that a reload takes out still carry the end of what they began."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        rest = tuple(c for c in CHANNELS if c.id != "facebook-leer")
        found.pipeline.setup.replace(
            deployment(playbook("fire"), channels=rest), {c.id: found.fakes[c.id] for c in rest}
        )
        await end(found)
        assert [purpose for purpose, _ in found.said("facebook-leer")] == [Purpose.ALERT, Purpose.ALL_CLEAR]


async def test_an_end_that_reaches_nobody_any_more_is_paged(tmp_path: Path) -> None:
    """A channel that is not configured after a restart gets no end: staff are told which."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
    rest = tuple(c for c in CHANNELS if c.id != "facebook-leer")
    async with road(tmp_path, deployment(channels=rest)) as found:
        await end(found)
        pager = Pager(found.pipeline, found.journal, found.clock)
        await pager(await found.journal.read(partial(queries.facts_after, seq=0)))
        await pager.page()
        await found.quiet()
        assert (
            "facebook-leer" in [p.text.body for p in found.fakes["duty-team"].posts if "No channel" in p.text.body][-1]
        )


@pytest.mark.parametrize("by_event", [False, True])
async def test_the_area_of_a_held_update_comes_with_its_release(by_event: bool, tmp_path: Path) -> None:
    """Where two must agree to a smaller area, nobody is left behind before they have, and the area holds after."""
    async with road(tmp_path, deployment(playbook(release="two_persons"))) as found:
        await found.receive("operator:anna", area={"regions": ["leer", "emden"]})
        await _second(found, 0)
        if by_event:
            await found.receive("operator:anna", id="2", msg_type="update", area={"regions": ["leer"]})
        else:
            await found.pipeline.command(speak(Purpose.UPDATE, regions=("leer",), key="u1"))
        await found.quiet()
        assert found.said("facebook-emden") == [(Purpose.ALERT, "i1")]
        for record in [r for r in await found.alerts() if r.state == "held"]:
            await found.pipeline.command(Release(person="ben", alert=record.alert.id, digest=record.digest))
        await found.quiet()
        assert found.said("facebook-emden")[-1] == (Purpose.ALL_CLEAR, "i1")
        assert (await found.pipeline.decisions.means.history(IncidentId("i1"))).regions == ("leer",)
        await found.pipeline.command(speak(Purpose.UPDATE, key="u2"))
        await _second(found, -1)
        assert found.said("facebook-emden")[-1] == (Purpose.ALL_CLEAR, "i1")


async def _second(found: Road, at: int) -> None:
    alert, digest = await found.held(at)
    await found.pipeline.command(Release(person="ben", alert=alert, digest=digest))
    await found.quiet()


async def test_what_hands_may_have_posted_gets_its_end(tmp_path: Path) -> None:
    """A post that waited for hands when its incident was joined counts as perhaps made: its channel hears the end."""
    where = deployment(
        playbook("amok", channels={"only": ["website"]}), playbook("bomb"), channels=(*CHANNELS, channel("desk"))
    )
    async with road(tmp_path, where, desk=always(BY_HAND)) as found:
        await found.receive()
        await found.receive(id="2", incident="i2", kind="bomb")
        await found.quiet()
        await found.pipeline.command(join())
        await end(found)
        assert found.said("desk")[-1] == (Purpose.ALL_CLEAR, "i1")


@pytest.mark.parametrize("outcome", [DOUBT, BY_HAND])
async def test_what_may_be_out_is_corrected(outcome: Outcome, tmp_path: Path) -> None:
    """After a false alarm a post that is in doubt, or waits for hands, is changed or listed like one that is out."""
    where = deployment(channels=tuple(replace(c, powers=frozenset({Power.EDIT})) for c in CHANNELS))
    async with road(tmp_path, where, website=in_turn(outcome)) as found:
        await found.receive()
        await until(lambda: found.said("website") != [])
        await until(lambda: not found.worker._under_way)
        await found.pipeline.command(speak(Purpose.FALSE_ALARM))
        await found.push_until_quiet()
        assert "website" in {d.channel for d in await found.edits() if d.verb is Verb.EDIT}


async def test_a_renewed_update_keeps_its_facts(tmp_path: Path) -> None:
    """What a person said in a named update is said again when it is renewed."""
    texts = {"de": {"headline": "Treff", "long": "Treffpunkt {{ hall }}.", "short": "{{ hall }}"}}
    facts = {"hall": {"type": "text", "sample": "Halle", "required": True}}
    book = playbook(release="two_persons", updates={"meet": {"title": "x", "texts": texts, "facts": facts}})
    async with road(tmp_path, deployment(book)) as found:
        await found.receive("operator:anna")
        await _second(found, 0)
        update = await found.pipeline.command(speak(Purpose.UPDATE, name="meet", facts={"hall": "Stadthalle"}))
        anew = await found.pipeline.command(Renew(person="anna", alert=update))
        [record] = [r for r in await found.alerts() if r.alert.id == anew]
        assert all("Stadthalle" in texts.follow_up.body for texts in record.alert.texts.values())


async def test_a_place_that_nobody_read_stays_back(tmp_path: Path) -> None:
    """A one-click end does not publish the place that the alert kept back; one that a person names is said."""
    where = deployment(playbook(public_place=False))
    for folder, place, told in (("a", "", False), ("b", "Hafen", True)):
        (tmp_path / folder).mkdir()
        async with road(tmp_path / folder, where) as found:
            await found.receive(place="Hafen")
            await found.quiet()
            await end(found, Purpose.FALSE_ALARM, place=place)
            assert ("Hafen" in found.fakes["website"].posts[-1].text.body) is told


async def test_a_milder_report_does_not_let_a_machine_end(tmp_path: Path) -> None:
    """An extreme incident stays extreme, whatever a machine reports later: its end waits for a person."""
    async with road(tmp_path, deployment(playbook(severity="moderate", all_clear="automatic"))) as found:
        await found.receive(severity="extreme")
        await found.receive(id="2", severity="minor")
        await found.receive(id="3", msg_type="cancel")
        await found.quiet()
        assert Purpose.ALL_CLEAR not in [purpose for purpose, _ in found.said("website")]
        assert (await found.alerts())[-1].state == "held"


async def test_permits_go_back_where_they_came_from(tmp_path: Path) -> None:
    """A channel that moves to another provider while it speaks gives its slot back to the old one."""
    gate = asyncio.Event()

    async def slow(_: Post) -> Outcome:
        await gate.wait()
        return Outcome(result=Result.ACCEPTED)

    moved = tuple(replace(c, origin="https://new.test") if c.id == "website" else c for c in CHANNELS)
    async with road(tmp_path, website=slow) as found:
        await found.receive()
        await until(lambda: found.said("website") != [])
        found.pipeline.setup.replace(deployment(channels=moved), found.fakes)
        gate.set()
        await found.quiet()
        assert {origin.under_way for origin in found.permits._origins.values()} == {0}


async def test_a_page_that_one_phone_cannot_hold_reaches_the_others(tmp_path: Path) -> None:
    """A staff channel too small for any page neither stops an event from being taken in nor the other staff from hearing."""
    tiny = channel("pager", audience=Audience.STAFF, limit=TextLimit(Unit.CHARACTERS, 20))
    async with road(tmp_path, deployment(playbook(release="one_person"), channels=(*CHANNELS, tiny))) as found:
        assert (await found.receive()).state == "journaled"
        await found.quiet()
        assert (len(found.said("duty-team")), found.said("pager")) == (1, [])


async def test_numbers_that_no_disk_holds_are_left_out(tmp_path: Path) -> None:
    """A sequence number beyond any counter is warned about and breaks nothing; a source that counts anew is followed."""
    where = deployment(playbook(), sources={"els": Source(sequence=True)})
    async with road(tmp_path, where) as found:
        assert (await found.receive("els", raw=payload(sequence=2**63))).state == "journaled"
        time = [0.0]
        watch = Watch(found.pipeline, found.journal, lambda: time[0])
        for number in (100, 1, 2, 7):
            watch.event(event("els", sequence=number))
        time[0] = 5
        await watch.look()
        await found.quiet()
        assert "els: 4 missing, 3 to 6" in found.fakes["duty-team"].posts[-1].text.body


def test_one_human_has_one_name() -> None:
    """A name counts as it reads: composed or decomposed letters and spaces make no second person."""
    document = read_yaml('people:\n  "Mu\u0308ller  A": {channels: [duty-team]}\nduty: ["Mu\u0308ller A"]\n', "p")
    entries = PeopleFile.model_validate(document.data)
    roster, problems = load_people(document, entries, {c.id: c for c in CHANNELS}, ())
    assert (list(roster.people), problems) == (["M\u00fcller A"], [])


async def test_a_refused_command_says_so(tmp_path: Path) -> None:
    """Speaking of nothing is refused as a command, not as an error of ours."""
    async with road(tmp_path) as found:
        with pytest.raises(CommandError):
            await found.pipeline.command(
                Speak(person="anna", incident=IncidentId("x"), purpose=Purpose.UPDATE, key="k")
            )
