"""How the sandbox behaves: no fault and no limit, unless it is asked for them."""

from __future__ import annotations

import difflib
import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.sandbox.mishaps import CUT, ERROR, MISHAPS, RATE_LIMIT, SLOW

WINDOW_S = 60.0
"""Providers count images over one sliding minute."""


class AnswerAs(StrEnum):
    """How images come: `auto` as the model does, or always as base64, or always as a link."""

    AUTO = "auto"
    BASE64 = "b64_json"
    URL = "url"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What goes wrong, how often. Shares are from 0 to 1 and together at most 1, durations in seconds.

    `latency_s` is what every image takes; a slow one takes `slow_s` more. A cut answer is painted and charged,
    but its connection ends half-way. `failures` are shares of any other fault, by its name in `mishaps`. A prompt that
    holds `refuse_word` is refused. Beyond `images_per_minute` in any window of `window_s` the answer is 429 with a
    Retry-After; other answers that name a time say `retry_after_s`. Links work for `link_lifetime_s`. Which request
    meets which fault follows from `seed` and the order of requests, so that runs repeat.

    Raises `ValueError` for shares or durations that are out of range, and for faults that there are not.
    """

    latency_s: float = 0.0
    rate_limit_share: float = 0.0
    error_share: float = 0.0
    cut_share: float = 0.0
    slow_share: float = 0.0
    slow_s: float = 0.0
    refuse_word: str | None = None
    images_per_minute: float | None = None
    window_s: float = WINDOW_S
    answer: AnswerAs = AnswerAs.AUTO
    link_lifetime_s: float = 3600.0
    retry_after_s: float = 1.0
    seed: int = 0
    failures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shares = [share for _, share in self._shares()]
        if any(not 0 <= share <= 1 for share in shares) or sum(shares) > 1:
            raise ValueError("shares of faults are from 0 to 1, and at most 1 together")
        if min(self.latency_s, self.slow_s, self.link_lifetime_s, self.retry_after_s) < 0:
            raise ValueError("durations cannot be negative")
        if self.images_per_minute is not None and self.images_per_minute <= 0:
            raise ValueError("images_per_minute must be above 0")
        for name in self.failures:
            if name not in MISHAPS:
                raise ValueError(f"there is no fault {name!r} {_advice(name)}")

    def fault_of(self, number: int) -> str | None:
        """The name of what goes wrong with the request of this number, counted from 1."""
        digest = hashlib.blake2b(f"{self.seed}:{number}".encode(), digest_size=8).digest()
        chance = int.from_bytes(digest, "big") / 2**64
        for name, share in self._shares():
            if chance < share:
                return name
            chance -= share
        return None

    def refuses(self, prompt: str) -> bool:
        """Whether the prompt holds the forbidden word, in any case."""
        return self.refuse_word is not None and self.refuse_word.casefold() in prompt.casefold()

    def _shares(self) -> tuple[tuple[str, float], ...]:
        return (
            (RATE_LIMIT, self.rate_limit_share),
            (ERROR, self.error_share),
            (CUT, self.cut_share),
            (SLOW, self.slow_share),
            *self.failures.items(),
        )


def _advice(name: str) -> str:
    close = difflib.get_close_matches(name, MISHAPS, n=1)
    return f"(did you mean {close[0]}?)" if close else f"(use one of {', '.join(MISHAPS)})"


class Window:
    """A strict limit: no stretch of time as long as the window ever sees more images than allowed."""

    def __init__(self, images_per_minute: float, window_s: float) -> None:
        self.images = max(1, int(images_per_minute))
        self.seconds = window_s * self.images / images_per_minute
        self._taken: deque[float] = deque()

    def take(self, images: int, now: float) -> float | None:
        """Count images that begin now; or None is counted, and the seconds until there is room are returned."""
        self._forget(now)
        too_many = len(self._taken) + images - self.images
        if too_many <= 0:
            self._taken.extend([now] * images)
            return None
        first_free = self._taken[min(too_many, len(self._taken)) - 1] if self._taken else now
        return max(0.0, first_free + self.seconds - now)

    def remaining(self, now: float) -> int:
        """How many images may begin now."""
        self._forget(now)
        return self.images - len(self._taken)

    def reset_s(self, now: float) -> float:
        """Seconds until the window is empty again."""
        return max(0.0, self._taken[-1] + self.seconds - now) if self._taken else 0.0

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] + self.seconds <= now:
            self._taken.popleft()
