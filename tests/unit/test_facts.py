"""Facts on their way into a text: whatever a source sends as one, a text is made of it or a note says why not."""

from __future__ import annotations

from typing import Any

import pytest
from house import NOW
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.model.playbook import FactSpec
from dispatcher.plan.facts import disclosed

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.lists(st.integers())


@pytest.mark.parametrize("kind", ["text", "number", "time"])
@given(value=VALUES, size=st.integers(1, 500))
@example(value=10**400, size=4)
@example(value=-(10**5_000), size=500)
@example(value=float("inf"), size=4)
def test_any_value_is_told_or_left_out(kind: str, value: Any, size: int) -> None:
    """Whatever value a fact has, it is told within its size, or left out with a note that names it; nothing fails."""
    spec = FactSpec(type=kind, max=size, sample="x")
    told, notes = disclosed({"n": spec}, {"n": value}, public_only=False, now=NOW)
    assert [note.partition(":")[0] for note in notes] == ([] if told["n"] else ["n"])
