"""Durations as people write them: `5h`, `90m`, `600s`, `1h30m`."""

from __future__ import annotations

import re

EXAMPLES = "600s, 90m, 5h or 1h30m"

_DURATION = re.compile(r"(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?")
_UNITS_S = (3600, 60, 1)


def parse_duration(text: str) -> float | None:
    """Seconds of a duration; None when the text is none, or of no length."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        return None
    seconds = sum(int(count or 0) * unit_s for count, unit_s in zip(found.groups(), _UNITS_S, strict=True))
    return float(seconds) or None
