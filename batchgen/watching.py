"""Whoever the operator wants told of runs: opened once a process, and asked for an observer of each job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

import anyio

from batchgen.core.events import Event, Notice
from batchgen.core.protocols import Observer
from batchgen.job import Options
from batchgen.reports.logs import log_of_job
from batchgen.system.clock import moment_text


class Watcher(Protocol):
    """Something that watches all runs of a process, several at a time."""

    def of_job(self) -> Observer:
        """An observer of one run."""

    async def close(self) -> None:
        """Tell the last things; what takes too long is given up."""


class Watchers:
    """Notifications, metrics, a heartbeat: what the configuration names, and the log. Closed behind the last job.

    `say` shows people what fails nothing, such as a notification that could not be sent; any thread may call it.
    """

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._screens: list[Observer] = []
        self._watchers: list[Watcher] = []

    async def __aenter__(self) -> Self:
        """Open what is configured. Raises `UsageError`."""
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Have the last things told; what takes too long is given up. Twice is harmless."""
        watchers, self._watchers = self._watchers, []
        with anyio.CancelScope(shield=True):  # each gives up by itself
            async with anyio.create_task_group() as group:
                for watcher in watchers:
                    group.start_soon(watcher.close)

    def of_job(self, manifest: str, *others: Observer) -> Observer:
        """An observer of one run that tells all, `others` first."""
        return told_all((*others, log_of_job(manifest), *(watcher.of_job() for watcher in self._watchers)))

    @contextmanager
    def notes_to(self, screen: Observer) -> Iterator[None]:
        """Have notes told to who draws on the screen for the length of the block: nobody writes across a live line."""
        self._screens.append(screen)
        try:
            yield
        finally:
            self._screens.remove(screen)

    def _note(self, text: str) -> None:
        screens = tuple(self._screens)  # asked from other threads
        if screens:
            screens[-1](Notice(text))
        else:
            self._say(text)

    async def _open(self) -> None:
        # Imported where they are configured: most runs have none of them, and start-up is a feature.
        config, environ = self._options.config, self._options.environ
        if config.notify or environ.get("BATCHGEN_NOTIFY_URLS"):
            from batchgen.reports.notify import open_notifier, targets_of

            targets = targets_of(config.notify, environ)
            self._watchers.append(await open_notifier(targets, environ, self._note, time.monotonic))
        if config.metrics is not None:
            from batchgen.reports.metrics import open_metrics

            self._watchers.append(await open_metrics(config.metrics, self._note))
        if config.heartbeat is not None:
            from batchgen.reports.heartbeat import open_heartbeat

            clock = self._options.clock
            self._watchers.append(
                open_heartbeat(
                    config.heartbeat, environ, self._note, lambda: moment_text(clock()), time.monotonic
                )
            )


def told_all(observers: Sequence[Observer]) -> Observer:
    """One observer in the place of several."""

    def notify(event: Event) -> None:
        for observer in observers:
            observer(event)

    return notify
