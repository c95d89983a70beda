"""Apprise in a process of its own: what hangs, dies or lies there hurts nobody, and nothing of the URL gets out."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from contract.asking import ask
from contract.kit import CANARY, TOKEN_VARIABLE, channel, kit_of, post
from contract.provider import Behave, Provider, provider, says
from pydantic import ValidationError

from dispatcher.channels.base import Channel, load_kind
from dispatcher.channels.departure import departing
from dispatcher.channels.http import http_client
from dispatcher.model.alert import Purpose
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import Fenced

GOOD = says(200, {})
DOUBT = (Result.IN_DOUBT, Reason.IN_DOUBT)
TOP = Path(__file__).parents[2]
_NOISY = """
import os, sys
from types import SimpleNamespace as Thing

AppriseAsset, OverflowMode = Thing, Thing(UPSTREAM=None)

class Service(Thing):
    body_maxlen, title_maxlen, verify_certificate = 5_000, 100, True
    def __len__(self):
        return 1

class Result(Thing):
    def logs(self):
        return []

class Apprise(list):
    def __init__(self, asset):
        print("noise"), os.write(1, b"noise"), os.write(2, b"noise"), sys.stdin.read()
    def add(self, url):
        print(url)
        self.append(Service())
        return True
    def notify(self, **text):
        print(text)
        return Result()
"""
_PROGRAM = b"dispatcher.channels._bridge"


def children() -> set[int]:
    """The numbers of this process's own bridges."""
    return set(_children())


def _children() -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        try:
            stat, said = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:  # no process, or no more
            continue
        if _PROGRAM in said and int(stat.rpartition(")")[2].split()[1]) == os.getpid():
            yield int(folder.name)


async def _hang(_request: bytes, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def bridge(behave: Behave, **more: Any) -> AsyncIterator[tuple[Channel, Provider]]:
    """A channel before a service that behaves so."""
    async with (
        provider(behave) as heard, http_client() as http,
        channel("apprise", {**kit_of("apprise").settings(heard.url), **more}, http) as opened,
    ):  # fmt: skip
        yield opened, heard


async def until_asked(heard: Provider) -> None:
    """Wait until a text has arrived there."""
    async with asyncio.timeout(30):
        while not heard.requests:
            await asyncio.sleep(0.01)


async def sent(opened: Channel) -> Outcome:
    """What a text comes to."""
    outcome = await opened.send(post())
    assert isinstance(outcome, Outcome)
    return outcome


async def test_a_service_that_hangs_holds_nobody_up_and_is_killed() -> None:
    """While one service hangs the other channel's text is accepted, each in a process of its own; the hanging one is killed."""
    before = children()
    async with bridge(_hang, answer_seconds=14) as (hanging, asked), bridge(GOOD, answer_seconds=14) as (good, _):
        waiting = asyncio.create_task(sent(hanging))
        await until_asked(asked)
        assert (await sent(good)).result is Result.ACCEPTED
        assert not waiting.done()
        assert len(children() - before) == 2
        waiting.cancel()
        await asyncio.wait({waiting})
        assert len(children() - before) == 1
    assert children() == before


async def test_an_answer_that_does_not_come_is_a_doubt_and_the_next_text_goes_out() -> None:
    """At the deadline the process is killed and the text in doubt; another one says the next text."""
    turns = iter([_hang, GOOD])

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        await next(turns)(request, writer)

    async with bridge(behave) as (opened, _):
        first = await sent(opened)
        assert (first.result, first.reason) == (Result.IN_DOUBT, Reason.TIMEOUT)
        assert (await sent(opened)).result is Result.ACCEPTED


async def test_a_process_that_dies_leaves_a_doubt_and_is_followed_by_another() -> None:
    """Killed while a text is on its way that text is in doubt, killed while idle nothing is; the next is said by another."""
    async with bridge(_hang, answer_seconds=14) as (opened, heard):
        speaking = asyncio.create_task(sent(opened))
        await until_asked(heard)
        [pid] = children()
        os.kill(pid, signal.SIGKILL)
        outcome = await speaking
        assert (outcome.result, outcome.reason) == DOUBT
    async with bridge(GOOD) as (opened, _):
        for _ in range(2):
            assert (await sent(opened)).result is Result.ACCEPTED
            [pid] = children()
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while not opened._process._starting.result().over:
                await asyncio.sleep(0.01)
        assert (await sent(opened)).result is Result.ACCEPTED
        assert pid not in children()


async def test_the_process_ends_with_whoever_started_it() -> None:
    """Where its pipe is closed, as by a daemon that was killed, it ends, though its service hangs; an interrupt does not end it."""
    async with bridge(_hang, answer_seconds=14) as (opened, heard):
        speaking = asyncio.create_task(sent(opened))
        await until_asked(heard)
        [pid] = children()
        assert os.getpgid(pid) != os.getpgid(0)  # what is typed at a terminal is not for it
        opened._process._starting.result()._process.stdin.close()
        assert (await asyncio.wait_for(speaking, 10)).result is Result.IN_DOUBT
        assert pid not in children()


async def test_what_the_fence_stops_has_not_left() -> None:
    """The fence is asked once the service is connected; where it says no, the service gets no byte and the process ends."""

    def stopped() -> None:
        raise Fenced("stopped")

    async with bridge(GOOD) as (opened, heard):
        with departing(stopped) as departure, pytest.raises(Fenced):
            await opened.send(post())
        assert (departure.left, heard.requests, children()) == (False, [], set())
        assert (await sent(opened)).result is Result.ACCEPTED


async def test_nothing_of_the_url_gets_out(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """The secret is in no argument, no environment, no log and no outcome, and the daemon's own secrets are not passed on."""
    caplog.set_level(logging.DEBUG)
    async with bridge(says(401, {"error": CANARY})) as (opened, heard):
        probed, outcome = await opened.probe(), await sent(opened)
        [pid] = children()
        shown = b"".join((Path("/proc") / str(pid) / name).read_bytes() for name in ("cmdline", "environ"))
    assert CANARY in heard.head()
    assert (outcome.result, outcome.detail) == (Result.IN_DOUBT, "Apprise says failed, HTTP 401")
    port = heard.url.rpartition(":")[2]
    for said in (repr(probed), repr(outcome), caplog.text, *capfd.readouterr(), shown.decode()):
        assert CANARY not in said
        assert f":{port}" not in said


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("a?verify=no", "verify=no: certificates are always checked"),
        ("a, json://127.0.0.1:9/b", "more than one target: nobody could tell which of them got a text"),
        ("a?method=nonsense", "Apprise does not understand the URL"),
    ],
)
async def test_a_url_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, secret: str, why: str) -> None:
    """Unchecked certificates, two targets and nonsense: told why, by a probe as well, and nothing leaves."""
    monkeypatch.setenv(TOKEN_VARIABLE, secret)
    for verb in ("send", "probe"):
        outcome, heard = await ask("apprise", GOOD, verb)
        assert (outcome.result, outcome.reason, outcome.detail) == (Result.PERMANENT, Reason.REJECTED, why)
        assert heard.requests == []


async def test_two_numbers_are_two_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL of one service that names two recipients is refused as well."""
    monkeypatch.setenv(TOKEN_VARIABLE, f"{'a' * 25}/15551234567/15551234568")
    settings = {"url": "seven://", "credential": {"token_env": TOKEN_VARIABLE}}
    async with http_client() as http, channel("apprise", settings, http) as opened:
        outcome = await opened.probe()
    assert outcome.detail == "more than one target: nobody could tell which of them got a text"


@pytest.mark.parametrize("wish", ["optional=yes", "retry=3&wait=0.1", "redirect=yes"])
async def test_a_url_cannot_make_a_failure_mean_something_else(monkeypatch: pytest.MonkeyPatch, wish: str) -> None:
    """Whatever the URL asks for, a failure is told, after one request and no more."""
    monkeypatch.setenv(TOKEN_VARIABLE, f"hook?{wish}")
    outcome, heard = await ask("apprise", says(307, {}, {"Location": "/elsewhere"}))
    assert ((outcome.result, outcome.reason), len(heard.requests)) == (DOUBT, 1)


async def test_a_text_is_said_as_it_stands() -> None:
    """The headline is the title and not said twice; signs, links and lines stay as they are, and an end is no warning."""
    body = "Polizeieinsatz in Leer\n\n*Übung* \\n :smile: <b> & https://a.de/_x_?b=1 \U0001f6a8\nK7Q-42"
    for purpose, kind in ((Purpose.ALERT, "warning"), (Purpose.ALL_CLEAR, "info")):
        _, heard = await ask("apprise", GOOD, text=body, purpose=purpose)
        said = heard.body()
        assert (said["title"], said["message"], said["type"]) == (body[:22], body[24:], kind)


async def test_what_is_too_long_for_the_service_is_told_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe names the limit that the service has, and a longer text is refused before anything leaves."""
    monkeypatch.setenv(TOKEN_VARIABLE, "k" * 30 + "@" + "a" * 30)
    settings = {"url": "pover://", "credential": {"token_env": TOKEN_VARIABLE}, "max_characters": 5_000}
    async with http_client() as http, channel("apprise", settings, http) as opened:
        probed, refused = await opened.probe(), await opened.send(post("x" * 2_000))
    assert (probed.reason, probed.detail) == (
        Reason.TOO_LONG,
        "the service takes 1024 characters: set max_characters: 1024",
    )
    assert (refused.result, refused.reason) == (Result.PERMANENT, Reason.TOO_LONG)


def _settings(**changes: Any) -> Any:
    usual = {"url": "pover://", "credential": {"token_env": TOKEN_VARIABLE}}
    return load_kind("apprise").Settings(**{**usual, **changes})


@pytest.mark.parametrize(
    "scheme", ["syslog", "dbus", "gnome", "macosx", "windows", "mailto", "fcm", "vapid", "apprise", "file"]
)
def test_what_acts_on_this_machine_is_not_served(scheme: str) -> None:
    """Desktops, the system's log, files with keys and whatever is not in the list are refused as the files are read."""
    with pytest.raises(ValidationError, match=f"{scheme}:// is not served"):
        _settings(url=f"{scheme}://")


def test_what_is_served_speaks_http() -> None:
    """Every name of the list is one that Apprise knows, spoken by requests, whose first byte can be watched leaving."""
    code = (
        "import sys; from apprise.manager_plugins import NotificationManager as M; from dispatcher.channels.apprise import SERVICES\n"
        "m = M(); m.load_modules()\n"
        "print([s for s in SERVICES if s not in m or not m[s].enabled or not hasattr(sys.modules[m[s].__module__], 'requests')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


async def test_what_is_printed_there_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Apprise that prints, reads what is typed and claims to have sent is understood all the same, and not believed."""
    (tmp_path / "apprise.py").write_text(_NOISY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(TOP))))
    outcome, heard = await ask("apprise", GOOD)
    assert (outcome.result, outcome.detail) == (Result.IN_DOUBT, "Apprise says sent, and nothing was seen leaving")
    assert heard.requests == []


@pytest.mark.parametrize(
    "deed", ["subprocess.run(['true'])", "os.system('true')", "os.fork()", "sys.audit('http.client.send')"]
)
def test_the_process_does_nothing_but_say_texts(deed: str) -> None:
    """Whatever a service tries, no program is started, and nothing is sent while no text is being said."""
    code = f"import os, subprocess, sys; from dispatcher.channels._bridge import _Gate; sys.addaudithook(_Gate(print)); {deed}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "PermissionError" in done.stderr


def test_without_the_extra_the_channel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Apprise is not installed the channel is left out, and it is said how to install it."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ValidationError, match=r"pip install dispatcher\[apprise\]"):
        _settings()


def test_a_service_in_the_cloud_shares_its_pool_with_nobody() -> None:
    """Two accounts of one service fail apart; two paths of one host fail together."""
    one, other = (_settings(credential={"token_file": f"/run/{name}"}).origin for name in "ab")
    assert one != other
    here, there = (_settings(url=f"https://push.example/{name}").origin for name in "ab")
    assert here == there == "https://push.example"


async def test_a_url_that_is_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole URL in the secret begins as the file says; an error does not repeat it."""
    monkeypatch.setenv(TOKEN_VARIABLE, f"json://{CANARY}.example")
    async with http_client() as http:
        with pytest.raises(ValueError, match="does not begin with url") as caught:
            async with channel("apprise", {"url": "pover://", "credential": {"token_env": TOKEN_VARIABLE}}, http):
                pass
    assert CANARY not in str(caught.value)
