"""The house rules, measured: small functions, no circles, everything explained, nothing unfinished."""

from __future__ import annotations

import ast
import functools
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import typer

from dispatcher.cli import app

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "dispatcher"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@functools.cache
def tree(path: Path) -> ast.Module:
    """The syntax of a Python file."""
    return ast.parse(path.read_text(), str(path))


def sources() -> list[Path]:
    """The files of the package; migrations are a record of the past and are not measured."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts]


def nodes(path: Path, *kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of these kinds, with where it stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, kinds):
            yield f"{path.relative_to(TOP)}:{node.lineno} {getattr(node, 'name', '')}".rstrip(), node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_small() -> None:
    """Half of all functions have at most 8 lines, nine in ten at most 25, none more than 50."""
    found = [(length(node), where) for path in sources() for where, node in nodes(path, *FUNCTIONS)]
    lengths = sorted(lines for lines, _ in found)
    # app.build puts the whole service together, in order, in one place: it may be long.
    allowed = re.compile(r"dispatcher/app\.py:\d+ build$")
    assert [(lines, where) for lines, where in found if lines > 50 and not allowed.match(where)] == []
    assert statistics.median(lengths) <= 8
    assert lengths[int(len(lengths) * 0.9)] <= 25, sorted(found)[-20:]


def test_files_are_readable_in_one_sitting() -> None:
    """No file has more than 400 lines."""
    lengths = {str(path.relative_to(TOP)): path.read_text().count("\n") for path in sources()}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def imports(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of the package that this file imports anywhere: in functions and for types only, too."""
    wanted: set[str] = set()
    for _, node in nodes(path, ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            wanted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            wanted |= {name if name in modules else str(node.module) for name in names}
    return {name for name in wanted if name in modules and modules[name] != path}


def test_no_module_imports_itself_in_a_circle() -> None:
    """There are no import circles, imports inside functions and for types only included."""
    modules = {".".join(p.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__"): p for p in sources()}
    try:
        TopologicalSorter({name: imports(path, modules) for name, path in modules.items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def public(parent: ast.AST) -> Iterator[ast.AST]:
    """The public classes and functions of a module; what lies inside a private class or inside a function is not public."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, (ast.ClassDef, *FUNCTIONS)) and not node.name.startswith("_"):
            yield node
            yield from public(node) if isinstance(node, ast.ClassDef) else ()


def test_every_public_name_is_explained() -> None:
    """Every module and every public class and function says what it is for."""
    named = [(path, node) for path in sources() for node in (tree(path), *public(tree(path)))]
    silent = [f"{path.relative_to(TOP)} {getattr(n, 'name', '')}" for path, n in named if not ast.get_docstring(n)]
    assert silent == []


def greedy(handler: ast.ExceptHandler) -> bool:
    """Whether this handler takes every error: bare, ``Exception`` or ``BaseException``, alone or in a tuple."""
    caught = ast.walk(handler.type) if handler.type else ()
    return not handler.type or any(isinstance(n, ast.Name) and n.id in {"Exception", "BaseException"} for n in caught)


def test_hardly_anything_catches_everything() -> None:
    """At most three places catch whatever comes; everywhere else an error is expected by its name."""
    places = [where for path in sources() for where, node in nodes(path, ast.ExceptHandler) if greedy(node)]
    assert len(places) <= 3, places


def test_every_test_says_its_promise() -> None:
    """Every test states in its docstring the promise that it keeps."""
    found = [pair for path in sorted((TOP / "tests").rglob("test_*.py")) for pair in nodes(path, *FUNCTIONS)]
    tests = [(where, node) for where, node in found if node.name.startswith("test_")]
    assert [where for where, node in tests if not ast.get_docstring(node)] == []


def test_the_floors_hold() -> None:
    """Nothing imports upward, no neighbour knows another, words and judgement do no I/O."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file that belongs to the project."""
    places = ["dispatcher", "tests", "config", "docs", "benchmarks", "scripts", ".ci"]
    files = [path for place in places for path in sorted((TOP / place).rglob("*")) if path.is_file()]
    for path in [*files, *sorted(TOP.glob("*.md")), TOP / "Makefile", TOP / "Dockerfile"]:
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


def test_nothing_is_unfinished() -> None:
    """No file carries a mark of unfinished work."""
    marks = re.compile("|".join([r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", "NotImplemented" + "Error"]))
    assert [str(path) for path, text in texts() if marks.search(text)] == []


def shell_lines(text: str) -> Iterator[str]:
    """The lines of a Markdown text's shell blocks."""
    for block in re.findall(r"^```(?:sh|shell|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from (line.strip().removeprefix("$ ") for line in block.splitlines())


def test_the_documents_name_commands_that_exist() -> None:
    """Whatever README and docs tell a reader to type is a make target or a command of dispatcher that exists."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (TOP / "Makefile").read_text(), re.MULTILINE))
    commands = set(typer.main.get_command(app).commands)
    unknown = [
        (path.name, line)
        for path, text in texts()
        if path.suffix == ".md"
        for line in shell_lines(text)
        if set(re.findall(r"\bmake ([a-z][a-z-]*)", line)) - targets
        or set(re.findall(r"\bdispatcher ([a-z][a-z-]*)\b", line)) - commands
    ]
    assert unknown == []
