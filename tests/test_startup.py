"""How a command starts: what it does not wait for, and what it does not leave behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.cli import Desk

pytest_plugins = ("tests.support.fixtures",)

RUN = """
import gc, os, sys
from batchgen.cli import main
try:
    main()
finally:
    print(gc.isenabled(), *sorted(sys.modules), file=sys.stderr)
"""
SLOW = {
    "PIL",
    "aiofiles",
    "aiohttp",
    "anyio",
    "asyncio",
    "jinja2",
    "openpyxl",
    "rich",
    "ssl",
    "yarl",
}
OTHERS = {
    "batchgen.engines",
    "batchgen.pool",
    "batchgen.rooms",
    "batchgen.run",
    "batchgen.sandbox",
    "batchgen.stores",
}


def started(desk: Desk, *words: str) -> tuple[bool, set[str]]:
    """Whether garbage is collected once a command has run, and what it imported."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words],
        cwd=desk.folder,
        env=desk.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    collects, *modules = done.stderr.split()
    return collects == "True", set(modules)


def test_validate_waits_for_nothing_that_it_does_not_use(desk: Desk) -> None:
    """To validate a manifest imports no event loop, network, picture, table or terminal library, and no room of a run."""
    desk.manifest([{"id": "boat", "prompt": "A {color} boat.", "vary": {"color": ["red", "blue"]}}])

    _, modules = started(desk, "validate", "job.yaml")

    assert {"batchgen.staging", "pydantic", "sqlite3", "yaml"} <= modules
    assert set() == modules & (SLOW | OTHERS)


@pytest.mark.parametrize("verb", ["validate", "plan", "status"])
def test_a_verb_collects_its_garbage(desk: Desk, verb: str) -> None:
    """The collector stands still while a command is imported, and not a moment longer: a night is long."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    desk.do("run", "job.yaml", "--quiet")

    collects, _ = started(desk, verb, "job.yaml")

    assert collects
