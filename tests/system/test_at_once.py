"""Coroutines that wait for nothing are done without an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager

import pytest

from batchgen.system.at_once import at_once


@asynccontextmanager
async def opened(closed: list[str]) -> AsyncIterator[int]:
    """Notes when it is closed."""
    try:
        yield 7
    finally:
        closed.append("closed")


async def use(closed: list[str], *, wait: bool) -> int:
    """Hold something open, and wait or not."""
    async with opened(closed) as number:
        if wait:
            await Waiting()
        return number


class Waiting:
    """What an event loop would have to bring."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def test_the_result_comes_at_once() -> None:
    """Also through context managers and coroutines within."""
    closed: list[str] = []
    assert 7 == at_once(use(closed, wait=False))
    assert ["closed"] == closed


def test_errors_come_out() -> None:
    """As they were raised."""

    async def broken() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        at_once(broken())


def test_one_that_waits_is_refused_and_closed() -> None:
    """Nobody would ever wake it: an error says so, and what it held open is closed."""
    closed: list[str] = []
    with pytest.raises(RuntimeError, match="event loop"):
        at_once(use(closed, wait=True))
    assert ["closed"] == closed
