"""A million images in a night, simulated event by event with the pool's own decisions; prints the table of docs/scaling.md.

`python -m tests.bench.simulation` takes under a minute. What a network, a disk and a provider do is assumed, and named
in `Setting`; when a request goes out, what a refusal or a failure leads to, and what a budget allows is decided by the
functions that decide it in a run: `Bucket`, `Tempo`, `next_step`, `may_resend`, `Breaker` and `Purse`.
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
from batchgen.pool.tempo import Tempo

CPU_S = 0.0025
"""Of the coordinator for an image of 1.5 MB, in full: a figure of the benchmark suite, taken as an input here."""

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
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._env = simpy.Environment()
        self._each_usd = price_usd(setting)
        self._purse = Purse("night", 2 * setting.images * self._each_usd)
        self._breaker = Breaker()
        self._tempo = Tempo(setting.images_per_minute)
        self._again: list[int] = []
        self._left = setting.images
        self._requests = self._resends = self._stored = 0
        self._open_s = 0.0
        self._busy_s = 0.0

    def run(self) -> Figures:
        """Simulate until everything is stored."""
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
            yield self._env.timeout(max(gap_s, self._tempo.next_at - self._env.now))
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
        assert self._purse.has(self._each_usd), "the budget is too small"
        self._purse.reserve(self._each_usd)
        self._tempo.sent(self._env.now)
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
    Setting(1_000_000, 2_500.0),
    Setting(1_000_000, 12_000.0),
)
"""The highest published quota; what ten hours need; two quotas that newer pages name or would allow."""

SCALE = 20
"""A twentieth of the images is simulated, and what grows with them is multiplied: a night has no memory."""


def simulated(setting: Setting, scale: int = SCALE) -> Figures:
    """The figures of a whole night."""
    part = Setting(setting.images // scale, setting.images_per_minute)
    found = Provider(part).run()
    return Figures(
        found.hours * scale,
        found.open_requests,
        found.bytes_per_s,
        found.coordinator,
        found.ledger_bytes * scale,
        found.cost_usd * scale,
    )


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


def main() -> None:
    """Print the table, and how far the simulation is from it."""
    print("| images a minute | time | open requests | received | one core | ledger | cost |")
    print("|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        print(row(setting, on_paper(setting)))
    print("\nsimulated:")
    for setting in SETTINGS:
        print(row(setting, simulated(setting)))


if __name__ == "__main__":
    main()
