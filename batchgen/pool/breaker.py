"""A breaker: a provider that fails again and again is left alone for a while, then asked by one request at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

IN_A_ROW = 5
WINDOW = 20
TROUBLED = 6
"""30 % of the last 20 outcomes; fewer than 20 say too little for a share, and are judged by five in a row alone."""

PAUSE_S = 60.0
PROBES = 3


class Breaker:
    """Learns how requests end; `is_open` while nothing but a probe may be sent.

    Trouble is an outcome that says nothing good of the provider: `transient` or `unknown`. Pauses double from a
    minute; after three failed probes it has given up.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._failed_probes = 0
        self._recent: deque[bool] = deque(maxlen=WINDOW)

    @property
    def gave_up(self) -> bool:
        """Whether nothing is sent any more."""
        return self._failed_probes >= PROBES

    def learn(self, *, trouble: bool, probe: bool) -> float:
        """Take an outcome; returns for how many seconds nothing is sent because of it, `inf` when it gives up."""
        if self.is_open:
            # What was sent before it opened says nothing of how things are now.
            return self._after_probe(trouble=trouble) if probe else 0.0
        self._recent.append(trouble)
        self.is_open = opens(self._recent)
        return PAUSE_S if self.is_open else 0.0

    def _after_probe(self, *, trouble: bool) -> float:
        if trouble:
            self._failed_probes += 1
            return math.inf if self.gave_up else PAUSE_S * float(2**self._failed_probes)
        self.is_open, self._failed_probes = False, 0
        self._recent.clear()
        return 0.0


def opens(recent: Sequence[bool]) -> bool:
    """Whether these outcomes (True is trouble, the last one last, at most `WINDOW`) are too many failures."""
    last = list(recent)[-IN_A_ROW:]
    return sum(last) == IN_A_ROW or (len(recent) == WINDOW and sum(recent) >= TROUBLED)
