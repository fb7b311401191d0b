"""What stands before a provider: requests pass when all that they need is there, in the order of their jobs.

Whoever wants to send gets everything in one step. Nobody holds one permit while waiting for another, so a permit is
used when it is given, and a job or a lane that cannot send leaves what it does not use to the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio
from anyio.lowlevel import checkpoint

from batchgen.core.limits import LaneLimit, PoolLimits, lowest
from batchgen.core.types import StopReason
from batchgen.pool.pacing import Bound
from batchgen.pool.pulse import Pulse
from batchgen.pool.stopping import Stop

_SHARED_STOPS = frozenset({StopReason.AUTH, StopReason.BILLING})
"""What is wrong with the key or the account is wrong for every job of the provider."""

Models = tuple[str, ...]
"""The models of a lane, which share a limit."""


@dataclass(slots=True, eq=False)
class _Waiting:
    rank: int
    bounds: Sequence[Bound]

    @property
    def ready_at(self) -> float:
        return max(bound.ready_at for bound in self.bounds)


class ProviderGate:
    """One provider's limits, for all jobs that ask it at the same time. `lanes` bound groups of its models, each over all jobs."""

    def __init__(self, whole: LaneLimit, lanes: Iterable[LaneLimit] = ()) -> None:
        self._rate = whole.images_per_minute
        self._whole = Bound(whole.images_per_minute, whole.concurrency)
        self._limits = tuple(lanes)
        self._lanes: dict[Models, tuple[Bound, Pulse]] = {}
        self._waiting: list[_Waiting] = []
        self._changed = anyio.Event()
        self._stops: list[Stop] = []
        self._closed: tuple[StopReason, str] | None = None

    def bounds(self, models: Models) -> tuple[Bound, Bound]:
        """What holds for these models of any job: the provider's limit, and their own."""
        return self._whole, self._lane(models)[0]

    def pulse(self, models: Models) -> Pulse:
        """What the provider asked of these models, of whichever job."""
        return self._lane(models)[1]

    def _lane(self, models: Models) -> tuple[Bound, Pulse]:
        limit = next((one for one in self._limits if set(models) & set(one.models)), LaneLimit(models))
        if limit.models not in self._lanes:
            rate = limit.images_per_minute
            self._lanes[limit.models] = Bound(rate, limit.concurrency), Pulse(lowest(rate, self._rate))
        return self._lanes[limit.models]

    async def enter(self, rank: int, bounds: Sequence[Bound], pulse: Pulse) -> float | None:
        """Wait until one more may go within all bounds, the lowest rank first; then it has its place in all of them.

        Returns that moment. None when a pause of the pulse began meanwhile: whether that is worth waiting for is not
        known here.
        """
        await checkpoint()  # a place that is there at once must not let a cancellation pass by
        own = _Waiting(rank, bounds)
        self._waiting.append(own)
        self._waiting.sort(key=lambda one: one.rank)  # stable: who came first goes first among equals
        try:
            while pulse.is_clear:
                now = anyio.current_time()
                if self._is_turn_of(own, now):
                    for bound in bounds:
                        bound.take(now)
                    return now
                with anyio.move_on_at(self._next_moment(now)):
                    await self._changed.wait()
            return None
        finally:
            self._waiting.remove(own)
            self._tell()

    def leave(self, bounds: Iterable[Bound]) -> None:
        """A request has ended, or is not sent after all."""
        for bound in bounds:
            bound.give()
        self._tell()

    def _is_turn_of(self, own: _Waiting, now: float) -> bool:
        return own is next((one for one in self._waiting if one.ready_at <= now), None)

    def _next_moment(self, now: float) -> float:
        """When somebody may go who may not yet; who may is awake, and tells the others when it is gone.

        `now` is when it was decided who may: a moment between that and this one would be missed by both.
        """
        return min((ready_at for one in self._waiting if (ready_at := one.ready_at) > now), default=math.inf)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def join(self, stop: Stop) -> None:
        """A job begins: a key or an account that was refused already stops it before it sends."""
        self._stops.append(stop)
        if self._closed is not None:
            stop.ask(*self._closed)

    def quit(self, stop: Stop) -> None:
        """A job sends nothing more; where the key or the account is why, all others end their sending."""
        self._stops = [one for one in self._stops if one is not stop]
        if stop.reason in _SHARED_STOPS and self._closed is None:
            self._closed = stop.reason, stop.detail
            for one in list(self._stops):
                one.ask(*self._closed)


class Gate:
    """A job's way to its provider. `own` are its limits where the provider's gate is shared with other jobs."""

    def __init__(
        self, provider: ProviderGate, stop: Stop, rank: int = 0, own: PoolLimits | None = None
    ) -> None:
        self._provider = provider
        self._stop = stop
        self._rank = rank
        self._job = () if own is None else (Bound(own.images_per_minute, own.concurrency),)
        lanes = () if own is None else own.lanes
        self._lanes = {lane.models: Bound(lane.images_per_minute, lane.concurrency) for lane in lanes}
        self._inside: Counter[Models] = Counter()
        provider.join(stop)

    @classmethod
    def alone(cls, limits: PoolLimits, stop: Stop) -> Gate:
        """The gate of a job that shares nothing: its limits are all there are."""
        whole = LaneLimit((), limits.images_per_minute, limits.concurrency)
        return cls(ProviderGate(whole, limits.lanes), stop)

    def pulse(self, models: Models) -> Pulse:
        """What the provider asked of these models: what it asks of one job it asks of all."""
        return self._provider.pulse(models)

    async def enter(self, models: Models) -> float | None:
        """Wait for everything that a request of these models needs; returns when that was. None when a pause began."""
        moment = await self._provider.enter(self._rank, self._bounds(models), self.pulse(models))
        if moment is not None:
            self._inside[models] += 1
        return moment

    def went(self, models: Models, permitted_at: float) -> None:
        """The request that was permitted at that moment goes out now."""
        now = anyio.current_time()
        for bound in self._bounds(models):
            bound.went(permitted_at, now)

    def leave(self, models: Models) -> None:
        """Give everything back."""
        self._inside[models] -= 1
        self._provider.leave(self._bounds(models))

    def end_sending(self) -> None:
        """The job sends nothing more."""
        self._provider.quit(self._stop)

    def close(self) -> None:
        """Give back what nobody did: permits of requests that were cut off, or never went out."""
        self.end_sending()
        for models in list(self._inside.elements()):
            self.leave(models)

    def _bounds(self, models: Models) -> tuple[Bound, ...]:
        mine = () if models not in self._lanes else (self._lanes[models],)
        return (*self._job, *mine, *self._provider.bounds(models))
