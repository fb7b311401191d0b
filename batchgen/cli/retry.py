"""`batchgen retry`: failed, held and missing tasks go back to pending, and are sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import MANIFEST, common_options, log_option, options_of, run_options
from batchgen.cli.params import OneOf
from batchgen.cli.running import run_all
from batchgen.core.types import FailureClass
from batchgen.core.values import replace
from batchgen.job import RetrySelection

CLASSES = (*(kind.value for kind in FailureClass), "missing")


@click.command("retry")
@click.argument("manifest", type=MANIFEST)
@common_options
@run_options
@log_option
@click.option(
    "--class",
    "classes",
    type=OneOf(CLASSES),
    multiple=True,
    help="Only failures of this class; repeatable.",
)
@click.option("--task", "tasks", multiple=True, metavar="GLOB", help="Only tasks whose id matches; repeatable.")
@click.option("--no-run", is_flag=True, help="Only put them back; the next run sends them.")
def command(
    manifest: Path, *, classes: tuple[str, ...], tasks: tuple[str, ...], no_run: bool, **values: Any
) -> None:
    """Order images again that failed, whose outcome is unknown, or whose file is lost. This may cost money."""
    selection = RetrySelection(frozenset(classes), tasks, run=not no_run)
    sys.exit(run_all((manifest,), replace(options_of(values), retry=selection), values))
