"""Spaces requests evenly, without a burst at the start: a sliding minute at the provider never sees too many."""

from __future__ import annotations

import anyio
from aiolimiter import AsyncLimiter

from batchgen.pool.pulse import Pulse

MARGIN = 1.01
"""Requests are a hundredth further apart than the limit allows, since each reaches the provider a little late."""

FAST_PER_SECOND = 4.0
"""Above it the timer's own grain counts: a capacity of two makes up for late wake-ups (measured at 200/s: 94 % without).

Below it a second request in one instant would be more than the margin leaves room for in a minute."""

STALE_S = 0.05
"""A permit that waited longer counts from when it is used; shorter waits are a twelfth of what the margin covers."""


class Pacer:
    """Lets one request through every `60 / images_per_minute` seconds. Only one task at a time may use it."""

    def __init__(self, images_per_minute: float) -> None:
        self.period_s = MARGIN * 60.0 / images_per_minute
        self._limiter = self._empty()
        self._taken_at = 0.0

    async def take(self) -> None:
        """Wait for the next permit."""
        await self._limiter.acquire()
        self._taken_at = anyio.current_time()

    async def freshen(self) -> None:
        """Say that the permit is used now. If it went stale, the next one comes a whole period from now.

        Used late, it would come right before the next one: two requests where the limit allows one.
        """
        if anyio.current_time() - self._taken_at > STALE_S:
            self._limiter = self._empty()
            await self._limiter.acquire(self._limiter.max_rate)

    def _empty(self) -> AsyncLimiter:
        # A larger capacity would let a burst of that size through at the start and after every idle spell.
        if self.period_s * FAST_PER_SECOND < 1.0:
            return AsyncLimiter(2, 2 * self.period_s)
        return AsyncLimiter(1, self.period_s)


class Gate:
    """What all lanes pass one by one: the rate of everything together, then one of `slots` requests in flight.

    One by one, so that of all lanes only one at a time has a permit of the common rate that may go stale.
    """

    def __init__(self, images_per_minute: float | None, slots: int) -> None:
        self._pacer = Pacer(images_per_minute) if images_per_minute else None
        self._slots = anyio.Semaphore(slots)
        self._turn = anyio.Lock()

    def pulse(self, models: tuple[str, ...], images_per_minute: float | None) -> Pulse:  # noqa: ARG002 - a room asks which
        """What the provider asks of a lane's models; each lane of a single job has its own."""
        return Pulse(images_per_minute)

    async def enter(self, own: Pacer | None, models: tuple[str, ...] = ()) -> None:  # noqa: ARG002 - a room asks which
        """Wait for the lane's own permit, the common one and a slot; the request goes out at once."""
        if own is not None:
            await own.take()
        async with self._turn:
            if self._pacer is not None:
                await self._pacer.take()
            await self._slots.acquire()
            for pacer in (own, self._pacer):
                if pacer is not None:
                    await pacer.freshen()

    def leave(self, models: tuple[str, ...] = ()) -> None:  # noqa: ARG002 - a room asks which
        """Give the slot back."""
        self._slots.release()

    def ends(self) -> None:
        """Nothing more is sent by this job."""
