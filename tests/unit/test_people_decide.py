"""What people decide on the road: two of them, one in an emergency, stopping, joining, taking back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from unit.house import CHANNELS, LEER, Road, channel, deployment, playbook, road, speak

from dispatcher.journal import queries
from dispatcher.journal.neighbours import MOST
from dispatcher.model.alert import Purpose
from dispatcher.model.channel import AfterCorrection, Power
from dispatcher.model.command import BreakGlass, Confirm, Join, Release, Renew, Resume, Retract, Scope, Stop
from dispatcher.model.delivery import IncidentId
from dispatcher.model.errors import Conflict, Invalid

TWO = playbook(release="two_persons", deliver_within="1h")


async def released(found: Road, person: str, at: int = 0, **changes: Any) -> None:
    """``person`` releases the incident's alert at this position."""
    alert, digest = await found.held(at)
    await found.pipeline.command(Release(person=person, alert=alert, digest=digest, **changes))
    await found.quiet()


async def test_two_named_people_release(tmp_path: Path) -> None:
    """Where two persons are asked for, the same one twice is not enough, and two are."""
    async with road(tmp_path, deployment(TWO)) as found:
        await found.receive()
        for _ in range(2):
            await released(found, "anna")
        assert found.said("website") == []
        await released(found, "ben")
        assert found.said("website") == [(Purpose.ALERT, "i1")]


async def test_a_half_given_release_lapses(tmp_path: Path) -> None:
    """After ten minutes the first consent counts no more; the request stays, and two fresh ones let it out."""
    async with road(tmp_path, deployment(TWO)) as found:
        await found.receive()
        await released(found, "anna")
        found.push(timedelta(minutes=10))
        await released(found, "ben")
        assert (found.said("website"), await found.states()) == ([], dict.fromkeys(LEER, "held"))
        await released(found, "anna")
        assert found.said("website") == [(Purpose.ALERT, "i1")]


async def test_a_trigger_is_the_first_release(tmp_path: Path) -> None:
    """A person's own event counts as their release: one more person lets it out, the same one does not."""
    async with road(tmp_path, deployment(TWO)) as found:
        await found.receive("operator:anna", playbooks=["amok"])
        await released(found, "anna")
        assert found.said("website") == []
        await released(found, "ben")
        assert found.said("website") == [(Purpose.ALERT, "i1")]


async def test_break_glass_needs_one_and_a_reason(tmp_path: Path) -> None:
    """In an emergency one person releases alone; name and reason stand in the log."""
    async with road(tmp_path, deployment(TWO)) as found:
        await found.receive()
        await released(found, "anna", break_glass=BreakGlass.COLLEAGUE_UNREACHABLE)
        assert found.said("website") == [(Purpose.ALERT, "i1")]
        facts = await found.journal.read(partial(queries.facts_after, seq=0, limit=1000))
        (broken,) = [fact.body for fact in facts if fact.kind == "alert.break_glass_by"]
        assert broken == {"person": "anna", "reason": "colleague_unreachable"}


async def test_an_old_request_is_renewed(tmp_path: Path) -> None:
    """What waited beyond its time is not released as it stands; renewed, it says the time of now and waits again."""
    async with road(tmp_path, deployment(playbook(release="one_person"))) as found:
        await found.receive()
        found.push(timedelta(minutes=21))
        with pytest.raises(Conflict, match="renew"):
            await released(found, "anna")
        old, _ = await found.held()
        await found.pipeline.command(Renew(person="anna", alert=old))
        assert [record.state for record in await found.alerts()] == ["superseded", "held"]
        await released(found, "anna", at=1)
        (post,) = found.fakes["website"].posts
        assert "Stand 11:01 Uhr" in post.text.body


async def test_a_second_report_is_held_until_somebody_says_whether_it_is_one(tmp_path: Path) -> None:
    """An incident like one of a moment ago waits and pages; released apart, it speaks for itself."""
    book = playbook(same_within="15m")
    async with road(tmp_path, deployment(book)) as found:
        await found.receive()
        await found.receive(id="2", incident="i2", place="Hafen")
        await found.receive(id="3", incident="i3", area={"regions": ["aurich"]}, kind="other")
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1")]
        assert "same_as" in await found.pages()
        (record,) = await found.alerts("i2")
        assert (record.alert.same_as, record.state) == ("i1", "held")
        await found.pipeline.command(Release(person="anna", alert=record.alert.id, digest=record.digest))
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1"), (Purpose.ALERT, "i2")]


async def test_a_storm_elsewhere_holds_nothing_up(tmp_path: Path) -> None:
    """However many incidents of a kind are open in other regions, the next one in ours goes out at once."""
    channels = (channel("facebook-leer", "leer"), channel("facebook-emden", "emden"))
    async with road(tmp_path, deployment(playbook(same_within="15m"), channels=channels)) as found:
        for number in range(MOST + 1):
            await found.receive(id=f"e{number}", incident=f"e{number}", area={"regions": ["emden"]})
        async with asyncio.timeout(30):
            await found.receive()
        await found.quiet()
        assert found.said("facebook-leer") == [(Purpose.ALERT, "i1")]


async def test_a_later_incident_is_its_own(tmp_path: Path) -> None:
    """After the playbook's time an incident of the same kind is another one and goes out by itself."""
    async with road(tmp_path, deployment(playbook(same_within="15m"))) as found:
        await found.receive()
        found.push(timedelta(minutes=16))
        await found.receive(id="2", incident="i2", sent=found.clock.now().isoformat())
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1"), (Purpose.ALERT, "i2")]


async def test_joined_incidents_speak_as_one(tmp_path: Path) -> None:
    """Joining settles what was held, says the larger area, and from then on every event and end is for both."""
    async with road(tmp_path, deployment(playbook(same_within="15m"))) as found:
        await found.receive()
        await found.receive(id="2", incident="i2", area={"regions": ["leer", "emden"]})
        await found.pipeline.command(Join(person="anna", incident=IncidentId("i2"), into=IncidentId("i1"), key="k"))
        await found.quiet()
        await found.receive(id="3", incident="i2", msg_type="update", place="Hafen", area=None)
        await found.quiet()
        await found.pipeline.command(speak(Purpose.ALL_CLEAR, key="end"))
        await found.quiet()
        assert [record.state for record in await found.alerts("i2")] == ["superseded"]
        said = [purpose for purpose, incident in found.said("facebook-emden") if incident == "i1"]
        assert said == [Purpose.UPDATE, Purpose.UPDATE, Purpose.ALL_CLEAR]
        assert {incident for _, incident in found.said("website")} == {"i1"}


async def test_a_joined_incident_keeps_its_channels_in_mind(tmp_path: Path) -> None:
    """What an incident had said before it was joined gets its end from the one that speaks for it, after a restart as well."""
    async with road(tmp_path) as found:
        await found.receive(area={"regions": ["emden"]})
        await found.receive(id="2", incident="i2")
        await found.quiet()
        await found.pipeline.command(Join(person="anna", incident=IncidentId("i2"), into=IncidentId("i1"), key="k"))
        await found.quiet()
    async with road(tmp_path) as found:
        await found.receive(id="3", incident="i2", msg_type="update", area=None)
        await found.quiet()
        await found.pipeline.command(speak(Purpose.ALL_CLEAR, key="end"))
        await found.quiet()
        assert found.said("whatsapp-leer") == [(Purpose.UPDATE, "i1"), (Purpose.ALL_CLEAR, "i1")]


async def test_a_smaller_area_ends_it_where_it_no_longer_is(tmp_path: Path) -> None:
    """A person's smaller area says an end on the channels it leaves behind, an update on the others, and goes on there."""
    async with road(tmp_path) as found:
        await found.receive(area={"regions": ["leer", "emden"]})
        await found.quiet()
        await found.pipeline.command(speak(Purpose.UPDATE, regions=("emden",)))
        await found.quiet()
        assert found.said("facebook-leer")[1:] == [(Purpose.ALL_CLEAR, "i1")]
        assert found.said("facebook-emden")[1:] == [(Purpose.UPDATE, "i1")]
        await found.pipeline.command(speak(Purpose.ALL_CLEAR, key="end"))
        await found.quiet()
        assert found.said("facebook-leer")[2:] == []
        assert found.said("facebook-emden")[2:] == [(Purpose.ALL_CLEAR, "i1")]


async def test_a_machines_smaller_area_only_prepares_the_end(tmp_path: Path) -> None:
    """A source that names less area ends nothing: the update reaches everybody, the end waits, and staff are paged."""
    async with road(tmp_path) as found:
        await found.receive(area={"regions": ["leer", "emden"]})
        await found.quiet()
        await found.receive(id="2", msg_type="update", area={"regions": ["emden"]})
        await found.quiet()
        assert found.said("facebook-leer") == [(Purpose.ALERT, "i1"), (Purpose.UPDATE, "i1")]
        assert "shrunk" in await found.pages()
        await released(found, "anna", at=2)
        assert found.said("facebook-leer")[2:] == [(Purpose.ALL_CLEAR, "i1")]
        assert found.said("facebook-emden") == [(Purpose.ALERT, "i1"), (Purpose.UPDATE, "i1")]
        history = await found.journal.read(partial(queries.history, incident=IncidentId("i1")))
        assert (history.open, history.regions) == (True, ("emden",))


async def test_a_region_that_comes_back_hears_everything(tmp_path: Path) -> None:
    """A channel that got its end and is affected again is told the whole story, not only what is new."""
    async with road(tmp_path) as found:
        await found.receive(area={"regions": ["leer", "emden"]})
        await found.quiet()
        for key, regions in (("1", ("emden",)), ("2", ("emden", "leer"))):
            await found.pipeline.command(speak(Purpose.UPDATE, key=key, regions=regions))
            await found.quiet()
        assert "alert lang" in found.fakes["facebook-leer"].posts[-1].text.body
        assert "alert lang" not in found.fakes["facebook-emden"].posts[-1].text.body


async def test_reopening_reaches_all_who_heard_the_end(tmp_path: Path) -> None:
    """Whoever was told that it is over is told that it is not; the incident goes on and can end again."""
    async with road(tmp_path) as found:
        await found.receive(area={"regions": ["leer", "emden"]})
        await found.quiet()
        await found.pipeline.command(speak(Purpose.ALL_CLEAR, key="end"))
        await found.quiet()
        with pytest.raises(Conflict, match="reopen"):
            await found.pipeline.command(speak(Purpose.UPDATE))
        await found.pipeline.command(speak(Purpose.ALERT, key="again"))
        await found.quiet()
        await found.pipeline.command(speak(Purpose.ALL_CLEAR, key="end-2"))
        await found.quiet()
        for name in ("facebook-leer", "facebook-emden", "website"):
            said = [purpose for purpose, _ in found.said(name)]
            assert said == [Purpose.ALERT, Purpose.ALL_CLEAR, Purpose.ALERT, Purpose.ALL_CLEAR]


async def test_own_words_are_an_update(tmp_path: Path) -> None:
    """A person's own words go out under the update's headline, in the languages they are in, cleaned."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.pipeline.command(speak(Purpose.UPDATE, words={"de": "Der \u202e Bahnhof ist  gesperrt."}))
        await found.quiet()
        body = found.fakes["facebook-leer"].posts[-1].text.body
        assert body.startswith("update: Schule am Deich, Landkreis Leer\n\nDer Bahnhof ist gesperrt.\n\n")


@pytest.mark.parametrize("words", [{"de": "x" * 401}, {"de": " "}, {"de": "Lage", "en": ""}])
async def test_words_that_are_none_are_refused(words: dict[str, str], tmp_path: Path) -> None:
    """Too long or empty words are refused with their language, and nothing is said."""
    async with road(tmp_path) as found:
        await found.receive()
        with pytest.raises(Invalid, match="1 to 400 characters"):
            await found.pipeline.command(speak(Purpose.UPDATE, words=words))
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1")]


def _with_powers(*powers: Power, **changes: Any) -> Any:
    rest = tuple(profile for profile in CHANNELS if profile.id != "website")
    return deployment(channels=(channel("website", powers=frozenset(powers), **changes), *rest))


async def test_a_false_alarm_changes_what_was_posted(tmp_path: Path) -> None:
    """The correction goes first, then the earlier post is changed where that can be; elsewhere it is a person's task."""
    async with road(tmp_path, _with_powers(Power.EDIT)) as found:
        await found.receive()
        await found.quiet()
        await found.pipeline.command(speak(Purpose.FALSE_ALARM))
        await found.quiet()
        (edit,) = found.fakes["website"].edits
        assert (edit.target, edit.text.body.splitlines()[0]) == (
            "fake-1",
            "false_alarm: Schule am Deich, Landkreis Leer",
        )
        assert "alert lang." in edit.text.body
        states = {d.channel: str(d.state) for d in await found.edits()}
        assert states == {"website": "accepted", "facebook-leer": "by_hand", "whatsapp-leer": "by_hand"}
        first = {d.channel: str(d.state) for d in await found.deliveries() if d.revision == 1}
        assert first["website"] == "retracted"


async def test_a_post_is_deleted_only_where_that_is_wanted(tmp_path: Path) -> None:
    """A channel that deletes after a correction does so after it, and never instead of it."""
    where = _with_powers(Power.EDIT, Power.DELETE, after_correction=AfterCorrection.DELETE)
    async with road(tmp_path, where) as found:
        await found.receive()
        await found.quiet()
        await found.pipeline.command(speak(Purpose.FALSE_ALARM))
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1"), (Purpose.FALSE_ALARM, "i1")]
        assert [post.target for post in found.fakes["website"].deletions] == ["fake-1"]


async def test_one_alert_is_taken_back_with_words(tmp_path: Path) -> None:
    """A wrong update is corrected in a person's words and changed; the incident and its other posts stay."""
    async with road(tmp_path, _with_powers(Power.EDIT)) as found:
        await found.receive()
        await found.quiet()
        await found.pipeline.command(speak(Purpose.UPDATE, words={"de": "Bahnhof gesperrt."}))
        await found.quiet()
        wrong = (await found.alerts())[1].alert
        await found.pipeline.command(
            Retract(person="anna", alert=wrong.id, key="r", words={"de": "Der Bahnhof ist offen."})
        )
        await found.quiet()
        assert [post.target for post in found.fakes["website"].edits] == ["fake-2"]
        history = await found.journal.read(partial(queries.history, incident=IncidentId("i1")))
        assert history.open


async def test_a_change_by_hand_is_confirmed(tmp_path: Path) -> None:
    """A person who has corrected a post says so, and the post counts as retracted."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        await found.pipeline.command(speak(Purpose.FALSE_ALARM))
        await found.quiet()
        (task,) = [edit for edit in await found.edits() if edit.channel == "website"]
        await found.pipeline.command(Confirm(person="anna", delivery=task.id))
        (first,) = [d for d in await found.deliveries() if d.channel == "website" and d.revision == 1]
        assert str(first.state) == "retracted"


@pytest.mark.parametrize(("scope", "ref"), [(Scope.ALL, ""), (Scope.INCIDENT, "i1"), (Scope.CHANNEL, "website")])
async def test_a_stop_stands_until_two_lift_it(scope: Scope, ref: str, tmp_path: Path) -> None:
    """Nothing leaves in a stop's scope, across a restart, until two persons lift it; then what waited goes out."""
    async with road(tmp_path, deployment(playbook(release="one_person"))) as found:
        await found.receive()
        await found.pipeline.command(Stop(person="anna", scope=scope, ref=ref, reason="account stolen"))
        alert, digest = await found.held()
        await found.pipeline.command(Release(person="anna", alert=alert, digest=digest))
        await found.receive(id="2", kind="other", incident="i2")
        assert found.said("website") == []
        assert "nothing_matched" in await found.pages()
    async with road(tmp_path, deployment(playbook(release="one_person"))) as found:
        for _ in range(2):
            await found.pipeline.command(Resume(person="anna", scope=scope, ref=ref))
        assert found.said("website") == []
        await found.pipeline.command(Resume(person="ben", scope=scope, ref=ref))
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1")]


async def test_a_stop_is_lifted_alone_in_an_emergency(tmp_path: Path) -> None:
    """With break-glass one person lifts a stop; lifting what does not stand is refused."""
    async with road(tmp_path) as found:
        await found.pipeline.command(Stop(person="anna", scope=Scope.ALL, ref="", reason="drill went wrong"))
        await found.receive()
        assert found.said("website") == []
        assert "stopped" in await found.pages()
        lift = Resume(person="anna", scope=Scope.ALL, ref="", break_glass=BreakGlass.DANGER_TO_LIFE)
        await found.pipeline.command(lift)
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1")]
        with pytest.raises(Conflict, match="nothing is stopped"):
            await found.pipeline.command(lift)


async def test_below_severe_a_source_may_end_it(tmp_path: Path) -> None:
    """A playbook that allows it lets a cancel send the all-clear at once; a severe incident waits all the same."""
    book = playbook(severity="moderate", all_clear="automatic")
    async with road(tmp_path, deployment(book)) as found:
        await found.receive()
        await found.quiet()
        await found.receive(id="2", msg_type="cancel")
        await found.receive(id="3", incident="i2", severity="severe")
        await found.quiet()
        await found.receive(id="4", incident="i2", msg_type="cancel")
        await found.quiet()
        assert [p for p, i in found.said("website") if i == "i1"] == [Purpose.ALERT, Purpose.ALL_CLEAR]
        assert [p for p, i in found.said("website") if i == "i2"] == [Purpose.ALERT]


async def test_a_place_that_nobody_read_stays_back(tmp_path: Path) -> None:
    """With automatic release the source's own words for the place do not go out unless the playbook says so; staff hear."""
    async with road(tmp_path, deployment(playbook(public_place=False))) as found:
        await found.receive()
        await found.quiet()
        body = found.fakes["website"].posts[0].text.body
        assert ("Schule am Deich" in body, "Landkreis Leer" in body) == (False, True)
        assert await found.pages() == ["withheld"]


async def test_a_key_stands_for_one_text(tmp_path: Path) -> None:
    """The same word under the same key is said once; another under that key is refused, so that nobody takes it for said."""
    async with road(tmp_path, deployment(playbook())) as found:
        await found.receive()
        await found.quiet()
        say = partial(speak, Purpose.UPDATE, key="k")
        first = await found.pipeline.command(say(words={"de": "Bleiben Sie zu Hause."}))
        assert await found.pipeline.command(say(words={"de": "Bleiben Sie zu Hause."})) == first
        for other in (
            {"words": {"de": "Gehen Sie hinaus."}},
            {},
            {"words": {"de": "Bleiben Sie zu Hause."}, "place": "Emden"},
        ):
            with pytest.raises(Conflict, match="new one"):
                await found.pipeline.command(say(**other))
        await found.quiet()
        assert len(found.said("website")) == 2


async def test_a_second_false_alarm_that_reaches_nobody_changes_nothing(tmp_path: Path) -> None:
    """Where a false alarm has nobody to speak to, the posts that the first one corrected stay as they are."""
    async with road(tmp_path, deployment(playbook(release="one_person"))) as found:
        await found.receive()
        await released(found, "anna")
        await found.pipeline.command(speak())
        await found.quiet()
        edits = await found.edits()
        await found.receive(id="2")
        await found.pipeline.command(speak(key="k2"))
        await found.quiet()
        assert await found.edits() == edits
