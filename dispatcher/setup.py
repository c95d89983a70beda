"""What the daemon runs with at this moment: deployment and connected channels, replaced whole by a reload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dispatcher.channels.base import Channel
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.deployment import Deployment


class Setup:
    """One current set. Channels that a reload took out stay known for what is still queued on them."""

    def __init__(self, deployment: Deployment, channels: Mapping[ChannelId, Channel]) -> None:
        """``channels`` are connected, one for each of the deployment's."""
        self.deployment = deployment
        self.channels: Mapping[ChannelId, Channel] = {**channels}
        self.profiles: Mapping[ChannelId, ChannelProfile] = _profiles(deployment)
        self._origins = _origins(deployment)

    def replace(self, deployment: Deployment, channels: Mapping[ChannelId, Channel]) -> None:
        """Run with another set from now on; what is under way keeps what it began with."""
        self.channels = {**self.channels, **channels}
        self.profiles = {**self.profiles, **_profiles(deployment)}
        self.deployment = deployment.after(self.deployment)
        self._origins = _origins(deployment)

    def shares(self, origin: str) -> bool:
        """Whether several channels speak through ``origin``."""
        return self._origins[origin] > 1


def _profiles(deployment: Deployment) -> dict[ChannelId, ChannelProfile]:
    return {profile.id: profile for profile in deployment.every_channel()}


def _origins(deployment: Deployment) -> Counter[str]:
    return Counter(profile.origin for profile in deployment.every_channel())
