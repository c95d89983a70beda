"""Apprise in a process of its own, for one URL: what hangs, leaks or crashes in there hurts nobody else.

Started as ``python -m dispatcher.channels._bridge`` and spoken to in lines of JSON: first ``{"url": …}``, answered by
``{"longest": …, "title": …}`` or ``{"refused": …}``; then texts as ``{"body": …, "title": …, "type": …}``. Before the
first byte of a text leaves it says ``{"leaving": true}`` and waits for ``{"go": true}``; at the end comes ``{"sent": …,
"code": …}``. It ends when nobody speaks to it any more. Nothing that Apprise prints or logs gets into these lines.

Apprise speaks through requests and so through `http.client`, whose audit event comes right before bytes are written
(docs.python.org, "Audit events table"): what has not caused one has not left. Programs are never started.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TextIO

Say = Callable[[dict[str, Any]], None]

_NEVER = frozenset({
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.spawn",
    "subprocess.Popen",
})  # fmt: skip
_CODE = re.compile(r"\berror=(\d{3})\b")  # how Apprise's services log an HTTP status


class _Gate:
    """Sees what happens in this process: nothing is sent but a text, and each only when it was let go."""

    def __init__(self, say: Say) -> None:
        self._say, self._go = say, threading.Event()
        self._speaking = self._asked = False

    def __call__(self, event: str, _arguments: tuple[Any, ...]) -> None:
        """An audit hook; raises `PermissionError`."""
        if event == "http.client.send":
            self._ask()
        elif event in _NEVER:
            raise PermissionError(event)

    def text(self) -> None:
        """A text is about to be said."""
        self._go.clear()
        self._speaking, self._asked = True, False

    def silence(self) -> None:
        """It was said."""
        self._speaking = False

    def open(self) -> None:
        """The text may leave."""
        self._go.set()

    def _ask(self) -> None:
        if not self._speaking:
            raise PermissionError("no text is being said")
        if not self._asked:
            self._asked = True
            self._say({"leaving": True})
        self._go.wait()


def main() -> None:
    """Serve whoever started this process, until they are gone."""
    heard, said = _pipes()

    def say(line: dict[str, Any]) -> None:
        """One line out; whoever speaks here waits for the other's answer, so that no two of them meet."""
        said.write(json.dumps(line) + "\n")
        said.flush()

    gate, orders = _Gate(say), SimpleQueue[dict[str, Any]]()
    sys.addaudithook(gate)
    threading.Thread(target=_work, args=(orders, say, gate), daemon=True).start()
    for line in heard:
        if "go" in (order := json.loads(line)):
            gate.open()
        else:
            orders.put(order)
    os._exit(0)  # a service that hangs is not waited for


def _pipes() -> tuple[TextIO, TextIO]:
    """What is heard and said here; whatever else reads or prints meets nothing."""
    heard, said = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return heard, said


def _work(orders: SimpleQueue[dict[str, Any]], say: Say, gate: _Gate) -> None:
    """The URL, then one text after another; a bug ends the process, which says the most that can be said."""
    try:
        bridge, greeting = _opened(orders.get()["url"])
        say(greeting)
        while bridge is not None:
            order = orders.get()
            gate.text()
            answer = _said(bridge, order)
            gate.silence()
            say(answer)
    finally:
        os._exit(1)


def _opened(url: str) -> tuple[Any, dict[str, Any]]:
    """Apprise with its one service, and what that takes; or nothing, and why."""
    from apprise import Apprise, AppriseAsset, OverflowMode  # noqa: PLC0415 - in this process only

    bridge = Apprise(asset=AppriseAsset(plugin_paths=[], storage_mode="memory", service_timeout=0, async_mode=False))
    if not bridge.add(url):
        return None, {"refused": "Apprise does not understand the URL"}
    for service in bridge:
        # What a URL may ask for and would make an answer mean something else.
        service.retry, service.optional, service.redirects, service.interpret_emojis = 0, False, False, False
        service.overflow_mode = OverflowMode.UPSTREAM
        service.request_rate_per_sec = 0  # a channel's own rate decides
        if not service.verify_certificate:
            return None, {"refused": "verify=no: certificates are always checked"}
    if sum(len(service) for service in bridge) > 1:
        return None, {"refused": "more than one target: nobody could tell which of them got a text"}
    return bridge, {"longest": bridge[0].body_maxlen, "title": bridge[0].title_maxlen}


def _said(bridge: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Whether Apprise says that it went, and the HTTP status that it logged where it did not."""
    result = bridge.notify(
        body=order["body"], title=order["title"], notify_type=order["type"], body_format="text", interpret_escapes=False
    )
    codes = [int(code) for entry in result.logs() for code in _CODE.findall(entry.message)]
    return {"sent": bool(result), "code": codes[-1] if codes else None}


if __name__ == "__main__":
    main()
