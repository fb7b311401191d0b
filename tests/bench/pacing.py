"""How much of a strict limit a run uses, and how often it is refused: the command over HTTP against a sliding window.

`python -m tests.bench.pacing` takes about three minutes. The server (`tests.support.strict`) is a process of its own,
with small images, so that at 200 a second the command has about two thirds of a core to do. The share is counted by the
server, from the first request to the last.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.strict import Meter, strict_server

MODEL = "gpt-image-2"
CASES: Sequence[tuple[float, float, float]] = (
    (2, 2, 30),
    (20, 2, 20),
    (100, 2, 15),
    (200, 2, 15),
    (20, 10, 30),
    (200, 10, 25),
)
"""Images a second, the window in seconds, how long the run takes."""


def measured(rate: float, window_s: float, seconds: float, busy: int) -> Meter:
    """One run at a configured rate beside so many processes that want a core each."""
    spin = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in range(busy)]
    limiter = ("Sliding", {"a_minute": 60 * rate, "window_s": window_s})
    try:
        with tempfile.TemporaryDirectory() as folder, strict_server({MODEL: limiter}) as server:
            prompt = {"id": "boat", "prompt": "A boat.", "images": round(rate * seconds)}
            document = {
                "batchgen": 1,
                "model": MODEL,
                "limits": {"concurrency": 64, "images_per_minute": 60 * rate},
                "report": {"thumbnails": False},
                "prompts": [prompt],
            }
            (Path(folder) / "job.yaml").write_text(json.dumps(document))
            environ = os.environ | {
                "COMETAPI_KEY": "sk-" + "benchmark0" * 5,
                "COMETAPI_BASE_URL": server.base_url,
                "PYTHONPATH": str(Path(__file__).parents[2]),
            }
            words = [sys.executable, "-m", "batchgen", "run", "job.yaml", "--output", "output", "--quiet"]
            subprocess.run(words, cwd=folder, env=environ, check=True, capture_output=True)
            return server.meter(MODEL)
    finally:
        for other in others:
            other.kill()
            other.wait()


def say(line: str) -> None:
    """A line of the table."""
    print(line, flush=True)  # noqa: T201 - this is its output


def main() -> None:
    """Measure and print one table."""
    say(f"{'a second':>9}{'window s':>9}{'others':>8}{'share':>9}{'refused':>9}")
    for busy in (0, 2):
        for rate, window_s, seconds in CASES:
            meter = measured(rate, window_s, seconds, busy)
            lasted_s = meter.taken[-1] - meter.taken[0]
            share = (len(meter.taken) - 1) / lasted_s / rate
            say(f"{rate:>9g}{window_s:>9g}{busy:>8}{100 * share:>8.1f}%{len(meter.refused):>9}")


if __name__ == "__main__":
    main()
