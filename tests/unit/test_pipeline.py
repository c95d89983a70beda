"""The road from an event to the channels: what is acknowledged is on disk, what is on disk is said, everywhere at once."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from house import (
    CHANNELS,
    LEER,
    TEMPORARY,
    channel,
    deployment,
    in_turn,
    payload,
    playbook,
    road,
    speak,
    until,
)

from dispatcher.journal import queries
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.cap import Realm
from dispatcher.model.channel import TextLimit, Unit
from dispatcher.model.delivery import IncidentId, Outcome, Result
from dispatcher.model.errors import JournalBusy


async def test_an_event_is_said_on_every_channel(tmp_path: Path) -> None:
    """An alert reaches every channel of its region, once, and its receipt tells the journal's number."""
    async with road(tmp_path) as found:
        receipt = await found.receive()
        await found.quiet()
        assert (receipt.state, receipt.journal, receipt.id, receipt.error) == ("journaled", 1, "1", "")
        assert receipt.sha256 == hashlib.sha256(payload()).hexdigest()
        assert await found.states() == dict.fromkeys(LEER, "accepted")
        assert {name for name in found.fakes if found.said(name)} == LEER
        assert all(found.said(name) == [(Purpose.ALERT, "i1")] for name in LEER)
        assert (found.acknowledged, found.receipts) == (["1"], [receipt])
        assert [(d.attempts, d.url, d.reason) for d in await found.deliveries()] == [(1, "", None)] * 3


async def test_what_is_sent_is_what_was_journaled(tmp_path: Path) -> None:
    """A channel is handed exactly the text that is frozen in the journal, with the code it is found again by."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.quiet()
        (record,) = await found.alerts()
        (post,) = found.fakes["website"].posts
        assert post.text == record.alert.texts[record.alert.plan[0].text].first
        assert record.alert.code in post.text.body
        assert (post.place, post.regions, post.alert, post.realm) == (
            "Schule am Deich",
            ("leer",),
            record.alert.id,
            "live",
        )


async def test_nothing_leaves_before_its_attempt_is_on_disk(tmp_path: Path) -> None:
    """When a channel begins to speak, its alert is already in the journal with this channel under way."""
    seen: list[Any] = []

    async def look(post: Post) -> Outcome:
        lanes = await found.journal.read(partial(queries.lanes, incident=post.incident))
        seen.append(lanes[post.channel].may_have_carried)
        return Outcome(result=Result.ACCEPTED)

    async with road(tmp_path, website=look) as found:
        await found.receive()
        await found.quiet()
    assert seen == [True]


async def test_the_same_event_again_is_a_duplicate(tmp_path: Path) -> None:
    """A repeat is acknowledged with the first one's number and neither sends nor pages anything."""
    async with road(tmp_path) as found:
        first = await found.receive()
        again = await found.receive()
        await found.quiet()
        assert (again.state, again.journal) == ("duplicate", first.journal)
        assert found.acknowledged == ["1", "1"]
        assert [len(found.said(name)) for name in sorted(LEER)] == [1, 1, 1]
        assert found.said("duty-team") == []


async def test_many_repeats_at_once_are_one_event(tmp_path: Path) -> None:
    """However often an event arrives at the same moment, one is journaled and the rest are duplicates of it."""
    async with road(tmp_path) as found:
        receipts = await asyncio.gather(*(found.receive() for _ in range(10)))
        await found.quiet()
        assert sorted(receipt.state for receipt in receipts) == ["duplicate"] * 9 + ["journaled"]
        assert len({receipt.journal for receipt in receipts}) == 1
        assert found.said("website") == [(Purpose.ALERT, "i1")]


async def test_the_same_id_with_other_content_is_paged(tmp_path: Path) -> None:
    """Another content under a known id is acknowledged as a conflict, changes nothing and pages once."""
    async with road(tmp_path) as found:
        await found.receive()
        conflicts = [await found.receive(place="Bahnhof") for _ in range(2)]
        await found.quiet()
        assert [receipt.state for receipt in conflicts] == ["conflict", "conflict"]
        assert await found.pages() == ["conflict"]
        assert len(found.said("duty-team")) == 1
        assert found.said("website") == [(Purpose.ALERT, "i1")]


@pytest.mark.parametrize("raw", [b"\xff", b"[" * 100_000, payload(status=None)])
async def test_a_dead_letter_is_kept_acknowledged_and_paged(raw: bytes, tmp_path: Path) -> None:
    """What cannot be read is kept as it came and acknowledged; its source gets the reason and staff get the raw text."""
    async with road(tmp_path) as found:
        receipts = [await found.receive(raw=raw) for _ in range(2)]
        await found.quiet()
        assert [receipt.state for receipt in receipts] == ["unreadable", "duplicate"]
        assert receipts[0].error
        assert found.acknowledged == ["1", "1"]
        (letter,) = await found.journal.read(queries.letters)
        assert (letter["payload"], letter["reason"]) == (raw, receipts[0].error)
        assert await found.pages() == ["unreadable"]
        (post,) = found.fakes["duty-team"].posts
        assert receipts[0].error in post.text.body


async def test_what_cannot_be_planned_is_a_dead_letter(tmp_path: Path) -> None:
    """An event that the plan stumbles over is acknowledged and paged like an unreadable one, and the next one goes on."""
    tiny = channel("tiny", "emden", limit=TextLimit(Unit.CHARACTERS, 17))  # no text fits there
    where = deployment(channels=(*CHANNELS, tiny), realm=Realm.EXERCISE)
    async with road(tmp_path, where) as found:
        receipts = [await found.receive(status="exercise", area={"regions": ["emden"]}) for _ in range(2)]
        await found.receive(id="2", status="exercise")
        await found.quiet()
        assert [receipt.state for receipt in receipts] == ["unreadable", "duplicate"]
        assert receipts[0].error == "internal error: NothingFits"
        assert (found.acknowledged, await found.pages()) == (["1", "1", "2"], ["unreadable"])
        assert found.said("facebook-emden") == []
        assert found.said("website") == [(Purpose.ALERT, "i1")]


@pytest.mark.parametrize("purpose", [Purpose.ALL_CLEAR, Purpose.FALSE_ALARM])
async def test_a_number_beyond_all_reason_stops_nothing(purpose: Purpose, tmp_path: Path) -> None:
    """A fact of four hundred digits is left out: the alert is said without it, and its end can be said as well."""
    book = playbook(facts={"count": {"type": "number", "max": 4, "sample": 3, "public": True}})
    async with road(tmp_path, deployment(book)) as found:
        await found.receive(facts={"count": 10**400})
        await found.quiet()
        await found.pipeline.command(speak(purpose))
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1"), (purpose, "i1")]


async def test_a_retained_message_never_triggers(tmp_path: Path) -> None:
    """What a broker kept from earlier is a dead letter however well it reads, and staff are told."""
    async with road(tmp_path) as found:
        receipt = await found.receive(retained=True)
        await found.quiet()
        assert (receipt.state, await found.pages(), found.said("website")) == ("unreadable", ["retained"], [])
        assert (await found.receive()).state == "journaled"


@pytest.mark.parametrize(
    ("source", "person"),
    [("operator:anna", ""), ("operator:anna", "ben"), ("elr", "anna"), ("operator:", ""), ("", "")],
)
async def test_no_machine_speaks_as_a_person(source: str, person: str, tmp_path: Path) -> None:
    """A source that is nobody, or bears a person's name whom nobody vouches for, is a dead letter, and paged."""
    async with road(tmp_path) as found:
        receipt = await found.receive(source, person=person)
        await found.quiet()
        assert (receipt.state, await found.pages(), found.said("website")) == ("unreadable", ["unreadable"], [])


async def test_the_other_realm_is_refused(tmp_path: Path) -> None:
    """An exercise event in a live daemon is journaled as refused, says nothing and pages."""
    async with road(tmp_path) as found:
        receipt = await found.receive(status="exercise")
        await found.quiet()
        assert (receipt.state, receipt.error) == ("refused", "status exercise does not enter realm live")
        assert (await found.pages(), await found.deliveries()) == (["refused"], [])


@pytest.mark.parametrize(
    ("changes", "cause"),
    [({"kind": "flood"}, "nothing_matched"), ({"area": None}, "no_area"), ({"msg_type": "update"}, "unknown_incident")],
)
async def test_silence_is_explained(changes: dict[str, Any], cause: str, tmp_path: Path) -> None:
    """An event that says nothing is journaled, acknowledged, and reaches a person's phone with the reason."""
    async with road(tmp_path) as found:
        receipt = await found.receive(**changes)
        await found.quiet()
        assert (receipt.state, await found.pages(), found.acknowledged) == ("journaled", [cause], ["1"])
        assert len(found.said("duty-team")) == 1


async def test_nothing_is_acknowledged_before_the_commit(tmp_path: Path) -> None:
    """While the disk is full nothing is acknowledged, answered or sent; with room again the same event goes through."""
    async with road(tmp_path) as found:
        await found.fill_disk()
        long = {"facts": {"note": "x" * 2_000}, "unknown": "y" * 100_000}
        for raw in (None, b"\xff" * 100_000):
            with pytest.raises(JournalBusy):
                await found.receive(raw=raw, **long)
        assert (found.acknowledged, found.receipts, found.worker.open) == ([], [], 0)
        assert not any(found.said(name) for name in found.fakes)
        await found.empty_disk()
        assert (await found.receive(**long)).state == "journaled"
        await found.quiet()
        assert await found.states() == dict.fromkeys(LEER, "accepted")


async def test_follow_ups_know_where_it_is(tmp_path: Path) -> None:
    """An update inherits the incident's place and area, and the area it adds is kept for the next one."""
    async with road(tmp_path) as found:
        await found.receive()
        await found.receive(id="2", msg_type="update", place=None, area={"regions": ["leer", "emden"]})
        await found.receive(id="3", msg_type="update", place="Hafen", area=None)
        await found.quiet()
        alerts = [record.alert for record in await found.alerts()]
        assert [alert.place for alert in alerts] == ["Schule am Deich", "Schule am Deich", "Hafen"]
        assert [alert.regions for alert in alerts] == [("leer",), ("leer", "emden"), ("leer", "emden")]
        assert [purpose for purpose, _ in found.said("facebook-emden")] == [Purpose.UPDATE, Purpose.UPDATE]


async def test_what_is_held_waits_and_is_paged(tmp_path: Path) -> None:
    """An alert that needs a person leaves on no channel but the pager's."""
    async with road(tmp_path, deployment(playbook(release="one_person"))) as found:
        assert (await found.receive()).state == "journaled"
        await found.quiet()
        assert await found.states() == dict.fromkeys(LEER, "held")
        assert (await found.pages(), len(found.said("duty-team"))) == (["held"], 1)
        assert not any(found.said(name) for name in LEER)


async def test_a_machines_cancel_ends_nothing(tmp_path: Path) -> None:
    """A cancel from a machine prepares the all-clear and pages; what is under way goes on."""
    async with road(tmp_path, website=in_turn(TEMPORARY)) as found:
        await found.receive()
        await until(lambda: found.worker.open == 1)
        await found.receive(id="2", msg_type="cancel")
        await found.push_until_quiet()
        alert, end = await found.alerts()
        assert (end.state, end.alert.purpose) == ("held", Purpose.ALL_CLEAR)
        assert set((await found.states(alert=alert.alert.id)).values()) == {"accepted"}
        assert await found.pages() == ["held"]


async def test_what_triggers_nothing_changes_nothing(tmp_path: Path) -> None:
    """An event that no playbook answers puts neither its place nor its facts into the words on a known incident."""
    book = playbook(facts={"gate": {"sample": "Nord"}})
    async with road(tmp_path, deployment(book)) as found:
        await found.receive(facts={"gate": "Süd"})
        before = await found.journal.read(partial(queries.history, incident=IncidentId("i1")))
        await found.receive("elsewhere", id="2", kind="nonsense", place="Bahnhof", facts={"gate": "West"})
        after = await found.journal.read(partial(queries.history, incident=IncidentId("i1")))
        await found.pipeline.command(speak(Purpose.ALL_CLEAR))
        await found.quiet()
        assert (after.place, after.facts) == (before.place, before.facts) == ("Schule am Deich", {"gate": "Süd"})
        assert "Schule am Deich" in found.fakes["website"].posts[-1].text.headline
        assert await found.pages() == ["nothing_matched", "withheld"]


async def test_only_declared_facts_are_kept(tmp_path: Path) -> None:
    """Of an event's facts an incident keeps those that its playbook can name, in any of its texts, and no others."""
    update = {"title": "x", "facts": {"hall": {"sample": "Halle"}}, "texts": playbook().texts.update}
    book = playbook(facts={"gate": {"sample": "Nord"}}, updates={"shelter": update})
    async with road(tmp_path, deployment(book)) as found:
        await found.receive(facts={"gate": "Süd", "suspect": "somebody"})
        await found.receive(id="2", msg_type="update", facts={"hall": "Aula", "more": 1})
        await found.quiet()
        known = await found.journal.read(partial(queries.history, incident=IncidentId("i1")))
        assert known.facts == {"gate": "Süd", "hall": "Aula"}
