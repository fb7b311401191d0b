"""Strict limiters of several kinds, and a lane's tempo against one of them, event by event without a clock."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from batchgen.core.retry import backoff_s
from batchgen.pool.tempo import Tempo


class Limiter(Protocol):
    """Takes a request at a moment, or says after how many seconds there is room."""

    def take(self, now: float) -> float | None:
        """None when it is taken."""
        ...


@dataclass
class Sliding:
    """So many in any window; `change` multiplies the limit from a moment on."""

    a_minute: float
    window_s: float = 60.0
    change: Callable[[float], float] = lambda _now: 1.0
    taken: deque[float] = field(default_factory=deque)

    def take(self, now: float) -> float | None:
        """Take it while the window holds fewer."""
        while self.taken and self.taken[0] <= now - self.window_s:
            self.taken.popleft()
        if len(self.taken) + 1 <= self.a_minute * self.change(now) * self.window_s / 60.0 + 1e-9:
            self.taken.append(now)
            return None
        return self.taken[0] + self.window_s - now if self.taken else self.window_s


@dataclass
class Fixed:
    """So many in each window by the clock, or from the first request on."""

    a_minute: float
    window_s: float = 60.0
    by_the_clock: bool = True
    window: float = -1.0
    count: int = 0
    first: float | None = None

    def take(self, now: float) -> float | None:
        """Take it while this window holds fewer."""
        if self.first is None:
            self.first = 0.0 if self.by_the_clock else now
        window = (now - self.first) // self.window_s
        if window != self.window:
            self.window, self.count = window, 0
        if self.count + 1 <= self.a_minute * self.window_s / 60.0 + 1e-9:
            self.count += 1
            return None
        return self.first + (window + 1) * self.window_s - now


@dataclass
class Tokens:
    """A bucket of `burst` that fills at the rate."""

    a_minute: float
    burst: float
    level: float = math.inf
    at: float = 0.0

    def take(self, now: float) -> float | None:
        """Take it while there is a token."""
        self.level = min(self.burst, self.level + (now - self.at) * self.a_minute / 60.0)
        self.at = now
        if self.level >= 1.0:
            self.level -= 1.0
            return None
        return (1.0 - self.level) * 60.0 / self.a_minute


@dataclass
class InFlight:
    """So many at the same time, each of which takes so long."""

    most: int
    latency_s: float
    ends: deque[float] = field(default_factory=deque)

    def take(self, now: float) -> float | None:
        """Take it while there is a place."""
        while self.ends and self.ends[0] <= now:
            self.ends.popleft()
        if len(self.ends) < self.most:
            self.ends.append(now + self.latency_s)
            return None
        return self.ends[0] - now


@dataclass(frozen=True)
class Settled:
    """Images a minute that were accepted in the later part, the share of its requests that were refused, and their number."""

    a_minute: float
    refused: float
    requests: int


def settle(
    limiter: Limiter,
    tempo: Tempo,
    *,
    seconds: float,
    later_s: float,
    configured: float | None = None,
    tells: bool = False,
    sudden: bool = False,
    headers: Callable[[float], float | None] = lambda _now: None,
    latency_s: float = 10.0,
    refusal_s: float = 0.2,
    slots: int = 200,
) -> Settled:
    """Send all that the tempo lets through; `tells` is whether a refusal says how long to wait.

    `sudden` is whether it says that there were suddenly more, `headers` the limit that a good answer tells.
    """
    now = paused_until = free_at = 0.0
    answers: list[tuple[float, float, float]] = []
    took = refused = 0
    while now < seconds:
        ready = max(now, paused_until, free_at, tempo.next_at)
        if answers and (len(answers) >= slots or answers[0][0] <= ready):
            moment, wait_s, sent_at = heapq.heappop(answers)
            now = max(now, moment)
            if wait_s >= 0:
                too_many = tempo.refused(sent_at, now, wait_s if tells else None, sudden=sudden)
                if too_many and now >= paused_until:
                    tempo.slow_down(now)
                if too_many or tells:
                    paused_until = max(
                        paused_until, now + (wait_s + 0.5 * min(1.0, wait_s) if tells else backoff_s(1, 0.5))
                    )
            elif (limit := headers(now)) is not None:
                tempo.told(limit, now)
            continue
        now = ready
        free_at = now + (0.001 if configured is None else 60.6 / configured)
        tempo.sent(now)
        wait = limiter.take(now)
        heapq.heappush(
            answers, (now + (latency_s if wait is None else refusal_s), -1.0 if wait is None else wait, now)
        )
        if now >= later_s:
            took += wait is None
            refused += wait is not None
    return Settled(took * 60.0 / (seconds - later_s), refused / max(1, took + refused), took + refused)
