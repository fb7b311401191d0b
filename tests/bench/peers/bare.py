"""The floor: an aiohttp loop that decodes, and writes under a temporary name that it then renames. Nothing is checked."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path

import aiohttp


async def main(base_url: str, folder: Path, tasks: int, concurrency: int) -> None:
    """Make the images."""
    slots = asyncio.Semaphore(concurrency)

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        asked = {"model": "gpt-image-2", "prompt": f"Boat {number}.", "n": 1}
        async with slots, session.post(f"{base_url}/images/generations", json=asked) as response:
            answer = await response.json()
        beside = folder / f"{number}.new"
        beside.write_bytes(base64.b64decode(answer["data"][0]["b64_json"]))
        beside.rename(folder / f"{number}.png")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        await asyncio.gather(*(one(session, number) for number in range(tasks)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
