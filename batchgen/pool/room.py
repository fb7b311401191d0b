"""What jobs that run at the same time share: a provider's limits, its pauses, and the money of the night.

Who wants to send waits in its job's rank, and gets everything that a request needs in one step: nobody holds a
permit while it waits for another, so an earlier job that cannot send leaves what it does not use to later ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import anyio

from batchgen.core.limits import LaneLimit, PoolLimits
from batchgen.core.types import StopReason
from batchgen.pool.pacing import FAST_PER_SECOND, MARGIN, Gate, Pacer
from batchgen.pool.pulse import Pulse
from batchgen.pool.purse import Purse
from batchgen.pool.stopping import Stop

_SHARED_STOPS = frozenset({StopReason.AUTH, StopReason.BILLING})
"""What is wrong with the key or the account is wrong for every job of the provider."""


class Bound:
    """A rate and a number of requests in flight; None bounds nothing."""

    def __init__(self, images_per_minute: float | None = None, slots: int | None = None) -> None:
        self._period_s = MARGIN * 60.0 / images_per_minute if images_per_minute else 0.0
        # As with `Pacer`: above it, a second request at once makes up for timers that are late.
        self._early_s = self._period_s if self._period_s * FAST_PER_SECOND < 1.0 else 0.0
        self._slots = math.inf if slots is None else slots
        self._in_flight = 0
        self._next_at = -math.inf

    @property
    def ready_at(self) -> float:
        """The moment on the loop's clock from which one more may go; `inf` until a request ends."""
        return math.inf if self._in_flight >= self._slots else self._next_at - self._early_s

    def take(self, now: float) -> None:
        """One more goes."""
        self._in_flight += 1
        self._next_at = max(self._next_at, now) + self._period_s

    def give(self) -> None:
        """One has ended."""
        self._in_flight -= 1


@dataclass(slots=True, eq=False)
class _Waiting:
    rank: int
    bounds: Sequence[Bound]
    pulse: Pulse
    granted: bool = False

    @property
    def ready_at(self) -> float:
        return max(self.pulse.ready_at, *(bound.ready_at for bound in self.bounds))


class Room:
    """One provider, for all jobs of a process. `ceilings` bound groups of its models, each over all jobs."""

    def __init__(self, whole: LaneLimit, ceilings: Iterable[LaneLimit] = ()) -> None:
        self._rate = whole.images_per_minute
        self._whole = Bound(whole.images_per_minute, whole.concurrency)
        self._ceilings = tuple(ceilings)
        self._shares: dict[tuple[str, ...], tuple[Bound, Pulse]] = {}
        self._waiting: list[_Waiting] = []
        self._changed = anyio.Event()
        self._stops: list[Stop] = []
        self._closed: tuple[StopReason, str] | None = None

    def share(self, models: tuple[str, ...]) -> tuple[Bound, Pulse]:
        """What these models of any job share: their ceiling, and what the provider asked of them."""
        limit = next((one for one in self._ceilings if set(models) & set(one.models)), LaneLimit(models))
        if limit.models not in self._shares:
            rates = [rate for rate in (limit.images_per_minute, self._rate) if rate is not None]
            bound = Bound(limit.images_per_minute, limit.concurrency)
            self._shares[limit.models] = bound, Pulse(min(rates, default=None))
        return self._shares[limit.models]

    async def enter(self, rank: int, bounds: Sequence[Bound], pulse: Pulse) -> tuple[Bound, ...]:
        """Wait for all of it at once, the lowest rank first; returns what is to be given back."""
        own = _Waiting(rank, (self._whole, *bounds), pulse)
        self._waiting.append(own)
        self._waiting.sort(key=lambda one: one.rank)  # stable: who came first goes first among equals
        try:
            self._grant()
            while not own.granted:
                changed = self._changed
                with anyio.move_on_at(min(one.ready_at for one in self._waiting)):
                    await changed.wait()
                self._grant()
        except BaseException:
            if own.granted:
                self.leave(own.bounds)
            raise
        finally:
            if own in self._waiting:
                self._waiting.remove(own)
        return tuple(own.bounds)

    def leave(self, bounds: Iterable[Bound]) -> None:
        """A request has ended, or is not sent after all."""
        for bound in bounds:
            bound.give()
        self._grant()
        self._tell()

    def _grant(self) -> None:
        """Everyone who may go now goes, in order."""
        now = anyio.current_time()
        for one in list(self._waiting):
            if one.ready_at <= now:
                for bound in one.bounds:
                    bound.take(now)
                one.granted = True
                self._waiting.remove(one)
                self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def join(self, stop: Stop) -> None:
        """A job begins: a key or an account that was refused already stops it before it sends."""
        self._stops.append(stop)
        if self._closed is not None:
            stop.ask(*self._closed)

    def spread(self, stop: Stop) -> None:
        """A job ends its sending; where the key or the account is why, all others end theirs."""
        self._stops = [one for one in self._stops if one is not stop]
        if stop.reason in _SHARED_STOPS and self._closed is None:
            self._closed = stop.reason, stop.detail
            for one in list(self._stops):
                one.ask(*self._closed)


class Seat(Gate):
    """A job's gate in a room: its own limits and the room's, all at once."""

    def __init__(self, room: Room, rank: int, limits: PoolLimits, stop: Stop) -> None:
        super().__init__(None, limits.concurrency)
        self._room = room
        self._rank = rank
        self._stop = stop
        self._job = Bound(limits.images_per_minute, limits.concurrency)
        self._lanes = {lane.models: Bound(lane.images_per_minute) for lane in limits.lanes}
        self._taken: dict[tuple[str, ...], list[tuple[Bound, ...]]] = {}
        room.join(stop)

    def pulse(self, models: tuple[str, ...], images_per_minute: float | None) -> Pulse:  # noqa: ARG002 - the room's rate counts
        """One for all jobs: what a provider asks of one it asks of all."""
        return self._room.share(models)[1]

    async def enter(self, own: Pacer | None, models: tuple[str, ...] = ()) -> None:  # noqa: ARG002 - the lane's rate is a bound here
        """Wait for the room, the job and the lane at once."""
        bound, pulse = self._room.share(models)
        taken = await self._room.enter(self._rank, (self._job, self._lanes[models], bound), pulse)
        self._taken.setdefault(models, []).append(taken)

    def leave(self, models: tuple[str, ...] = ()) -> None:
        """Give everything back."""
        self._room.leave(self._taken[models].pop())

    def ends(self) -> None:
        """Nothing more is sent by this job."""
        self._room.spread(self._stop)


@dataclass(slots=True)
class Night:
    """What all jobs of a night share: a room for each provider, its budget, and its end.

    `most` bounds each provider beside its own ceilings. No key and no name of a job is in here.
    """

    most: LaneLimit = field(default_factory=lambda: LaneLimit(()))
    purse: Purse | None = None
    ends_at: datetime | None = None
    _rooms: dict[str, Room] = field(default_factory=dict)

    def room(self, provider: str, whole: LaneLimit, ceilings: Iterable[LaneLimit]) -> Room:
        """The provider's room, made when its first job begins."""
        if provider not in self._rooms:
            self._rooms[provider] = Room(_tighter(whole, self.most), ceilings)
        return self._rooms[provider]


def _tighter(one: LaneLimit, other: LaneLimit) -> LaneLimit:
    rates = [rate for rate in (one.images_per_minute, other.images_per_minute) if rate is not None]
    slots = [count for count in (one.concurrency, other.concurrency) if count is not None]
    return LaneLimit((), min(rates, default=None), min(slots, default=None))
