"""Templates that cannot run away: a small part of Jinja2, bounded by what it lacks.

Only what stands on the lists below is compiled. There are no calls, no attributes, no arithmetic, no assignments and no
loop inside a loop. What is left does an amount of work that can be told from the template alone, as data is bounded too:
one that could handle more than `MAX_WORK` characters is refused. So rendering needs no process of its own and no deadline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_OUTPUT = 16 * 1024
MAX_DEPTH = 24
MAX_SEPARATOR = 20
MAX_WORK = 2_000_000  # characters that one rendering may handle, every step of every round counted at its longest
MAX_VALUE = 500  # characters of a name's value, as `plan.occasion.values` gives it: no fact is longer
LONGER = {"regions": 2_000, "region_names": 6_000}  # the latter is a list, with what stands between when it is joined
MAX_ROUNDS = 50  # of a loop: no list is longer
STEP = 20  # what a step costs beside its characters, in characters

LISTS = frozenset({"region_names"})

FILTERS = frozenset({"capitalize", "default", "join", "lower", "title", "trim", "upper"})
TESTS = frozenset({"defined", "number", "string"})

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Filter, nodes.Test,
)  # fmt: skip

_SPACES = re.compile(r"[ \t]+")
_LINE_ENDS = re.compile(r" ?\n ?")
_EMPTY_LINES = re.compile(r"\n{3,}")


class TemplateRefused(ValueError):
    """A template uses what is not allowed; ``line`` counts from 1 inside the template."""

    def __init__(self, message: str, line: int) -> None:
        """Keep the line apart so that a problem can name it."""
        self.line = line
        super().__init__(f"{message}, in line {line} of the template")


class TemplateFailed(ValueError):
    """A template that compiled could not be rendered with these values."""


def _environment() -> jinja2.Environment:
    # Posts are plain text: escaping for HTML would put "&amp;" into them.
    made = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in FILTERS}
    made.tests = {name: made.tests[name] for name in TESTS}
    return made


_ENVIRONMENT = _environment()


class Compiled:
    """A template ready to be filled."""

    def __init__(self, template: jinja2.Template) -> None:
        self._template = template

    def render(self, values: Mapping[str, object]) -> str:
        """The text, tidied; raises `TemplateFailed`, also where it grows beyond `MAX_OUTPUT` characters."""
        pieces, size = [], 0
        try:
            for piece in self._template.generate(values):
                pieces.append(piece)
                size += len(piece)
                if size > MAX_OUTPUT:
                    raise TemplateFailed(f"longer than {MAX_OUTPUT} characters")
        except (jinja2.TemplateError, TypeError) as error:
            raise TemplateFailed(str(error)) from None
        return tidy("".join(pieces))


@lru_cache(maxsize=4096)
def compile_template(source: str, allowed_names: frozenset[str]) -> Compiled:
    """The template in ``source``, which may use only ``allowed_names``; raises `TemplateRefused`."""
    try:
        tree = _ENVIRONMENT.parse(source)
        _check(tree, allowed_names)
        return Compiled(_ENVIRONMENT.from_string(tree))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateRefused(error.message or "not a template", error.lineno) from None
    except TemplateRefused:
        raise
    except (RecursionError, ValueError):  # the latter: a number of thousands of digits
        raise TemplateRefused("nested too deeply, or a number that nobody needs", 1) from None


def tidy(text: str) -> str:
    """``text`` with single spaces, no spaces at the ends of lines and at most one empty line in a row."""
    return _EMPTY_LINES.sub("\n\n", _LINE_ENDS.sub("\n", _SPACES.sub(" ", text))).strip()


def _check(tree: nodes.Template, allowed_names: frozenset[str]) -> None:
    loop_names = {loop.target.name for loop in tree.find_all(nodes.For) if isinstance(loop.target, nodes.Name)}
    for node, above in _walk(tree):
        if not isinstance(node, _ALLOWED):
            raise TemplateRefused(f"{_spoken(node)} is not allowed", node.lineno)
        if len(above) > MAX_DEPTH:
            raise TemplateRefused(f"nested deeper than {MAX_DEPTH} levels", node.lineno)
        if isinstance(node, nodes.Name) and node.name not in allowed_names | loop_names:
            raise TemplateRefused(f'unknown name "{node.name}"', node.lineno)
        if isinstance(node, nodes.For):
            _check_loop(node, above)
        if isinstance(node, nodes.Filter | nodes.Test):
            _check_step(node)
    if (work := sum(_work(node, above) for node, above in _walk(tree))) > MAX_WORK:
        raise TemplateRefused(f"too much work: up to {work} characters in all, at most {MAX_WORK}", 1)


def _work(node: nodes.Node, above: tuple[nodes.Node, ...]) -> int:
    """What ``node`` costs in all its rounds; a name that a loop runs over, or gives, is not read there."""
    size = STEP if isinstance(node, nodes.Name) and isinstance(above[-1], nodes.For) else _size(node)
    return size * (MAX_ROUNDS if any(isinstance(outer, nodes.For) for outer in above) else 1)


def _size(node: nodes.Node) -> int:
    """How many characters ``node`` can handle at most, in one round; what only holds others costs a step."""
    if isinstance(node, nodes.TemplateData | nodes.Const):
        return STEP + len(str(node.as_const()))
    if isinstance(node, nodes.Name):
        return STEP + LONGER.get(node.name, MAX_VALUE)
    if isinstance(node, nodes.Filter) and isinstance(node.node, nodes.Name) and node.name == "join":
        return _size(node.node) * (1 if node.node.name in LISTS else 1 + MAX_SEPARATOR)
    return STEP + sum(map(_size, node.iter_child_nodes())) if isinstance(node, nodes.Expr | nodes.Operand) else STEP


def _check_loop(loop: nodes.For, above: tuple[nodes.Node, ...]) -> None:
    if any(isinstance(node, nodes.For) for node in above):
        raise TemplateRefused("a loop inside a loop is not allowed", loop.lineno)
    if not isinstance(loop.iter, nodes.Name) or loop.iter.name not in LISTS or loop.recursive:
        raise TemplateRefused(f"a loop runs over {', '.join(LISTS)} and nothing else", loop.lineno)


def _check_step(step: nodes.Filter | nodes.Test) -> None:
    """Filters and tests off the list are refused; ``join`` could multiply, so it stands first and joins briefly."""
    kind, allowed = ("filter", FILTERS) if isinstance(step, nodes.Filter) else ("test", TESTS)
    if step.name not in allowed:
        raise TemplateRefused(f'no {kind} "{step.name}": allowed are {", ".join(sorted(allowed))}', step.lineno)
    if step.kwargs or step.dyn_args or step.dyn_kwargs or not all(isinstance(a, nodes.Const) for a in step.args):
        raise TemplateRefused(f'the {kind} "{step.name}" takes only fixed values', step.lineno)
    if step.name != "join":
        return
    if not isinstance(step.node, nodes.Name):
        raise TemplateRefused("join stands directly behind a name", step.lineno)
    if len(step.args) > 1 or any(len(str(separator.as_const())) > MAX_SEPARATOR for separator in step.args):
        raise TemplateRefused(f"join takes one text of at most {MAX_SEPARATOR} characters", step.lineno)


def _walk(tree: nodes.Node) -> Iterator[tuple[nodes.Node, tuple[nodes.Node, ...]]]:
    """Every node with those above it, without recursion."""
    waiting: list[tuple[nodes.Node, tuple[nodes.Node, ...]]] = [(tree, ())]
    while waiting:
        node, above = waiting.pop()
        yield node, above
        waiting += [(child, (*above, node)) for child in node.iter_child_nodes()]


def _spoken(node: nodes.Node) -> str:
    words = {"Mul": '"*"', "Pow": '"**"', "Getattr": "an attribute", "Getitem": "an index", "Assign": '"set"'}
    return words.get(type(node).__name__, type(node).__name__.lower())
