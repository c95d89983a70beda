"""The road of an alert shares no thread pool with anything: what fills the pool cannot hold a channel up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from acceptance.harness import SECRET, Receivers, event, one_playbook
from ruamel.yaml import YAML
from unit.house import until

from dispatcher.app import build
from dispatcher.intake.base import Inbound
from dispatcher.settings import load
from dispatcher.wall.app import running_wall
from dispatcher.wall.mail import mail_at

CHANNELS = 40


class Refusing(ThreadPoolExecutor):
    """A thread pool that takes no work."""

    asked = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Refuse, and remember."""
        Refusing.asked += 1
        raise RuntimeError("the default thread pool was asked")


def _configured(folder: Path, channels: dict[str, Any]) -> Path:
    one_playbook(folder)
    config = {
        "realm": "exercise", "release_override": "automatic", "sender": {"name": "Polizei Beispiel"},
        "journal": {"path": str(folder / "journal.sqlite")}, "console": {"port": 0},
        "regions": [{"id": "leer", "name": "Leer", "ags": "03457"}], "channels": channels,
    }  # fmt: skip
    YAML().dump(config, folder / "dispatcher.yaml")
    return folder / "dispatcher.yaml"


async def test_a_fan_out_asks_no_thread_pool(world: Receivers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a default thread pool that refuses everything, posts and letters to hosts by name all arrive."""
    monkeypatch.setenv("HOOK_SECRET", SECRET["HOOK_SECRET"])
    monkeypatch.setenv("MAIL_SECRET", "letters")
    channels = world.channels(CHANNELS)
    for name, entry in channels.items():  # RFC 6761: every name below localhost is this machine, and is looked up
        entry["url"] = f"http://{name}.localhost:{world.port}/{name}"
    loop = asyncio.get_running_loop()
    async with running_wall() as wall:
        channels["mail"] = {
            "kind": "email", "realm": "exercise", "tls": "none", "sender": "leitstelle@polizei.example",
            "relays": [mail_at(wall.url).replace("127.0.0.1", "localhost")], "recipients": ["presse@zeitung.example"],
            "username": "letters", "credential": {"token_env": "MAIL_SECRET"},
        }  # fmt: skip
        async with build(load(_configured(tmp_path, channels))) as service:
            loop.set_default_executor(Refusing(1))
            now = service.pipeline.clock.now()
            await service.pipeline.receive(
                Inbound(source="els", payload=json.dumps(event(source="els")).encode(), received_at=now)
            )
            await world.until(lambda: len(world.reached()) == CHANNELS)
            await until(lambda: len(wall.board.posts()) == 1)
            loop.set_default_executor(ThreadPoolExecutor(1))  # the end of a daemon may wait for it
    assert Refusing.asked == 0
