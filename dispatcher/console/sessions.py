"""Sessions of people in a browser: a random cookie, known to the journal by its SHA-256 only."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, delete, insert, select

from dispatcher.console.auth import Identity, Role, sha256
from dispatcher.journal.base import Journal
from dispatcher.journal.tables import sessions

LIFETIME = timedelta(hours=8)


async def begin(journal: Journal, identity: Identity, now: datetime) -> str:
    """A new session of ``identity``; the value of its cookie."""
    cookie = secrets.token_urlsafe(32)
    await journal.write(partial(_insert, key=sha256(cookie), identity=identity, now=now))
    return cookie


async def find(journal: Journal, cookie: str, now: datetime) -> Identity | None:
    """Whose session this is; None where it is unknown or over."""
    return await journal.read(partial(_select, key=sha256(cookie), now=now))


async def end(journal: Journal, cookie: str) -> None:
    """Forget a session."""
    await journal.write(partial(_delete, key=sha256(cookie)))


def _insert(connection: Connection, key: str, identity: Identity, now: datetime) -> None:
    connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
    row = {"sha256": key, "person": identity.person, "role": identity.role, "expires_at": now + LIFETIME}
    connection.execute(insert(sessions), row)


def _select(connection: Connection, key: str, now: datetime) -> Identity | None:
    found = connection.execute(
        select(sessions.c.role, sessions.c.person).where(sessions.c.sha256 == key, sessions.c.expires_at > now)
    ).first()
    return Identity(Role(found.role), found.person) if found else None


def _delete(connection: Connection, key: str) -> None:
    connection.execute(delete(sessions).where(sessions.c.sha256 == key))
