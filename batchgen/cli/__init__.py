"""The command line: one small module per verb."""

from __future__ import annotations


def main() -> None:
    """The `batchgen` command."""
    from batchgen.cli.app import app

    app(prog_name="batchgen")
