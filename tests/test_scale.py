"""100,000 tasks are rows, not objects: memory does not grow with them."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.cli import BATCHGEN, Desk, pick
from tests.support.paid import Till

pytest_plugins = ("tests.support.fixtures",)

MIB = 1024  # ru_maxrss is in KiB on Linux

# A process's peak includes that of the one it was forked from, so a small one stands between it and the tests.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measured(desk: Desk, *words: str) -> tuple[dict[str, Any], float]:
    """A command's JSON, and the most memory it took, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *BATCHGEN, *words, "--json", "--quiet"],
        cwd=desk.folder,
        env=desk.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), int(done.stderr.split()[-1]) / MIB


def varied(desk: Desk, name: str, images: int) -> None:
    """A manifest of 1,000 combinations and so many images of each."""
    ten = [f"value {number}" for number in range(10)]
    vary = {"color": ten, "place": ten, "mood": ten}
    prompt = {"id": "mug", "prompt": "A {color} {mood} mug in {place}.", "vary": vary, "images": images}
    desk.manifest([prompt], name=f"{name}.yaml", job=name, max_tasks=200_000)


def tabled(desk: Desk, rows: int) -> None:
    """A manifest of a table with so many rows."""
    with (desk.folder / "products.csv").open("w") as table:
        table.write("sku,name\n")
        table.writelines(f"s{number},Lamp number {number}\n" for number in range(rows))
    prompt = {"table": "products.csv", "id": "{sku}", "prompt": "{name}, catalogue photo."}
    desk.manifest([prompt], name="table.yaml", job="table", max_tasks=rows)


@pytest.mark.timeout(120)
def test_memory_does_not_grow_with_the_tasks(desk: Desk, till: Till) -> None:
    """`plan` and `run` of 100,000 tasks stay under 150 MB, about what 1,000 take; 20,000 listed prompts under 400 MB.

    100,000 rows of a table take no more than combinations do.
    """
    varied(desk, "small", 1)
    varied(desk, "large", 100)
    listed = [
        {"id": f"p{number}", "prompt": f"Picture {number} of a boat at sunrise."} for number in range(20_000)
    ]
    desk.manifest(listed, name="listed.yaml", job="listed", max_tasks=20_000)
    tabled(desk, 100_000)
    with ThreadPoolExecutor(2) as pool:

        def begin(*words: str) -> Future[tuple[dict[str, Any], float]]:
            return pool.submit(measured, desk, *words)

        run = begin("run", "large.yaml", "--limit", "50")
        names = ("table", "small", "large", "listed")
        table, small, large, literal = (begin("plan", f"{name}.yaml") for name in names)
        ran, run_mib = run.result()
        (few, few_mib), (many, many_mib), (each, each_mib) = small.result(), large.result(), literal.result()
        rows, rows_mib = table.result()
        again, again_mib = begin("run", "large.yaml", "--limit", "0").result()

    assert (1_000, 100_000, 20_000) == (few["to_send"], many["tasks"], each["to_send"])
    assert many_mib < 150
    assert many_mib < few_mib + 25
    assert (50, 50, 50) == (*pick(ran, "tasks", "stored"), len(till.requests))
    assert run_mib < 150
    assert (50, 50) == pick(again, "tasks", "kept")
    assert again_mib < 150
    assert each_mib < 400
    assert 100_000 == rows["to_send"]
    assert rows_mib < few_mib + 25
