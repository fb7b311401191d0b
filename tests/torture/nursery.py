"""Runs of the command line at a tenth of their price: forked from a process that has imported everything.

`Nursery` starts `python -m tests.torture.nursery` with the shim loaded. For each run that process forks a child,
which changes to the desk's folder, takes over the desk's environment, arms the shim, switches a safeguard off if it is
asked to (`mutants.py`), and then calls the program's entry with the words that a user types. The parent never starts a
thread, so the fork is safe.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.support.cli import Desk, Done
from tests.torture.shim import Strike, Tally, arm_this_process, read_tally

ROOT = Path(__file__).parents[2]

IMPORTED = (
    "anyio._backends._asyncio",
    "batchgen.cli.app",
    "batchgen.cli.run",
    "batchgen.engines.local",
    "batchgen.providers.http",
    "batchgen.reports.gallery",
    "batchgen.reports.results",
    "encodings.idna",
    "tests.torture.mutants",
)
"""What a run imports, late imports included: a child has it from its parent."""


@dataclass(frozen=True)
class Ended:
    """How a run ended, and what the shim counted in it."""

    done: Done
    tally: Tally

    @property
    def killed(self) -> bool:
        """Whether it was killed, from inside or outside."""
        return self.done.code == -signal.SIGKILL


class Child:
    """A run under way."""

    def __init__(self, pid: int, process: subprocess.Popen[str], desk: Desk, tally: Path) -> None:
        self.pid = pid
        self._process = process
        self._desk = desk
        self._tally = tally

    def kill(self) -> None:
        """SIGKILL; harmless when it has ended, since nobody has reaped it yet."""
        os.kill(self.pid, signal.SIGKILL)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        return state != "Z"

    def ended(self) -> Ended:
        """Let the nursery reap it."""
        told = _told(self._process, "reap")
        out, err = ((self._desk.folder / name).read_text() for name in ("out.txt", "err.txt"))
        assert self._desk.till.key not in out + err, "the key was shown"
        return Ended(Done(told["code"], out, err), read_tally(self._tally))


class Nursery:
    """One process that forks runs, one at a time."""

    def __init__(self, process: subprocess.Popen[str], library: Path) -> None:
        self._process = process
        self._library = library

    def begin(
        self,
        desk: Desk,
        *words: str,
        strike: Strike | None = None,
        log: Path | None = None,
        mutant: str | None = None,
    ) -> Child:
        """Begin a command in a desk's folder, with its job's folder under the shim."""
        tally = desk.folder / "tally"
        shim = (strike or Strike()).environ(self._library, desk.job, tally=tally, log=log)
        order = {
            "folder": str(desk.folder),
            "words": words,
            "environ": desk.environ,
            "shim": shim,
            "mutant": mutant,
        }
        return Child(_told(self._process, order)["pid"], self._process, desk, tally)

    def run(
        self, desk: Desk, *, strike: Strike | None = None, log: Path | None = None, mutant: str | None = None
    ) -> Ended:
        """`run job.yaml --json` from beginning to end."""
        return self.begin(desk, "run", "job.yaml", "--json", strike=strike, log=log, mutant=mutant).ended()


def _told(process: subprocess.Popen[str], order: object) -> Any:  # noqa: ANN401 - JSON
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    assert line, "the nursery ended"
    return json.loads(line)


@contextmanager
def nursery(library: Path) -> Iterator[Nursery]:
    """Start a nursery; its end ends what it began."""
    environ = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "tests.torture.nursery"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Nursery(process, library)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _serve() -> None:
    for name in IMPORTED:
        import_module(name)
    child = 0
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if order == "reap":
                _, status = os.waitpid(child, 0)
                child = 0
                _tell({"code": os.waitstatus_to_exitcode(status)})
            else:
                child = os.fork()
                if not child:
                    _live(order)
                _tell({"pid": child})
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _tell(answer: Mapping[str, object]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201 - the process that started this one reads it


def _live(order: Mapping[str, Any]) -> None:
    """The child: never returns to the parent's code."""
    code = 70
    try:
        os.chdir(order["folder"])
        for number, name in enumerate(("/dev/null", "out.txt", "err.txt")):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.environ.clear()
        os.environ.update(order["environ"])
        code = _main(order)
    except BaseException:  # noqa: BLE001 - whatever it is, it is this child's end
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(order: Mapping[str, Any]) -> int:
    from batchgen.cli import main
    from tests.torture.mutants import ALL_MUTANTS

    if order["mutant"] is not None:
        ALL_MUTANTS[order["mutant"]].switch_off()
    sys.argv = ["batchgen", *order["words"]]
    arm_this_process(order["shim"])
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


if __name__ == "__main__":
    _serve()
