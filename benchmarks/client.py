"""What a request costs: CPU per POST over our own HTTP client and over aiohttp's, in one process, as a ratio.

Every request goes to a host of its own (127.1.x.y), all at once, as an alert leaves: first with no connection open, then
over the connections that were kept. The receiving end is another process. The runs alternate.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import uvloop

from benchmarks.recorder import recorder
from dispatcher.channels.http import Http, HttpClient, Request, http_client

CHANNELS = int(os.environ.get("CHANNELS", "1000"))
RUNS = int(os.environ.get("RUNS", "7"))
BODY = b'{"text": "Polizeieinsatz in Lingen (Ems). Meiden Sie den Bereich."}'.ljust(600)
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer 0123456789abcdef0123456789abcdef"}


async def post_all(http: Http, port: int) -> tuple[float, float]:
    """Microseconds of CPU for each POST, and seconds until the last answer."""
    hosts = (f"127.1.{number // 250}.{number % 250 + 1}" for number in range(CHANNELS))
    requests = [Request("POST", f"http://{host}:{port}/hooks/alert", HEADERS, BODY) for host in hosts]
    start, used = time.perf_counter(), time.process_time()
    answers = await asyncio.gather(*map(http.request, requests))
    result = (time.process_time() - used) / CHANNELS * 1e6, time.perf_counter() - start
    assert {answer.status for answer in answers} == {200}
    return result


async def compare() -> dict[tuple[str, str], list[tuple[float, float]]]:
    """All runs by client and by whether connections were open."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        async with recorder(Path(directory)) as provider:
            for _ in range(RUNS):
                for client in HttpClient:
                    async with http_client(client) as http:
                        found[client, "cold"].append(await post_all(http, provider.port))
                        found[client, "warm"].append(await post_all(http, provider.port))
                    await asyncio.sleep(0.1)  # until the other end has closed as well
    return found


def main() -> None:
    """Both clients in one run, and their ratio."""
    found = uvloop.run(compare())
    print(f"{CHANNELS} hosts, medians of {RUNS} runs: CPU for each POST, time until the last answer")
    for state in ("cold", "warm"):
        cpu, wall = (
            {client: statistics.median(run[n] for run in found[client, state]) for client in HttpClient} for n in (0, 1)
        )
        for client in HttpClient:
            ratio = cpu[HttpClient.AIOHTTP] / cpu[client]
            print(
                f"{state} {client:8} {cpu[client]:6.0f} µs {wall[client] * 1e3:6.0f} ms   {ratio:.1f} times aiohttp's"
            )


if __name__ == "__main__":
    main()
