"""Whether the road from an event to the channels has become longer, measured beside a script that only sends."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.gate import BOUNDS, ratios


@pytest.mark.long
async def test_the_road_has_not_become_longer(need: Any) -> None:
    """To 100 channels and in a flood, dispatcher takes at most so many times what a plain script takes, and loses nothing."""
    need("mosquitto")
    need("cc", "gcc", "clang")

    found, failures = await ratios()

    assert failures == []
    assert {name: ratio for name, ratio in found.items() if not 0 < ratio <= BOUNDS[name]} == {}, found
