"""What people see of a run and a plan on a real terminal."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping

import pytest

from tests.support.cli import Desk
from tests.support.paid import Rule, Till, refuse
from tests.support.screen import on_terminal

pytest_plugins = ("tests.support.fixtures",)

PROMPTS: list[Mapping[str, object]] = [
    {"id": "boat", "prompt": "A boat.", "images": 5},
    {"id": "mug", "prompt": "A refused mug.", "images": 2},
    {"id": "tree", "prompt": "A held tree."},
]
SCRIPT = (refuse("refused"), Rule("held", "hold"))


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_run_on_a_terminal(desk: Desk, till: Till, columns: int) -> None:
    """Plan, counts, cost against budget, rate, failures by class with advice; no line wraps, and the end is clean."""
    till.script(*SCRIPT)
    desk.manifest(PROMPTS, limits={"images_per_minute": 6000, "budget_usd": 2})
    with on_terminal(desk, "run", "job.yaml", columns=columns, environ={"NO_COLOR": "1"}) as terminal:
        terminal.until("2 refused")
        terminal.until("5 of 8 stored")
        live = terminal.until("1 in flight")
        till.script()
        code, screen = terminal.done()

    assert 1 == code
    assert "Plan for job: 8 tasks, 8 to send" in live.lines[0]
    assert any("  + new      8  ~$" in line for line in live.lines)
    bar = next(place for place, line in enumerate(live.lines) if "━" in line)
    below = " ".join(live.lines[bar:])
    assert live.lines[bar].endswith(" 87 %")
    for words in ("5 of 8 stored", "2 failed", "of $2.00", "1 in flight", "2 refused: Reword the prompt"):
        assert words in below
    assert 0 == live.wrapped
    assert screen.visible
    assert not screen.colours
    assert not any("━" in line for line in screen.lines)
    assert 1 == sum(line.startswith("job ended") for line in screen.lines)


def test_a_window_that_is_made_narrower(desk: Desk, till: Till) -> None:
    """The next frame fits it."""
    till.script(*SCRIPT)
    desk.manifest(PROMPTS)
    with on_terminal(desk, "run", "job.yaml", columns=100) as terminal:
        terminal.until("1 in flight")
        terminal.until("2 refused")
        before = len(terminal.frames())
        terminal.resize(30)
        while not any(_widest(frame) < 30 for frame in terminal.frames()[before:]):
            assert None is terminal.process.poll()
            time.sleep(0.005)
        till.script()
        assert 1 == terminal.done()[0]

    assert _widest(terminal.frames()[before - 1]) > 30


def _widest(frame: list[str]) -> int:
    return max(map(len, frame))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_clean_terminal(desk: Desk, till: Till, number: signal.Signals) -> None:
    """What it does is said on a line of its own above the live part, which is gone at the end."""
    till.script(*SCRIPT)
    desk.manifest(PROMPTS)
    with on_terminal(desk, "run", "job.yaml") as terminal:
        terminal.until("1 in flight")
        if number is signal.SIGINT:
            terminal.type("\x03")
        else:
            terminal.process.send_signal(number)
        live = terminal.until("stopping: waiting")
        till.script()
        code, screen = terminal.done()

    assert 128 + number == code
    assert any(line.startswith(("stopping", "^Cstopping")) for line in live.lines)
    assert not any("━" in line for line in screen.lines)
    assert screen.visible


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_terminal_that_can_only_print(desk: Desk, till: Till, environ: dict[str, str]) -> None:
    """It gets the lines of a log, without a single control sequence."""
    till.script(refuse("refused"))
    desk.manifest(PROMPTS)
    with on_terminal(desk, "run", "job.yaml", environ=environ) as terminal:
        code, screen = terminal.done()

    written = "".join(terminal.written)
    assert 1 == code
    assert "\x1b" not in written
    assert "━" not in written
    assert any(line.startswith("job: 8 images to make") for line in screen.lines)


def test_a_terminal_that_does_not_know_its_size(desk: Desk) -> None:
    """One column, as some terminals have before their window is drawn, is no reason to break a run off."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    with on_terminal(desk, "run", "job.yaml", columns=1) as terminal:
        assert 0 == terminal.done()[0]
    assert 1 == len(desk.images())


def test_quiet_is_silent_on_a_terminal(desk: Desk) -> None:
    """No plan, no live part, nothing."""
    desk.manifest(PROMPTS[:1])
    with on_terminal(desk, "run", "job.yaml", "--quiet") as terminal:
        assert 0 == terminal.done()[0]

    assert "" == "".join(terminal.written)


def test_colours_are_for_those_who_want_them(desk: Desk) -> None:
    """A plan has them on a terminal; not with NO_COLOR, not on one that can only print, not in a pipe."""
    desk.manifest(PROMPTS)

    def coloured(environ: Mapping[str, str]) -> bool:
        with on_terminal(desk, "plan", "job.yaml", environ=environ) as terminal:
            code, screen = terminal.done()
        assert (0, "Plan for job: 8 tasks, 8 to send") == (code, screen.lines[0])
        return screen.colours

    assert [True, False, False] == [coloured({}), coloured({"NO_COLOR": "1"}), coloured({"TERM": "dumb"})]
    assert "\x1b" not in desk.do("plan", "job.yaml").out
