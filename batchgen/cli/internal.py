"""Errors that nobody foresaw: one plain line, the traceback only where it is asked for, and no key in either."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import command_line
from batchgen.core.plain import REASON_LIMIT, one_line
from batchgen.job import Options
from batchgen.providers.endpoint import Secret
from batchgen.providers.masking import Mask


def tell_internal(
    path: Path, error: Exception, options: Options, values: dict[str, Any], *, ran: bool = False
) -> None:
    """Say on stderr what failed with a manifest, what to report, and how a job that `ran` goes on."""
    shown = "below" if values["verbose"] else "that --verbose shows"
    resume = command_line("run", path, values)
    ledger = (
        f"; what was answered is on the ledger, which is whole: `{resume}` goes on from there" if ran else ""
    )
    told = f"{path}: {internal_reason(error, options)}{ledger}. Please report it with the traceback {shown}."
    click.echo(told, err=True)
    if values["verbose"]:
        masks = _masks(options)
        for line in "".join(traceback.format_exception(error)).splitlines():
            indent = line[: len(line) - len(line.lstrip())]
            click.echo(indent + _masked(line, masks), err=True)


def internal_reason(error: Exception, options: Options) -> str:
    """What failed, as one line. Of errors that came together the first one is told."""
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    told = _masked(f"{type(first).__name__}: {first}", _masks(options))
    return f"an internal error of batchgen ({one_line(told, REASON_LIMIT)})"


def _masks(options: Options) -> list[Mask]:
    names = {name for settings in options.config.providers.values() for name in settings.key_env}
    return [Mask(Secret(options.environ.get(name, ""))) for name in sorted(names)]


def _masked(text: str, masks: list[Mask]) -> str:
    for mask in masks:
        text = mask.text(text)
    return text
