"""Where text is shown: how wide it is there, whether colours are wanted, and what a character takes of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import TextIO

from rich.cells import cell_len, set_cell_size

WIDTH = 80
"""Columns of what is no terminal."""

_WIDEST = 100
"""Lines of prose are hard to read beyond it."""

COLOURS: Mapping[str, str] = {"green": "32", "yellow": "33", "red": "31", "dim": "2", "bold": "1"}


def is_terminal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether lines can be drawn over: a terminal, and one that can more than print."""
    return stream.isatty() and environ.get("TERM", "") not in {"", "dumb", "unknown"}


def columns_of(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal behind a stream, as they are now; of another one as the environment says."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = shutil.get_terminal_size((WIDTH, 24))
    # Nothing can be laid out in one column: that is a terminal which does not know its size yet.
    return size.columns if size.columns > 1 else WIDTH, size.lines or 24


def prose_width(stream: TextIO) -> int:
    """How wide paragraphs should be: as the terminal, but readable; 80 elsewhere."""
    return max(20, min(columns_of(stream)[0] - 1, _WIDEST)) if stream.isatty() else WIDTH


def has_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether colours are welcome (https://no-color.org)."""
    return is_terminal(stream, environ) and not environ.get("NO_COLOR")


def painted(text: str, colour: str, *, wanted: bool) -> str:
    """The text in a colour of `COLOURS` ("" for none), where colours are `wanted`."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if wanted and colour and text else text


def cells(text: str) -> int:
    """Columns that a text takes: two for a wide character, none for one that joins the one before."""
    return cell_len(text)


def cut(text: str, width: int) -> str:
    """At most `width` columns, with an ellipsis where something was cut."""
    return text if cells(text) <= width else set_cell_size(text, max(width - 1, 0)).rstrip() + "…"
