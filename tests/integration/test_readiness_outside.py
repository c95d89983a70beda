"""The board as people get it: from the command line, over HTTP, on the page."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from integration.console_kit import WEBSITE, control_room
from integration.test_console_access import log_in

from dispatcher.app import build
from dispatcher.cli import main
from dispatcher.settings import load
from dispatcher.wall.app import Wall, running_wall
from dispatcher.wall.faults import Fault, FaultKind

PAGE, PRIVATE = "100000000000001", "100000000000002"
REVOKED = Fault(kind=FaultKind.STATUS, status=401)


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGE_TOKEN", f"token-{PAGE}")
    monkeypatch.setenv("TEST_TOKEN", f"token-{PRIVATE}")


def files(folder: Path, wall: Wall, **more: Any) -> Path:
    """An exercise with a page whose canary is another page, an account, and a person."""
    page = {"kind": "facebook_page", "page_id": PAGE, "credential": {"token_env": "PAGE_TOKEN"}}
    canary = {"page_id": PRIVATE, "credential": {"token_env": "TEST_TOKEN"}}
    channels = {
        "page": {**page, "base_url": f"{wall.url}/graph", "canary": canary},
        "account": {
            "kind": "mastodon", "base_url": f"{wall.url}/mastodon", "credential": {"token_env": "TEST_TOKEN"},
        },
        "desk": {"kind": "by_hand"},
    }  # fmt: skip
    said = {name: {**entry, "realm": "exercise"} for name, entry in {**channels, **more}.items()}
    path = folder / "dispatcher.yaml"
    path.write_text(json.dumps({
        "realm": "exercise", "sender": {"name": "Stadt Leer"}, "console": {"port": 0}, "channels": said,
        "journal": {"path": str(folder / "journal.sqlite")},
    }))  # fmt: skip
    return path


async def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[Any, str]:
    """Exit code and output of one command, run beside this loop."""

    def run() -> Any:
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            return ended.code
        return None

    code = await asyncio.to_thread(run)
    return code, capsys.readouterr().out


async def test_the_doctor_names_what_is_not_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It asks every channel once, posts nothing, prints the table, and exits 1 as long as one is not ready."""
    async with running_wall() as wall:
        path = files(tmp_path, wall)
        code, out = await command(capsys, "doctor", path)
        assert (code, "channels 3, not ready 0" in out) == (0, True)
        assert re.search(r"page +ready", out)
        assert re.search(r"desk +unknown", out)
        wall.faults.set(PAGE, REVOKED)
        code, out = await command(capsys, "doctor", path)
        assert (code, "channels 3, not ready 1: page" in out) == (1, True)
        assert re.search(r"page +down +auth: HTTP 401", out)
        assert "renew the" in out
        assert len(wall.board) == 0
        assert not wall.board.unexpected
        wall.faults.clear(PAGE)
        code, out = await command(capsys, "doctor", files(tmp_path, wall, broken={"kind": "carrier_pigeon"}))
        assert (code, "error: " in out, "not ready 0" in out) == (1, True, True)


async def test_a_canary_is_sent_by_the_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command lets the running daemon post to the private page only, read it back, and keep the day."""
    async with running_wall() as wall, build(load(files(tmp_path, wall))) as service:
        service.tokens.add("operator", "operator", person="anna")
        asked = ("--url", service.url, "--token", "operator")
        code, out = await command(capsys, "canary", "page", *asked)
        assert (code, "page: visible" in out) == (0, True)
        assert re.search(r"last proven live: 20\d\d-", out)
        assert [(post.account, post.text[:5]) for post in wall.board] == [(PRIVATE, "ÜBUNG")]
        wall.faults.set(PRIVATE, REVOKED)
        code, out = await command(capsys, "canary", *asked)
        assert (code, "page: permanent auth HTTP 401" in out) == (1, True)
        assert re.search(r"last proven live: 20\d\d-", out)
        code, _ = await command(capsys, "canary", "account", *asked)
        assert "404: channel account has no canary" in str(code)
        assert len(wall.board) == 1


async def test_the_board_is_read_by_those_who_may(tmp_path: Path) -> None:
    """Viewers see every channel with its state and remedy, and the page; only operators send canaries."""
    async with control_room(tmp_path) as room:
        found = (await room.get("readiness", as_="viewer-token"))["channels"]
        assert [one["channel"] for one in found] == ["website", "messenger", "duty-team"]
        assert (found[0]["state"], found[0]["proven_at"], found[0]["title"]) == ("unknown", None, "Website")
        snapshot = await room.get("snapshot", as_="viewer-token")
        assert snapshot["channels"] == {"unknown": 3}
        refused = await room.ask("POST", "/api/v1/canary", json={}, as_="viewer-token")
        assert refused.status == 403
        assert (await room.post("canary", {})) == {"channels": []}
        await room.post("canary", {"channels": [WEBSITE]}, status=404)
        page = await room.ask("GET", "/readiness", as_=None, headers=await log_in(room, "viewer-token"))
        assert (page.status, "/static/readiness.js" in await page.text()) == (200, True)
