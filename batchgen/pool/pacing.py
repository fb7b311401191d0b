"""Spaces requests evenly, without a burst at the start: a sliding window at the provider never sees too many."""

from __future__ import annotations

import math
from bisect import bisect_left

MARGIN = 1.01
"""Requests are a hundredth further apart than the limit allows, since each reaches the provider a little late."""

CATCH_UP_S = 0.1
"""What goes out so late (a timer, a busy machine, a window that is full) is made up for by those that follow."""

WINDOWS_S = (2.0, 3.0)
"""No window so long holds too many, counted from when requests really went out; nor does one of several together."""

ARRIVAL = 0.005
"""A window is taken to be longer by this share: on their way to the provider requests close up or fall behind."""

_ROUNDING_S = 1e-9


class Pace:
    """Requests at a rate, on a beat that does not lose time: a moment that is missed makes the next no later.

    Between the permit and the request lies a commit, which takes longer at times: a request that went out late and one
    that did not, a window later, are closer than the beat. So a permit also waits until the window before it is over.
    """

    def __init__(self, images_per_minute: float) -> None:
        gap_s = 60.0 / images_per_minute
        self._gap_s = MARGIN * gap_s
        counts = {max(1, math.ceil(window_s / gap_s - 1e-6)) for window_s in WINDOWS_S}
        self._windows = [(count, count * gap_s * (1.0 + ARRIVAL)) for count in counts]
        self._went: list[float] = []
        self._most = max(counts)
        self._due = -math.inf

    @property
    def ready_at(self) -> float:
        """The moment on the loop's clock from which one more may go."""
        full = [self._went[-count] + window_s for count, window_s in self._windows if count <= len(self._went)]
        return max(self._due, *full) + _ROUNDING_S if full else self._due

    def take(self, now: float) -> None:
        """One more has its permit."""
        start = self._due if now - self._due <= CATCH_UP_S else now
        self._due = start + self._gap_s
        self._went.append(now)
        del self._went[: -self._most]

    def went(self, permitted_at: float, now: float) -> None:
        """The request of a permit goes out only now."""
        index = bisect_left(self._went, permitted_at)
        if index < len(self._went) and self._went[index] == permitted_at:
            del self._went[index]
            self._went.append(now)


class Bound:
    """A rate and a number of requests in flight; None bounds nothing."""

    def __init__(self, images_per_minute: float | None = None, slots: int | None = None) -> None:
        self._pace = Pace(images_per_minute) if images_per_minute else None
        self._free = math.inf if slots is None else slots

    @property
    def ready_at(self) -> float:
        """The moment on the loop's clock from which one more may go; `inf` until a request ends."""
        if self._free <= 0:
            return math.inf
        return -math.inf if self._pace is None else self._pace.ready_at

    def take(self, now: float) -> None:
        """One more has its permit, once `ready_at` is past."""
        self._free -= 1
        if self._pace is not None:
            self._pace.take(now)

    def went(self, permitted_at: float, now: float) -> None:
        """The request of that permit goes out."""
        if self._pace is not None:
            self._pace.went(permitted_at, now)

    def give(self) -> None:
        """One has ended."""
        self._free += 1
