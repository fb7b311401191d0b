"""Attempts performed on the nodes of a Ray cluster: one actor a node, each with its own connections and its own store.

Only attempts go out and small outcomes come back. A call is made at most once, and never again by Ray: an actor that is
lost takes its calls with it, and a fresh one takes its place.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from threading import Lock
from typing import Any

import anyio
from anyio import to_thread

from batchgen.core.errors import BatchgenError, StorageError, UsageError
from batchgen.core.plain import REASON_LIMIT, one_line
from batchgen.core.protocols import Engine, ImageStore, OnSent
from batchgen.core.types import Attempt, Failure, FailureClass, Link, Paid, Stored

WorkerOpener = Callable[[], AbstractAsyncContextManager[Engine]]
"""Opens an engine on a worker, from what can be pickled and holds no secret. Raises `BatchgenError` where it cannot."""

Outcome = Stored | Link | Failure | None

MISSING = "the engine ray needs a package that is not installed: pip install 'batchgen[ray]'; nothing was sent"
LOST = "the worker that asked for the image was lost before it told of an answer"

LOOK_S = 3.0
"""How often the cluster is looked at for nodes that came, went, or are to be drained."""
BEGIN_S = 30.0
"""So long an actor may take to begin: its node may be busy, or gone without a word."""
PLACE_S = 60.0
"""So long a run waits for a node when it has none."""
STOP_S = 10.0
"""So long a stop waits for what a worker is just keeping; one that is out of reach does not answer."""
CONNECT_S = 10.0
"""So long a cluster may take to answer at all."""
CALLS = 1000
"""Calls at one time in one actor: the coordinator's limits bound them, not Ray."""
OBJECTS_BYTES = 80 << 20
"""The object store of a cluster on this machine; near the least that Ray takes, since outcomes travel without it."""

_CONNECTING = Lock()  # Ray knows one connection a process, which the jobs of a night share


class LostError(Exception):
    """What became of a call is not known; the text is the name of Ray's error.

    `ended` says that the worker is gone for good: one that is only out of reach may be writing yet.
    """

    def __init__(self, name: str, *, ended: bool) -> None:
        super().__init__(name)
        self.ended = ended


class Worker:
    """What an actor does: a local engine, opened once. Errors go back as values: Ray would add its own frames."""

    def __init__(self, opener: WorkerOpener) -> None:
        self._opener = opener
        self._rooms = AsyncExitStack()
        self._engine: Engine | None = None
        self._calls: dict[str, anyio.CancelScope] = {}

    async def begin(self) -> str:
        """Open the engine; returns why it cannot be, in a sentence, or ""."""
        try:
            self._engine = await self._rooms.enter_async_context(self._opener())
        except BatchgenError as error:
            return str(error)
        return ""

    async def do(self, verb: str, attempt: Attempt, *words: object) -> Outcome | str:
        """One call of the engine, None when it was stopped; a text is why the disk could not be relied on."""
        with anyio.CancelScope() as scope:
            self._calls[attempt.attempt_id] = scope
            try:
                outcome: Outcome = await getattr(self._engine, verb)(attempt, *words)
            except StorageError as error:
                return str(error)
            finally:
                del self._calls[attempt.attempt_id]
            return outcome
        return None

    async def stop(self, attempt_id: str) -> None:
        """Wait no longer for an answer; an image that is being kept is kept."""
        if scope := self._calls.get(attempt_id):
            scope.cancel()


class RayEngine:
    """`batchgen.core.protocols.Engine` over the nodes of a cluster; `store` is the coordinator's, which adopts."""

    def __init__(self, ray: Any, opener: WorkerOpener, store: ImageStore) -> None:  # noqa: ANN401 - imported late
        self._ray = ray
        self._opener = opener
        self._store = store
        self._actors: dict[str, Any] = {}  # by node
        self._at: dict[str, str] = {}  # attempt -> node, from its reservation to its end
        self._refused: dict[str, str] = {}
        self._beginning: set[str] = set()
        self._draining: frozenset[str] = frozenset()
        self._looked = -LOOK_S
        self._looking = anyio.Lock()

    async def begin(self) -> None:
        """Find workers. Raises `UsageError` when every node has a reason against it."""
        await self._look()
        if not self._actors and self._refused:
            raise UsageError(
                f"no node of the Ray cluster can work on this job: {self._reasons}; nothing was sent"
            )

    async def close(self) -> None:
        """End the actors: what they are still doing is the business of nobody any more."""
        for actor in self._actors.values():
            await to_thread.run_sync(self._ray.kill, actor)

    async def reserve(self, attempt: Attempt) -> None:
        """Make room where the attempt will be performed; on another node when that one is lost, since nothing was sent."""
        while True:
            self._at[attempt.attempt_id] = await self._free_node()
            with suppress(LostError):
                await self._call("reserve", attempt)
                return

    async def perform(self, attempt: Attempt, on_sent: OnSent | None = None) -> Stored | Link | Failure:
        """Have the request sent once. When its worker is lost: what it stored, or an unknown outcome.

        `on_sent` is told when the worker is asked: when it sends, it has no way to tell.
        """
        if self._at.get(attempt.attempt_id) not in self._actors:
            told = "the worker was lost before the request was sent"
            return Failure(FailureClass.TRANSIENT, told, nothing_sent=True)
        lost = Failure(FailureClass.UNKNOWN, LOST, Paid.MAYBE)
        if on_sent is not None:
            on_sent()
        return await self._outcome(lost, "perform", attempt)

    async def fetch(self, attempt: Attempt, link: Link) -> Stored | Failure:
        """Download a link on any worker; a lost one is no harm, the link is fetched again."""
        if self._at.get(attempt.attempt_id) not in self._actors:
            self._at[attempt.attempt_id] = await self._free_node()
        outcome = await self._outcome(Failure(FailureClass.TRANSIENT, LOST), "fetch", attempt, link)
        assert not isinstance(outcome, Link)
        return outcome

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """What is in the store already, whoever put it there."""
        return await self._store.adopt(attempt)

    async def _outcome(
        self, lost: Failure, verb: str, attempt: Attempt, *words: object
    ) -> Stored | Link | Failure:
        try:
            outcome = await self._call(verb, attempt, *words)
        except LostError as error:
            # What is left of an attempt that has ended is taken or cleared away; the next run does it for the others.
            return (await self._store.adopt(attempt) if error.ended else None) or lost
        finally:
            self._at.pop(attempt.attempt_id, None)
        assert outcome is not None
        return outcome

    async def _call(self, verb: str, attempt: Attempt, *words: object) -> Outcome:
        """Raises `LostError`, and what the engine there raises."""
        node, errors = self._at[attempt.attempt_id], self._ray.exceptions
        actor = self._actors[node]
        answer = actor.do.remote(verb, attempt, *words)
        try:
            outcome: Outcome | str = await answer
        except anyio.get_cancelled_exc_class():
            outcome = await self._stopped(actor, attempt, answer)
            if outcome is None:
                raise
        except errors.RayTaskError:  # a fault of ours there, as it would be here
            raise
        except errors.RayError as error:
            self._forget(node, actor)
            ended = isinstance(error, errors.ActorDiedError | errors.NodeDiedError)
            raise LostError(type(error).__name__, ended=ended) from None
        if isinstance(outcome, str):
            raise StorageError(outcome)
        return outcome

    async def _stopped(self, actor: Any, attempt: Attempt, answer: Any) -> Outcome | str:  # noqa: ANN401 - of Ray
        with anyio.move_on_after(STOP_S, shield=True), suppress(self._ray.exceptions.RayError):
            await actor.stop.remote(attempt.attempt_id)
            outcome: Outcome | str = await answer
            return outcome
        return None

    def _forget(self, node: str, actor: Any) -> None:  # noqa: ANN401 - of Ray
        if self._actors.get(node) is actor:
            del self._actors[node]
            self._looked = -LOOK_S

    @property
    def _reasons(self) -> str:
        return "; ".join(sorted(set(self._refused.values()))) or "none answers"

    async def _free_node(self) -> str:
        """The node with the fewest calls. Raises `StorageError` when there is none for a while."""
        ends = anyio.current_time() + PLACE_S
        while anyio.current_time() < ends:
            await self._look()
            calls = Counter(self._at.values())
            if found := min(self._actors.keys() - self._draining, key=calls.__getitem__, default=None):
                return found
            await anyio.sleep(1)
        raise StorageError(
            f"no worker of the Ray cluster is left: {self._reasons}; nothing was sent for this image"
        )

    async def _look(self) -> None:
        """Begin an actor on every new node; others go on with what there is meanwhile."""
        async with self._looking:
            if anyio.current_time() - self._looked < LOOK_S:
                return
            self._looked = anyio.current_time()
            alive, self._draining = await to_thread.run_sync(_nodes, self._ray)
        new = alive - self._draining - self._actors.keys() - self._refused.keys() - self._beginning
        self._beginning |= new
        async with anyio.create_task_group() as group:
            for node in new:
                group.start_soon(self._begin_on, node)

    async def _begin_on(self, node: str) -> None:
        """An actor on a node; when it does not begin, the next look tries again."""
        actor = await to_thread.run_sync(self._actor, node)
        try:
            with anyio.move_on_after(BEGIN_S), suppress(self._ray.exceptions.RayError):
                refused = await actor.begin.remote()
                if refused:
                    self._refused[node] = refused
                else:
                    self._actors[node] = actor
        finally:
            self._beginning.discard(node)
            if self._actors.get(node) is not actor:
                self._ray.kill(actor)

    def _actor(self, node: str) -> Any:  # noqa: ANN401 - Ray has no type for a handle of a late class
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # Not restarted by Ray: a call to an actor that died is then surely over, and `_look` begins another one.
        hosted = self._ray.remote(Worker).options(
            num_cpus=0,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=CALLS,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        return hosted.remote(self._opener)


def _nodes(ray: Any) -> tuple[frozenset[str], frozenset[str]]:  # noqa: ANN401 - a module
    """Nodes that are alive, and those that are to be drained."""
    alive = frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"])
    try:
        # Ray has no public way to ask, and its own libraries ask like this. Without it a drained node goes on.
        from ray._private.state import state

        return alive, frozenset(state.get_draining_nodes())
    except (ImportError, AttributeError):
        return alive, frozenset()


@asynccontextmanager
async def open_ray(opener: WorkerOpener, store: ImageStore, address: str | None) -> AsyncIterator[RayEngine]:
    """Workers on a cluster's nodes, for the length of the block. Without `address`, a cluster on this machine is begun.

    Raises `UsageError` when Ray is not installed, the cluster cannot be reached, or no node can work.
    """
    ray = await to_thread.run_sync(_connect, address)
    engine = RayEngine(ray, opener, store)
    try:
        await engine.begin()
        yield engine
    finally:
        with anyio.CancelScope(shield=True):
            await engine.close()


def _connect(address: str | None) -> Any:  # noqa: ANN401 - a module
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
            return ray
        try:
            _answers(address or "")
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
        except (OSError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
            told = one_line(
                f"the Ray cluster {address or 'of this machine'} cannot be used: {error}", REASON_LIMIT
            )
            raise UsageError(f"{told}; nothing was sent") from None
    return ray


def _answers(address: str) -> None:
    """Whether anybody listens there: Ray itself would try for a quarter of an hour. Raises `OSError`."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
