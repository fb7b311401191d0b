"""Memory for what is large: whoever has the turn may hold it, from its arrival until it is done with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio

_had: ContextVar[set[Turn] | None] = ContextVar("turns that the running task has", default=None)


class Turn:
    """One turn, had by one task at a time, first come first served."""

    def __init__(self) -> None:
        self._free = anyio.Semaphore(1)

    @property
    def had(self) -> bool:
        """Whether the running task has the turn."""
        return self in (_had.get() or ())

    @property
    def wanted(self) -> bool:
        """Whether others wait for it."""
        return self._free.statistics().tasks_waiting > 0

    async def take(self) -> None:
        """Wait for the turn, unless it is had already. It is had until the outermost `turns_kept` ends."""
        had = _had.get()
        assert had is not None, "a turn is taken inside `turns_kept`"
        if self not in had:
            await self._free.acquire()
            had.add(self)

    def give_back(self) -> None:
        """Let the next one in; harmless where the turn is not had."""
        had = _had.get() or set()
        if self in had:
            had.remove(self)
            self._free.release()


@contextmanager
def turns_kept() -> Iterator[None]:
    """Turns that are taken inside are given back at the end; inside another such block, at the end of that one.

    So who receives an answer can take the turn, and who puts it on the disk decides when it is done with.
    """
    if _had.get() is not None:
        yield
        return
    had: set[Turn] = set()
    token = _had.set(had)
    try:
        yield
    finally:
        for turn in tuple(had):
            turn.give_back()
        _had.reset(token)


def forget_frames(error: BaseException) -> None:
    """Drop an understood error's tracebacks, causes included.

    They hold what the functions on the way held, and errors that crossed threads or tasks hold each other: without
    this, megabytes stay until the garbage collector comes by.
    """
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
