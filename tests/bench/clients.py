"""What an image costs here and in other clients: nginx on one core answers at once, the client has the other.

`python -m tests.bench.clients [PYTHON] [FOLDER]`: PYTHON is that of the environment in which the official client and
litellm are installed, FOLDER where images are written (a temporary one by default). Every client is a process of its
own, in turns. Its cost is the CPU time of a run of many images less that of a run of one, so that starting counts for
nobody.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.nginx import nginx

CONCURRENCY, ROUNDS = 16, 3
SERVER_CORE, CLIENT_CORE = 0, 1
BODIES = {"1 KB": (700, 2000), "100 KB": (73_000, 600), "2 MB": (1_500_000, 200)}
"""Name of the body's size -> bytes of the image that is base64 in it, and how many are made."""

PEERS = Path(__file__).parent / "peers"
BLOCKS = """
import asyncio, os, sys, time
run, longest = asyncio.Handle._run, 0.0
def timed(self):
    global longest
    began = time.perf_counter()
    run(self)
    longest = max(longest, time.perf_counter() - began)
asyncio.Handle._run = timed
from batchgen.cli import main
sys.argv[0] = 'batchgen'
try:
    main()
finally:
    with open(os.environ['BENCH_BLOCKS'], 'w') as told: told.write(str(longest))
"""
"""batchgen, which also tells the longest stretch of work on its event loop: in a run of its own, since looking costs."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: CPU and elapsed time, and the most memory."""

    cpu_s: float
    seconds: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What an image costs."""

    cpu_ms: float
    images_per_s: float
    memory_mb: float


Client = Callable[[str, Path, int], Run]


def measured(command: Sequence[str], environ: Mapping[str, str]) -> Run:
    """Run a process to its end on the clients' core."""
    began = time.perf_counter()
    with subprocess.Popen(
        ["taskset", "-c", str(CLIENT_CORE), *command],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}: {told.decode()[-2000:]}")
    return Run(usage.ru_utime + usage.ru_stime, time.perf_counter() - began, usage.ru_maxrss / 1024)


def peer(python: str, program: str) -> Client:
    """A client that is a program of `peers/`."""

    def run(base_url: str, folder: Path, tasks: int) -> Run:
        command = [python, str(PEERS / program), base_url, str(folder), str(tasks), str(CONCURRENCY)]
        one = measured(command, os.environ)
        assert tasks == len(list(folder.glob("*.png")))
        return one

    return run


def batchgen(base_url: str, folder: Path, tasks: int, *start: str) -> Run:
    """All of batchgen: ledger, decoding, checks, fsync, sidecars. Thumbnails are no part of it."""
    prompt = {"id": "boat", "prompt": "Boat {n}.", "vary": {"n": [str(number) for number in range(tasks)]}}
    document = {
        "batchgen": 1,
        "model": "gpt-image-2",
        "limits": {"concurrency": CONCURRENCY},
        "report": {"thumbnails": False},
        "prompts": [prompt],
    }
    (folder / "job.yaml").write_text(json.dumps(document))
    environ = os.environ | {
        "COMETAPI_KEY": "sk-" + "benchmark0" * 5,
        "COMETAPI_BASE_URL": base_url,
        "BENCH_BLOCKS": str(folder / "blocks.txt"),
    }
    words = ["run", str(folder / "job.yaml"), "--output", str(folder / "output"), "--json", "--quiet"]
    one = measured([sys.executable, *(start or ("-m", "batchgen")), *words], environ)
    assert tasks == len(list((folder / "output" / "job" / "images").glob("*.png")))
    return one


def held_ms(base_url: str, folder: Path, tasks: int) -> float:
    """The longest that a run held its event loop."""
    batchgen(base_url, folder, tasks, "-c", BLOCKS)
    return 1000 * float((folder / "blocks.txt").read_text())


def empty(folder: Path) -> None:
    """Let go of what files hold, but not of the files, until the whole table is made.

    ext4 walks past every inode that was freed within the last minutes: deleting what one client made would be paid for
    by the next one, and most by the one that makes more files.
    """
    for file in folder.rglob("*"):
        if file.is_file():
            os.truncate(file, 0)


def cost(client: Client, base_url: str, place: Path, images: int) -> Cost:
    """The cost of each image of a run beyond the first."""
    runs = []
    for tasks in (1, images):
        folder = Path(tempfile.mkdtemp(dir=place))
        runs.append(client(base_url, folder, tasks))
        empty(folder)
    first, whole = runs
    more = images - 1
    return Cost(
        cpu_ms=1000 * (whole.cpu_s - first.cpu_s) / more,
        images_per_s=more / (whole.seconds - first.seconds),
        memory_mb=whole.memory_mb,
    )


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(
        statistics.median(one.cpu_ms for one in costs),
        statistics.median(one.images_per_s for one in costs),
        statistics.median(one.memory_mb for one in costs),
    )


def compare(clients: Mapping[str, Client], place: Path, size: str) -> None:
    """Measure all clients in turns, and print their rows."""
    image_bytes, images = BODIES[size]
    costs: dict[str, list[Cost]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory() as served,
        nginx(Path(served), image_bytes, SERVER_CORE) as base_url,
    ):
        for number in range(ROUNDS):
            for name in list(clients)[:: -1 if number % 2 else 1]:
                costs[name].append(cost(clients[name], base_url, place, images))
        held = held_ms(base_url, Path(tempfile.mkdtemp(dir=place)), images)
    medians = {name: middle(found) for name, found in costs.items()}
    floor, official = medians["bare loop"], medians.get("AsyncOpenAI")
    for name in clients:
        one = medians[name]
        against = f"{one.cpu_ms / official.cpu_ms:>10.2f}" if official else f"{'':>10}"
        blocked = f"{held:>8.0f}" if name == "batchgen" else f"{'':>8}"
        say(
            f"{size:>7}  {name:<12}{one.cpu_ms:>8.2f}{one.cpu_ms / floor.cpu_ms:>8.2f}{against}"
            f"{one.images_per_s:>9.0f}{one.memory_mb:>8.0f}{blocked}"
        )


def say(line: str) -> None:
    """A line of the table."""
    print(line, flush=True)  # noqa: T201 - this is its output


def main(python: str | None, place: Path) -> None:
    """Measure and print one table."""
    clients: dict[str, Client] = {"batchgen": batchgen, "bare loop": peer(sys.executable, "bare.py")}
    if python is not None:
        clients["AsyncOpenAI"] = peer(python, "official.py")
        clients["litellm"] = peer(python, "through_litellm.py")
    say(
        f"{'body':>7}  {'client':<12}{'CPU ms':>8}{'/ bare':>8}{'/ official':>10}{'images/s':>9}{'MB':>8}{'held ms':>8}"
    )
    for size in BODIES:
        compare(clients, place, size)


if __name__ == "__main__":
    chosen, where = [*sys.argv[1:], None, None][:2]
    with tempfile.TemporaryDirectory(dir=where) as temporary:
        main(chosen, Path(temporary))
