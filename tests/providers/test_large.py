"""Large bodies are read one after another, and nobody is given up for waiting. On a simulated clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

from batchgen.providers.body import BODY_CAP_BYTES, LARGE_BYTES, SLOW_WINDOW_S, BodyTooSlowError, collect
from batchgen.system.patience import fail_after
from batchgen.system.turns import Turn, turns_kept
from tests.pool.virtual import VirtualLoop, simulate

KIB = 1024
SIZE = LARGE_BYTES + 40 * 256 * KIB


async def arriving(size: int, kib_per_s: float) -> AsyncIterator[bytes]:
    """A body whose first MiBs come at once, the others at a steady rate."""
    for at in range(0, size, 256 * KIB):
        yield b"x" * min(256 * KIB, size - at)
        if kib_per_s and at > LARGE_BYTES:
            await anyio.sleep(256 / kib_per_s)


async def read(turn: Turn, size: int, kib_per_s: float, deadline_s: float = 600.0) -> str:
    """How the reading of one body ends, and when."""
    into = bytearray()
    with turns_kept():
        try:
            with fail_after(deadline_s) as deadline:
                await collect(
                    arriving(size, kib_per_s), into, cap_bytes=BODY_CAP_BYTES, large=turn, deadline=deadline
                )
        except (BodyTooSlowError, TimeoutError) as error:
            return type(error).__name__
        return "whole" if len(into) == size else "short"


async def side_by_side(*bodies: tuple[int, float, float]) -> dict[int, str]:
    """How bodies end that begin one after another, at once."""
    turn, ends = Turn(), {}

    async def one(number: int, size: int, kib_per_s: float, deadline_s: float) -> None:
        ends[number] = await read(turn, size, kib_per_s, deadline_s)

    async with anyio.create_task_group() as group:
        for number, body in enumerate(bodies):
            group.start_soon(one, number, *body)
            await anyio.sleep(1e-3)
    assert not turn.wanted
    return ends


def test_waiting_for_the_turn_costs_no_one_its_answer() -> None:
    """The wait counts neither towards the deadline nor as slowness, however long it is."""
    bodies = [(SIZE, 300.0, 600.0)] * 4 + [(SIZE, 0.0, SLOW_WINDOW_S / 2)] * 4

    assert {"whole"} == set(simulate(lambda: side_by_side(*bodies)).values())


def test_a_small_body_never_waits() -> None:
    """What every request may hold needs no turn: it passes a large one that takes minutes."""
    bodies = [(SIZE, 20.0, 6000.0), (LARGE_BYTES, 0.0, 1.0)]

    assert {0: "whole", 1: "whole"} == simulate(lambda: side_by_side(*bodies))


@pytest.mark.parametrize(("others", "wanted"), [(0, "whole"), (1, "BodyTooSlowError")])
def test_a_large_body_may_be_slow_only_while_nobody_waits(others: int, wanted: str) -> None:
    """20 KiB/s is fast enough alone; with others behind it, whose servers grow tired, it is given up."""
    bodies = [(SIZE, 20.0, 6000.0)] + [(SIZE, 0.0, 60.0)] * others

    ends = simulate(lambda: side_by_side(*bodies))

    assert wanted == ends.pop(0)
    assert {"whole"} == {"whole", *ends.values()}


def test_a_body_that_stops_with_the_turn_lets_the_next_one_in() -> None:
    """The slow rule holds for who has the turn, blank or not."""

    async def blank_then_nothing() -> AsyncIterator[bytes]:
        yield b" " * (LARGE_BYTES + 1)
        await anyio.Event().wait()

    async def main() -> str:
        turn = Turn()
        with turns_kept(), pytest.raises(BodyTooSlowError):
            await collect(blank_then_nothing(), bytearray(), cap_bytes=BODY_CAP_BYTES, large=turn)
        return await read(turn, SIZE, 0.0)

    assert "whole" == simulate(main)


def test_a_body_during_which_the_process_was_stopped_is_not_slow() -> None:
    """An hour in which nothing could be read says nothing of the server."""

    async def stopping() -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for _ in range(3):
            yield b"x" * KIB
            await anyio.sleep(1.0)
            loop._jumping.now_s += 3600.0
        yield b"x"

    async def main() -> int:
        into = bytearray()
        with turns_kept():
            await collect(stopping(), into, cap_bytes=BODY_CAP_BYTES, large=Turn())
        return len(into)

    assert 3 * KIB + 1 == simulate(main)
