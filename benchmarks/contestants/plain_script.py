"""One message in, N requests out: aiomqtt, aiohttp and uvloop, with nothing written down, signed or tried twice.

Reads its settings from the JSON file that its first argument names; prints ``ready`` when it is subscribed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import uvloop


async def main(settings: dict[str, Any]) -> None:
    """Alarm every channel about every message."""
    login = {"username": settings["username"], "password": settings["password"]}
    async with (
        aiomqtt.Client("127.0.0.1", settings["port"], **login) as mqtt,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as alarms,
    ):
        await mqtt.subscribe(settings["topic"], qos=1)
        print("ready", flush=True)
        async for message in mqtt.messages:
            event = json.loads(message.payload)
            body = {"incident": event["incident"], "text": f"Polizeieinsatz in {event['place']}. " * 8}
            for url in settings["urls"]:
                alarms.create_task(post(session, url, body))


async def post(session: aiohttp.ClientSession, url: str, body: dict[str, str]) -> None:
    """Tell one channel."""
    async with session.post(url, json=body) as response:
        await response.read()


if __name__ == "__main__":
    uvloop.run(main(json.loads(Path(sys.argv[1]).read_text())))
