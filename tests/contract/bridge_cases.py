"""What can come back from a service behind Apprise. It tells sent from failed and no more, so each failure is a doubt.

Left out: the name that is not found, for the process of its own asks this machine's resolver, and tests reach no name server.
"""

from __future__ import annotations

from dataclasses import replace

from contract.cases import ACCEPTED, CASES, NO_ANSWER, UNPROVED, Case
from contract.kit import Class

from dispatcher.model.delivery import Reason, Result

_NOT_LEFT: Class = (Result.TEMPORARY, Reason.NETWORK)
_TAKEN = {"oversized answer"}  # the status is all that is read


def _class_of(case: Case) -> Class:
    if case.world:
        return _NOT_LEFT
    if case.expected == NO_ANSWER:
        return NO_ANSWER
    return ACCEPTED if 200 <= case.status < 300 or case.name in _TAKEN else UNPROVED


BRIDGE_CASES = [
    replace(case, expected=_class_of(case), wait=None, status=200 if case.name in _TAKEN else case.status)
    for case in CASES
    if case.world != "dns"
]
