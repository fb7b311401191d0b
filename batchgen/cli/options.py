"""Options that several verbs share, and how they become `batchgen.job.Options`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from batchgen.cli.params import Moment, Number, Output, Seconds
from batchgen.config.file import load_config
from batchgen.config.values import Config
from batchgen.core.errors import NotRunError
from batchgen.core.limits import FASTEST_PER_MINUTE, SLOWEST_PER_MINUTE
from batchgen.job import Options

Command = TypeVar("Command", bound=Callable[..., Any])

MANIFEST = click.Path(path_type=Path, dir_okay=False)


def _stack(command: Command, options: list[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def common_options(command: Command) -> Command:
    """Where things are, and how to talk."""
    return _stack(
        command,
        [
            click.option(
                "--output",
                type=Output(path_type=Path, file_okay=False),
                metavar="DIR",
                help="Folder of all jobs (default: output), or s3://BUCKET/PREFIX.",
            ),
            click.option("--config", type=MANIFEST, metavar="FILE", help="Use this batchgen.yaml."),
            click.option("--provider", metavar="NAME", help="Use this provider instead of the manifest's."),
            click.option("--base-url", metavar="URL", help="Send requests here, with or without /v1."),
            click.option(
                "--json", "as_json", is_flag=True, help="Print JSON on stdout; everything else goes to stderr."
            ),
            click.option("--quiet", "-q", is_flag=True, help="No progress."),
            click.option(
                "--verbose",
                "-v",
                is_flag=True,
                help="A line for each request and image of a run; tracebacks of internal errors.",
            ),
        ],
    )


_GRACE = click.option(
    "--grace", type=Seconds(), metavar="SECONDS", help="Wait this long for what is in flight after a signal."
)


def _bounds(each: str, most: str) -> list[Callable[[Command], Command]]:
    rate = Number(min=SLOWEST_PER_MINUTE, max=FASTEST_PER_MINUTE)
    return [
        click.option("--images-per-minute", type=rate, metavar="N", help=f"At most this rate{each}."),
        click.option(
            "--concurrency", type=click.IntRange(1, 1024), metavar="N", help=f"Requests in flight{each}."
        ),
        click.option("--budget-usd", type=Number(min=0), metavar="USD", help=most),
        click.option(
            "--allow-unpriced",
            type=Number(min=0),
            metavar="USD_EACH",
            help="Take images without a price to cost this.",
        ),
        click.option("--finish-by", type=Moment(), metavar="TIME", help="Send nothing after this time."),
    ]


def run_options(command: Command) -> Command:
    """Bounds and choices of a run."""
    return _stack(
        command,
        [
            *_bounds("", "The most that this run may spend."),
            click.option(
                "--max-attempts", type=click.IntRange(1, 100), metavar="N", help="Attempts of a task."
            ),
            click.option(
                "--only", multiple=True, metavar="GLOB", help="Only tasks whose id matches; repeatable."
            ),
            click.option(
                "--limit", type=click.IntRange(min=0), metavar="N", help="Send at most this many tasks."
            ),
            _GRACE,
            click.option(
                "--engine", metavar="NAME", help="Where requests are performed: local (default) or ray."
            ),
            click.option("--adopt", is_flag=True, help="Take over a job that another manifest began."),
        ],
    )


def log_option(command: Command) -> Command:
    """How a run is logged."""
    return click.option(
        "--log",
        type=click.Choice(["json"]),
        is_eager=True,
        callback=_begin_log,
        help="Log to stderr, a JSON object a line, instead of progress.",
    )(command)


def _begin_log(context: click.Context, parameter: click.Parameter, kind: str | None) -> str | None:
    if kind is None:
        return None
    from batchgen.cli.saying import begin_log

    return begin_log(context, parameter, kind)


def night_options(command: Command) -> Command:
    """Bounds of a whole night; each job keeps its own beside them."""
    return _stack(command, [*_bounds(", for each provider", "The most that the night may spend."), _GRACE])


def options_of(values: dict[str, Any]) -> Options:
    """The options of a verb; those that it has not are left out. Raises `UsageError`, `ProblemsError`."""
    output = values.get("output")
    return Options(
        config=config_of(values),
        environ=os.environ,
        config_named=values.get("config"),
        output=None if isinstance(output, str) else output,
        store=output if isinstance(output, str) else None,
        provider=values.get("provider"),
        base_url=values.get("base_url"),
        images_per_minute=values.get("images_per_minute"),
        concurrency=values.get("concurrency"),
        budget_usd=values.get("budget_usd"),
        unpriced_usd=values.get("allow_unpriced"),
        finish_by=values.get("finish_by"),
        max_attempts=values.get("max_attempts"),
        only=tuple(values.get("only") or ()),
        limit=values.get("limit"),
        grace_s=values.get("grace"),
        engine=values.get("engine"),
        adopt=bool(values.get("adopt")),
    )


def config_of(values: dict[str, Any]) -> Config:
    """The configuration that the options name, or the nearest one."""
    return load_config(values.get("config"), Path())


def not_run_yet(manifest: Path, options: Options) -> NotRunError:
    """What to say of a job that cannot be looked at yet, with the command that begins it."""
    return NotRunError(f"{manifest}: this job has not run yet; `{options.command('run', manifest)}` begins it")
