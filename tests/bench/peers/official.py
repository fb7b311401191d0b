"""The official client, AsyncOpenAI, in a semaphore loop that decodes and writes."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path

from openai import AsyncOpenAI


async def main(base_url: str, folder: Path, tasks: int, concurrency: int) -> None:
    """Make the images."""
    slots = asyncio.Semaphore(concurrency)

    async def one(client: AsyncOpenAI, number: int) -> None:
        async with slots:
            answer = await client.images.generate(model="gpt-image-2", prompt=f"Boat {number}.", n=1)
        assert answer.data is not None
        encoded = answer.data[0].b64_json
        assert encoded is not None
        (folder / f"{number}.png").write_bytes(base64.b64decode(encoded))

    async with AsyncOpenAI(api_key="benchmark", base_url=base_url) as client:
        await asyncio.gather(*(one(client, number) for number in range(tasks)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
