"""`batchgen init`: a manifest and a configuration to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from batchgen.cli.options import command_line
from batchgen.config import FILE_NAME
from batchgen.core.errors import UsageError
from batchgen.manifest.starter import CONFIG, MANIFEST


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
def command(folder: Path) -> None:
    """Write my-first-job.yaml and batchgen.yaml, with comments, into FOLDER (default: here)."""
    files = {folder / "my-first-job.yaml": MANIFEST, folder / FILE_NAME: CONFIG}
    there = [str(path) for path in files if path.exists()]
    if there:
        raise UsageError(f"{' and '.join(there)} exists already; nothing was written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)  # a configuration that others may write is refused
            click.echo(f"wrote {path}")
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error})") from error
    click.echo(f"try: {command_line('run', folder / 'my-first-job.yaml', {})}")
