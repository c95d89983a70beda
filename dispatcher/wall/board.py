"""What hangs on the wall: every post as the public would see it, and what was asked of each account."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from dispatcher.web import Hub

_LONGEST_LOG = 1000
_MOST_IMAGES = 200
IMAGES = "/_wall/images"


class Service(StrEnum):
    """Whose double an account belongs to."""

    WHATSAPP = "whatsapp"
    FACEBOOK = "facebook"
    MASTODON = "mastodon"
    WEBSITE = "website"
    NTFY = "ntfy"
    SMS = "sms"
    EMAIL = "email"
    LINKEDIN = "linkedin"
    BLUESKY = "bluesky"
    TELEGRAM = "telegram"
    INSTAGRAM = "instagram"
    THREADS = "threads"
    X = "x"
    MATRIX = "matrix"
    SLACK = "slack"
    SIGNAL = "signal"
    TEAMS = "teams"
    GOTIFY = "gotify"
    MQTT = "mqtt"
    WHATSAPP_CLOUD = "whatsapp_cloud"
    FCM = "fcm"
    WEB_PUSH = "web_push"
    APPRISE = "apprise"


def now_ms() -> int:
    """The time of day in Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True, kw_only=True)
class Shown:
    """One post on one account. Times are Unix milliseconds; ``order`` counts arrivals over the whole wall from 1."""

    order: int
    service: Service
    account: str
    id: str
    text: str
    title: str = ""
    key: str = ""
    image: str = ""  # its address
    alt: str = ""  # what it shows, in words
    received_ms: int = field(default_factory=now_ms)
    edited_ms: int | None = None
    deleted_ms: int | None = None
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class Upload:
    """An image that was uploaded, whether a post shows it or not; ``alt`` is what it shows, in words."""

    jpeg: bytes
    image: str = ""  # its address on the wall
    alt: str = ""


class Board:
    """All posts of one wall in order of arrival; every change goes out over ``hub``."""

    def __init__(self, titles: Mapping[str, str] | None = None) -> None:
        """``titles`` names accounts as the public knows them."""
        self.titles = dict(titles or {})
        self.hub = Hub()
        self.requests = Counter[str]()
        self.unexpected: list[dict[str, str]] = []
        self.uploads: dict[str, Upload] = {}  # by the ids that their providers give them
        self._posts: list[Shown] = []
        self._orders, self._images = itertools.count(1), itertools.count(1)

    def __iter__(self) -> Iterator[Shown]:
        return iter(self._posts)

    def __len__(self) -> int:
        return len(self._posts)

    def of(self, account: str) -> list[Shown]:
        """Posts of ``account`` that the public still sees, oldest first."""
        return [post for post in self._posts if post.account == account and post.deleted_ms is None]

    def find(self, account: str, id_: str) -> Shown | None:
        """The visible post of that id."""
        return next((post for post in self.of(account) if post.id == id_), None)

    def owner(self, id_: str) -> str:
        """The account whose post that is or was, else an empty text."""
        return next((post.account for post in self._posts if post.id == id_), "")

    def by_key(self, account: str, key: str) -> Shown | None:
        """The visible post that was sent with that idempotency key."""
        return next((post for post in self.of(account) if key and post.key == key), None)

    def add(
        self, service: Service, account: str, id_: str, text: str, *, key: str = "", image: str = "", alt: str = ""
    ) -> Shown:
        """Show a new post."""
        title = self.titles.get(account, account)
        post = Shown(
            order=next(self._orders), service=service, account=account, id=id_, text=text, key=key, title=title,
            image=image, alt=alt,
        )  # fmt: skip
        self._posts.append(post)
        return self._changed(post)

    def upload(self, id_: str, jpeg: bytes, alt: str = "") -> Upload:
        """Keep an image under a provider's id, the same bytes at the same address; the oldest make room."""
        known = self.uploads.get(id_)
        image = known.image if known and known.jpeg == jpeg else f"{IMAGES}/{next(self._images)}.jpg"
        self.uploads[id_] = kept = Upload(jpeg, image, alt)
        while len(self.uploads) > _MOST_IMAGES:
            del self.uploads[next(iter(self.uploads))]
        return kept

    def describe_upload(self, id_: str, alt: str) -> None:
        """Give an image its words."""
        self.uploads[id_] = replace(self.uploads[id_], alt=alt)

    def uploaded(self, ids: Iterable[str]) -> Upload:
        """The first image of these ids, one without an address where there is none."""
        return next((self.uploads[id_] for id_ in ids), Upload(b""))

    def edit(self, post: Shown, text: str, *, image: str | None = None, alt: str = "") -> Shown:
        """Replace a post's text, and its image where one is given or an empty one takes it away."""
        if text != post.text:
            post.text, post.edited_ms = text, now_ms()
        if image is not None:
            post.image, post.alt = image, alt
        return self._changed(post)

    def delete(self, post: Shown) -> Shown:
        """Take a post down; the page keeps it struck through."""
        post.deleted_ms = now_ms()
        return self._changed(post)

    def repeat(self, post: Shown) -> Shown:
        """Note that a post came again under the same key and was not shown twice."""
        post.repeats += 1
        return self._changed(post)

    def surprise(self, method: str, path: str) -> None:
        """Note a request that no double knows; tests fail on it."""
        del self.unexpected[:-_LONGEST_LOG]
        self.unexpected.append({"method": method, "path": path})

    def posts(self) -> list[dict[str, Any]]:
        """All posts as JSON-able objects, deleted ones included."""
        return [self.describe(post) for post in self._posts]

    def describe(self, post: Shown) -> dict[str, Any]:
        """One post as a JSON-able object, with the number of ``requests`` its account has had."""
        return {**asdict(post), "requests": self.requests[post.account]}

    def _changed(self, post: Shown) -> Shown:
        self.hub.publish(self.describe(post), event="post")
        return post
