"""What durability costs: runs with fsync and the same runs without, in turns, on the same disk.

`python -m tests.bench.durability [FOLDER]`: FOLDER is where the runs write, a temporary one by default.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.canned import canned_server

TASKS, CONCURRENCY, ROUNDS = 300, 16, 5
SIZES = {"20 KB": 20_000, "1.5 MB": 1_500_000}

WITHOUT = """
import os, sqlite3, sys
from batchgen.ledgers import opening
os.fsync = lambda descriptor: None
connect = opening._connect
class Careless(sqlite3.Connection):
    def execute(self, sql, *values):
        return super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), *values)
def careless(name, *, uri=False):
    connection = sqlite3.connect(name, uri=uri, isolation_level=None, check_same_thread=False, factory=Careless)
    connection.row_factory = sqlite3.Row
    return connection
opening._connect = careless
"""
RUN = "import sys; from batchgen.cli import main; sys.argv[0] = 'batchgen'; main()"


def images_per_second(folder: Path, base_url: str, *, durable: bool) -> float:
    """One whole run in a process of its own; the rate that it says it reached."""
    manifest = folder / "job.yaml"
    prompts = [{"id": "boat", "prompt": "Boat {n}.", "vary": {"n": [str(n) for n in range(TASKS)]}}]
    document = {
        "batchgen": 1,
        "model": "gpt-image-2",
        "limits": {"concurrency": CONCURRENCY},
        "prompts": prompts,
    }
    manifest.write_text(json.dumps(document))
    environ = os.environ | {"COMETAPI_KEY": "sk-" + "benchmark0" * 5, "COMETAPI_BASE_URL": base_url}
    code = RUN if durable else WITHOUT + RUN
    words = ["run", str(manifest), "--output", str(folder / "output"), "--json", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=environ, capture_output=True, text=True, check=True
    )
    summary = json.loads(done.stdout)
    assert summary["stored"] == TASKS, done.stderr
    return float(summary["images_per_minute"]) / 60


def main() -> None:
    """Measure and print one table."""
    where = sys.argv[1] if len(sys.argv) > 1 else None
    print(f"{'image':>8}  {'with fsync':>12}  {'without':>12}  {'ratio':>6}")  # noqa: T201 - this is its output
    for name, size_bytes in SIZES.items():
        rates: dict[bool, list[float]] = {True: [], False: []}
        with canned_server(size_bytes) as base_url:
            for round_number in range(ROUNDS):
                for durable in (True, False) if round_number % 2 else (False, True):
                    with tempfile.TemporaryDirectory(dir=where) as folder:
                        rates[durable].append(images_per_second(Path(folder), base_url, durable=durable))
        kept, careless = statistics.median(rates[True]), statistics.median(rates[False])
        print(f"{name:>8}  {kept:>10.1f}/s  {careless:>10.1f}/s  {kept / careless:>6.2f}")  # noqa: T201 - the same


if __name__ == "__main__":
    main()
