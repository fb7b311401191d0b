"""`results.jsonl` and `results.csv`: one line a task, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

from batchgen import __version__
from batchgen.core.plain import safe_text
from batchgen.core.records import TaskView
from batchgen.reports.atomic import Sink, replacing

Batches = Callable[[], AsyncIterator[Sequence[TaskView]]]
"""Opens the job's tasks from the first one, in manifest order; called once for each time they are read."""

COLUMNS = (
    "task_id", "prompt_id", "state", "class", "reason", "attempts", "file", "cost_usd", "model", "prompt", "tags",
)  # fmt: skip
"""The columns of `results.csv` before one column for each variable."""
OF_A_ROW = ("state", "file", "cost_usd", "reason")
"""Those that come right behind a table's own columns."""

_JSON = json.JSONEncoder(ensure_ascii=False)
_BYTE_ORDER_MARK = "\ufeff"
_FORMULA_STARTS = frozenset("=+-@＝＋－＠")
_FORMULA = re.compile(r"(?:^|[\r\n])(?:[^\S\t\r]|[\u200b\u2060])*[=+\-@＝＋－＠\t\r]")


async def write_results(folder: Path, batches: Batches, columns: Sequence[str] = ()) -> None:
    """Write both files into `folder`, reading the tasks twice, and put them in place together at the end.

    `columns` are those of the job's tables: they come first, in their own order, with state, file, cost and reason
    behind them. Memory does not grow with the tasks: the first reading also finds the names of the other variables,
    which are the last columns. Raises `OSError`; the old files are then still there.
    """
    async with replacing(folder / "results.jsonl") as lines, replacing(folder / "results.csv") as table:
        names = await _write_lines(lines, batches())
        await _write_table(table, batches(), columns, [name for name in names if name not in columns])


def results_seal(folder: Path, columns: Sequence[str]) -> str:
    """What tells these very files from others, of other columns or another version; one that never was has its own."""
    found: list[object] = [__version__, list(columns)]
    for name in ("results.jsonl", "results.csv"):
        try:
            status = (folder / name).lstat()
        except OSError as error:
            found.append(str(error))
        else:
            found.append([status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    return json.dumps(found)


async def _write_lines(sink: Sink, batches: AsyncIterator[Sequence[TaskView]]) -> list[str]:
    names: dict[str, None] = {}
    async for batch in batches:
        for view in batch:
            names.update(dict.fromkeys(view.variables))
        await sink.write("".join(map(_line, batch)).encode("utf-8", "backslashreplace"))
    return list(names)


def _line(view: TaskView) -> str:
    """One JSON object. Half surrogates leave as JSON's own escapes, which JSON reads as what they were."""
    row = {
        **view.as_json(),
        "model": view.request.model,
        "prompt": view.request.prompt,
        "parameters": dict(view.request.parameters),
        "tags": list(view.tags),
        "variables": dict(view.variables),
        "width": view.width,
        "height": view.height,
    }
    return _JSON.encode(row) + "\n"


async def _write_table(
    sink: Sink, batches: AsyncIterator[Sequence[TaskView]], before: Sequence[str], behind: Sequence[str]
) -> None:
    """`before` are variables that come before batchgen's own columns, `behind` those that come behind."""
    fixed = (*OF_A_ROW, *(name for name in COLUMNS if name not in OF_A_ROW)) if before else COLUMNS
    header = [*map(_title, before), *fixed, *map(_title, behind)]
    await sink.write(_rows([header], first=_BYTE_ORDER_MARK))
    order = [COLUMNS.index(name) for name in fixed]
    async for batch in batches:
        await sink.write(_rows(_in_order(view, before, order, behind) for view in batch))


def _title(name: str) -> str:
    """The header of a variable's column, which must not have one of batchgen's names."""
    return f"{name} (variable)" if name in COLUMNS else name


def _in_order(view: TaskView, before: Sequence[str], order: Sequence[int], behind: Sequence[str]) -> list[str]:
    fixed, variables = _cells(view), view.variables
    return [
        *(variables.get(name, "") for name in before),
        *(fixed[number] for number in order),
        *(variables.get(name, "") for name in behind),
    ]


def _rows(rows: Iterable[Sequence[str]], *, first: str = "") -> bytes:
    """RFC 4180 lines; the byte order mark before the first makes Excel read UTF-8."""
    text = io.StringIO(newline="")
    text.write(first)
    csv.writer(text, lineterminator="\r\n").writerows([formula_safe(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8")


def _cells(view: TaskView) -> list[str]:
    return [
        view.task_id,
        view.prompt_id,
        view.state,
        view.failure_class or "",
        view.reason or "",
        str(view.attempts),
        view.file or "",
        _amount(view.cost_usd),
        view.request.model,
        view.request.prompt,
        " ".join(view.tags),
    ]


def _amount(cost_usd: float | None) -> str:
    """Micro-dollars as plain digits: never `1e-05`."""
    return "" if cost_usd is None else f"{cost_usd:.6f}".rstrip("0").rstrip(".")


def formula_safe(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, with what a person cannot see taken out.

    A cell that starts with `=`, `+`, `-`, `@` (their full-width forms too), a tab or a carriage return, behind
    any white space and on any of its lines, gets a leading apostrophe (OWASP, "CSV Injection"), and so does each such
    line inside of it: programs that split cells at line ends begin new ones there.
    """
    if cell.isprintable() and not _FORMULA_STARTS.intersection(cell.lstrip()[:1]):
        return cell  # one line of what can be seen: most cells
    clean = safe_text(cell, keep_lines=True)
    # Both are looked at: what is taken out must neither hide a formula's start nor have been one.
    if not any(map(_FORMULA.search, {cell.replace("\r\n", "\n"), clean})):
        return clean
    first, *others = clean.split("\n")
    return "\n".join([f"'{first}", *(f"'{line}" if _FORMULA.match(line) else line for line in others)])
