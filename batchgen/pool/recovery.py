"""What a dead run left open: adopted from the disk, fetched from its link, or unknown. Nothing is sent here."""

from __future__ import annotations

from dataclasses import replace

import anyio

from batchgen.core.protocols import Engine, Ledger
from batchgen.core.records import Unfinished
from batchgen.core.retry import next_step
from batchgen.core.types import Failure, FailureClass, Paid, RetryPolicy
from batchgen.pool.attempts import Attempts

_LOST = Failure(FailureClass.UNKNOWN, "the run ended before the answer came", paid=Paid.MAYBE)


async def recover(ledger: Ledger, engine: Engine, attempts: Attempts, retry: RetryPolicy) -> set[str]:
    """Settle every open attempt before anything is sent; returns the ids of tasks whose image is there now.

    One by one: there are at most as many as the dead run had in flight, and downloads go before new requests.
    """
    stored = set()
    for open_attempt in await ledger.unfinished():
        if await _settle(open_attempt, engine, attempts, retry):
            stored.add(open_attempt.attempt.task.task_id)
    return stored


async def _settle(found: Unfinished, engine: Engine, attempts: Attempts, retry: RetryPolicy) -> bool:
    now = anyio.current_time()
    adopted = await engine.adopt(found.attempt)
    if adopted is not None:
        await attempts.record_stored(found.attempt, adopted, now)
        return True
    if found.link is not None:
        await engine.reserve(found.attempt)
        ended = await attempts.finish_link(found.attempt, found.link, now)
        return ended.failure is None
    step = next_step(
        _LOST,
        attempts=0,  # it was an earlier run's
        unknowns=found.unknowns + 1,
        resends_allowed=found.resends_allowed,
        policy=retry,
        jitter=0.0,
    )
    await attempts.record_failure(found.attempt, _LOST, replace(step, delay_s=0.0), now)
    return False
