"""SIGHUP: a running daemon goes on with what its files say now, and with what they said before where they are broken."""

from __future__ import annotations

import asyncio
import signal

from acceptance.harness import event, one_playbook, publish


async def test_a_signal_reloads_the_files(world, daemon_of, mosquitto, tmp_path):
    """After SIGHUP the next alert is on the new channel and no longer on the old one; nothing was restarted."""
    one_playbook(tmp_path)
    async with daemon_of(world.channels(1)) as daemon:
        await publish(mosquitto, [event("1")])
        await daemon.until(lambda: daemon.states() == {"accepted": 1})
        daemon.config.write_text(daemon.config.read_text().replace("c0", "c1"))
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until(lambda: '"event": "reloaded"' in daemon.log())
        await publish(mosquitto, [event("2")])
        await daemon.until(lambda: daemon.states() == {"accepted": 2})
        running = daemon.process.returncode

    assert [(arrival.channel, arrival.data["incident"]) for arrival in world.arrivals] == [
        ("c0", "incident-1"), ("c1", "incident-2"),
    ]  # fmt: skip
    assert (running, daemon.log().count('"event": "ready"')) == (None, 1)


async def test_a_signal_does_not_end_a_start(world, daemon_of, tmp_path):
    """SIGHUP while the daemon is still starting is heard once it runs."""
    one_playbook(tmp_path)
    daemon = daemon_of(world.channels(1))
    await daemon.spawn()
    try:
        while '"event": "tokens_read"' not in daemon.log():
            await asyncio.sleep(0)
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until_ready()
        await daemon.until(lambda: '"event": "reloaded"' in daemon.log())
    finally:
        await daemon.kill()


async def test_a_signal_does_not_break_what_runs(world, daemon_of, mosquitto, tmp_path):
    """SIGHUP over broken files is logged with line and remedy, and the next alert goes out as before."""
    one_playbook(tmp_path)
    async with daemon_of(world.channels(1)) as daemon:
        daemon.config.write_text("realm: exercise\nsenderr: {}\n")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until(lambda: "senderr: unknown key" in daemon.log())
        await publish(mosquitto, [event("1")])
        await daemon.until(lambda: daemon.states() == {"accepted": 1})

    assert f'{daemon.config}:2: senderr: unknown key (did you mean \\"sender\\"?)' in daemon.log()
    assert [arrival.channel for arrival in world.arrivals] == ["c0"]
