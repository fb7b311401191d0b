"""Manifest -> staged tasks: all that is wrong with a manifest shows here, before anything else is looked at.

`validate` needs no more than this, and nothing here needs a pool, a store, a provider or a report: it starts quickly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.core.errors import PlanChangedError, Problem, ProblemsError
from batchgen.core.types import Price, PriceKind, Task
from batchgen.core.values import replace
from batchgen.hints import staged
from batchgen.job import Job, Options, load_job
from batchgen.ledgers.sqlite import memory_ledger
from batchgen.manifest.tables.alike import Alike
from batchgen.system.at_once import at_once

if TYPE_CHECKING:
    from batchgen.core.protocols import Ledger

Items = list[Task | Problem]
Beside = Callable[[Callable[[], Items]], Awaitable[Items]]

BATCH = 1000
"""Tasks expanded at a stretch, beside the event loop: pictures that go along are read and hashed there, too."""

PROBLEMS_SHOWN = 1000
"""More problems than this are one mistake made many times."""


class Seal:
    """A hash of what a manifest asks for, task by task and at which price: two readings are the same, or not."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, tasks: Iterable[Task]) -> None:
        """Take tasks in, in manifest order."""
        for task in tasks:
            price = task.price
            told = f"{task.task_id}\0{task.fingerprint}\0{price.kind}\0{price.bound_usd}\n"
            self._hash.update(told.encode())

    @property
    def text(self) -> str:
        """The hash so far."""
        return self._hash.hexdigest()


CHANGED = "was changed after its plan was shown; nothing was sent. Run again to see what it makes and costs now"


def validate_job(path: Path, options: Options) -> list[Problem]:
    """All problems of a manifest, warnings among them; nothing else happens, so that no event loop is needed."""
    try:
        return at_once(_validated(load_job(path, options)))
    except ProblemsError as error:
        return list(error.problems)


async def _validated(job: Job) -> list[Problem]:
    async with memory_ledger() as ledger:
        return await stage(job, ledger, beside=_here)


async def _here(work: Callable[[], Items]) -> Items:
    return work()


async def _in_thread(work: Callable[[], Items]) -> Items:
    from anyio import to_thread  # only where an event loop runs: it is slow to import

    return await to_thread.run_sync(work)


async def stage(
    job: Job, ledger: Ledger, seal: Seal | None = None, *, beside: Beside = _in_thread
) -> list[Problem]:
    """Expand the manifest into the ledger's staging table; returns the warnings. `seal` takes every task in.

    `beside` is where a stretch of tasks is expanded: on another thread, unless nobody else waits for this one.

    Raises `ProblemsError` with all problems, those of the document and those of the expansion.
    """
    problems = [*job.manifest.problems, *job.warnings()]
    stream, clashes = job.manifest.expand(), Alike()
    while items := await beside(lambda: list(islice(stream, BATCH))):
        tasks = [_priced(item, job.options) for item in items if isinstance(item, Task)]
        if seal is not None:
            seal.add(tasks)
        problems += [item for item in items if isinstance(item, Problem)]
        for task, earlier in await ledger.stage(tasks):
            problems += clashes.take(job.manifest.clash(task, earlier))
        if len(problems) > PROBLEMS_SHOWN:
            break
    problems += clashes.rest()
    if any(not problem.warning for problem in problems):
        raise ProblemsError(problems[:PROBLEMS_SHOWN])
    return [*problems, *await staged(job.manifest, ledger)]


def _priced(task: Task, options: Options) -> Task:
    if task.price.kind is not PriceKind.UNPRICED or options.unpriced_usd is None:
        return task
    each = options.unpriced_usd
    return replace(task, price=Price(PriceKind.ESTIMATE, each, each, each))


def check_agreed(job: Job, seal: str) -> None:
    """What is sent is what was shown and agreed to. Raises `PlanChangedError`."""
    agreed = job.options.agreed
    if agreed is not None and agreed.seal != seal:
        raise PlanChangedError(f"{job.manifest.path}: the manifest, or what it reads, {CHANGED}")
