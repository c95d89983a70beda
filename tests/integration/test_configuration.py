"""A configuration that cannot kill: the last good set starts the daemon, and a reload takes only what works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from contract.provider import provider, says
from ruamel.yaml import YAML
from unit.speaking import SMALL

from dispatcher.app import Service, build
from dispatcher.cli import main as command
from dispatcher.journal import queries
from dispatcher.model.alert import Purpose
from dispatcher.model.channel import ChannelId
from dispatcher.model.errors import ConfigurationError
from dispatcher.settings.fallback import load_or_last_good

GOOD = """\
realm: exercise
sender: {name: Stadt Leer}
journal: {path: here.sqlite}
console: {port: 0}
channels:
  website: {kind: webhook, realm: exercise, url: "http://127.0.0.1:9/web", secret_env: HOOK}
  duty-team: {kind: ntfy, realm: exercise, url: "http://127.0.0.1:9/duty", audience: staff}
"""
BROKEN = GOOD.replace("realm: exercise\nsender", "realm: exercise\nsenderr").replace("{name:", "{nam:")


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A main file that works."""
    monkeypatch.setenv("HOOK", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")
    path = tmp_path / "dispatcher.yaml"
    path.write_text(GOOD)
    return path


@asynccontextmanager
async def started(main: Path, journal: Path | None = None) -> AsyncIterator[Service]:
    """The daemon of ``main``, or of what was good last."""
    async with build(load_or_last_good(main, journal), path=main) as service:
        yield service


async def pages(service: Service) -> list[tuple[str, str]]:
    """Cause and text of every page."""
    records = await service.journal.read(partial(queries.alert_records, limit=100))
    found = [record.alert for record in records if record.alert.purpose is Purpose.PAGE]
    return [(alert.name, next(iter(alert.texts.values())).first.body) for alert in found]


async def test_broken_files_start_with_the_last_good_set(main: Path) -> None:
    """A daemon whose main file broke starts with what worked last, is not ready, and pages what is wrong and where."""
    async with started(main) as service:
        assert service.readiness()["configuration"]
    main.write_text(BROKEN)
    async with started(main) as service:
        assert service.readiness()["configuration"] is False
        assert set(service.loaded.deployment.channels) == {"website", "duty-team"}
        [(cause, text)] = await pages(service)
        assert (cause, "dispatcher.yaml:2" in text, "sender" in text) == ("configuration", True, True)


@pytest.mark.parametrize("broken", ["", "realm: [", "\x00", "- a list\n"])
async def test_however_broken_the_file_is(broken: str, main: Path) -> None:
    """Empty, torn, full of rubbish: where the journal lies is told on the command line, and the rest is in it."""
    async with started(main):
        pass
    main.write_text(broken)
    async with started(main, main.parent / "here.sqlite") as service:
        assert service.loaded.broken


async def test_without_a_good_set_nothing_starts(main: Path) -> None:
    """Where nothing ever worked with this file, its problems are all there is."""
    main.write_text(BROKEN)
    with pytest.raises(ConfigurationError, match="senderr"):
        load_or_last_good(main)


async def test_a_playbook_that_is_gone_is_in_the_set(main: Path) -> None:
    """The set is whole: files that the main file names are kept with it, and secrets never are."""
    books = main.parent / "playbooks"
    books.mkdir()
    (books / "amok.yaml").write_text((Path(__file__).parents[2] / "playbooks/amok.yaml").read_text())
    async with started(main) as service:
        kept = await service.journal.read(lambda c: c.exec_driver_sql("SELECT files FROM configurations").scalar())
        assert ("Amoklage" in kept, "whsec" in kept) == (True, False)
    (books / "amok.yaml").unlink()
    main.write_text(BROKEN)
    async with started(main) as service:
        assert [book.id for book in service.loaded.deployment.playbooks] == ["amok"]


async def test_a_broken_channel_is_left_out_and_paged(main: Path) -> None:
    """One broken channel costs that channel; the set is not kept as a good one."""
    main.write_text(GOOD + "  bad: {kind: ntfy, realm: exercise, urll: x}\n")
    async with started(main) as service:
        assert set(service.loaded.deployment.channels) == {"website", "duty-team"}
        [(cause, text)] = await pages(service)
        assert (cause, "urll" in text) == ("configuration", True)
        count = "SELECT count(*) FROM configurations"
        assert await service.journal.read(lambda c: c.exec_driver_sql(count).scalar()) == 0


async def test_a_reload_takes_what_works(main: Path) -> None:
    """New channels are connected, old ones stay for what is queued; a broken file changes nothing and is paged."""
    async with started(main) as service:
        website = service.pipeline.setup.channels[ChannelId("website")]
        main.write_text(GOOD.replace("  website:", "  page:"))
        assert await service.reload() == ()
        setup = service.pipeline.setup
        assert set(setup.deployment.channels) == {"page", "duty-team"}
        assert setup.channels[ChannelId("website")] is website
        main.write_text(BROKEN)
        with pytest.raises(ConfigurationError):
            await service.reload()
        assert set(service.pipeline.deployment.channels) == {"page", "duty-team"}
        assert [cause for cause, _ in await pages(service)] == ["configuration"]


@pytest.mark.parametrize(
    "change",
    [{"realm": "live"}, {"journal": {"path": "other.sqlite"}}, {"console": {"port": 1}}, {"http_client": "aiohttp"}],
)
async def test_what_cannot_change_is_refused(change: dict[str, object], main: Path) -> None:
    """Realm, journal, console and HTTP client stay until a restart, and a reload that asks otherwise says so."""
    async with started(main) as service:
        data = YAML(typ="safe").load(GOOD) | change
        if "realm" in change:
            for channel in data["channels"].values():
                channel["realm"] = "live"
        with main.open("w") as file:
            YAML().dump(data, file)
        with pytest.raises(ConfigurationError, match="cannot change while the daemon runs"):
            await service.reload()


@pytest.mark.parametrize(("line", "name"), [("", "dispatcher/"), ("http_client: aiohttp\n", "aiohttp/")])
async def test_who_speaks_http_is_for_the_files_to_say(line: str, name: str, main: Path) -> None:
    """Requests leave by the client that the main file names, and by our own where it names none."""
    async with provider(says(200)) as heard:
        main.write_text(f"{GOOD}{line}heartbeat: {{url: {heard.url}, every: 1s}}\n")
        async with started(main), asyncio.timeout(20):
            while not heard.requests:
                await asyncio.sleep(0.01)
    assert name in heard.head()


MISTAKES = {
    "a broker without a host": ('broker: {url: "mqtt://["}', "broker.url: no host and port of a broker (write it like"),
    "a port that is none": ('broker: {url: "mqtt://a:99999"}', "broker.url: no host and port of a broker (write it"),
    "no address at all": ("broker: {url: localhost}", "broker.url: no host and port of a broker (write it like"),
    "more than a year": ("max_age: 366d", "max_age: no span between 1 second and 365 days (write 90s"),
    "more than a year in ISO 8601": ("max_age: P400D", "max_age: no span between 1 second and 365 days (write 90s"),
    "more than a clock can hold": ("max_age: P9999999999D", "max_age: 'P9999999999D' is no span of time (write 90s"),
    "no time at all": ("max_age: 0s", "max_age: no span between 1 second and 365 days (write 90s"),
    "a NUL in a path": (
        r'channels_file: "a\0b"',
        "channels_file: U+0000 cannot be seen, and may hide what is (take it out)",
    ),
    "a NUL as it is": ("channels_file: a\0b", "not YAML: special characters are not allowed (take it out)"),
}


@pytest.mark.parametrize(("line", "complaint"), MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_is_named_and_kills_no_start(
    line: str, complaint: str, main: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` names line, field and remedy of what Python itself would stumble over; a start takes the last good set."""
    (main.parent / "playbooks").mkdir()
    (main.parent / "playbooks" / "fire.yaml").write_text(SMALL)
    async with started(main):
        pass
    main.write_text(GOOD + line + "\n")
    with pytest.raises(SystemExit) as refused:
        command(["check", str(main)])
    assert str(refused.value.code).startswith(f"{main}:8: {complaint}")
    assert "Traceback" not in capsys.readouterr().err
    async with started(main) as service:
        assert (len(service.loaded.broken), service.readiness()["configuration"]) == (1, False)
        assert set(service.loaded.deployment.channels) == {"website", "duty-team"}


@pytest.mark.parametrize("where", ["journal: {path", "console: {tokens_file", "broker: {password_file"])
def test_no_path_holds_a_nul(where: str, main: Path) -> None:
    """A NUL is refused in paths that nothing opens before the daemon is up."""
    main.write_text(GOOD.replace("journal: {path: here.sqlite}\nconsole: {port: 0}\n", "") + where + r': "a\0b"}')
    with pytest.raises(ConfigurationError, match=r"dispatcher\.yaml:6: .*: U\+0000 cannot be seen"):
        load_or_last_good(main)


async def test_a_reload_leaves_the_loop_free(main: Path) -> None:
    """While the files are read again, which takes its time, everything else goes on."""
    async with started(main) as service:
        loop, longest = asyncio.get_running_loop(), 0.0
        began = last = loop.time()
        reloading = asyncio.create_task(service.reload())
        while not reloading.done():
            await asyncio.sleep(0)
            longest, last = max(longest, loop.time() - last), loop.time()
        assert reloading.result() == ()
        assert longest < (last - began) / 2
