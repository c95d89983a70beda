"""Who must release what, and what to do in doubt: the rules in one place, as pure functions."""

from __future__ import annotations

from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Severity
from dispatcher.model.playbook import Playbook, Release


def people_needed(
    playbook: Playbook, severity: Severity, purpose: Purpose, override: Release | None = None, *, widest: bool = False
) -> int:
    """How many named persons must release: an all-clear one fewer but never none, a false alarm one.

    ``override`` replaces the playbook's rule (exercises only); no override lets a machine end anything. ``widest``: the
    first word of an incident, to everybody whom a national sender reaches.
    """
    people = (override or playbook.release_for(severity)).people
    if not purpose.spoken:
        return 0
    if purpose is Purpose.FALSE_ALARM:
        return 1
    if purpose is Purpose.ALL_CLEAR:
        return max(1, people - 1)
    return Release.TWO_PERSONS.people if widest else people
