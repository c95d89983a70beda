"""Reads the files of one configuration and remembers what it read, so that equal files give an equal digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from dispatcher.documents import Document, read_yaml
from dispatcher.model.errors import ConfigurationError, Problem


class Sources:
    """The files behind one configuration; ``main`` is the name of the one that names the others.

    With ``kept`` (absolute name to text) nothing is read from the disk: the set is one that was kept.
    """

    def __init__(self, main: Path, kept: Mapping[str, str] | None = None) -> None:
        self.main, self._kept = str(main), kept
        self._hash = hashlib.sha256()
        self.texts: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """SHA-256 over everything read so far, in order."""
        return self._hash.hexdigest()

    def text(self, path: Path) -> str:
        """The text of ``path``; raises `ConfigurationError` where it cannot be read as UTF-8."""
        try:
            content = path.read_bytes() if self._kept is None else self._kept[absolute(path)].encode()
            text = content.decode()
        except OSError as error:
            raise _refusal(path, f"cannot be read: {error.strerror}", "create it, or mend the path to it") from None
        except UnicodeDecodeError as error:
            raise _refusal(path, f"not UTF-8 at byte {error.start}", "save it as UTF-8") from None
        except ValueError as error:
            raise _refusal(path, f"cannot be read: {error}", "mend the path to it") from None
        except KeyError:
            raise _refusal(path, "not among the files that were kept", "mend the files and reload") from None
        self._hash.update(hashlib.sha256(content).digest())
        self.texts[absolute(path)] = text
        return text

    def files_in(self, folder: Path) -> list[Path]:
        """The YAML files of ``folder``, in order; none where there is no such folder."""
        if self._kept is None:
            return sorted(folder.glob("*.yaml"))
        return sorted(Path(name) for name in self._kept if Path(name).parent == Path(absolute(folder)))

    def yaml(self, path: Path) -> Document:
        """The YAML document in ``path``; raises `ConfigurationError` with the line of what is wrong."""
        return read_yaml(self.text(path), str(path))


def absolute(path: Path) -> str:
    """The name that a file is known by, wherever the daemon was started."""
    return os.path.abspath(path)  # noqa: PTH100 - links stay what they are called


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
