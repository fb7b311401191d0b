"""Progress on a stream."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.events import AttemptSent, Event, Notice, Paused, PlanMade, RunEnded
from batchgen.core.summary import PlanSummary
from batchgen.core.types import Change, FailureClass, Paid, TaskState
from batchgen.reports.columns import cells, cut
from batchgen.reports.live import LiveScreen, bar_line, filled
from batchgen.reports.pace import Pace
from batchgen.reports.progress import Progress
from batchgen.reports.tracker import Tracker
from tests.reports.samples import failed_event, started, stored_event, task
from tests.support.screen import Screen

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


def test_a_log_has_a_beginning_and_an_end() -> None:
    """A run of seconds is told in a line before and a line after it, however many images it makes."""
    moments: list[tuple[float, Event]] = [(0.0, started(100, images_per_minute=60, budget_usd=25))]
    moments += [(0.01 * number, stored_event()) for number in range(100)]

    assert [
        "spring: 100 images to make with cometapi, at most 60 a minute, 8 at once, budget $25.00 (run r1)",
        "spring ended: 1 stored, 0 kept, 0 failed, 0 held, 3 pending, stopped by budget",
    ] == told([*moments, (2.0, ENDED)])


def test_a_log_gets_fewer_lines_the_longer_it_takes() -> None:
    """Every ten seconds at first, then at each tenth of the time so far, every ten minutes at least: a night is short."""
    moments: list[tuple[float, Event]] = [(0.0, started(40_000))]
    moments += [(float(second), stored_event()) for second in range(1, 8 * 3600)]

    lines = told(moments)

    stored = [int(line[7:].split(" of")[0].replace(",", "")) for line in lines[1:]]
    gaps = [later - earlier for earlier, later in pairwise([0, *stored])]
    assert [10, 20, 30] == stored[:3]
    assert sorted(gaps) == gaps
    assert 600 == max(gaps)
    assert len(lines) < 120


def test_the_first_failure_of_each_class_is_told() -> None:
    """With class, task, reason and what the writer can do; the others are counted, and retries only are."""
    retry = failed_event(kind=FailureClass.TRANSIENT, state=TaskState.PENDING)
    moments: list[tuple[float, Event]] = [(0.0, started(1000)), (0.0, retry)]
    moments += [(0.0, failed_event("No\x1b[2J\nno", task_id=f"boat--{number:02}")) for number in range(1, 31)]
    moments += [(0.0, failed_event("Odd.", kind=FailureClass.INVALID)), (10.0, stored_event())]

    assert [
        "refused: boat--01: No no",
        "  Reword the prompt, then run again; nothing was charged for the refusal.",
        "invalid: boat--01: Odd.",
        "  Change the setting that the reason names, then run again.",
        "  3 %  1 of 1,000 stored, 5 min left, 31 failed, $0.04, 192/min, 1 tried again, failures: 30 refused, 1 invalid",
    ] == told(moments)[1:]


def test_what_stops_the_job_is_told() -> None:
    """A key that is not accepted leaves its task pending, and still must not go unsaid."""
    refused = failed_event("The key is wrong.", kind=FailureClass.AUTH, state=TaskState.PENDING)

    lines = told([(0.0, started(9)), (0.0, refused)])

    assert lines[1] == "auth: boat--01: The key is wrong."


def test_pauses_and_notices_are_one_line_each() -> None:
    """What comes from outside stays on its line, without control characters."""
    lines = told([(0.0, Paused(("m\n1",), 20, "slow\x07 down")), (0.0, Notice("mind\r\nthe \u202egap"))])

    assert lines == ["paused m 1 for 20 s: slow down", "note: mind the gap"]


def test_a_log_hears_of_a_pause_once_in_a_while() -> None:
    """A provider that asks to slow down every minute does not fill the log of a night."""
    moments: list[tuple[float, Event]] = [
        (60.0 * minute, Paused(("m1",), 20, "slow down")) for minute in range(25)
    ]

    assert 3 == len(told(moments))
    assert 4 == len(told([*moments, (1500.0, Paused(("m2",), 20, "slow down"))]))


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


class Drawn:
    """A screen of so many columns that is drawn when the test says so, and what is seen of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int, lines: list[tuple[str, str]]) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "24")
        self.lines = lines
        self.stream = Pieces()
        self.live = LiveScreen(self.stream, lambda _: list(self.lines), every_s=3600)
        self.seen = Screen(columns)

    def draw(self) -> list[str]:
        """Draw, and look."""
        self.live.draw()
        return self.look()

    def look(self) -> list[str]:
        """What is seen now."""
        self.seen.feed("".join(self.stream.pieces).replace("\n", "\n\r"))
        self.stream.pieces.clear()
        return self.seen.lines


class Pieces(io.StringIO):
    """A stream that tells each write."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces = list[str]()

    def write(self, text: str) -> int:
        """Note it."""
        self.pieces.append(text)
        return len(text)


def test_a_frame_is_one_write_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is erased before it is written over, unchanged frames write nothing, fewer lines leave nothing behind."""
    drawn = Drawn(monkeypatch, 30, [("one", ""), ("two", ""), ("three", "")])
    assert ["one", "two", "three"] == drawn.draw()
    drawn.live.draw()
    assert [] == drawn.stream.pieces
    drawn.lines = [("1", ""), ("2", "")]
    drawn.live.draw()
    (piece,) = drawn.stream.pieces
    assert "\r\x1b[2A1\x1b[K\n2\x1b[K\x1b[J\r" == piece
    assert ["1", "2"] == drawn.look()
    drawn.live.close()
    assert [] == drawn.look()


def test_lines_that_stay_go_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are whole, break between words where they are too long, and the live part is below them until its end."""
    drawn = Drawn(monkeypatch, 20, [("live", "")])
    drawn.draw()
    drawn.lines = [("lively", "")]
    drawn.live.say("a line that is longer than the screen")
    shown = drawn.draw()
    assert ["a line that is", "  longer than the", "  screen", "lively"] == shown
    drawn.live.say("last")
    drawn.live.close()
    assert [*shown[:-1], "last"] == drawn.look()
    assert 0 == drawn.seen.wrapped


@pytest.mark.parametrize("columns", [8, 24, 40, 80])
def test_the_live_part_fits_any_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Wide characters count twice, what is too long is cut, and no line wraps."""
    drawn = Drawn(monkeypatch, columns, [("\u8239" * 60, ""), ("e\u0301" * 100, ""), ("x" * columns, "")])

    shown = drawn.draw()

    drawn.live.close()
    assert (3, 0) == (len(shown), drawn.seen.wrapped)
    assert all(line.endswith("\u2026") for line in shown)


def test_a_narrower_window_is_redrawn_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal wraps what is there anew: as many rows are gone back, so that nothing is left of them."""
    drawn = Drawn(monkeypatch, 40, [("x" * 30, ""), ("y" * 30, "")])
    drawn.draw()
    monkeypatch.setenv("COLUMNS", "20")
    drawn.lines = [("z", "")]
    drawn.live.draw()

    drawn.live.close()
    assert drawn.stream.pieces[0].startswith("\r\x1b[2A")


@given(
    st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12), min_size=1),
    st.integers(1, 60),
)
def test_lines_take_what_fits(phrases: list[str], width: int) -> None:
    """Every phrase is there, in its order, and no line is too long that holds more than one."""
    lines = filled(phrases, width)

    assert phrases == " · ".join(lines).split(" · ")
    assert all(cells(line) <= width for line in lines if " · " in line)


@given(st.text(), st.integers(1, 40))
def test_what_is_cut_says_so(text: str, width: int) -> None:
    """At most so many columns, and an ellipsis where something is missing."""
    shown = cut(text, width)

    assert cells(shown) <= width
    assert shown == text or shown.endswith("\u2026")


@pytest.mark.parametrize(
    ("expected", "percent", "width"),
    [("━━━─── 50 %", 50, 12), ("━━━━━━━━━━ 100 %", 100, 16), ("─ 0 %", 0, 3)],
)
def test_a_bar_is_as_long_as_there_is_room(expected: str, percent: int, width: int) -> None:
    """It leaves room for its number."""
    assert expected == bar_line(percent, width, "━─")


def test_a_terminal_shows_the_plan_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a few lines, unless it was shown already; a log does without."""
    monkeypatch.setenv("COLUMNS", "80")
    plan = PlanSummary(
        "spring", "spring.yaml", "cometapi", "api.example.com", "output/spring", tasks=3, to_send=0
    )
    plan.changes[Change.KEPT] = 3

    def shown(*, terminal: bool = True, brief: bool = True) -> str:
        stream = io.StringIO()
        with Progress(stream, terminal=terminal, clock=lambda: 0.0, brief=brief) as progress:
            progress.notify(PlanMade(plan))
            progress.notify(started(0))
        return stream.getvalue()

    assert "  = kept     3" in shown()
    assert "= kept" not in shown(brief=False) + shown(terminal=False)
    assert "0 images to make" in shown(brief=False)


def at(tracker: Tracker, second_of: Callable[[int], float], count: int) -> None:
    """Store some images, each at its second."""
    for number in range(count):
        tracker.take(stored_event(), second_of(number))


def test_what_is_held_is_not_called_failed() -> None:
    """A lost answer may be an image that was paid for: it waits for a person, and is counted by itself."""
    lines = told([(0.0, started(2)), (0.0, failed_event()), (10.0, failed_event(state=TaskState.HELD))])

    assert "100 %  0 of 2 stored, 1 failed, 1 held, $0.00, failures: 2 refused" == lines[-1]


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
    more = told([*slowly, (150.0, started(2)), (160.0, stored_event())])

    assert "refused: boat--01: no" == lines[0]
    assert lines[2].startswith("spring: 2 images to make")
    assert 3 == len(lines)
    assert " 50 %  1 of 2 stored, 10 s left, $0.04, 6/min" == more[-1]


def test_a_terminal_says_that_a_run_is_getting_ready() -> None:
    """Nothing is done before it is known what there is to do."""
    tracker = Tracker()
    tracker.take(stored_event(), 0.0)

    assert (0, ["getting ready"]) == (tracker.percent, tracker.phrases(0.0))
    tracker.take(started(0), 0.0)
    assert 100 == tracker.percent


def test_the_rate_is_of_the_last_minute() -> None:
    """A slow start does not hide a fast present; it is told against the limit, without digits that say nothing."""
    tracker = Tracker()
    tracker.take(started(1200, images_per_minute=150), 0.0)
    at(tracker, lambda number: 60.0 + number / 2, 120)

    assert tracker.pace.rate_per_minute(120.0) == pytest.approx(120, rel=0.02)
    assert any(phrase.endswith("/min of 150") for phrase in tracker.phrases(120.0))


def test_time_left_never_beats_the_limit() -> None:
    """A burst of stored images does not promise more than the limit allows, nor does a pause that lasts."""
    tracker = Tracker()
    tracker.take(started(110, images_per_minute=60), 0.0)
    at(tracker, lambda _: 5.0, 50)

    assert 60 <= (tracker.left_s(5.0) or 0)
    tracker.take(Paused(("m1",), 240, "slow down"), 5.0)
    assert 240 == tracker.left_s(5.0)
    assert ["paused m1 4 min: slow down"] == list(tracker.rests(5.0))
    assert [] == list(tracker.rests(245.0))


def test_time_left_does_not_jump() -> None:
    """Images come in waves of as many as are in flight: between two of them the time left goes down evenly."""
    pace = Pace(wave=8)
    pace.begin(0.0, 800)
    left: list[float] = []
    for second in range(1, 3000):
        if second % 30 == 0:
            for number in range(8):
                pace.count(second, 800 - 8 * (second // 30) + 7 - number)
        left_s = pace.left_s(second, 800 - 8 * (second // 30))
        if left_s is not None and second > 120:
            left.append(second + left_s)

    assert 2800 < len(left)
    assert max(abs(later - earlier) for earlier, later in pairwise(left)) < 300
    assert left[300] == pytest.approx(3000, rel=0.1)


def test_time_left_is_told_from_the_start_where_there_is_a_limit() -> None:
    """The plan's own least time, before a single image is there; nothing is told that is long over."""
    tracker = Tracker()
    tracker.take(started(100, images_per_minute=50), 0.0)

    assert 120 == tracker.left_s(0.0)
    assert 90 <= (tracker.left_s(30.0) or 0)
    assert None is tracker.left_s(121.0)


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
