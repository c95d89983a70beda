"""What a sender's level and people's regions allow: who may speak where, and what reaches so far that two must agree.

Pure. Ends are no privilege: nothing here is asked about an all-clear or a false alarm.
"""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.model.cap import Realm, RegionId
from dispatcher.model.deployment import Deployment
from dispatcher.model.playbook import Playbook

_MOST_NAMED = 3


def reach(playbook: Playbook, regions: Sequence[RegionId], deployment: Deployment) -> tuple[RegionId, ...]:
    """Where a word about ``regions`` is heard: everywhere, where its playbook calls the channels of all regions."""
    everywhere = (region.id for region in deployment.regions)
    return tuple(everywhere if playbook.channels.regions == "all" else regions)


def reaches_everybody(regions: Sequence[RegionId], deployment: Deployment) -> bool:
    """Whether what is heard in ``regions`` is heard by everybody a national sender can reach; an exercise never is."""
    if deployment.sender.level != "national" or deployment.realm is not Realm.LIVE or len(deployment.regions) == 1:
        return False
    return {region.id for region in deployment.regions} <= set(regions)


def beyond(name: str, regions: Sequence[RegionId], deployment: Deployment) -> tuple[RegionId, ...]:
    """Those of ``regions`` that this person may not speak in; none for whoever has no regions, or is not among people."""
    person = deployment.roster.find(name)
    if deployment.sender.level == "local" or person is None or person.everywhere:
        return ()
    return tuple(region for region in regions if region not in person.regions)


def refusal(name: str, regions: Sequence[RegionId], deployment: Deployment) -> str:
    """Why this person may not speak in all of ``regions``, and who may; empty where they may."""
    wrong, person = beyond(name, regions, deployment), deployment.roster.find(name)
    if not wrong or person is None:
        return ""
    own = ", ".join(deployment.region_names(person.regions)) or "none of those configured"
    there = ", ".join(deployment.region_names(wrong) or wrong)
    able = [other for other in deployment.roster.people if not beyond(other, regions, deployment)]
    return f"beyond your regions ({own}): {there}; ask {' or '.join(able[:_MOST_NAMED]) or 'whoever has no regions'}"
