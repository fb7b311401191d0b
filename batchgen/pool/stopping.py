"""How a run is told to end: first nothing more is sent, then nothing more is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from batchgen.core.types import StopReason


class Stop:
    """Two steps: `ask` ends the sending (what is in flight is being paid for), `cut` ends the waiting too."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self.detail = ""
        self.was_cut = False
        self._asked = anyio.Event()
        self._interrupted = anyio.Event()
        self._sending: set[anyio.CancelScope] = set()
        self._waiting: set[anyio.CancelScope] = set()

    def ask(self, reason: StopReason = StopReason.SIGNAL, detail: str = "") -> None:
        """Send nothing more. The first reason stays; a signal limits the waiting all the same."""
        if reason is StopReason.SIGNAL:
            self._interrupted.set()
        if self.reason is not None:
            return
        self.reason, self.detail = reason, detail
        self._asked.set()
        for scope in self._sending:
            scope.cancel()

    def cut(self) -> None:
        """Neither send nor wait any more; what is in flight becomes unknown. Without an `ask` before, it is one too."""
        if self.reason is None:
            self.ask()
        self.was_cut = True
        for scope in self._sending | self._waiting:
            scope.cancel()

    @property
    def ended(self) -> bool:
        """Whether nothing more is sent."""
        return self.was_cut or self.reason is not None

    @property
    def signalled(self) -> bool:
        """Whether a signal came, whatever stopped the sending first."""
        return self._interrupted.is_set()

    async def asked(self) -> None:
        """Wait until `ask` is called."""
        await self._asked.wait()

    async def interrupted(self) -> None:
        """Wait for a signal."""
        await self._interrupted.wait()

    @contextmanager
    def ends_sending(self) -> Iterator[None]:
        """A block that `ask` cancels; what was in it ends quietly."""
        with anyio.CancelScope() as scope:
            self._sending.add(scope)
            if self.ended:
                scope.cancel()
            try:
                yield
            finally:
                self._sending.discard(scope)

    @contextmanager
    def ends_waiting(self) -> Iterator[None]:
        """A block that `cut` cancels; what was in it ends quietly."""
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            if self.was_cut:
                scope.cancel()
            try:
                yield
            finally:
                self._waiting.discard(scope)
