"""`batchgen verify`: every byte of a job against its ledger, and `--repair`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import click

from batchgen.cli.options import MANIFEST, common_options, not_run_yet, options_of
from batchgen.cli.saying import tell_notice
from batchgen.core.errors import NotRunError
from batchgen.reports.verdict import render_verdict
from batchgen.verify import verify_job


@click.command("verify")
@click.argument("manifest", type=MANIFEST)
@common_options
@click.option(
    "--repair", is_flag=True, help="Rebuild the ledger, take images in, put what is lost back to pending."
)
def command(manifest: Path, *, repair: bool, **values: Any) -> None:
    """Re-hash a job's images and compare them with the ledger; with --repair bring both in step. Sends nothing."""
    options = options_of(values)
    try:
        verdict = anyio.run(lambda: verify_job(manifest, options, repair=repair, notify=tell_notice))
    except NotRunError:
        raise not_run_yet(manifest, options) from None
    verbs = {
        "repair": f"{options.command('verify', manifest)} --repair",
        "run": options.command("run", manifest),
    }
    click.echo(render_verdict(verdict, **verbs), err=values["as_json"])
    if values["as_json"]:
        click.echo(json.dumps(verdict.as_json()))
    sys.exit(0 if verdict.sound else 1)
