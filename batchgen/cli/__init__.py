"""The command line: one small module per verb."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """The `batchgen` command.

    What starting it would waste is left out here, and not in the library, whose process belongs to others: looking
    for garbage among modules that stay (`settle` begins with it again), and for plugins of pydantic, which this
    command has none of, in every installed package.
    """
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from batchgen.cli.app import app

    _open_closed()
    app(prog_name="batchgen")


def settle() -> None:
    """The verb is imported: collect garbage from now on, but never look at modules again, not even at the end."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _open_closed() -> None:
    """Lead standard streams that were closed by whoever started this (`2>&-`) nowhere, before a file gets their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
