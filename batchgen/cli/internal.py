"""Errors that nobody foresaw: one plain line, the traceback only where it is asked for, and no key in either."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from batchgen.cli.saying import hide_of, say
from batchgen.core.plain import REASON_LIMIT, one_line
from batchgen.job import Options


def tell_internal(
    path: Path, error: Exception, options: Options, values: dict[str, Any], *, ran: bool = False
) -> None:
    """Say on stderr what failed with a manifest, what to report, and how a job that `ran` goes on."""
    shown = "below" if values["verbose"] else "that --verbose shows"
    resume = options.command("run", path)
    ledger = (
        f"; what was answered is on the ledger, which is whole: `{resume}` goes on from there" if ran else ""
    )
    told = f"{path}: {internal_reason(error, options)}{ledger}. Please report it with the traceback {shown}."
    lines = [told]
    if values["verbose"]:
        hide = hide_of(options)
        for line in "".join(traceback.format_exception(error)).splitlines():
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(indent + hide(line))
    say("\n".join(lines))


def internal_reason(error: Exception, options: Options) -> str:
    """What failed, as one line. Of errors that came together the first one is told."""
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    told = hide_of(options)(f"{type(first).__name__}: {first}")
    return f"an internal error of batchgen ({one_line(told, REASON_LIMIT)})"
