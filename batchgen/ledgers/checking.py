"""A look at all pages of a ledger beside its first use: among a million tasks it takes seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread

from batchgen.ledgers.opening import check_pages, open_beside


@asynccontextmanager
async def pages_checked(path: Path) -> AsyncIterator[None]:
    """For a block that changes nothing in the ledger, which is open; its end waits for the look.

    Raises `LedgerDamagedError`, and `LedgerError` where the file cannot be read.
    """
    connection = await to_thread.run_sync(open_beside, path)
    looking = asyncio.get_running_loop().run_in_executor(None, check_pages, connection, path)
    try:
        yield
        await asyncio.shield(looking)
    finally:
        connection.interrupt()  # where the block failed, nobody wants to know any more
        with anyio.CancelScope(shield=True):
            await asyncio.wait([looking])
        looking.exception()  # looked at, or asyncio would speak of it
        connection.close()
