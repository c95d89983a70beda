"""Which MQTT topics are listened to, and who is heard on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dispatcher.model.source import Source


@dataclass(frozen=True, slots=True)
class Topics:
    """The standard topics below ``root``, whose next level names the source, and those that sources have of their own."""

    root: str
    sources: Mapping[str, Source | None] = field(default_factory=dict)

    @property
    def filters(self) -> tuple[str, ...]:
        """Every topic filter to subscribe to."""
        own = [t for s in self.sources.values() if s for t in (s.topic, s.heartbeat_topic) if t]
        return tuple(dict.fromkeys([f"{self.root}/+/incidents", f"{self.root}/+/heartbeat", *own]))

    def heard(self, topic: str) -> tuple[str, bool]:
        """The source that speaks on ``topic``, empty where nobody may, and whether it only says that it lives.

        A source with a topic of its own is not heard on the standard one: there anybody could use its name.
        """
        for name, source in self.sources.items():
            if source and source.heartbeat_topic and fits(source.heartbeat_topic, topic):
                return name, True
            if source and source.topic and fits(source.topic, topic):
                return name, False
        above, _, last = topic.rpartition("/")
        name = above.removeprefix(f"{self.root}/") if above.startswith(f"{self.root}/") else ""
        found = self.sources.get(name)
        return ("" if "/" in name or (found and found.topic) else name), last == "heartbeat"


def fits(topic_filter: str, topic: str) -> bool:
    """Whether ``topic`` matches ``topic_filter`` (MQTT 5, section 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(levels) or level not in ("+", levels[position]):
            return False
    return len(wanted) == len(levels)
