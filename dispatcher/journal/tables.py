"""The journal's tables. Natural keys everywhere, so that writing twice is harmless; times are microseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    literal_column,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware time as a whole number of microseconds, alike on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - its contract
        """Aware time to microseconds."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - its contract
        """Microseconds to aware time in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Names(TypeDecorator[tuple[str, ...]]):
    """Ids in order, as one text; none of them has a space in it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - its contract
        """Names to text."""
        return None if value is None else " ".join(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002 - its contract
        """Text to names."""
        return None if value is None else tuple(value.split())


metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

facts = Table(
    "facts", metadata,
    Column("seq", Integer().with_variant(BigInteger, "postgresql"), primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("kind", String, nullable=False),
    Column("ref", String, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)  # fmt: skip

events = Table(
    "events", metadata,
    Column("source", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("incident", String, nullable=False, index=True),
    Column("digest", String, nullable=False),
    Column("state", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("notes", Text, nullable=False),
    Column("msg_type", String, nullable=False, server_default=""),  # empty where it was written before 0005
)  # fmt: skip

letters = Table(
    "letters", metadata,
    Column("source", String, primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("letters_by_number", "number"),
)  # fmt: skip

incidents = Table(
    "incidents", metadata,
    Column("id", String, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("playbook", String),
    Column("covered", Text, nullable=False),
    Column("kind", String, nullable=False),
    Column("place", String, nullable=False),
    Column("regions", Text, nullable=False),
    Column("severity", String),
    Column("facts", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index("incidents_by_playbook", "playbook", "updated_at"),
    Index("incidents_by_change", "updated_at"),
)  # fmt: skip

# Hardly any incident is open and speaks; without this index the question for neighbours walks over all of the last hours.
_speaking = incidents.c.open.is_(True) & incidents.c.playbook.is_not(None)
Index("incidents_speaking", incidents.c.updated_at, sqlite_where=_speaking)

alerts = Table(
    "alerts", metadata,
    Column("id", String, primary_key=True),
    Column("incident", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("purpose", String, nullable=False),
    Column("state", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("released_at", Instant),
    Column("rows_written", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    Index("alerts_by_state", "state"),
    Index("alerts_by_revision", "incident", "revision"),
    Index("alerts_by_purpose", "purpose", "state", "incident", "revision"),
    Index("alerts_by_time", "created_at"),
)  # fmt: skip

# Only SQLite is told that the others may be left out: naming PostgreSQL here would load its dialect at every start.
Index("alerts_unwritten", alerts.c.incident, sqlite_where=alerts.c.rows_written.is_(False))
# Said as it stands, so that SQLite sees that the index holds it, and with nothing added, so that it takes no other.
IS_PAGE = alerts.c.purpose + literal_column("''") == literal_column("'page'")
Index("alerts_that_page", alerts.c.created_at, sqlite_where=IS_PAGE)

releases = Table(
    "releases", metadata,
    Column("alert", String, primary_key=True),
    Column("person", String, primary_key=True),
    Column("decision", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
)  # fmt: skip

deliveries = Table(
    "deliveries", metadata,
    Column("id", String, primary_key=True),
    Column("alert", String, nullable=False, index=True),
    Column("channel", String, nullable=False),
    Column("incident", String, nullable=False),
    Column("state", String, nullable=False),
    Column("text", String, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("verb", String, nullable=False),
    Column("target", String, nullable=False),
    Column("due_at", Instant),
    Column("deadline_at", Instant),
    Column("released_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("doubtful", Boolean, nullable=False),
    Column("follows", Boolean, nullable=False),
    Column("provider_id", String, nullable=False),
    Column("url", String, nullable=False),
    Column("reason", String),
    Column("detail", Text, nullable=False),
    Column("fallback_of", Names, nullable=False, server_default=""),
    Column("updated_at", Instant, nullable=False),
    Index("deliveries_by_lane", "incident", "channel"),
    Index("deliveries_by_state_and_alert", "state", "alert"),
)  # fmt: skip

attempts = Table(
    "attempts", metadata,
    Column("delivery", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("result", String),
    Column("reason", String),
    Column("detail", Text, nullable=False),
)  # fmt: skip

sessions = Table(
    "sessions", metadata,
    Column("sha256", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("role", String, nullable=False),
    Column("expires_at", Instant, nullable=False),
)  # fmt: skip

joins = Table(
    "joins", metadata,
    Column("incident", String, primary_key=True),
    Column("into", String, nullable=False, index=True),
    Column("person", String, nullable=False),
    Column("at", Instant, nullable=False),
)  # fmt: skip

sequences = Table(
    "sequences", metadata,
    Column("source", String, primary_key=True),
    Column("latest", BigInteger, nullable=False),
)  # fmt: skip

stops = Table(
    "stops", metadata,
    Column("scope", String, primary_key=True),
    Column("ref", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("resumed_by", String),  # the first of two persons who want it lifted
    Column("resumed_at", Instant),
)  # fmt: skip

used_links = Table(
    "used_links", metadata,
    Column("sha256", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("at", Instant, nullable=False),
)  # fmt: skip

configurations = Table(
    "configurations", metadata,
    Column("digest", String, primary_key=True),
    Column("main", String, nullable=False),
    Column("files", Text, nullable=False),
    Column("at", Instant, nullable=False),
)  # fmt: skip

subscribers = Table(
    "subscribers", metadata,
    Column("channel", String, primary_key=True),
    Column("endpoint", String, primary_key=True),
    Column("p256dh", LargeBinary, nullable=False),
    Column("auth", LargeBinary, nullable=False),
    Column("regions", Names, nullable=False),  # none: whatever happens, wherever
    Column("at", Instant, nullable=False),
)  # fmt: skip

accounts = Table(
    "accounts", metadata,
    Column("channel", String, primary_key=True),
    Column("group", String, nullable=False),
    Column("officer", String, nullable=False),
    Column("standing", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("regions", Names, nullable=False),  # none: those of its group
    Column("way", String, nullable=False),
    Column("line", String, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # encrypted with a key that is not in here
    Column("issue", Integer, nullable=False),
    Index("accounts_by_officer", "group", "officer", unique=True),
)  # fmt: skip

assignments = Table(
    "assignments", metadata,
    Column("incident", String, primary_key=True),
    Column("officer", String, primary_key=True),
    Column("at", Instant, nullable=False),
)  # fmt: skip
