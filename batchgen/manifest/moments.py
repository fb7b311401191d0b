"""Moments as a manifest's `finish_by` writes them: `06:30`, or an ISO 8601 date with a time."""

from __future__ import annotations

import re
from datetime import datetime, time

_CLOCK = re.compile(r"[0-2][0-9]:[0-5][0-9]")
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}\S*")


YEARS = (2000, 9000)
"""Moments near the ends of the calendar cannot be brought into another zone, and are slips anyway."""


def moment_fault(text: str) -> str | None:
    """What is wrong with a time of day or a date with a time (a local one when it names no zone); None when nothing."""
    try:
        if _CLOCK.fullmatch(text):
            time.fromisoformat(text)
        elif _DATE_TIME.fullmatch(text):
            first, last = YEARS
            if not first <= datetime.fromisoformat(text).year <= last:
                return f"is not within the years {first} to {last}"
        else:
            return "is no time"
    except ValueError:
        return "is no time"
    return None
