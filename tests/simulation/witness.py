"""Reads the journal's file with SQL of its own, sharing no code with what it watches: what is there counts, nothing else."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENDS = "('all_clear', 'false_alarm')"


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery as the journal has it at this moment; ``started`` says that an attempt of it is journaled and open."""

    revision: int
    rank: int
    deadline_at: int | None
    started: bool
    released: bool


class Witness:
    """One reading connection. It sees what is committed."""

    def __init__(self, path: Path) -> None:
        """``path`` has a schema already."""
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._seq = 0

    def close(self) -> None:
        """Look away."""
        self._connection.close()

    def rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """What ``statement`` finds."""
        return self._connection.execute(statement, values).fetchall()

    def first(self, statement: str, *values: Any) -> sqlite3.Row | None:
        """The first row, or None."""
        row: sqlite3.Row | None = self._connection.execute(statement, values).fetchone()
        return row

    def news(self) -> list[sqlite3.Row]:
        """Facts that were committed since the last look."""
        found = self.rows("SELECT seq, kind, ref, body FROM facts WHERE seq > ? ORDER BY seq", self._seq)
        self._seq = found[-1]["seq"] if found else self._seq
        return found

    def took_in(self, source: str, event: str, sha256: str) -> bool:
        """Whether an event, or bytes that are none, lie in the journal."""
        known = self.first("SELECT 1 FROM events WHERE source = ? AND id = ?", source, event)
        return bool(known or self.first("SELECT 1 FROM letters WHERE source = ? AND sha256 = ?", source, sha256))

    def standing(self, alert: str, channel: str) -> Standing | None:
        """What is known of a delivery: from its row, or from its alert's plan where the row is still to be written."""
        about = self.first("SELECT * FROM alerts WHERE id = ?", alert)
        if about is None:
            return None
        row = self.first("SELECT * FROM deliveries WHERE id = ?", f"{alert}:{channel}")
        released = about["state"] == "released"
        if row is None:
            return _planned(about, channel, released=released)
        attempt = self.first(
            "SELECT 1 FROM attempts WHERE delivery = ? AND number = ? AND ended_at IS NULL", row["id"], row["attempts"]
        )
        started = row["state"] == "sending" and attempt is not None
        return Standing(row["revision"], row["rank"], row["deadline_at"], started, released)

    def beside(self, incident: str, delivery: str) -> list[str]:
        """Other deliveries of the same lane that are on their way."""
        statement = (
            "SELECT id FROM deliveries WHERE incident = ? AND channel = ? AND id != ? AND state = 'sending' ORDER BY id"
        )
        return [row["id"] for row in self.rows(statement, incident, delivery.partition(":")[2], delivery)]

    def ended(self, incident: str, alert: str, channel: str, revision: int) -> bool:
        """Whether an end or a join that lies in the journal forbids texts of that revision, here or anywhere.

        What takes back a text of an incident that was joined meanwhile is said to its own readers.
        """
        later = "incident = ? AND state = 'released' AND revision > ?"
        whole = f"SELECT 1 FROM alerts WHERE {later} AND purpose IN {ENDS}"
        partial = f"SELECT body FROM alerts WHERE {later} AND purpose = 'partial_end'"
        joined = (
            "SELECT 1 FROM joins j JOIN alerts a ON a.incident = j.incident "
            "WHERE a.id = ? AND (a.released_at <= j.at OR a.purpose != 'false_alarm')"
        )
        if self.first(whole, incident, revision) or self.first(joined, alert):
            return True
        plans = (json.loads(row["body"])["plan"] for row in self.rows(partial, incident, revision))
        return any(planned["channel"] == channel for plan in plans for planned in plan)

    def stopped(self, incident: str, channel: str, *, page: bool) -> bool:
        """Whether a stop that lies in the journal covers this; only a stop of its channel covers a page."""
        covers = {"all": not page, "incident": not page, "channel": True}
        refs = {"all": "", "incident": incident, "channel": channel}
        stops = self.rows("SELECT scope, ref FROM stops")
        return any(covers[stop["scope"]] and refs[stop["scope"]] == stop["ref"] for stop in stops)


def _planned(about: sqlite3.Row, channel: str, *, released: bool) -> Standing:
    body = json.loads(about["body"])
    states = {planned["channel"]: planned["state"] for planned in body["plan"]}
    started = not about["rows_written"] and states.get(channel) == "sending"
    return Standing(about["revision"], 9, None, started, released)
