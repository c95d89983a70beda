"""An officer's own account: voluntary and personal, so nothing is said on it but what its owner has agreed to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dispatcher.model.channel import ChannelId, ChannelProfile

KIND = "accounts"  # what playbooks call all of these by, whatever they speak through
EVERYBODY = "*"  # in the place of who is assigned, where that could not be read: no account speaks
OFFICER = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"  # a service number or the like, and no name
LONGEST_LINE = 60  # characters
MAX_ASSIGNED = 5_000


class Mode(StrEnum):
    """What an owner has agreed to."""

    SHARE = "share"  # the official text comes to the officer's phone, for own words
    AUTO = "auto"  # it is posted on the account


class Standing(StrEnum):
    """What an owner has said so far."""

    INVITED = "invited"
    ACTIVE = "active"
    PAUSED = "paused"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account of a group. ``channel`` is a pseudonym: logs, facts and metrics know no other name.

    ``sealed`` is what its owner has entrusted to us, encrypted, and empty where that is nothing. ``issue`` is the number of
    the link that is good now. ``regions`` none: those of its group.
    """

    channel: ChannelId
    group: str
    officer: str
    standing: Standing
    at: datetime  # of the latest change
    regions: tuple[str, ...] = ()
    way: str = ""
    line: str = ""
    sealed: bytes = b""
    issue: int = 1


def officers(value: Any) -> tuple[str, ...]:
    """The numbers in a list of who is at work; `EVERYBODY` where it cannot be understood, for one of them could be in it."""
    given = value if isinstance(value, list) and len(value) <= MAX_ASSIGNED else [None]
    found = [str(one) for one in given if isinstance(one, (str, int)) and re.fullmatch(OFFICER, str(one))]
    return tuple(dict.fromkeys(found)) if len(found) == len(given) else (EVERYBODY,)


def silenced(profiles: Iterable[ChannelProfile], assigned: AbstractSet[str]) -> tuple[ChannelId, ...]:
    """Those of ``profiles`` that are accounts of somebody ``assigned``."""
    return tuple(profile.id for profile in profiles if spared(profile, assigned))


def spared(profile: ChannelProfile, assigned: AbstractSet[str]) -> bool:
    """Whether this is the account of somebody ``assigned``, so that nothing new is said on it."""
    return bool(profile.officer) and not assigned.isdisjoint((profile.officer, EVERYBODY))
