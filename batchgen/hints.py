"""What a person may have meant otherwise: pictures asked for twice, a job that grew, words that match nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from batchgen.core.errors import Problem, UsageError
from batchgen.core.naming import printable
from batchgen.manifest.guess import did_you_mean, nearest
from batchgen.manifest.job import Manifest

if TYPE_CHECKING:
    from batchgen.core.protocols import Ledger

TWINS_LOOKED_AT = 200
"""Pairs that are read to find those of different prompts: one prompt may have thousands."""
TWINS_SHOWN = 10
"""More lines of the same kind help nobody; the last one says how many there are."""
GREW = 10
"""So many times as many tasks as at the last run are worth a question: it is a slip in `images`, `vary` or a table."""
GREW_TO = 100
"""Fewer tasks than this are nobody's bad night."""


async def staged(manifest: Manifest, ledger: Ledger) -> list[Problem]:
    """Warnings about a manifest whose tasks are staged."""
    return [*await unused_rates(manifest, ledger), *await twins(manifest, ledger)]


async def unused_rates(manifest: Manifest, ledger: Ledger) -> list[Problem]:
    """Warnings about rates of models that no task uses: they bound nothing."""
    rated = manifest.rated_models
    used = await ledger.staged_models() if rated else ()
    return [
        manifest.warning(
            f"no prompt uses the model {printable(name)}, so this limit bounds nothing ({did_you_mean(name, used)})",
            "limits",
            "images_per_minute",
            name,
        )
        for name in rated
        if name not in used
    ]


async def twins(manifest: Manifest, ledger: Ledger) -> list[Problem]:
    """Warnings about staged tasks that ask for exactly the same picture, one a prompt."""
    count, pairs = await ledger.twins(TWINS_LOOKED_AT)
    told: dict[tuple[str, int], Problem] = {}
    for task, earlier in pairs:
        problem = manifest.twins(task, earlier)
        told.setdefault((problem.file, problem.line), problem)
    shown = list(told.values())[:TWINS_SHOWN]
    if count > len(shown):
        message = f"in all, {count:,} tasks ask for exactly the same picture as an earlier one"
        shown.append(manifest.warning(message, "prompts"))
    return shown


async def growth(manifest: Manifest, ledger: Ledger) -> list[str]:
    """What to say of a job that has many more tasks than when it last ran."""
    before, now = await ledger.size()
    if not before or now < GREW_TO or now < GREW * before:
        return []
    tasks = "1 task" if before == 1 else f"{before:,} tasks"
    message = f"this job had {tasks} when it last ran, and has {now:,} now (if that is meant, nothing is wrong)"
    return [str(manifest.warning(message, "prompts"))]


async def unmatched(globs: Collection[str], ledger: Ledger) -> list[str]:
    """What to say of names that `--only` or `--task` gave and no task has, with those that were probably meant."""
    if not globs:
        return []
    found: dict[str, str | None] = dict.fromkeys(globs)
    async for page in ledger.staged_names():
        for glob in globs:
            found[glob] = _nearer(glob, found[glob], page)
    return [f"no task matches {printable(glob)} ({_advice(meant)})" for glob, meant in found.items()]


async def check_names(globs: Collection[str], ledger: Ledger) -> None:
    """Every name that `retry --task` gives must meet a task: it is about these alone. Raises `UsageError`."""
    left = dict.fromkeys(globs)
    if left:
        async for page in ledger.staged_names():
            met = [glob for glob in left if any(fnmatchcase(task_id, glob) for task_id, _ in page)]
            for glob in met:
                del left[glob]
    if told := await unmatched(left, ledger):
        raise UsageError(f"{'; '.join(told)}; nothing was sent")


def _nearer(glob: str, before: str | None, page: Sequence[tuple[str, str]]) -> str | None:
    """The nearest of a page's names and the one found before: a whole prompt, or a single task."""
    names = {task_id: task_id for task_id, _ in page} if "--" in glob.rstrip("*") else {}
    names |= {prompt_id: f"{prompt_id}--*" for _, prompt_id in page}
    if before is not None:
        names[before.removesuffix("--*")] = before
    word = glob.strip("*").rstrip("-")
    meant = nearest(word, names) or next(
        (name for name in names if word and word.lower() in name.lower()), None
    )
    return before if meant is None else names[meant]


def _advice(meant: str | None) -> str:
    return "`batchgen status MANIFEST --tasks` lists them" if meant is None else f"did you mean '{meant}'?"
