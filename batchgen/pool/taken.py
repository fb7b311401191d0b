"""When a provider took requests, and how many a minute that were."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque

MEASURED_AT_MOST_S = 66.0
"""A provider counts a minute at most. A little more is measured, since it takes a while to notice that there is room."""

FEW, FEW_AT_MOST_S = 10, 240.0
"""A rate is measured over so many images at least, where they came in that time."""

REMEMBERED = 20_000


class Taken:
    """Moments at which requests went out that were not refused, in order; a cycle begins where a pause is over."""

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._cycles: deque[float] = deque(maxlen=2 * FEW)

    def append(self, moment: float) -> None:
        """One more, the latest of all."""
        if not self._cycles:
            self._cycles.append(moment)
        self._moments.append(moment)
        if len(self._moments) > 2 * REMEMBERED:
            del self._moments[:REMEMBERED]

    def forget(self, moment: float) -> None:
        """It was refused after all."""
        index = bisect_left(self._moments, moment)
        if index < len(self._moments) and self._moments[index] == moment:
            del self._moments[index]

    def begin_cycle(self, moment: float) -> None:
        """From here on is measured when the next pause is over."""
        self._cycles.append(moment)

    @property
    def first(self) -> float:
        """The earliest that is known."""
        return self._cycles[0]

    def first_after(self, moment: float) -> float:
        """The first of those that are later; `inf` if there is none."""
        index = bisect_left(self._moments, math.nextafter(moment, math.inf))
        return self._moments[index] if index < len(self._moments) else math.inf

    def count(self, start: float, end: float) -> int:
        """How many from one moment until before the other."""
        return bisect_left(self._moments, end) - bisect_left(self._moments, start)

    def a_minute(self, blocked_at: float, end: float) -> tuple[float, bool]:
        """Images a minute from the start of a cycle to its end, and whether those were too few to tell.

        `blocked_at` is when its pause began, `end` when that was over.
        """
        if end - blocked_at > MEASURED_AT_MOST_S:
            # The window was over long before. Those of a first burst were a minute's at least, whenever they came.
            end = max(blocked_at, self.first + 60.0)
        starts = [max(start, end - MEASURED_AT_MOST_S) for start in reversed(self._cycles)]
        start = next(
            (one for one in starts if self.count(one, end) >= FEW), max(self._cycles[0], end - FEW_AT_MOST_S)
        )
        count = self.count(start, end)
        return 60.0 * max(1, count) / max(0.05, end - start), count < FEW
