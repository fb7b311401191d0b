"""What a task costs among a thousand and among a million: plan, a rerun where all is kept, status, the ledger.

`python -m tests.bench.scale [TASKS...]`: 1,000 and 50,000 by default, from a table. The images of the rerun are made
here, tiny, each with its sidecar, and taken in by a run of their own; folders are made where TMPDIR says. A million takes
about a quarter of an hour and 12 GB there.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.support.png import png

SIZES = (1_000, 50_000)
MIB = 1024  # ru_maxrss is in KiB on Linux


@dataclass(frozen=True, slots=True)
class Took:
    """What a command took."""

    cpu_s: float
    seconds: float
    memory_mb: float


def command(folder: Path, *words: str, output: Path | None = None) -> Took:
    """Run a command of batchgen in a folder, its JSON into a file."""
    environ = os.environ | {"COMETAPI_KEY": "sk-" + "benchmark0" * 5}
    began = time.perf_counter()
    with (
        (output or Path(os.devnull)).open("w") as told,
        subprocess.Popen(
            [sys.executable, "-m", "batchgen", *words, "--json", "--quiet"],
            cwd=folder,
            env=environ,
            stdout=told,
        ) as process,
    ):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"batchgen {' '.join(words)} ended with {process.returncode}")
    return Took(usage.ru_utime + usage.ru_stime, time.perf_counter() - began, usage.ru_maxrss / MIB)


def write_table(folder: Path, rows: int) -> None:
    """A manifest of a table with so many rows."""
    with (folder / "products.csv").open("w") as table:
        table.write("sku,name\n")
        table.writelines(f"s{number},Lamp number {number}\n" for number in range(rows))
    prompt = {"table": "products.csv", "id": "{sku}", "prompt": "{name}, catalogue photo on white."}
    document = {
        "batchgen": 1,
        "model": "gpt-image-2",
        "max_tasks": rows,
        "report": {"thumbnails": False},
        "prompts": [prompt],
    }
    (folder / "job.yaml").write_text(json.dumps(document))


def write_images(folder: Path) -> None:
    """An image and a sidecar for every task."""
    command(folder, "plan", "job.yaml", "--tasks", output=folder / "tasks.jsonl")
    images, data = folder / "output" / "job" / "images", png("lamp")
    images.mkdir(exist_ok=True)
    same = {
        "sidecar": 1,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "media_type": "image/png",
        "width": 8,
        "height": 8,
        "model": "gpt-image-2",
        "run_id": "20260101T000000Z-0000",
        "sent": "2026-01-01T00:00:00.000Z",
        "received": "2026-01-01T00:00:20.000Z",
        "http_status": 200,
        "request_id": None,
        "revised_prompt": None,
        "usage": None,
        "answer": {},
        "cost_usd": 0.01,
    }
    with (folder / "tasks.jsonl").open() as tasks:
        for line in tasks:
            task = json.loads(line)
            own = {name: task[name] for name in ("task_id", "prompt_id", "fingerprint")}
            name = f"{task['task_id']}.png"
            (images / name).write_bytes(data)
            sidecar = same | own | {"file": name, "attempt_id": str(uuid.uuid4())}
            (images / f"{task['task_id']}.json").write_text(json.dumps(sidecar))


def say(line: str) -> None:
    """A line of output."""
    print(line, flush=True)  # noqa: T201 - this is its output


def measure(folder: Path, tasks: int) -> dict[str, Took]:
    """All commands, one after another."""
    write_table(folder, tasks)
    took = {
        "plan, all new": command(folder, "plan", "job.yaml"),
        "run, none sent": command(folder, "run", "job.yaml", "--limit", "0"),
    }
    write_images(folder)
    took["run, all taken in"] = command(folder, "run", "job.yaml")
    took["plan, all kept"] = command(folder, "plan", "job.yaml")
    took["rerun, all kept"] = command(folder, "run", "job.yaml")
    took["status"] = command(folder, "status", "job.yaml")
    return took


def main(sizes: tuple[int, ...]) -> None:
    """Measure and print one table; what starting costs is that of a command for one task."""
    say(f"{'tasks':>10}  {'command':<18}{'CPU s':>8}{'s':>8}{'MB':>7}{'CPU us a task':>15}{'ratio':>7}")
    first: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "one").mkdir()
        started = measure(Path(place) / "one", 1)
        for tasks in sizes:
            folder = Path(place) / str(tasks)
            folder.mkdir()
            for name, took in measure(folder, tasks).items():
                each_us = 1e6 * (took.cpu_s - started[name].cpu_s) / tasks
                ratio = each_us / first.setdefault(name, each_us)
                say(
                    f"{tasks:>10,}  {name:<18}{took.cpu_s:>8.2f}{took.seconds:>8.2f}{took.memory_mb:>7.0f}"
                    f"{each_us:>15.0f}{ratio:>7.2f}"
                )
            ledger = folder / "output" / "job" / "ledger.sqlite"
            say(f"{tasks:>10,}  ledger: {ledger.stat().st_size / tasks:,.0f} bytes a task")


if __name__ == "__main__":
    main(tuple(int(word.replace(",", "")) for word in sys.argv[1:]) or SIZES)
