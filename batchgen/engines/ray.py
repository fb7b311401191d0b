"""Attempts performed on the nodes of a Ray cluster: one actor a node, each with its own connections and its own store.

Only attempts go out and small outcomes come back. A call is made at most once, and never again by Ray: an actor that is
lost takes its calls with it, and a fresh one takes its place.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import anyio
from anyio import to_thread

from batchgen.core.errors import BatchgenError, StorageError, UsageError
from batchgen.core.plain import REASON_LIMIT, one_line
from batchgen.core.protocols import Engine, ImageStore
from batchgen.core.types import Attempt, Failure, FailureClass, Link, Paid, Stored

WorkerOpener = Callable[[], AbstractAsyncContextManager[Engine]]
"""Opens an engine on a worker, from what can be pickled and holds no secret. Raises `BatchgenError` where it cannot."""

MISSING = "the engine ray needs a package that is not installed: pip install 'batchgen[ray]'; nothing was sent"
LOST = "the worker that asked for the image was lost before it told of an answer"

LOOK_S = 3.0
"""How often the cluster is looked at for nodes that came, went, or are to be drained."""
PLACE_S = 60.0
"""So long an actor may take to begin, and a run waits for a node when it has none."""
CALLS = 1000
"""Calls at one time in one actor: the coordinator's limits bound them, not Ray."""

_CONNECTING = Lock()  # Ray knows one connection a process, which the jobs of a night share


class Worker:
    """What an actor does: a local engine, opened once. Errors go back as values: Ray would add its own frames."""

    def __init__(self, opener: WorkerOpener) -> None:
        self._opener = opener
        self._rooms = AsyncExitStack()
        self._engine: Engine | None = None

    async def begin(self) -> str:
        """Open the engine; returns why it cannot be, in a sentence, or ""."""
        try:
            self._engine = await self._rooms.enter_async_context(self._opener())
        except BatchgenError as error:
            return str(error)
        return ""

    async def do(self, verb: str, *words: object) -> Stored | Link | Failure | str | None:
        """One call of the engine; a text is why the disk could not be relied on."""
        try:
            outcome: Stored | Link | Failure | None = await getattr(self._engine, verb)(*words)
        except StorageError as error:
            return str(error)
        return outcome


@dataclass(eq=False, slots=True)
class _Place:
    """An actor on a node, with the calls that it has not answered."""

    node: str
    actor: Any
    in_flight: set[str] = field(default_factory=set)


class RayEngine:
    """`batchgen.core.protocols.Engine` over the nodes of a cluster; `store` is the coordinator's, which adopts."""

    def __init__(self, ray: Any, opener: WorkerOpener, store: ImageStore) -> None:  # noqa: ANN401 - imported late
        self._ray = ray
        self._opener = opener
        self._store = store
        self._places: dict[str, _Place] = {}
        self._refused: dict[str, str] = {}
        self._draining: frozenset[str] = frozenset()
        self._looked = -LOOK_S
        self._looking = anyio.Lock()

    async def begin(self) -> None:
        """Find workers. Raises `UsageError` when every node has a reason against it."""
        await self._look()
        if not self._places and self._refused:
            told = "; ".join(sorted(set(self._refused.values())))
            raise UsageError(f"no node of the Ray cluster can work on this job: {told}; nothing was sent")

    async def close(self) -> None:
        """End the actors: what they are still doing is the business of nobody any more."""
        for place in list(self._places.values()):
            await to_thread.run_sync(self._ray.kill, place.actor)

    async def reserve(self, attempt: Attempt) -> None:
        """Make room where the attempt will be performed; on another node when that one is lost, since nothing was sent."""
        while True:
            place = await self._free_place()
            place.in_flight.add(attempt.attempt_id)
            try:
                await self._call(place, "reserve", attempt)
            except self._ray.exceptions.RayError:
                await self._forget(place)
            except BaseException:
                place.in_flight.discard(attempt.attempt_id)
                raise
            else:
                return

    async def perform(self, attempt: Attempt) -> Stored | Link | Failure:
        """Have the request sent once. When its worker is lost: what it stored, or an unknown outcome."""
        place = self._place_of(attempt)
        if place is None:
            told = "the worker was lost before the request was sent"
            return Failure(FailureClass.TRANSIENT, told, nothing_sent=True)
        try:
            outcome = await self._call(place, "perform", attempt)
        except self._ray.exceptions.RayError as error:
            found = await self._found(place, attempt, error)
            return found or Failure(FailureClass.UNKNOWN, self._told(error), Paid.MAYBE)
        finally:
            place.in_flight.discard(attempt.attempt_id)
        if isinstance(outcome, Link):
            return outcome
        return self._ended(outcome)

    async def fetch(self, attempt: Attempt, link: Link) -> Stored | Failure:
        """Download a link on any worker; a lost one is no harm, the link is fetched again."""
        place = await self._free_place()
        place.in_flight.add(attempt.attempt_id)
        try:
            return self._ended(await self._call(place, "fetch", attempt, link))
        except self._ray.exceptions.RayError as error:
            found = await self._found(place, attempt, error)
            return found or Failure(FailureClass.TRANSIENT, self._told(error))
        finally:
            place.in_flight.discard(attempt.attempt_id)

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """What is in the store already, whoever put it there."""
        return await self._store.adopt(attempt)

    async def _call(self, place: _Place, verb: str, *words: object) -> Stored | Link | Failure | None:
        outcome = await place.actor.do.remote(verb, *words)
        if isinstance(outcome, str):
            raise StorageError(outcome)
        result: Stored | Link | Failure | None = outcome
        return result

    def _ended(self, outcome: Stored | Link | Failure | None) -> Stored | Failure:
        assert isinstance(outcome, Stored | Failure)
        return outcome

    async def _found(self, place: _Place, attempt: Attempt, error: Exception) -> Stored | None:
        """What a dead worker had stored. One that is only out of reach may still be writing: nobody touches that."""
        if not isinstance(error, self._ray.exceptions.ActorDiedError):
            return None
        await self._forget(place)
        return await self._store.adopt(attempt)

    def _told(self, error: Exception) -> str:
        return one_line(f"{LOST} ({type(error).__name__})", REASON_LIMIT)

    def _place_of(self, attempt: Attempt) -> _Place | None:
        places = self._places.values()
        return next((place for place in places if attempt.attempt_id in place.in_flight), None)

    async def _forget(self, place: _Place) -> None:
        if self._places.get(place.node) is place:
            del self._places[place.node]
            self._looked = -LOOK_S

    async def _free_place(self) -> _Place:
        """The worker with the fewest calls. Raises `StorageError` when there is none for a while."""
        ends = anyio.current_time() + PLACE_S
        while True:
            if anyio.current_time() - self._looked >= LOOK_S or not self._places:
                await self._look()
            open_places = [place for node, place in self._places.items() if node not in self._draining]
            if open_places:
                return min(open_places, key=lambda place: len(place.in_flight))
            if anyio.current_time() >= ends:
                told = "; ".join(sorted(set(self._refused.values()))) or "none is alive"
                raise StorageError(
                    f"no worker of the Ray cluster is left ({told}); nothing was sent for this image"
                )
            await anyio.sleep(1)

    async def _look(self) -> None:
        """Begin an actor on every new node; a node that is gone takes its own along."""
        if self._looking.locked() and self._places:
            return  # somebody looks, and there is somebody to work meanwhile
        async with self._looking:
            if anyio.current_time() - self._looked < LOOK_S and self._places:
                return
            self._looked = anyio.current_time()
            alive, self._draining = await to_thread.run_sync(self._nodes)
            async with anyio.create_task_group() as beginning:
                for node in alive - self._draining - set(self._places) - set(self._refused):
                    beginning.start_soon(self._begin_on, node)

    def _nodes(self) -> tuple[frozenset[str], frozenset[str]]:
        from ray._private.state import state  # what Ray's own libraries ask; there is no public way

        alive = frozenset(node["NodeID"] for node in self._ray.nodes() if node["Alive"])
        return alive, frozenset(state.get_draining_nodes())

    async def _begin_on(self, node: str) -> None:
        actor = await to_thread.run_sync(self._actor, node)
        try:
            with anyio.fail_after(PLACE_S):
                refused = await actor.begin.remote()
        except (self._ray.exceptions.RayError, TimeoutError):
            await to_thread.run_sync(self._ray.kill, actor)  # the next look tries again
            return
        if refused:
            self._refused[node] = refused
            await to_thread.run_sync(self._ray.kill, actor)
        else:
            self._places[node] = _Place(node, actor)

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
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise UsageError(MISSING) from None
    from ray._private.ray_logging import global_worker_stdstream_dispatcher as printing

    logging.getLogger("ray").setLevel(logging.ERROR)
    with _CONNECTING:
        if ray.is_initialized():
            return ray
        here: dict[str, Any] = {}
        if address is None:
            here = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
        except (OSError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
            told = one_line(f"the Ray cluster {address or 'of this machine'} cannot be used: {error}", 400)
            raise UsageError(f"{told}; nothing was sent") from None
    printing.handlers.clear()  # Ray prints of lost workers to standard output, which is for people and machines
    return ray
