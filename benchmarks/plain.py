"""What one would write in an afternoon, and the bound for what is possible: one message in, N requests out, nothing kept.

Reads its settings as JSON from its first argument; prints ``ready`` when it is subscribed.
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp
import aiomqtt
import uvloop


async def main(settings: dict[str, object]) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiomqtt.Client(
            "127.0.0.1", settings["port"], username=settings["username"], password=settings["password"]
        ) as mqtt,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        await mqtt.subscribe(settings["topic"], qos=1)
        print("ready", flush=True)
        async for message in mqtt.messages:
            event = json.loads(message.payload)
            text = {"text": f"Polizeieinsatz in {event['place']}. " * 8}
            await asyncio.gather(*(post(session, url, text) for url in settings["urls"]))


async def post(session: aiohttp.ClientSession, url: str, text: dict[str, str]) -> None:
    async with session.post(url, json=text) as response:
        await response.read()


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
