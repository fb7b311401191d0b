"""A million images in a night, simulated event by event; prints the table of docs/scaling.md, and beside it its own.

`python -m tests.bench.simulation` takes about a minute. What a network and a provider do is assumed, and named in
`Setting`. How far apart requests go out (`MARGIN`), what a failure leads to and when it is tried again (`next_step`),
how often a run may send again (`may_resend`), when a lane stops for trouble (`Breaker`) and whether an image can still
be afforded (`Purse`) is decided by the code that decides it in a run.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass

import simpy

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.prices import quote
from batchgen.core.retry import may_resend, next_step
from batchgen.core.types import Failure, FailureClass, RetryPolicy, TaskState
from batchgen.pool.breaker import Breaker
from batchgen.pool.pacing import MARGIN
from batchgen.pool.purse import Purse

CPU_S = 0.0105
"""CPU time for an image of 1.5 MB, in full: measured by `python -m tests.bench.clients`, taken as an input here."""

LEDGER_BYTES = 1024
"""A task on the ledger takes less: the stated bound."""

Event = Generator[simpy.Event, None, None]


@dataclass(frozen=True)
class Setting:
    """A night: what is asked for, and what is assumed of the provider."""

    images: int
    images_per_minute: float
    seconds_each: float = 20.0
    image_bytes: int = 1_500_000
    failing: float = 0.01
    model: str = "gpt-image-2.5-flare"
    quality: str = "medium"
    budget_usd: float = 1e9


@dataclass(frozen=True)
class Figures:
    """What a night comes to. `open_requests` and `bytes_per_s` are averages."""

    hours: float
    open_requests: float
    bytes_per_s: float
    coordinator: float
    ledger_bytes: float
    cost_usd: float


def price_usd(setting: Setting) -> float:
    """What the catalogue says that an image of 1024 x 1024 with a prompt of 400 characters costs."""
    each = quote(
        Catalogue.builtin(), "openai", setting.model, {"quality": setting.quality, "size": "1024x1024"}, {}
    )
    return each.price("x" * 400).expected_usd or 0.0


def on_paper(setting: Setting) -> Figures:
    """The model: the rate, Little's law, and products."""
    requests = setting.images / (1.0 - setting.failing)
    rate = setting.images_per_minute / 60.0 / MARGIN
    stored = rate * (1.0 - setting.failing)
    return Figures(
        requests / rate / 3600.0,
        rate * setting.seconds_each,
        stored * setting.image_bytes * 4 / 3,  # base64
        stored * CPU_S,
        float(setting.images * LEDGER_BYTES),
        setting.images * price_usd(setting),
    )


class Provider:
    """The night as processes: one that sends, and one for each request in flight."""

    def __init__(self, setting: Setting, seed: int = 6) -> None:
        self._setting = setting
        self._random = random.Random(seed)
        self._env = simpy.Environment()
        self._each_usd = price_usd(setting)
        self._purse = Purse("night", setting.budget_usd)
        self._breaker = Breaker()
        self._again: list[int] = []
        self._left = setting.images
        self._requests = self._resends = self._stored = 0
        self._open_s = 0.0
        self._busy_s = 0.0

    def run(self) -> Figures:
        """Simulate until everything is stored, or the budget is spent."""
        self._env.process(self._send())
        self._env.run()
        seconds = self._env.now
        return Figures(
            seconds / 3600.0,
            self._open_s / seconds,
            self._stored * self._setting.image_bytes * 4 / 3 / seconds,
            self._busy_s / seconds,
            float(self._stored * LEDGER_BYTES),
            self._purse.spent_usd,
        )

    def _send(self) -> Event:
        gap_s = MARGIN * 60.0 / self._setting.images_per_minute
        while self._stored < self._setting.images:
            yield self._env.timeout(gap_s)
            if not self._purse.has(self._each_usd):
                return
            if self._again:
                self._take(self._again.pop())
            elif self._left:
                self._left -= 1
                self._take(1)

    def _take(self, attempts: int) -> None:
        if attempts > 1:
            assert may_resend(self._requests, self._resends), "more is sent again than a run may"
            self._resends += 1
        self._requests += 1
        self._purse.reserve(self._each_usd)
        self._env.process(self._request(attempts))

    def _request(self, attempts: int) -> Event:
        seconds = self._random.uniform(0.5, 1.5) * self._setting.seconds_each
        yield self._env.timeout(seconds)
        self._open_s += seconds
        failed = self._random.random() < self._setting.failing
        self._purse.settle(self._each_usd, 0.0 if failed else self._each_usd)
        assert not self._breaker.learn(trouble=failed, probe=False), (
            "the breaker opened at a usual failure rate"
        )
        if not failed:
            self._stored += 1
            self._busy_s += CPU_S
            return
        step = next_step(
            Failure(FailureClass.TRANSIENT, "HTTP 500"),
            attempts=attempts,
            unknowns=0,
            resends_allowed=0,
            policy=RetryPolicy(max_attempts=20),
            jitter=self._random.random(),
        )
        assert step.state is TaskState.PENDING, "a task failed for good"
        yield self._env.timeout(step.delay_s)
        self._again.append(attempts + 1)


SETTINGS = (
    Setting(1_000_000, 250.0),
    Setting(1_000_000, 1_736.0),
    Setting(1_000_000, 5_000.0),
)
"""OpenAI's highest published quota; what ten hours need; about what one process stores of such images."""


def row(setting: Setting, figures: Figures) -> str:
    """A line of the table."""
    cells = (
        f"{setting.images_per_minute:,.0f}",
        f"{figures.hours:.1f} h",
        f"{figures.open_requests:,.0f}",
        f"{figures.bytes_per_s / 1e6:.1f} MB/s",
        f"{100 * figures.coordinator:.1f} %",
        f"{figures.ledger_bytes / 1e9:.2f} GB",
        f"${figures.cost_usd:,.0f}",
    )
    return f"| {' | '.join(cells)} |"


def say(line: str) -> None:
    """A line of output."""
    print(line)  # noqa: T201 - this is its output


def main() -> None:
    """Print the table of the model, and that of the simulation below it."""
    say("| images a minute | time | open requests | received | one core | ledger | cost |")
    say("|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        say(row(setting, on_paper(setting)))
    say("\nsimulated:")
    for setting in SETTINGS:
        say(row(setting, Provider(setting).run()))


if __name__ == "__main__":
    main()
