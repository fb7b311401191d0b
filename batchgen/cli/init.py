"""`batchgen init`: a manifest with its table, and a configuration, to begin with."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from batchgen.config.schema import config_schema
from batchgen.config.values import FILE_NAME
from batchgen.core.errors import UsageError
from batchgen.manifest.editing import json_schema
from batchgen.manifest.starter import CONFIG, MANIFEST, TABLE

JOB = "my-first-job.yaml"
NEXT = {
    "validate": "finds mistakes, and says what to write instead",
    "plan": "shows what would be made and what it would cost",
    "run": "makes it: test pictures, for free",
}
"""What to do with the job, in this order."""


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
def command(folder: Path) -> None:
    """Write a job, its table and a batchgen.yaml, with comments, into FOLDER (default: here)."""
    files = _files()
    there = [str(folder / name) for name in files if (folder / name).exists()]
    if there:
        verb = "exists" if len(there) == 1 else "exist"
        raise UsageError(f"{' and '.join(there)} {verb} already; nothing was written (name another folder)")
    try:
        for name, text in files.items():
            _write(folder / name, text)
            click.echo(f"wrote {folder / name}")
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error})") from error
    click.echo("\n".join(["", "What to do next:", *_next(folder)]))


def _files() -> Mapping[str, str]:
    return {
        JOB: MANIFEST,
        "products.csv": TABLE,
        FILE_NAME: CONFIG,
        "schemas/manifest.schema.json": json.dumps(json_schema()),
        "schemas/config.schema.json": json.dumps(config_schema()),
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)  # a configuration that others may write is refused


def _next(folder: Path) -> list[str]:
    """Commands to be pasted into a shell, one a line."""
    batchgen = "batchgen" if shutil.which("batchgen") else f"{shlex.quote(sys.executable)} -m batchgen"
    go_there = [] if folder == Path() else [f"  cd {shlex.quote(str(folder))}"]
    commands = [f"{batchgen} {verb} {JOB}" for verb in NEXT]
    width = max(map(len, commands))
    told = zip(commands, NEXT.values(), strict=True)
    return [*go_there, *(f"  {line:<{width}}   # {what}" for line, what in told)]
