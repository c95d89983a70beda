"""The last words of a channel that is left behind: said once, by a named person, and never in the name of an incident."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from dispatcher.model.alert import Alert, Planned, Purpose, TextSet
from dispatcher.model.cap import Realm, Severity, Status
from dispatcher.model.channel import ChannelId, ChannelProfile
from dispatcher.model.delivery import AlertId, DeliveryState, IncidentId
from dispatcher.model.deployment import Deployment, Sender
from dispatcher.model.playbook import PlaybookId
from dispatcher.plan.pages import short_code
from dispatcher.plan.render import render_notice


def farewell_id(channel: ChannelId) -> AlertId:
    """The id of a channel's only farewell."""
    return AlertId("f" + hashlib.sha256(channel.encode()).hexdigest()[:19])


def farewell_texts(profile: ChannelProfile, sender: Sender, realm: Realm) -> TextSet:
    """What ``profile`` says for the last time; it has to have something to say."""
    code = short_code(farewell_id(profile.id))
    return render_notice(dict(profile.farewell), sender.name, profile.languages, realm=realm, code=code)


def overlong(profile: ChannelProfile, sender: Sender, realm: Realm) -> int:
    """How long the farewell is where ``profile`` does not take it, in its unit; 0 where it fits."""
    length = profile.limit.measure(farewell_texts(profile, sender, realm).repetition.body)
    return length if length > profile.limit.size else 0


def compose_farewell(profile: ChannelProfile, deployment: Deployment, person: str, now: datetime) -> Alert:
    """The alert that says it, asked for by ``person``. Nothing hurries it: everything else goes first."""
    name = farewell_id(profile.id)
    texts = farewell_texts(profile, deployment.sender, deployment.realm)
    return Alert(
        id=name, incident=IncidentId(name), playbook=PlaybookId("farewell"), purpose=Purpose.FAREWELL,
        status=Status.ACTUAL if deployment.realm is Realm.LIVE else Status.EXERCISE, realm=deployment.realm,
        severity=Severity.MINOR, created_at=now, code=short_code(name), place="", regions=(), texts={texts.key: texts},
        plan=(Planned(profile.id, texts.key, DeliveryState.QUEUED),), revision=1, people=0,
        deliver_within=timedelta(hours=24), reason="the channel is retired", requested_by=person,
    )  # fmt: skip
