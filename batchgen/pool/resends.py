"""Counts what is sent again after trouble, so that a night does not become a storm of retries."""

from __future__ import annotations

from batchgen.core.retry import may_resend


class Resends:
    """The requests of this run, and those among them that follow a `transient` or `unknown` end of their task.

    A run that resumes after a crash sends lost answers of an earlier run again: these are no sign of trouble now,
    and do not count. Remembered are only tasks that wait for their backoff.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.resends = 0
        self._troubled: set[str] = set()

    def take(self, task_id: str) -> bool:
        """Count a request that is about to be sent; False when it must not be."""
        again = task_id in self._troubled
        if again and not may_resend(self.requests, self.resends):
            return False
        self._troubled.discard(task_id)
        self.requests += 1
        self.resends += again
        return True

    def troubled(self, task_id: str) -> None:
        """A request failed, and its task is to be sent again."""
        self._troubled.add(task_id)

    def rate_limited(self) -> None:
        """The provider did not take a request: many of these must not make room for more resends."""
        self.requests -= 1
