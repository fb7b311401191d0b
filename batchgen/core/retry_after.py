"""How long a provider asks to wait: headers of several kinds, and words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from batchgen.core.limits import FASTEST_PER_MINUTE

RETRY_AFTER_CAP_S = 7 * 24 * 3600.0
"""A longer wait is taken as a week, so that no header can push a moment out of the calendar."""

REMAINING = "x-ratelimit-remaining"
RESET = "x-ratelimit-reset"
"""How the headers begin that say what is left of a rate limit, and how long until it is whole; behind them stands what
is limited, such as `-requests`, or nothing."""

_LIMITS = ("x-ratelimit-limit-requests", "x-ratelimit-limit-images", "x-ratelimit-limit-input-images")
"""Headers with a limit that counts requests or images; OpenAI, whose names they are, counts both by the minute."""

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|h|m|s)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_WAIT_WORDS = re.compile(
    r"(?:try again|retry) (?:in|after) "
    r"([0-9]{1,12}(?:\.[0-9]{1,12})?)? ?((?:[0-9.]{0,25}(?:ms|h|m|s)){1,4}|milliseconds?|seconds?|minutes?|hours?)(?![a-z])",
    re.IGNORECASE,
)
_WORD_SECONDS = {"millisecond": 0.001, "second": 1.0, "minute": 60.0, "hour": 3600.0}


def retry_after_s(headers: Mapping[str, str], message: str, now: datetime) -> float | None:
    """How long the provider asked to wait, in seconds; None when it said nothing usable.

    In this order: `retry-after-ms`, `retry-after` in seconds, `retry-after` as an HTTP date (past: 0),
    `x-ratelimit-reset-*` of what is used up (durations such as `6m0s`, or plain seconds), "try again in 12s" in the
    message.
    Negative numbers, `nan` and words are nothing; more than a week is a week.
    """
    asked = _number(headers.get("retry-after-ms"))
    if asked is not None:
        return min(asked / 1000, RETRY_AFTER_CAP_S)
    after = headers.get("retry-after")
    for told in (_number(after), _until(after, now), _longest_reset(headers), _told_in(message)):
        if told is not None:
            return min(told, RETRY_AFTER_CAP_S)
    return None


def exhausted_s(headers: Mapping[str, str]) -> float | None:
    """How long an answer that was given says that nothing is left of a rate limit, in seconds; None when it does not."""
    used_up = {
        name: value
        for name, value in headers.items()
        if not name.startswith(RESET) or _number(headers.get(REMAINING + name.removeprefix(RESET))) == 0
    }
    wait_s = _longest_reset(used_up)
    return None if wait_s is None else min(wait_s, RETRY_AFTER_CAP_S)


def limit_per_minute(headers: Mapping[str, str]) -> float | None:
    """The tightest limit on images that an answer tells, taken for one by the minute; None when it tells no usable one."""
    told = [number for name in _LIMITS if (number := _number(headers.get(name))) is not None]
    return min((number for number in told if 1 <= number <= FASTEST_PER_MINUTE), default=None)


def _number(text: str | None) -> float | None:
    try:
        # Python's own spellings of numbers, such as 1_000, are junk in a header.
        value = float(text if text and text.isascii() and "_" not in text else "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(text: str | None, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text or "")
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (aware - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _duration_s(text: str) -> float | None:
    """A duration as Go writes it: `1s`, `120ms`, `6m0s`, `1h2m3.5s`."""
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def _reset_s(text: str) -> float | None:
    """A reset as a duration, or as the plain seconds of some gateways; a larger number is a date and tells nothing."""
    number = _number(text)
    return _duration_s(text) if number is None else number if number <= RETRY_AFTER_CAP_S else None


def _longest_reset(headers: Mapping[str, str]) -> float | None:
    """The longest reset of the budgets that are used up; one that says nothing of its rest counts as used up."""
    waits = [
        wait
        for name, value in headers.items()
        if name.startswith(RESET)
        and not _number(headers.get(REMAINING + name.removeprefix(RESET)))
        and (wait := _reset_s(value.strip())) is not None
    ]
    return max(waits, default=None)


def _told_in(message: str) -> float | None:
    found = _WAIT_WORDS.search(message)
    if found is None:
        return None
    number, unit = found[1] or "", found[2].lower()
    word = _WORD_SECONDS.get(unit.removesuffix("s"))
    if word is not None:
        return float(number) * word if number else None
    return _duration_s(number + unit)
