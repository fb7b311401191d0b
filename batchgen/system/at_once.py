"""Coroutines that wait for nothing, done where no event loop runs."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def at_once(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never waits: an event loop takes longer to import than a manifest to read.

    Raises `RuntimeError` for one that waits after all.
    """
    try:
        work.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    work.close()
    raise RuntimeError("waits for something, which only an event loop brings")
