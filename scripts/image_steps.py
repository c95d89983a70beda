"""Runs the COPY and RUN steps of the Dockerfile in a scratch directory: proof without a container engine.

Every path of the image hangs below ``ROOT``, a build argument that is empty in a real build and the scratch directory
here. What the base image brings is stood in for by the Python that runs this. Ends with the help of the installed command.
"""

# ruff: noqa: INP001, S603, S607, T201 - a script that runs the steps it reads and says so

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[1]


def steps(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Each instruction and its arguments, continued lines joined."""
    for line in re.sub(r"\\\n", " ", dockerfile).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.isupper():
            yield word, rest.strip()


def copy(arguments: str, root: Path, work: Path) -> None:
    """A COPY from the build context, or between two stages, which share the scratch directory."""
    words = [word for word in arguments.split() if not word.startswith("--")]
    staged = "--from=" in arguments
    target = _inside(words[-1], root, work)
    for word in words[:-1]:
        source = _inside(word, root, work) if staged else TOP / word
        if source != target:
            _copy_one(source, target)


def main() -> None:
    """Run every step, then the command that a container would run, as far as its help."""
    with tempfile.TemporaryDirectory() as scratch:
        root, work = Path(scratch), Path(scratch)
        environment = os.environ | {"ROOT": scratch, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for word, rest in steps((TOP / "Dockerfile").read_text()):
            if word == "WORKDIR":
                work = _inside(rest, root, work)
                work.mkdir(parents=True, exist_ok=True)
            elif word == "COPY":
                copy(rest, root, work)
            elif word == "RUN":
                print("RUN", rest, flush=True)
                subprocess.run(["sh", "-ec", rest], cwd=work, env=environment, check=True)
            elif word == "CMD":
                program = root / "opt/dispatcher/bin" / json.loads(rest)[0]
                subprocess.run([program, "--help"], cwd=root, check=True, stdout=subprocess.DEVNULL)
    print("every step of the Dockerfile works")


def _inside(path: str, root: Path, work: Path) -> Path:
    return root / path.lstrip("/") if path.startswith("/") else work / path


def _copy_one(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


if __name__ == "__main__":
    main()
