"""Officers' own accounts: nothing without consent, nothing after its end, and nobody waits for anybody else's account."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from integration.own_accounts import LINE, Force, at_work, token_in, until, working, written

from dispatcher.model.delivery import Verb
from dispatcher.wall.app import running_wall
from dispatcher.wall.faults import Fault, FaultKind

HANGS, BROKEN = Fault(kind=FaultKind.HANG), Fault(kind=FaultKind.STATUS, status=503)


@pytest.fixture
async def force(tmp_path: Path) -> AsyncIterator[Force]:
    """A daemon with its wall."""
    async with at_work(tmp_path) as found:
        yield found


async def test_an_invitation_alone_says_nothing(force: Force) -> None:
    """Whoever was only invited hears nothing and says nothing, in any alert; the invitation is a fact, with its time."""
    links = await force.invite("4711", "4712")
    assert (await force.invite("4711"))["4711"] == links["4711"]
    await force.alarm()
    await force.quiet()
    assert {post.account for post in force.wall.board} == {"website"}
    assert await force.deliveries("4711") == []
    assert [one["person"] for one in await force.facts("account.invited")] == ["anna", "anna"]
    assert {one.standing for one in (await force.known()).values()} == {"invited"}


async def test_what_is_shared_comes_to_the_phone(force: Force) -> None:
    """Who agrees to share gets the official text under the line that asks for own words, and the end of it as well."""
    await force.share("4711")
    await force.alarm()
    await force.quiet()
    [official], [pushed] = force.shown("website"), force.shown("phone-of-4711")
    assert pushed.startswith(f"{LINE}\n")
    assert official.rpartition("\n")[2] in pushed
    await force.end()
    await force.quiet()
    assert await force.states("4711") == ["accepted", "accepted"]
    assert "all_clear: Hafen" in force.shown("phone-of-4711")[1]
    assert [one["way"] for one in await force.facts("account.consented")] == ["phone"]


async def test_what_is_automatic_appears_under_an_own_line(force: Force) -> None:
    """Who agrees to have it posted has the official text on the account, under the own line; corrections begin without it."""
    await force.auto("4711", "Moin aus Leer:")
    await force.alarm()
    await force.quiet()
    [post] = force.shown("token-of-4711")
    assert post.startswith("Moin aus Leer:\n\nalert: Hafen")
    await force.end("false-alarm")
    await force.quiet()
    await until(lambda: force.shown("token-of-4711")[0].startswith("false_alarm: Hafen"))
    assert force.shown("token-of-4711")[1].startswith("Moin aus Leer:\n\nfalse_alarm: Hafen")


async def test_nothing_is_agreed_without_a_tick(force: Force) -> None:
    """Without the box ticked, with a way that is none, an empty answer or an address elsewhere: refused, and nothing is kept."""
    link = (await force.invite("4711"))["4711"]
    good = {"say": "consent", "way": "phone", "agree": "yes", "answer-url": f"{force.wall.url}/ntfy/phone"}
    elsewhere = "https://elsewhere.example/phone"
    for wrong in ({"agree": ""}, {"way": "pigeon"}, {"answer-url": " "}, {"answer-url": elsewhere}, {"say": "dance"}):
        page = await force.say(link, status=422, **{**good, **wrong})
        assert 'class="wrong"' in page
        assert elsewhere not in page
    account = (await force.known())["4711"]
    assert (account.standing, account.sealed) == ("invited", b"")
    async with force.client.post(link, json=good) as answer:
        assert answer.status == 415


async def test_an_account_that_refuses_its_token_is_not_agreed(force: Force) -> None:
    """Whoever gives a token that the account itself refuses hears so at once, and nothing is kept."""
    force.wall.faults.set("token-of-4711", Fault(kind=FaultKind.STATUS, status=401))
    with pytest.raises(AssertionError, match="nimmt nicht an"):
        await force.auto("4711")
    assert (await force.known())["4711"].standing == "invited"


async def test_new_links_end_the_old(force: Force) -> None:
    """A link that is none is no page; ``again`` makes new links, after which the old ones decide nothing."""
    link = await force.share("4711")
    renewed = (await force.invite("4711", again=True))["4711"]
    await force.say(link, status=404, say="revoke")
    await force.say(f"{link[:-1]}{'x' if link[-1] != 'x' else 'y'}", status=404, say="revoke")
    assert (await force.known())["4711"].standing == "active"
    await force.say(renewed, say="revoke")
    assert (await force.known())["4711"].standing == "revoked"


async def test_invitations_have_to_be_in_order(force: Force) -> None:
    """No such group, a region that is none, a name instead of a number: refused whole, nobody is invited."""
    await force.ask("POST", "accounts/nobody/invite", {"officers": [{"officer": "1"}]}, status=404)
    await force.invite("1", {"officer": "2", "regions": ["atlantis"]}, status=422)
    await force.invite("Anna Muster", status=422)
    assert (await force.ask("GET", "accounts/officers"))["accounts"] == []


async def test_nobody_asks_about_private_accounts(force: Force) -> None:
    """Accounts do not stand on the board of readiness, which would ask their providers day and night."""
    await force.share("4711")
    listed = (await force.ask("GET", "readiness"))["channels"]
    assert {one["channel"] for one in listed} == {"website", "duty-team"}


async def test_a_joined_incident_brings_who_is_at_work(force: Force) -> None:
    """Who was assigned to an incident stays left out after it was joined into another."""
    await force.share("1")
    await force.alarm()
    await force.alarm("2", incident="i2", assigned=["1"])
    await force.ask("POST", "incidents/i2/join", {"into": "i1"})
    await force.alarm("3", msg_type="update")
    await force.quiet()
    assert await force.states("1") == ["accepted"]


async def test_ends_reach_whom_the_first_text_reached(force: Force) -> None:
    """Who agrees after an alert hears the next one only: the end of the first goes exactly where the first went."""
    await force.share("1")
    await force.auto("2")
    await force.alarm()
    await force.quiet()
    await force.share("3")
    await force.end()
    await force.quiet()
    assert [len(await force.deliveries(one)) for one in ("1", "2", "3")] == [2, 2, 0]
    await force.alarm("2", incident="i2")
    await force.quiet()
    assert len(force.shown("phone-of-3")) == 1


async def test_a_pause_holds_at_once(force: Force) -> None:
    """What waits for a paused account ends unsent, with its reason; the next alert passes it by until its owner goes on."""
    link = await force.share("4711")
    force.wall.faults.set("phone-of-4711", BROKEN)
    await force.alarm()
    await until(lambda: force.wall.board.requests["phone-of-4711"] > 2)
    await force.say(link, say="pause")
    await force.quiet()
    [delivery] = await force.deliveries("4711")
    assert delivery.state in ("cancelled", "superseded")
    force.wall.faults.clear("phone-of-4711")
    await force.alarm("2", msg_type="update")
    await force.quiet()
    assert force.shown("phone-of-4711") == []
    await force.say(link, say="resume")
    await force.alarm("3", msg_type="update")
    await force.quiet()
    assert len(force.shown("phone-of-4711")) == 1


async def test_what_waits_for_release_is_taken_out_as_well(force: Force) -> None:
    """Of an alert that waits for a person, a pause, a revocation and an assignment take their accounts out at once."""
    pauses, revokes, _ = [await force.share(one) for one in ("1", "2", "3")]
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    await force.alarm(sent=old)
    for one in ("1", "2", "3"):
        await force.become(one, "held")
    await force.say(pauses, say="pause")
    await force.say(revokes, say="revoke")
    assert [await force.states(one) for one in ("1", "2")] == [["cancelled"]] * 2
    await force.alarm("2", msg_type="update", assigned=["3"])
    assert await force.states("3") == ["superseded"]


async def test_a_pause_catches_what_is_under_way(force: Force) -> None:
    """From the pause on nothing writes a first byte there, be it an end; what its owner allows again may."""
    link = await force.share("1")
    await force.alarm()
    await force.quiet()
    [delivery] = await force.deliveries("1")
    fence = force.service.pipeline.fence
    for word, stops in (("pause", True), ("resume", False), ("revoke", True)):
        await force.say(link, say=word)
        assert fence.stops(replace(delivery, rank=0, revision=99)) is stops
        assert fence.stops(replace(delivery, verb=Verb.EDIT)) is stops


async def test_who_paused_after_the_first_text_is_told_nothing_more(force: Force) -> None:
    """The end to an account that has paused is planned, and ends as cancelled with the owner's decision beside it."""
    link = await force.auto("4711")
    await force.alarm()
    await force.quiet()
    await force.say(link, say="pause")
    await force.end()
    await force.quiet()
    _, end = await force.deliveries("4711")
    assert (end.state, end.detail) == ("cancelled", "its owner has paused")
    assert len(force.shown("token-of-4711")) == 1


async def test_a_revocation_erases_what_was_given(force: Force) -> None:
    """Who revokes is silent, their credential is gone from the journal, and only new consent makes them speak again."""
    link = await force.auto("4711")
    assert (await force.known())["4711"].sealed
    await force.say(link, say="revoke")
    account = (await force.known())["4711"]
    assert (account.standing, account.sealed, account.line) == ("revoked", b"", "")
    await force.say(link, say="resume", status=409)
    await force.alarm()
    await force.quiet()
    assert force.shown("token-of-4711") == []
    await force.auto("4711")
    await force.alarm("2", msg_type="update")
    await force.quiet()
    assert len(force.shown("token-of-4711")) == 1


async def test_nothing_that_was_given_is_readable(force: Force, capfd: pytest.CaptureFixture[str]) -> None:
    """Tokens and addresses stand in no file of the journal, in no page, no answer and no log."""
    link = await force.auto("4711")
    await force.share("4712")
    force.wall.faults.set("token-of-4711", Fault(kind=FaultKind.STATUS, status=401, body={"error": "token-of-4711"}))
    await force.alarm()
    await force.quiet()
    async with force.client.get(link) as answer:
        seen = await answer.text()
    seen += str(await force.ask("GET", "accounts/officers")) + str(await force.deliveries("4711"))
    seen += capfd.readouterr().err
    files = b"".join(file.read_bytes() for file in force.main.parent.glob("here.sqlite*"))
    for secret in ("token-of-4711", "phone-of-4712"):
        assert secret not in seen
        assert secret.encode() not in files


async def test_who_is_at_work_on_it_stays_silent(force: Force) -> None:
    """An officer assigned to the incident gets nothing, and the alert and the event say that they were left out."""
    for officer in ("1", "2"):
        await force.share(officer)
    await force.alarm(assigned=["1", "9"])
    await force.quiet()
    assert (await force.states("1"), await force.states("2")) == ([], ["accepted"])
    channel = (await force.known())["1"].channel
    [alert] = (await force.ask("GET", "alerts?incident=i1"))["alerts"]
    assert alert["left_out"] == [channel]
    [event] = await force.facts("event.journaled")
    assert "officers' own accounts left out, as they are assigned: 1" in event["notes"]
    await force.alarm("2", msg_type="update")
    await force.end()
    await force.quiet()
    assert (await force.states("1"), len(await force.deliveries("2"))) == ([], 3)


async def test_who_comes_to_work_on_it_hears_no_more(force: Force) -> None:
    """Assigned later, what still waits for them is taken out and updates pass them by; only an end goes where a text stands."""
    for officer in ("1", "2"):
        await force.share(officer)
    force.wall.faults.set("phone-of-1", BROKEN)
    await force.alarm()
    await until(lambda: force.wall.board.requests["phone-of-1"] > 1)
    await force.alarm("2", msg_type="update", assigned=["1", "2"])
    await force.quiet()
    assert (await force.states("1"), await force.states("2")) == (["superseded"], ["accepted"])
    force.wall.faults.clear("phone-of-1")
    await force.end()
    await force.quiet()
    assert (await force.states("1"), await force.states("2")) == (["superseded"], ["accepted"] * 2)


async def test_assigned_that_cannot_be_read_silences_all(force: Force) -> None:
    """Where nobody can say who is at work on it, no account speaks, and the official channels do."""
    await force.share("1")
    await force.alarm(assigned="all of them")
    await force.quiet()
    assert (await force.states("1"), len(force.shown("website"))) == ([], 1)


async def test_an_operator_names_who_is_at_work(force: Force) -> None:
    """A playbook triggered by hand leaves out whom the person names."""
    await force.share("1")
    body = {"place": "Hafen", "regions": ["leer"], "incident": "i1", "assigned": ["1"]}
    await force.ask("POST", "playbooks/amok/trigger", body, status=201)
    await force.quiet()
    assert (await force.states("1"), len(force.shown("website"))) == ([], 1)


async def test_regions_decide_whose_account_speaks(force: Force) -> None:
    """Who was invited for one region says nothing about another; who was invited for none speaks for all."""
    await force.share("1", regions=["leer"])
    await force.share("2", regions=["emden"])
    await force.share("3")
    await force.alarm()
    await force.quiet()
    assert [len(await force.deliveries(one)) for one in ("1", "2", "3")] == [1, 0, 1]


async def test_a_broken_account_delays_nobody(force: Force) -> None:
    """While one account hangs, one is down and one refuses us, all others have it, and so does the website."""
    healthy = [str(number) for number in range(20)]
    await asyncio.gather(*(force.share(one) for one in [*healthy, "hangs", "down"]), force.auto("refuses"))
    force.wall.faults.set("phone-of-hangs", HANGS)
    force.wall.faults.set("phone-of-down", BROKEN)
    force.wall.faults.set("token-of-refuses", Fault(kind=FaultKind.STATUS, status=401))
    await force.alarm()
    await until(
        lambda: all(len(force.shown(f"phone-of-{one}")) == 1 for one in healthy) and force.shown("website") != []
    )
    await until(lambda: force.service.worker.open == 2)
    assert await force.states("refuses") == ["failed"]
    await force.service.worker.drain(0)


async def test_a_kill_repeats_nobody_who_has_it(tmp_path: Path, force: Force) -> None:
    """A daemon that takes over the journal of one that was killed sends what was cut off, and nothing that was accepted."""
    for officer in ("1", "2", "3"):
        await force.share(officer)
    pause = (await force.invite("3"))["3"]
    force.wall.faults.set("phone-of-2", HANGS)
    force.wall.faults.set("phone-of-3", BROKEN)
    await force.alarm()
    await until(lambda: len(force.shown("phone-of-1")) == 1 and force.wall.board.requests["phone-of-3"] > 1)
    await force.become("1", "accepted")
    await force.say(pause, say="pause")
    later = tmp_path / "later"
    shutil.copytree(tmp_path, later, ignore=lambda _, names: {"later", "here.sqlite.lock"} & set(names))
    for name in ("phone-of-2", "phone-of-3"):
        force.wall.faults.clear(name)
    asked = force.wall.board.requests["phone-of-1"]
    async with working(later / "dispatcher.yaml", force.wall) as after:
        await until(lambda: len(force.shown("phone-of-2")) == 1)
        await after.quiet()
        assert [await after.states(one) for one in ("1", "2")] == [["accepted"], ["accepted"]]
        assert set(await after.states("3")) <= {"cancelled", "superseded"}
    assert (force.wall.board.requests["phone-of-1"], force.shown("phone-of-3")) == (asked, [])
    await force.service.worker.drain(0)


async def test_a_restart_forgets_no_consent(tmp_path: Path) -> None:
    """Who agreed speaks after a restart, who paused does not, and the links stay good."""
    async with running_wall() as wall:
        main = written(tmp_path, wall)
        async with working(main, wall) as before:
            link = await before.share("1")
            await before.say(await before.share("2"), say="pause")
            await before.invite("3")
            invited = (await before.known())["3"].channel
        async with working(main, wall) as after:
            assert invited not in after.service.pipeline.setup.profiles
            await after.alarm()
            await after.quiet()
            assert (len(after.shown("phone-of-1")), len(after.shown("phone-of-2"))) == (1, 0)
            async with after.client.get(f"{after.service.public}/own/{token_in(link)}") as answer:
                assert "Eingeschaltet" in await answer.text()
