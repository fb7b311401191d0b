"""A thread beside the loop."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from batchgen.system.errands import Errands

pytestmark = pytest.mark.anyio


async def test_errands_are_done_in_their_order() -> None:
    """Everything that was added is done, on another thread, before `close` returns."""
    done: list[tuple[int, bool]] = []

    def errand(number: int) -> None:
        done.append((number, threading.current_thread() is threading.main_thread()))

    errands = Errands("errands")
    for number in range(100):
        errands.add(partial(errand, number))

    assert await errands.close(60)
    assert [(number, False) for number in range(100)] == done


async def test_it_looks_between_errands() -> None:
    """`look` is done again and again, without being asked."""
    looked = threading.Semaphore(0)
    errands = Errands("errands", looked.release, 0.001)

    for _ in range(3):
        assert looked.acquire(timeout=60)
    assert await errands.close(60)


async def test_what_hangs_is_left_behind() -> None:
    """`close` waits no longer than it is told, and says so; the thread does not keep the process."""
    hang, hung = threading.Event(), threading.Event()

    def errand() -> None:
        hung.set()
        hang.wait()

    errands = Errands("errands-that-hang")
    errands.add(errand)
    assert hung.wait(60)

    assert not await errands.close(0.01)
    (thread,) = [one for one in threading.enumerate() if one.name == "errands-that-hang"]
    assert thread.daemon
    hang.set()
    thread.join()
