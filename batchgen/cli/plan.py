"""`batchgen plan`: the diff, the cost and the time of a run, before a cent is spent."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import click

from batchgen.cli.internal import tell_internal
from batchgen.cli.options import MANIFEST, common_options, options_of, run_options
from batchgen.core.errors import BatchgenError
from batchgen.core.plan import Planned
from batchgen.core.summary import PlanSummary
from batchgen.job import Options
from batchgen.reports.columns import has_colour, prose_width
from batchgen.reports.plan import render_plan, render_planned
from batchgen.run import plan_job

Tell = Callable[[str, Sequence[Planned]], None]


@click.command("plan")
@click.argument("manifests", type=MANIFEST, nargs=-1, required=True, metavar="MANIFEST...")
@common_options
@run_options
@click.option("--tasks", is_flag=True, help="A line for each task instead of the sums.")
def command(manifests: tuple[Path, ...], *, tasks: bool, **values: Any) -> None:
    """Show what a run would do and cost: new, changed, retried, kept and removed tasks."""
    sys.exit(show_plans(manifests, options_of(values), values, as_json=values["as_json"], tasks=tasks))


def show_plans(
    manifests: Sequence[Path], options: Options, values: dict[str, Any], *, as_json: bool, tasks: bool = False
) -> int:
    """Print the plan of each manifest; returns the exit code."""

    def show(plan: PlanSummary) -> None:
        if not tasks:
            click.echo(json.dumps(plan.as_json()) if as_json else plan_text(plan, err=False))

    _, code = make_plans(manifests, options, values, show, _teller(as_json=as_json) if tasks else None)
    return code


def make_plans(
    manifests: Sequence[Path],
    options: Options,
    values: dict[str, Any],
    show: Callable[[PlanSummary], None],
    each: Tell | None = None,
) -> tuple[dict[Path, PlanSummary], int]:
    """The plan of each manifest, shown as soon as it is made, and the exit code; what fails is said on stderr."""
    plans, code = dict[Path, PlanSummary](), 0
    for path in manifests:
        try:
            plans[path] = anyio.run(plan_job, path, options, each or _untold)
        except BatchgenError as error:
            click.echo(str(error), err=True)
            code = max(code, error.exit_code)
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, the other manifests have their plans
            tell_internal(path, error, options, values)
            code = 2
            continue
        show(plans[path])
    return plans, 2 if code else 0


def plan_text(plan: PlanSummary, *, err: bool) -> str:
    """A plan as wide as the stream that it goes to, in colour where that is wanted."""
    stream = sys.stderr if err else sys.stdout
    return render_plan(plan, width=prose_width(stream), colour=has_colour(stream))


def _untold(_job: str, _page: Sequence[Planned]) -> None:
    """Who wants the sums only."""


def _teller(*, as_json: bool) -> Tell:
    def tell(job: str, page: Sequence[Planned]) -> None:
        if as_json:
            click.echo("\n".join(json.dumps({"job": job, **one.as_json()}) for one in page))
        else:
            click.echo(render_planned(page))

    return tell
