"""Pages: what staff are called for, in whose hands it lies, and what one click would do about it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from dispatcher.model.alert import Alert, Planned, Purpose
from dispatcher.model.cap import Realm, RegionId, Severity, Status
from dispatcher.model.channel import ChannelProfile
from dispatcher.model.delivery import AlertId, DeliveryState, IncidentId
from dispatcher.model.deployment import Deployment
from dispatcher.model.playbook import PlaybookId
from dispatcher.plan.render import NothingFits, render_page, voice_of

_ALPHABET = "ACDEFHJKLMNPRTUVWXYZ"


class Cause(StrEnum):
    """Why staff are paged: a closed list, also the metrics' label."""

    UNREADABLE = "unreadable"
    RETAINED = "retained"
    REFUSED = "refused"
    CONFLICT = "conflict"
    NOTHING_MATCHED = "nothing_matched"
    NO_AREA = "no_area"
    NO_CHANNEL = "no_channel"
    UNKNOWN_INCIDENT = "unknown_incident"
    STALE = "stale"
    HELD = "held"
    WIDEST = "widest"
    WITHDRAWN = "withdrawn"
    DEGRADED = "degraded"
    STUCK = "stuck"
    FAILED = "failed"
    EXPIRED = "expired"
    BY_HAND = "by_hand"
    IN_DOUBT = "in_doubt"
    SAME_AS = "same_as"
    SHRUNK = "shrunk"
    STOPPED = "stopped"
    BREAK_GLASS = "break_glass"
    LAPSED = "lapsed"
    WITHHELD = "withheld"
    SIGNATURE = "signature"
    SILENT = "silent"
    BROKER = "broker"
    JOURNAL = "journal"
    LOOP = "loop"
    GAP = "gap"
    CONFIGURATION = "configuration"
    CHANNEL_DOWN = "channel_down"
    EXPIRING = "expiring"

    @property
    def headline(self) -> str:
        """What is wrong, in German and English."""
        return _HEADLINES[self]


_HEADLINES = {
    Cause.UNREADABLE: "Ereignis nicht lesbar / An incident event cannot be read",
    Cause.RETAINED: "Aufbewahrte Nachricht abgewiesen / A retained message was refused",
    Cause.REFUSED: "Ereignis abgewiesen / An incident event was refused",
    Cause.CONFLICT: "Gleiche Kennung, anderer Inhalt / Same id, other content",
    Cause.NOTHING_MATCHED: "Kein Playbook passt / No playbook matches an incident event",
    Cause.NO_AREA: "Wo ist es? Gebiet unbekannt / Where is it? No known area",
    Cause.NO_CHANNEL: "Kein Kanal zuständig / No channel serves this incident",
    Cause.UNKNOWN_INCIDENT: "Meldung zu unbekannter Lage / Word on an incident that is not open",
    Cause.STALE: "Ereignis zu alt, wartet auf Freigabe / An event is too old, it waits for release",
    Cause.HELD: "Freigabe nötig / An alert waits for release",
    Cause.WIDEST: "Ganzes Gebiet, zwei Personen geben frei / It reaches every region, two persons have to release it",
    Cause.WITHDRAWN: "Quelle meldet Ende, bevor etwas hinausging / The source says it is over before anything went out",
    Cause.STUCK: "Seit 30 Sekunden nicht veröffentlicht / Not published for 30 seconds, it is tried again and again",
    Cause.FAILED: "Nicht veröffentlicht / Not published, it will not be tried again",
    Cause.EXPIRED: "Zeit abgelaufen, nicht veröffentlicht / Its time ran out before it was published",
    Cause.BY_HAND: "Von Hand posten und bestätigen / Post by hand and confirm",
    Cause.IN_DOUBT: "Unklar, ob veröffentlicht / Nobody knows whether it was published",
    Cause.SAME_AS: "Gleiche Lage? Verbinden oder getrennt freigeben / Same as another incident? Join, or release apart",
    Cause.SHRUNK: "Gebiet verkleinert, Entwarnung dort wartet / The area shrank, an end there waits for release",
    Cause.STOPPED: "Angehalten, es geht nichts hinaus / Stopped, nothing goes out",
    Cause.BREAK_GLASS: "Notfreigabe durch eine Person / One person acted alone in an emergency",
    Cause.LAPSED: "Zweite Freigabe blieb aus, die erste ist verfallen / No second release came, the first has lapsed",
    Cause.WITHHELD: "Ungeprüfte Angaben zurückgehalten / Details that nobody has read were left out",
    Cause.SIGNATURE: "Signatur ungültig, Ereignis abgewiesen / Signature not valid, an incident event was refused",
    Cause.SILENT: "Leitstellensystem schweigt / A source of incident events is silent",
    Cause.BROKER: "Broker gestört, Ereignisse kommen nicht an / Trouble with the broker, events may not reach us",
    Cause.JOURNAL: "Datenträger des Journals gestört / Trouble with the journal's disk",
    Cause.LOOP: "Programm stockt, alles verspätet sich / The program stalls, everything is late",
    Cause.GAP: "Ereignisse fehlen in der Folge / Incident events are missing from the sequence",
    Cause.CONFIGURATION: "Konfiguration fehlerhaft / The configuration is broken",
    Cause.CHANNEL_DOWN: "Kanal nicht bereit / A channel is not ready to post",
    Cause.EXPIRING: "Zugang läuft bald ab / A channel's credential ends soon",
    Cause.DEGRADED: "Vorlage fehlerhaft, Minimaltext gesendet / A template failed, the minimal text goes out",
}


class Deed(StrEnum):
    """What a link on a page does for a person who clicks it and says yes."""

    RELEASE = "release"
    TRIGGER = "trigger"
    JOIN = "join"
    CONFIRM = "confirm"

    @property
    def label(self) -> str:
        """The words before the link, in German and English."""
        return _LABELS[self]


_LABELS = {
    Deed.RELEASE: "Lesen und freigeben / Read and release",
    Deed.TRIGGER: "Playbook auslösen / Trigger a playbook",
    Deed.JOIN: "Verbinden / Join",
    Deed.CONFIRM: "Als veröffentlicht bestätigen / Confirm as posted",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that a click can solve: the deed, what it is about, and the digest that the person would agree to."""

    deed: Deed
    ref: str
    digest: str = ""
    to: str = ""


class Links(Protocol):
    """Makes links that nobody can forge or use twice."""

    def link(self, offer: Offer, person: str, now: datetime) -> str:
        """The address that does what ``offer`` says, for ``person``, or for whoever signs in where that is empty."""


@dataclass(frozen=True, slots=True)
class Page:
    """Something that a person must hear of within seconds. ``step`` says how far up the escalation list it goes."""

    cause: Cause
    lines: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    regions: tuple[RegionId, ...] = ()
    step: int = 0


def short_code(alert: AlertId) -> str:
    """Three letters and two digits, such as ``KQX-42``: short enough to read out, found again in our own posts."""
    number = int(hashlib.sha256(alert.encode()).hexdigest()[:12], 16)
    letters = "".join(_ALPHABET[number // len(_ALPHABET) ** place % len(_ALPHABET)] for place in range(3))
    return f"{letters}-{number // 8_000 % 90 + 10}"


def compose_page(
    page: Page, raw: bytes, deployment: Deployment, now: datetime, *, key: str, links: Links | None = None
) -> Alert | None:
    """The alert that calls staff about ``page`` with the raw text that caused it; None where no staff channel is."""
    profiles = _called(page, deployment)
    if not profiles:
        return None
    name = AlertId("p" + hashlib.sha256(f"{key}\0{page.cause}".encode()).hexdigest()[:19])
    code = short_code(name)
    texts, plan = {}, []
    text = raw.decode(errors="replace")
    for profile in profiles:
        person = deployment.roster.person_of_channel(profile.id) or ""
        offered = [f"{o.deed.label}: {links.link(o, person, now)}" for o in page.offers] if links else []
        voice = voice_of(profile, None)
        try:
            said = render_page(
                page.cause.headline, [*page.lines, *offered], text, {voice},
                realm=deployment.realm, code=code,
            )[voice]  # fmt: skip
        except NothingFits:  # `check` tells of such a channel; the others are called all the same
            continue
        texts[said.key] = said
        plan.append(Planned(profile.id, said.key, DeliveryState.QUEUED))
    if not plan:
        return None
    status = Status.ACTUAL if deployment.realm is Realm.LIVE else Status.EXERCISE
    return Alert(
        id=name, incident=IncidentId(name), playbook=PlaybookId("page"), purpose=Purpose.PAGE, name=page.cause,
        status=status, realm=deployment.realm, severity=Severity.EXTREME, created_at=now, code=code, place="",
        regions=(), texts=texts, plan=tuple(plan), revision=1, people=0, deliver_within=timedelta(hours=1),
        reason=page.cause,
    )  # fmt: skip


def _called(page: Page, deployment: Deployment) -> Sequence[ChannelProfile]:
    staff = {profile.id: profile for profile in deployment.staff()}
    wanted = deployment.roster.channels_for(page.step, page.regions, tuple(staff))
    return [staff[channel] for channel in wanted if channel in staff]
