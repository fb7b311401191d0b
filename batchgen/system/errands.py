"""A thread for what must never delay the event loop: it does one thing after another, and looks up now and then."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from anyio import to_thread

Errand = Callable[[], None]
"""What is to be done. It must not raise."""


class Errands:
    """Does errands in their order on a thread of its own, and `look` every `every_s` seconds between them.

    It holds up neither the caller nor the end of the process: what hangs in it is left behind.
    """

    def __init__(self, name: str, look: Errand | None = None, every_s: float | None = None) -> None:
        self._look = look
        self._every_s = every_s if look is not None else None
        self._queue: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def add(self, errand: Errand) -> None:
        """Have something done, after what was added before."""
        self._queue.put(errand)

    async def close(self, within_s: float) -> bool:
        """Let the thread finish what was added, but wait only so long; whether it did."""
        self._queue.put(None)
        await to_thread.run_sync(self._thread.join, within_s)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        due_s = self._next_look()
        while True:
            wait_s = None if due_s is None else max(0.0, due_s - time.monotonic())
            try:
                errand = self._queue.get(timeout=wait_s)
            except queue.Empty:
                assert self._look is not None  # else nothing is ever due
                self._look()
                due_s = self._next_look()
                continue
            if errand is None:
                return
            errand()

    def _next_look(self) -> float | None:
        return None if self._every_s is None else time.monotonic() + self._every_s
