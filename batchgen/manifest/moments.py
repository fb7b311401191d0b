"""Moments as a manifest's `finish_by` writes them: `06:30`, or an ISO 8601 date with a time."""

from __future__ import annotations

import re
from datetime import datetime, time

_CLOCK = re.compile(r"[0-2][0-9]:[0-5][0-9]")
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}\S*")


def is_moment(text: str) -> bool:
    """Whether a text is a time of day or a date with a time (a local one when it names no zone)."""
    try:
        if _CLOCK.fullmatch(text):
            time.fromisoformat(text)
        elif _DATE_TIME.fullmatch(text):
            datetime.fromisoformat(text)
        else:
            return False
    except ValueError:
        return False
    return True
