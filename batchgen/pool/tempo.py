"""How fast a lane may go after the provider asked it to slow down."""

from __future__ import annotations

import math
from collections import deque

SLOWER = 0.8
SLOWER_EVERY_S = 15.0
"""Answers to what was sent at the old rate still come in for a while, and say nothing of the new one."""

FASTER = 1.05
SLOWEST = 1.0
"""Images a minute below which no answer pushes a lane: it must notice when the provider has room again."""

MEASURED_S = 60.0
LEAST_MEASURED_S = 5.0
"""A burst of a first few requests counts as if it had taken so long."""

MEASURED_AT_MOST = 1000


class Tempo:
    """A lane's rate: cut by a fifth when it was too high, then a twentieth more after every clean round.

    A round is as many images as a minute has permits. The rate starts from the configured one, or where
    there is none from the last minute's, and ends its way back at the configured one. Moments are the loop's.
    """

    def __init__(self, configured: float | None) -> None:
        self._configured = configured
        self.images_per_minute: float | None = None
        self._sent: deque[float] = deque(maxlen=MEASURED_AT_MOST)
        self._slowed_at = -math.inf
        self._clean = 0

    @property
    def is_free(self) -> bool:
        """Whether neither a configured rate nor one that was learned holds the lane back."""
        return self._configured is None and self.images_per_minute is None

    @property
    def next_at(self) -> float:
        """Nothing is sent before this moment."""
        if self.images_per_minute is None or not self._sent:
            return 0.0
        return self._sent[-1] + 60.0 / self.images_per_minute

    def sent(self, now: float) -> None:
        """A request goes out."""
        self._sent.append(now)

    def succeeded(self) -> None:
        """The provider made an image."""
        if self.images_per_minute is None:
            return
        self._clean += 1
        if self._clean >= self.images_per_minute:
            self._clean = 0
            self.images_per_minute *= FASTER
            if self._configured is not None and self.images_per_minute >= self._configured:
                self.images_per_minute = None

    def slow_down(self, now: float) -> None:
        """The provider said that it was too fast."""
        self._clean = 0
        if now < self._slowed_at + SLOWER_EVERY_S:
            return
        self._slowed_at = now
        rate = self.images_per_minute or self._configured or self._measured(now)
        self.images_per_minute = max(SLOWER * rate, min(SLOWEST, rate))

    def _measured(self, now: float) -> float:
        recent = [moment for moment in self._sent if moment > now - MEASURED_S]
        span_s = now - recent[0] if recent else 0.0
        return 60.0 * max(1, len(recent)) / max(span_s, LEAST_MEASURED_S)
