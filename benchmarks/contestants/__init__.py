"""Who is measured, one file each: start for N channels, trigger, stop. `ALL` in the order of the tables."""

from __future__ import annotations

from benchmarks.contestants import alertmanager, dispatcher, limit, nodered, plain
from benchmarks.contestants.base import Contestant, Field, Running

DISPATCHER, PLAIN, ALERTMANAGER, NODE_RED, LIMIT = ALL = (
    Contestant("dispatcher", dispatcher.running, audit=dispatcher.audit),
    Contestant("plain", plain.running),
    Contestant("alertmanager", alertmanager.running, alertmanager.missing),
    Contestant("node-red", nodered.running, nodered.missing),
    Contestant("limit", limit.running),
)

__all__ = ["ALERTMANAGER", "ALL", "DISPATCHER", "LIMIT", "NODE_RED", "PLAIN", "Contestant", "Field", "Running"]
