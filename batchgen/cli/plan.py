"""`batchgen plan`: the diff, the cost and the time of a run, before a cent is spent."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import click

from batchgen.cli.app import exit_code_of
from batchgen.cli.internal import tell_internal
from batchgen.cli.options import MANIFEST, common_options, options_of, run_options
from batchgen.core.errors import BatchgenError
from batchgen.job import Options
from batchgen.reports.plan import render_plan
from batchgen.run import plan_job


@click.command("plan")
@click.argument("manifests", type=MANIFEST, nargs=-1, required=True, metavar="MANIFEST...")
@common_options
@run_options
def command(manifests: tuple[Path, ...], **values: Any) -> None:
    """Show what a run would do and cost: new, changed, retried, kept and removed tasks."""
    sys.exit(show_plans(manifests, options_of(values), values, as_json=values["as_json"]))


def show_plans(
    manifests: tuple[Path, ...], options: Options, values: dict[str, Any], *, as_json: bool, err: bool = False
) -> int:
    """Print the plan of each manifest, on stderr if `err`; returns the exit code."""
    code = 0
    for path in manifests:
        try:
            plan = anyio.run(plan_job, path, options)
        except BatchgenError as error:
            click.echo(str(error), err=True)
            code = max(code, exit_code_of(error))
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, the other manifests have their plans
            tell_internal(path, error, options, values)
            code = 2
            continue
        click.echo(json.dumps(plan.as_json()) if as_json else render_plan(plan), err=err)
    return 2 if code else 0
