"""Wall-clock moments as text. Durations never come from here: they are taken from the loop's monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present moment in UTC; injected, so that tests move it by hand."""


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def steady(clock: Clock) -> Clock:
    """A clock that starts at the present moment of `clock` and is not moved by corrections of the wall clock.

    It goes on while the machine sleeps, where the platform can tell.
    """
    source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    started, since = clock(), time.clock_gettime(source)
    return lambda: started + timedelta(seconds=time.clock_gettime(source) - since)


def moment_text(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, e.g. `2026-11-23T17:50:17.123Z`; such texts sort by time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def moment_words(text: str) -> str:
    """A moment that `moment_text` wrote as people read it, e.g. `2026-11-23 17:50:17 UTC`."""
    return f"{text[:10]} {text[11:19]} UTC"


def moment_or_blank(text: object) -> str:
    """Foreign text that is a moment of ours, as it is; "" for everything else."""
    try:
        aware = isinstance(text, str) and moment_of(text).tzinfo is not None
    except ValueError:
        return ""
    return str(text) if aware else ""


def moment_of(text: str) -> datetime:
    """The moment that `moment_text` wrote."""
    return datetime.fromisoformat(text)
