"""The command line: one small module per verb."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """The `batchgen` command."""
    from batchgen.cli.app import app

    _open_closed()
    app(prog_name="batchgen")


def _open_closed() -> None:
    """Lead standard streams that were closed by whoever started this (`2>&-`) nowhere, before a file gets their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
