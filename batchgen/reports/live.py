"""The live line of a terminal, drawn by rich; imported only where there is a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchgen.reports.tracker import Tracker

_BAR_WIDTH = 40
_REDRAWS_PER_S = 4.0
"""Enough to look alive, little enough not to flicker over a slow connection."""

Phrases = Callable[[], tuple[int, list[str]]]
"""Whole percent done, and what to say, the most important first."""


class LiveScreen:
    """A bar and one line below the lines that stay; both as wide as the terminal is at that moment."""

    def __init__(self, stream: TextIO, phrases: Phrases) -> None:
        self._phrases = phrases
        self._console = Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)
        self._live = Live(
            self,
            console=self._console,
            refresh_per_second=_REDRAWS_PER_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        percent, phrases = self._phrases()
        bar = Table.grid(padding=(0, 1))
        width = min(_BAR_WIDTH, max(options.max_width - 7, 1))
        bar.add_row(ProgressBar(total=100, completed=percent, width=width), f"{percent} %")
        yield bar
        yield Text(fitting(phrases, options.max_width), no_wrap=True, overflow="ellipsis")

    def say(self, line: str) -> None:
        """Print a line above the live part."""
        self._console.print(Text(line), soft_wrap=True)

    def moved(self, tracker: Tracker, now_s: float) -> None:
        """Nothing to do: the live part is redrawn by the clock, so that many events do not flicker."""

    def close(self) -> None:
        """Take the live part away."""
        self._live.stop()


def fitting(phrases: list[str], width: int) -> str:
    """As many phrases as fit one line, at least the first; a long one makes room for shorter ones behind it."""
    line = phrases[0] if phrases else ""
    for phrase in phrases[1:]:
        longer = f"{line} · {phrase}"
        if len(longer) <= width:
            line = longer
    return line
