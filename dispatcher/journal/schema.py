"""The journal's schema version: made whole when the file is new, migrated by alembic when it is old."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from dispatcher.journal.tables import metadata
from dispatcher.model.errors import JournalBroken

HEAD = "0009"
MIGRATIONS = Path(__file__).with_name("migrations")


def current(engine: Engine) -> str | None:
    """The version of the schema in the file, None where the file is new."""
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def prepare(engine: Engine) -> None:
    """Bring the schema to `HEAD`; raises `JournalBroken` where the file is from a newer program."""
    version = current(engine)
    if version == HEAD:
        return
    if version is None:
        _create(engine)
        return
    if version > HEAD:
        raise JournalBroken(f"the journal has schema {version}, this program knows {HEAD}: use the newer program")
    migrate(engine)


def _create(engine: Engine) -> None:
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def migrate(engine: Engine) -> None:
    """Run alembic's scripts up to `HEAD`."""
    from alembic import command  # noqa: PLC0415 - slow to import and not needed on the way to ready
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
