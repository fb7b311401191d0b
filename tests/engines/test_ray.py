"""Attempts on a Ray cluster: real nodes and actors, lost, drained and joined; the bill compared with images and ledger."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchgen.engines.cluster import MISSING
from tests.support.cli import WAIT_S, Desk, ended, pick, until
from tests.support.cluster import LOOPBACK, Cluster, two_nodes
from tests.support.paid import Rule, Till

pytest_plugins = ("tests.support.fixtures",)

RAY = ("run", "job.yaml", "--json", "--engine", "ray")
FLEET = {"id": "boat", "prompt": "Boat {n}.", "vary": {"n": [str(n) for n in range(1, 25)]}}
BOATS = {"id": "boat", "prompt": "A boat.", "images": 4}
FOUR, TWO = {"concurrency": 4}, {"concurrency": 2}


@pytest.fixture(scope="module")
def cluster(paid_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Till]]:
    """A cluster that alone has the key. Whatever happens in it, the key is in none of its files, logs among them."""
    till = Till(paid_port, f"sk-canary-{uuid.uuid4().hex}")
    home = tmp_path_factory.mktemp("home")
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "COMETAPI_KEY": till.key}
    with two_nodes(environ) as nodes:
        yield nodes, till
        written = [path for folder in (nodes.folder, home) for path in folder.rglob("*") if path.is_file()]
        assert any(path.name.startswith("worker-") for path in written)
        assert [] == [path for path in written if till.key.encode() in path.read_bytes()]


@pytest.fixture
def nodes(cluster: tuple[Cluster, Till]) -> Cluster:
    """Two nodes, whatever the test before did to them."""
    cluster[0].whole()
    return cluster[0]


@pytest.fixture
def far(nodes: Cluster, cluster: tuple[Cluster, Till], tmp_path: Path) -> Iterator[Desk]:
    """A desk whose commands know the cluster's address and no key; its account is new, and asked under one key."""
    till = cluster[1]
    till.script()
    desk = Desk(tmp_path, till)
    desk.environ |= {**LOOPBACK, "RAY_ADDRESS": nodes.address, "HOME": nodes.home}
    del desk.environ["COMETAPI_KEY"]
    yield desk
    files = (path for path in tmp_path.rglob("*") if path.is_file())
    assert [] == [path for path in files if till.key.encode() in path.read_bytes()]


def _workers(desk: Desk) -> list[int]:
    """Actors of a desk's own cluster: they carry its home in their environment."""
    home = f"HOME={desk.folder}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::Worker" in (entry / "cmdline").read_bytes() and home in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _check_bill(desk: Desk, requests: list[dict[str, Any]], most_unknown: int) -> None:
    """The bill is the images and unknown attempts of the ledger; a task is asked for again only after such a one."""
    attempts = {one["attempt_id"]: one for one in desk.attempts()}
    charged = [request["headers"]["x-client-request-id"] for request in requests if request["charged"]]
    assert len(charged) == len(set(charged))
    assert set(charged) <= attempts.keys()
    stored = {one for one in charged if attempts[one]["state"] == "stored"}
    assert {sidecar["attempt_id"] for sidecar in desk.sidecars().values()} == stored
    assert {"unknown"} >= {attempts[one]["class"] for one in charged if one not in stored}
    unknown = Counter(one["task_id"] for one in attempts.values() if one["class"] == "unknown")
    assert unknown.total() <= most_unknown
    tries = Counter(attempts[one]["task_id"] for one in charged)
    assert not [task_id for task_id, count in tries.items() if count > 1 + unknown[task_id]]


def _check_whole(desk: Desk, told: dict[str, Any], tasks: int = 24) -> None:
    assert (0, 0, None) == pick(told, "failed", "pending", "stopped_by")
    assert tasks == told["stored"] + told["kept"] == len(set(desk.images().values()))


def test_a_worker_killed_in_the_middle_costs_no_image(desk: Desk) -> None:
    """Its requests are unknown or found in the store; another takes its place, and standard output is the summary alone.

    However many it had, the provider is not to blame, and is not given a rest.
    """
    desk.till.script(Rule(delay_s=0.3))
    desk.manifest([FLEET], limits={"concurrency": 12})
    with ended(desk.start(*RAY)) as running:
        until(lambda: len(desk.till.requests) >= 12, running)
        (worker,) = _workers(desk)
        os.kill(worker, signal.SIGKILL)
        done = running.done()
    assert (0, 1) == (done.code, len(done.out.splitlines())), done.out + done.err
    assert "paused" not in done.err
    _check_whole(desk, done.last)
    _check_bill(desk, desk.till.requests, 12)


def test_a_node_killed_in_the_middle_costs_no_image(far: Desk, nodes: Cluster) -> None:
    """Both nodes work; the one that is left finishes what the other had, and nothing is asked for again without a reason."""
    before = len(far.till.requests)
    far.till.script(Rule(delay_s=0.3))
    far.manifest([FLEET], limits=FOUR)
    with ended(far.start(*RAY)) as running:
        until(lambda: len(far.till.requests) >= before + 6, running)
        assert 1 == len(nodes.workers(nodes.second))
        nodes.lose(nodes.second)
        done = running.done()
    assert 0 == done.code, done.err
    _check_whole(far, done.last)
    _check_bill(far, far.till.requests[before:], 4)


def test_a_coordinator_killed_in_the_middle_costs_no_image(far: Desk) -> None:
    """The next run settles what was open, finishes the job, and the bill holds no surprise."""
    before = len(far.till.requests)
    far.till.script(Rule(delay_s=0.3))
    far.manifest([FLEET], limits=FOUR)
    with ended(far.start(*RAY)) as running:
        until(lambda: len(far.till.requests) >= before + 6, running)
        running.signal(signal.SIGKILL)
    _check_whole(far, far.run("--engine", "ray"))
    _check_bill(far, far.till.requests[before:], 4)


def test_a_drained_node_gets_nothing_new_and_one_that_joins_does(far: Desk, nodes: Cluster) -> None:
    """What is in flight on it is stored; once a look at the cluster found the new node, it can go without any loss."""
    before, drained = len(far.till.requests), nodes.second
    far.till.script(Rule(do="hold"))
    far.manifest([FLEET | {"vary": {"n": [str(n) for n in range(1, 61)]}}], limits=FOUR)
    with ended(far.start(*RAY)) as running:
        until(lambda: len(far.till.requests) == before + 4, running)
        assert 1 == len(nodes.workers(drained))
        nodes.ask("drain")
        nodes.second = nodes.ask("join")
        far.till.script(Rule(delay_s=0.4))
        until(lambda: nodes.workers(nodes.second) != [], running)
        seen = len(far.till.requests)
        until(
            lambda: len(far.till.requests) >= seen + 8, running
        )  # what was in flight at that moment is stored
        nodes.lose(drained)
        done = running.done()
    assert 0 == done.code, done.err
    _check_whole(far, done.last, 60)
    _check_bill(far, far.till.requests[before:], 0)


def test_signals_drain_first_and_stop_then(far: Desk) -> None:
    """After one signal what is in flight is stored; after two it is unknown at once, and asked for again by the next run."""
    before = len(far.till.requests)
    far.manifest([BOATS], limits=TWO)
    for round_, (signals, stored) in enumerate([(1, 2), (2, 0)]):
        far.till.script(Rule(do="hold"))
        with ended(far.start(*RAY)) as running:
            until(lambda: len(far.till.requests) == before + 2 + 2 * round_, running)  # noqa: B023 - called here
            running.signal(signal.SIGINT)
            running.wait_for("stopping")
            if signals == 1:
                far.till.script()
            else:
                running.signal(signal.SIGINT)
            done = running.done()
        assert (130, "signal", stored) == (done.code, *pick(done.last, "stopped_by", "stored"))
    far.till.script()
    assert (2, 2) == pick(far.run("--engine", "ray"), "stored", "kept")
    _check_bill(far, far.till.requests[before:], 2)


def test_a_key_that_no_worker_has_ends_the_run(far: Desk) -> None:
    """Exit code 2 with the variable's name, before anything is sent, although whoever starts the run has it."""
    before = len(far.till.requests)
    (far.folder / "batchgen.yaml").write_text("providers: {cometapi: {key_env: KEY_OF_NOBODY}}\n")
    far.environ["KEY_OF_NOBODY"] = "sk-only-here"
    far.manifest([BOATS])
    done = far.do(*RAY)
    assert 2 == done.code
    assert "no node of the Ray cluster can work on this job" in done.err
    assert "KEY_OF_NOBODY" in done.err
    assert "sk-only-here" not in done.err
    assert before == len(far.till.requests)


def test_a_cluster_that_is_not_there_ends_the_run(desk: Desk) -> None:
    """Exit code 2 with its address at once; Ray alone would try for a quarter of an hour."""
    desk.manifest([BOATS])
    desk.environ |= {**LOOPBACK, "RAY_ADDRESS": "127.0.0.1:9"}
    done = desk.do(*RAY)
    assert 2 == done.code
    assert "the Ray cluster 127.0.0.1:9 cannot be used" in done.err
    assert [] == desk.till.requests


def test_what_listens_and_is_no_cluster_ends_the_run(desk: Desk) -> None:
    """It is given up on, and the process can end, although Ray would go on trying."""
    joining = "import sys; from batchgen.engines.cluster import connect; connect(sys.argv[1], join_s=1)"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", joining, address],
            env=desk.environ | LOOPBACK,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )
    assert 1 == done.returncode, done.stderr
    assert f"the Ray cluster {address} cannot be used: it was not ready within 1 s" in done.stderr


def test_without_ray_the_command_that_installs_it_is_told(desk: Desk) -> None:
    """Exit code 2, no traceback, nothing sent."""
    desk.manifest([BOATS])
    without = "import sys; sys.modules['ray'] = None; from batchgen.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, *RAY],
        cwd=desk.folder,
        env=desk.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert (2, "") == (done.returncode, done.stdout)
    assert MISSING in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == desk.till.requests
