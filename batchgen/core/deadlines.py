"""When a run must have ended: a local time, a date with a time, or a duration."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from batchgen.core.types import Limits

Localize = Callable[[datetime], datetime]
"""From a naive local date and time to the aware moment; `datetime.astimezone` knows the machine's own zone."""


def ends_at(limits: Limits, started: datetime, localize: Localize | None = None) -> datetime | None:
    """The moment in UTC after which nothing is sent, None without one. `started` is aware, in the local zone.

    `HH:MM` is the next such local time: today's if it is still to come, else tomorrow's. Where clocks are changed
    in between, `started.tzinfo` must be a zone and not a fixed offset, or `localize` given.
    """
    moments = []
    if limits.finish_by is not None:
        moments.append(_finish(limits.finish_by, started, localize or _in_zone_of(started)))
    if limits.max_duration_s is not None:
        moments.append(started.astimezone(UTC) + timedelta(seconds=limits.max_duration_s))
    return min(moments, default=None)


def look_ahead_s(longest_s: float, left_s: float, max_duration_s: float | None) -> float:
    """How long before its end a run sends nothing more: as long as the slowest request is known to take.

    A `max_duration` that is too short for that would keep every run from sending anything, for ever; then it only
    says how long a run may send, and what is in flight ends after it. A `finish_by` comes again with more time left.
    """
    hopeless = max_duration_s is not None and longest_s > left_s and longest_s > max_duration_s / 2
    return 0.0 if hopeless else longest_s


def _in_zone_of(started: datetime) -> Localize:
    return lambda naive: naive.replace(tzinfo=started.tzinfo)


def _finish(text: str, started: datetime, localize: Localize) -> datetime:
    if "-" in text:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else localize(moment)).astimezone(UTC)
    clock = time.fromisoformat(text)
    # A time that comes twice in one night, as clocks are set back, is first its first.
    days = ((0, 0), (0, 1), (1, 0), (1, 1))
    moments = (
        localize(datetime.combine(started.date() + timedelta(days=later), clock).replace(fold=fold)).astimezone(
            UTC
        )
        for later, fold in days
    )
    return next(moment for moment in moments if moment > started)
