"""The narrow interfaces between the rooms. Each has one contract test, run on every implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from batchgen.core.events import Event
from batchgen.core.history import History
from batchgen.core.inventory import Inventory
from batchgen.core.plan import Known, Planned
from batchgen.core.records import (
    AttemptView,
    Dearer,
    Due,
    Found,
    Remembered,
    RunRecord,
    TaskView,
    Totals,
    Unfinished,
)
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

Observer = Callable[[Event], None]
"""Who watches a run. It is told at once, on the loop's thread: it must neither wait nor raise."""

OnSent = Callable[[], None]
"""Told at once when a request is written to the network. It must neither wait nor raise."""

PartialSink = Callable[[int, str], Awaitable[None]]
"""Takes a partial image of a streamed answer: its number, from 0, and its base64 text. Must not raise."""


class Provider(Protocol):
    """Who makes images. Knows nothing of retries, limits or files."""

    async def generate(
        self,
        request: ImageRequest,
        *,
        attempt_id: str,
        idempotency_key: str,
        on_partial: PartialSink | None = None,
        on_sent: OnSent | None = None,
    ) -> ImageBytes | Link:
        """Send one `n=1` request, once. Raises only `AttemptError`.

        Partial images of a streamed answer go to `on_partial` as they come; None drops them.
        """

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

    @property
    def keeps_partials(self) -> bool:
        """Whether partial images are wanted at all."""

    async def keep_partial(self, attempt: Attempt, number: int, encoded: str) -> None:
        """Keep a partial image beside the job, for people to look at; it is not durable, and a later one replaces it.

        Raises `NotAnImageError`, `StorageError`.
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

    async def restorable(self, image: StoredImage, task: Task) -> bool:
        """Whether `restore` would find the image whole, where the ledger says or where a crash left it."""

    async def inventory(self) -> Inventory:
        """What is stored, to be compared with what the ledger knows."""

    def images(self) -> AsyncIterator[Sequence[Found]]:
        """Every image that has a sidecar, in batches: those under their names first, superseded ones after them."""

    def orphans(self) -> AsyncIterator[Sequence[StoredImage]]:
        """What sidecars say whose images are not beside them, in batches."""

    async def whole(self, found: Sequence[Found]) -> Sequence[Found]:
        """Those whose bytes are what their sidecars say, to the last one."""

    async def forget_copies(self, images: Sequence[StoredImage]) -> None:
        """Remove orphans that interrupted moves left behind."""

    async def set_parts_aside(self) -> int:
        """Keep whole images of attempts that nobody remembers; to be called when none is open. Returns how many."""

    async def without_sidecar(self, images: Sequence[StoredImage]) -> Sequence[StoredImage]:
        """Those whose sidecar is gone or speaks of another image."""

    async def nameless(self, told: Sequence[Found]) -> Sequence[Found]:
        """Images that lie where they are told to lie, to the last byte, beside no sidecar that can be read."""

    async def write_sidecar(self, found: Found, task: Task) -> None:
        """Put a sidecar beside an image that has lost its own, from what the ledger knows."""

    async def foreign(self, limit: int) -> Sequence[str]:
        """Places of at most `limit` files among the images that are not batchgen's."""


class Ledger(Protocol):
    """What happened. One call is one transaction, durable when it returns.

    A crash at any point leaves a state that the next run understands. Only the pool and the run write it.
    """

    async def stage(self, tasks: Sequence[Task]) -> Sequence[tuple[Task, Task]]:
        """Take a batch of the manifest's tasks in; returns those whose id clashes, with the earlier one."""

    def staged_names(self) -> AsyncIterator[Sequence[tuple[str, str]]]:
        """(task id, prompt id) of every staged task, in manifest order, in batches."""

    async def staged_models(self) -> Collection[str]:
        """Models of the staged tasks."""

    async def twins(self, limit: int) -> tuple[int, Sequence[tuple[Task, Task]]]:
        """How many staged tasks ask for exactly what an earlier one asks for, and the first `limit` with the earlier one.

        Further images of one prompt are none.
        """

    async def size(self) -> tuple[int | None, int]:
        """How many tasks the manifest had when it last ran (None: never, or nobody remembers), and how many it has now."""

    async def note_size(self) -> None:
        """Remember how many tasks the manifest has."""

    def compare(self) -> AsyncIterator[Sequence[Known]]:
        """Every staged task with what is known of it, in manifest order, in batches."""

    async def spare(self, task: Task) -> StoredImage | None:
        """The next spare image for a task, where the one that `compare` found cannot be used."""

    async def dearer(self) -> Sequence[Dearer]:
        """Models whose staged tasks cost more than when they, unchanged, were last planned; to be asked before `apply`."""

    async def removed(self, limit: int) -> tuple[int, Sequence[str]]:
        """How many tasks are on the ledger but not staged, and the first `limit` of their ids."""

    def left(self) -> AsyncIterator[Sequence[str]]:
        """All their ids, in the order that they had in the manifest, in batches."""

    async def facts(self) -> Mapping[str, str]:
        """What is known of the job: `manifest`, `provider`, `host`; empty before its first run."""

    async def last_run(self) -> tuple[RunRecord, str | None, str | None] | None:
        """The run that began last, when it ended (None: it runs, or was killed) and what stopped it."""

    async def last_sent(self) -> str | None:
        """When the job's last request went out; None when none ever did."""

    async def longest(self, models: Collection[str]) -> float:
        """How long the slowest of the last images of these models took, in seconds; 0 when there is none."""

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

    def images(self) -> AsyncIterator[Sequence[StoredImage]]:
        """Every image that should be in the store, superseded ones included, in batches."""

    async def inventory(self) -> Inventory:
        """What should be in the store, to be compared with what is."""

    async def unknown(self, found: Sequence[Found]) -> Sequence[Found]:
        """Images of the store that are not noted as they lie there."""

    async def noted(self, images: Sequence[StoredImage]) -> Sequence[StoredImage]:
        """Images as they are noted, by their attempts; unknown ones are left out."""

    async def made(self, images: Sequence[StoredImage]) -> Sequence[Found]:
        """Images as they are noted, with all that is known of the attempts that brought them."""

    async def take_in(self, found: Sequence[Found]) -> None:
        """Note whole images that are in the store, and the attempts that brought them."""

    async def lose(self, images: Sequence[StoredImage]) -> None:
        """Note that images are gone or altered."""

    async def task_for(self, image: StoredImage) -> Task | None:
        """The task that an image was made for, None when it wants another one by now."""

    async def run_ids(self) -> frozenset[str]:
        """The runs that are known."""

    async def open_run(self, run_id: str) -> str | None:
        """The newest run but `run_id`, if its end was never noted."""

    async def replay(self, run_id: str, started: str, told: Iterable[Remembered]) -> int:
        """Note what the log of a run tells of its requests; returns how many were new."""

    async def unfinished(self) -> Sequence[Unfinished]:
        """Attempts that a dead run left `sent` or `received`."""

    async def open_links(self) -> Sequence[str]:
        """Tasks of the manifest that wait for paid links, once a link."""

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

    async def list_usd(self) -> float:
        """List price of the manifest's stored images, in USD."""

    async def history(self, limit: int) -> History:
        """How the last run went, the first `limit` tasks that it changed, and where the job's money went."""

    async def states(self) -> Mapping[tuple[str, str], int]:
        """How many of the job's tasks are now in which (state, class or "").

        Of stored ones, `missing` stands for the class where the image was found gone or changed.
        """

    async def stored_since(self, since: str) -> int:
        """How many images came after a moment."""

    async def waits_until(self, now: str) -> str | None:
        """The first moment after `now` before which a pending task is not sent; None when none waits."""

    def tasks(self) -> AsyncIterator[Sequence[TaskView]]:
        """The manifest's tasks as people and machines read them, in manifest order, in batches."""

    async def open_tasks(self, limit: int) -> Sequence[TaskView]:
        """The first `limit` tasks of every state and class of those without an image, in manifest order."""

    async def fact(self, key: str) -> str | None:
        """What was noted under a key, None for nothing."""

    async def note(self, key: str, value: str) -> None:
        """Note a fact of the job; `results` is forgotten as soon as a task, an attempt or an image changes."""

    def attempts(self) -> AsyncIterator[Sequence[AttemptView]]:
        """Every attempt ever, oldest first, in batches."""


class Engine(Protocol):
    """Where attempts are performed: a provider and a store, here or on a worker elsewhere."""

    async def reserve(self, attempt: Attempt) -> None:
        """Make room for the answer. Raises `StorageError`."""

    async def perform(self, attempt: Attempt, on_sent: OnSent | None = None) -> Stored | Link | Failure:
        """Send the attempt's request, at most once a call, and keep what comes back. Raises `StorageError`."""

    async def fetch(self, attempt: Attempt, link: Link) -> Stored | Failure:
        """Download a paid link and keep it. Raises `StorageError`."""

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """What `ImageStore.adopt` finds on disk of an attempt that a crash interrupted."""
