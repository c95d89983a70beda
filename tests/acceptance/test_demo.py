"""The demo tells its whole story by itself, and its pages show it live."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from integration.paper import QUIET


@asynccontextmanager
async def _demo(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispatcher", "demo", *arguments, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_the_story_ends_by_itself(need):
    """`dispatcher demo --once` exits 0 with every delivery accepted, one of them after a page had answered 503."""
    need("mosquitto")
    async with asyncio.timeout(90), _demo("--once", "--port", "0") as demo:
        said, _ = await demo.communicate()

    rows = re.findall(r"│ (\S+) +│ (\S+) +│ (\S+) +│ +(\d+) +│ +(\d+) +│", said.decode())
    assert demo.returncode == 0
    assert {state for _, _, state, _, _ in rows} <= {"accepted", "visible", "retracted"}
    assert len(rows) == 6 + 8 + 6
    assert [channel for _, channel, _, attempts, _ in rows if int(attempts) > 1] == ["facebook-osnabrueck"]


async def test_the_page_shows_the_deliveries_live(need):
    """Logged in by the link that the demo prints, a browser sees each channel's tile turn to accepted, without errors."""
    need("mosquitto")
    chromium = need("chromium")
    playwright = pytest.importorskip("playwright.async_api")
    async with asyncio.timeout(120), _demo("--port", "0") as demo:
        said = b""
        while b"curl     " not in said:
            said += await demo.stdout.readline()
        reading = asyncio.create_task(demo.stdout.read())
        login = re.search(rb"console +(\S+)", said)[1].decode()
        wall = re.search(rb"wall +(\S+)", said)[1].decode()
        async with playwright.async_playwright() as browsers:
            browser = await browsers.chromium.launch(executable_path=chromium, args=QUIET)
            page, errors = await browser.new_page(viewport={"width": 1600, "height": 1000}), list[str]()
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.goto(login)
            await page.get_by_text("Schulzentrum in Leer").first.wait_for(timeout=60_000)
            await page.get_by_text("angenommen").nth(3).wait_for(timeout=60_000)
            assert await page.get_by_text("ÜBUNG").count() >= 2
            await page.goto(wall)
            await page.get_by_text("Lebensgefahr durch Angreifer: Schulzentrum in Leer").first.wait_for(timeout=60_000)
            again = await page.goto(login)
            await browser.close()
        reading.cancel()

    assert errors == []
    assert again.status == 403 or "login" in again.url
