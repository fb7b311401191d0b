"""What performs attempts on a node of a cluster: a local engine, opened there. It knows nothing of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import anyio

from batchgen.core.errors import BatchgenError, StorageError
from batchgen.core.protocols import Engine
from batchgen.core.types import Attempt, Failure, Link, Stored
from batchgen.system.processes import Process

WorkerOpener = Callable[[], AbstractAsyncContextManager[Engine]]
"""Opens an engine on a worker, from what can be pickled and holds no secret. Raises `BatchgenError` where it cannot."""

Outcome = Stored | Link | Failure | None


class Worker:
    """Holds the engine. Errors go back as values: they are for people, and a cluster would add its own frames."""

    def __init__(self, opener: WorkerOpener) -> None:
        self._opener = opener
        self._rooms = AsyncExitStack()
        self._engine: Engine | None = None
        self._calls: dict[str, anyio.CancelScope] = {}

    async def begin(self) -> str:
        """Open the engine; returns why it cannot be, in a sentence, or ""."""
        try:
            self._engine = await self._rooms.enter_async_context(self._opener())
        except BatchgenError as error:
            return str(error)
        return ""

    async def do(self, verb: str, attempt: Attempt, *words: object) -> Outcome | str:
        """One call of the engine, None when it was stopped; a text is why the disk could not be relied on."""
        with anyio.CancelScope() as scope:
            self._calls[attempt.attempt_id] = scope
            try:
                outcome: Outcome = await getattr(self._engine, verb)(attempt, *words)
            except StorageError as error:
                return str(error)
            finally:
                del self._calls[attempt.attempt_id]
            return outcome
        return None

    async def alive(self) -> Process:
        """A sign of life: who it is."""
        return Process.own()

    async def stop(self, attempt_id: str) -> None:
        """Wait no longer for an answer; an image that is being kept is kept."""
        if scope := self._calls.get(attempt_id):
            scope.cancel()
