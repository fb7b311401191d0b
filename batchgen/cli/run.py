"""`batchgen run`: validate, plan, run, resume, report."""

from __future__ import annotations

import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import MANIFEST, common_options, log_option, options_of, run_options
from batchgen.cli.plan import make_plans, plan_text, show_plans
from batchgen.cli.running import run_all
from batchgen.core.summary import PlanSummary, in_all
from batchgen.job import Options
from batchgen.reports.plan import cost_text
from batchgen.reports.text import counted

NOT_SENT = 3
"""The exit code of a plan that was not agreed to: work is left, nothing was sent."""


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
    agreed = _agreed(manifests, options, values) if confirm else {}
    sys.exit(run_all(manifests, options, values, agreed))


def _agreed(manifests: tuple[Path, ...], options: Options, values: dict[str, Any]) -> dict[Path, PlanSummary]:
    """Show the plans and ask; with nothing to send there is nothing to ask. Exits unless the answer is a yes."""
    err: bool = values["as_json"]
    plans, code = make_plans(
        manifests, options, values, lambda plan: click.echo(plan_text(plan, err=err), err=err)
    )
    if code:
        click.echo("nothing was sent", err=True)
        sys.exit(code)
    if any(plan.to_send for plan in plans.values()) and not _answered_yes(plans):
        click.echo("nothing was sent", err=True)
        sys.exit(NOT_SENT)
    return plans


def _answered_yes(plans: dict[Path, PlanSummary]) -> bool:
    """Whether the next line of standard input is a yes; everything else is a no, and so is its end."""
    to_send = sum(plan.to_send for plan in plans.values())
    cost = cost_text(in_all(plan.cost for plan in plans.values()))
    try:
        click.echo(f"\nSend {counted(to_send, 'request')} for {cost}? [y/N]: ", nl=False, err=True)
        line = _next_line() if sys.stdin else b""
    except KeyboardInterrupt:
        click.echo("\nnothing was sent", err=True)
        sys.exit(128 + signal.SIGINT)
    if not line.endswith(b"\n"):
        click.echo(err=True)  # the end of the input left the cursor in the line
    return line.strip().lower() in {b"y", b"yes"}


def _next_line() -> bytes:
    """A line of standard input. A signal that comes just before `readline` waits would be slept over; here it wakes."""
    hears, tells = socket.socketpair()
    with hears, tells:
        tells.setblocking(False)
        before = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
        try:
            select.select([sys.stdin, hears], [], [])
        finally:
            signal.set_wakeup_fd(before)
    return sys.stdin.buffer.readline()
