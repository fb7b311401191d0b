"""Whether a refused request says that there are too many, or is one of those that a provider refuses now and then."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable

STORMS = ((3, 3), (5, 20), (8, 100), (20, 400))
"""So many refusals of so many requests are no chance. Where every thirtieth is refused by chance, each of these comes
once in thousands of requests; a limit that is far off shows by the first or second at once, a near one by the others."""

TOLD_STORM = (2, 30)
"""Where a refusal names a time to wait, the lane waits: a limit then refuses but one or two of what it takes in between."""

TOLD_WAITS = 5
"""Nor are two chance that come within so many of the waits which they name: where refusals come at once, a limit refuses
one of hundreds, and the waits take most of the time."""

PROVEN = 30
"""A rate at which so many were sent without a storm is good."""

BLOCK, BLOCKS, USUAL_AT_MOST = 100, 20, 0.04
"""What is refused by chance is learned from whole blocks of so many requests at a good rate, mostly from the last ones.
A provider that refuses a larger share means it."""

SIGMAS = 3.0

VAIN = 6
"""Where so many slower rates in a row helped nothing, the refusals have nothing to do with the rate."""


class Chance:
    """What one lane knows of refusals that its rate does not explain.

    A limit refuses some of a few in a row, or starts to refuse when a lane tries for more than it had; at a rate that
    was good before it refuses nothing, and those that follow a lone refusal there are taken.
    """

    def __init__(self) -> None:
        self._refusals: deque[float] = deque(maxlen=100)
        self._sent = self._strays = self._in_block = self._strays_in_block = 0
        self._is_good = self._tries = False
        self._usual_sent = self._usual_strays = 0.0
        self._in_vain = 0

    def settled(self) -> None:
        """The lane has another rate, of which nothing is known."""
        self._sent = self._strays = self._in_block = self._strays_in_block = 0
        self._is_good = self._tries = False

    def sent(self, *, tries: bool) -> None:
        """A request goes out; `tries` is whether the lane tries for more than the rate that it settled at."""
        if tries and not self._tries:
            self._sent = self._strays = 0
        self._tries = tries
        self._sent += 1
        self._is_good = not tries and self._sent > PROVEN
        if self._is_good:
            self._in_block += 1
            if self._in_block == BLOCK:
                self._learn_block()

    def explains(
        self, sent_at: float, taken: Callable[[float, float], int], *, limited: bool, wait_s: float | None
    ) -> bool:
        """Whether the refusal of the request of that moment may be chance.

        `taken` counts the requests that were taken from one moment to another, `limited` is whether a limit was seen,
        `wait_s` the time to wait where one was named.
        """
        self._refusals.append(sent_at)
        self._strays += 1
        if self._is_storm(taken, STORMS):
            self._in_vain = 0
            return False
        if wait_s is None or not (self._is_storm(taken, (TOLD_STORM,)) or self._waits_long(wait_s)):
            if self._is_good:
                self._strays_in_block += 1
                self._in_vain = 0
                return True
            if not limited or self._strays <= self._by_chance(self._sent):
                return True
        self._in_vain += not self._tries
        return self._in_vain > VAIN

    def forget(self) -> None:
        """A pause begins: what was refused before has had its answer."""
        self._refusals.clear()

    def _is_storm(self, taken: Callable[[float, float], int], storms: Iterable[tuple[int, int]]) -> bool:
        for refusals, requests in storms:
            least = max(refusals, math.ceil(self._by_chance(requests)))
            if least <= len(self._refusals) and (
                taken(self._refusals[-least], self._refusals[-1]) + least <= requests
            ):
                return True
        return False

    def _waits_long(self, wait_s: float) -> bool:
        """Whether waits such as this one take much of the time from one refusal to the next."""
        return len(self._refusals) > 1 and self._refusals[-1] - self._refusals[-2] < TOLD_WAITS * wait_s

    def _by_chance(self, requests: int) -> float:
        """How many of so many requests are refused at most if their rate has nothing to do with it."""
        share = min(USUAL_AT_MOST, self._usual_strays / max(BLOCK, self._usual_sent))
        return requests * share + SIGMAS * math.sqrt(requests * share)

    def _learn_block(self) -> None:
        self._usual_sent += self._in_block
        self._usual_strays += self._strays_in_block
        self._in_block = self._strays_in_block = 0
        if self._usual_sent > BLOCKS * BLOCK:
            self._usual_sent, self._usual_strays = self._usual_sent / 2, self._usual_strays / 2
