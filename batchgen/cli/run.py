"""`batchgen run`: validate, plan, run, resume, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import MANIFEST, common_options, log_option, options_of, run_options
from batchgen.cli.plan import show_plans
from batchgen.cli.running import run_all


@click.command("run")
@click.argument("manifests", type=MANIFEST, nargs=-1, required=True, metavar="MANIFEST...")
@common_options
@run_options
@log_option
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("--confirm", is_flag=True, help="Show the plan and ask before anything is sent.")
def command(manifests: tuple[Path, ...], *, dry_run: bool, confirm: bool, **values: Any) -> None:
    """Make what manifests ask for. Run it again to go on after an interruption: what is stored is kept."""
    options = options_of(values)
    if dry_run:
        sys.exit(show_plans(manifests, options, values, as_json=values["as_json"]))
    if confirm:
        if code := show_plans(manifests, options, values, as_json=False, err=values["as_json"]):
            sys.exit(code)
        if not _agreed():
            click.echo("nothing was sent", err=True)
            sys.exit(3)
    sys.exit(run_all(manifests, options, values))


def _agreed() -> bool:
    """Ask; no answer is a no."""
    try:
        return click.confirm("Send these requests?", err=True)
    except click.Abort:
        click.echo(err=True)
        return False
