"""What is written and read: every unit of work keeps its promise, twice as well as once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from house import NOW, alert, delivery, event, moment
from sqlalchemy import Connection

from dispatcher.journal import queries, standing, steps, store
from dispatcher.journal.base import sqlite_engine
from dispatcher.journal.schema import prepare
from dispatcher.journal.steps import Claims, Step
from dispatcher.journal.store import Entry, IncidentRow, Letter, Recorded, Stale
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.cap import Severity
from dispatcher.model.channel import ChannelId
from dispatcher.model.delivery import AlertId, Attempt, DeliveryId, DeliveryState, IncidentId, Reason, Result
from dispatcher.model.errors import ConfigurationError

S = DeliveryState
INCIDENT = IncidentId("i1")
ROW = IncidentRow(
    open=True, playbook="amok", covered=("fire",), kind="amok", place="Markt", regions=("leer",), severity="extreme",
    facts={"gate": "Nord"},
)  # fmt: skip


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    """A connection inside one transaction on a new journal."""
    engine = sqlite_engine(tmp_path / "journal.sqlite")
    prepare(engine)
    with engine.connect() as connection, connection.begin():
        yield connection
    engine.dispose()


def entry(*alerts: Alert, revision: int = 0, incident: IncidentRow | None = ROW, **changes: Any) -> Entry:
    """The usual event with what was planned for it."""
    return Entry(
        event=event(**changes), payload=b"{}", received_at=NOW, state="journaled", notes=("a note",),
        revision=revision, incident=incident, alerts=alerts, people=tuple((found.id, "anna") for found in alerts),
    )  # fmt: skip


def kinds(db: Connection) -> list[str]:
    """Kinds of all facts, in order."""
    return [fact.kind for fact in queries.facts_after(db, 0)]


def states(db: Connection, **filters: Any) -> dict[str, str]:
    """State of each delivery."""
    return {found.id: str(found.state) for found in queries.deliveries(db, **filters)}


def written(db: Connection, found: Alert, *, released: bool = True) -> Alert:
    """An alert with its rows on disk."""
    at = NOW if released else None
    store.write_alert(db, found, released_at=at)
    store.write_rows(db, found, found.plan, at)
    store.finish_rows(db, found.id)
    return found


def end(*channels: str, revision: int = 9) -> Alert:
    """An all-clear on channels."""
    return alert(*channels, name="end", purpose=Purpose.ALL_CLEAR, revision=revision)


def moved(db: Connection, name: str, *path: DeliveryState, **changes: Any) -> None:
    """Write a step of the usual delivery from its state in the journal along ``path``."""
    before = queries.delivery(db, DeliveryId(f"a1:{name}"))
    assert before is not None
    after = before
    for state in path:
        after = after.move(state)
    assert steps.record_steps(db, [Step(replace(after, **changes), path, before.state)], NOW).held == {after.id}


def test_an_event_is_written_with_all_it_leads_to(db: Connection) -> None:
    """Event, incident, alert and the person's release are there after one unit, and the receipt's number is a fact's."""
    recorded = store.record_event(db, entry(alert()))
    assert recorded == Recorded("journaled", 1)
    assert kinds(db) == ["event.journaled", "incident.opened", "alert.released", "alert.release_by"]
    (found,) = queries.events_of(db, INCIDENT)
    assert (found["id"], found["number"], found["state"], found["notes"]) == ("1", 1, "journaled", ["a note"])
    record = queries.alert_record(db, AlertId("a1"))
    assert record is not None
    assert (record.alert, record.state, record.released_by) == (alert(), "released", ("anna",))
    assert (record.released_at, record.digest) == (NOW, alert().digest)


def test_an_incident_remembers_what_was_said_of_it(db: Connection) -> None:
    """The history that plans are made on gives back all that was written of the incident."""
    assert queries.history(db, INCIDENT).revision == 0
    store.record_event(db, entry(alert()))
    known = queries.history(db, INCIDENT)
    assert (known.revision, known.open, known.playbook, known.covered) == (1, True, "amok", ("fire",))
    assert (known.kind, known.place, known.regions, known.severity) == ("amok", "Markt", ("leer",), Severity.EXTREME)
    assert (known.facts, known.alerts) == ({"gate": "Nord"}, ("a1",))


def test_a_known_event_changes_nothing(db: Connection) -> None:
    """The same event again is a duplicate with the first one's number, and not even a fact is added."""
    first = store.record_event(db, entry(alert()))
    before = kinds(db)
    assert store.record_event(db, entry(alert(name="a2"), revision=1)) == Recorded("duplicate", first.number)
    assert kinds(db) == before
    assert queries.alert_record(db, AlertId("a2")) is None


def test_the_same_id_with_other_content_is_a_conflict(db: Connection) -> None:
    """A known id with other content changes nothing but leaves a fact, and that fact's number is the receipt's."""
    store.record_event(db, entry(alert()))
    recorded = store.record_event(db, entry(alert(name="a2"), place="Bahnhof"))
    assert (recorded.state, kinds(db)[-1], queries.last_seq(db)) == ("conflict", "event.conflict", recorded.number)
    assert queries.history(db, INCIDENT).revision == 1
    assert queries.alert_record(db, AlertId("a2")) is None


def test_two_sources_may_use_one_id(db: Connection) -> None:
    """An event's key is its source and its id."""
    store.record_event(db, entry())
    other = replace(entry(revision=1), event=event("fire-brigade"))
    assert store.record_event(db, other).state == "journaled"
    assert queries.seen(db, "fire-brigade", "1")
    assert not queries.seen(db, "railway", "1")


def test_a_plan_on_old_knowledge_is_refused(db: Connection) -> None:
    """Where the incident moved on since it was planned, nothing is written and the caller plans again."""
    store.record_event(db, entry())
    before = kinds(db)
    for revision in (0, 2):
        with pytest.raises(Stale):
            store.record_event(db, entry(alert(), id="2", revision=revision))
    assert kinds(db) == before
    assert store.record_event(db, entry(id="2", revision=1)).state == "journaled"
    assert queries.history(db, INCIDENT).revision == 2


def test_an_event_may_leave_its_incident_alone(db: Connection) -> None:
    """An event that is only noted changes no incident."""
    store.record_event(db, entry(incident=None))
    assert queries.history(db, INCIDENT).revision == 0
    assert len(queries.events_of(db, INCIDENT)) == 1


def test_a_letter_is_kept_once(db: Connection) -> None:
    """The same unreadable bytes from one source are one letter and one page; from another source another."""
    letter = Letter(source="s", payload=b"\xff", reason="not UTF-8", received_at=NOW, pages=(alert("duty-team"),))
    first = store.record_letter(db, letter)
    assert first.state == "unreadable"
    assert store.record_letter(db, letter) == Recorded("duplicate", first.number)
    assert store.record_letter(db, replace(letter, source="t", pages=())).state == "unreadable"
    assert [(found["source"], found["payload"]) for found in queries.letters(db)] == [("t", b"\xff"), ("s", b"\xff")]
    assert kinds(db).count("alert.released") == 1


def test_a_page_is_written_once(db: Connection) -> None:
    """The same page again is not written again, and who asks hears so."""
    assert store.write_pages(db, [alert("duty-team")])
    before = kinds(db)
    assert not store.write_pages(db, [alert("duty-team")])
    assert kinds(db) == before


def test_rows_twice_are_harmless(db: Connection) -> None:
    """Rows written again leave every delivery and attempt as it is by then."""
    sent = alert("website", "facebook-leer", state=S.SENDING)
    written(db, sent)
    moved(db, "website", S.ACCEPTED)
    store.write_rows(db, sent, sent.plan, moment(1))
    assert states(db) == {"a1:website": "accepted", "a1:facebook-leer": "sending"}
    (attempt,) = queries.attempts(db, DeliveryId("a1:website"))
    assert (attempt["number"], attempt["started_at"]) == (1, NOW)


def test_a_delivery_comes_back_as_it_was_written(db: Connection) -> None:
    """Every field of a delivery survives the journal."""
    written(db, alert(state=S.SENDING, follows=True))
    changes = {
        "reason": Reason.TIMEOUT, "detail": "ü", "url": "https://a", "provider_id": "7", "doubtful": True,
        "due_at": moment(1.5),
    }  # fmt: skip
    moved(db, "website", S.QUEUED, **changes)
    found = queries.delivery(db, DeliveryId("a1:website"))
    assert found == replace(delivery(S.QUEUED), follows=True, **changes)
    assert queries.delivery(db, DeliveryId("a1:nowhere")) is None


def test_only_what_is_queued_starts(db: Connection) -> None:
    """What was ended, started or tried meanwhile does not start, the rest does with an attempt; missing rows are told."""
    names = ("one", "two", "three", "four")
    written(db, alert(*names))
    waiting = [delivery(S.QUEUED, name, attempts=0) for name in names]
    moved(db, "two", S.SUPERSEDED)
    moved(db, "three", S.SENDING)
    stale = [*waiting[:3], replace(waiting[3], attempts=5), delivery(S.QUEUED, "unknown", attempts=0)]
    assert steps.start_attempts(db, stale, moment(1)) == Claims(frozenset({"a1:one"}), frozenset({"a1:unknown"}))
    assert steps.start_attempts(db, waiting[:1], moment(1)) == Claims(frozenset(), frozenset())
    assert states(db) == {"a1:one": "sending", "a1:two": "superseded", "a1:three": "sending", "a1:four": "queued"}
    found = queries.delivery(db, DeliveryId("a1:one"))
    assert found is not None
    assert found.attempts == 1
    assert [a["started_at"] for a in queries.attempts(db, DeliveryId("a1:one"))] == [moment(1)]


def test_steps_write_delivery_attempt_and_every_state_passed(db: Connection) -> None:
    """A step leaves the delivery in its last state, the attempt with its result, and a fact for each state passed."""
    written(db, alert(state=S.SENDING))
    after = delivery().move(S.IN_DOUBT).move(S.QUEUED, doubtful=True, reason=Reason.TIMEOUT)
    attempt = Attempt(
        delivery=after.id, number=1, started_at=NOW, ended_at=moment(1), result=Result.IN_DOUBT, reason=Reason.TIMEOUT
    )
    step = Step(after, (S.IN_DOUBT, S.QUEUED), S.SENDING, attempt, "resend")
    assert steps.record_steps(db, [step], moment(1)).held == {"a1:website"}
    assert kinds(db)[-2:] == ["delivery.in_doubt", "delivery.queued"]
    assert queries.facts_after(db, 0)[-1].body == {"reason": "timeout", "note": "resend", "doubtful": True}
    (found,) = queries.attempts(db, after.id)
    assert (found["result"], found["reason"], found["ended_at"]) == ("in_doubt", "timeout", moment(1))


def test_a_claim_that_does_not_hold_writes_nothing(db: Connection) -> None:
    """A step whose delivery has another state or another number of attempts by now is refused; its neighbours are not."""
    written(db, alert("one", "two", "three", state=S.SENDING))
    moved(db, "one", S.FAILED)
    written_steps = [
        Step(delivery(S.ACCEPTED, name, attempts=attempts), (S.ACCEPTED,), S.SENDING)
        for name, attempts in (("one", 1), ("two", 2), ("three", 1))
    ]
    assert steps.record_steps(db, written_steps, NOW).held == {"a1:three"}
    assert states(db) == {"a1:one": "failed", "a1:two": "sending", "a1:three": "accepted"}
    assert steps.record_steps(db, [], NOW) == steps.Written(frozenset())


def test_an_end_supersedes_everything_that_has_not_ended(db: Connection) -> None:
    """An end takes out of the queue, or out of a person's hands, everything earlier of its incident and nothing else."""
    names = ("held", "standby", "queued", "sending", "in_doubt", "accepted", "by_hand", "failed")
    plan = tuple(replace(p, state=S(p.channel)) for p in alert(*names[:4]).plan)
    plan += tuple(replace(p, state=S.SENDING) for p in alert(*names[4:]).plan)
    written(db, alert(plan=plan))
    for name in names[4:]:
        moved(db, name, S(name), doubtful=name == "in_doubt")
    written(db, alert("queued", name="other", incident=IncidentId("i2")))
    written(db, end("accepted"))
    assert states(db, alert=AlertId("a1")) == {
        "a1:held": "superseded", "a1:standby": "cancelled", "a1:queued": "superseded", "a1:sending": "sending",
        "a1:in_doubt": "superseded", "a1:accepted": "accepted", "a1:by_hand": "superseded", "a1:failed": "failed",
    }  # fmt: skip
    assert states(db, incident=IncidentId("i2")) == {"other:queued": "queued"}
    assert states(db, alert=AlertId("end")) == {"end:accepted": "queued"}
    doubt = queries.delivery(db, DeliveryId("a1:in_doubt"))
    assert doubt is not None
    assert doubt.doubtful


def test_an_update_supersedes_what_its_channels_never_tried(db: Connection) -> None:
    """An update takes the place of earlier texts that its channels have not tried; what is under way or in doubt stays."""
    plan = tuple(replace(p, state=S(p.channel)) for p in alert("held", "queued", "sending").plan)
    written(db, alert(plan=(*plan, replace(alert("elsewhere").plan[0]))))
    written(db, alert("held", "queued", "sending", name="a2", purpose=Purpose.UPDATE, revision=2))
    assert states(db, alert=AlertId("a1")) == {
        "a1:held": "superseded", "a1:queued": "superseded", "a1:sending": "sending", "a1:elsewhere": "queued",
    }  # fmt: skip
    assert set(states(db, alert=AlertId("a2")).values()) == {"queued"}


def test_a_later_text_does_not_give_way_to_an_earlier_one(db: Connection) -> None:
    """What has a higher revision is not superseded."""
    written(db, alert("website", name="a5", revision=5))
    written(db, alert("website", name="a2", purpose=Purpose.UPDATE, revision=2))
    assert states(db) == {"a5:website": "queued", "a2:website": "queued"}


@pytest.mark.parametrize(
    ("later", "state"),
    [
        (end("website"), "superseded"),
        (end("website", revision=0), "superseded"),
        (alert("website", "facebook-leer", name="a2", purpose=Purpose.UPDATE, revision=2), "superseded"),
        (alert("website", name="a2", purpose=Purpose.UPDATE, revision=2), "held"),
        (alert("website", "facebook-leer", name="a2", incident=IncidentId("i2"), revision=2), "held"),
    ],
)
def test_nobody_is_asked_to_release_what_was_replaced(db: Connection, later: Alert, state: str) -> None:
    """A held alert that a later text replaced on all its channels waits no more, nor does any once an end is out."""
    written(db, alert("website", "facebook-leer", state=S.HELD), released=False)
    written(db, later)
    record = queries.alert_record(db, AlertId("a1"))
    assert record is not None
    assert record.state == state
    assert kinds(db).count("alert.superseded") == (state == "superseded")


@pytest.mark.parametrize(("rows", "state"), [(True, "superseded"), (False, "held")])
def test_a_request_is_replaced_as_soon_as_its_rows_are_there(rows: bool, state: str, db: Connection) -> None:
    """A held alert whose deliveries were all replaced is not released to nobody, whether or not they are noted as written."""
    held = alert("website", name="end", purpose=Purpose.ALL_CLEAR, state=S.HELD)
    store.write_alert(db, held, released_at=None)
    store.write_rows(db, held, held.plan if rows else (), None)
    written(db, alert("website", name="a9", purpose=Purpose.UPDATE, revision=9))
    record = queries.alert_record(db, held.id)
    assert record is not None
    assert record.state == state


def test_a_release_is_counted_once_a_person(db: Connection) -> None:
    """The same person counts once however often they release; a rejection is no release, and after ten minutes none is."""
    written(db, alert(state=S.HELD), released=False)
    for person in ("anna", "anna", "ben"):
        store.write_release(db, AlertId("a1"), person, "release", NOW)
    store.write_release(db, AlertId("a1"), "cleo", "reject", NOW)
    assert standing.given(db, AlertId("a1"), moment(9)) == {"anna", "ben"}
    assert standing.given(db, AlertId("a1"), moment(10)) == set()


def test_a_release_lets_everything_out(db: Connection) -> None:
    """A release queues all held deliveries with a deadline counted from now and supersedes what the alert replaces."""
    written(db, alert("website", "elsewhere"))
    held = alert("website", "facebook-leer", name="a2", purpose=Purpose.UPDATE, revision=2, state=S.HELD)
    written(db, held, released=False)
    assert states(db, alert=AlertId("a1")) == {"a1:website": "queued", "a1:elsewhere": "queued"}
    for _ in range(2):
        store.release_alert(db, held, moment(7))
    assert states(db) == {
        "a1:website": "superseded", "a1:elsewhere": "queued", "a2:website": "queued", "a2:facebook-leer": "queued",
    }  # fmt: skip
    found = queries.delivery(db, DeliveryId("a2:website"))
    assert found is not None
    assert (found.released_at, found.due_at, found.deadline_at) == (moment(7), moment(7), moment(27))
    record = queries.alert_record(db, held.id)
    assert record is not None
    assert (record.state, record.released_at) == ("released", moment(7))


def test_a_rejection_ends_it(db: Connection) -> None:
    """A rejected alert and all its deliveries are over, with the reason."""
    held = written(db, alert("website", "facebook-leer", state=S.HELD), released=False)
    for _ in range(2):
        store.end_held(db, held, NOW, state="rejected", detail="rejected")
    assert set(states(db).values()) == {"cancelled"}
    record = queries.alert_record(db, held.id)
    assert record is not None
    assert record.state == "rejected"
    found = queries.delivery(db, DeliveryId("a1:website"))
    assert found is not None
    assert found.reason is Reason.CANCELLED


def test_an_incident_has_ended_when_its_last_word_was_an_end(db: Connection) -> None:
    """The latest text that went out says whether an incident has ended; what is held says nothing."""
    told = [
        (alert(state=S.HELD), False), (alert(name="a2", revision=2), False),
        (replace(end("website", revision=3), id=AlertId("held")), False), (end("website", revision=4), True),
        (alert(name="a5", revision=5, state=S.HELD), True), (alert(name="a6", revision=6), False),
    ]  # fmt: skip
    store.record_event(db, entry())
    for found, ended in told:
        written(db, found, released=not (found.held or found.id == "held"))
        assert queries.history(db, INCIDENT).ended is ended


def test_lanes_tell_who_carried_what(db: Connection) -> None:
    """A lane carried a text for certain, perhaps, or not at all, by the states and doubts of all its deliveries."""
    names = ("accepted", "visible", "in_doubt", "by_hand", "failed", "queued", "sending")
    written(db, alert(*names, "marked", state=S.SENDING))
    for name in names[:-1]:
        moved(db, name, S(name))
    moved(db, "marked", S.FAILED, doubtful=True)
    lanes = queries.lanes(db, INCIDENT)
    assert {c for c, lane in lanes.items() if lane.carried} == {"accepted", "visible"}
    assert {c for c, lane in lanes.items() if lane.may_have_carried} == {"in_doubt", "by_hand", "sending", "marked"}
    assert set(lanes) == {*names, "marked"}


def test_a_plan_counts_before_its_rows_are_written(db: Connection) -> None:
    """Between an alert's commit and its rows, its plan tells what may be on its way."""
    plan = (*alert("started", state=S.SENDING).plan, *alert("waiting").plan)
    store.write_alert(db, alert(plan=plan), released_at=NOW)
    lanes = queries.lanes(db, INCIDENT)
    assert {c: lane.may_have_carried for c, lane in lanes.items()} == {"started": True, "waiting": False}
    assert [record.alert.id for record in queries.unwritten_alerts(db)] == ["a1"]
    store.finish_rows(db, AlertId("a1"))
    assert queries.unwritten_alerts(db) == []


def test_a_restart_finds_what_is_open(db: Connection) -> None:
    """What is queued or was under way is found with its alert, ends first; what waits for a channel that is gone, too."""
    written(db, alert("queued", "sending", state=S.SENDING))
    moved(db, "queued", S.QUEUED)
    written(db, alert("held", "gone", name="a2", state=S.HELD, incident=IncidentId("i2")), released=False)
    written(db, end("website", revision=0))
    queued = queries.in_state(db, S.QUEUED)
    assert [*queued.items()] == [("end:website", ("i1", "website")), ("a1:queued", ("i1", "queued"))]
    assert queries.in_state(db, S.SENDING) == {"a1:sending": ("i1", "sending")}
    moved(db, "queued", S.SENDING)
    found = [(one.id, whose.id) for one, whose in queries.still_in_state(db, S.QUEUED, [*queued])]
    assert found == [("end:website", "end")]
    here = [ChannelId(name) for name in ("queued", "sending", "held", "website")]
    assert [(one.id, whose.id) for one, whose in queries.stranded(db, here)] == [("a2:gone", "a2")]


def test_only_released_ends_forbid(db: Connection) -> None:
    """For each incident the revision of its last released end is found; a held end forbids nothing."""
    written(db, end("website", revision=3))
    written(db, replace(end("website", revision=7), id=AlertId("held")), released=False)
    written(db, alert(incident=IncidentId("i2"), name="a2"))
    assert queries.ended_revisions(db) == {"i1": 3}


def test_incidents_move_by_revision(db: Connection) -> None:
    """A change of an incident needs its present revision, and closing it is seen."""
    store.record_event(db, entry())
    store.bump_incident(db, INCIDENT, 1, NOW, open=False)
    with pytest.raises(Stale):
        store.bump_incident(db, INCIDENT, 1, NOW)
    assert (queries.history(db, INCIDENT).revision, queries.history(db, INCIDENT).open) == (2, False)
    store.bump_incident(db, INCIDENT, 2, NOW, open=True)
    store.close_incident(db, INCIDENT, NOW)
    assert not queries.history(db, INCIDENT).open
    assert kinds(db)[-1] == "incident.closed"


def test_incidents_are_listed_with_counts(db: Connection) -> None:
    """The list of incidents is newest first and counts each one's deliveries by state."""
    store.record_event(db, entry())
    later = replace(entry(id="2", incident=ROW), event=event(id="2", incident="i2"), received_at=moment(1))
    store.record_event(db, later)
    written(db, alert("website", "facebook-leer"))
    moved(db, "website", S.CANCELLED)
    found = queries.incidents(db)
    assert [one["id"] for one in found] == ["i2", "i1"]
    assert found[1]["deliveries"] == {"queued": 1, "cancelled": 1}
    one = queries.incident(db, INCIDENT)
    assert one is not None
    assert (one["facts"], one["covered"], one["opened_at"]) == ({"gate": "Nord"}, ["fire"], NOW)
    assert queries.incident(db, IncidentId("unknown")) is None


def test_deliveries_and_alerts_are_filtered(db: Connection) -> None:
    """Lists answer to every filter, and open means not ended."""
    written(db, alert("website", "facebook-leer"))
    written(db, alert("website", name="a2", state=S.HELD, created_at=moment(1)), released=False)
    moved(db, "website", S.CANCELLED)
    assert set(states(db, channel=ChannelId("website"))) == {"a1:website", "a2:website"}
    assert set(states(db, open_only=True)) == {"a1:facebook-leer", "a2:website"}
    assert set(states(db, state=S.HELD)) == {"a2:website"}
    assert len(states(db, limit=1)) == 1
    assert [record.alert.id for record in queries.alert_records(db)] == ["a2", "a1"]
    assert [record.alert.id for record in queries.alert_records(db, state="held")] == ["a2"]
    assert queries.alert_records(db, incident=IncidentId("i2")) == []


def test_facts_are_strictly_ordered(db: Connection) -> None:
    """Facts have rising numbers without end, and reading on from any of them gives all that follow, in order."""
    store.add_facts(db, NOW, ((f"kind.{n}", "ref", {"n": n}) for n in range(10)))
    last = store.add_fact(db, NOW, "last", "ref", name="ü")
    found = queries.facts_after(db, 0)
    numbers = [fact.seq for fact in found]
    assert numbers == sorted(set(numbers))
    assert (numbers[-1], queries.last_seq(db), found[-1].body, found[-1].at) == (last, last, {"name": "ü"}, NOW)
    assert queries.facts_after(db, numbers[4]) == found[5:]
    assert queries.facts_after(db, 0, limit=3) == found[:3]
    db.exec_driver_sql("DELETE FROM facts")
    assert store.add_fact(db, NOW, "after", "ref") > last  # a number is never used twice
    store.add_facts(db, NOW, [])


def test_a_journal_belongs_to_one_realm(db: Connection) -> None:
    """The first daemon binds the journal to its realm; one of the other realm is refused."""
    store.claim_realm(db, "exercise")
    store.claim_realm(db, "exercise")
    with pytest.raises(ConfigurationError, match="belongs to realm exercise, not live"):
        store.claim_realm(db, "live")
    assert queries.meta(db, "realm") == "exercise"


def test_times_are_kept_to_the_microsecond(db: Connection) -> None:
    """A time comes back as the same instant, before 1970 as well as far ahead."""
    for at in (NOW + timedelta(microseconds=1), NOW - timedelta(days=40_000), NOW + timedelta(days=400_000)):
        seq = store.add_fact(db, at, "kind", "ref")
        assert queries.facts_after(db, seq - 1)[0].at == at


def test_many_ids_are_asked_for_in_pieces(db: Connection) -> None:
    """However many deliveries are asked for at once, the database is asked in pieces it can take."""
    names = [f"c{number}" for number in range(1_203)]
    written(db, alert(*names))
    found = steps.states_of(db, [f"a1:{name}" for name in [*names, "unknown"]])
    assert found == {f"a1:{name}": (S.QUEUED, 0) for name in names}
