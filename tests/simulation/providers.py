"""Simulated providers: what they took they keep and publish, whatever they answer. Every departure and post is judged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from simulation.world import Published, World, never
from unit.house import channel

from dispatcher.channels.base import Channel
from dispatcher.channels.departure import leave
from dispatcher.model.alert import Post
from dispatcher.model.channel import AfterCorrection, Audience, ChannelId, ChannelProfile, InDoubt, Power
from dispatcher.model.delivery import Outcome, Reason, Result, Verb

CONNECTING, ANSWERING, ARRIVING = 0.05, 0.3, 0.02  # seconds
SLOW = 4.0
CLIENT_TIMEOUT = 10.0

# What may go wrong, and how often beside the others.
FAULTS = {
    "refused": 3, "slow": 3, "unavailable": 3, "rate_limited": 2, "rejected": 1, "reset": 4, "timeout": 2, "hang": 1,
    "half_answer": 2, "bug": 1,
}  # fmt: skip
_TAKES_NOTHING = frozenset({"unavailable", "rate_limited", "rejected"})
_ANSWERS = {
    "unavailable": Outcome(result=Result.TEMPORARY, reason=Reason.SERVER_ERROR, detail="503"),
    "rejected": Outcome(result=Result.PERMANENT, reason=Reason.REJECTED, detail="400"),
    "reset": Outcome(result=Result.IN_DOUBT, reason=Reason.NETWORK, detail="connection reset"),
    "half_answer": Outcome(result=Result.IN_DOUBT, reason=Reason.SERVER_ERROR, detail="half an answer"),
    "timeout": Outcome(result=Result.IN_DOUBT, reason=Reason.TIMEOUT, detail="no answer in time"),
}

PROFILES = (
    channel("mastodon", powers=frozenset({Power.KEY, Power.EDIT})),
    channel("facebook-leer", "leer", powers=frozenset({Power.FIND, Power.EDIT}), credential="facebook"),
    channel("facebook-emden", "emden", powers=frozenset({Power.FIND, Power.DELETE}), credential="facebook",
            after_correction=AfterCorrection.DELETE),
    channel("whatsapp-leer", "leer"),
    channel("siren-leer", "leer", in_doubt=InDoubt.HOLD),
    channel("desk"),
)  # fmt: skip
STAFF = channel("duty-team", audience=Audience.STAFF)
BY_HAND = ChannelId("desk")


class Alive(Protocol):
    """The daemon on whose behalf a channel speaks."""

    alive: bool


@dataclass(slots=True)
class Provider:
    """One provider's side of a channel: its mood, the keys it remembers, the posts it shows."""

    world: World
    profile: ChannelProfile
    mood: Mapping[str, int] = field(default_factory=dict)  # weights of faults
    badness: float = 0.0  # how often one happens
    keys: dict[str, str] = field(default_factory=dict)
    posts: list[Published] = field(default_factory=list)

    def storm(self, badness: float, kinds: int) -> None:
        """Misbehave from now on, in so many ways."""
        chosen = self.world.rng.sample(list(FAULTS), kinds)
        if self.profile.audience is Audience.STAFF:
            chosen = [kind for kind in chosen if kind not in ("rejected", "bug")] or ["refused"]
        self.mood, self.badness = {kind: FAULTS[kind] for kind in chosen}, badness

    def heal(self) -> None:
        """Behave."""
        self.badness = 0.0

    def next_fault(self) -> str:
        """What goes wrong with the next request; empty where nothing does."""
        if not self.world.chance(self.badness):
            return ""
        kind = self.world.rng.choices(list(self.mood), list(self.mood.values()))[0]
        self.world.fault(kind, self.profile.id)
        return kind

    def publish(self, post: Post, revision: int) -> None:
        """The body has arrived and is taken: the public reads it, unless its key is known."""
        if Power.KEY in self.profile.powers and post.key in self.keys:
            return
        name = f"{post.alert}:{self.profile.id}"
        shown = Published(
            self.world.loop.time(), name, post.purpose, revision, post.text.body, f"post-{len(self.posts)}", post.code
        )
        self.keys[post.key] = shown.provider_id
        self.world.note(f"published: {name} as {shown.provider_id}")
        _judge_post(self.world, self.world.published[post.incident, self.profile.id], shown)
        self.world.published[post.incident, self.profile.id].append(shown)
        self.posts.append(shown)


def _judge_post(world: World, lane: list[Published], shown: Published) -> None:
    """Order on a lane; a repeat only after a doubt, and marked."""
    newer = max((earlier.revision for earlier in lane), default=0)
    if shown.revision < newer and shown.purpose != "page":
        world.wrong(f"order: {shown.delivery} of revision {shown.revision} after revision {newer}")
    if not any(earlier.delivery == shown.delivery for earlier in lane):
        return
    if shown.delivery not in world.doubts:
        world.wrong(f"repeat: {shown.delivery} twice, and no doubt was journaled")
    alert = world.witness.first("SELECT body FROM alerts WHERE id = ?", shown.delivery.partition(":")[0])
    if alert is None or not _is_repetition(alert["body"], shown.body):
        world.wrong(f"repeat: {shown.delivery} twice, and the second does not say so")


def _is_repetition(alert: str, body: str) -> bool:
    from dispatcher.model.alert import Alert

    return any(texts.repetition.body == body for texts in Alert.from_json(alert).texts.values())


class Line(Channel):
    """A daemon's line to one provider; when the daemon dies, what has left may still arrive."""

    def __init__(self, provider: Provider, life: Alive) -> None:
        self._provider, self._life, self._world = provider, life, provider.world

    async def send(self, post: Post) -> Outcome:
        """Post a text."""
        if self._provider.profile.id == BY_HAND:
            await self._depart(post, Verb.POST)
            return Outcome(result=Result.BY_HAND, detail="post it by hand")
        return await self._exchange(post, Verb.POST)

    async def edit(self, post: Post) -> Outcome:
        """Change a post."""
        return await self._exchange(post, Verb.EDIT)

    async def delete(self, post: Post) -> Outcome:
        """Take a post back."""
        return await self._exchange(post, Verb.DELETE)

    async def find(self, post: Post) -> Outcome:
        """Look for a post by its code."""
        fault = await self._connect()
        if fault == "refused":
            return Outcome(result=Result.TEMPORARY, reason=Reason.NETWORK, detail="connection refused")
        leave()
        await self._world.pause(ANSWERING)
        await self._here("look-up")
        if fault not in ("", "slow"):
            return _ANSWERS["unavailable"]
        found = next((p for p in self._provider.posts if p.code == post.code), None)
        if found is None:
            return Outcome(result=Result.ABSENT)
        return Outcome(result=Result.VISIBLE, provider_id=found.provider_id)

    async def _connect(self) -> str:
        fault = self._provider.next_fault()
        await self._world.pause(SLOW if fault == "slow" else CONNECTING)
        await self._here("connection")
        if fault == "bug" and self._world.chance(0.5):
            raise ZeroDivisionError("a bug before anything left")
        return fault

    async def _exchange(self, post: Post, verb: Verb) -> Outcome:
        fault = await self._connect()
        if fault == "refused":
            return Outcome(result=Result.TEMPORARY, reason=Reason.NETWORK, detail="connection refused")
        revision = await self._depart(post, verb)
        taken = fault in ("", "slow") or (fault not in _TAKES_NOTHING and self._world.chance(0.5))
        if taken and verb is Verb.POST:
            self._world.loop.call_later(self._world.rng.uniform(0, ARRIVING), self._arrive, post, revision)
        await asyncio.sleep(ARRIVING)
        return await self._answer(fault, post)

    async def _depart(self, post: Post, verb: Verb) -> int:
        """The first byte: the fence is asked, then the departure is judged by what the journal holds."""
        leave()
        revision = _judge_departure(self._world, post, verb, self._provider.profile)
        await self._here("departure")
        return revision

    def _arrive(self, post: Post, revision: int) -> None:
        if self._life.alive or self._world.chance(0.5):
            self._provider.publish(post, revision)

    async def _answer(self, fault: str, post: Post) -> Outcome:
        await self._world.pause(ANSWERING)
        await self._here("answer")
        if fault == "hang":
            await never()
        if fault == "bug":
            raise ZeroDivisionError("a bug after the body")
        if fault == "timeout":
            await asyncio.sleep(CLIENT_TIMEOUT)
        if fault == "rate_limited":
            wait = timedelta(seconds=self._world.rng.choice([1, 5, 20]))
            return Outcome(result=Result.TEMPORARY, reason=Reason.RATE_LIMITED, detail="429", retry_after=wait)
        known = self._provider.keys.get(post.key, post.target)
        return _ANSWERS.get(fault) or Outcome(result=Result.ACCEPTED, provider_id=known)

    async def _here(self, name: str) -> None:
        """A point at which the daemon may be killed; a dead one goes no further."""
        if self._life.alive:
            self._world.point(name)
        if not self._life.alive:
            await never()


def _judge_departure(world: World, post: Post, verb: Verb, profile: ChannelProfile) -> int:
    """Whether this text may leave now, by what is committed at this moment; the revision that it leaves at."""
    name, page = f"{post.alert}:{profile.id}", post.purpose == "page"
    world.note(f"departed: {verb} {name}")
    standing = world.witness.standing(post.alert, profile.id)
    if standing is None or not standing.released:
        world.wrong(f"departure: {name} left before its alert was journaled and released")
        return 0
    if not standing.started:
        world.wrong(f"departure: {name} left before its attempt was journaled")
    if others := world.witness.beside(post.incident, name):
        world.wrong(f"order: {name} left beside {', '.join(others)}")
    if verb is Verb.POST and world.witness.ended(post.incident, post.alert, profile.id, standing.revision):
        world.wrong(f"end: {name} left after an end was journaled")
    if world.witness.stopped(post.incident, profile.id, page=page):
        world.wrong(f"stop: {name} left after a stop was journaled")
    if profile.in_doubt is InDoubt.HOLD and standing.rank > 0 and name in world.doubted:
        world.wrong(f"repeat: {name} is in doubt and its channel holds")
    if standing.deadline_at is not None and _micro(world) > standing.deadline_at + 200_000:
        world.wrong(f"deadline: {name} left after its time")
    return standing.revision


def _micro(world: World) -> int:
    from simulation.clockwork import START

    return int((START.timestamp() + world.loop.time()) * 1_000_000)
