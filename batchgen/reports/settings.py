"""Whom an operator wants told of runs, and how: values of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from batchgen.core.errors import UsageError
from batchgen.core.plain import is_web_address


class Kind(StrEnum):
    """What a notification is about."""

    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    BUDGET = "budget"
    STALLED = "stalled"


Say = Callable[[str], None]
"""Tells people something that fails nothing. It may be called from any thread."""

STALLED_S = 20 * 60.0
"""As long as the longest request and the longest wait for a not-before time together: 10 minutes each."""

HEARTBEAT_S = 60.0
"""Services that watch heartbeats give a minute's grace at least."""

TEXTFILE_S = 15.0
"""How often metrics are written during a run: as often as Prometheus usually asks."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where notifications go: an apprise URL, or the variable that holds one. All kinds where none is named.

    With both, the variable is where the URL came from.
    """

    url: str | None = None
    url_env: str | None = None
    on: frozenset[Kind] = frozenset(Kind)
    stalled_after_s: float = STALLED_S

    def __repr__(self) -> str:
        # The URL is left out, since most of them hold a key.
        return f"Target(url_env={self.url_env!r}, on={sorted(self.on)!r})"


@dataclass(frozen=True, slots=True, repr=False)
class HeartbeatSettings:
    """A URL that is asked, a file that is written, or both, every so many seconds while runs get on.

    With `suffixes` the URL is followed by `/start` at the beginning and by `/fail` at an end that was not good.
    """

    url: str | None = None
    url_env: str | None = None
    file: Path | None = None
    every_s: float = HEARTBEAT_S
    suffixes: bool = False


def secret_url(
    url: str | None, variable: str | None, environ: Mapping[str, str], where: str
) -> tuple[str, str]:
    """A configured URL, and the place where it stands, which is told instead of it. Raises `UsageError`."""
    if url is None and variable is not None:
        url = environ.get(variable, "").strip()
        if not url:
            raise UsageError(f"`{where}` names the variable {variable}, which is not set: put the URL in it")
    return url or "", variable or f"`{where}`"


def url_fault(url: str) -> str:
    """What is wrong with a heartbeat's URL, "" for nothing. It is not repeated: it holds a secret."""
    if not is_web_address(url) or "@" in url or "#" in url:
        return "this is no web address to be asked (write one such as https://hc-ping.com/UUID)"
    return ""
