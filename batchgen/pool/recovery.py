"""What a dead run left open: adopted from the disk, fetched from its link, or unknown. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from batchgen.core.errors import StorageError
from batchgen.core.protocols import Engine, Ledger
from batchgen.core.records import Unfinished
from batchgen.core.retry import next_step
from batchgen.core.types import Attempt, Failure, FailureClass, Link, Paid, RetryPolicy
from batchgen.core.values import replace
from batchgen.pool.attempts import Attempts

DOWNLOADS = 8
"""Links fetched at a time, as many as a run has requests in flight by default."""

_LOST = Failure(FailureClass.UNKNOWN, "the run ended before the answer came", paid=Paid.MAYBE)


async def recover(ledger: Ledger, engine: Engine, attempts: Attempts, retry: RetryPolicy) -> set[str]:
    """Settle every open attempt before anything is sent; returns the ids of tasks whose image is there now.

    There are at most as many as the dead run had in flight, and the links that could not be fetched before.
    Raises `StorageError`; what is not settled then, or at the run's end, is still open for the next run.
    """
    stored: set[str] = set()
    links = []
    for found in await ledger.unfinished():
        adopted = await engine.adopt(found.attempt)
        if adopted is not None:
            await attempts.record_stored(found.attempt, adopted, anyio.current_time())
            stored.add(found.attempt.task.task_id)
        elif found.link is not None:
            links.append((found.attempt, found.link))
        else:
            await _call_lost(found, attempts, retry)
    await _fetch(links, engine, attempts, stored)
    return stored


async def _call_lost(found: Unfinished, attempts: Attempts, retry: RetryPolicy) -> None:
    step = next_step(
        _LOST,
        attempts=0,  # it was an earlier run's
        unknowns=found.unknowns + 1,
        resends_allowed=found.resends_allowed,
        policy=retry,
        jitter=0.0,
    )
    await attempts.record_failure(found.attempt, _LOST, replace(step, delay_s=0.0), anyio.current_time())


async def _fetch(
    links: Iterable[tuple[Attempt, Link]], engine: Engine, attempts: Attempts, stored: set[str]
) -> None:
    """Download some at a time: a host that does not answer must not keep the others waiting."""
    slots = anyio.CapacityLimiter(DOWNLOADS)
    faults: list[StorageError] = []

    async def fetch(attempt: Attempt, link: Link) -> None:
        async with slots:
            if attempts.over:
                return
            try:
                await engine.reserve(attempt)
                ended = await attempts.finish_link(attempt, link, anyio.current_time())
            except StorageError as error:
                faults.append(error)
                return
        if ended.failure is None:
            stored.add(attempt.task.task_id)

    async with anyio.create_task_group() as group:
        for attempt, link in links:
            group.start_soon(fetch, attempt, link)
    if faults:
        raise faults[0]
