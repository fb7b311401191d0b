"""A program that sends requests to a server, through provider, engine and store, and says what memory it took."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

from batchgen.core.types import Link
from batchgen.core.values import replace
from batchgen.engines.local import LocalEngine
from batchgen.providers.downloads import DownloadPolicy
from batchgen.providers.http import open_provider
from batchgen.stores.directory import open_store
from batchgen.stores.sidecars import Origin
from batchgen.system.clock import utc_now
from tests.ledgers.samples import attempt, task
from tests.providers.servers import endpoint_of

REQUESTS = 16


async def bombed(base_url: str, folder: Path, deadline_s: float) -> list[str]:
    """How 16 requests ended that were in flight at once; the ids of their attempts are their numbers."""
    policy = DownloadPolicy(tries=1)
    async with (
        open_store(folder, Origin("spring", "gateway", "127.0.0.1"), now=utc_now) as store,
        open_provider(
            endpoint_of(base_url, deadline_s=deadline_s), concurrency=REQUESTS, downloads=policy
        ) as provider,
    ):
        engine = LocalEngine(provider, store)

        async def one(number: int) -> str:
            mine = replace(attempt(task(f"t{number}--01", prompt=f"{number}")), attempt_id=str(number))
            await engine.reserve(mine)
            outcome = await engine.perform(mine)
            if isinstance(outcome, Link):
                outcome = await engine.fetch(mine, outcome)
            return getattr(outcome, "failure_class", "stored")

        return await asyncio.gather(*map(one, range(REQUESTS)))


def peak_mb() -> int:
    """The most memory that this process ever had. `ru_maxrss` would begin with that of the process that made it."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) // 1024


if __name__ == "__main__":
    before = peak_mb()
    found = asyncio.run(bombed(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.write(json.dumps({"classes": found, "before_mb": before, "peak_mb": peak_mb()}))
