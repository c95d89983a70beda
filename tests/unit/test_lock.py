"""The lock files: what `make setup`, `make test` and the image install is pinned, hashed, complete, and says nothing of where it came from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = {
    "requirements.lock": [*PROJECT["dependencies"], *EXTRAS["cards"]],
    "requirements-dev.lock": [*PROJECT["dependencies"], *EXTRAS["dev"], *EXTRAS["embedded"], *EXTRAS["cards"]],
    "requirements-synapse.lock": ["matrix-synapse"],  # a server for the tests, apart from everything of ours
}


def entries(name: str) -> list[str]:
    """The requirements of a lock file, hashes and all, one per entry."""
    text = (TOP / name).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pinned(name: str) -> dict[str, str]:
    """Version by canonical package name."""
    requirements = [Requirement(entry.partition("--hash")[0]) for entry in entries(name)]
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}


@pytest.mark.parametrize("name", WANTED)
def test_every_line_is_pinned_with_hashes(name: str) -> None:
    """Nothing but exact versions with SHA-256 hashes is installed."""
    shape = re.compile(r"[a-z0-9][a-z0-9.-]*==\S+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    assert [entry for entry in entries(name) if not shape.fullmatch(entry)] == []


@pytest.mark.parametrize("name", WANTED)
def test_no_address_is_named(name: str) -> None:
    """A lock file names no index, host or path: it is as good in a closed network as anywhere."""
    assert not re.search(r"://|@|file:|^\s*-(?!-hash=)", (TOP / name).read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", WANTED)
def test_what_the_project_asks_for_is_there(name: str) -> None:
    """Every dependency of pyproject.toml is pinned, at a version that it allows."""
    versions = pinned(name)
    wrong = [
        wanted
        for wanted in map(Requirement, WANTED[name])
        if not wanted.specifier.contains(versions.get(canonicalize_name(wanted.name), "0"), prereleases=True)
    ]
    assert [str(requirement) for requirement in wrong if requirement.specifier] == []
    assert {canonicalize_name(Requirement(wanted).name) for wanted in WANTED[name]} <= set(versions)


def test_development_and_production_agree() -> None:
    """What is tested is what is shipped: both lock files pin the same versions."""
    development = pinned("requirements-dev.lock")
    assert {name: development.get(name) for name in pinned("requirements.lock")} == pinned("requirements.lock")
