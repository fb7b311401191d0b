"""A Ray cluster: reached, asked for its nodes, and given workers. Only this module speaks to Ray."""

from __future__ import annotations

import logging
import os
import socket
from concurrent.futures import Future
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any

import anyio
from anyio import to_thread

from batchgen.core.errors import StorageError, UsageError
from batchgen.core.plain import REASON_LIMIT, one_line
from batchgen.core.types import Attempt
from batchgen.engines.worker import Outcome, Worker, WorkerOpener
from batchgen.system.processes import Process

MISSING = "the engine ray needs a package that is not installed: pip install 'batchgen[ray]'; nothing was sent"

BEGIN_S = 30.0
"""So long a worker may take to begin: its node may be busy, or gone without a word."""
SILENT_S = 20.0
"""So long a worker may give no sign of life."""
OVER_S = 5.0
"""So long a lost worker of another machine is taken to go on; Ray's end within a second of their node's death."""
OVER_LOOK_S = 0.05
STOP_S = 10.0
"""So long a stop waits for what a worker is just keeping; one that is out of reach does not answer."""
CONNECT_S = 10.0
"""So long a cluster may take to answer at all."""
JOIN_S = 60.0
"""So long it may take to be joined, or begun here: what listens may be no cluster, and Ray would try for minutes."""
CALLS = 1000
"""Calls at one time of one worker: the coordinator's limits bound them, not Ray."""
OBJECTS_BYTES = 80 << 20
"""The object store of a cluster on this machine; near the least that Ray takes, since outcomes travel without it."""

_CONNECTING = Lock()  # Ray knows one connection a process, which the jobs of a night share


class LostError(Exception):
    """What became of a call is not known; the text is the name of Ray's error.

    `ended` says that the worker is gone for good: one that is only out of reach may be writing yet. `news` that no
    other call of it told of its loss before.
    """

    def __init__(self, name: str, *, ended: bool, news: bool = True) -> None:
        super().__init__(name)
        self.ended = ended
        self.news = news


class Hand:
    """A worker on a node, from afar. Its calls are made at most once, and never again by Ray."""

    def __init__(self, ray: Any, actor: Any) -> None:  # noqa: ANN401 - Ray has no types for what is imported late
        self._ray = ray
        self._actor = actor
        self._process: Process | None = None

    async def begin(self) -> str | None:
        """Why it cannot work, "" when it can; None when it does not answer."""
        with anyio.move_on_after(BEGIN_S), suppress(self._ray.exceptions.RayError):
            self._process = await self._actor.alive.remote()
            refused: str = await self._actor.begin.remote()
            return refused
        return None

    async def over(self) -> bool:
        """Wait until a lost one writes nothing any more; whether that is sure, for of another machine it is not.

        A worker outlives the death of its node for a second, and would get in the way of who takes its place.
        """
        process, ends = self._process, anyio.current_time() + OVER_S
        while process is None or not await to_thread.run_sync(process.is_over):
            if anyio.current_time() > ends:
                return process is not None and await to_thread.run_sync(process.end)
            await anyio.sleep(OVER_LOOK_S)
        return True

    async def do(self, verb: str, attempt: Attempt, *words: object) -> Outcome:
        """A call of its engine. Raises `LostError`, and what the engine there raises."""
        errors = self._ray.exceptions
        answer = self._actor.do.remote(verb, attempt, *words)
        try:
            outcome: Outcome | str = await self._while_alive(answer)
        except anyio.get_cancelled_exc_class():
            outcome = await self._stopped(attempt, answer)
            if outcome is None:
                raise
        except errors.RayTaskError:  # a fault of ours there, as it would be here
            raise
        except errors.RayError as error:
            ended = isinstance(error, errors.ActorDiedError | errors.NodeDiedError)
            raise LostError(type(error).__name__, ended=ended) from None
        if isinstance(outcome, str):
            raise StorageError(outcome)
        return outcome

    async def _while_alive(self, answer: Any) -> Outcome | str:  # noqa: ANN401 - of Ray
        """An answer, however long it takes, of a worker that gives signs of life; Ray looks at nodes alone."""
        while True:
            with anyio.move_on_after(SILENT_S):
                outcome: Outcome | str = await answer
                return outcome
            with anyio.move_on_after(SILENT_S) as alive:
                await self._actor.alive.remote()
            if alive.cancelled_caught:
                await to_thread.run_sync(self.end)
                raise LostError("silence", ended=False)

    async def _stopped(self, attempt: Attempt, answer: Any) -> Outcome | str:  # noqa: ANN401 - of Ray
        with anyio.move_on_after(STOP_S, shield=True), suppress(self._ray.exceptions.RayError):
            await self._actor.stop.remote(attempt.attempt_id)
            outcome: Outcome | str = await answer
            return outcome
        return None

    def end(self) -> None:
        """End it: what it is still doing is the business of nobody any more. It may be gone already."""
        self._ray.kill(self._actor)


class Cluster:
    """One that is connected. All but its workers' calls blocks. `begun`: by this connection, not by an earlier one."""

    def __init__(self, ray: Any, *, begun: bool) -> None:  # noqa: ANN401 - a module
        self._ray = ray
        self.begun = begun

    def nodes(self) -> tuple[frozenset[str], frozenset[str]]:
        """Nodes that are alive, and those that are to be drained."""
        alive = frozenset(node["NodeID"] for node in self._ray.nodes() if node["Alive"])
        try:
            # Ray has no public way to ask, and its own libraries ask like this. Without it a drained node goes on.
            from ray._private.state import state

            return alive, frozenset(state.get_draining_nodes())
        except (ImportError, AttributeError):
            return alive, frozenset()

    def worker(self, node: str, opener: WorkerOpener) -> Hand:
        """A new worker on a node, not begun."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # Not restarted by Ray: a call to an actor that died is then surely over, and another one is begun for it.
        hosted = self._ray.remote(Worker).options(
            num_cpus=0,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=CALLS,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        return Hand(self._ray, hosted.remote(opener))


def connect(address: str | None, *, join_s: float = JOIN_S) -> Cluster:
    """A cluster by its address; without one, a cluster on this machine is begun for as long as the process runs.

    Raises `UsageError` when Ray is not installed, or the cluster cannot be reached or is not ready in `join_s`.
    """
    connected: Future[Cluster] = Future()
    Thread(target=_stay_connected, args=(connected, address), name="ray", daemon=True).start()
    try:
        return connected.result(join_s)
    except TimeoutError:
        raise UsageError(
            f"the Ray cluster {address or 'of this machine'} cannot be used: it was not ready within {join_s:g} s; "
            "nothing was sent"
        ) from None


def _stay_connected(connected: Future[Cluster], address: str | None) -> None:
    """On a thread that does not end: the kernel ends a cluster of this machine with the thread that began it."""
    try:
        connected.set_result(cluster := _connect(address))
    except Exception as error:  # noqa: BLE001 - handed to who waits
        connected.set_exception(error)
    else:
        if cluster.begun:
            Event().wait()


def _connect(address: str | None) -> Cluster:
    # What Ray tells of lost workers it prints to standard output, which is for people and machines: every line is skipped.
    os.environ |= {"RAY_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    here: dict[str, Any] = {}
    if address is None:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # "no": everything stays on loopback
        here = {"include_dashboard": False, "object_store_memory": OBJECTS_BYTES}
    try:
        import ray
    except ImportError:
        raise UsageError(MISSING) from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    with _CONNECTING:
        if ray.is_initialized():
            return Cluster(ray, begun=False)
        try:
            _answers(address or "")
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
        except (OSError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
            told = one_line(
                f"the Ray cluster {address or 'of this machine'} cannot be used: {error}", REASON_LIMIT
            )
            raise UsageError(f"{told}; nothing was sent") from None
    return Cluster(ray, begun=True)


def _answers(address: str) -> None:
    """Whether anybody listens there: Ray itself would try for a quarter of an hour. Raises `OSError`."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
