"""From an event to a plan: who says what, who is paged, and what a release is bound to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from house import CHANNELS, LEER, NOW, REGIONS, alert, channel, deployment, event, playbook

from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.cap import MsgType, Realm, RegionId, Severity, Status
from dispatcher.model.channel import Audience, ChannelId
from dispatcher.model.delivery import DeliveryState, IncidentId
from dispatcher.model.deployment import Deployment
from dispatcher.model.incident import IncidentEvent, IncidentHistory, LaneHistory
from dispatcher.model.playbook import PlaybookId, Release
from dispatcher.plan.event import Plan, plan_event
from dispatcher.plan.pages import Cause, Page, compose_page, short_code

NEW = IncidentHistory(id=IncidentId("i1"))
CARRIED, MAYBE, WAITING = LaneHistory(carried=True), LaneHistory(may_have_carried=True), LaneHistory()
FAR_TOO_OLD = (NOW - timedelta(minutes=10, seconds=1)).isoformat()


def history(**lanes: LaneHistory) -> IncidentHistory:
    """An open amok in Leer with these lanes; ``_`` stands for ``-`` in a channel's name."""
    return IncidentHistory(
        id=IncidentId("i1"), revision=4, open=True, playbook=PlaybookId("amok"), kind="amok", place="Markt",
        regions=("leer",), severity=Severity.SEVERE, facts={"gate": "Nord"},
        lanes={ChannelId(name.replace("_", "-")): lane for name, lane in lanes.items()},
    )  # fmt: skip


SPOKEN = history(website=CARRIED, facebook_emden=MAYBE, whatsapp_leer=WAITING)


def planned(found: IncidentEvent, known: IncidentHistory = NEW, where: Deployment | None = None) -> Plan:
    """What an event leads to now."""
    return plan_event(found, where or deployment(), known, NOW)


def said(plan: Plan) -> Alert:
    """The alert of a plan."""
    assert plan.alert is not None
    return plan.alert


def channels(plan: Plan) -> set[str]:
    """Where it is said."""
    return {str(entry.channel) for entry in said(plan).plan}


def causes(plan: Plan) -> list[str]:
    """Why people are paged."""
    return [str(page.cause) for page in plan.pages]


def test_an_alert_goes_to_the_affected_regions_only() -> None:
    """Channels of the affected region and those of the whole territory speak, nobody else, and never staff."""
    plan = planned(event())
    assert (channels(plan), said(plan).regions, causes(plan)) == (LEER, ("leer",), [])
    assert {entry.state for entry in said(plan).plan} == {DeliveryState.QUEUED}
    assert channels(planned(event(area={"regions": ["emden", "03452"]}))) == {"facebook-emden", "website"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"regions": "all"}, LEER | {"facebook-emden"}),
        ({"kinds": ["facebook"]}, {"facebook-leer"}),
        ({"only": ["website", "facebook-emden"]}, {"website"}),
        ({"audiences": ["staff", "public"]}, LEER | {"duty-team"}),
    ],
)
def test_a_playbook_narrows_its_channels(rule: dict[str, Any], expected: set[str]) -> None:
    """A playbook's rule for channels holds: region, audience, kind and id."""
    assert channels(planned(event(), where=deployment(playbook(channels=rule)))) == expected


def test_an_alert_carries_what_its_event_said() -> None:
    """Severity, place, expiry, revision and the reason of the choice are frozen into the alert."""
    later = NOW + timedelta(minutes=5)
    found = said(planned(event(severity="moderate", expires=later.isoformat())))
    assert (found.severity, found.place, found.expires_at) == (Severity.MODERATE, "Schule am Deich", later)
    assert (found.revision, found.incident, found.purpose) == (1, "i1", Purpose.ALERT)
    assert (found.reason, found.people, found.created_at) == ("kind amok, severity moderate", 0, NOW)
    assert (found.status, found.realm, found.requested_by) == (Status.ACTUAL, Realm.LIVE, "")
    assert said(planned(event())).severity is Severity.EXTREME  # the playbook's, where the event is silent


def test_one_playbook_speaks_and_covers_the_others() -> None:
    """Of all playbooks that match, the first by priority speaks; the others are recorded as covered."""
    books = [playbook(name, priority=n, match={"kind": ["amok"]}) for n, name in enumerate(["b", "a"], 1)]
    found = said(planned(event(), where=deployment(*books)))
    assert (found.playbook, found.covers) == ("b", ("a",))


def test_an_alert_that_comes_again_is_an_update() -> None:
    """Another alert about an open incident that the same playbook answers is an update, not a second alert."""
    found = said(planned(event(id="2", place="Bahnhof"), SPOKEN))
    assert (found.purpose, found.revision, found.place) == (Purpose.UPDATE, 5, "Bahnhof")


def test_another_playbook_speaks_anew() -> None:
    """An alert about an open incident that another playbook answers is an alert of its own."""
    books = (playbook("amok"), playbook("terror", priority=1))
    found = said(planned(event(kind="terror"), SPOKEN, deployment(*books)))
    assert (found.purpose, found.playbook) == (Purpose.ALERT, "terror")


def test_an_update_reaches_all_who_heard_and_all_who_should() -> None:
    """An update goes to every channel that carried or may have carried a text, and to those of the area as it is now."""
    update = {"msg_type": "update", "area": None}
    assert channels(planned(event(**update), SPOKEN)) == LEER | {"facebook-emden"}
    assert channels(planned(event(**update), history(website=CARRIED))) == LEER
    wider = planned(event(msg_type="update", area={"regions": ["emden"]}), history(website=CARRIED))
    assert channels(wider) == LEER | {"facebook-emden"}
    assert said(wider).regions == ("leer", "emden")


def test_an_update_says_where_it_follows() -> None:
    """Whoever carried a text gets the follow-up, whoever hears of it first the full text."""
    follows = {str(p.channel): p.follows for p in said(planned(event(msg_type="update"), SPOKEN)).plan}
    assert follows == {"website": True, "facebook-emden": True, "whatsapp-leer": False, "facebook-leer": False}


def test_an_update_inherits_what_it_does_not_say() -> None:
    """Place, area, severity and facts of an update are the incident's, where it is silent, whatever severity it says."""
    plan = planned(event(msg_type="update", place=None, area={"regions": ["leer"]}, facts={"n": 1}, kind="x"), SPOKEN)
    assert plan.speech is not None
    assert (said(plan).place, said(plan).regions, said(plan).severity) == ("Markt", ("leer",), Severity.SEVERE)
    assert plan.speech.facts == {"gate": "Nord", "n": 1}


@pytest.mark.parametrize("area", [{"regions": ["atlantis"]}, {"point": [7.4, 53.2]}])
def test_an_update_with_an_unknown_area_is_said_and_asked_about(area: dict[str, Any]) -> None:
    """An update whose new area nobody knows goes out for the area it had, and a person is asked."""
    plan = planned(event(msg_type="update", area=area), history(website=CARRIED))
    assert (channels(plan), said(plan).regions, causes(plan)) == (LEER, ("leer",), ["no_area"])


@pytest.mark.parametrize("msg_type", ["update", "cancel"])
@pytest.mark.parametrize("known", [NEW, replace(SPOKEN, open=False), replace(SPOKEN, playbook=None)])
def test_word_on_an_incident_that_is_not_open_is_paged(msg_type: str, known: IncidentHistory) -> None:
    """An update or cancel of what was never heard of, has ended or has no playbook says nothing and pages."""
    plan = planned(event(msg_type=msg_type), known)
    assert (plan.alert, plan.open, causes(plan)) == (None, None, ["unknown_incident"])


@pytest.mark.parametrize(
    ("reason", "purpose"), [(None, Purpose.ALL_CLEAR), ("false_alarm", Purpose.FALSE_ALARM), ("x", Purpose.ALL_CLEAR)]
)
@pytest.mark.parametrize("source", ["control-room", "operator:anna"])
def test_a_cancel_holds_the_end_and_pages(reason: str | None, purpose: Purpose, source: str) -> None:
    """A cancel event ends nothing: the end it asks for is prepared, held for a person and paged."""
    plan = planned(event(source, msg_type="cancel", reason=reason), SPOKEN)
    assert (said(plan).purpose, plan.open, causes(plan)) == (purpose, True, ["held"])
    assert {entry.state for entry in said(plan).plan} == {DeliveryState.HELD}
    assert said(plan).people >= 1


def test_an_end_goes_exactly_where_something_may_stand() -> None:
    """An end goes to every channel that carried or may have carried a text, whatever area, and to no other."""
    plan = planned(event(msg_type="cancel", area={"regions": ["aurich"]}), SPOKEN)
    assert channels(plan) == {"website", "facebook-emden"}
    assert said(plan).purpose.msg_type is MsgType.CANCEL
    assert said(plan).deliver_within == timedelta(hours=24)
    assert said(plan).rank == 0


def test_a_cancel_where_nothing_was_said_pages() -> None:
    """Where no channel carried anything, a machine's cancel has nothing to say and a person is told."""
    plan = planned(event(msg_type="cancel"), history(website=WAITING))
    assert (plan.alert, plan.open, causes(plan)) == (None, True, ["withdrawn"])


@pytest.mark.parametrize(("sent", "held"), [(FAR_TOO_OLD, True), ((NOW - timedelta(minutes=10)).isoformat(), False)])
def test_an_old_event_waits_for_a_person(sent: str, *, held: bool) -> None:
    """An alert older than the limit is held whatever the playbook allows, and paged once."""
    plan = planned(event(sent=sent))
    assert (said(plan).held, said(plan).people, causes(plan)) == (held, int(held), ["stale"] if held else [])


@pytest.mark.parametrize(("minutes", "held"), [(-1, True), (0, True), (1, False)])
def test_an_expired_event_waits_for_a_person(minutes: int, *, held: bool) -> None:
    """An alert that is over when it comes is held and paged as one that is too old."""
    plan = planned(event(expires=(NOW + timedelta(minutes=minutes)).isoformat()))
    assert (said(plan).held, causes(plan)) == (held, ["stale"] if held else [])


def test_a_persons_event_is_never_stale() -> None:
    """What a person triggers goes out however old its time is."""
    plan = planned(event("operator:anna", sent=FAR_TOO_OLD))
    assert not said(plan).held


def test_a_machine_reopens_nothing_by_itself() -> None:
    """A machine's alert or update on an incident whose last word was an end is held and paged; a person's is not held."""
    ended = replace(SPOKEN, open=False, ended=True)
    plan = planned(event(id="2"), ended)
    assert (said(plan).held, said(plan).purpose, plan.open, causes(plan)) == (True, Purpose.ALERT, True, ["held"])
    assert not said(planned(event("operator:anna", id="2"), ended)).held
    reopened = replace(ended, open=True)  # by an alert that is held itself
    for msg_type in ("alert", "update"):
        assert said(planned(event(id="3", msg_type=msg_type), reopened)).held
        assert not said(planned(event("operator:anna", id="3", msg_type=msg_type), reopened)).held
    assert not said(planned(event(id="2"), replace(NEW, revision=1))).held  # known, but nothing was ever said


@pytest.mark.parametrize(
    ("realm", "status"), [(Realm.LIVE, "exercise"), (Realm.LIVE, "test"), (Realm.EXERCISE, "actual")]
)
@pytest.mark.parametrize("msg_type", list(MsgType))
def test_the_wrong_realm_is_refused(realm: Realm, status: str, msg_type: str) -> None:
    """What belongs to the other realm is refused, touches nothing and is paged."""
    plan = planned(event(status=status, msg_type=msg_type), SPOKEN, deployment(realm=realm))
    assert (plan.state, plan.alert, plan.open, causes(plan)) == ("refused", None, None, ["refused"])
    assert plan.notes == (f"status {status} does not enter realm {realm}",)


@pytest.mark.parametrize("status", ["exercise", "test"])
def test_an_exercise_says_so(status: str) -> None:
    """Whatever an exercise daemon says has status Exercise and never Actual."""
    found = said(planned(event(status=status), where=deployment(realm=Realm.EXERCISE)))
    assert (found.status, found.realm) == (Status.EXERCISE, Realm.EXERCISE)


@pytest.mark.parametrize("area", [None, {"regions": ["atlantis"]}, {"circle": [7.4, 53.2, 1]}, "everywhere", {}])
def test_an_unknown_area_is_asked_about(area: Any) -> None:
    """Without an area that is known nothing is said: a person is asked, and told which regions there are."""
    plan = planned(event(area=area))
    assert (plan.alert, causes(plan)) == (None, ["no_area"])
    assert all(region.name in str(plan.pages[0].lines) for region in REGIONS)


def test_what_calls_no_playbook_is_paged() -> None:
    """An event that no playbook answers says nothing and pages, with every playbook's reason."""
    plan = planned(event(kind="flood"))
    assert (plan.alert, plan.open, causes(plan)) == (None, False, ["nothing_matched"])
    assert "amok: no, kind flood is none of amok" in plan.pages[0].lines
    assert "amok: no, kind flood is none of amok" in plan.notes


def test_a_plan_without_channels_is_paged() -> None:
    """Where a playbook speaks but no channel serves the place, a person is told."""
    where = deployment(channels=(channel("facebook-emden", "emden"), CHANNELS[-1]))
    plan = planned(event(), where=where)
    assert (plan.alert, plan.open, causes(plan)) == (None, True, ["no_channel"])


@pytest.mark.parametrize(
    ("release", "source", "held"),
    [
        ("automatic", "control-room", False),
        ("one_person", "control-room", True),
        ("one_person", "operator:anna", False),
        ("two_persons", "control-room", True),
        ("two_persons", "operator:anna", True),
    ],
)
def test_a_persons_trigger_is_the_first_release(release: str, source: str, *, held: bool) -> None:
    """A person's trigger counts as the first of the people needed; a machine's as none; what is held is paged."""
    plan = planned(event(source), where=deployment(playbook(release=release)))
    assert (said(plan).held, causes(plan)) == (held, ["held"] if held else [])
    assert said(plan).requested_by == ("anna" if source != "control-room" else "")


@pytest.mark.parametrize(("source", "told"), [("control-room", False), ("operator:anna", True)])
def test_what_no_person_read_is_not_told(source: str, *, told: bool) -> None:
    """Without a person only facts declared public are told; what a person says is told as they say it."""
    text = {"headline": "x", "long": "Tor {{ gate }}.", "short": "x"}
    texts = playbook().model_dump()["texts"] | {"alert": {"de": text}}
    book = playbook(facts={"gate": {"sample": "Nord"}}, texts=texts)
    found = said(planned(event(source, facts={"gate": "Süd"}), where=deployment(book)))
    assert all(("Tor Süd." in texts.first.body) is told for texts in found.texts.values())


def test_an_exercise_may_release_by_itself() -> None:
    """The override of exercises replaces the playbook's rule for alerts, not for ends."""
    where = deployment(playbook(release="two_persons"), release_override=Release.AUTOMATIC)
    assert not said(planned(event(), where=where)).held
    assert said(planned(event(msg_type="cancel"), SPOKEN, where)).held


def test_warnings_and_verdicts_are_noted() -> None:
    """What was odd about an event and why which playbook spoke stands in the plan's notes."""
    notes = planned(event(colour="red")).notes
    assert notes[:2] == ("colour: unknown field, kept", "amok: yes, kind amok, severity not said")


BOUND = alert("website", "facebook-leer")
TEXTS = next(iter(BOUND.texts.values()))
OTHER = replace(TEXTS, first=replace(TEXTS.first, body="another text"))


@pytest.mark.parametrize(
    "changes",
    [
        {"texts": {TEXTS.key: OTHER}},
        {"texts": {TEXTS.key: replace(TEXTS, repetition=OTHER.first)}},
        {"texts": {TEXTS.key: replace(TEXTS, first=replace(TEXTS.first, languages=("de", "en")))}},
        {"plan": BOUND.plan[:1]},
        {"plan": (*BOUND.plan, replace(BOUND.plan[0], channel=ChannelId("new")))},
        {"regions": (RegionId("leer"), RegionId("emden"))},
        {"realm": Realm.EXERCISE},
        {"deliver_within": timedelta(minutes=21)},
        {"expires_at": NOW},
    ],
)
def test_the_digest_binds_what_is_released(changes: dict[str, Any]) -> None:
    """Another text, language, channel, area, realm or deadline is another digest."""
    assert replace(BOUND, **changes).digest != BOUND.digest


def test_the_digest_does_not_see_what_is_not_bound() -> None:
    """States, order of channels, time and code do not change what was released."""
    same = replace(
        BOUND, plan=tuple(replace(entry, state=DeliveryState.SENDING) for entry in reversed(BOUND.plan)),
        created_at=NOW + timedelta(1), code="ABC-10",
    )  # fmt: skip
    assert same.digest == BOUND.digest


def test_an_alert_survives_the_journal() -> None:
    """An alert read back from its JSON is the same, digest and all."""
    found = said(planned(event(expires=(NOW + timedelta(1)).isoformat())))
    assert Alert.from_json(found.to_json()) == found
    assert Alert.from_json(found.to_json()).digest == found.digest


def test_ids_and_codes_are_the_same_for_the_same_event() -> None:
    """A plan made twice has one id and one code; another event or purpose has others."""
    first, second = said(planned(event())), said(planned(event()))
    assert (first.id, first.code, first.digest) == (second.id, second.code, second.digest)
    others = [said(planned(event(id="2"))), said(planned(event(msg_type="update"), SPOKEN)),
              said(planned(event("fire-brigade")))]  # fmt: skip
    assert len({first.id, *(other.id for other in others)}) == 4
    assert first.code == short_code(first.id)


def test_codes_can_be_read_out() -> None:
    """A code is three letters that nobody mistakes and two digits; codes spread over what is possible."""
    codes = [short_code(said(planned(event(id=str(number)))).id) for number in range(50)]
    assert all(len(code) == 6 and code[3] == "-" and 10 <= int(code[4:]) <= 99 for code in codes)
    assert all(letter in "ACDEFHJKLMNPRTUVWXYZ" for code in codes for letter in code[:3])
    assert len(set(codes)) == 50


def test_a_page_goes_to_staff_at_once() -> None:
    """A page goes to every staff channel without a release, with what is wrong and the raw text."""
    page = compose_page(Page(Cause.NO_AREA, ("where?",)), b'{"place": "Leer"}\xff', deployment(), NOW, key="key")
    assert page is not None
    assert [(entry.channel, entry.state) for entry in page.plan] == [("duty-team", DeliveryState.QUEUED)]
    assert (page.purpose, page.people, page.rank, page.name) == (Purpose.PAGE, 0, 1, "no_area")
    body = page.texts[page.plan[0].text].first.body
    assert all(part in body for part in (Cause.NO_AREA.headline, "where?", '{"place": "Leer"}'))


def test_the_same_page_is_one() -> None:
    """The same cause for the same key is one page, any other is another."""
    keys = [("k", Cause.STALE), ("k", Cause.STALE), ("k", Cause.HELD), ("x", Cause.STALE)]
    pages = [compose_page(Page(cause), b"", deployment(), NOW, key=key) for key, cause in keys]
    ids = [page.id for page in pages if page is not None]
    assert (len(ids), ids[0] == ids[1], len(set(ids))) == (4, True, 3)


def test_without_staff_there_is_no_page() -> None:
    """A deployment that has no staff channel has nobody to page, which is an answer and no error."""
    only_public = deployment(channels=tuple(c for c in CHANNELS if c.audience is not Audience.STAFF))
    assert compose_page(Page(Cause.STALE), b"", only_public, NOW, key="key") is None


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_its_words(cause: Cause) -> None:
    """Each cause of a page is said in German and English."""
    assert cause.headline.count(" / ") == 1


def test_an_end_does_not_expire_with_its_event() -> None:
    """A cancel event's own time limits the event, not the end that it prepares."""
    soon = (NOW + timedelta(minutes=1)).isoformat()
    assert said(planned(event(msg_type="cancel", expires=soon), SPOKEN)).expires_at is None
    assert said(planned(event(msg_type="update", expires=soon), SPOKEN)).expires_at is not None


def test_an_unknown_severity_is_the_playbooks() -> None:
    """Where the event does not know how severe it is the playbook's severity counts: for the text and its release."""
    book = playbook(release={"extreme": "automatic", "minor": "two_persons"})
    found = said(planned(event(severity="unknown"), where=deployment(book)))
    assert (found.severity, found.held) == (Severity.EXTREME, False)
