"""Deadlines that count only the time in which the process ran."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from batchgen.system.patience import LATE_S, SLICE_S, Patience, fail_after
from tests.pool.virtual import VirtualLoop

HOUR_S = 3600.0


class Stopping(VirtualLoop):
    """A simulated clock on which the process can be stopped for a while."""

    def stop_for(self, seconds: float) -> None:
        """Nothing runs, and the clock goes on."""
        self._jumping.now_s += seconds


def simulate(main: Callable[[Stopping], Coroutine[Any, Any, None]]) -> float:
    """Run on such a clock; how late it is at the end."""
    loop = Stopping()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main(loop))
        return loop.time()


@pytest.mark.parametrize("seconds", [0.0, 0.1, SLICE_S, 60.0])
def test_a_block_ends_at_its_deadline(seconds: float) -> None:
    """Where nothing stops the process, a deadline is one."""

    async def main(_loop: Stopping) -> None:
        with pytest.raises(TimeoutError), fail_after(seconds):
            await anyio.sleep(HOUR_S)

    assert seconds == pytest.approx(simulate(main), abs=0.01)


def test_a_block_that_ends_in_time_is_left_alone() -> None:
    """No timer outlives the block, and what it raised is what comes out."""

    async def main(_loop: Stopping) -> None:
        with fail_after(5.0):
            await anyio.sleep(4.0)
        with pytest.raises(ValueError, match="mine"), fail_after(5.0):
            raise ValueError("mine")
        await anyio.sleep(10.0)

    assert 14.0 == pytest.approx(simulate(main), abs=0.01)


def test_an_hour_in_which_the_process_was_stopped_does_not_count() -> None:
    """After it there is still the time that was left before, and at least a moment to read what came meanwhile."""

    async def main(loop: Stopping) -> None:
        with pytest.raises(TimeoutError), fail_after(60.0):
            for _ in range(3):
                await anyio.sleep(10.0)
                loop.stop_for(HOUR_S)
            await anyio.sleep(HOUR_S)

    assert 3 * HOUR_S + 60.0 == pytest.approx(simulate(main), abs=3 * SLICE_S)


def test_a_stop_at_the_last_moment_leaves_a_moment() -> None:
    """What lies in the socket's buffer at the waking is read before the deadline is looked at."""

    async def main(loop: Stopping) -> None:
        with fail_after(SLICE_S):
            await anyio.sleep(SLICE_S - 0.01)
            loop.stop_for(HOUR_S)
            for _ in range(5):
                await anyio.sleep(0.0)

    assert HOUR_S + SLICE_S > simulate(main)


def test_a_loop_that_is_always_late_meets_its_deadline_too() -> None:
    """A machine that is overloaded is not one that was stopped: every slice counts once."""

    async def main(loop: Stopping) -> None:
        with pytest.raises(TimeoutError), fail_after(20 * SLICE_S):
            while True:
                await anyio.sleep(0.01)
                loop.stop_for(2 * (SLICE_S + LATE_S))

    assert 100 * SLICE_S > simulate(main) > 20 * SLICE_S


def test_a_deadline_can_be_set_anew_and_held_still() -> None:
    """Each restart counts from its moment, and a wait of one's own making is free."""

    async def main(_loop: Stopping) -> None:
        with Patience() as patience:
            await anyio.sleep(HOUR_S)
            for window_s in (30.0, 0.3, 30.0):
                patience.restart(window_s)
                await anyio.sleep(0.2)
            with patience.paused():
                await anyio.sleep(HOUR_S)
            await anyio.sleep(HOUR_S)
        assert patience.over

    assert 2 * HOUR_S + 0.4 + 30.0 == pytest.approx(simulate(main), abs=0.01)


def test_a_process_that_was_really_stopped_still_takes_what_came() -> None:
    """SIGSTOP beyond the deadline, an answer meanwhile, SIGCONT: the answer is taken."""
    program = (
        "import asyncio, sys\n"
        "from batchgen.system.patience import fail_after\n"
        "async def main():\n"
        "    lines = asyncio.StreamReader()\n"
        "    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)\n"
        f"    with fail_after({SLICE_S}):\n"
        "        print('ready', flush=True)\n"
        "        print('got', (await lines.readline()).decode(), end='')\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert b"ready\n" == process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        process.stdin.write(b"an answer\n")
        process.stdin.flush()
        # The one thing that only passes by itself: time, while the process is stopped.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(SLICE_S + 2 * LATE_S)
        os.kill(process.pid, signal.SIGCONT)
        assert b"got an answer\n" == process.stdout.readline()
        assert 0 == process.wait()
