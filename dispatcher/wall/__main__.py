"""``python -m dispatcher.wall --port 8081``: the wall as a program of its own, until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from dispatcher.wall.app import running_wall


def main() -> None:
    """Run a wall; ``--title ACCOUNT=NAME`` may be given many times."""
    parser = argparse.ArgumentParser(prog="python -m dispatcher.wall", description="a local double of every provider")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one")
    parser.add_argument("--title", action="append", default=[], metavar="ACCOUNT=NAME", type=_title)
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.host, arguments.port, dict(arguments.title)))


def _title(text: str) -> tuple[str, str]:
    account, separator, name = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not ACCOUNT=NAME")
    return account, name


async def _run(host: str, port: int, titles: dict[str, str]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with running_wall(host, port, titles) as wall:
        sys.stdout.write(f"{wall.url}\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    main()
