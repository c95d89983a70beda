"""Orders over MQTT: what a unit is told, and what several of them make of one order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from contract.kit import channel, post
from contract.kits.mqtt import mqtt
from contract.provider import Provider
from contract.sirens import ACK, broker, unit

from dispatcher.channels.departure import departing
from dispatcher.channels.http import http_client
from dispatcher.channels.mqtt import Settings, traits
from dispatcher.model.channel import InDoubt
from dispatcher.model.delivery import Outcome, Reason, Result
from dispatcher.model.errors import Fenced
from dispatcher.packets import Kind

IN_DOUBT, PERMANENT, ACCEPTED = Result.IN_DOUBT, Result.PERMANENT, Result.ACCEPTED
NORTH, SOUTH = "siren-nord", "siren-sued"


async def order(script: Mapping[int, Any], verb: str = "send", **more: Any) -> tuple[Outcome, Provider]:
    """What comes of one order while broker and units behave so."""
    async with broker(script) as heard, http_client() as http, channel("mqtt", mqtt(heard.url, **more), http) as opened:
        return await getattr(opened, verb)(*([] if verb == "probe" else [post()])), heard


async def test_an_order_says_what_and_until_when() -> None:
    """A unit is told the text, where, how serious, whether it is an exercise, under which id, and when it is too late."""
    outcome, heard = await order({}, valid_seconds=30)
    [said] = [json.loads(payload) for payload in heard.requests]
    issued, expires = (datetime.fromisoformat(said.pop(field)) for field in ("issued_at", "expires_at"))
    sent = post()
    assert said == {
        "v": 1, "id": sent.key, "realm": "exercise", "type": "alert", "severity": "extreme", "code": sent.code,
        "headline": sent.text.headline, "text": sent.text.body, "languages": ["de", "en"], "place": "Leer",
        "regions": ["leer"], "channel": "channel-1", "incident": "incident-1",
    }  # fmt: skip
    assert expires - issued == timedelta(seconds=30)
    assert outcome.provider_id == sent.key


def said_by(**states: str) -> Any:
    """Each unit's answer, in this order."""
    return lambda key: b"".join(unit(key, unit=name.replace("_", "-"), state=state) for name, state in states.items())


@pytest.mark.parametrize(
    ("states", "result", "reason", "detail"),
    [
        ({"siren_nord": "done", "siren_sued": "done"}, ACCEPTED, None, "2 of 2 accepted"),
        ({"siren_nord": "done", "siren_sued": "refused"}, ACCEPTED, None, "siren-sued refused: no reason given"),
        ({"siren_nord": "refused", "siren_sued": "refused"}, PERMANENT, Reason.REJECTED, "2 of 2 refused"),
        ({"siren_nord": "done"}, IN_DOUBT, Reason.TIMEOUT, "nothing was confirmed in time: siren-sued"),
        ({"siren_nord": "done", "elsewhere": "done"}, IN_DOUBT, Reason.TIMEOUT, "1 of 2 accepted, 1 of 2 in doubt"),
        ({"siren_sued": "refused"}, IN_DOUBT, Reason.TIMEOUT, "siren-nord"),
        ({}, IN_DOUBT, Reason.TIMEOUT, "siren-nord, siren-sued"),
    ],
)
async def test_every_unit_that_is_named_has_to_answer(
    states: dict[str, str], result: Result, reason: Reason | None, detail: str
) -> None:
    """Said is what each named unit has answered; who is silent leaves a doubt, and is named."""
    outcome, _ = await order({ACK: said_by(**states)}, units=[NORTH, SOUTH])
    assert (outcome.result, outcome.reason) == (result, reason)
    assert detail in outcome.detail


async def test_without_names_the_first_answer_counts() -> None:
    """Where no units are named, whoever answers first has answered for all."""
    outcome, _ = await order({ACK: said_by(one="refused", two="done")})
    assert (outcome.result, outcome.detail) == (PERMANENT, "one refused: no reason given")


async def test_a_stop_leaves_the_broker_without_an_order() -> None:
    """Whatever is fenced in the last moment has not been published."""

    def stopped() -> None:
        """Say that a stop was raised."""
        raise Fenced("stopped")

    async with broker({}) as heard, http_client() as http, channel("mqtt", mqtt(heard.url), http) as opened:
        with departing(stopped), pytest.raises(Fenced):
            await opened.send(post())
        assert heard.requests == []


@pytest.mark.parametrize(("script", "result"), [({}, Result.READY), ({Kind.CONNECT: b""}, Result.TEMPORARY)])
async def test_a_probe_comes_in_and_leaves(script: Mapping[int, Any], result: Result) -> None:
    """A probe needs a broker that lets us in, and publishes nothing."""
    outcome, heard = await order(script, "probe")
    assert (outcome.result, heard.requests) == (result, [])


def test_a_doubt_about_a_siren_waits_for_a_person() -> None:
    """Unless the files say something else, an order without an answer is not given again by a machine."""
    declared = traits(Settings(**mqtt("//broker.example", max_characters=160)))
    assert (declared.in_doubt, declared.limit.size) == (InDoubt.HOLD, 160)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "mqtt://broker.example"}, "certificates are for mqtts"),
        ({"cert_file": "a.pem"}, "cert_file and key_file"),
        ({"username": ""}, "username and credential"),
        ({"url": "http://broker.example"}, "pattern"),
        ({"url": "mqtts://user:secret@broker.example"}, "pattern"),
        ({"topic": "sirens/#"}, "pattern"),
        ({"topic": "$SYS/x"}, "pattern"),
        ({"ack_topic": "$share/group/acks"}, "pattern"),
        ({"units": ["siren 1"]}, "pattern"),
        ({"answer_seconds": 15}, "less than or equal to 14"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], said: str) -> None:
    """Secrets in addresses, orders to many topics, halves of a login or a certificate are found at load."""
    with pytest.raises(ValueError, match=said):
        Settings(**{**mqtt("//broker.example"), **changes})
