"""No channel waits for another: not for a dead one, not for a sick one."""

from __future__ import annotations

import asyncio

from acceptance.harness import Arrival, Receivers, event, publish

PLAYBOOK = """\
playbook: amok
title: Amoklage
match: {kind: [amok]}
deliver_within: 6s
languages: [de]
texts:
  alert: {de: {headline: "Einsatz in {{ place }}", long: "Bitte meiden Sie den Bereich.", short: "Meiden."}}
  update: {de: {headline: "Neues aus {{ place }}", long: "Der Einsatz dauert an.", short: "Dauert an."}}
  all_clear: {de: {headline: "Ende in {{ place }}", long: "Der Einsatz ist beendet.", short: "Beendet."}}
  false_alarm: {de: {headline: "Fehlalarm {{ place }}", long: "Es bestand keine Gefahr.", short: "Fehlalarm."}}
"""


async def test_a_dead_and_a_sick_channel_delay_nobody(world: Receivers, daemon_of, mosquitto, tmp_path):
    """Among 100, one never answers and one answers 503 for 3 s: the other 98 are accepted before the sick one heals."""
    healed_at = asyncio.get_running_loop().time() + 3600

    async def dead(_: Arrival) -> int:
        await asyncio.sleep(60)
        return 500

    async def sick(arrival: Arrival) -> int:
        return 503 if arrival.at < healed_at else 200

    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "amok.yaml").write_text(PLAYBOOK)
    world.answers |= {"c0": dead, "c1": sick}
    async with daemon_of(world.channels(100)) as daemon:
        await publish(mosquitto, [event()])
        await world.until(lambda: len(world.reached()) == 100)
        healed_at = min(a.at for a in world.arrivals if a.channel == "c1") + 3
        await daemon.until(lambda: daemon.states()["accepted"] == 98)
        early = asyncio.get_running_loop().time() < healed_at
        await daemon.until(lambda: daemon.states()["accepted"] == 99)
        sick_state = daemon.rows("SELECT state FROM deliveries WHERE channel = 'c1'")
        await daemon.until(lambda: daemon.states()["expired"] == 1)

        assert early
        assert sick_state == [("accepted",)]
        assert daemon.rows("SELECT state, doubtful, reason FROM deliveries WHERE channel = 'c0'") == [
            ("expired", 1, "expired")
        ]
        assert {c for c, count in world.reached().items() if count > 1} <= {"c0", "c1"}


async def test_sigterm_drains_and_exits_zero(world: Receivers, daemon_of, mosquitto):
    """SIGTERM in mid fan-out: exit 0 within 15 s, no complaint in the log, and the rest goes out at the next start."""
    import signal

    async def slow(_: Arrival) -> int:
        await asyncio.sleep(0.3)
        return 200

    world.answers |= {f"c{n}": slow for n in range(300)}
    async with daemon_of(world.channels(300)) as daemon:
        await publish(mosquitto, [event()])
        await world.until(lambda: len(world.arrivals) >= 100)
        async with asyncio.timeout(15):
            code = await daemon.end(signal.SIGTERM)
        log = daemon.log()
        await daemon.start()
        await daemon.until(lambda: daemon.states()["accepted"] == 300)

    assert code == 0
    assert not [line for line in log.splitlines() if any(w in line for w in ("never awaited", "destroyed", "unclosed"))]
    assert len(world.reached()) == 300
