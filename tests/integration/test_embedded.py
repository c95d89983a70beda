"""The broker of the evaluation: whichever is there carries an event in and its receipt out."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from dispatcher.cli.emit import NoReceipt, publish
from dispatcher.clock import SystemClock
from dispatcher.intake.base import Inbound, Receipt
from dispatcher.intake.embedded import embedded_broker
from dispatcher.intake.mqtt import MqttIntake, MqttSettings
from dispatcher.model.cap import Realm

EVENT = json.dumps({"v": 1, "id": "1", "source": "leitstelle", "incident": "i", "sent": datetime.now(UTC).isoformat()})


@pytest.mark.parametrize("amqtt", [True, False], ids=["amqtt", "Mosquitto"])
async def test_an_event_goes_in_and_its_receipt_comes_out(amqtt, need):
    """Both brokers that the demo may use carry events, acknowledgements and receipts on loopback."""
    import asyncio

    if not amqtt:
        need("mosquitto")
    taken: list[Inbound] = []

    async def receive(inbound: Inbound) -> Receipt:
        taken.append(inbound)
        receipt = Receipt(inbound.source, "1", inbound.sha256, "journaled", 7)
        inbound.ack()
        inbound.reply(receipt)
        return receipt

    async with embedded_broker(amqtt=amqtt) as broker:
        settings = MqttSettings(url=broker.url, protocol=broker.protocol)
        intake = MqttIntake(settings, Realm.EXERCISE, receive, SystemClock())
        running = asyncio.create_task(intake.run())
        await intake.until_connected()
        receipt = await publish(settings, Realm.EXERCISE, EVENT.encode(), 10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert bool(broker.warning) == amqtt
    assert (receipt["state"], receipt["journal"]) == ("journaled", 7)
    assert [(one.source, one.payload, one.retained) for one in taken] == [("leitstelle", EVENT.encode(), False)]


async def test_no_daemon_no_receipt(need):
    """Without a daemon the publisher is told that nobody confirmed, instead of a success."""
    need("mosquitto")
    async with embedded_broker() as broker:
        with pytest.raises(NoReceipt):
            await publish(MqttSettings(url=broker.url), Realm.EXERCISE, EVENT.encode(), 0.5)
