"""Logs go where somebody reads them, and stop nobody's work where nobody does."""

from __future__ import annotations

import asyncio
import json
import os
import sys

PROGRAM = """
import logging, sys
from dispatcher.telemetry import REGISTRY, configure_logs, logger

configure_logs(json=True)
for number in range(2_000):
    logger("test").warning("flood", number=number, text="x" * 300)
    logging.getLogger("library").warning("flood")
logger("test").warning("flood", text="x" * 200_000)
print(int(REGISTRY.get_sample_value("dispatcher_log_lines_dropped_total")), flush=True)
sys.stdin.read(1)
logger("test").warning("end")
"""


async def test_a_log_that_nobody_reads_holds_nothing_up() -> None:
    """Lines that find a full pipe are dropped and counted; whoever reads on finds whole ones, and those that come later."""
    reading, writing = os.pipe()
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdin=pipe, stdout=pipe, stderr=writing
    )
    os.close(writing)
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        async with asyncio.timeout(20):
            dropped = int(await program.stdout.readline())
        early = os.read(reading, 1 << 20)
        program.stdin.write(b"\n")
        async with asyncio.timeout(20):
            await program.wait()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    lines = (early + os.read(reading, 1 << 20)).splitlines()
    os.close(reading)
    assert dropped > 3_000
    assert json.loads(lines[0])["number"] == 0
    assert json.loads(lines[-1])["event"] == "end"
    assert len(lines) + dropped == 4_002
