"""How fast a lane may go after the provider asked it to slow down."""

from __future__ import annotations

import math
from collections import deque

from batchgen.pool.chance import Chance
from batchgen.pool.taken import Taken

SLACK_S = 0.02
"""A wake-up so late is made up for: on a busy machine many are."""

WINDOW_S = 60.0
"""Providers count a minute or less."""

BELOW = 0.985
"""A lane rests so far below what was accepted around a pause."""

BRIEF_S, BRIEF_IMAGES = 2.0, 3.0
"""A pause shorter than either: its length is chance, and says little of the limit."""

KEPT, NEAR, KEPT_AT_LEAST = 0.965, 0.8, 0.5
"""What one pause leaves of a rate: after a brief one; where little is known, or too little to tell; in a storm."""

LONELY_IMAGES, LONELY_S = 60.0, 20.0
"""The last but one pause as long ago, in both: what was accepted since then tells of the whole time, not of this rate."""

SLOWEST = 1.0
"""Images a minute below which no answer pushes a lane: it must notice when the provider has room again."""

ROUND_S, ROUND_IMAGES = 5.0, 10.0
"""A higher rate is tried for the longer of both before a still higher one, and for a whole window where one was seen."""

PROBE, PROBE_AT_MOST = 0.01, 0.1
"""A lane that was not refused for long tries a hundredth more in a round, then twice as much in each that is clean."""

REST_S, REST_IMAGES = 10.0, 30.0
REST_AT_MOST_S, REST_AT_MOST_IMAGES = 600.0, 100.0
"""How long before it tries, the longer of both; twice as long each time that the limit proves to be where it was."""

SAME = 0.03
"""Two refused rates no further apart are the same."""

HALF, MORE, PATIENCE_S = 0.5, 1.5, 900.0
"""After `slow_down`: half of what was accepted for a quarter of an hour, then half as much again in each, as OpenAI asks."""

FEELER_S, FEELER_AT_MOST_S, FEELER_SHARE = 0.5, 20.0, 0.1
"""While all is refused one request goes ahead of the others, after a tenth of the time that this has lasted."""


class Tempo:
    """A lane's rate, found by what the provider accepts from one pause to the next. Moments are the loop's.

    From the first request accepted after a pause to the first accepted after the next one, a limiter of any kind takes
    what its limit is. The lane rests just below that, then tries for more in small steps, ever more rarely while the
    limit proves to be where it was, and ever faster where it has gone: the plateau of CUBIC (RFC 9438). Plain additive
    increase and multiplicative decrease (Chiu and Jain, 1989) finds the limit as well, but a sawtooth that falls by a
    fifth loses a tenth of it. A refusal that may be chance (`chance.py`) changes nothing.
    `configured` is never exceeded; where it is None a lane is free until too many are refused.
    """

    def __init__(self, configured: float | None) -> None:
        self._configured = configured
        self.images_per_minute: float | None = None
        self._taken = Taken()
        self._pauses = deque([-math.inf, -math.inf], maxlen=2)
        self._due = 0.0
        self._told: float | None = None
        self._follows, self._trusts = False, True
        self._is_patient = False
        self._blocked_at = 0.0
        self._refused_at: float | None = None
        self._room_at = math.inf
        self._in_a_row = 0
        self._asked_at = -math.inf
        self._feeler_s = FEELER_S
        self._window_s = 0.0
        self._refused_rate = math.inf
        self._settled_at = self._grown_at = 0.0
        self._rest_s = REST_S
        self._probe = PROBE
        self._held = 0.0
        self._chance = Chance()

    @property
    def is_free(self) -> bool:
        """Whether neither a configured rate nor one that was learned holds the lane back."""
        return self._configured is None and self.images_per_minute is None

    @property
    def next_at(self) -> float:
        """Nothing is sent before this moment."""
        return 0.0 if self._refused_at is None and self.images_per_minute is None else self._due

    def sent(self, now: float) -> None:
        """A request goes out; it counts as accepted until it is refused."""
        if self._refused_at is not None:
            resumed_at = self._taken.first_after(self._refused_at)
            if resumed_at <= now - self._feeler_s:
                self._resumed(self._refused_at, resumed_at, now)
        self._grow(now)
        self._chance.sent(tries=(self.images_per_minute or 0.0) > self._held)
        self._taken.append(now)
        gap_s = 60.0 / (self.images_per_minute or self._configured or math.inf)
        start = self._due if now - self._due <= SLACK_S else now
        self._due = max(start + gap_s, now + self._ahead_s(gap_s))

    def told(self, limit: float, now: float) -> None:
        """An answer told the provider's limit, in images a minute. A lane that goes by it follows it."""
        changed = limit != self._told
        self._told = limit
        if self._follows and changed:
            self._follow(now)

    def refused(self, sent_at: float, now: float, wait_s: float | None = None, *, sudden: bool = False) -> bool:
        """The provider did not take the request of that moment; returns whether it is a sign of too many.

        `wait_s` is how long it said to wait. A lone refusal is no sign: those sent after it are taken. `sudden` is
        whether the provider said that there were more from one moment to the next: from then on the lane is patient.
        """
        self._is_patient = self._is_patient or sudden
        self._taken.forget(sent_at)
        self._feeler_s = min(FEELER_AT_MOST_S, max(self._feeler_s, 2.0 * (now - sent_at)))
        if self._refused_at is None:
            brief = wait_s is None or wait_s <= self._brief_s
            limited = self.images_per_minute is not None
            by_chance = self._chance.explains(sent_at, self._taken.count, limited=limited, wait_s=wait_s)
            if by_chance and brief and not sudden:
                return False
            self._blocked_at = self._refused_at = sent_at
            self._room_at = math.inf
            self._in_a_row = 0
            self._chance.forget()
        self._refused_at = max(sent_at, self._refused_at)
        if wait_s is not None:
            self._room_at = min(self._room_at, sent_at + wait_s)
        return True

    @property
    def _brief_s(self) -> float:
        return max(BRIEF_S, BRIEF_IMAGES * 60.0 / (self.images_per_minute or self._configured or math.inf))

    def slow_down(self, now: float) -> None:
        """The provider said that it was too fast; told once for all refusals of a pause, after `refused`."""
        if self._refused_at is None or self._refused_at < self._asked_at:
            return
        self._asked_at = now
        self._in_a_row += 1
        if self._in_a_row > 1:
            feeler_s = max(self._feeler_s, FEELER_SHARE * (now - self._blocked_at))
            self._due = max(self._due, now + min(FEELER_AT_MOST_S, feeler_s))

    def _ahead_s(self, gap_s: float) -> float:
        """While nothing is settled, others follow a request only when its refusal would be known, or a little slower."""
        if self._refused_at is None:
            return 0.0
        return self._feeler_s if self._in_a_row > 1 or self.is_free else gap_s / KEPT

    def _resumed(self, refused_at: float, resumed_at: float, now: float) -> None:
        """A request was accepted again: what is known of the limit is settled."""
        # The lane comes back a little later than it was told, which is not the limit's doing.
        end = min(resumed_at, self._room_at) if self._in_a_row <= 1 else (refused_at + resumed_at) / 2
        accepted, is_guess = self._taken.a_minute(self._blocked_at, end)
        self._refused_at = None
        self._taken.begin_cycle(resumed_at)
        pause_s = end - self._blocked_at
        # What the first burst used up is there again when its window is over.
        burst_s = end - self._taken.first if self.is_free else WINDOW_S
        self._window_s = max(self._window_s, min(WINDOW_S, 1.5 * pause_s, burst_s))
        rate = self.images_per_minute or self._configured
        self._trusts, self._follows = self._trusts and not self._follows, False
        if self._is_patient:
            self._settle(accepted, HALF * min(accepted, rate or accepted), now)
            return
        if self._is_told_truly(accepted, is_guess=is_guess):
            self._follow(now)
            return
        if rate is None:
            self._settle(accepted, BELOW * accepted, now)
            return
        brief = self._in_a_row == 1 and pause_s < self._brief_s
        lonely = self._blocked_at > self._pauses[0] + max(LONELY_S, LONELY_IMAGES * 60.0 / rate)
        self._pauses.append(self._blocked_at)
        if brief and (lonely or accepted > NEAR * rate):
            kept = BELOW if accepted >= BELOW * rate and not lonely else max(KEPT, BELOW * accepted / rate)
            self._settle(rate, kept * rate, now)
        else:
            least = (NEAR if is_guess else KEPT_AT_LEAST) * rate
            self._settle(max(accepted, least), min(BELOW * rate, max(BELOW * accepted, least)), now)

    def _is_told_truly(self, accepted: float, *, is_guess: bool) -> bool:
        """Headers are believed that agree with what was accepted, until the lane is refused at their rate."""
        if self._told is None or not self._trusts:
            return False
        return accepted <= self._told if is_guess else NEAR <= accepted / self._told <= 1.0 / NEAR

    def _follow(self, now: float) -> None:
        """Rest just below the limit that answers tell, and try for no more."""
        if self._told is not None:
            self._settle(self._told, BELOW * self._told, now)
            self._follows = True

    def _settle(self, refused_rate: float, rate: float, now: float) -> None:
        """Rest at a rate below one that was refused."""
        if abs(refused_rate / self._refused_rate - 1.0) > SAME:
            self._rest_s = REST_S
        elif now > self._settled_at + self._rest_s:
            self._rest_s = min(2 * self._rest_s, max(REST_AT_MOST_S, REST_AT_MOST_IMAGES * 60.0 / rate))
        self._refused_rate, self._probe = refused_rate, PROBE
        self._settled_at = self._grown_at = now
        self._held = max(rate, min(SLOWEST, self.images_per_minute or self._configured or SLOWEST))
        self._chance.settled()
        self._take(self._held)

    def _take(self, rate: float) -> None:
        bounded = self._configured is not None and rate >= self._configured
        self.images_per_minute = None if bounded else rate

    def _grow(self, now: float) -> None:
        """Try for more; a lane that has nothing to send, or no place in flight, learns nothing."""
        rate = self.images_per_minute
        if rate is None:
            return
        gap_s = 60.0 / rate
        round_s = max(ROUND_S, ROUND_IMAGES * gap_s, self._window_s)
        rounds = min(1.0, max(0.0, now - self._grown_at) / round_s)
        self._grown_at = now
        rests = self._follows or now < self._settled_at + max(self._rest_s, REST_IMAGES * gap_s, round_s)
        if self._refused_at is not None or rests or now - self._due > max(gap_s, 0.05):
            return
        if self._is_patient:
            if now > self._settled_at + PATIENCE_S:
                self._take(rate * MORE ** (rounds * round_s / PATIENCE_S))
            return
        self._probe = min(PROBE_AT_MOST, self._probe * 2.0**rounds)
        self._take(rate * (1.0 + self._probe * rounds))
