"""What a provider asked of the models that share a limit: a pause, then a slower tempo."""

from __future__ import annotations

import anyio

from batchgen.pool.tempo import Tempo


class Pulse:
    """A pause and a tempo. A lane has its own; lanes of several jobs in one room share it."""

    def __init__(self, images_per_minute: float | None) -> None:
        self.tempo = Tempo(images_per_minute)
        self.paused_until = 0.0

    @property
    def ready_at(self) -> float:
        """Nothing is sent before this moment on the loop's clock."""
        return max(self.paused_until, self.tempo.next_at)

    @property
    def is_clear(self) -> bool:
        """Whether something may be sent now."""
        return anyio.current_time() >= self.ready_at

    def pause(self, seconds: float) -> bool:
        """Send nothing for a while; False when that is no news."""
        until = anyio.current_time() + seconds
        if not seconds or until <= self.paused_until:
            return False
        self.paused_until = until
        return True
