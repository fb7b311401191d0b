"""Progress on a stream: a few live lines on a terminal, few plain lines in a log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

from batchgen.core.advice import ADVICE
from batchgen.core.events import AttemptFailed, Event, Notice, Paused, PlanMade, RunEnded, RunStarted
from batchgen.core.plain import safe_text
from batchgen.core.types import FailureClass
from batchgen.reports.columns import has_colour, prose_width
from batchgen.reports.text import counted, duration_text, rate_text, usd_text
from batchgen.reports.tracker import Tracker, is_trouble

LINE_EVERY_S = 10.0
"""A log gets a line of progress at most this often, and less often the longer a run takes."""

LINE_AT_MOST_S = 600.0
"""Whoever follows the log of a long night sees that it lives."""

PAUSE_LINE_S = 600.0
"""A pause of the same models is told again in a log after this, since a busy provider asks for one every minute."""

TROUBLES_SHOWN = 3
"""Classes of failures in the live part; the last lines of a run have them all."""


class Screen(Protocol):
    """Where lines and progress appear."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def moved(self) -> None:
        """The numbers changed."""

    def close(self) -> None:
        """Leave the stream as a next command wants it."""


class PlainScreen:
    """Lines for a log: progress every ten seconds at first, then at each tenth of the time so far."""

    def __init__(self, stream: TextIO, tracker: Tracker, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._tracker = tracker
        self._clock = clock
        self._said_s: float | None = None

    def say(self, line: str) -> None:
        """Write a line and flush it, for whoever follows the log."""
        self._stream.write(line + "\n")
        self._stream.flush()

    def moved(self) -> None:
        """Write where things stand, when it is time."""
        now_s, tracker = self._clock(), self._tracker
        began_s = tracker.pace.started_s
        said_s = began_s if self._said_s is None else self._said_s
        if now_s - said_s >= min(max(LINE_EVERY_S, (now_s - began_s) / 10), LINE_AT_MOST_S):
            self._said_s = now_s
            self.say(f"{tracker.percent:>3} %  {', '.join(tracker.phrases(now_s, classes=True))}")

    def close(self) -> None:
        """Nothing to do: every line is complete."""


class Progress:
    """An observer and context manager that tells `stream` how a run goes. Never raises while notified.

    `clock` gives seconds that only go forward (`time.monotonic`). With `quiet` nothing is written. On a
    `terminal` a live part is drawn, and the plan comes first, unless it is not wanted (`brief`). A stream that breaks
    (a closed pipe) is no longer written to.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        terminal: bool,
        clock: Callable[[], float],
        quiet: bool = False,
        brief: bool = True,
    ) -> None:
        self._stream = stream
        self._terminal = terminal
        self._clock = clock
        self._brief = brief and terminal
        self._tracker = Tracker()
        self._told = set[FailureClass]()
        self._paused = dict[tuple[str, ...], float]()
        self._screen: Screen | None = None
        self._broken = quiet
        # The live part is drawn by a thread of its own.
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        if not self._broken:
            self._screen = self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen is not None:
            self._screen.close()

    def _open(self) -> Screen:
        if not self._terminal:
            return PlainScreen(self._stream, self._tracker, self._clock)
        from batchgen.reports.live import LiveScreen

        return LiveScreen(self._stream, self._frame, colour=has_colour(self._stream))

    def _frame(self, width: int) -> list[tuple[str, str]]:
        from batchgen.reports.live import frame_lines

        now_s, tracker = self._clock(), self._tracker
        with self._lock:
            more = [(line, "yellow") for line in tracker.rests(now_s)]
            more += [(line, "red") for line in tracker.troubles()][:TROUBLES_SHOWN]
            return frame_lines(tracker.percent, tracker.phrases(now_s), more, width)

    def say(self, line: str) -> None:
        """Show a line that stays; also where progress is not wanted."""
        try:
            if self._screen is None:
                self._stream.write(line + "\n")
                self._stream.flush()
            else:
                self._screen.say(line)
        except (OSError, ValueError):
            self._broken = True

    def notify(self, event: Event) -> None:
        """Take one event."""
        if self._screen is None or self._broken:
            return
        try:
            with self._lock:
                self._tracker.take(event, self._clock())
            for line in self._lines(event):
                self._screen.say(line)
            if self._tracker.begun and not isinstance(event, RunStarted | RunEnded | Notice | Paused):
                self._screen.moved()
        except (OSError, ValueError):
            # A closed pipe or file: the run matters more than its lines.
            self._broken = True

    def _lines(self, event: Event) -> list[str]:
        match event:
            case PlanMade() if self._brief:
                from batchgen.reports.plan import render_brief

                width, colour = prose_width(self._stream), has_colour(self._stream)
                return render_brief(event.plan, width=width, colour=colour)
            case RunStarted():
                return [start_line(event)]
            case AttemptFailed() if is_trouble(event):
                return self._failure_lines(event)
            case Paused() if self._is_news(event):
                models = ", ".join(event.models)
                return [safe_text(f"paused {models} for {duration_text(event.seconds)}: {event.reason}")]
            case Notice():
                return [safe_text(f"note: {event.message}")]
            case RunEnded():
                return [end_line(event)]
            case _:
                return []

    def _failure_lines(self, event: AttemptFailed) -> list[str]:
        """The first failure of each class, with what to do; the others are counted."""
        failure = event.failure
        kind = failure.failure_class
        if kind in self._told:
            return []
        self._told.add(kind)
        return [
            safe_text(f"{kind}: {event.task.task_id}: {failure.reason}"),
            f"  {ADVICE[kind].writer}",
        ]

    def _is_news(self, event: Paused) -> bool:
        """Whether a log should hear of a pause; the live part shows each while it lasts."""
        now_s = self._clock()
        last_s = self._paused.get(event.models)
        if self._terminal or (last_s is not None and now_s - last_s < PAUSE_LINE_S):
            return False
        self._paused[event.models] = now_s
        return True


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
