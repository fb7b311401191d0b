"""A run's progress as numbers and short phrases: events in, words out, no clock and no screen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from batchgen.core.events import AttemptFailed, AttemptSent, Event, RunStarted, TaskStored
from batchgen.core.money import failed_usd, usd
from batchgen.core.types import TaskState
from batchgen.reports.text import duration_text, rate_text, usd_text

RATE_WINDOW_S = 60.0
"""The rate is of the last minute: the providers' limits are per minute."""

_RATE_NEEDS_S = 3.0
_FINAL = frozenset({TaskState.FAILED, TaskState.HELD})


@dataclass(slots=True)
class Tracker:
    """Counts of one run. Moments (`_s`) are seconds of any clock that only goes forward.

    `total` is what this run sends; `done` of it are stored, failed or held. Before it has `begun` nothing counts:
    what a dead run left open is settled then, and is none of these tasks. `cost_usd` counts as the summary does, what
    was paid for in vain or may have been paid for included.
    """

    begun: bool = False
    total: int = 0
    stored: int = 0
    failed: int = 0
    held: int = 0
    retries: int = 0
    in_flight: int = 0
    cost_usd: float = 0.0
    budget_usd: float | None = None
    images_per_minute: float | None = None
    started_s: float = 0.0
    _seconds: deque[tuple[int, int]] = field(default_factory=deque)

    @property
    def done(self) -> int:
        """Tasks that this run is through with."""
        return self.stored + self.failed + self.held

    @property
    def percent(self) -> int:
        """Whole percent done; nothing to do is 100, once that is known."""
        return min(100, 100 * self.done // self.total) if self.total else 100 * self.begun

    def take(self, event: Event, now_s: float) -> None:
        """Take one event in."""
        match event:
            case RunStarted():
                self.begun = True
                self.total, self.budget_usd = event.to_send, event.budget_usd
                self.images_per_minute, self.started_s = event.images_per_minute, now_s
            case _ if not self.begun:
                pass
            case AttemptSent():
                self.in_flight += 1
            case TaskStored():
                self._came_back()
                self.stored += 1
                self._spent(event.stored.image.cost_usd or 0.0)
                self._count(now_s)
            case AttemptFailed():
                self._came_back()
                self.failed += event.task_state is TaskState.FAILED
                self.held += event.task_state is TaskState.HELD
                self.retries += event.task_state not in _FINAL
                self._spent(failed_usd(event.task.price, event.failure, event.task_state))
            case _:
                pass

    def _spent(self, amount_usd: float) -> None:
        self.cost_usd = usd(self.cost_usd + amount_usd)

    def _came_back(self) -> None:
        # An attempt ends without having been sent when a stop comes between its reservation and its request.
        self.in_flight = max(0, self.in_flight - 1)

    def _count(self, now_s: float) -> None:
        second = int(now_s)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))
        while self._seconds[0][0] <= second - RATE_WINDOW_S:
            self._seconds.popleft()

    def rate_per_minute(self, now_s: float) -> float | None:
        """Images stored a minute, over the last minute; None before there is anything to say."""
        span_s = min(RATE_WINDOW_S, now_s - self.started_s)
        if span_s < _RATE_NEEDS_S:
            return None
        return 60 * sum(count for second, count in self._seconds if second > now_s - RATE_WINDOW_S) / span_s

    def left_s(self, now_s: float) -> float | None:
        """Seconds until all is done at the present rate, not faster than the limit; None without a rate."""
        rates = (self.rate_per_minute(now_s) or self.images_per_minute, self.images_per_minute)
        known = [rate for rate in rates if rate]
        return 60 * (self.total - self.done) / min(known) if known else None

    def phrases(self, now_s: float) -> list[str]:
        """What to say, the most important first: a narrow screen takes as many as fit."""
        if not self.begun:
            return ["getting ready"]
        left_s = self.left_s(now_s)
        said = [
            f"{self.stored:,} of {self.total:,} stored",
            f"{duration_text(left_s)} left" if left_s is not None and self.done < self.total else "",
            f"{self.failed:,} failed" if self.failed else "",
            f"{self.held:,} held" if self.held else "",
            self._cost(),
            self._rate(now_s),
            f"{self.in_flight:,} in flight" if self.in_flight else "",
            f"{self.retries:,} tried again" if self.retries else "",
        ]
        return [phrase for phrase in said if phrase]

    def _cost(self) -> str:
        of = "" if self.budget_usd is None else f" of {usd_text(self.budget_usd)}"
        return usd_text(self.cost_usd) + of

    def _rate(self, now_s: float) -> str:
        rate = self.rate_per_minute(now_s)
        if rate is None:
            return ""
        limit = "" if self.images_per_minute is None else f" (limit {rate_text(self.images_per_minute)})"
        return f"{rate_text(rate)} a minute{limit}"
