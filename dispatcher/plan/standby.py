"""Which channels are prepared behind others, to speak where those fail. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from dispatcher.model.cap import RegionId
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.deployment import Deployment
from dispatcher.model.playbook import ChannelRule

_Places = dict[RegionId | None, list[int]]  # of those who speak in a region, or None: everywhere


def standbys(
    rule: ChannelRule, primaries: Sequence[ChannelProfile], where: frozenset[RegionId], deployment: Deployment
) -> Mapping[ChannelId, tuple[ChannelId, ...]]:
    """Channels that stand by, each with those it stands by for. What speaks anyway does not stand by.

    One that stands by may have a fallback in turn: it is prepared as well.
    """
    speaking = {primary.id for primary in primaries}
    prepared = [c for c in deployment.channels.values() if c.id not in speaking and rule.prepares(c)]
    named = _by_name_and_region(prepared)

    @cache  # most primaries of a kind ask for the same
    def beside(names: tuple[str, ...], area: frozenset[RegionId] | None) -> list[ChannelProfile]:
        """Those of ``names`` that speak in ``area``, or anywhere, in the order of the files."""
        return [prepared[place] for place in sorted(_within(area, [named[name] for name in names if name in named]))]

    behind: dict[ChannelId, list[ChannelId]] = {}
    chain = [*primaries] if prepared else []
    for primary in chain:  # grows while it is walked
        for channel in beside(rule.fallbacks(primary), _heard(primary, rule, where)):
            if channel.id not in behind:
                chain.append(channel)
            behind.setdefault(channel.id, []).append(primary.id)
    return {channel: tuple(others) for channel, others in behind.items()}


def _heard(primary: ChannelProfile, rule: ChannelRule, where: frozenset[RegionId]) -> frozenset[RegionId] | None:
    """Where ``primary`` would have been heard about an incident in ``where``; None means anywhere."""
    if rule.regions == "all":
        return primary.regions or None
    return primary.regions & where or where


def _by_name_and_region(prepared: Sequence[ChannelProfile]) -> Mapping[str, _Places]:
    """Places in ``prepared`` by id or kind, and by region: nobody has to ask all of them."""
    named: dict[str, _Places] = defaultdict(lambda: defaultdict(list))
    for place, channel in enumerate(prepared):
        for name in {channel.id, channel.kind}:
            for region in channel.regions or (None,):
                named[name][region].append(place)
    return named


def _within(area: frozenset[RegionId] | None, found: Iterable[_Places]) -> set[int]:
    within = None if area is None else (None, *area)
    return {at for places in found for region in within or places for at in places.get(region, ())}
