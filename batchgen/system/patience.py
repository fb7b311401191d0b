"""Deadlines on time that this process was running.

While a process is stopped (SIGSTOP, a frozen container, a suspended machine) the clock goes on, and at its waking
every ordinary deadline is over at once, although the answer may lie in the socket's buffer. Here time is counted in
slices, each of which counts once, however late the loop comes to look at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import anyio

SLICE_S = 0.5
"""How often time is counted: seldom enough to cost nothing, and what a stop can add to a deadline at most."""

LATE_S = 0.5
"""A loop that looks this much later than it wanted was stopped, or nearly so."""


class Patience:
    """A block that is cancelled when it ran for `seconds`; None is endless until `restart`. For asyncio.

    `shield` keeps cancellations from outside away from it.
    """

    def __init__(self, seconds: float | None = None, *, shield: bool = False) -> None:
        self._left_s = seconds
        self._scope = anyio.CancelScope(shield=shield)
        self._loop = asyncio.get_running_loop()
        self._since_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._was_late = False

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._count_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._cancel_timer()
        return bool(self._scope.__exit__(kind, error, trace))

    @property
    def over(self) -> bool:
        """Whether the block was cut short by its deadline."""
        return self._scope.cancelled_caught

    def restart(self, seconds: float) -> None:
        """Count anew from now on."""
        self._left_s, self._since_s = seconds, self._loop.time()
        # A timer that is due earlier may stay: it finds out how much is left.
        if self._timer is None or self._timer.when() > self._since_s + seconds:
            self._count_on()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A wait that is of our own making, and does not count."""
        self._count()
        self._cancel_timer()
        try:
            yield
        finally:
            self._count_on()

    def _count_on(self) -> None:
        self._cancel_timer()
        self._since_s = self._loop.time()
        if self._left_s is not None:
            self._timer = self._loop.call_later(max(0.0, min(self._left_s, SLICE_S)), self._tick)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._count()
        if self._left_s is not None and self._left_s <= 0:
            self._scope.cancel()
        else:
            self._count_on()

    def _count(self) -> None:
        now = self._loop.time()
        ran_s = now - self._since_s
        self._since_s = now
        if self._left_s is None:
            return
        self._left_s -= min(ran_s, SLICE_S)
        late = ran_s > SLICE_S + LATE_S
        if late and not self._was_late:
            # What arrived meanwhile is looked at first. Once only: a loop that is always late comes to an end too.
            self._left_s = max(self._left_s, SLICE_S)
        self._was_late = late


@contextmanager
def fail_after(seconds: float, *, shield: bool = False) -> Iterator[Patience]:
    """Like `anyio.fail_after`, for time that this process was running. Raises `TimeoutError`."""
    with Patience(seconds, shield=shield) as patience:
        yield patience
    if patience.over:
        raise TimeoutError
