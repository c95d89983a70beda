"""What the provider got, and whether it is what it should have got."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SUCCESS = 200


class Faulty(Exception):
    """A run that lost or doubled something: whatever it measured does not count."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request: the monotonic second of its first byte, its channel, its incident, the answer's status (0: none)."""

    at: float
    channel: int
    incident: str
    status: int


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds from publishing an event to the first and to the last channel that was asked."""

    first: float
    last: float

    @property
    def skew(self) -> float:
        """Seconds between the first byte for the first channel and the first byte for the last."""
        return self.last - self.first


class Ledger:
    """The requests of one run, in order of arrival."""

    def __init__(self, arrivals: Iterable[Arrival]) -> None:
        self.arrivals = sorted(arrivals, key=lambda one: one.at)

    def check(self, incidents: Sequence[str], channels: Iterable[int]) -> None:
        """Raises `Faulty` unless each of these incidents was taken from each of these channels exactly once, and no other."""
        wanted = {(incident, channel) for incident in incidents for channel in channels}
        got = Counter((one.incident, one.channel) for one in self.arrivals if one.status == SUCCESS)
        lost, doubled = len(wanted - set(got)), sum(count > 1 for count in got.values())
        if strange := len({(one.incident, one.channel) for one in self.arrivals} - wanted):
            raise Faulty(f"{strange} requests that nobody asked for")
        if lost or doubled:
            raise Faulty(f"of {len(wanted)} requests {lost} were lost and {doubled} doubled")

    def times(self, incident: str, start: float, channels: Iterable[int] | None = None) -> Times:
        """When the first and the last of the channels (all) were asked first about this incident, published at ``start``."""
        wanted = None if channels is None else set(channels)
        seen: dict[int, float] = {}
        for one in self.arrivals:
            if one.incident == incident and (wanted is None or one.channel in wanted):
                seen.setdefault(one.channel, one.at - start)
        return Times(min(seen.values()), max(seen.values()))

    def asked(self) -> dict[int, list[Arrival]]:
        """The requests by channel."""
        by_channel: dict[int, list[Arrival]] = defaultdict(list)
        for one in self.arrivals:
            by_channel[one.channel].append(one)
        return by_channel
