"""An event loop whose time the test moves: when nothing is ready, it jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

Result = TypeVar("Result")

EPOCH = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
"""The wall clock at the loop's zero."""

GRAIN_S = 1e-6
"""Timers fire this much after their moment, as no real one is ever early."""

TURN_S = 1e-9
"""A turn of the loop takes time, too: code that looks again until a moment has passed comes to an end."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: what the loop would wait for a timer is added to its time instead."""

    def __init__(self, late_s: float) -> None:
        super().__init__()
        self.now_s = 0.0
        self._late_s = late_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now."""
        if timeout is None:
            raise AssertionError("everybody waits for something that will never happen")
        ready = super().select(0)
        self.now_s += TURN_S if ready or timeout <= 0 else timeout + self._late_s
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on simulated time, from 0 s. For code without threads and sockets.

    `tick_s` passes each time that somebody looks at the clock, as it does on a real one.
    """

    def __init__(self, late_s: float = GRAIN_S, tick_s: float = 0.0) -> None:
        self._jumping = _JumpingSelector(late_s)
        self._tick_s = tick_s
        super().__init__(self._jumping)

    def time(self) -> float:
        """Simulated seconds."""
        self._jumping.now_s += self._tick_s
        return self._jumping.now_s

    def leap(self, seconds: float) -> None:
        """Let time pass without a turn of the loop, as when the process is stopped and goes on later."""
        self._jumping.now_s += seconds


def wall_clock() -> datetime:
    """The wall clock of the running loop's time."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def simulate(
    main: Callable[[], Coroutine[Any, Any, Result]], *, late_s: float = GRAIN_S, tick_s: float = 0.0
) -> Result:
    """Run a coroutine function on a simulated clock whose timers fire `late_s` late."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(late_s, tick_s)) as runner:
        return runner.run(main())
