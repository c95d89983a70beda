"""Makes and lists bearer tokens: 256 random bits shown once, of which the file keeps only the hash."""

from __future__ import annotations

import io
import os
import secrets
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from dispatcher.console.auth import Entry, Role, TokensFile, sha256
from dispatcher.documents import read_yaml, validated
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.settings import load

_HEAD = "# Written by `dispatcher token`: hashes only, no token can be read back from here.\n"


def tokens_file(config: Path) -> Path:
    """Where the daemon of ``config`` looks for tokens; ``tokens.yaml`` beside it where it does not say, or cannot be read."""
    beside = config.parent / "tokens.yaml"
    try:
        return load(config).console.tokens_file or beside
    except ConfigurationError:
        return beside


def create(path: Path, *, role: str, person: str, source: str) -> None:
    """Print a new token on standard output and append its hash to ``path``, which only its owner may read.

    A source's token names the source, any other a person; a usage error says so. Raises `ConfigurationError` where the
    file cannot be read or written.
    """
    token = secrets.token_urlsafe(32)
    try:
        entry = Entry(
            id=f"t-{secrets.token_hex(4)}", sha256=sha256(token), role=Role(role),
            person=person or None, source=source or None, created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    _write(path, [*read(path), entry])
    typer.echo(token)
    typer.echo(f"{entry.id} is kept in {path} as a hash; the token itself is not shown again", err=True)


def show(path: Path) -> None:
    """Print a table of the tokens in ``path``."""
    table = Table("id", "role", "person", "source", "created")
    for entry in read(path):
        table.add_row(entry.id, entry.role, entry.person or "", entry.source or "", entry.created_at)
    Console().print(table)


def read(path: Path) -> tuple[Entry, ...]:
    """The entries of ``path``, none where it does not exist yet; raises `ConfigurationError` where it is wrong."""
    if not path.exists():
        return ()
    try:
        text = path.read_text()
    except OSError as error:
        raise _refusal(path, error) from None
    return validated(read_yaml(text, str(path)), TokensFile).tokens


def _write(path: Path, entries: Sequence[Entry]) -> None:
    """Replace ``path`` at once: a reader sees the old file or the new one, a crash leaves one of the two."""
    out = io.StringIO(_HEAD)
    out.seek(0, os.SEEK_END)
    YAML(typ="safe", pure=True).dump(
        {"tokens": [entry.model_dump(mode="json", exclude_none=True) for entry in entries]}, out
    )
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:  # mode 0600
            file.write(out.getvalue())
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError as error:
        raise _refusal(path, error) from None


def _refusal(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), None, "", str(error.strerror), "check the folder and its owner")])
