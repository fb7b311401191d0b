"""The command line: one small module per verb."""

from __future__ import annotations

import gc
import os


def main() -> None:
    """The `batchgen` command.

    What starting it would waste is left out here, and not in the library, whose process belongs to others: looking
    for garbage among modules that stay (`settle` begins with it again), and for plugins of pydantic, which this
    command has none of, in every installed package.
    """
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from batchgen.cli.app import app

    app(prog_name="batchgen")


def settle() -> None:
    """The verb is imported: collect garbage from now on, but never look at modules again, not even at the end."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
