"""A flame graph: collapsed stacks as an SVG in which wider is longer, and a pointer on a bar tells its share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

_WIDTH, _ROW, _LETTER = 1200, 16, 6.6  # pixels; the width of a letter
_THINNEST = 0.5


@dataclass
class Node:
    """A function in its place: the time of it and of all it called."""

    name: str
    time: int = 0
    callees: dict[str, Node] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """Rows from here to the innermost callee."""
        return 1 + max((one.depth for one in self.callees.values()), default=0)


def tree(collapsed: str) -> Node:
    """The calls of lines ``outermost;...;innermost time``."""
    root = Node("all")
    for line in collapsed.splitlines():
        stack, _, time = line.rpartition(" ")
        node = root
        node.time += int(time)
        for name in stack.split(";"):
            node = node.callees.setdefault(name, Node(name))
            node.time += int(time)
    return root


def flame_graph(collapsed: str) -> str:
    """The SVG, outermost function at the top."""
    root = tree(collapsed)
    rows = "\n".join(_drawn(root, root, 0.0, 0))
    size = f'viewBox="0 0 {_WIDTH} {root.depth * _ROW}" width="{_WIDTH}" font-family="monospace" font-size="11"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{rows}\n</svg>\n'


def _drawn(node: Node, root: Node, x: float, row: int) -> Iterator[str]:
    share = node.time / max(root.time, 1)
    width = share * _WIDTH
    if width < _THINNEST:
        return
    label = node.name[: int((width - 4) / _LETTER)] if width > 3 * _LETTER else ""
    colour = f"hsl({hash_of(node.name) % 60}, 80%, 70%)"
    yield (
        f"<g><title>{escape(node.name)}: {node.time / 1000:.1f} ms, {share:.1%}</title>"
        f'<rect x="{x:.1f}" y="{row * _ROW}" width="{width:.1f}" height="{_ROW - 1}" fill="{colour}"/>'
        f'<text x="{x + 2:.1f}" y="{row * _ROW + 11}">{escape(label)}</text></g>'
    )
    for callee in sorted(node.callees.values(), key=lambda one: one.name):
        yield from _drawn(callee, root, x, row + 1)
        x += callee.time / max(root.time, 1) * _WIDTH


def hash_of(name: str) -> int:
    """A number for a name that is the same in every run, so that a function keeps its colour."""
    return sum(position * ord(letter) for position, letter in enumerate(name, 1))
