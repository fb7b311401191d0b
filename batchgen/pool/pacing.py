"""Spaces requests evenly, without a burst at the start: a sliding minute at the provider never sees too many."""

from __future__ import annotations

import math

import anyio
from aiolimiter import AsyncLimiter

MARGIN = 1.01
"""Requests are a hundredth further apart than the limit allows, since each reaches the provider a little late."""

SLACK_S = 0.008
"""A wake-up so late is made up for, at any rate: four fifths of what the margin leaves free in a window of one second.

A window of W seconds that takes N holds no more, whatever bursts this allows, while it is under (MARGIN - 1) * W.

Without it a busy machine loses images at high rates (97 % at 200/s with two limits at once).
"""

_ROUNDING_S = 1e-9
"""A bucket has room this much later than it is computed: never a rounding error too early."""


class Bucket(AsyncLimiter):
    """A leaky bucket that also says when there will be room: of several, the last one decides when a request may go."""

    def __init__(self, images_per_minute: float) -> None:
        period_s = MARGIN * 60.0 / images_per_minute
        # A larger capacity would let a burst of that size through at the start and after every idle spell.
        capacity = 1.0 + SLACK_S / period_s
        super().__init__(capacity, capacity * period_s)

    @property
    def ready_at(self) -> float:
        """The moment on the loop's clock from which one more has room."""
        if self.has_capacity():
            return -math.inf
        return anyio.current_time() + (self._level + 1.0 - self.max_rate) / self._rate_per_sec + _ROUNDING_S


class Bound:
    """A rate and a number of requests in flight; None bounds nothing."""

    def __init__(self, images_per_minute: float | None = None, slots: int | None = None) -> None:
        self._bucket = Bucket(images_per_minute) if images_per_minute else None
        self._free = math.inf if slots is None else slots

    @property
    def ready_at(self) -> float:
        """The moment on the loop's clock from which one more may go; `inf` until a request ends."""
        if self._free <= 0:
            return math.inf
        return -math.inf if self._bucket is None else self._bucket.ready_at

    async def take(self) -> None:
        """One more goes. Does not wait once `ready_at` is past."""
        self._free -= 1
        if self._bucket is not None:
            await self._bucket.acquire()

    def give(self) -> None:
        """One has ended."""
        self._free += 1
