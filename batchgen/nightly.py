"""The manifests of a folder: which there are, in which order they run, and what is said beside a broken one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from batchgen.core.errors import BatchgenError, ProblemsError, UsageError
from batchgen.core.plain import safe_text
from batchgen.core.values import replace
from batchgen.job import Options, load_job
from batchgen.system.files import replace_file

CONFIGURATIONS = frozenset({"batchgen.yaml", "batchgen.yml"})
"""The operator's own file may lie in the folder; it is no job."""

PROBLEMS = ".problems.txt"
LEFT_OUT = "was left out of the night. Mend this, and the next night makes it:"
MOST_HEAD_BYTES = 1024
"""The first line of such a file is within these: a file's name has 255 bytes at most."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One manifest of the night. `fault` is what keeps it from running, None where nothing is known to."""

    path: Path
    job: str
    priority: int = 0
    fault: BatchgenError | None = None


async def read_night(folder: Path, options: Options) -> list[Entry]:
    """All manifests at the top of a folder, in the order in which they run. Raises `UsageError`.

    The higher priority goes first, then the name. What cannot be read has no priority, and is told first. Of
    manifests that write into the same folder only the first runs.
    """
    try:
        paths = await to_thread.run_sync(_manifests, folder, abandon_on_cancel=True)
    except OSError as error:
        raise UsageError(f"{folder}: the folder cannot be read ({error.strerror})") from error
    if not paths:
        raise UsageError(f"{folder}: there is no manifest in it (files that end in .yaml or .yml, none hidden)")
    entries = [await to_thread.run_sync(_read, path, options, abandon_on_cancel=True) for path in paths]
    return _without_twins(sorted(entries, key=lambda one: (one.fault is None, -one.priority, one.path.name)))


def _manifests(folder: Path) -> list[Path]:
    _sweep(folder)
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in {".yaml", ".yml"}
        and not path.name.startswith(".")
        and path.name not in CONFIGURATIONS
        and not path.is_dir()
    )


def _read(path: Path, options: Options) -> Entry:
    if path.exists() and not path.is_file():
        # To open a pipe waits for whoever writes into it: one such file would hold up the whole night.
        return Entry(
            path, path.stem, fault=UsageError(f"{path}: this is no file (remove it, or put the manifest here)")
        )
    try:
        job = load_job(path, options)
    except BatchgenError as error:
        return Entry(path, path.stem, fault=error)
    except Exception:  # noqa: BLE001 - the job meets it again when it runs, and tells it there
        return Entry(path, path.stem)
    return Entry(path, job.name, job.manifest.priority)


def _without_twins(entries: Sequence[Entry]) -> list[Entry]:
    first: dict[str, Path] = {}
    found = []
    for entry in entries:
        name = entry.job.casefold()
        if entry.fault is None and name in first:
            told = f"the job {entry.job} is also that of {first[name]}, which runs; give one of them another `job:` name"
            found.append(replace(entry, fault=UsageError(f"{entry.path}: {told}")))
        else:
            if entry.fault is None:
                first[name] = entry.path
            found.append(entry)
    return found


def problems_path(manifest: Path) -> Path:
    """Where a manifest's problems are told: beside it, under its own name, in full where two would share one."""
    other = ".yml" if manifest.suffix == ".yaml" else ".yaml"
    name = manifest.name if manifest.with_suffix(other).exists() else manifest.stem
    return manifest.with_name(f"{name}{PROBLEMS}")


def _sweep(folder: Path) -> None:
    """Take away what was said beside manifests that are gone; what others wrote under such a name stays."""
    for path in folder.glob(f"*{PROBLEMS}"):
        name = path.name.removesuffix(PROBLEMS)
        manifests = [folder / f"{name}{ending}" for ending in ("", ".yaml", ".yml")]
        if not any(map(os.path.lexists, manifests)) and path.is_file() and not path.is_symlink():
            with path.open("rb") as file, suppress(PermissionError):
                if LEFT_OUT.encode() in file.read(MOST_HEAD_BYTES):
                    path.unlink()


def lines_of(error: BatchgenError) -> list[str]:
    """What is wrong, a line each."""
    if isinstance(error, ProblemsError):
        return [safe_text(str(problem)) for problem in error.problems]
    return [safe_text(line) for line in str(error).splitlines()]


async def tell_beside(manifest: Path, problems: Sequence[str]) -> str:
    """Write a manifest's problems beside it, or take away those that are mended; returns why it failed, or ""."""
    try:
        await to_thread.run_sync(_tell_beside, problems_path(manifest), manifest.name, problems)
    except OSError as error:
        return f"{problems_path(manifest)}: cannot be written ({error.strerror or error})"
    return ""


def _tell_beside(path: Path, manifest: str, problems: Sequence[str]) -> None:
    if problems:
        head = f"{safe_text(manifest)} {LEFT_OUT}"
        replace_file(path, "\n".join([head, "", *problems, ""]).encode("utf-8", "replace"))
    else:
        path.unlink(missing_ok=True)
