"""`batchgen validate`: all problems of manifests, and nothing else."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import MANIFEST, common_options, options_of
from batchgen.core.errors import BatchgenError
from batchgen.reports.text import counted
from batchgen.staging import validate_job


@click.command("validate")
@click.argument("manifests", type=MANIFEST, nargs=-1, required=True, metavar="MANIFEST...")
@common_options
def command(manifests: tuple[Path, ...], **values: Any) -> None:
    """Show everything that is wrong with manifests: file, line, column, and what to write instead."""
    options = options_of(values)
    failed = False
    for path in manifests:
        try:
            problems = validate_job(path, options)
        except BatchgenError as error:
            click.echo(str(error), err=True)  # such as a file that is not there: the others count all the same
            failed = True
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, the other manifests are looked at
            from batchgen.cli.internal import tell_internal  # only where it is needed: start-up is a feature

            tell_internal(path, error, options, values)
            failed = True
            continue
        errors = [problem for problem in problems if not problem.warning]
        failed = failed or bool(errors)
        if values["as_json"]:
            click.echo(
                json.dumps({"manifest": str(path), "problems": [asdict(problem) for problem in problems]})
            )
            continue
        for problem in problems:
            click.echo(str(problem))
        if not errors:
            warned = f"no mistakes, {counted(len(problems), 'warning')}" if problems else "no problems"
            click.echo(f"{path}: {warned}", err=bool(problems))
    sys.exit(2 if failed else 0)
