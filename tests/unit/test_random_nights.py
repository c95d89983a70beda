"""Random nights: whatever is reported and decided, every channel that spoke gets its end, in order, and only from people."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from unit.house import CHANNELS, PERMANENT, Road, deployment, playbook, road, speak

from dispatcher.journal import queries
from dispatcher.model.alert import Post, Purpose
from dispatcher.model.command import Join, Reject, Release, Renew, Retract
from dispatcher.model.delivery import IncidentId, Outcome, Result
from dispatcher.model.errors import CommandError

INCIDENTS = ("i1", "i2", "i3")
AREAS = (["leer"], ["emden"], ["leer", "emden"], ["aurich"], ["leer", "aurich"])
STEPS = 18


class Night:
    """One seed's night: its chances and what it has done so far."""

    def __init__(self, found: Road, seed: int) -> None:
        self.found, self.rng, self.number = found, random.Random(seed), 0

    async def step(self) -> None:
        """Something happens; what cannot be done is refused and changes nothing."""
        self.number += 1
        act = self.rng.choice(
            [self.report, self.report, self.say, self.say, self.end, self.decide, self.decide, self.join, self.wait]
        )
        with contextlib.suppress(CommandError):
            await act()
        if self.rng.random() < 0.7:
            await self.found.quiet()

    async def report(self) -> None:
        """The source says something."""
        kind = self.rng.choice(["alert", "update", "update", "cancel"])
        await self.found.receive(
            id=str(self.number), incident=self.rng.choice(INCIDENTS), msg_type=kind,
            area={"regions": self.rng.choice(AREAS)} if self.rng.random() < 0.7 else None,
            sent=self.found.clock.now().isoformat(),
        )  # fmt: skip

    async def say(self) -> None:
        """A person says more, perhaps of another area, or reopens."""
        purpose = self.rng.choice([Purpose.UPDATE, Purpose.UPDATE, Purpose.ALERT])
        regions = tuple(self.rng.choice(AREAS)) if purpose is Purpose.UPDATE and self.rng.random() < 0.6 else None
        await self._speak(purpose, regions=regions)

    async def end(self) -> None:
        """A person ends it."""
        await self._speak(self.rng.choice([Purpose.ALL_CLEAR, Purpose.FALSE_ALARM]))

    async def decide(self) -> None:
        """A person lets out, renews or rejects something that waits, or takes back what is out."""
        records = await self.found.journal.read(partial(queries.alert_records, limit=200))
        held = [record for record in records if record.state == "held"]
        out = [record for record in records if record.state == "released" and record.alert.purpose is Purpose.UPDATE]
        person = self.rng.choice(["anna", "ben"])
        if out and self.rng.random() < 0.2:
            alert = self.rng.choice(out).alert.id
            await self.found.pipeline.command(
                Retract(person=person, alert=alert, key=f"k{self.number}", words={"de": "Falsch."})
            )
        elif held:
            record = self.rng.choice(held)
            alert, chance = record.alert.id, self.rng.random()
            if chance < 0.6:
                await self.found.pipeline.command(Release(person=person, alert=alert, digest=record.digest))
            else:
                await self.found.pipeline.command((Renew if chance < 0.8 else Reject)(person=person, alert=alert))

    async def join(self) -> None:
        """A person finds that two are one."""
        own, into = self.rng.sample(INCIDENTS, 2)
        await self.found.pipeline.command(
            Join(person="anna", incident=IncidentId(own), into=IncidentId(into), key=f"k{self.number}")
        )

    async def wait(self) -> None:
        """Time passes."""
        self.found.push(timedelta(minutes=self.rng.choice([1, 6, 11])))

    async def _speak(self, purpose: Purpose, **more: object) -> None:
        incident = IncidentId(self.rng.choice(INCIDENTS))
        await self.found.pipeline.command(speak(purpose, key=f"k{self.number}", incident=incident, **more))

    async def morning(self) -> None:
        """Everything that is open is ended by name."""
        await self.found.quiet()
        for name in INCIDENTS:
            with contextlib.suppress(CommandError):
                await self.found.pipeline.command(speak(Purpose.ALL_CLEAR, key="morning", incident=IncidentId(name)))
        await self.found.quiet()


RELEASES = pytest.mark.parametrize("release", ["automatic", "one_person", "two_persons"])


@pytest.mark.parametrize("seed", range(40))
@RELEASES
async def test_every_channel_gets_its_end(seed: int, release: str, tmp_path: Path) -> None:
    """No channel is left without an end, none gets an end that never spoke, and no end is a machine's."""
    await _through_the_night(seed, release, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40, 340))
@RELEASES
async def test_every_channel_gets_its_end_on_many_nights(seed: int, release: str, tmp_path: Path) -> None:
    """The same, nine hundred times more."""
    await _through_the_night(seed, release, tmp_path)


@pytest.mark.parametrize("seed", range(12))
@RELEASES
async def test_fallbacks_get_their_ends(seed: int, release: str, tmp_path: Path) -> None:
    """The same where channels refuse at random and others stand by for them: who was never called gets no end."""
    rng, refused = random.Random(seed), set[str]()

    async def fickle(post: Post) -> Outcome:
        if post.purpose.ends or rng.random() < 0.6:
            return Outcome(result=Result.ACCEPTED, provider_id="1")
        refused.add(post.key)
        return PERMANENT

    rule = {
        "only": ["facebook-leer", "facebook-emden"],
        "fallback": {"facebook": ["whatsapp"], "whatsapp": ["website"]},
    }
    handlers = dict.fromkeys(("facebook_leer", "facebook_emden", "whatsapp_leer"), fickle)
    await _through_the_night(seed, release, tmp_path, channels=rule, refused=refused, **handlers)


async def _through_the_night(
    seed: int, release: str, tmp_path: Path, channels: dict[str, Any] | None = None, refused: Collection[str] = (),
    **handlers: Callable[[Post], Awaitable[Outcome]],
) -> None:  # fmt: skip
    where = deployment(playbook(release=release, deliver_within="12h", channels=channels or {}), channels=CHANNELS)
    async with road(tmp_path, where, **handlers) as found:
        night = Night(found, seed)
        for _ in range(STEPS):
            await night.step()
        await night.morning()

        records = await found.journal.read(partial(queries.alert_records, limit=1000))
        revisions = {record.alert.id: record.alert.revision for record in records}
        joined = found.pipeline.decisions.means.joined
        for name, fake in found.fakes.items():
            said, tried = defaultdict(list), dict[str, Purpose]()
            for post in fake.posts:
                incident = joined.get(post.incident, post.incident)
                tried.setdefault(incident, post.purpose)
                if post.purpose is not Purpose.PAGE and post.key not in refused:
                    said[incident].append(post.purpose)
            for incident, purposes in said.items():
                told = f"seed {seed}: {name} said {[str(p) for p in purposes]} about {incident}"
                assert purposes[-1].ends, told
                assert not tried[incident].ends, told
            for incident in INCIDENTS:
                order = [revisions[post.alert] for post in fake.posts if post.incident == incident]
                assert order == sorted(set(order)), f"seed {seed}: {name} said {order} about {incident}"
        for record in records:
            if record.state == "released" and record.alert.purpose.ends:
                assert record.released_by, record.alert.id
            if record.state == "released" and record.alert.purpose.spoken and record.alert.people == 2:
                assert len(set(record.released_by)) == 2
