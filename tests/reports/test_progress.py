"""Progress on a stream."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.events import AttemptSent, Event, Notice, Paused, RunEnded
from batchgen.core.types import FailureClass, Paid, TaskState
from batchgen.reports.live import fitting
from batchgen.reports.progress import FAILURES_SHOWN, Progress
from batchgen.reports.tracker import Tracker
from tests.reports.samples import failed_event, started, stored_event, task

ENDED = RunEnded(
    {"job": "spring", "stored": 1, "kept": 0, "failed": 0, "held": 0, "pending": 3, "stopped_by": "budget"}
)


def told(moments: list[tuple[float, Event]], *, quiet: bool = False) -> list[str]:
    """The lines of a log after these events, each at its second."""
    stream, now_s = io.StringIO(), [0.0]
    with Progress(stream, terminal=False, clock=lambda: now_s[0], quiet=quiet) as progress:
        for now_s[0], event in moments:
            progress.notify(event)
    return stream.getvalue().splitlines()


def test_a_log_gets_a_line_at_each_tenth() -> None:
    """A fast run of 100 images writes eleven lines and a closing one, not a hundred."""
    moments: list[tuple[float, Event]] = [(0.0, started(100, images_per_minute=60, budget_usd=25))]
    moments += [(0.01 * number, stored_event()) for number in range(100)]

    lines = told([*moments, (2.0, ENDED)])

    assert (
        lines[0]
        == "spring: 100 images to make with cometapi, at most 60 a minute, 8 at once, budget $25.00 (run r1)"
    )
    assert lines[1] == " 10 %  10 of 100 stored, 2 min left, $0.40 of $25.00"
    assert [f"{percent:>3} %" for percent in range(10, 101, 10)] == [line[:5] for line in lines[1:11]]
    assert lines[11:] == ["spring ended: 1 stored, 0 kept, 0 failed, 0 held, 3 pending, stopped by budget"]


def test_a_slow_run_gets_a_line_every_ten_seconds() -> None:
    """Whoever follows the log of a slow night sees that it lives, and not more often than that."""
    moments: list[tuple[float, Event]] = [(0.0, started(1000))]
    moments += [(float(second), stored_event()) for second in range(1, 31)]

    lines = told(moments)

    assert [line[7:].split(" stored")[0] for line in lines[1:]] == ["10 of 1,000", "20 of 1,000", "30 of 1,000"]


def test_failures_have_a_line_each_up_to_a_number() -> None:
    """The first twenty are told with class, task and reason, the others are counted; retries are counted only."""
    retry = failed_event(kind=FailureClass.TRANSIENT, state=TaskState.PENDING)
    moments: list[tuple[float, Event]] = [(0.0, started(1000)), (0.0, retry)]
    moments += [(0.0, failed_event("No\x1b[2J\nno", task_id=f"boat--{number:02}")) for number in range(1, 31)]

    lines = told(moments)

    assert lines[1] == "refused: boat--01: No no"
    assert lines[1 + FAILURES_SHOWN].startswith("more than 20 failures")
    assert len(lines) == 2 + FAILURES_SHOWN


def test_what_stops_the_job_is_told() -> None:
    """A key that is not accepted leaves its task pending, and still must not go unsaid."""
    refused = failed_event("The key is wrong.", kind=FailureClass.AUTH, state=TaskState.PENDING)

    lines = told([(0.0, started(9)), (0.0, refused)])

    assert lines[1] == "auth: boat--01: The key is wrong."


def test_pauses_and_notices_are_one_line_each() -> None:
    """What comes from outside stays on its line, without control characters."""
    lines = told([(0.0, Paused(("m\n1",), 20, "slow\x07 down")), (0.0, Notice("mind\r\nthe \u202egap"))])

    assert lines == ["paused m 1 for 20 s: slow down", "note: mind the gap"]


def test_quiet_is_quiet() -> None:
    """Cron mails what is written, so quiet writes nothing."""
    assert told([(0.0, started(1)), (0.0, failed_event()), (0.0, ENDED)], quiet=True) == []


def test_a_closed_pipe_does_not_stop_a_run() -> None:
    """An observer never raises; lines that nobody reads are dropped."""
    stream = io.StringIO()
    with Progress(stream, terminal=False, clock=lambda: 0.0) as progress:
        progress.notify(Notice("before"))
        stream.close()
        progress.notify(Notice("after"))

    assert stream.closed


@pytest.mark.parametrize("columns", [24, 80])
def test_a_terminal_of_any_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """The live part never wraps, lines that stay are whole, and both are free of foreign control characters."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    with Progress(stream, terminal=True, clock=lambda: 0.0) as progress:
        progress.notify(started(4, images_per_minute=60, budget_usd=25))
        progress.notify(stored_event())
        progress.notify(failed_event("[bold]no[/bold]\x1b]0;evil\x07"))

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n").splitlines()
    live = [line for line in shown if "%" in line or "stored" in line]
    assert "refused: boat--01: [bold]no[/bold]" in shown
    assert any(line.startswith("1 of 4 stored") for line in live)
    assert max(map(len, live)) <= columns


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1), st.integers(1, 60))
def test_a_line_takes_what_fits(phrases: list[str], width: int) -> None:
    """The most important phrase is always there, and no other makes the line too long."""
    line = fitting(phrases, width)

    assert line.startswith(phrases[0])
    assert len(line) <= max(width, len(phrases[0]))


def at(tracker: Tracker, second_of: Callable[[int], float], count: int) -> None:
    """Store some images, each at its second."""
    for number in range(count):
        tracker.take(stored_event(), second_of(number))


def test_what_is_held_is_not_called_failed() -> None:
    """A lost answer may be an image that was paid for: it waits for a person, and is counted by itself."""
    lines = told([(0.0, started(2)), (0.0, failed_event()), (0.0, failed_event(state=TaskState.HELD))])

    assert "100 %  0 of 2 stored, 1 failed, 1 held, $0.00" == lines[-1]


def test_money_is_counted_as_the_summary_counts_it() -> None:
    """What was paid for in vain, may have been, or has a link, is spent; refusals and what never left are not."""
    tracker = Tracker()
    tracker.take(started(9), 0.0)
    tracker.take(stored_event(0.04), 1.0)
    for paid, state in [
        (Paid.YES, TaskState.FAILED),
        (Paid.MAYBE, TaskState.HELD),
        (Paid.MAYBE, TaskState.PENDING),
        (Paid.NO, TaskState.RECEIVED),
        (Paid.NO, TaskState.FAILED),
    ]:
        tracker.take(failed_event(paid=paid, state=state, bound_usd=0.05), 2.0)

    assert 0.24 == tracker.cost_usd
    assert "$0.24" in tracker.phrases(2.0)


def test_what_a_dead_run_left_is_not_progress() -> None:
    """On resume no percentage is told before it is known of how much; failures are told, and count in nothing."""
    left: list[Event] = [stored_event(), *[failed_event(state=TaskState.HELD)] * 5, stored_event()]

    slowly: list[tuple[float, Event]] = [(20.0 * number, event) for number, event in enumerate(left)]

    lines = told([*slowly, (150.0, started(2))])
    more = told([*slowly, (150.0, started(2)), (150.0, stored_event())])

    assert ["refused: boat--01: no"] * 5 == lines[:5]
    assert lines[5].startswith("spring: 2 images to make")
    assert 6 == len(lines)
    assert " 50 %  1 of 2 stored, $0.04" == more[-1]


def test_a_terminal_says_that_a_run_is_getting_ready() -> None:
    """Nothing is done before it is known what there is to do."""
    tracker = Tracker()
    tracker.take(stored_event(), 0.0)

    assert (0, ["getting ready"]) == (tracker.percent, tracker.phrases(0.0))
    tracker.take(started(0), 0.0)
    assert 100 == tracker.percent


def test_the_rate_is_of_the_last_minute() -> None:
    """A slow start does not hide a fast present, and the time left follows it."""
    tracker = Tracker()
    tracker.take(started(1200), 0.0)
    at(tracker, lambda number: 60.0 + number / 2, 120)

    assert tracker.rate_per_minute(120.0) == pytest.approx(120, rel=0.02)
    assert tracker.left_s(120.0) == pytest.approx(540, rel=0.02)


def test_time_left_never_beats_the_limit() -> None:
    """A burst of stored images does not promise more than the limit allows."""
    tracker = Tracker()
    tracker.take(started(110, images_per_minute=60), 0.0)
    at(tracker, lambda _: 5.0, 50)

    assert tracker.left_s(5.0) == 60


def test_in_flight_counts_what_this_run_sent() -> None:
    """An attempt that a stop ended before it was sent does not make the count negative."""
    tracker = Tracker()
    for event in (
        started(9),
        stored_event(),
        AttemptSent(task(), "a1", 1),
        AttemptSent(task(), "a2", 1),
        failed_event(),
    ):
        tracker.take(event, 0.0)

    assert tracker.in_flight == 1
