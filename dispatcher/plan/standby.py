"""Which channels are prepared behind others, to speak where those fail. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dispatcher.model.cap import RegionId
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.deployment import Deployment
from dispatcher.model.playbook import ChannelRule


def standbys(
    rule: ChannelRule, primaries: Sequence[ChannelProfile], where: frozenset[RegionId], deployment: Deployment
) -> Mapping[ChannelId, tuple[ChannelId, ...]]:
    """Channels that stand by, each with those it stands by for. What speaks anyway does not stand by.

    One that stands by may have a fallback in turn: it is prepared as well.
    """
    speaking = {primary.id for primary in primaries}
    prepared = [c for c in deployment.channels.values() if c.id not in speaking and rule.prepares(c)]
    behind: dict[ChannelId, tuple[ChannelId, ...]] = {}
    chain = [*primaries] if prepared else []
    for primary in chain:  # grows while it is walked
        for channel in prepared:
            if rule.stands_by(channel, primary) and _reaches(channel, primary, rule, where):
                if channel.id not in behind:
                    chain.append(channel)
                behind[channel.id] = (*behind.get(channel.id, ()), primary.id)
    return behind


def _reaches(channel: ChannelProfile, primary: ChannelProfile, rule: ChannelRule, where: frozenset[RegionId]) -> bool:
    """Whether ``channel`` speaks to any of those whom ``primary`` would have reached about an incident in ``where``."""
    if rule.regions == "all":
        return not primary.regions or channel.serves(primary.regions)
    return channel.serves(primary.regions & where or where)
