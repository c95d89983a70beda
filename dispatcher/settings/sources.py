"""Reads the files of one configuration and remembers what it read, so that equal files give an equal digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from dispatcher.documents import Document, read_yaml
from dispatcher.model.errors import ConfigurationError, Problem


class Sources:
    """The files behind one configuration; ``main`` is the name of the one that names the others."""

    def __init__(self, main: Path) -> None:
        self.main = str(main)
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 over everything read so far, in order."""
        return self._hash.hexdigest()

    def text(self, path: Path) -> str:
        """The text of ``path``; raises `ConfigurationError` where it cannot be read as UTF-8."""
        try:
            content = path.read_bytes()
            text = content.decode()
        except OSError as error:
            raise _refusal(path, f"cannot be read: {error.strerror}", "create it, or mend the path to it") from None
        except UnicodeDecodeError as error:
            raise _refusal(path, f"not UTF-8 at byte {error.start}", "save it as UTF-8") from None
        self._hash.update(hashlib.sha256(content).digest())
        return text

    def yaml(self, path: Path) -> Document:
        """The YAML document in ``path``; raises `ConfigurationError` with the line of what is wrong."""
        return read_yaml(self.text(path), str(path))


def complaint(reveal: Callable[[], str]) -> str:
    """Why the secret that ``reveal`` reads cannot be read here, never what it is; empty where it can."""
    try:
        reveal()
    except OSError as error:
        return f"the secret {error.filename} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return "the secret cannot be read: not UTF-8"
    except ValueError as error:
        return str(error)
    except KeyError as error:
        return f"the secret cannot be read: no environment variable {error}"
    return ""


def _refusal(path: Path, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), None, "", message, remedy)])
