"""The heartbeat beats while all is well; what goes wrong with it is told and hurts nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from contract.provider import in_turn, provider, says
from pydantic import ValidationError
from structlog.testing import capture_logs
from unit.house import Sluice, road, until

from dispatcher.channels.http import http_client
from dispatcher.heartbeat import Heartbeat, HeartbeatSettings
from dispatcher.model.errors import ConfigurationError
from dispatcher.settings import load
from dispatcher.telemetry import REGISTRY, redact

SECRET = "4f1c-a-name-that-nobody-may-read"
OFTEN = timedelta(milliseconds=20)
CONFIG = {
    "realm": "live", "sender": {"name": "Stadt Leer"},
    "channels": {"duty": {"kind": "ntfy", "audience": "staff", "url": "https://ntfy.example/duty"}},
}  # fmt: skip


@asynccontextmanager
async def beating(folder: Path, url: str, every: timedelta = OFTEN) -> AsyncIterator[Sluice]:
    """A heartbeat to ``url``, more often than settings allow, over the journal that is given."""
    settings = HeartbeatSettings(url=url).model_copy(update={"every": every})
    async with road(folder, working=False) as found, http_client() as http:
        task = asyncio.create_task(Heartbeat(settings, found.journal, http).run())
        yield found.journal
        assert not task.done()
        task.cancel()


async def test_a_monitor_that_fails_is_told_of_once(tmp_path: Path) -> None:
    """It goes on beating through refusals and hears again; each change is one line of the log, and a metric."""
    turns = [says(200), says(500), says(500), *[says(204)] * 1_000]
    with capture_logs() as logs:
        slowly = timedelta(seconds=0.25)
        async with provider(in_turn(*turns)) as monitor, beating(tmp_path, f"{monitor.url}/{SECRET}", slowly):
            await until(lambda: any(line["event"] == "heartbeat_not_heard" for line in logs))
            assert REGISTRY.get_sample_value("dispatcher_heartbeat_heard") == 0
            await until(lambda: len(monitor.requests) > 4)
            assert REGISTRY.get_sample_value("dispatcher_heartbeat_heard") == 1
            assert monitor.head().startswith(f"GET /{SECRET} HTTP/1.1")
    told = [(line["event"], line.get("why")) for line in logs if "heartbeat" in line["event"]]
    assert told == [("heartbeat_heard", None), ("heartbeat_not_heard", "HTTP 500"), ("heartbeat_heard", None)]
    assert SECRET not in redact(f"{logs} {monitor.url}/{SECRET}")


async def _never(_: bytes, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("behave", [None, _never])
async def test_a_monitor_that_is_away_or_hangs_holds_nothing_up(
    tmp_path: Path, behave: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]] | None
) -> None:
    """Where nobody answers, each beat is given up in time for the next one."""
    with capture_logs() as logs:
        async with provider(behave or _never) as monitor:
            url = monitor.url if behave else "http://127.0.0.1:1"
            async with beating(tmp_path, url):
                await until(lambda: any(line["event"] == "heartbeat_not_heard" for line in logs))
                await until(lambda: len(monitor.requests) > 2 or not behave)


async def test_no_beat_vouches_for_a_journal_that_hangs(tmp_path: Path) -> None:
    """While the journal does not commit the monitor hears nothing, and hears again when it does."""
    async with provider(says(200)) as monitor, beating(tmp_path, monitor.url) as journal:
        await until(lambda: len(monitor.requests) > 1)
        journal.opened.clear()
        with capture_logs() as logs:
            await until(lambda: bool(logs))
        beats = len(monitor.requests)
        with pytest.raises(TimeoutError):
            await until(lambda: len(monitor.requests) > beats, 5 * OFTEN.total_seconds())
        journal.opened.set()
        await until(lambda: len(monitor.requests) > beats)
    assert logs[0]["event"] == "heartbeat_not_heard"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({}, "give url, url_file or url_env, one of them"),
        ({"url": "https://m.example/1", "url_env": "HEARTBEAT"}, "give url, url_file or url_env, one of them"),
        ({"url": "m.example"}, "url"),
        ({"url": "https://m.example/1", "every": timedelta(seconds=20)}, "every"),
        ({"url": "https://m.example/1", "every": timedelta(milliseconds=500)}, "every"),
    ],
)
def test_what_would_not_be_missed_in_time_is_refused(entry: dict[str, object], complaint: str) -> None:
    """There is one address, and a beat at least every ten seconds, so that 15 are enough to miss it."""
    with pytest.raises(ValidationError, match=complaint):
        HeartbeatSettings(**entry)


def _configured(folder: Path, **heartbeat: str) -> Path:
    path = folder / "dispatcher.yaml"
    path.write_text(json.dumps({**CONFIG, "heartbeat": heartbeat}))
    return path


def test_a_missing_address_stops_no_daemon(tmp_path: Path) -> None:
    """An address that cannot be read, or is none, is listed among the secrets, without its value; the rest loads."""
    path = _configured(tmp_path, url_file="monitor")
    assert "monitor cannot be read" in str(load(path).secrets[0])
    (tmp_path / "monitor").write_text(SECRET)
    (problem,) = load(path).secrets
    assert "heartbeat: the monitor's address is no http or https URL" in str(problem)
    assert SECRET not in str(problem)
    (tmp_path / "monitor").write_text(f"https://m.example/{SECRET}\n")
    assert load(path).secrets == ()


def test_a_drill_does_not_beat(tmp_path: Path) -> None:
    """An exercise out of the live files never calls the live monitor."""
    (tmp_path / "secrets").mkdir()
    path = _configured(tmp_path, url="https://m.example/1")
    assert load(path).heartbeat is not None
    assert load(path, drill=tmp_path / "secrets").heartbeat is None


def test_a_wrong_entry_names_its_line(tmp_path: Path) -> None:
    """A heartbeat that cannot be understood is refused by file, line and field."""
    with pytest.raises(ConfigurationError, match=r"dispatcher\.yaml:1: heartbeat\.every"):
        load(_configured(tmp_path, url="https://m.example/1", every="1h"))
