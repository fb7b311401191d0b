"""Foreign text made fit for one line of a report: no control, no escape, no disguise."""

from __future__ import annotations

import re

REASON_LIMIT = 300
"""Characters of a reason: enough for any provider's sentence, short enough for one line of a report."""

_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]|\x9b[0-?]*[ -/]*[@-~]"
)


def plain(text: str) -> str:
    """Foreign text as one line without terminal escapes, control, bidi and other invisible characters."""
    shown = text if text.isprintable() else "".join(map(_shown, _ANSI.sub("", text)))
    return " ".join(shown.split())


def _shown(char: str) -> str:
    if char.isspace():
        return " "
    return char if char.isprintable() else ""


def one_line(text: str, limit: int = REASON_LIMIT) -> str:
    """Foreign text as one plain line of at most `limit` characters, the cut marked with `…`."""
    # Far more than the limit is never looked at, so that a megabyte of error costs nothing.
    line = plain(text[: limit * 20])
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
