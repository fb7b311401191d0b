"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import aiofiles
import anyio.to_thread


class Sink(Protocol):
    """What a report is written to, chunk by chunk."""

    async def write(self, data: bytes, /) -> int:
        """Append bytes."""


@asynccontextmanager
async def replacing(path: Path) -> AsyncIterator[Sink]:
    """Write a file beside `path` and put it in its place when the block ends well; else leave the old one.

    The working file has one fixed hidden name, so that a crash leaves one at most, which the next run writes
    over. The caller holds the job's lock. Raises `OSError`.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        async with aiofiles.open(part, "wb") as file:
            yield file
            await file.flush()
            await anyio.to_thread.run_sync(os.fsync, file.fileno())
        await anyio.to_thread.run_sync(os.replace, part, path)
    except BaseException:
        # Also when cancelled; one unlink is shorter than a thread's start.
        part.unlink(missing_ok=True)
        raise
