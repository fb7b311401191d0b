"""The live part of a terminal: a few lines that are drawn over, below those that stay."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TextIO

from batchgen.reports.columns import cells, columns_of, cut, painted
from batchgen.reports.text import indented

_REDRAW_S = 0.25
"""Often enough to look alive, seldom enough for a slow connection."""

_SUSPENDED_S = 2.0
"""After so long without a frame the process was stopped, and the cursor is where the shell left it."""

_BAR_WIDTH = 40

Frame = Callable[[int], Sequence[tuple[str, str]]]
"""From the columns there are to lines, each with the name of its colour ("" for none)."""


class LiveScreen:
    """Draws `frame` at the bottom of `stream`, one write a frame, by a thread of its own.

    A terminal that takes nothing (Ctrl-S) holds up this thread, never the run. Every line is overwritten in its place,
    so nothing flickers, and nothing is changed of the terminal that somebody would have to put back, however the process
    ends. The width is asked for before each frame; after a change the lines are counted as a terminal wraps them anew.
    """

    def __init__(
        self, stream: TextIO, frame: Frame, *, colour: bool = False, every_s: float = _REDRAW_S
    ) -> None:
        self._stream = stream
        self._frame = frame
        self._colour = colour
        self._said = deque[str]()
        self._drawn = list[tuple[str, str]]()
        self._columns = 0
        self._drawn_s = time.monotonic()
        self._broken = False
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._redraw, args=(every_s,), name="progress", daemon=True)
        self._thread.start()

    def _redraw(self, every_s: float) -> None:
        while not self._closing.is_set() and not self._broken:
            self.draw()
            self._wake.wait(every_s)
            self._wake.clear()

    def say(self, line: str) -> None:
        """Print a line above the live part, soon."""
        self._said.append(line)
        self._wake.set()

    def moved(self) -> None:
        """Nothing to do: the live part is redrawn by the clock, so that many events do not flicker."""

    def close(self) -> None:
        """Say what was not said yet, and take the live part away."""
        self._closing.set()
        self._wake.set()
        self._thread.join()
        self._write(f"{self._back()}\x1b[J{self._lines_said()}")

    def draw(self) -> None:
        """Draw a frame, if anything differs from the one before."""
        columns, rows = columns_of(self._stream)
        # The last column stays free: some terminals begin a new line as soon as it is filled.
        lines = [(cut(text, columns - 1), colour) for text, colour in self._frame(columns - 1)]
        lines = lines[: max(rows - 1, 1)]
        back, said = self._back(columns), self._lines_said()
        if said or lines != self._drawn or columns != self._columns:
            start = f"{back}\x1b[J{said}" if said else back
            shown = "\x1b[K\n".join(painted(text, colour, wanted=self._colour) for text, colour in lines)
            # The cursor rests where typed keys, such as ^C, can wrap nothing.
            self._write(f"{start}{shown}\x1b[K\x1b[J\r")
            self._drawn, self._columns = lines, columns
        self._drawn_s = time.monotonic()

    def _lines_said(self) -> str:
        width, said = columns_of(self._stream)[0] - 1, list[str]()
        while self._said:
            line = self._said.popleft()
            # What is longer than the line breaks between words; what is not, or is in colour, was laid out before.
            fits = "\x1b" in line or cells(line) <= width
            said.append(line if fits else indented(line, "  ", first="", width=width))
        return "".join(f"{line}\n" for line in said)

    def _back(self, columns: int | None = None) -> str:
        """To the first column of the first line that was drawn."""
        if time.monotonic() - self._drawn_s > _SUSPENDED_S and not self._closing.is_set():
            self._drawn = []
        width = columns or columns_of(self._stream)[0]
        rows = sum(max(1, -(-cells(text) // width)) for text, _ in self._drawn[:-1])
        return f"\r\x1b[{rows}A" if rows else "\r"

    def _write(self, text: str) -> None:
        if self._broken:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._broken = True  # the terminal is gone: the run matters more than its lines


def frame_lines(
    percent: int, phrases: list[str], more: Sequence[tuple[str, str]], width: int, *, bar: str = "━─"
) -> list[tuple[str, str]]:
    """A bar, the phrases on as many lines as they need, then `more`, each cut to its line."""
    return [
        (bar_line(percent, width, bar), "green"),
        *((line, "") for line in filled(phrases, width)),
        *more,
    ]


def bar_line(percent: int, width: int, bar: str) -> str:
    """How much is done, e.g. `━━━━──── 50 %`."""
    length = max(min(_BAR_WIDTH, width - 6), 1)
    done = length * percent // 100
    return f"{bar[0] * done}{bar[1] * (length - done)} {percent} %"


def filled(phrases: Sequence[str], width: int) -> list[str]:
    """Phrases in their order, as many to a line as fit."""
    lines = list[str]()
    for phrase in phrases:
        longer = f"{lines[-1]} · {phrase}" if lines else ""
        if longer and cells(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(phrase)
    return lines
