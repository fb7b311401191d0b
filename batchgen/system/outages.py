"""One patience for all who ask an object store that may be away, and what its errors mean."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

Result = TypeVar("Result")
Tell = Callable[[str], None]
"""Takes a sentence for people; called on any thread."""

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0
_REFUSES = ": the store refuses (check the credentials in the environment and their rights)"


def _nobody(_message: str) -> None:
    return


class Outages:
    """Asks again with pauses while a store is away, for `patience_s` of one outage; who comes later does not wait anew.

    `tell` hears once when an outage begins and once when it is over. `hurried` is asked on any thread whether nobody
    wants to wait any more.
    """

    def __init__(self, url: str, patience_s: float, tell: Tell | None = None) -> None:
        self._url = url
        self._patience_s = patience_s
        self._tell = tell or _nobody
        self.hurried: Callable[[], bool] = lambda: False
        self._lock = Lock()
        self._since: float | None = None
        self._refused_until = 0.0
        self._told_at: float | None = None

    def ask(self, what: str, call: Callable[[], Result], *, again: bool = True) -> Result:
        """One call, made again while the store is away, unless others do that.

        Raises `OSError`; no foreign text is passed on: what a store's client says quotes addresses and headers, which
        may be signed.
        """
        from obstore import exceptions

        pause_s = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            if again and self.given_up:
                raise self._gave_up(what)
            try:
                result = call()
            except (exceptions.BaseError, OSError) as error:
                if answer := _answer_in(error):
                    kind, told = answer
                    if kind is not OSError:
                        self._answered()
                    raise kind(f"{self._url}/{what}{told}") from None
                if self._gives_up(began, pause_s) or not again:
                    raise self._gave_up(what, f" ({type(error).__name__})") from None
            else:
                self._answered()
                return result
            self._pause(what, pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    @property
    def given_up(self) -> bool:
        """Whether the store is not waited for any more."""
        return time.monotonic() < self._refused_until

    def _pause(self, what: str, pause_s: float) -> None:
        ends = time.monotonic() + pause_s
        while (left_s := ends - time.monotonic()) > 0:
            if self.hurried():
                raise OSError(
                    f"{self._url}/{what}: the store does not answer, and was not waited for any longer"
                )
            time.sleep(min(left_s, _FIRST_PAUSE_S))

    def _gave_up(self, what: str, how: str = "") -> OSError:
        return OSError(
            f"{self._url}/{what}: the store does not answer{how}; it was tried for {self._patience_s:g} s"
        )

    def _answered(self) -> None:
        with self._lock:
            self._since, self._refused_until = None, 0.0
            told_at, self._told_at = self._told_at, None
        if told_at is not None:
            self._tell(f"the store {self._url} answers again, after {time.monotonic() - told_at:.0f} s")

    def _gives_up(self, began: float, pause_s: float) -> bool:
        """Whether the outage has lasted too long to try again after a pause."""
        now = time.monotonic()
        with self._lock:
            self._since = began if self._since is None else self._since
            if over := now + pause_s > self._since + self._patience_s:
                self._since, self._refused_until = None, now + self._patience_s
            begins = self._told_at is None
            self._told_at = began if begins else self._told_at
        if begins:
            self._tell(
                f"the store {self._url} does not answer: it is asked again for up to {self._patience_s:g} s, "
                "and what is paid for waits on the local disk"
            )
        return over


def _answer_in(error: Exception) -> tuple[type[OSError], str] | None:
    """What an error says that does not pass by waiting; None where the store may only be away."""
    from obstore import exceptions

    # Of a listing the client tells a refusal, or a bucket that is not there, in no class, only in words.
    words = str(error) if isinstance(error, exceptions.GenericError) else ""
    match error:
        case FileNotFoundError():
            return FileNotFoundError, " is not there"
        case exceptions.AlreadyExistsError():
            return FileExistsError, " is there already"
        case exceptions.PreconditionError():
            return FileExistsError, " was changed by another writer"
        case exceptions.PermissionDeniedError() | exceptions.UnauthenticatedError():
            return PermissionError, _REFUSES
        case OSError(errno=int()) if not isinstance(error, ConnectionError | TimeoutError):
            return OSError, f": {error.strerror}"  # the local disk's
        case exceptions.NotSupportedError() | exceptions.InvalidPathError():
            return OSError, f": the store cannot do this ({type(error).__name__})"
    if "403 Forbidden" in words or "401 Unauthorized" in words:
        return PermissionError, _REFUSES
    if "404 Not Found" in words or "NoSuchBucket" in words:
        return OSError, ": there is no such bucket (check the address, or make the bucket)"
    return None
