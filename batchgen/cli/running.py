"""Runs jobs one after another: progress on stderr, signals in two steps, one result each, the worst exit code."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import click
from anyio.abc import TaskStatus

from batchgen.cli.app import exit_code_of
from batchgen.cli.internal import internal_reason, tell_internal
from batchgen.cli.options import command_line
from batchgen.closing import summary_of_stopped
from batchgen.core.errors import BatchgenError, StorageError
from batchgen.core.events import AttemptSent, Event, TaskStored
from batchgen.core.summary import RunSummary
from batchgen.core.types import StopReason
from batchgen.job import Options
from batchgen.pool.stopping import Stop
from batchgen.reports.progress import Progress
from batchgen.reports.summary import render_summary
from batchgen.run import run_job

WORST_FIRST = (2, 3, 1, 4, 0)


class Signals:
    """The first signal ends the sending, the second the waiting."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.stop = Stop()

    async def watch(self, *, task_status: TaskStatus[None]) -> None:
        """Listen until cancelled; started as soon as no signal is lost any more."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            async for number in received:
                if self.first is None:
                    self.first = number
                    click.echo(
                        "stopping: waiting for what is in flight, since it is paid for; once more to stop now",
                        err=True,
                    )
                    self.stop.ask(StopReason.SIGNAL, signal.Signals(number).name)
                else:
                    self.stop.cut()


def run_all(manifests: Sequence[Path], options: Options, values: dict[str, Any]) -> int:
    """Run each manifest; returns the exit code of the worst, or of the signal."""
    return anyio.run(_run_all, manifests, options, values)


async def _run_all(manifests: Sequence[Path], options: Options, values: dict[str, Any]) -> int:
    signals = Signals()
    codes = [0]
    async with anyio.create_task_group() as group:
        await group.start(signals.watch)  # reading a large manifest blocks; a signal then waits for its end
        for path in manifests:
            if signals.first is None:
                signals.stop = Stop()
                codes.append(await _run_one(path, options, values, signals.stop))
        group.cancel_scope.cancel()
    if signals.first is not None:
        return 128 + signals.first
    return min(codes, key=WORST_FIRST.index)


async def _run_one(path: Path, options: Options, values: dict[str, Any], stop: Stop) -> int:
    try:
        verbose: bool = values["verbose"]
        terminal = sys.stderr.isatty() and not verbose  # lines and a live line would fight for the same place
        with Progress(sys.stderr, terminal=terminal, clock=time.monotonic, quiet=values["quiet"]) as progress:

            def notify(event: Event) -> None:
                progress.notify(event)
                if verbose:
                    say_event(event)

            summary = await run_job(path, options, notify, stop)
    except StorageError as error:
        click.echo(str(error), err=True)
        await _print_stopped(path, options, values, StopReason.STORAGE, str(error))
        return 3
    except BatchgenError as error:
        click.echo(str(error), err=True)
        return exit_code_of(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other manifests of the night go on
        tell_internal(path, error, options, values, ran=True)
        await _print_stopped(path, options, values, StopReason.BREAKER, internal_reason(error, options))
        return 3
    _print(path, summary, values, quiet=False)
    return exit_code(summary)


async def _print_stopped(
    path: Path, options: Options, values: dict[str, Any], reason: StopReason, detail: str
) -> None:
    try:
        summary = await summary_of_stopped(path, options, reason, detail)
    except Exception:  # noqa: BLE001 - what stopped the run is told already; machines still get their line
        summary = RunSummary(path.stem, "", stopped_by=reason, stop_detail=detail)
    _print(path, summary, values, quiet=True)


def say_event(event: Event) -> None:
    """What `--verbose` adds."""
    match event:
        case AttemptSent():
            click.echo(f"sent     {event.task.task_id}, attempt {event.number} ({event.attempt_id})", err=True)
        case TaskStored():
            cost = "no price" if event.stored.image.cost_usd is None else f"${event.stored.image.cost_usd:.4f}"
            click.echo(f"stored   {event.stored.image.file}, {event.seconds:.1f} s, {cost}", err=True)


def _print(path: Path, summary: RunSummary, values: dict[str, Any], *, quiet: bool) -> None:
    if not quiet and not (values["quiet"] and (values["as_json"] or exit_code(summary) == 0)):
        text = render_summary(
            summary, resume=command_line("run", path, values), retry=command_line("retry", path, values)
        )
        click.echo(text, err=values["as_json"])
    if values["as_json"]:
        click.echo(json.dumps(summary.as_json()))


def exit_code(summary: RunSummary) -> int:
    """0 all stored, 1 some failed or held, 3 stopped with work left."""
    if summary.stopped_by is not None:
        return 3
    return 1 if summary.failed or summary.held else 0
