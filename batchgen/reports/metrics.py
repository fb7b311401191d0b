"""Metrics of the runs for Prometheus, in a file that node_exporter's textfile collector reads."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from anyio import to_thread

from batchgen.core.errors import JobLockedError, UsageError
from batchgen.core.events import AttemptFailed, Event, RunBroken, RunEnded, RunStarted, TaskStored
from batchgen.core.protocols import Observer
from batchgen.reports.settings import TEXTFILE_S, Say
from batchgen.reports.textfile import (
    ATTEMPTS,
    BUDGET,
    COST,
    DURATION,
    EXIT_CODE,
    FINISHED,
    METRICS,
    RUN_COST,
    STARTED,
    STORED,
    TASKS,
    Values,
    read_textfile,
    write_textfile,
)
from batchgen.reports.tracker import Tracker
from batchgen.system.errands import Errands

INSTALL = f"{sys.executable} -m pip install prometheus-client"

CLOSE_S = 10.0
"""So long an ended run waits for the file to be written for the last time."""

KEPT_S = 30 * 86400.0
"""A job that has not ended for so long was given up, and its lines go: the file does not grow for ever."""

SIGNALS: Mapping[str, int] = MappingProxyType({"SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143})


@dataclass(slots=True)
class JobNumbers:
    """The numbers of one job: what the file had of it before, and what this run adds."""

    before: Values
    tracker: Tracker = field(default_factory=Tracker)
    values: Values = field(default_factory=dict)
    kept: int = 0
    started_s: float = 0.0
    attempts: dict[str, int] = field(default_factory=dict)

    def begin(self, event: RunStarted, moment_s: float) -> None:
        """A run starts: what its counters had before stays under them."""
        self.kept, self.started_s = event.kept, moment_s
        self.values = {key: value for key, value in self.before.items() if key[0] in {FINISHED, EXIT_CODE}}
        if event.budget_usd is not None:
            self.values[BUDGET, ""] = round(event.budget_usd, 6)
        self.values[STARTED, ""] = moment_s
        self.standing(moment_s)

    def standing(self, moment_s: float) -> None:
        """Where a run that is under way stands."""
        tracker = self.tracker
        left = tracker.total - tracker.done
        states = {"stored": tracker.stored, "kept": self.kept, "failed": tracker.failed, "held": tracker.held}
        self._set({**states, "pending": left}, tracker.stored, tracker.cost_usd)
        self.values[DURATION, ""] = round(max(0.0, moment_s - self.started_s), 3)

    def end(self, event: RunEnded, moment_s: float) -> None:
        """A run is over: every number is its summary's."""
        said = event.summary
        states = {name: _number(said, name) for name in ("stored", "kept", "failed", "held", "pending")}
        self._set(states, _number(said, "stored"), _number(said, "cost_usd"))
        self.values[DURATION, ""] = _number(said, "seconds")
        self.values[FINISHED, ""] = moment_s
        by_signal = said.get("stopped_by") == "signal"
        self.values[EXIT_CODE, ""] = SIGNALS.get(event.stop_detail, 3) if by_signal else event.exit_code

    def _set(self, states: Mapping[str, float], stored: float, cost_usd: float) -> None:
        self.values |= {(TASKS, state): count for state, count in states.items()}
        self.values[RUN_COST, ""] = cost_usd
        counters = {(STORED, ""): stored, (COST, ""): cost_usd}
        counters |= {(ATTEMPTS, name): count for name, count in self.attempts.items()}
        known = {key for key in self.before if METRICS[key[0]].counts} | counters.keys()
        self.values |= {key: round(self.before.get(key, 0.0) + counters.get(key, 0.0), 6) for key in known}


class Metrics:
    """Keeps the numbers of all runs of a process in one file, beside those of jobs that do not run now.

    `clock_s` gives seconds since 1970.
    """

    def __init__(
        self, path: Path, say: Say, clock_s: Callable[[], float] = time.time, every_s: float = TEXTFILE_S
    ) -> None:
        self._path = path
        self._file = read_textfile(path)
        self._say = say
        self._clock_s = clock_s
        self._jobs: dict[str, JobNumbers] = {}
        self._lock = threading.Lock()
        self._changed = self._warned = False
        self._errands = Errands("batchgen-metrics", self.write, every_s)

    def of_job(self) -> Observer:
        """An observer of one run."""
        numbers = JobNumbers({})

        def notify(event: Event) -> None:
            nonlocal numbers
            with self._lock:
                self._changed = True
                if isinstance(event, RunStarted):
                    numbers = self._jobs[event.job] = JobNumbers(self._before(event.job))
                self._take(numbers, event)

        return notify

    def _take(self, numbers: JobNumbers, event: Event) -> None:
        moment_s = self._clock_s()
        numbers.tracker.take(event, moment_s)
        match event:
            case RunStarted():
                numbers.begin(event, moment_s)
                self._errands.add(self.write)
            case RunBroken() if event.exit_code == JobLockedError.exit_code:
                pass  # whoever holds the job writes its numbers
            case RunBroken():
                broken = self._jobs.setdefault(event.job, JobNumbers({}, values=self._before(event.job)))
                broken.values |= {(EXIT_CODE, ""): event.exit_code, (STARTED, ""): moment_s}
            case _ if not numbers.tracker.begun:
                return
            case RunEnded():
                numbers.end(event, moment_s)
            case TaskStored() | AttemptFailed():
                name = "stored" if isinstance(event, TaskStored) else event.failure.failure_class.value
                numbers.attempts[name] = numbers.attempts.get(name, 0) + 1
                numbers.standing(moment_s)

    def _before(self, job: str) -> Values:
        """What is known of a job from runs before this one: this process's, or the file's."""
        if job in self._jobs:
            return dict(self._jobs[job].values)
        return dict(self._file.get(job, {}))

    def write(self) -> None:
        """Write the file, if there is anything new to write."""
        with self._lock:
            if not self._changed:
                return
            self._changed = False
            jobs = {name: dict(numbers.values) for name, numbers in self._jobs.items()}
        try:
            oldest_s = self._clock_s() - KEPT_S
            others = {
                name: values
                for name, values in read_textfile(self._path).items()
                if values.get((FINISHED, ""), values.get((STARTED, ""), 0.0)) >= oldest_s
            }
            write_textfile(self._path, others | jobs)
        except OSError as error:
            if not self._warned:
                self._warned = True
                self._say(f"{self._path}: metrics cannot be written ({error.strerror}); the run goes on")

    async def close(self) -> None:
        """Write the last numbers."""
        self._errands.add(self.write)
        if not await self._errands.close(CLOSE_S):
            self._say(f"{self._path}: metrics were not written within {CLOSE_S:g} s")


async def open_metrics(path: Path, say: Say) -> Metrics:
    """Get ready to write metrics. Raises `UsageError`."""
    return await to_thread.run_sync(_open, path, say)  # the library is slow to import, and the file is read


def _open(path: Path, say: Say) -> Metrics:
    try:
        import prometheus_client  # noqa: F401 - only whether it is there
    except ImportError:
        raise UsageError(
            f"metrics are configured, but prometheus-client, which writes them, is not installed (run: {INSTALL})"
        ) from None
    if not path.parent.is_dir():
        raise UsageError(f"`metrics.textfile` is {path}, but there is no folder {path.parent} (make it)")
    return Metrics(path, say)


def _number(said: Mapping[str, object], name: str) -> float:
    value = said.get(name, 0)
    return value if isinstance(value, int | float) else 0
