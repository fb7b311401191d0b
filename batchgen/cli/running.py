"""Runs jobs one after another: progress on stderr, signals in two steps, one result each, the worst exit code."""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
from anyio.abc import TaskStatus

from batchgen.cli.internal import internal_reason, tell_internal
from batchgen.cli.saying import begin, note, put, say
from batchgen.closing import summary_of_stopped
from batchgen.core.errors import BatchgenError, StorageError
from batchgen.core.events import AttemptFailed, AttemptSent, Event, TaskStored
from batchgen.core.plain import safe_text
from batchgen.core.summary import PlanSummary, RunSummary, worst
from batchgen.core.types import StopReason
from batchgen.core.values import replace
from batchgen.job import Options
from batchgen.pool.stopping import Stop
from batchgen.reports.columns import is_terminal
from batchgen.reports.logs import json_handler
from batchgen.reports.progress import Progress
from batchgen.reports.summary import render_summary
from batchgen.run import run_watched
from batchgen.watching import Watchers


class Signals:
    """The first signal ends the sending, the second the waiting.

    The end of a terminal (SIGHUP) comes once or twice, from the terminal and from its shell, so that it never ends the
    waiting; `nohup` keeps it away.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.stop = Stop()
        self._say: Callable[[str], None] = _warn

    @contextmanager
    def told_by(self, say: Callable[[str], None]) -> Iterator[None]:
        """A block in which something else is drawn where people look: it says what a signal does."""
        self._say = say
        try:
            yield
        finally:
            self._say = _warn

    async def watch(self, *, task_status: TaskStatus[None]) -> None:
        """Listen until cancelled; started as soon as no signal is lost any more."""
        kept_away = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        listened = (
            (signal.SIGINT, signal.SIGTERM) if kept_away else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        )
        with anyio.open_signal_receiver(*listened) as received:
            task_status.started()
            async for number in received:
                if self.first is None:
                    self.first = number
                    self._say(
                        "stopping: waiting for what is in flight, since it is paid for; once more to stop now"
                    )
                    self.stop.ask(StopReason.SIGNAL, signal.Signals(number).name)
                elif number != signal.SIGHUP:
                    self.stop.cut()


def _warn(line: str) -> None:
    say(line, logging.WARNING)


def run_all(
    manifests: Sequence[Path],
    options: Options,
    values: dict[str, Any],
    agreed: Mapping[Path, PlanSummary] = MappingProxyType({}),
) -> int:
    """Run each manifest, as far as was `agreed` where that was asked; returns the worst exit code, or the signal's.

    Raises `UsageError`.
    """
    begin(options, values)
    return anyio.run(_run_all, manifests, options, values, agreed)


async def _run_all(
    manifests: Sequence[Path], options: Options, values: dict[str, Any], agreed: Mapping[Path, PlanSummary]
) -> int:
    signals = Signals()
    codes = [0]
    async with Watchers(options, note) as watchers, anyio.create_task_group() as group:
        await group.start(signals.watch)  # reading a large manifest blocks; a signal then waits for its end
        for path in manifests:
            if signals.first is None:
                signals.stop = Stop()
                each = replace(options, agreed=agreed.get(path))
                codes.append(await _run_one(path, each, values, signals, watchers))
        await watchers.close()  # while signals are still heard
        group.cancel_scope.cancel()
    if signals.first is not None:
        return 128 + signals.first
    return worst(codes)


async def _run_one(
    path: Path, options: Options, values: dict[str, Any], signals: Signals, watchers: Watchers
) -> int:
    try:
        with ExitStack() as screen:
            progress = screen.enter_context(_progress(options, values))
            if json_handler() is None:
                screen.enter_context(signals.told_by(progress.say))
                if not values["quiet"]:
                    screen.enter_context(watchers.notes_to(progress.notify))
            others = (
                [progress.notify, say_event]
                if values["verbose"] and json_handler() is None
                else [progress.notify]
            )
            summary = await run_watched(path, options, watchers, signals.stop, *others)
    except StorageError as error:
        _tell(error)
        # A signal ends the waiting for a store that is away: the summary says what the exit code does.
        reason = StopReason.SIGNAL if signals.stop.signalled else StopReason.STORAGE
        await _print_stopped(path, options, values, reason, str(error))
        return 3
    except BatchgenError as error:
        _tell(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - whatever it is, the other manifests of the night go on
        tell_internal(path, error, options, values, ran=True)
        await _print_stopped(path, options, values, StopReason.BREAKER, internal_reason(error, options))
        return 3
    _print(path, summary, options, values, quiet=False)
    return summary.exit_code


def _tell(error: BatchgenError) -> None:
    """What ended a job; a log has it already."""
    if json_handler() is None:
        say(str(error))


def _progress(options: Options, values: dict[str, Any]) -> Progress:
    # Lines of every request and a live part would fight for the same place.
    terminal = is_terminal(sys.stderr) and not values["verbose"]
    return Progress(
        sys.stderr,
        terminal=terminal,
        clock=time.monotonic,
        quiet=values["quiet"] or json_handler() is not None,
        brief=options.agreed is None,
    )


async def _print_stopped(
    path: Path, options: Options, values: dict[str, Any], reason: StopReason, detail: str
) -> None:
    try:
        summary = await summary_of_stopped(path, options, reason, detail)
    except Exception:  # noqa: BLE001 - what stopped the run is told already; machines still get their line
        summary = RunSummary(path.stem, "", stopped_by=reason, stop_detail=detail)
    _print(path, summary, options, values, quiet=True)


def say_event(event: Event) -> None:
    """What `--verbose` adds."""
    match event:
        case AttemptSent():
            put(f"sent     {event.task.task_id}, attempt {event.number} ({event.attempt_id})")
        case TaskStored():
            cost = "no price" if event.stored.image.cost_usd is None else f"${event.stored.image.cost_usd:.4f}"
            put(f"stored   {event.stored.image.file}, {event.seconds:.1f} s, {cost}")
        case AttemptFailed():
            failure = event.failure
            told = f"failed   {event.task.task_id}, {failure.failure_class}: {failure.reason}, now {event.task_state}"
            put(safe_text(told))


def _print(path: Path, summary: RunSummary, options: Options, values: dict[str, Any], *, quiet: bool) -> None:
    logged = values["as_json"] and json_handler() is not None
    if not quiet and not logged and not (values["quiet"] and (values["as_json"] or summary.exit_code == 0)):
        text = render_summary(
            summary, resume=options.command("run", path), retry=options.command("retry", path)
        )
        put(text, err=values["as_json"])
    if values["as_json"]:
        put(json.dumps(summary.as_json()), err=False)
