"""Attempts performed on the nodes of a Ray cluster: one worker a node, each with its own connections and its own store.

Only attempts go out and small outcomes come back. A worker that is lost takes its calls with it, and a fresh one takes
its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio import to_thread

from batchgen.core.errors import StorageError, UsageError
from batchgen.core.protocols import ImageStore, OnSent
from batchgen.core.types import Attempt, Failure, FailureClass, Link, Paid, Stored
from batchgen.core.values import replace
from batchgen.engines.cluster import Cluster, Hand, LostError, connect
from batchgen.engines.worker import Outcome, WorkerOpener

LOST = "the worker that asked for the image was lost before it told of an answer"
UNSENT = "the worker was lost before the request was sent"

LOOK_S = 3.0
"""How often the cluster is looked at for nodes that came, went, or are to be drained."""
PLACE_S = 60.0
"""So long a run waits for a node when it has none."""


class RayEngine:
    """`batchgen.core.protocols.Engine` over the nodes of a cluster; `store` is the coordinator's, which adopts."""

    def __init__(self, cluster: Cluster, opener: WorkerOpener, store: ImageStore) -> None:
        self._cluster = cluster
        self._opener = opener
        self._store = store
        self._hands: dict[str, Hand] = {}  # by node
        self._at: dict[str, str] = {}  # attempt -> node, from its reservation to its end
        self._refused: dict[str, str] = {}
        self._beginning: dict[str, anyio.Event] = {}
        self._draining: frozenset[str] = frozenset()
        self._looked = -LOOK_S
        self._looking = anyio.Lock()

    async def begin(self) -> None:
        """Find workers. Raises `UsageError` when every node has a reason against it."""
        await self._look()
        if not self._hands and self._refused:
            raise UsageError(
                f"no node of the Ray cluster can work on this job: {self._reasons}; nothing was sent"
            )

    async def close(self) -> None:
        """End the workers."""
        for hand in self._hands.values():
            await to_thread.run_sync(hand.end)

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
        if self._at.get(attempt.attempt_id) not in self._hands:
            return Failure(FailureClass.TRANSIENT, UNSENT, nothing_sent=True, same_cause=True)
        if on_sent is not None:
            on_sent()
        return await self._outcome(Failure(FailureClass.UNKNOWN, LOST, Paid.MAYBE), "perform", attempt)

    async def fetch(self, attempt: Attempt, link: Link) -> Stored | Failure:
        """Download a link on any worker; a lost one is no harm, the link is fetched again."""
        if self._at.get(attempt.attempt_id) not in self._hands:
            self._at[attempt.attempt_id] = await self._free_node()
        outcome = await self._outcome(Failure(FailureClass.TRANSIENT, LOST), "fetch", attempt, link)
        assert not isinstance(outcome, Link)
        return outcome

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """What is in the store already, whoever put it there, or waits for an object store on a node of its own."""
        stored = await self._store.adopt(attempt)
        for hand in () if stored else tuple(self._hands.values()):
            with suppress(LostError):
                if isinstance(found := await hand.do("adopt", attempt), Stored):
                    return found
        return stored

    async def _outcome(
        self, lost: Failure, verb: str, attempt: Attempt, *words: object
    ) -> Stored | Link | Failure:
        node = self._at[attempt.attempt_id]
        hand = self._hands[node]
        try:
            outcome = await self._call(verb, attempt, *words)
        except LostError as error:
            over = await hand.over()
            # What is left of an attempt that has ended is taken or cleared away; the next run does it for the others.
            stored = await self._left_by(node, attempt) if over or error.ended else None
            return stored or replace(lost, same_cause=not error.news)
        finally:
            self._at.pop(attempt.attempt_id, None)
        assert outcome is not None
        return outcome

    async def _left_by(self, node: str, attempt: Attempt) -> Stored | None:
        """What a lost worker stored, or had on a disk of its node's own: who takes its place there is asked."""
        if stored := await self._store.adopt(attempt):
            return stored
        await self._look()
        if (begun := self._beginning.get(node)) is not None:
            await begun.wait()
        if (hand := self._hands.get(node)) is None:
            return None
        with suppress(LostError):
            found = await hand.do("adopt", attempt)
            return found if isinstance(found, Stored) else None
        return None

    async def _call(self, verb: str, attempt: Attempt, *words: object) -> Outcome:
        """Raises `LostError`, and what the engine there raises."""
        node = self._at[attempt.attempt_id]
        hand = self._hands[node]
        try:
            return await hand.do(verb, attempt, *words)
        except LostError as error:
            error.news = self._hands.get(node) is hand
            if error.news:
                del self._hands[node]
                self._looked = -LOOK_S
            raise

    @property
    def _reasons(self) -> str:
        return "; ".join(sorted(set(self._refused.values()))) or "none answers"

    async def _free_node(self) -> str:
        """The node with the fewest calls. Raises `StorageError` when there is none for a while."""
        ends = anyio.current_time() + PLACE_S
        while anyio.current_time() < ends:
            await self._look()
            calls = Counter(self._at.values())
            if found := min(self._hands.keys() - self._draining, key=calls.__getitem__, default=None):
                return found
            await anyio.sleep(1)
        raise StorageError(
            f"no worker of the Ray cluster is left: {self._reasons}; nothing was sent for this image"
        )

    async def _look(self) -> None:
        """Begin a worker on every new node; others go on with what there is meanwhile."""
        async with self._looking:
            if anyio.current_time() - self._looked < LOOK_S:
                return
            self._looked = anyio.current_time()
            alive, self._draining = await to_thread.run_sync(self._cluster.nodes)
        new = alive - self._draining - self._hands.keys() - self._refused.keys() - self._beginning.keys()
        self._beginning |= {node: anyio.Event() for node in new}
        async with anyio.create_task_group() as group:
            for node in new:
                group.start_soon(self._begin_on, node)

    async def _begin_on(self, node: str) -> None:
        """A worker on a node; when it does not begin, the next look tries again."""
        hand = await to_thread.run_sync(self._cluster.worker, node, self._opener)
        refused = None
        try:
            refused = await hand.begin()
        finally:
            if refused:
                self._refused[node] = refused
            if refused == "":
                self._hands[node] = hand
            self._beginning.pop(node).set()
            if refused != "":
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(hand.end)


@asynccontextmanager
async def open_ray(opener: WorkerOpener, store: ImageStore, address: str | None) -> AsyncIterator[RayEngine]:
    """Workers on a cluster's nodes, for the length of the block. Without `address`, a cluster on this machine is begun.

    Raises `UsageError` when Ray is not installed, the cluster cannot be reached, or no node can work.
    """
    engine = RayEngine(await to_thread.run_sync(connect, address), opener, store)
    try:
        await engine.begin()
        yield engine
    finally:
        with anyio.CancelScope(shield=True):
            await engine.close()
