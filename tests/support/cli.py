"""The command line as a user types it: a real process, a clean environment, a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio

from batchgen.config.file import load_config
from batchgen.job import Options
from batchgen.ledgers.sqlite import SqliteLedger, open_ledger
from batchgen.run import plan_job
from tests.support.paid import Till

Result = TypeVar("Result")

WAIT_S = 200.0
"""No step of a test takes a tenth of it; a hang ends here, before the test's own time is up."""

BATCHGEN = (sys.executable, "-W", "error", "-W", "ignore:'imghdr':DeprecationWarning", "-m", "batchgen")
"""As a user types it, with warnings as errors, all but one of apprise's."""


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        """The last JSON line."""
        line: dict[str, Any] = self.lines[-1]
        return line


@dataclass(frozen=True)
class Running:
    """A command under way."""

    process: subprocess.Popen[str]
    key: str

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        self.process.send_signal(number)

    def wait_for(self, words: str) -> str:
        """Read its standard error up to the line that holds `words`; returns that line."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if words in line:
                return line
        raise AssertionError(f"it never said {words!r}")

    def done(self) -> Done:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=WAIT_S)
        assert self.key not in out + err, "the key was shown"
        return Done(self.process.returncode, out, err)


@dataclass
class Desk:
    """A working folder with its manifests and outputs, and a till that its commands pay at."""

    folder: Path
    till: Till
    environ: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "COMETAPI_KEY": self.till.key,
            "COMETAPI_BASE_URL": self.till.base_url,
        }

    @property
    def job(self) -> Path:
        """The folder of the job that `manifest` writes."""
        return self.folder / "output" / "job"

    def beside(self, name: str) -> Desk:
        """Another desk in a folder of this one, with an account of its own."""
        folder = self.folder / name
        folder.mkdir()
        return Desk(folder, Till(self.till.port, f"{self.till.key}-{name}"))

    def manifest(
        self, prompts: Sequence[Mapping[str, object]], /, name: str = "job.yaml", **keys: object
    ) -> Path:
        """Write a manifest of small gpt-image-2 images; `keys` add to it or replace what it has."""
        document = {
            "batchgen": 1,
            "job": "job",
            "model": "gpt-image-2",
            "request": {"size": "1024x1024", "quality": "low"},
            **keys,
            "prompts": list(prompts),
        }
        path = self.folder / name
        path.write_text(json.dumps(document, indent=1))  # JSON is YAML
        return path

    def start(self, *words: str, stdin: int = subprocess.DEVNULL, before: Sequence[str] = ()) -> Running:
        """Begin a command, behind one that becomes it; its `--base-url` comes from the environment."""
        command = [*before, *BATCHGEN, *words]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Running(process, self.till.key)

    def do(self, *words: str) -> Done:
        """A command from beginning to end."""
        return self.start(*words).done()

    def run(self, *words: str, expect: int = 0) -> dict[str, Any]:
        """`batchgen run job.yaml --json`; returns its summary."""
        return self.json("run", "job.yaml", *words, expect=expect)

    def json(self, *words: str, expect: int = 0) -> dict[str, Any]:
        """A command with `--json` that must end with a code; returns its last line."""
        done = self.do(*words, "--json")
        assert expect == done.code, done.err
        return done.last

    def tasks(self) -> dict[str, dict[str, Any]]:
        """The objects of `status --tasks`, by task id; read without a process, which takes longer than the reading."""
        return {task["task_id"]: task for task in anyio.run(self._read, SqliteLedger.tasks)}

    def attempts(self) -> list[dict[str, Any]]:
        """The objects of `status --attempts`, read in the same way."""
        return anyio.run(self._read, SqliteLedger.attempts)

    async def _read(
        self, pages: Callable[[SqliteLedger], AsyncIterator[Sequence[Any]]]
    ) -> list[dict[str, Any]]:
        async with open_ledger(self.job / "ledger.sqlite", readable=True) as ledger:
            return [dict(view.as_json()) async for page in pages(ledger) for view in page]

    def images(self) -> dict[str, bytes]:
        """The images under their final names, by task id."""
        return {path.stem: path.read_bytes() for path in sorted((self.job / "images").glob("*.png"))}

    def sidecars(self) -> dict[str, dict[str, Any]]:
        """The sidecars, by task id."""
        return {path.stem: json.loads(path.read_text()) for path in (self.job / "images").glob("*.json")}

    def plan(self) -> dict[str, int]:
        """What `plan job.yaml` counts, read without a process."""
        config = load_config(None, self.folder)
        options = Options(config, self.environ, output=self.folder / "output")
        return counts(anyio.run(plan_job, self.folder / "job.yaml", options).as_json())


def counts(plan: Mapping[str, Any]) -> dict[str, int]:
    """What a plan counts, without what it counts none of."""
    changes = ("new", "changed", "retry", "failed", "held", "missing", "kept", "removed")
    return {change: plan[change] for change in changes if plan[change]}


def together(steps: Iterable[Callable[[], Result]]) -> list[Result]:
    """Take steps at the same time: most of their time is that of processes that begin."""
    with ThreadPoolExecutor() as pool:
        return [future.result() for future in [pool.submit(step) for step in steps]]


def pick(told: Mapping[str, Any], *keys: str) -> tuple[Any, ...]:
    """Some fields of an object, in this order."""
    return tuple(told[key] for key in keys)


def until(true: Callable[[], bool], running: Running) -> None:
    """Wait for something that a running command brings about; it is looked at again and again, never timed."""
    ends = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < ends, "it never came"
        assert running.process.poll() is None, running.done()
        time.sleep(0.005)


@contextmanager
def ended(running: Running) -> Iterator[Running]:
    """A running command that is surely gone afterwards."""
    try:
        yield running
    finally:
        running.process.kill()
        for pipe in (running.process.stdout, running.process.stderr):
            if pipe is not None:
                pipe.close()
        running.process.wait()
