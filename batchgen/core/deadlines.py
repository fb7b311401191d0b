"""When a run must have ended: a local time, a date with a time, or a duration."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from batchgen.core.types import Limits


def ends_at(limits: Limits, started: datetime) -> datetime | None:
    """The moment after which nothing is sent, None without one. `started` is aware, in the local zone.

    `HH:MM` is the next such local time: today's if it is still to come, else tomorrow's.
    """
    moments = []
    if limits.finish_by is not None:
        moments.append(_finish(limits.finish_by, started))
    if limits.max_duration_s is not None:
        moments.append(started + timedelta(seconds=limits.max_duration_s))
    return min(moments, default=None)


def _finish(text: str, started: datetime) -> datetime:
    if "-" in text:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=started.tzinfo)
    today = datetime.combine(started.date(), time.fromisoformat(text), started.tzinfo)
    return today if today > started else today + timedelta(days=1)
