"""Notifications through apprise: sent beside the runs, on a thread for each target, and never a reason for one to fail."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from batchgen.core.errors import UsageError
from batchgen.core.events import Event, RunBroken, RunEnded
from batchgen.core.protocols import Observer
from batchgen.reports.messages import Message, Told
from batchgen.reports.settings import Kind, Say, Target, secret_url
from batchgen.system.errands import Errands

if TYPE_CHECKING:
    from apprise import Apprise

URLS = "BATCHGEN_NOTIFY_URLS"
"""The environment's targets, which are told everything: apprise URLs with blanks between them."""

INSTALL = f"{sys.executable} -m pip install apprise"

CLOSE_S = 10.0
"""So long an ended run waits for its last notifications: apprise gives a service 4 s to connect and 4 s to answer."""

LOOK_S = 30.0
"""How often it is looked whether a run stalls; more often where a target wants to know within two minutes."""

_SCHEME = re.compile(r"([A-Za-z0-9+.-]{1,20})://")


@dataclass(slots=True)
class Sender:
    """One target, with the thread that sends to it. Of its URL only the scheme is ever told."""

    target: Target
    scheme: str
    apprise: Apprise
    say: Say
    errands: Errands
    failed: bool = False

    def send(self, message: Message) -> None:
        """Have a message sent."""
        self.errands.add(lambda: self._send(message))

    def _send(self, message: Message) -> None:
        try:
            went = bool(self.apprise.notify(body=message.body, title=message.title, body_format="text"))
        except Exception:  # noqa: BLE001 - a plug-in of one of a hundred services; its text may hold the URL
            went = False
        if not went and not self.failed:
            self.failed = True
            self.say(f"a notification by {self.scheme} could not be sent; the run goes on")

    async def close(self) -> None:
        """Wait for what is on its way, but not for long."""
        if not await self.errands.close(CLOSE_S):
            self.say(f"a notification by {self.scheme} was not sent within {CLOSE_S:g} s, and is given up")


@dataclass(slots=True, eq=False)
class Watched:
    """One run, and which senders were told that it stalls. The senders' clock looks at it from another thread."""

    told: Told = field(default_factory=Told)
    stalled: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Notifier:
    """Tells all targets of all runs of a process. `now_s` gives seconds that only go forward."""

    def __init__(self, senders: Sequence[Sender], now_s: Callable[[], float]) -> None:
        self._senders = senders
        self._now_s = now_s
        self._watched: list[Watched] = []
        waits = [sender.target.stalled_after_s for sender in senders if Kind.STALLED in sender.target.on]
        every_s = min([LOOK_S, *(wait / 4 for wait in waits)])
        self._looking = Errands("batchgen-stalls", self.look, every_s if waits else None)

    def of_job(self) -> Observer:
        """An observer of one run."""
        watched = Watched()
        self._watched.append(watched)

        def notify(event: Event) -> None:
            with watched.lock:
                message = watched.told.take(event, self._now_s())
            if message is not None:
                self._tell(message)
            if isinstance(event, RunEnded | RunBroken) and watched in self._watched:
                self._watched.remove(watched)

        return notify

    def look(self) -> None:
        """Tell of runs that stall, each target once a run."""
        for watched in list(self._watched):
            for number, sender in enumerate(self._senders):
                if Kind.STALLED not in sender.target.on or number in watched.stalled:
                    continue
                with watched.lock:
                    message = watched.told.stalled(self._now_s(), sender.target.stalled_after_s)
                if message is not None:
                    watched.stalled.add(number)
                    sender.send(message)

    def _tell(self, message: Message) -> None:
        for sender in self._senders:
            if sender.target.on & message.kinds:
                sender.send(message)

    async def close(self) -> None:
        """Wait for the last messages, but not for long."""
        await self._looking.close(CLOSE_S)
        async with anyio.create_task_group() as group:
            for sender in self._senders:
                group.start_soon(sender.close)


def targets_of(configured: Sequence[Target], environ: Mapping[str, str]) -> list[Target]:
    """The configuration's targets and the environment's."""
    return [*configured, *(Target(url=url, url_env=URLS) for url in environ.get(URLS, "").split())]


async def open_notifier(
    targets: Sequence[Target], environ: Mapping[str, str], say: Say, now_s: Callable[[], float]
) -> Notifier:
    """Get ready to tell these targets. Raises `UsageError`, whose text holds no URL."""
    senders = await to_thread.run_sync(_senders, targets, environ, say)  # apprise is slow to import
    return Notifier(senders, now_s)


def _senders(targets: Sequence[Target], environ: Mapping[str, str], say: Say) -> list[Sender]:
    try:
        from apprise import Apprise, AppriseAsset
    except ImportError:
        raise UsageError(
            f"notifications are configured, but apprise, which sends them, is not installed (run: {INSTALL})"
        ) from None
    asset = AppriseAsset()
    asset.http_redirects = False  # a redirect would take the URL's secret elsewhere
    opened = []
    for target in targets:
        url, origin = secret_url(target.url, target.url_env, environ, "notify")
        service = Apprise(asset=asset)
        if not service.add(url) or len(service) != 1:
            raise UsageError(
                f"{origin}: this is no address for notifications (write one as apprise has them, such as "
                "slack://TOKEN_A/TOKEN_B/TOKEN_C/CHANNEL or mailtos://USER:PASSWORD@HOST)"
            )
        opened.append((target, url, service))
    return [
        Sender(target, _scheme(url), service, say, Errands("batchgen-notify"))
        for target, url, service in opened
    ]


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].lower() if found else "apprise"
