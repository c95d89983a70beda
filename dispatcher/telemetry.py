"""Logs and metrics: event names with keys, bounded labels, and no secret in either."""

from __future__ import annotations

import io
import logging
import os
import select
import sys
from collections.abc import MutableMapping
from json import dumps
from typing import Any, TextIO, cast
from urllib.parse import quote, quote_plus

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECRET_KEYS = frozenset({"authorization", "token", "password", "secret", "x-api-key", "cookie"})
_secrets: set[str] = set()
SHORTEST_SECRET = 4

REGISTRY = CollectorRegistry()
EVENTS = Counter("dispatcher_events_total", "Incident events by receipt state", ["state"], registry=REGISTRY)
ATTEMPTS = Counter(
    "dispatcher_attempts_total", "Attempts by channel, result and reason", ["channel", "result", "reason"],
    registry=REGISTRY,
)  # fmt: skip
DELIVERIES = Counter("dispatcher_deliveries_total", "Ended deliveries", ["channel", "state"], registry=REGISTRY)
OPEN = Gauge("dispatcher_deliveries_open", "Deliveries that have not ended, held by the worker", registry=REGISTRY)
ORIGINS_DOWN = Gauge("dispatcher_origins_down", "Origins that stopped answering", registry=REGISTRY)
PAGES = Counter("dispatcher_pages_total", "Pages to staff by cause", ["cause"], registry=REGISTRY)
COMMIT = Histogram(
    "dispatcher_journal_commit_seconds", "Time of one group commit",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5), registry=REGISTRY,
)  # fmt: skip
DROPPED = Counter("dispatcher_log_lines_dropped_total", "Log lines that could not be written", registry=REGISTRY)
LOOP_LAG = Histogram(
    "dispatcher_loop_lag_seconds", "How late the event loop is, measured twenty times a second",
    buckets=(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5), registry=REGISTRY,
)  # fmt: skip
BROKER = Gauge("dispatcher_broker_connected", "1 while the broker connection stands", registry=REGISTRY)
LOOK_UPS = Counter(
    "dispatcher_look_ups_total", "Host names asked for, by result: fresh, last_good, failed", ["result"], registry=REGISTRY
)  # fmt: skip
READY = Gauge(
    "dispatcher_channel_ready", "1 while a channel could post; degraded counts", ["channel"], registry=REGISTRY
)
HEARTBEAT = Gauge("dispatcher_heartbeat_heard", "1 while the outside monitor hears our heartbeat", registry=REGISTRY)


def keep_secret(value: str) -> None:
    """Never let ``value`` appear in a log line from now on, as it is or as others write it."""
    if len(value) >= SHORTEST_SECRET:
        _secrets.update(_written(value))


def forget_secret(value: str) -> None:
    """Let go of a secret that has ended: one that is renewed every hour would make every log line slower."""
    _secrets.difference_update(_written(value))


def _written(value: str) -> set[str]:
    """``value`` in JSON, as Python shows it, in a URL's path and in a form: one and the same for most secrets."""
    return {value, dumps(value)[1:-1], repr(value)[1:-1], quote(value, safe=""), quote_plus(value)}


def redact(text: str) -> str:
    """``text`` with every known secret masked."""
    if len(text) < SHORTEST_SECRET:  # most outcomes say nothing, and each channel has a secret to look for
        return text
    for secret in _secrets:
        text = text.replace(secret, "***")
    return text


def _mask_keys(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if key.lower() in _SECRET_KEYS:
            event[key] = "***"
    return event


def _redact_line(_logger: Any, _name: str, line: Any) -> str:
    """The finished line: a secret in a list or in a traceback is one as well."""
    return redact(line)


class _Lines:
    """Where log lines go. Where they cannot they are dropped and counted: a log stops nobody's work.

    On a full disk a write fails; where whoever reads the log has stopped, it would wait, and everything with it.
    """

    def __init__(self) -> None:
        self._line = ""

    def write(self, text: str) -> None:
        """Take it, and say it when it is a whole line."""
        self._line += text
        if self._line.endswith("\n"):
            line, self._line = self._line, ""
            try:
                self._say(line)
            except OSError:
                DROPPED.inc()

    def flush(self) -> None:
        """Nothing is kept back but what is no line yet."""

    def _say(self, line: str) -> None:
        """Piece by piece, none longer than what a pipe that can be written to takes at once (pipe(7))."""
        try:
            way = sys.stderr.fileno()
        except io.UnsupportedOperation:  # somebody keeps it in memory
            sys.stderr.write(line)
            return
        data = line.encode(errors="backslashreplace")
        for at in range(0, len(data), select.PIPE_BUF):
            if not _takes(way):
                self._line = "\n" if at else ""  # what comes next begins on a line of its own
                raise BlockingIOError("nobody reads the log")
            os.write(way, data[at : at + select.PIPE_BUF])


def _takes(way: int) -> bool:
    """Whether a descriptor can be written to without waiting; a file always can."""
    asked = select.poll()
    asked.register(way, select.POLLOUT)
    return bool(asked.poll(0))


def configure_logs(*, level: str = "info", json: bool | None = None) -> None:
    """JSON lines on stderr, or readable ones on a terminal; the standard library's loggers take the same way."""
    if json is None:
        json = not sys.stderr.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _mask_keys,
    ]
    renderer: Any = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=True)
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer, _redact_line],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Lines())),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _redact_line],
    )
    handler = logging.StreamHandler(cast("TextIO", _Lines()))
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def logger(room: str) -> Any:
    """A logger bound to the name of a room."""
    return structlog.get_logger(room=room)
