"""A sign of life for a service or a file that someone watches: while runs get on, and at their end."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from batchgen import __version__
from batchgen.core.errors import UsageError
from batchgen.core.events import AttemptFailed, Event, RunBroken, RunEnded, RunStarted, TaskStored
from batchgen.core.protocols import Observer
from batchgen.reports.settings import STALLED_S, HeartbeatSettings, Say, secret_url, url_fault
from batchgen.system.errands import Errands
from batchgen.system.files import replace_file

PING_S = 10.0
"""How long a service may take to connect, and again to answer; healthchecks.io asks for no more."""

CLOSE_S = 10.0
"""So long an ended run waits for its last sign of life."""


class Heartbeat:
    """Gives a sign at its beginning, then every so many seconds while runs get on, and at its end.

    While something happened within the last 20 minutes they do; a run that hangs is silent after that. `moment` gives
    the text that is written to the file, `now_s` seconds that only go forward.
    """

    def __init__(
        self,
        settings: HeartbeatSettings,
        url: str | None,
        say: Say,
        moment: Callable[[], str],
        now_s: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._url = url
        self._say = say
        self._moment = moment
        self._now_s = now_s
        self._moved_s = now_s()
        self._bad = False
        self._warned: set[str] = set()
        self._lock = threading.Lock()
        self._giving = threading.Lock()
        self._errands = Errands("batchgen-heartbeat", self.beat, settings.every_s)
        self._errands.add(lambda: self._give("/start"))

    def of_job(self) -> Observer:
        """An observer of one run."""
        return self._notify

    def _notify(self, event: Event) -> None:
        match event:
            case RunEnded():
                self._bad |= event.exit_code != 0
            case RunBroken():
                self._bad = True
            case RunStarted() | TaskStored() | AttemptFailed():
                pass
            case _:
                return
        with self._lock:
            self._moved_s = self._now_s()

    def beat(self) -> None:
        """Give a sign, unless nothing has happened for too long."""
        with self._lock:
            since_s = self._now_s() - self._moved_s
        if since_s < STALLED_S:
            self._give("")

    async def close(self) -> None:
        """The last sign."""
        self._errands.add(lambda: self._give("/fail" if self._bad else ""))
        if not await self._errands.close(CLOSE_S):
            self._say(f"the heartbeat was not answered within {CLOSE_S:g} s")

    def _give(self, suffix: str) -> None:
        with self._giving:
            self._write()  # first: a server may take its time
            self._ask(suffix)

    def _ask(self, suffix: str) -> None:
        if self._url is not None:
            fault = ping(_followed(self._url, suffix) if self._settings.suffixes else self._url)
            if fault:
                self._warn(f"the heartbeat's URL {fault}; the run goes on")

    def _write(self) -> None:
        if self._settings.file is not None:
            try:
                replace_file(self._settings.file, f"{self._moment()}\n".encode())
            except OSError as error:
                self._warn(f"the heartbeat's file cannot be written ({error.strerror}); the run goes on")

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._say(text)


def open_heartbeat(
    settings: HeartbeatSettings,
    environ: Mapping[str, str],
    say: Say,
    moment: Callable[[], str],
    now_s: Callable[[], float],
) -> Heartbeat:
    """Begin to give signs of life. Raises `UsageError`."""
    file = settings.file
    if file is not None and not file.parent.is_dir():
        raise UsageError(f"`heartbeat.file` is {file}, but there is no folder {file.parent} (make it)")
    return Heartbeat(settings, heartbeat_url(settings, environ), say, moment, now_s)


def heartbeat_url(settings: HeartbeatSettings, environ: Mapping[str, str]) -> str | None:
    """The URL to be asked, None for none. Raises `UsageError`, whose text does not hold it."""
    if settings.url is None and settings.url_env is None:
        return None
    url, origin = secret_url(settings.url, settings.url_env, environ, "heartbeat")
    if fault := url_fault(url):
        raise UsageError(f"{origin}: {fault}")
    return url


def _followed(url: str, suffix: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/") + suffix).geturl()


def ping(url: str) -> str:
    """Ask a URL once, without following redirects or using a proxy; what went wrong, "" for nothing."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=PING_S, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=PING_S)
    )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers={"User-Agent": f"batchgen/{__version__}"})
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:  # a host that is none is a ValueError
        return f"cannot be asked ({_why(error)})"
    finally:
        connection.close()
    return "" if 200 <= status < 300 else f"answered {status}"


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not valid"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeError):
        return "its host cannot be one"
    return type(error).__name__
