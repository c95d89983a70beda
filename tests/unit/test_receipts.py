"""Receipts to the broker: what a source is told leaves us once, and not before the broker has it."""

from __future__ import annotations

import asyncio
from typing import Any

import aiomqtt
from house import until

from dispatcher.intake.base import Inbound, Receipt
from dispatcher.intake.mqtt import MqttIntake, MqttSettings
from dispatcher.model.cap import Realm
from dispatcher.testing import FakeClock


class Connection:
    """A connection to a broker that takes what it is given, or answers everything with one error."""

    def __init__(self, error: Exception | None = None) -> None:
        """``error`` is what becomes of each message."""
        self.error, self.asked, self.topics = error, 0, list[str]()

    async def publish(self, topic: str, _: bytes, **options: Any) -> None:
        """Take it, or not."""
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.topics.append(topic)


async def ignore(inbound: Inbound) -> Receipt:
    """A road that nobody walks on."""
    raise AssertionError(inbound)


def with_receipts(*sources: str) -> MqttIntake:
    """An intake that owes these sources a receipt each."""
    intake = MqttIntake(MqttSettings(url="mqtt://127.0.0.1"), Realm.EXERCISE, ignore, FakeClock())
    message = aiomqtt.Message("t", b"", 1, retain=False, mid=1, properties=None)
    for source in sources:
        intake._reply(message, Receipt(source, "1", "", "journaled", 1))
    return intake


async def connected(intake: MqttIntake, connection: Connection, messages: int) -> None:
    """Be connected until so many messages were handed over."""
    publishing = asyncio.create_task(intake._publish_all(connection))
    await until(lambda: connection.asked == messages)
    await asyncio.sleep(0.01)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    intake._wake.set()  # as every new connection does


async def test_a_receipt_outlives_its_connection() -> None:
    """What was on its way when the connection broke is published on the next one, once, in its order."""
    intake, lost, next_one, last = (
        with_receipts("a", "b"),
        Connection(aiomqtt.MqttError("gone")),
        Connection(),
        Connection(),
    )
    await connected(intake, lost, 2)
    await connected(intake, next_one, 2)
    await connected(intake, last, 0)
    assert next_one.topics == [f"dispatcher/exercise/receipts/{source}" for source in ("a", "b")]
    assert last.topics == []


async def test_a_receipt_that_nobody_can_publish_holds_up_no_other() -> None:
    """A receipt that the client refuses for good is dropped; those that come after it go out."""
    intake, refusing, good = with_receipts("a"), Connection(ValueError("topic")), Connection()
    await connected(intake, refusing, 1)
    intake._reply(
        aiomqtt.Message("t", b"", 1, retain=False, mid=1, properties=None), Receipt("b", "1", "", "journaled", 1)
    )
    await connected(intake, good, 1)
    assert good.topics == ["dispatcher/exercise/receipts/b"]
