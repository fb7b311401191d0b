"""A run's progress as numbers and short phrases: events in, words out, no clock and no screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from batchgen.core.advice import ADVICE
from batchgen.core.events import AttemptFailed, AttemptSent, Event, Paused, PlanMade, RunStarted, TaskStored
from batchgen.core.money import failed_usd, usd
from batchgen.core.plain import safe_text
from batchgen.core.types import FailureClass, TaskState
from batchgen.reports.pace import Pace
from batchgen.reports.text import duration_text, rate_text, usd_text

STOPPING = frozenset({FailureClass.AUTH, FailureClass.BILLING, FailureClass.STORAGE})
"""What ends the whole run: told although its task stays pending."""

_WHOLE = 10
"""Images a minute above which a tenth of one says nothing."""

_FINAL = frozenset({TaskState.FAILED, TaskState.HELD})


@dataclass(slots=True)
class Tracker:
    """Counts of one run. Moments (`_s`) are seconds of any clock that only goes forward.

    `total` is what this run sends; `done` of it are stored, failed or held. Before it has `begun` nothing counts:
    what a dead run left open is settled then, and is none of these tasks. `cost_usd` counts as the summary does, what
    was paid for in vain or may have been paid for included. `classes` counts what failed or is held, the class that
    came last at the end; `pauses` are until when which models rest, and why.
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
    classes: Counter[FailureClass] = field(default_factory=Counter)
    pauses: dict[tuple[str, ...], tuple[float, str]] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)

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
            case PlanMade():
                plan = event.plan
                if plan.seconds and plan.to_send:
                    self.pace.least_s = plan.seconds / plan.to_send
            case RunStarted():
                self._begin(event, now_s)
            case Paused():
                self.pauses[event.models] = (now_s + event.seconds, event.reason)
            case _ if not self.begun:
                pass
            case AttemptSent():
                self.in_flight += 1
            case TaskStored():
                self._came_back()
                self.stored += 1
                self._spent(event.stored.image.cost_usd or 0.0)
                self.pace.count(now_s, self.total - self.done)
            case AttemptFailed():
                self._failed(event, now_s)
            case _:
                pass

    def _begin(self, event: RunStarted, now_s: float) -> None:
        self.begun = True
        self.total, self.budget_usd = event.to_send, event.budget_usd
        self.images_per_minute = event.images_per_minute
        if event.images_per_minute is not None:
            self.pace.least_s = max(self.pace.least_s, 60 / event.images_per_minute)
        elif self.pace.least_s:
            self.images_per_minute = 60 / self.pace.least_s  # models with rates of their own
        self.pace.wave = event.concurrency
        self.pace.begin(now_s, event.to_send)

    def _failed(self, event: AttemptFailed, now_s: float) -> None:
        self._came_back()
        self.failed += event.task_state is TaskState.FAILED
        self.held += event.task_state is TaskState.HELD
        self.retries += event.task_state not in _FINAL
        self._spent(failed_usd(event.task.price, event.failure, event.task_state))
        if event.task_state in _FINAL:
            self.pace.count(now_s, self.total - self.done)
        if is_trouble(event):
            kind = event.failure.failure_class
            self.classes[kind] = self.classes.pop(kind, 0) + 1

    def _spent(self, amount_usd: float) -> None:
        self.cost_usd = usd(self.cost_usd + amount_usd)

    def _came_back(self) -> None:
        # An attempt ends without having been sent when a stop comes between its reservation and its request.
        self.in_flight = max(0, self.in_flight - 1)

    def left_s(self, now_s: float) -> float | None:
        """Seconds until all is done, at the pace so far and within the limits and pauses; None when not known."""
        left_s = self.pace.left_s(now_s, self.total - self.done)
        rests = [until_s - now_s for until_s, _ in self.pauses.values()]
        return None if left_s is None else max(left_s, *rests, 0.0)

    def phrases(self, now_s: float, *, classes: bool = False) -> list[str]:
        """What to say, the most important first; with the `classes` of what failed or is held, if that is wanted."""
        if not self.begun:
            return ["getting ready"]
        left_s = self.left_s(now_s)
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.classes.items()) if classes else ""
        said = [
            f"{self.stored:,} of {self.total:,} stored",
            f"{duration_text(left_s)} left" if left_s is not None and self.done < self.total else "",
            f"{self.failed:,} failed" if self.failed else "",
            f"{self.held:,} held" if self.held else "",
            self._cost(),
            self._rate(now_s),
            f"{self.in_flight:,} in flight" if self.in_flight else "",
            f"{self.retries:,} tried again" if self.retries else "",
            f"failures: {kinds}" if kinds else "",
        ]
        return [phrase for phrase in said if phrase]

    def _cost(self) -> str:
        of = "" if self.budget_usd is None else f" of {usd_text(self.budget_usd)}"
        return usd_text(self.cost_usd) + of

    def _rate(self, now_s: float) -> str:
        rate = self.pace.rate_per_minute(now_s)
        if rate is None or self.done == self.total:
            return ""
        of = "" if self.images_per_minute is None else f" of {rate_text(self.images_per_minute)}"
        return f"{rate_text(round(rate) if rate >= _WHOLE else rate)}/min{of}"

    def rests(self, now_s: float) -> Iterator[str]:
        """A line for each pause that is not over."""
        for models, (until_s, reason) in self.pauses.items():
            if until_s > now_s:
                yield safe_text(f"paused {', '.join(models)} {duration_text(until_s - now_s)}: {reason}")

    def troubles(self) -> Iterator[str]:
        """A line for each class of failures, with what the writer can do; the one that came last first."""
        for kind, count in reversed(self.classes.items()):
            yield f"{count:,} {kind}: {ADVICE[kind].writer}"


def is_trouble(event: AttemptFailed) -> bool:
    """Whether a person should hear of it: what is tried again is only counted, unless it stops the job."""
    return event.task_state in _FINAL or event.failure.failure_class in STOPPING
