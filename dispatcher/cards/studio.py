"""Makes cards: each once, in a thread of its own, for who wants its bytes, and puts it where the public can fetch it.

A card is a pure function of its alert, so nothing is kept: what was made is forgotten after a while or by a restart, and made
again when somebody asks for it. Nobody waits longer for a card than `PATIENCE`, and what goes wrong in here is an
answer and never an error: a post leaves without its card, or says by its outcome why it cannot.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Final, TypeVar

from dispatcher.cards.face import Face, face_of_post, faces_of
from dispatcher.cards.settings import CardSettings, PushSettings
from dispatcher.channels._cards import PATIENCE, Card, NoCard, NoCards, Picture, Shape
from dispatcher.channels.departure import allowed
from dispatcher.channels.http import ChannelError, Http, Request
from dispatcher.journal import queries
from dispatcher.journal.base import Journal
from dispatcher.model.alert import Alert, Post, Purpose
from dispatcher.model.delivery import AlertId, Reason, Result
from dispatcher.telemetry import logger

log = logger("cards")

_MOST_KEPT: Final = 64  # some 200 kB each
_MOST_WAITING: Final = 32

Drawn = tuple[bytes, str]
Draw = Callable[[Face, Shape], Drawn]
_Made = TypeVar("_Made", Picture, Card)
_Tasks = OrderedDict[str, asyncio.Task[_Made]]


def drawing(face: Face, shape: Shape) -> Drawn:
    """JPEG and words. Pillow is loaded here, in the thread, so that no start waits for it."""
    drawn: Drawn = importlib.import_module("dispatcher.cards.draw").draw(face, shape)
    return drawn


class Studio:
    """`Cards` of a running daemon. ``base`` is where the public reaches the listener, once it does."""

    def __init__(self, settings: CardSettings | None, http: Http, journal: Journal, *, draw: Draw = drawing) -> None:
        """``draw`` is called in a thread. Without ``settings`` cards have no address, but can be drawn."""
        self.base = ""
        self.patience = PATIENCE
        self._settings, self._http, self._journal, self._draw = settings, http, journal, draw
        self._thread = ThreadPoolExecutor(1, "cards")
        self._made: _Tasks[Picture] = OrderedDict()  # by their names
        self._placed: _Tasks[Card] = OrderedDict()

    async def of(self, post: Post, shape: Shape) -> Card:
        """The card of ``post`` at its public address; raises `NoCard`, or `Fenced` where the post may not leave any more."""
        face = _face(post)
        if self._settings is None:
            return await NoCards().of(post, shape)
        push = self._settings.push
        if not (push or self.base):
            raise NoCard(Result.TEMPORARY, Reason.INTERNAL, "the public listener is not open yet")
        if push is None:
            made = await self._picture(face, shape, post.alert)
            return Card(f"{self.base}/cards/{post.alert}/{face.name(shape)}.jpg", made.alt)
        place = partial(self._place, push, face, shape, post.alert)
        return await self._within(self._once(self._placed, face.name(shape), place), post.alert)

    async def drawn(self, post: Post, shape: Shape) -> Picture:
        """The card of ``post`` as bytes; raises as `of` does."""
        return await self._picture(_face(post), shape, post.alert)

    async def jpeg(self, alert: AlertId, name: str) -> bytes | None:
        """The image that was made under this name for an alert that was released; raises `JournalError` and `NoCard`."""
        found = await self._released(alert, name)
        return (await self._picture(*found, alert)).jpeg if found else None

    def kept(self, name: str) -> bytes | None:
        """The same, where it was made a short while ago."""
        task = self._made.get(name)
        good = task is not None and task.done() and not task.cancelled() and task.exception() is None
        return task.result().jpeg if task is not None and good else None

    def close(self) -> None:
        """Make no more; what is being drawn is left alone."""
        for task in (*self._made.values(), *self._placed.values()):
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _picture(self, face: Face, shape: Shape, alert: AlertId) -> Picture:
        return await self._within(self._drawing(face, shape), alert)

    async def _within(self, task: asyncio.Task[_Made], alert: AlertId) -> _Made:
        """What the task comes to, as far as it is there in time; raises `NoCard`."""
        done, _ = await asyncio.wait({task}, timeout=self.patience)
        if not done:
            raise NoCard(Result.TEMPORARY, Reason.TIMEOUT, "it is still being made")
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if isinstance(error, NoCard):
            raise error
        if error is not None:
            log.error("card_failed", alert=alert, error=repr(error))
            raise NoCard(Result.PERMANENT, Reason.INTERNAL, f"it cannot be drawn ({type(error).__name__})")
        return task.result()

    def _drawing(self, face: Face, shape: Shape) -> asyncio.Task[Picture]:
        return self._once(self._made, face.name(shape), partial(self._make, face, shape))

    def _once(
        self, tasks: _Tasks[_Made], name: str, make: Callable[[], Coroutine[object, object, _Made]]
    ) -> asyncio.Task[_Made]:
        """The task of that name, begun where there is none; in a context of its own: what leaves here is not the post."""
        if (task := tasks.get(name)) is None:
            if sum(not task.done() for task in tasks.values()) >= _MOST_WAITING:
                raise NoCard(Result.TEMPORARY, Reason.RATE_LIMITED, "too many are being made")
            task = tasks[name] = asyncio.get_running_loop().create_task(make(), name="card", context=Context())
            task.add_done_callback(partial(_end, tasks, name))
        tasks.move_to_end(name)
        return task

    async def _make(self, face: Face, shape: Shape) -> Picture:
        jpeg, words = await asyncio.get_running_loop().run_in_executor(self._thread, self._draw, face, shape)
        return Picture(jpeg, words, shape)

    async def _place(self, push: PushSettings, face: Face, shape: Shape, alert: AlertId) -> Card:
        made, name = await self._picture(face, shape, alert), face.name(shape)
        await self._put(push, name, made.jpeg)
        return Card(f"{push.public_url or push.url}/{name}.jpg", made.alt)

    async def _put(self, push: PushSettings, name: str, jpeg: bytes) -> None:
        """Raises `NoCard` where the place does not take it; the same name always holds the same bytes."""
        try:
            headers = {"Authorization": push.authorization(), "Content-Type": "image/jpeg"}
            answer = await self._http.request(Request("PUT", f"{push.url}/{name}.jpg", headers, jpeg))
        except ChannelError as error:
            raise NoCard(Result.TEMPORARY, error.reason, f"it cannot be put in its place: {error.detail}") from None
        except (OSError, KeyError, ValueError):
            raise NoCard(Result.TEMPORARY, Reason.AUTH, "the secret of its place cannot be read") from None
        if not 200 <= answer.status < 300:
            denied = answer.status in (401, 403)
            reason = Reason.AUTH if denied else Reason.SERVER_ERROR if answer.status >= 500 else Reason.REJECTED
            raise NoCard(Result.TEMPORARY, reason, f"its place answered {answer.status}")

    async def _released(self, alert: AlertId, name: str) -> tuple[Face, Shape] | None:
        """Which card of ``alert`` has that name, where the alert may be read by the public."""
        record = await self._journal.read(partial(queries.alert_record, alert=alert))
        if record is None or record.released_at is None or record.alert.purpose is Purpose.PAGE:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._thread, _named, record.alert, name)


def _end(tasks: _Tasks[_Made], name: str, task: asyncio.Task[_Made]) -> None:
    """What failed may be tried again; the oldest make room."""
    if (task.cancelled() or task.exception() is not None) and tasks.get(name) is task:
        del tasks[name]
    finished = [one for one, made in tasks.items() if made.done()]
    for one in finished[: max(0, len(finished) - _MOST_KEPT)]:
        del tasks[one]


def _face(post: Post) -> Face:
    """What the card of ``post`` says; raises `Fenced`, and `NoCard` where it is not for the public."""
    allowed()
    if post.purpose is Purpose.PAGE:
        raise NoCard(Result.PERMANENT, Reason.REJECTED, "what staff are told is not for the public")
    return face_of_post(post)


def _named(alert: Alert, name: str) -> tuple[Face, Shape] | None:
    every = ((face, shape) for face in faces_of(alert) for shape in Shape)
    return next((one for one in every if one[0].name(one[1]) == name), None)
