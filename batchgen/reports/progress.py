"""Progress on a stream: a live line on a terminal, few plain lines in a log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

from batchgen.core.events import AttemptFailed, Event, Notice, Paused, RunEnded, RunStarted
from batchgen.core.plain import safe_text
from batchgen.core.types import FailureClass, TaskState
from batchgen.reports.text import counted, duration_text, rate_text, usd_text
from batchgen.reports.tracker import Tracker

LINE_EVERY_S = 10.0
"""A log gets a line at most this often, and one at each tenth of the way."""

FAILURES_SHOWN = 20
"""Failures that get a line each; the report has them all."""

_STOPPING = frozenset({FailureClass.AUTH, FailureClass.BILLING, FailureClass.STORAGE})


class Screen(Protocol):
    """Where lines and progress appear."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def moved(self, tracker: Tracker, now_s: float) -> None:
        """The numbers changed."""

    def close(self) -> None:
        """Leave the stream as a next command wants it."""


class PlainScreen:
    """Lines for a log file: progress at each tenth, and else at most every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said_s: float | None = None
        self._tenths = 0

    def say(self, line: str) -> None:
        """Write a line and flush it, for whoever follows the log."""
        self._stream.write(line + "\n")
        self._stream.flush()

    def moved(self, tracker: Tracker, now_s: float) -> None:
        """Write where things stand, when it is time."""
        since_s = now_s - (tracker.started_s if self._said_s is None else self._said_s)
        tenths = tracker.percent // 10
        if tenths > self._tenths or since_s >= LINE_EVERY_S:
            self._said_s, self._tenths = now_s, tenths
            self.say(f"{tracker.percent:>3} %  {', '.join(tracker.phrases(now_s))}")

    def close(self) -> None:
        """Nothing to do: every line is complete."""


class Progress:
    """An observer and context manager that tells `stream` how a run goes. Never raises while notified.

    `clock` gives seconds that only go forward (`time.monotonic`). With `quiet` nothing is written. On a
    `terminal` rich draws, imported only then. A stream that breaks (a closed pipe) is no longer written to.
    """

    def __init__(
        self, stream: TextIO, *, terminal: bool, clock: Callable[[], float], quiet: bool = False
    ) -> None:
        self._stream = stream
        self._terminal = terminal
        self._clock = clock
        self._tracker = Tracker()
        self._failures = 0
        self._screen: Screen | None = None
        self._broken = quiet
        # The live line is drawn by a thread of its own.
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        if not self._broken:
            self._screen = self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen is not None:
            try:
                self._screen.close()
            except (OSError, ValueError):
                self._broken = True

    def _open(self) -> Screen:
        if not self._terminal:
            return PlainScreen(self._stream)
        from batchgen.reports.live import LiveScreen

        return LiveScreen(self._stream, self._phrases)

    def _phrases(self) -> tuple[int, list[str]]:
        with self._lock:
            return self._tracker.percent, self._tracker.phrases(self._clock())

    def notify(self, event: Event) -> None:
        """Take one event."""
        if self._screen is None or self._broken:
            return
        now_s = self._clock()
        try:
            with self._lock:
                self._tracker.take(event, now_s)
            for line in self._lines(event):
                self._screen.say(line)
            if self._tracker.begun and not isinstance(event, RunStarted | RunEnded | Notice | Paused):
                self._screen.moved(self._tracker, now_s)
        except (OSError, ValueError):
            # A closed pipe or file: the run matters more than its lines.
            self._broken = True

    def _lines(self, event: Event) -> list[str]:
        match event:
            case RunStarted():
                return [start_line(event)]
            case AttemptFailed() if _is_worth_a_line(event):
                return self._failure_lines(event)
            case Paused():
                models = ", ".join(event.models)
                return [safe_text(f"paused {models} for {duration_text(event.seconds)}: {event.reason}")]
            case Notice():
                return [safe_text(f"note: {event.message}")]
            case RunEnded():
                return [end_line(event)]
            case _:
                return []

    def _failure_lines(self, event: AttemptFailed) -> list[str]:
        self._failures += 1
        if self._failures > FAILURES_SHOWN + 1:
            return []
        if self._failures > FAILURES_SHOWN:
            return [
                f"more than {FAILURES_SHOWN} failures: the report lists them all, here they are only counted"
            ]
        failure = event.failure
        return [safe_text(f"{failure.failure_class}: {event.task.task_id}: {failure.reason}")]


def _is_worth_a_line(event: AttemptFailed) -> bool:
    """An attempt that is tried again is only counted, unless it stops the job."""
    return event.task_state is not TaskState.PENDING or event.failure.failure_class in _STOPPING


def start_line(event: RunStarted) -> str:
    """The first line: what is about to happen, within which bounds."""
    facts = [f"{counted(event.to_send, 'image')} to make with {event.provider}"]
    if event.kept:
        facts.append(f"{event.kept:,} kept")
    if event.images_per_minute is not None:
        facts.append(f"at most {rate_text(event.images_per_minute)} a minute")
    facts.append(f"{event.concurrency} at once")
    if event.expected_usd is not None:
        facts.append(f"expected {usd_text(event.expected_usd)}")
    if event.budget_usd is not None:
        facts.append(f"budget {usd_text(event.budget_usd)}")
    return safe_text(f"{event.job}: {', '.join(facts)} (run {event.run_id})")


def end_line(event: RunEnded) -> str:
    """The closing line, from the object that `run --json` prints."""
    said = event.summary
    counts = ", ".join(
        f"{said.get(name, 0)} {name}" for name in ("stored", "kept", "failed", "held", "pending")
    )
    stopped = f", stopped by {said['stopped_by']}" if said.get("stopped_by") else ""
    seconds, cost_usd = said.get("seconds"), said.get("cost_usd")
    took = f" in {duration_text(seconds)}" if isinstance(seconds, int | float) else ""
    cost = f", {usd_text(cost_usd)}" if isinstance(cost_usd, int | float) else ""
    return safe_text(f"{said.get('job', 'run')} ended{took}: {counts}{cost}{stopped}")
