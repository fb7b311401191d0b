"""How fast a run is and how long it still takes, from what was done and what the limits allow."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

RATE_WINDOW_S = 60.0
"""The rate is of the last minute: the providers' limits are per minute."""

PACE_WINDOW_S = 300.0
"""The time left goes by the last five minutes: images come in waves, and a wave is no change of pace."""

RATE_NEEDS_S = 3.0
"""A rate over less would be a guess."""

_SMOOTH_S = 30.0
"""The end that is expected moves towards the one just worked out with this time constant, so that it does not jump."""


@dataclass(slots=True)
class Pace:
    """Counts what is done. Moments (`_s`) are seconds of any clock that only goes forward.

    `least_s` is the least time that the limits allow for one task, 0 without limits. Nothing is made of what was
    measured before a `wave` of tasks is done: the first ones come all at once, after as long as one image takes.
    """

    least_s: float = 0.0
    wave: int = 1
    started_s: float = 0.0
    _seconds: deque[tuple[int, int]] = field(default_factory=deque)
    _done: int = 0
    _ends_s: float | None = None
    _moved_s: float = 0.0

    def begin(self, now_s: float, tasks: int) -> None:
        """A run begins to send."""
        self.started_s = self._moved_s = now_s
        self.wave = min(self.wave, max(1, tasks // 2))
        if self.least_s:
            self._ends_s = now_s + tasks * self.least_s

    def count(self, now_s: float, remaining: int) -> None:
        """A task is done, and so many are not."""
        second = int(now_s)
        self._done += 1
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))
        while self._seconds[0][0] <= second - PACE_WINDOW_S:
            self._seconds.popleft()
        self._move(now_s, remaining)

    def rate_per_minute(self, now_s: float, window_s: float = RATE_WINDOW_S) -> float | None:
        """Tasks done a minute, over the last minute; None before there is anything to say."""
        span_s = min(window_s, now_s - self.started_s)
        if span_s < RATE_NEEDS_S:
            return None
        return 60 * sum(count for second, count in self._seconds if second > now_s - window_s) / span_s

    def _move(self, now_s: float, remaining: int) -> None:
        rate = self.rate_per_minute(now_s, PACE_WINDOW_S) if self._done >= self.wave else None
        if not rate:
            return
        ends_s = now_s + remaining * max(60 / rate, self.least_s)
        if self._ends_s is None:
            self._ends_s = ends_s
        else:
            self._ends_s += (1 - math.exp((self._moved_s - now_s) / _SMOOTH_S)) * (ends_s - self._ends_s)
        self._moved_s = now_s

    def left_s(self, now_s: float, remaining: int) -> float | None:
        """Seconds until all is done, not less than the limits allow; None when that is not known or long over."""
        if self._ends_s is None or self._ends_s < now_s:
            return None
        return max(self._ends_s - now_s, remaining * self.least_s)
