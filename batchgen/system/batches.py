"""A thread that takes everything queued at once: the mechanism behind grouped commits and grouped fsyncs."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeAlias, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
Call: TypeAlias = tuple[Job, "asyncio.Future[Result]"]

BATCH_LIMIT = 256
"""A bound on one batch, so that the first caller of a long queue is not answered last."""

GATHER_S = 0.002
"""How long a job waits for others before a thread is woken, which takes the interpreter from the event loop.

Nothing beside the seconds that an image takes; where answers come at once it is worth a fifth of the processor's time.
"""


class BatchThread(Generic[Job, Result]):
    """Calls `work(jobs)` on its own thread with all jobs that wait; each caller gets its own result or error.

    `work` returns one result or exception per job, in order. What it raises itself fails every job of the batch.
    """

    def __init__(self, name: str, work: Callable[[Sequence[Job]], Sequence[Result | Exception]]) -> None:
        self._work = work
        self._queue: queue.SimpleQueue[Sequence[Call[Job, Result]] | None] = queue.SimpleQueue()
        self._gathered: list[Call[Job, Result]] = []
        self._is_busy = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def submit(self, job: Job) -> Result:
        """Queue a job and wait for its result. A cancelled caller's job is still done."""
        return await self._put(job)

    async def submit_all(self, jobs: Sequence[Job]) -> list[Result]:
        """Queue jobs together and wait for all results, in order. The first error is raised; every job is done."""
        return await asyncio.gather(*[self._put(job) for job in jobs])

    async def submit_made(self, pool: ThreadPoolExecutor, make: Callable[..., Job], *values: object) -> Result:
        """Have a job made on a thread of `pool`, which queues it from there, and wait for its result.

        The event loop is woken once, not twice: at a thousand images a minute that is what a small one costs most.
        """
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        pool.submit(self._make, answer, make, *values)
        return await answer

    def _make(self, answer: asyncio.Future[Result], make: Callable[..., Job], *values: object) -> None:
        try:
            job = make(*values)
        except Exception as error:  # noqa: BLE001 - handed to the caller, who must not wait for ever
            _tell([answer], [error])
        else:
            self._queue.put([(job, answer)])

    async def close(self) -> None:
        """Finish what is queued, then end the thread."""
        self._hand_over()
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _put(self, job: Job) -> asyncio.Future[Result]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        if not self._gathered:
            loop.call_later(GATHER_S if self._is_busy else 0.0, self._hand_over)
        self._gathered.append((job, answer))
        return answer

    def _hand_over(self) -> None:
        """Queue what was gathered; a job that came alone makes the next one wait for nobody."""
        if self._gathered:
            self._is_busy = len(self._gathered) > 1
            self._queue.put(self._gathered)
            self._gathered = []

    def _serve(self) -> None:
        ending = False
        while not ending:
            waiting = [self._queue.get()]
            while not self._queue.empty():
                waiting.append(self._queue.get())
            ending = None in waiting
            calls = [call for together in waiting if together is not None for call in together]
            for begin in range(0, len(calls), BATCH_LIMIT):
                self._answer(calls[begin : begin + BATCH_LIMIT])

    def _answer(self, calls: Sequence[tuple[Job, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = self._work([job for job, _ in calls])
        except Exception as error:  # noqa: BLE001 - handed to every caller, who must not wait for ever
            results = [error] * len(calls)
        _tell([answer for _, answer in calls], results)


def _tell(answers: Sequence[asyncio.Future[Any]], results: Sequence[object]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        answers[0].get_loop().call_soon_threadsafe(_resolve, answers, results)


def _resolve(answers: Sequence[asyncio.Future[Any]], results: Sequence[object]) -> None:
    for answer, result in zip(answers, results, strict=True):
        if answer.done():
            continue
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)
