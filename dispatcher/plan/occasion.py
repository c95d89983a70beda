"""What is to be said on which occasion, in whose voice, and the names that templates may use for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Realm
from dispatcher.model.channel import Audience, ChannelProfile, TextLimit
from dispatcher.model.deployment import Sender
from dispatcher.model.incident import MAX_LIST, MAX_PLACE, MAX_TEXT, clean
from dispatcher.model.playbook import Playbook
from dispatcher.plan.phrases import phrases, place_of

# Names that every template may use, beside the facts its playbook declares.
PROVIDED = frozenset({
    "place", "regions", "region_names", "time", "date", "next_update", "sender", "hotline", "website", "level",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Voice:
    """What decides how a text reads on a channel: channels with the same voice say the same text."""

    limit: TextLimit
    languages: tuple[str, ...]
    partner: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What is to be said, and when. ``now`` is aware and in the deployment's time zone; ``name`` names an update.

    ``public_only`` keeps facts back that are not declared public, ``unseen_place`` the place that a source named: no
    person reads the text before it goes out. ``words`` are a person's own update, by language.
    """

    purpose: Purpose
    playbook: Playbook
    place: str
    region_names: tuple[str, ...]
    facts: Mapping[str, Any]
    now: datetime
    sender: Sender
    realm: Realm
    code: str
    public_only: bool
    name: str = ""
    unseen_place: bool = False
    words: Mapping[str, str] = field(default_factory=dict)


def voice_of(profile: ChannelProfile, playbook: Playbook | None = None) -> Voice:
    """How ``profile`` speaks: its own languages, as far as ``playbook`` has them, else all that the playbook has."""
    spoken = playbook.languages if playbook else profile.languages or ("de", "en")
    own = tuple(language for language in profile.languages if language in spoken)
    return Voice(profile.limit, own or spoken, profile.audience is Audience.PARTNER)


def values(occasion: Occasion, language: str, facts: Mapping[str, str]) -> dict[str, object]:
    """What templates may name, in one language, no longer than events may be; ``facts`` are already written out."""
    names, now, playbook = occasion.region_names, occasion.now, occasion.playbook
    following = now.astimezone(UTC) + playbook.next_update
    return {
        **facts,
        "place": (not occasion.unseen_place and clean(occasion.place, MAX_PLACE))
        or place_of(names, language, MAX_PLACE),
        "regions": place_of(names, language, MAX_TEXT),
        "region_names": names[:MAX_LIST],
        "time": f"{now:%H:%M}",
        "date": f"{now:%d.%m.%Y}",
        "next_update": f"{following.astimezone(now.tzinfo):%H:%M}",
        "sender": occasion.sender.name,
        "level": phrases(language).level[occasion.sender.level],
        "hotline": occasion.sender.hotline,
        "website": occasion.sender.website,
    }
