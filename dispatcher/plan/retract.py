"""After a correction: every earlier post is changed to begin with it, or deleted, or put into a person's hands. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from dispatcher.model.alert import Alert, Planned, Purpose, Text, TextSet
from dispatcher.model.channel import AfterCorrection, Audience, ChannelId, ChannelProfile, Power
from dispatcher.model.delivery import AlertId, Delivery, DeliveryState, Verb
from dispatcher.plan.render import render_correction

Posts = tuple[Alert, Sequence[Delivery]]  # an earlier alert with its deliveries that were posted, or may have been


def retractions(
    correction: Alert, posts: Sequence[Posts], profiles: Mapping[ChannelId, ChannelProfile], now: datetime
) -> tuple[Alert, ...]:
    """One retraction for each earlier alert; it leaves on each channel after the ``correction`` has."""
    made = (_retraction(correction, earlier, profiles, now) for earlier in posts)
    return tuple(alert for alert in made if alert.plan)


def _retraction(correction: Alert, posts: Posts, profiles: Mapping[ChannelId, ChannelProfile], now: datetime) -> Alert:
    earlier, deliveries = posts
    said = {planned.channel: correction.texts[planned.text].first for planned in correction.plan}
    elsewhere = next(iter(correction.texts.values())).first  # any of its texts, where the channel is none of its own
    texts, plan = {}, []
    for delivery in deliveries:
        profile = profiles.get(delivery.channel)
        if profile is None or profile.audience is Audience.STAFF or _its_owners(profile):
            continue
        text = _changed(earlier, delivery, said.get(profile.id, elsewhere), profile)
        texts[text.key] = text
        plan.append(_planned(profile, delivery, text.key))
    name = hashlib.sha256(f"{correction.id}\0{earlier.id}".encode()).hexdigest()[:19]
    return Alert(
        id=AlertId(f"r{name}"), incident=correction.incident, playbook=correction.playbook, purpose=Purpose.RETRACTION,
        status=correction.status, realm=correction.realm, severity=correction.severity, created_at=now,
        code=earlier.code, place=earlier.place, unseen_place=earlier.unseen_place, regions=earlier.regions, texts=texts,
        plan=tuple(plan), revision=correction.revision + 1, people=0, deliver_within=timedelta(hours=24),
        reason=f"corrected by {correction.code}", requested_by=correction.requested_by, about=earlier.id,
    )  # fmt: skip


def _its_owners(profile: ChannelProfile) -> bool:
    """Whether nobody but an officer can change what stands there: the correction has told them, and no one else is asked."""
    deletes = profile.after_correction is AfterCorrection.DELETE and Power.DELETE in profile.powers
    return bool(profile.group) and not deletes and Power.EDIT not in profile.powers


def _planned(profile: ChannelProfile, delivery: Delivery, text: str) -> Planned:
    """Delete where that is wanted, else change; what the channel can do neither of is a person's task."""
    target = delivery.provider_id
    if profile.after_correction is AfterCorrection.DELETE and Power.DELETE in profile.powers:
        return Planned(profile.id, text, DeliveryState.QUEUED, verb=Verb.DELETE, target=target)
    state = DeliveryState.QUEUED if Power.EDIT in profile.powers else DeliveryState.BY_HAND
    return Planned(profile.id, text, state, verb=Verb.EDIT, target=target)


def _changed(earlier: Alert, delivery: Delivery, correction: Text, profile: ChannelProfile) -> TextSet:
    original = earlier.texts[delivery.text]
    said = original.follow_up if delivery.follows else original.first
    text = render_correction(said, correction, profile.limit)
    return TextSet(text, text, text)
