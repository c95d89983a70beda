"""When people are called again about what waits for them. Pure: how long it waited in, how often it was due out."""

from __future__ import annotations

from datetime import timedelta

SECOND_CALL = timedelta(seconds=30)
THIRD_CALL = timedelta(seconds=60)
EVERY = timedelta(minutes=1)
BY_HAND_REMINDER = timedelta(minutes=2)
BY_HAND_ESCALATION = timedelta(minutes=5)
BY_HAND_EVERY = timedelta(minutes=5)


def held_step(waited: timedelta) -> int:
    """The latest call that is due for a held alert: 0 at once, 1 after 30 s, 2 after 60 s, then one each minute."""
    if waited < SECOND_CALL:
        return 0
    return 1 if waited < THIRD_CALL else 2 + (waited - THIRD_CALL) // EVERY


def by_hand_step(waited: timedelta) -> int:
    """The same for a post by hand: 0 at once, 1 (a reminder) after 2 min, 2 (escalation) after 5 min, then each 5 min."""
    if waited < BY_HAND_REMINDER:
        return 0
    return 1 if waited < BY_HAND_ESCALATION else 2 + (waited - BY_HAND_ESCALATION) // BY_HAND_EVERY
