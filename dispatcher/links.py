"""One-time links: what a page offers, signed, so that nobody can forge it; the journal remembers which were used."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer

from dispatcher.model.channel import ChannelId
from dispatcher.plan.pages import Deed, Offer

GOOD_FOR = timedelta(hours=2)
_LONGEST = 4_000


@dataclass(frozen=True, slots=True)
class Offered:
    """What a link that we made says: the offer, for whom (empty: whoever signs in), and until when."""

    offer: Offer
    person: str
    until: datetime
    sha256: str


class SignedLinks:
    """Makes and reads links with a key of this journal's own. ``base`` is the console's address as phones reach it."""

    def __init__(self, key: str, base: str = "") -> None:
        """``base`` without a slash at its end; set once it is known."""
        self.base = base
        self._serializer = URLSafeSerializer(key, salt="page")

    def link(self, offer: Offer, person: str, now: datetime) -> str:
        """The address that does what ``offer`` says for ``person``, good for two hours."""
        until = int((now + GOOD_FOR).timestamp())
        said = {**{name: value for name, value in asdict(offer).items() if value}, "person": person, "until": until}
        return f"{self.base}/act/{self._serializer.dumps(said)}"

    def read(self, token: str, now: datetime) -> Offered | None:
        """What ``token`` offers; None where we did not make it, or its time is over."""
        try:
            said = self._serializer.loads(token) if len(token) <= _LONGEST else {}
        except BadData:
            return None
        if not said or said["until"] < now.timestamp():
            return None
        offer = Offer(Deed(said["deed"]), said["ref"], said.get("digest", ""), said.get("to", ""))
        digest = hashlib.sha256(token.encode()).hexdigest()
        return Offered(offer, said["person"], datetime.fromtimestamp(said["until"], UTC), digest)


class AccountLinks:
    """Makes and reads the links by which officers decide about their own accounts: good until the next one is made."""

    def __init__(self, key: str, base: str = "") -> None:
        """``base`` is the public listener's address as phones reach it; set once it is known."""
        self.base = base
        self._serializer = URLSafeSerializer(key, salt="account")

    def link(self, channel: ChannelId, issue: int) -> str:
        """The address at which the owner of ``channel`` decides."""
        return f"{self.base}/own/{self._serializer.dumps([channel, issue])}"

    def read(self, token: str) -> tuple[ChannelId, int] | None:
        """Which account, and which of its links; None where we did not make it."""
        try:
            channel, issue = self._serializer.loads(token) if len(token) <= _LONGEST else ("", 0)
        except BadData:
            return None
        return ChannelId(channel), int(issue)
