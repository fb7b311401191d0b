"""`batchgen nightly`: every manifest of a folder under one set of limits."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import common_options, log_option, night_options, options_of
from batchgen.core.deadlines import ends_at
from batchgen.core.limits import LaneLimit
from batchgen.core.types import Limits
from batchgen.core.values import replace
from batchgen.job import Options
from batchgen.pool.night import Night
from batchgen.pool.purse import Purse


@click.command("nightly")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@common_options
@night_options
@log_option
def command(folder: Path, **values: Any) -> None:
    """Run every manifest at the top of FOLDER, several at a time, in order of priority and name.

    The limits are those of the whole night. A broken manifest stops only itself: what is wrong with it is written
    beside it. One page, nightly.html in the output folder, tells how all of them ended.
    """
    from batchgen.cli.night import run_night  # the network and the pages are slow to import

    sys.exit(run_night(folder, night_of(options_of(values)), values))


def night_of(options: Options) -> Options:
    """The flags bound the night as a whole; each job keeps its own limits beside them."""
    end = None
    if options.finish_by is not None:
        now = options.clock().astimezone()
        end = ends_at(Limits(finish_by=options.finish_by), now, datetime.astimezone)
    budget = None if options.budget_usd is None else Purse("the night's budget", options.budget_usd)
    most = LaneLimit((), options.images_per_minute, options.concurrency)
    bare = replace(options, images_per_minute=None, concurrency=None, budget_usd=None, finish_by=None)
    return replace(bare, night=Night(most, budget, end))
