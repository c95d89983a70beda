"""Who may speak where, and what two persons have to let out: pure, by the sender's level and the people's regions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from house import NOW, REGIONS, deployment, event, playbook, road

from dispatcher.cli.preview import Request, compose_alert
from dispatcher.model.alert import Alert, Purpose
from dispatcher.model.cap import Realm, RegionId
from dispatcher.model.command import Release
from dispatcher.model.delivery import IncidentId
from dispatcher.model.deployment import Deployment, Level, Sender
from dispatcher.model.errors import Forbidden
from dispatcher.model.incident import IncidentHistory, LaneHistory
from dispatcher.model.people import Person, Roster
from dispatcher.model.rights import beyond, reach, reaches_everybody, refusal
from dispatcher.plan.compose import WIDEST
from dispatcher.plan.event import Plan, plan_event
from dispatcher.settings import load

LEER, EMDEN, AURICH = (region.id for region in REGIONS)
ALL = (LEER, EMDEN, AURICH)
IDS = [str(region) for region in ALL]


def people(**regions: tuple[RegionId, ...]) -> Roster:
    """Persons with their regions."""
    return Roster(people={name: Person(name=name, regions=frozenset(where)) for name, where in regions.items()})


def of(level: Level, *playbooks: object, **changes: object) -> Deployment:
    """A deployment of that level, where anna speaks for Leer and ben for everything."""
    usual = {"sender": Sender(name="Polizei", level=level), "roster": people(anna=(LEER,), ben=())}
    return deployment(*playbooks, **{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["regional", "national"])
@pytest.mark.parametrize(
    ("person", "regions", "wrong"),
    [
        ("anna", (LEER,), ()), ("anna", (LEER, EMDEN), (EMDEN,)), ("anna", ALL, (EMDEN, AURICH)), ("anna", (), ()),
        ("Anna", (EMDEN,), (EMDEN,)), ("ben", ALL, ()), ("cem", ALL, ()),
    ],
)  # fmt: skip
def test_people_speak_in_their_regions(
    level: Level, person: str, regions: tuple[RegionId, ...], wrong: tuple[RegionId, ...]
) -> None:
    """What does not lie wholly in a person's regions is beyond them; who has none, or is not among people, speaks anywhere."""
    assert beyond(person, regions, of(level)) == wrong
    assert bool(refusal(person, regions, of(level))) is bool(wrong)
    assert beyond(person, regions, of("local")) == ()


@pytest.mark.parametrize(
    ("person", "roster", "said"),
    [
        ("anna", people(anna=(LEER,), ben=(), cem=(EMDEN,)), "beyond your regions (Landkreis Leer): Stadt Emden; ask ben or cem"),
        ("anna", people(anna=(LEER,)), "beyond your regions (Landkreis Leer): Stadt Emden; ask whoever has no regions"),
        ("ben", Roster(people={"ben": Person(name="ben", astray=True)}),
         "beyond your regions (none of those configured): Stadt Emden; ask whoever has no regions"),
    ],
)  # fmt: skip
def test_a_refusal_says_whom_to_ask(person: str, roster: Roster, said: str) -> None:
    """It names the person's regions, what lies beyond them, and those who may speak there."""
    assert refusal(person, (EMDEN,), of("regional", roster=roster)) == said


@pytest.mark.parametrize(("rule", "heard"), [("affected", (LEER,)), ("all", ALL)])
def test_a_playbook_that_calls_all_channels_is_heard_everywhere(rule: str, heard: tuple[RegionId, ...]) -> None:
    """What counts is where words are heard, not where the incident is."""
    assert reach(playbook(channels={"regions": rule}), (LEER,), of("regional")) == heard


@pytest.mark.parametrize(
    ("level", "regions", "changes", "widest"),
    [
        ("national", ALL, {}, True), ("national", (*ALL, "gone"), {}, True), ("national", (LEER, EMDEN), {}, False),
        ("regional", ALL, {}, False), ("local", ALL, {}, False), ("national", ALL, {"realm": Realm.EXERCISE}, False),
        ("national", (LEER,), {"regions": REGIONS[:1]}, False),
    ],
)  # fmt: skip
def test_what_reaches_everybody(
    level: Level, regions: tuple[RegionId, ...], changes: dict[str, object], widest: bool
) -> None:
    """Only a national sender's whole territory of several regions is the widest reach, and no exercise."""
    assert reaches_everybody(regions, of(level, **changes)) is widest


def planned(where: Deployment, history: IncidentHistory | None = None, **changes: object) -> Plan:
    """An event's plan; without more it concerns every region."""
    found = event(**{"area": {"regions": IDS}, **changes})  # type: ignore[arg-type]
    return plan_event(found, where, history or IncidentHistory(id=IncidentId("i1")), NOW)


def alert_of(plan: Plan) -> Alert:
    """What it says."""
    assert plan.alert is not None
    return plan.alert


@pytest.mark.parametrize("release", ["automatic", "one_person", "two_persons"])
@pytest.mark.parametrize("source", ["control-room", "operator:ben"])
def test_the_widest_alert_needs_two_persons(release: str, source: str) -> None:
    """Whatever its playbook says and whoever asks, it waits for two, and the alert, its page and its notes say why."""
    plan = planned(of("national", playbook(release=release)), source=source)
    alert = alert_of(plan)
    assert (alert.people, alert.held, alert.widest) == (2, True, True)
    assert [str(page.cause) for page in plan.pages] == ["widest"]
    assert WIDEST in plan.notes
    assert WIDEST in plan.pages[0].lines


def test_a_smaller_alert_goes_by_its_playbook() -> None:
    """One region less, or another level, and an automatic alert goes out by itself."""
    for where, regions in ((of("national"), IDS[:2]), (of("regional"), IDS)):
        alert = alert_of(planned(where, area={"regions": regions}))
        assert (alert.people, alert.held, alert.widest) == (0, False, False)


@pytest.mark.parametrize(("heard", "people_needed"), [(False, 2), (True, 0)])
def test_a_second_report_is_no_way_round(heard: bool, people_needed: int) -> None:
    """As long as nobody has heard anything an update is the first word as well; after that it goes by its playbook."""
    where = of("national")
    lanes = {name: LaneHistory(carried=True) for name in where.channels} if heard else {}
    history = IncidentHistory(
        id=IncidentId("i1"), revision=1, open=True, playbook=where.playbooks[0].id, regions=ALL, lanes=lanes
    )
    for changes in ({}, {"msg_type": "update"}):
        alert = alert_of(planned(where, history, **changes))
        assert (alert.purpose, alert.people, alert.held) == (Purpose.UPDATE, people_needed, not heard)


@pytest.mark.parametrize("reason", ["", "false_alarm"])
def test_the_widest_end_needs_one_person(reason: str) -> None:
    """Ends go by the rule of ends, however far the alert went."""
    where = of("national", playbook(release="two_persons"))
    history = IncidentHistory(
        id=IncidentId("i1"), revision=1, open=True, playbook=where.playbooks[0].id, regions=ALL,
        lanes={name: LaneHistory(carried=True) for name in where.channels},
    )  # fmt: skip
    alert = alert_of(planned(where, history, msg_type="cancel", reason=reason or None))
    assert (alert.people, alert.widest) == (1, False)


@pytest.mark.parametrize(("purpose", "told"), [("alert", True), ("update", False), ("all_clear", False)])
def test_a_preview_tells_the_same(purpose: str, told: bool) -> None:
    """`dispatcher preview` of the widest alert says that two persons release it; of what follows it does not."""
    alert, notes = compose_alert(Request(playbook="amok", purpose=purpose), of("national"), NOW)
    assert (WIDEST in notes, alert.people == 2) == (told, told)


def test_regions_that_are_none_give_nobody_more(tmp_path: Path) -> None:
    """Who was given only regions that we do not know may speak nowhere, and is paged about everything all the same."""
    (tmp_path / "dispatcher.yaml").write_text(
        "realm: live\nsender: {name: Polizei, level: regional}\nregions: [{id: leer, name: Leer}, {id: emden, name: Emden}]\n"
        "channels: {desk: {kind: by_hand, audience: staff}}\n"
        "people: {anna: {regions: [lehr]}, ben: {regions: [leer, lehr]}, cem: {}}\n"
    )
    found = load(tmp_path / "dispatcher.yaml")
    assert [problem.field for problem in found.problems] == ["people.anna.regions", "people.ben.regions"]
    for name, wrong in (("anna", (LEER, EMDEN)), ("ben", (EMDEN,)), ("cem", ())):
        assert beyond(name, (LEER, EMDEN), found.deployment) == wrong
    assert found.deployment.roster.people["anna"].minds([LEER])


def test_what_two_persons_read_may_say_the_place() -> None:
    """An automatic playbook keeps back a place that nobody has read; the widest alert is read before it goes out."""
    book = playbook(public_place=False)
    for regions, unseen in ((IDS, False), (IDS[:2], True)):
        assert alert_of(planned(of("national", book), area={"regions": regions})).unseen_place is unseen


async def test_words_heard_everywhere_need_a_right_everywhere(tmp_path: Path) -> None:
    """Who speaks for one region neither triggers nor releases what a playbook says on the channels of all."""
    where = of("regional", playbook(release="one_person", channels={"regions": "all"}))
    assert planned(where, source="operator:anna", area={"regions": ["leer"]}).state == "forbidden"
    async with road(tmp_path, where) as found:
        await found.receive()
        held, digest = await found.held()
        with pytest.raises(Forbidden, match="Stadt Emden, Landkreis Aurich; ask ben, or give break_glass"):
            await found.pipeline.command(Release(person="anna", alert=held, digest=digest))


async def test_two_persons_let_the_widest_alert_out(tmp_path: Path) -> None:
    """The first release keeps it waiting, the second lets it out; another region's update later goes out by itself."""
    where = replace(of("national"), roster=people(ben=(), cem=()))
    async with road(tmp_path, where) as found:
        await found.receive(area={"regions": IDS})
        held, digest = await found.held()
        for person, said in (("ben", 0), ("cem", 1)):
            await found.pipeline.command(Release(person=person, alert=held, digest=digest))
            await found.quiet()
            assert len(found.said("website")) == said
        found.push(timedelta(minutes=1))
        await found.receive(id="2", msg_type="update", area={"regions": IDS}, sent=found.clock.now().isoformat())
        await found.quiet()
        assert found.said("website") == [(Purpose.ALERT, "i1"), (Purpose.UPDATE, "i1")]
        assert await found.pages() == ["widest"]
