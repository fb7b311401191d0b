"""Memory for what is large: whoever has the turn may hold it, from its arrival until it is done with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio

_kept: ContextVar[_Kept | None] = ContextVar("the turns of a task", default=None)


class _Kept:
    """The turns that a task has. Tasks that it begins inherit the variable, but not the turns."""

    def __init__(self) -> None:
        self.owner = asyncio.current_task()
        self.turns: set[Turn] = set()

    @staticmethod
    def mine() -> _Kept | None:
        """What the running task keeps; None outside of `turns_kept`."""
        kept = _kept.get()
        return kept if kept is not None and kept.owner is asyncio.current_task() else None


class Turn:
    """One turn, had by one task at a time, first come first served."""

    def __init__(self) -> None:
        self._free = anyio.Semaphore(1)

    @property
    def had(self) -> bool:
        """Whether the running task has the turn."""
        kept = _Kept.mine()
        return kept is not None and self in kept.turns

    @property
    def wanted(self) -> bool:
        """Whether others wait for it."""
        return self._free.statistics().tasks_waiting > 0

    async def take(self) -> None:
        """Wait for the turn, unless it is had already. It is had until the outermost `turns_kept` ends."""
        kept = _Kept.mine()
        assert kept is not None, "a turn is taken inside `turns_kept`"
        if self not in kept.turns:
            await self._free.acquire()
            kept.turns.add(self)

    def give_back(self) -> None:
        """Let the next one in; harmless where the turn is not had."""
        kept = _Kept.mine()
        if kept is not None and self in kept.turns:
            kept.turns.remove(self)
            self._free.release()


@contextmanager
def turns_kept() -> Iterator[None]:
    """Turns that are taken inside are given back at the end; inside another such block, at the end of that one.

    So who receives an answer can take the turn, and who puts it on the disk decides when it is done with.
    """
    if _Kept.mine() is not None:
        yield
        return
    kept = _Kept()
    token = _kept.set(kept)
    try:
        yield
    finally:
        for turn in tuple(kept.turns):
            turn.give_back()
        _kept.reset(token)


def forget_frames(error: BaseException) -> None:
    """Drop an understood error's tracebacks, causes included.

    They hold what the functions on the way held, and errors that crossed threads or tasks hold each other: without
    this, megabytes stay until the garbage collector comes by.
    """
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
