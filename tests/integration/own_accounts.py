"""A daemon whose officers speak on accounts of their own, a wall on which they do, and a browser in each officer's hand."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from unit.house import playbook

from dispatcher.app import Service, build
from dispatcher.intake.base import Inbound
from dispatcher.journal import queries
from dispatcher.journal.accounts import accounts
from dispatcher.model.account import Account
from dispatcher.model.delivery import Delivery, IncidentId
from dispatcher.settings import load
from dispatcher.wall.app import Wall, running_wall

MAIN = """\
realm: live
sender: {name: Polizei Leer}
journal: {path: here.sqlite}
console: {port: 0}
public: {port: 0}
regions: [{id: leer, name: Leer}, {id: emden, name: Emden}]
playbooks: books
channels:
  website: {kind: ntfy, url: "WALL/ntfy/website"}
  duty-team: {kind: by_hand, audience: staff}
accounts:
  officers:
    title: Leer persönlich
    key: {token_file: accounts.key}
    ways:
      phone:
        {mode: share, kind: ntfy, title: Mein Telefon, asks: {url: Ihr Thema}, hosts: [127.0.0.1]}
      fediverse:
        mode: auto
        kind: mastodon
        title: Mastodon
        asks: {base_url: Ihre Instanz, token: Ihr Schlüssel}
        hosts: [127.0.0.1]
"""
TOKEN = "a-token-of-anna"
LINE = "Zum Weitersagen in eigenen Worten"


@dataclass
class Force:
    """The daemon, the wall, and officers with their links."""

    service: Service
    wall: Wall
    client: ClientSession
    main: Path

    async def invite(self, *officers: str, status: int = 200, **more: Any) -> dict[str, str]:
        """Links by number."""
        body = {"officers": [{"officer": one} if isinstance(one, str) else one for one in officers], **more}
        answer = await self.ask("POST", "accounts/officers/invite", body, status)
        return {one["officer"]: one["link"] for one in answer["accounts"]} if status == 200 else answer

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        """A supervisor's request."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.client.request(
            method, f"{self.service.url}/api/v1/{path}", json=body, headers=headers
        ) as answer:
            assert answer.status == status, await answer.text()
            found: dict[str, Any] = await answer.json(content_type=None)
            return found

    async def say(self, link: str, status: int = 303, **form: str) -> str:
        """What an owner sends from the page; its text."""
        async with self.client.post(link, data=form, allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text

    async def share(self, officer: str, **more: Any) -> str:
        """An officer is invited and agrees to be asked on the phone; the link."""
        link = (await self.invite({"officer": officer, **more} if more else officer))[officer]
        url = f"{self.wall.url}/ntfy/phone-of-{officer}"
        await self.say(link, **{"say": "consent", "way": "phone", "agree": "yes", "answer-url": url})
        return link

    async def auto(self, officer: str, line: str = "Bei mir im Revier:") -> str:
        """An officer is invited and lets texts appear; the link."""
        link = (await self.invite(officer))[officer]
        answers = {"answer-base_url": f"{self.wall.url}/mastodon", "answer-token": f"token-of-{officer}"}
        await self.say(link, **{"say": "consent", "way": "fediverse", "agree": "yes", "line": line, **answers})
        return link

    async def alarm(self, key: str = "1", **changes: Any) -> None:
        """The control room reports something about incident i1."""
        usual = {
            "v": 1, "id": key, "incident": "i1", "msg_type": "alert", "status": "actual", "kind": "amok",
            "sent": datetime.now(UTC).isoformat(), "place": "Hafen", "area": {"regions": ["leer"]},
        }  # fmt: skip
        payload = json.dumps({**usual, **changes}).encode()
        inbound = Inbound(source="els", payload=payload, received_at=datetime.now(UTC))
        receipt = await self.service.pipeline.receive(inbound)
        assert receipt.state == "journaled", receipt

    async def end(self, word: str = "all-clear") -> None:
        """Anna says that it is over."""
        await self.ask("POST", f"incidents/i1/{word}", {})

    async def quiet(self) -> None:
        """Wait until nothing is to be sent any more."""
        await until(lambda: self.service.worker.open == 0)

    def shown(self, account: str) -> list[str]:
        """What readers of ``account`` see."""
        return [post.text for post in self.wall.board.of(account)]

    async def known(self) -> dict[str, Account]:
        """Accounts as the journal has them, by officer."""
        return {one.officer: one for one in await self.service.journal.read(accounts)}

    async def deliveries(self, officer: str) -> list[Delivery]:
        """What became of everything that was to be said on an officer's account."""
        channel = (await self.known())[officer].channel
        wanted = partial(queries.deliveries, incident=IncidentId("i1"), channel=channel)
        return sorted(await self.service.journal.read(wanted), key=lambda one: one.revision)

    async def states(self, officer: str) -> list[str]:
        """Their states."""
        return [str(one.state) for one in await self.deliveries(officer)]

    async def become(self, officer: str, *states: str) -> None:
        """Wait for their states: rows of a plan are written right after it."""
        async with asyncio.timeout(30):
            while await self.states(officer) != [*states]:
                await asyncio.sleep(0.005)

    async def facts(self, kind: str) -> list[dict[str, Any]]:
        """Bodies of all facts of a kind."""
        found = await self.service.journal.read(partial(queries.facts_after, seq=0, limit=10_000))
        return [{"ref": fact.ref, **fact.body} for fact in found if fact.kind == kind]


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for ``condition``; raises `TimeoutError` where it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def written(folder: Path, wall: Wall) -> Path:
    """The configuration in ``folder``."""
    (folder / "accounts.key").write_text("0123456789abcdef" * 3)
    (folder / "books").mkdir()
    (folder / "books" / "amok.yaml").write_text(json.dumps(playbook().model_dump(mode="json", exclude_defaults=True)))
    path = folder / "dispatcher.yaml"
    path.write_text(MAIN.replace("WALL", wall.url))
    return path


@asynccontextmanager
async def working(main: Path, wall: Wall) -> AsyncIterator[Force]:
    """The daemon at work."""
    loaded = load(main)
    assert loaded.problems == (), loaded.problems
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(build(loaded, path=main))
        service.tokens.add(TOKEN, "supervisor", person="anna")
        yield Force(service, wall, await stack.enter_async_context(ClientSession()), main)


@asynccontextmanager
async def at_work(folder: Path) -> AsyncIterator[Force]:
    """The daemon at work, and its wall."""
    async with running_wall() as wall, working(written(folder, wall), wall) as force:
        yield force


def token_in(link: str) -> str:
    """The last part of a link."""
    [found] = re.findall(r"/own/([\w.-]+)$", link)
    return str(found)
