"""The same through litellm's `aimage_generation`."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = (
    "True"  # before the import, which asks the network for prices otherwise
)

import litellm  # type: ignore[import-not-found]  # is installed in the other environment only


async def main(base_url: str, folder: Path, tasks: int, concurrency: int) -> None:
    """Make the images."""
    slots = asyncio.Semaphore(concurrency)

    async def one(number: int) -> None:
        async with slots:
            answer = await litellm.aimage_generation(
                model="openai/gpt-image-2",
                prompt=f"Boat {number}.",
                n=1,
                api_base=base_url,
                api_key="benchmark",
            )
        (folder / f"{number}.png").write_bytes(base64.b64decode(answer.data[0].b64_json))

    await asyncio.gather(*(one(number) for number in range(tasks)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
