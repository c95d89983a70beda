"""The parts of officers' own accounts: lists that invite, what owners give, how it is kept, and the words that leave."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from house import CHANNELS, Sluice, alert, channel, delivery, deployment, playbook, text_set, until
from typer.testing import CliRunner

from dispatcher.accounts.book import Accounts, Consent, Invitation
from dispatcher.accounts.groups import BadAnswer, Way
from dispatcher.accounts.opening import Opener
from dispatcher.accounts.seal import Seal
from dispatcher.accounts.voice import Personal, Silent
from dispatcher.channels.base import Channel
from dispatcher.channels.http import http_client
from dispatcher.channels.ntfy import Settings as Ntfy
from dispatcher.cli import app
from dispatcher.cli.accounts import invitations
from dispatcher.journal import accounts as rows
from dispatcher.journal.base import open_journal
from dispatcher.links import AccountLinks
from dispatcher.model.account import EVERYBODY, Account, Mode, Standing, officers, spared
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.cap import Realm, Severity
from dispatcher.model.channel import AfterCorrection, ChannelId, Power, TextLimit, Unit
from dispatcher.model.delivery import AlertId, IncidentId, Reason, Result
from dispatcher.model.errors import ConfigurationError, Conflict, JournalBusy
from dispatcher.permits import Fence
from dispatcher.plan.render import Occasion, Voice, render_texts
from dispatcher.plan.retract import retractions
from dispatcher.settings import Loaded, load
from dispatcher.setup import Enrolled, Setup
from dispatcher.testing import FakeChannel, FakeClock

ME, OTHER = ChannelId("officers-1"), ChannelId("officers-2")
SECRET = "a secret of thirty-two characters"
WAY = Way(
    name="phone", mode=Mode.SHARE, kind="mastodon", title="Phone", given={"max_characters": 300},
    asks={"base_url": "Instance", "token": "Key"}, hosts=("social.example", "*.police.example"),
)  # fmt: skip
GOOD = {"base_url": "https://social.example", "token": "s3cret"}


def said(realm: Realm = Realm.LIVE) -> Post:
    """A post."""
    return Post(
        key="k", code="KQX-42", text=text_set().first, incident=IncidentId("i1"), alert=AlertId("a1"), channel=ME,
        purpose=Purpose.ALERT, severity=Severity.EXTREME, realm=realm, created_at=FakeClock().now(),
    )  # fmt: skip


def test_answers_become_settings() -> None:
    """What the files give and what an owner gives make the kind's settings; the key is revealed to it alone."""
    settings = WAY.settings(GOOD, ME)
    assert (settings.origin, settings.token()) == ("https://social.example", "s3cret")
    assert settings.credential is not None
    assert settings.credential.label == ME
    assert "s3cret" not in f"{settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example", "http://social.example", "https://social.example:8443", "https://police.example",
        "https://social.example.evil.example", "https://a@social.example", "https://10.0.0.1", "https://[::1", "gopher://x",
        "https://social.example:x", "social.example",
    ],
)  # fmt: skip
def test_addresses_lead_where_they_may(address: str) -> None:
    """An owner's address is taken only on hosts that the files name, over TLS, and a refusal does not repeat it."""
    with pytest.raises(BadAnswer) as refused:
        WAY.settings({**GOOD, "base_url": address}, ME)
    assert refused.value.name == "base_url"
    assert address not in str(refused.value)


def test_hosts_below_a_name_are_covered() -> None:
    """``*.`` stands for all hosts below."""
    assert WAY.settings({**GOOD, "base_url": "https://leer.police.example"}, ME).base == "https://leer.police.example"


@pytest.mark.parametrize("answers", [{}, {"token": "x"}, {**GOOD, "max_characters": "200"}])
def test_only_what_is_asked_is_taken(answers: dict[str, str]) -> None:
    """Answers that are missing, or that nobody asked for, are refused."""
    with pytest.raises(BadAnswer):
        WAY.settings(answers, ME)


def test_what_is_sealed_opens_for_its_account_alone() -> None:
    """It opens with the same key for the same account, is never the same twice, and shows nothing of what is in it."""
    seal = Seal(SECRET)
    first, second = seal.close(GOOD, ME), seal.close(GOOD, ME)
    assert seal.open(first, ME) == seal.open(second, ME) == GOOD
    assert first != second
    assert b"s3cret" not in first
    for wrong, account in ((Seal(SECRET + "!"), ME), (seal, OTHER)):
        with pytest.raises(ValueError, match="cannot be opened"):
            wrong.open(first, account)
    with pytest.raises(ValueError, match="at least 32"):
        Seal("short")


async def test_an_own_line_stands_over_the_text_and_not_over_a_drill() -> None:
    """Posts begin with the line and what looks for them knows so; an exercise's mark stays first; changes have no line."""
    fake = FakeChannel()
    speaking = Personal(fake, "Moin:", TextLimit(Unit.CHARACTERS, 500))
    for post in (said(), said(Realm.EXERCISE)):
        await speaking.send(post)
        await speaking.edit(post)
    assert [post.text.body for post in fake.posts] == ["Moin:\n\nalert first", "alert first"]
    assert {post.text.body for post in fake.edits} == {"alert first"}


async def test_a_silent_account_says_why() -> None:
    """Nothing leaves through it, whatever is asked of it."""
    silent: Channel = Silent("its owner has paused")
    outcomes = [await silent.send(said()), await silent.edit(said()), await silent.delete(said())]
    assert {(one.result, one.reason, one.detail) for one in outcomes} == {  # type: ignore[union-attr]
        (Result.PERMANENT, Reason.CANCELLED, "its owner has paused")
    }


async def test_a_line_never_costs_a_word_of_the_text() -> None:
    """Where text and line do not fit together, the text goes out whole and alone."""
    fake, body = FakeChannel(), said().text.body
    for size in (len(body) + len("Moin:\n\n"), len(body) + len("Moin:\n\n") - 1):
        await Personal(fake, "Moin:", TextLimit(Unit.CHARACTERS, size)).send(said())
    assert [post.text.body for post in fake.posts] == [f"Moin:\n\n{body}", body]


def test_texts_leave_room_for_a_line_where_they_can() -> None:
    """With room to spare a shorter form or fewer languages are said; where none leaves it, what fits is said, undegraded."""
    words = {"headline": "Amok", "long": "x" * 100, "short": "kurz"}
    book = playbook(texts={purpose: {"de": words} for purpose in ("alert", "update", "all_clear", "false_alarm")})
    occasion = Occasion(
        purpose=Purpose.ALERT, playbook=book, place="", region_names=(), facts={}, now=FakeClock().now(),
        sender=deployment().sender, realm=Realm.LIVE, code="KQX-42", public_only=False,
    )  # fmt: skip
    found = {}
    for room in (0, 62, 130):
        voice = Voice(TextLimit(Unit.CHARACTERS, 180, spare=room), ("de",))
        rendered = render_texts(occasion, [voice])
        assert not rendered.degraded
        found[room] = "kurz" in rendered.texts[voice].first.body
    assert found == {0: False, 62: True, 130: False}


def test_a_list_only_invites(tmp_path: Path) -> None:
    """Numbers and regions are read out of a list, whatever program wrote it."""
    file = tmp_path / "officers.csv"
    file.write_bytes('\ufeffofficer,regions\r\n4711,leer emden\r\n"a.b-c",\r\n'.encode())
    assert [*invitations(file)] == [
        {"officer": "4711", "regions": ["leer", "emden"]}, {"officer": "a.b-c", "regions": []},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("officer,token\n1,x\n", 1), ("regions\nleer\n", 1), ("", 1), ("officer,officer\n1,2\n", 1),
        ("officer\n1\nAnna Muster\n", 3), ("officer\n1,2\n", 2),
    ],
)  # fmt: skip
def test_a_list_that_says_more_is_refused(text: str, line: int, tmp_path: Path) -> None:
    """A column for anything else, such as a token, a number that is none, a line with too much: refused by its line."""
    file = tmp_path / "officers.csv"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        [*invitations(file)]
    assert refused.value.problems[0].line == line


def test_the_command_reads_the_list_before_it_asks(tmp_path: Path) -> None:
    """A list that is none is refused without a daemon."""
    file = tmp_path / "officers.csv"
    file.write_text("officer,password\n1,x\n")
    refused = CliRunner().invoke(app, ["accounts", "invite", str(file), "--group", "officers"])
    assert isinstance(refused.exception, ConfigurationError)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([], ()), (["4711", 12, "4711"], ("4711", "12")), ("4711", (EVERYBODY,)), (["Anna Muster"], (EVERYBODY,)),
        ([None], (EVERYBODY,)), (["1"] * 5_001, (EVERYBODY,)), (None, (EVERYBODY,)),
    ],
)  # fmt: skip
def test_who_is_assigned(given: Any, found: tuple[str, ...]) -> None:
    """Numbers are numbers, each once; whatever is odd stands for everybody."""
    assert officers(given) == found


def test_nobody_is_spared_who_has_no_account() -> None:
    """An official channel speaks whoever is assigned; an account is spared by its officer's number, or with everybody."""
    own = channel("own", group="officers", officer="4711")
    assert not spared(CHANNELS[0], {EVERYBODY, ""})
    assert spared(own, {"4711"})
    assert spared(own, {EVERYBODY})
    assert not spared(own, {"4712"})


def test_a_playbook_names_a_group() -> None:
    """``only`` takes a group's id for all of its accounts, ``kinds`` the word for all groups."""
    own = channel("officers-1", kind="accounts", group="officers", officer="1")
    for rule, admits in (({"only": ["officers"]}, True), ({"kinds": ["accounts"]}, True), ({"kinds": ["ntfy"]}, False)):
        assert playbook(channels=rule).channels.admits(own) is admits


@pytest.mark.parametrize(
    ("powers", "after", "planned"),
    [
        ({Power.EDIT}, AfterCorrection.EDIT, 1), ({Power.DELETE}, AfterCorrection.DELETE, 1),
        ({Power.DELETE}, AfterCorrection.EDIT, 0), (set(), AfterCorrection.EDIT, 0),
    ],
)  # fmt: skip
def test_nobody_is_asked_to_correct_an_officers_own_post(
    powers: set[Power], after: AfterCorrection, planned: int
) -> None:
    """What we cannot change on an account is its owner's affair, whom the correction has told: no task for anybody else."""
    own = channel("own", group="officers", officer="1", powers=frozenset(powers), after_correction=after)
    posts = [(alert("own"), [delivery(channel="own")])]
    made = retractions(alert("own", name="a2"), posts, {own.id: own}, FakeClock().now())
    assert sum(len(one.plan) for one in made) == planned


def test_accounts_come_after_the_channels_of_the_files() -> None:
    """Official channels leave first; a reload keeps accounts; one that speaks no more is known for what it carries."""
    one, two = (channel(name, group="officers", officer=name, origin="https://same.test") for name in ("1", "2"))
    setup = Setup(deployment(), {profile.id: FakeChannel() for profile in CHANNELS})
    setup.enrol([Enrolled(profile, FakeChannel(), speaks=True) for profile in (one, two)])
    names = [profile.id for profile in CHANNELS]
    assert [*setup.deployment.channels] == [*names, "1", "2"]
    assert setup.shares("https://same.test")
    setup.replace(deployment(), {profile.id: FakeChannel() for profile in CHANNELS})
    assert [*setup.deployment.channels] == [*names, "1", "2"]
    setup.enrol([Enrolled(one, Silent("paused"), speaks=False)])
    assert [*setup.deployment.channels] == [*names, "2"]
    assert one in setup.deployment.every_channel()
    assert isinstance(setup.channels[one.id], Silent)
    assert not setup.shares("https://same.test")


MAIN = """\
realm: live
sender: {name: Polizei Leer}
regions: [{id: leer, name: Leer}]
public: {}
channels: {desk: {kind: by_hand, audience: staff}}
accounts:
  officers:
    title: Leer
    key: {token_file: accounts.key}
    ways:
      phone: {mode: share, kind: ntfy, title: T, settings: {credential: {token_file: ntfy.key}}, asks: {url: U}, hosts: [h.example]}
"""


def loaded(folder: Path, old: str = "", new: str = "") -> Loaded:
    """The configuration with ``old`` replaced."""
    assert old in MAIN
    (folder / "accounts.key").write_text(SECRET)
    (folder / "ntfy.key").write_text("tk_1")
    (folder / "dispatcher.yaml").write_text(MAIN.replace(old, new) if old else MAIN)
    return load(folder / "dispatcher.yaml")


def test_a_group_is_read(tmp_path: Path) -> None:
    """Its ways hold what the files give, secrets by where they lie beside the file, and no account is a channel yet."""
    found = loaded(tmp_path)
    assert (found.problems, [one for one in found.secrets if "accounts" in one.field]) == ((), [])
    way = found.accounts["officers"].ways["phone"]
    settings = way.settings({"url": "https://h.example/topic"}, ME)
    assert isinstance(settings, Ntfy)
    assert (settings.topic, settings.token()) == ("topic", "tk_1")
    assert [*found.deployment.channels] == ["desk"]


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("kind: ntfy", "kind: pigeon", "accounts.officers.ways.phone.kind", "no kind"),
        ("asks: {url: U}", "asks: {url: U, wing: W}", "accounts.officers.ways.phone.asks.wing", "no setting"),
        ("asks: {url: U}", "asks: {token: U}", "accounts.officers.ways.phone.settings", "nothing for url"),
        ("settings: {", "settings: {wing: 1, ", "accounts.officers.ways.phone.settings.wing", "unknown"),
        ("settings: {", "settings: {replaces: 7, ", "accounts.officers.ways.phone.settings.replaces", "bool"),
        ("settings: {", "settings: {url: 'wall://x', ", "accounts.officers.ways.phone.settings.url", "only in realm exercise"),
        ("title: Leer\n", "title: Leer\n    regions: [x]\n", "accounts.officers.regions.0", "no region"),
        ("title: Leer\n", "title: Leer\n    realm: exercise\n", "accounts.officers.realm", "says exercise"),
        ("public: {}\n", "", "accounts.officers", "nobody can consent"),
    ],
)  # fmt: skip
def test_a_wrong_group_is_left_out(old: str, new: str, field: str, message: str, tmp_path: Path) -> None:
    """Whatever is wrong with a group is named by its place, and leaves that group out."""
    found = loaded(tmp_path, old, new)
    [problem] = found.problems
    assert problem.field == field
    assert message in problem.message
    assert problem.line
    assert found.accounts == {}


def test_a_key_that_is_none_is_named(tmp_path: Path) -> None:
    """A group whose key cannot be read, or is too short, is told with the secrets; the group stays."""
    for key, message in (("too-short.key", "cannot be read"), ("ntfy.key", "at least 32")):
        found = loaded(tmp_path, "key: {token_file: accounts.key}", f"key: {{token_file: {key}}}")
        [problem] = [one for one in found.secrets if one.field == "accounts.officers.key"]
        assert message in problem.message
        assert "officers" in found.accounts


def test_a_drill_touches_no_officer(tmp_path: Path) -> None:
    """An exercise out of the live files has no accounts at all."""
    loaded(tmp_path)
    assert load(tmp_path / "dispatcher.yaml", drill=tmp_path).accounts == {}


def test_texts_have_to_fit_accounts(tmp_path: Path) -> None:
    """A playbook's shortest text is measured against every way before anybody has agreed, the line's room aside."""
    old = MAIN[MAIN.index("phone:") :].rstrip()
    way = "phone: {mode: auto, kind: KIND, title: T, settings: {SETTINGS}, asks: {token: V, FIELD: U}}"
    for kind, settings, field, fits in (
        ("mastodon", "max_characters: 200", "base_url", False),
        ("bluesky", "", "identifier", True),
    ):
        new = way.replace("KIND", kind).replace("SETTINGS", settings).replace("FIELD", field)
        told = [str(problem) for problem in loaded(tmp_path, old, new).problems]
        assert (told == []) is fits
        assert fits or any("officers/phone takes 200" in one for one in told)


async def test_a_pause_holds_before_it_is_written_and_only_if_it_is(tmp_path: Path) -> None:
    """Nothing leaves while the pause waits for the disk; where it cannot be written the account goes on as it was."""
    groups, clock, fence = loaded(tmp_path).accounts, FakeClock(), Fence()
    sealed = Seal(SECRET).close({"url": "https://h.example/topic"}, ME)
    own = Account(
        channel=ME, group="officers", officer="1", standing=Standing.ACTIVE, at=clock.now(), way="phone", sealed=sealed
    )
    setup, links = Setup(deployment(), {profile.id: FakeChannel() for profile in CHANNELS}), AccountLinks("key")
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as opened, http_client() as http:
        await opened.write(partial(rows.invite, invited=[own], renewed=[], person="anna"))
        journal = Sluice(opened)
        book = Accounts(
            journal=journal, setup=setup, fence=fence, opener=Opener(groups, http), links=links, clock=clock
        )
        async with book:
            journal.opened.clear()
            pausing = asyncio.create_task(book.pause(own))
            await until(lambda: journal.waiting == 1)
            assert fence.stops(delivery(channel=ME))
            journal.open(refusals=1)
            with pytest.raises(JournalBusy):
                await pausing
            assert not fence.stops(delivery(channel=ME))
            assert ME in setup.deployment.channels
            await book.pause(own)
            assert ME not in setup.deployment.channels
            with pytest.raises(Conflict):
                await book.pause(book.of("officers")[0])


async def test_who_revokes_while_agreeing_has_revoked(tmp_path: Path) -> None:
    """Consent that is still being tried when its owner revokes comes to nothing."""
    here = loaded(tmp_path, "h.example", "127.0.0.1")
    groups, clock, fence = here.accounts, FakeClock(), Fence()
    setup, links = Setup(deployment(), {profile.id: FakeChannel() for profile in CHANNELS}), AccountLinks("key")
    async with open_journal(tmp_path / "journal.sqlite", inline=True) as journal, http_client() as http:
        book = Accounts(
            journal=journal, setup=setup, fence=fence, opener=Opener(groups, http), links=links, clock=clock
        )
        async with book:
            [before] = await book.invite("officers", [Invitation("1")], "anna")
            await book.revoke(before)
            with pytest.raises(Conflict):
                await book.consent(before, Consent("phone", "", {"url": "http://127.0.0.1:9/topic"}))
            assert setup.deployment.channels.keys() == {profile.id for profile in CHANNELS}
            assert book.owner(links.link(before.channel, 1).rpartition("/")[2]) == book.of("officers")[0]
