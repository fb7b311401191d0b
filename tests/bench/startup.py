"""How long commands take to start: the processor time of each, beside that of a Python that does nothing.

`python -m tests.bench.startup`, after `make install`, which compiles the source.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 9
NOTHING = (sys.executable, "-c", "pass")
BATCHGEN = str(Path(sys.executable).with_name("batchgen"))
COMMANDS = ("--help", "validate job.yaml", "run --help", "status job.yaml", "plan job.yaml", "run job.yaml")
MANIFEST = """\
batchgen: 1
provider: sandbox
model: gpt-image-2
prompts:
  - id: boat
    prompt: A boat.
"""


def cpu_s(command: Sequence[str], folder: Path) -> float:
    """User and system seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def least(commands: Sequence[Sequence[str]], folder: Path) -> list[float]:
    """The least of several rounds, in turns: whatever else the machine does only adds to it."""
    rounds = [[cpu_s(command, folder) for command in commands] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def main() -> None:
    """Measure and print one table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.yaml").write_text(MANIFEST)
        cpu_s((BATCHGEN, "run", "job.yaml"), folder)  # so that there is something to be told of
        nothing, *times = least([NOTHING, *((BATCHGEN, *words.split()) for words in COMMANDS)], folder)
    for command, seconds in zip(("python -c pass", *COMMANDS), (nothing, *times), strict=True):
        print(f"{command:<20} {seconds * 1000:>6.0f} ms  {seconds / nothing:>5.1f}")  # noqa: T201 - this is its output


if __name__ == "__main__":
    main()
