"""The thread that takes everything queued at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from batchgen.system import batches
from batchgen.system.batches import BATCH_LIMIT, BatchThread

pytestmark = pytest.mark.anyio


def doubled(jobs: Sequence[int]) -> list[int | Exception]:
    """Twice each job; a negative one is an error."""
    return [ValueError(f"no {job}") if job < 0 else 2 * job for job in jobs]


async def test_each_caller_gets_its_own_answer() -> None:
    """Results and errors find their callers, however many wait together."""
    thread: BatchThread[int, int] = BatchThread("test", doubled)
    answers: dict[int, int | str] = {}

    async def call(job: int) -> None:
        try:
            answers[job] = await thread.submit(job)
        except ValueError as error:
            answers[job] = str(error)

    async with anyio.create_task_group() as group:
        for job in range(-20, 200):
            group.start_soon(call, job)
    await thread.close()
    assert {job: f"no {job}" if job < 0 else 2 * job for job in range(-20, 200)} == answers


async def test_what_waits_together_is_done_together() -> None:
    """While one batch is worked on, all that comes waits, and is then taken at once, up to a bound."""
    begun, go_on = threading.Event(), threading.Event()
    sizes: list[int] = []

    def work(jobs: Sequence[int]) -> list[int | Exception]:
        sizes.append(len(jobs))
        begun.set()
        go_on.wait()
        return list(jobs)

    thread: BatchThread[int, int] = BatchThread("test", work)
    async with anyio.create_task_group() as group:
        group.start_soon(thread.submit, 0)
        await anyio.to_thread.run_sync(begun.wait)
        for job in range(BATCH_LIMIT + 5):
            group.start_soon(thread.submit, job)
        await anyio.wait_all_tasks_blocked()
        go_on.set()
    await thread.close()
    assert [1, BATCH_LIMIT, 5] == sizes


async def test_work_that_breaks_answers_everybody() -> None:
    """An error of the work itself is every caller's, and the thread goes on."""

    def work(jobs: Sequence[int]) -> list[int | Exception]:
        if 13 in jobs:
            raise RuntimeError("broken")
        return list(jobs)

    thread: BatchThread[int, int] = BatchThread("test", work)
    with pytest.raises(RuntimeError, match="broken"):
        await thread.submit(13)
    assert 7 == await thread.submit(7)
    await thread.close()


async def test_closing_finishes_the_queue() -> None:
    """What was asked before the end is done."""
    done: list[int] = []

    def work(jobs: Sequence[int]) -> list[int | Exception]:
        done.extend(jobs)
        return list(jobs)

    thread: BatchThread[int, int] = BatchThread("test", work)
    async with anyio.create_task_group() as group:
        for job in range(50):
            group.start_soon(thread.submit, job)
        await anyio.lowlevel.checkpoint()
        await thread.close()
    assert list(range(50)) == sorted(done)


async def test_a_job_whose_caller_left_is_done() -> None:
    """A write that a cancelled caller asked for happens, and the next one behind it."""
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def work(jobs: Sequence[int]) -> list[int | Exception]:
        begun.set()
        go_on.wait()
        done.extend(jobs)
        return list(jobs)

    thread: BatchThread[int, int] = BatchThread("test", work)
    async with anyio.create_task_group() as group:
        group.start_soon(thread.submit, 1)
        await anyio.to_thread.run_sync(begun.wait)
        group.cancel_scope.cancel()
    go_on.set()
    assert 2 == await thread.submit(2)
    await thread.close()
    assert [1, 2] == done


async def test_who_comes_alone_waits_for_nobody_and_who_comes_together_is_gathered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a batch of several the next jobs are gathered over turns of the loop; after a lone job they are not."""
    monkeypatch.setattr(batches, "GATHER_S", 0.3)  # far longer than a few turns take on any machine
    sizes: list[int] = []

    def work(jobs: Sequence[int]) -> list[int | Exception]:
        sizes.append(len(jobs))
        return list(jobs)

    thread: BatchThread[int, int] = BatchThread("test", work)

    async def turns_apart(job: int) -> None:
        for _ in range(job):
            await anyio.lowlevel.checkpoint()
        await thread.submit(job)

    await thread.submit(0)
    async with anyio.create_task_group() as group:
        for job in range(2):
            group.start_soon(thread.submit, job)
    async with anyio.create_task_group() as group:
        for job in range(5):
            group.start_soon(turns_apart, job)
    await thread.close()
    assert [1, 2, 5] == sizes
