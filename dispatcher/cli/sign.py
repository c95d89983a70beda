"""Keys and signatures for whoever maintains a source that signs its events."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from dispatcher.intake.base import SIGNATURE_HEADERS, SIGNATURE_PROPERTIES
from dispatcher.intake.signature import new_key, sign


def keygen(file: Path) -> None:
    """Write a new private key to ``file``, readable by its owner only, and print the public one."""
    private, public = new_key()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise typer.BadParameter(f"{file} exists already, and is not written over", param_hint="FILE") from None
    with os.fdopen(handle, "w") as opened:
        opened.write(f"{private}\n")
    typer.echo("For the source's entry in the daemon's configuration:\n")
    typer.echo(f"    signature: {{keys: {{{file.stem}: {public}}}}}")


def show(payload: bytes, key_file: Path, key_id: str) -> None:
    """Print the signature of ``payload`` as MQTT 5 user properties and as HTTP headers."""
    signature = signed(payload, key_file)
    for names, medium in ((SIGNATURE_PROPERTIES, "MQTT 5 user properties"), (SIGNATURE_HEADERS, "HTTP headers")):
        typer.echo(f"{medium}:")
        for name, value in zip(names, (signature, key_id or key_file.stem), strict=True):
            typer.echo(f"  {name}: {value}")


def signed(payload: bytes, key_file: Path) -> str:
    """The base64 signature of ``payload``; a usage error where the file holds no key."""
    try:
        return sign(payload, key_file.read_text().strip())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{key_file} holds no private key: {error}", param_hint="--key-file") from None
