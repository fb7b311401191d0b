"""Reads manifests in tests."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from batchgen.catalogue.catalogue import Catalogue
from batchgen.core.errors import Problem, ProblemsError
from batchgen.core.types import Task
from batchgen.core.values import replace
from batchgen.manifest.job import Manifest
from batchgen.manifest.load import Setting, load_manifest

SETTING = Setting(Catalogue.builtin(), ("cometapi", "openai", "sandbox"), today=date(2026, 11, 23))

HEAD = "batchgen: 1\nmodel: gpt-image-2\n"


def read(
    folder: Path,
    text: str | bytes,
    *,
    name: str = "job.yaml",
    provider: str | None = None,
    setting: Setting = SETTING,
) -> Manifest:
    """The manifest of a text, written to a real file."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_manifest(path, replace(setting, provider=provider))


def tasks_of(manifest: Manifest) -> list[Task]:
    """The tasks, when there is no problem at all."""
    expanded = list(manifest.expand())
    problems = [*manifest.problems, *(each for each in expanded if isinstance(each, Problem))]
    assert [] == problems
    return [each for each in expanded if isinstance(each, Task)]


def problems_of(folder: Path, text: str | bytes, setting: Setting = SETTING) -> list[str]:
    """Everything wrong with a text as `LINE:COLUMN: message`, in the order of the file, warnings too."""
    try:
        manifest = read(folder, text, setting=setting)
    except ProblemsError as error:
        found = list(error.problems)
    else:
        found = [*manifest.problems, *(each for each in manifest.expand() if isinstance(each, Problem))]
    shown = sorted(found, key=lambda problem: (problem.line, str(problem.column).zfill(9)))
    return [str(problem).removeprefix(f"{folder / 'job.yaml'}:") for problem in shown]
