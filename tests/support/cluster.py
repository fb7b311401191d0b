"""A Ray cluster on loopback in a process of its own: a head and one more node, which tests lose, drain and add again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Ray's way to keep all of a cluster on loopback."""

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}
HASTY = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0}
"""A lost node is told of within two seconds."""


@dataclass
class Cluster:
    """A test's view: its address, where it writes, and the raylet of the node beside the head."""

    process: subprocess.Popen[str]
    folder: Path
    home: str
    address: str
    second: int

    def ask(self, word: str) -> int:
        """Have something done: `join` (returns the raylet), `drain` the node that joined last."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def workers(self, raylet: int) -> list[int]:
        """Processes of a node that perform attempts."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if parent == str(raylet) and b"ray::Worker" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def lose(self, raylet: int) -> None:
        """Kill a node and all that works on it, without a word."""
        for process in (*self.workers(raylet), raylet):
            os.kill(process, signal.SIGKILL)
        if raylet == self.second:
            self.second = 0

    def whole(self) -> None:
        """Two nodes again."""
        self.second = self.second or self.ask("join")


@contextmanager
def two_nodes(environ: Mapping[str, str]) -> Iterator[Cluster]:
    """Begin one whose nodes have an environment; its home is `HOME`."""
    with tempfile.TemporaryDirectory(
        prefix="ray", ignore_cleanup_errors=True
    ) as folder:  # sockets need short paths
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.cluster", folder],
            cwd=Path(__file__).parents[2],
            env={**environ, **LOOPBACK},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            address, second = process.stdout.readline().split()
            yield Cluster(process, Path(folder), environ["HOME"], address, int(second))
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait()


def _serve(folder: str) -> None:
    import ray
    from ray.cluster_utils import Cluster as Nodes
    from ray.core.generated import autoscaler_pb2

    head = {**NODE, "include_dashboard": False, "temp_dir": folder, "_system_config": HASTY}
    nodes: Any = Nodes(initialize_head=True, head_node_args=head)
    node = nodes.add_node(**NODE)
    told = sys.__stdout__
    assert told is not None

    def raylet() -> str:
        return str(node.all_processes["raylet"][0].process.pid)

    print(nodes.address, raylet(), file=told, flush=True)
    for line in sys.stdin:
        if line.strip() == "join":
            node = nodes.add_node(**NODE)
        else:
            # As `ray drain-node` does it, which sees no cluster on loopback.
            gcs: Any = ray._raylet
            preempted = autoscaler_pb2.DRAIN_NODE_REASON_PREEMPTION  # type: ignore[attr-defined]  # made when it is imported
            gcs.GcsClient(address=nodes.address).drain_node(node.node_id, preempted, "a test", 2**42)
        print(raylet(), file=told, flush=True)
    nodes.shutdown()


if __name__ == "__main__":
    _serve(sys.argv[1])
