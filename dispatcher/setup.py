"""What the daemon runs with at this moment: deployment and connected channels, replaced whole by a reload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dispatcher.channels.base import Channel
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An officer's own account as a channel; ``speaks`` while its owner agrees, else it is known for what it carries."""

    profile: ChannelProfile
    channel: Channel
    speaks: bool


class Setup:
    """One current set. Channels that a reload took out stay known for what is still queued on them.

    Officers' own accounts stand after the channels of the files, so that those leave first, and outlast a reload.
    """

    def __init__(self, deployment: Deployment, channels: Mapping[ChannelId, Channel]) -> None:
        """``channels`` are connected, one for each of the deployment's."""
        self.deployment = deployment
        self.channels: Mapping[ChannelId, Channel] = {**channels}
        self.profiles: Mapping[ChannelId, ChannelProfile] = _profiles(deployment)
        self._accounts: dict[ChannelId, ChannelProfile] = {}  # those that speak
        self._files = deployment
        self._count()

    def replace(self, deployment: Deployment, channels: Mapping[ChannelId, Channel]) -> None:
        """Run with another set from now on; what is under way keeps what it began with."""
        self.channels = {**self.channels, **channels}
        self.profiles = {**self.profiles, **_profiles(deployment)}
        after = deployment.after(self.deployment)
        self.deployment = replace(after, channels={**after.channels, **self._accounts})
        self._files = deployment
        self._count()

    def enrol(self, accounts: Sequence[Enrolled]) -> None:
        """Let these accounts speak from now on, or speak no more."""
        known = {one.profile.id: one.profile for one in accounts}
        self.channels = {**self.channels, **{one.profile.id: one.channel for one in accounts}}
        self.profiles = {**self.profiles, **known}
        others = {name: one for name, one in self._accounts.items() if name not in known}
        self._accounts = others | {one.profile.id: one.profile for one in accounts if one.speaks}
        now = self.deployment
        files = {name: one for name, one in now.channels.items() if not one.group}
        past = {**now.past_channels, **known}
        self.deployment = replace(now, channels={**files, **self._accounts}, past_channels=past)
        self._count()

    def shares(self, origin: str) -> bool:
        """Whether several channels speak through ``origin``."""
        return self._origins[origin] > 1

    def _count(self) -> None:
        speaking = (*self._files.every_channel(), *self._accounts.values())
        self._origins = Counter(profile.origin for profile in speaking)


def _profiles(deployment: Deployment) -> dict[ChannelId, ChannelProfile]:
    return {profile.id: profile for profile in deployment.every_channel()}
