"""The narrow interfaces between the rooms. Each has one contract test, run on every implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from batchgen.core.events import Event
from batchgen.core.plan import Known, Planned
from batchgen.core.records import AttemptView, Due, Found, RunRecord, TaskView, Totals, Unfinished
from batchgen.core.retry import NextStep
from batchgen.core.types import (
    Attempt,
    Blob,
    Failure,
    ImageBytes,
    ImageRequest,
    Link,
    Stored,
    StoredImage,
    Task,
)


class Provider(Protocol):
    """Who makes images. Knows nothing of retries, limits or files."""

    @property
    def name(self) -> str:
        """The provider's name in manifests, e.g. `cometapi`."""

    @property
    def host(self) -> str:
        """Host and port that requests go to, for sidecars and warnings."""

    async def generate(
        self, request: ImageRequest, *, attempt_id: str, idempotency_key: str
    ) -> ImageBytes | Link:
        """Send one `n=1` request, once. Raises only `AttemptError`."""

    async def fetch(self, link: Link) -> ImageBytes:
        """Download a link's bytes; repeatable, free, without the key. Raises only `AttemptError`."""


class ImageStore(Protocol):
    """Where image bytes go. All or nothing, and doing a thing twice is harmless."""

    async def reserve(self, attempt: Attempt) -> None:
        """Make room for an answer before it is paid for. Raises `StorageError` when there is none."""

    async def release(self, attempt_id: str, evidence: Blob = b"") -> None:
        """Give up an attempt's room when it brought no image; what came instead goes to quarantine."""

    async def keep(self, attempt: Attempt, image: ImageBytes) -> Stored:
        """Make image and sidecar durable under their final names; what stood there moves to `superseded/`.

        Raises `NotAnImageError` (the bytes are then in quarantine) and `StorageError`.
        """

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """Finish what a crash interrupted: an attempt's whole verified image that is on disk already."""

    async def restore(self, moves: Sequence[tuple[Found, Task]]) -> Sequence[Stored]:
        """Move paid images to the names of tasks of their fingerprints, instead of buying them again.

        Of one call, no image may be moved to a name that another one leaves.
        """

    async def damaged(self, images: Sequence[StoredImage], *, by_hash: bool = False) -> Mapping[str, str]:
        """What is wrong with images, by attempt id: `missing` or `altered`; the sound ones are left out.

        By size and time, and by hash where these leave a doubt; every byte is read with `by_hash`.
        """


class Ledger(Protocol):
    """What happened. One call is one transaction, durable when it returns.

    A crash at any point leaves a state that the next run understands. Only the pool and the run write it.
    """

    async def stage(self, tasks: Sequence[Task]) -> Sequence[tuple[Task, Task]]:
        """Take a batch of the manifest's tasks in; returns those whose id clashes, with the earlier one."""

    def compare(self) -> AsyncIterator[Sequence[Known]]:
        """Every staged task with what is known of it, in manifest order, in batches."""

    async def spare(self, task: Task) -> StoredImage | None:
        """The next spare image for a task, where the one that `compare` found cannot be used."""

    async def removed(self, limit: int) -> tuple[int, Sequence[str]]:
        """How many tasks are on the ledger but not staged, and the first `limit` of their ids."""

    async def begin_run(self, run: RunRecord) -> None:
        """Note a run that starts, and which manifest, provider and host the job has now."""

    async def end_run(self, run_id: str, ended: str, stopped_by: str | None) -> None:
        """Note a run's end."""

    async def apply(self, run_id: str | None, planned: Sequence[Planned]) -> None:
        """Make the task rows what the plan says; tasks to be sent are queued for `run_id` (None: only pending)."""

    async def settle_manifest(self) -> None:
        """Take over places and labels of the staged tasks, and mark rows that are not staged as out of the manifest."""

    async def moved(self, moves: Sequence[tuple[Stored, Task]]) -> None:
        """Images were moved to the names of tasks, which are now stored."""

    async def unfinished(self) -> Sequence[Unfinished]:
        """Attempts that a dead run left `sent` or `received`."""

    async def models(self, run_id: str) -> Mapping[str, int]:
        """Models of the tasks that this run has queued, with how many."""

    async def due(self, run_id: str, models: Collection[str], now: str, limit: int) -> Sequence[Due]:
        """The first queued tasks that may be sent now, in manifest order."""

    async def next_due(self, run_id: str, models: Collection[str]) -> str | None:
        """The earliest not-before moment of queued tasks; "" when one is due at any time, None when none is queued."""

    async def sent(self, attempt: Attempt) -> None:
        """An attempt is about to be sent."""

    async def received(self, attempt_id: str, link: Link) -> None:
        """The answer is a link, to be fetched."""

    async def stored(self, stored: Stored, *, ended: str, seconds: float) -> None:
        """The image is durable under its final name."""

    async def failed(
        self,
        attempt: Attempt,
        failure: Failure,
        step: NextStep,
        *,
        not_before: str | None,
        ended: str,
        seconds: float,
    ) -> None:
        """The attempt failed, and the task's next state is `step`'s."""

    async def fail_unsent(self, run_id: str, model: str, failure: Failure) -> int:
        """Fail the queued tasks of a model without an attempt; returns how many."""

    async def fail_unsent_shape(self, run_id: str, request: ImageRequest, failure: Failure) -> int:
        """Fail the queued tasks that ask for the same beside the prompt, without an attempt; returns how many."""

    async def totals(self, run_id: str | None = None) -> Totals:
        """Money of one run, or of the job over all its runs."""

    async def outcome(self, run_id: str) -> Mapping[tuple[str, str], int]:
        """How many of the tasks that a run queued are now in which (state, class or "")."""

    def tasks(self) -> AsyncIterator[Sequence[TaskView]]:
        """The manifest's tasks as people and machines read them, in manifest order, in batches."""

    def attempts(self) -> AsyncIterator[Sequence[AttemptView]]:
        """Every attempt ever, oldest first, in batches."""


class Engine(Protocol):
    """Where attempts are performed: a provider and a store, here or on a worker elsewhere."""

    async def reserve(self, attempt: Attempt) -> None:
        """Make room for the answer. Raises `StorageError`."""

    async def perform(self, attempt: Attempt) -> Stored | Link | Failure:
        """Send the attempt's request, at most once a call, and keep what comes back. Raises `StorageError`."""

    async def fetch(self, attempt: Attempt, link: Link) -> Stored | Failure:
        """Download a paid link and keep it. Raises `StorageError`."""

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """What `ImageStore.adopt` finds on disk of an attempt that a crash interrupted."""


class Observer(Protocol):
    """Who is told. Must return quickly and never raise."""

    def notify(self, event: Event) -> None:
        """Take one event."""
